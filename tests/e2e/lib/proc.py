# SPDX-License-Identifier: MIT
"""Facts about processes, from /proc, and waiting for facts."""

import ctypes
import dataclasses
import os
import signal
import time

from .setting import SOON

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

# Processes that the tests started on purpose. Whatever else ends up below us is an orphan of the daemon.
started = set()


def become_subreaper():
    """Orphans of everything below us are handed to us and not to init, so that they can be seen."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    """For preexec_fn: nothing outlives a test run that was killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def as_from_a_terminal():
    """The same, and signals are not ignored, which a job in the background inherits and a script cannot take back."""
    die_with_parent()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def wait_until(fact, what, timeout=None):
    """Polls until fact() is true and returns its value; fails with `what` (text, or a function that makes it)."""
    deadline = time.monotonic() + (SOON if timeout is None else timeout)
    pause = 0.001
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("timed out waiting for: " + (what() if callable(what) else what))
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    state: str  # one letter, Z is a zombie
    start: int  # clock ticks after boot: with the pid, the identity of a process
    name: str
    command: str

    def __str__(self):
        return f"{self.pid} ({self.state}) {self.command or self.name}"


def process(pid):
    """The process, or None if there is none any more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read().decode(errors="replace")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    return Process(int(pid), int(rest[1]), int(rest[3]), rest[0], int(rest[19]), name, command)


def children(pid, recursive=True):
    """All processes below pid, zombies too."""
    below = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = process(entry)
            if found:
                below.setdefault(found.parent, []).append(found)
    result, todo = [], [pid]
    while todo:
        for child in below.get(todo.pop(), []):
            result.append(child)
            if recursive:
                todo.append(child.pid)
    return result


def orphans():
    """Processes that became ours because their parent, a daemon of ours, died without them.

    Programs of the daemon run in sessions of their own; what the tests start plainly shares ours.
    """
    session = os.getsid(0)
    return [p for p in children(os.getpid(), recursive=False)
            if p.pid not in started and p.session != session]


def bury(found):
    """Ends an orphan and reaps it."""
    try:
        os.kill(found.pid, signal.SIGKILL)
        os.waitpid(found.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def fds(pid):
    """Open descriptors: {number: what /proc says it is}."""
    result = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            result[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            pass
    return result


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory: a zombie?")


def written_kib(pid, least):
    """Of its mappings of `least` KiB and more: what it has written to, wherever the system keeps that."""
    total = size = 0
    with open(f"/proc/{pid}/smaps") as file:
        for name, value, *_ in (line.split() for line in file if line.startswith(("Size:", "Private_Dirty:", "Swap:"))):
            if name == "Size:":
                size = int(value)
            elif size >= least:
                total += int(value)
    return total


def cpu_seconds(pid):
    """User and system time of the process itself, without its children."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_children(pid):
    """User and system time of the children it had, those that have ended and been waited for."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def listening_inodes():
    """Socket inodes of all TCP listeners by port: {port: {inode, ...}}."""
    result = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as file:
            next(file)
            for fields in map(str.split, file):
                if fields[3] != "0A":  # listeners come first; the rest may be long
                    break
                port = int(fields[1].rpartition(":")[2], 16)
                result.setdefault(port, set()).add(fields[9])
    return result
