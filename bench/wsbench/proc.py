# SPDX-License-Identifier: MIT
"""Processes: start them, read what they cost from /proc, and end every one of them, always."""

import atexit
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
_children = []  # every process started here and not yet ended


class StartError(Exception):
    """A server did not come up; the text says why."""


def scratch():
    """A directory for logs and configurations, removed at the end."""
    if not hasattr(scratch, "dir"):
        scratch.dir = tempfile.mkdtemp(prefix="wsluice-bench-")
        os.chmod(scratch.dir, 0o755)  # nginx's worker is another user
        atexit.register(shutil.rmtree, scratch.dir, ignore_errors=True)
    return scratch.dir


def free_port():
    """A port nobody listens on now. For servers that cannot be told to choose one."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(argv, name, **kwargs):
    """Popen with stderr (and stdout, unless asked for) in a log file; dies with us."""
    log = open(os.path.join(scratch(), f"{name}.{len(os.listdir(scratch()))}.log"), "w+")
    kwargs.setdefault("stdout", log)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    if shutil.which("setpriv"):
        argv = ["setpriv", "--pdeathsig", "TERM", *argv]
    p = subprocess.Popen(argv, stderr=log, **kwargs)
    p.log_path = log.name
    log.close()
    _children.append(p)
    return p


def log_of(p):
    with open(p.log_path, errors="replace") as f:
        return f.read()


def stop(p, patience=5.0):
    """Asks it to end, then makes it; its pid was given by us to us."""
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(patience)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    for f in (p.stdin, p.stdout):
        if f:
            f.close()
    if p in _children:
        _children.remove(p)


def stop_all():
    for p in list(_children):
        stop(p, 2.0)


atexit.register(stop_all)


def wait_for(check, seconds, p, what):
    """Polls until check() gives something true; the process p must live meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        if p.poll() is not None:
            break
        time.sleep(0.01)
    tail = log_of(p).strip().splitlines()[-3:]
    stop(p)
    raise StartError(f"{what}: " + (" / ".join(tail) or "no answer"))


def port_from_log(p, what):
    """The port in a line `listening on xx://HOST:PORT/`."""
    def check():
        m = re.search(r"listening on \w+://[^\s\"]*:(\d+)", log_of(p))
        return int(m.group(1)) if m else None
    return wait_for(check, 10, p, what)


def wait_port(p, port, what):
    def check():
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(check, 10, p, what)


class Lines:
    """Reads lines from a pipe with a deadline, so that nothing here waits for ever."""

    def __init__(self, stream):
        self.fd = stream.fileno()
        self.rest = b""

    def next(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError(f"no answer in {seconds:.0f} s")
            chunk = os.read(self.fd, 65536)
            if not chunk:
                raise EOFError("ended without a result")
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


def _stat(pid):
    """(comm, ppid, own CPU seconds, CPU seconds of children waited for), or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            text = f.read()
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    f = text[text.rindex(")") + 2:].split()
    return name, int(f[1]), (int(f[11]) + int(f[12])) / TICK, (int(f[13]) + int(f[14])) / TICK


def _own(pid, stat):
    """
    Own CPU seconds to the nanosecond, where the kernel has them (schedstat of every thread; stat counts
    ticks of 10 ms, which fifty programs that do little each would all be below). stat: what _stat said.
    """
    try:
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        return total / 1e9
    except OSError:
        return stat[2]


def tree(pid):
    """{pid: stat} of a process and all its living descendants."""
    stats = {}
    below = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            s = _stat(entry)
            if s:
                stats[int(entry)] = s
                below.setdefault(s[1], []).append(int(entry))
    found = {}
    todo = [pid]
    while todo:
        p = todo.pop()
        if p in stats and p not in found:
            found[p] = stats[p]
            todo += below.get(p, [])
    return found


def cpu(pid):
    """
    (own, children) CPU seconds so far. Descendants of the same name are the server's own workers;
    all others, and every child that has ended and was waited for, are its children.
    """
    found = tree(pid)
    if pid not in found:
        return 0.0, 0.0
    name = found[pid][0]
    own = sum(_own(p, s) for p, s in found.items() if s[0] == name)
    children = sum(_own(p, s) for p, s in found.items() if s[0] != name) + sum(s[3] for s in found.values())
    return own, children


def memory(pid):
    """Bytes of the server's own processes: rss, pss and private."""
    found = tree(pid)
    name = found[pid][0]
    total = {"rss": 0, "pss": 0, "private": 0}
    for p, s in found.items():
        if s[0] != name:
            continue
        with open(f"/proc/{p}/smaps_rollup") as f:
            rows = dict(re.findall(r"^(\w+): +(\d+) kB", f.read(), re.M))
        total["rss"] += int(rows["Rss"]) * 1024
        total["pss"] += int(rows["Pss"]) * 1024
        total["private"] += (int(rows["Private_Clean"]) + int(rows["Private_Dirty"])) * 1024
    return total


def kernel_slab():
    """Bytes of kernel objects, of the whole machine: sockets, epoll items, descriptors."""
    with open("/proc/meminfo") as f:
        return int(re.search(r"^Slab: +(\d+)", f.read(), re.M).group(1)) * 1024


def machine_ticks():
    """(all, idle, stolen) ticks of the machine so far."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return sum(v[:8]), v[3] + v[4], v[7]
