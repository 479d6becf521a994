# SPDX-License-Identifier: MIT
"""Sessions that outlive their connections: one program's lines to many clients, and what coming back costs."""

import base64
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import time
import urllib.request

from . import proc
from . import servers as S
from .bench import Group, number, progress
from .load import LoadError, tool

LINE = 64  # bytes of a message


def _line(n, size=LINE):
    return (b"%010d " % n + b"abcdefgh" * (size // 8))[:size]


def _frame(payload, opcode=1):
    """As a server frames it."""
    n = len(payload)
    return bytes([0x80 | opcode]) + (bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n)) + payload


class Watcher:
    """One connection that only reads. framed: a WebSocket, else plain bytes with a newline behind each line."""

    def __init__(self, server, path="/", rcvbuf=None):
        self.framed, self.opcode = not server.tcp, 1 if server.text else 2
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", server.port))
        self.rest = b""
        if self.framed:
            self._upgrade(path)

    def _upgrade(self, path):
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                raise LoadError("the handshake was not answered")
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise LoadError(f"handshake refused: {head[:60]!r}")

    def send(self, payload):
        self.sock.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def wanted(self, payload):
        return _frame(payload, self.opcode) if self.framed else payload + b"\n"

    def expect(self, payload):
        """Exactly this message comes next."""
        wanted = self.wanted(payload)
        while len(self.rest) < len(wanted):
            data = self.sock.recv(262144)
            if not data:
                raise LoadError("hung up")
            self.rest += data
        if not self.rest.startswith(wanted):
            raise LoadError(f"wrong bytes: {self.rest[:40]!r} for {wanted[:40]!r}")
        self.rest = self.rest[len(wanted):]

    def close(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Source:
    """A file that `tail -f` follows."""

    def __init__(self, name):
        self.path = os.path.join(proc.scratch(), f"{name}.lines")
        self.file = open(self.path, "wb", buffering=0)
        self.n = 0

    @property
    def program(self):
        return ["tail", "-n", "+1", "-f", self.path]

    def say(self, size=LINE):
        self.n += 1
        line = _line(self.n, size)
        self.file.write(line + b"\n")
        return line


class Audience:
    """A server and so many watchers. Each line is there with all of them before the next one is said: so each is
delivered by itself, and none waits in a queue."""

    def __init__(self, server, source, count):
        self.server, self.source = server, source
        self.watchers = [Watcher(server) for _ in range(count)]
        if count:
            _settle(self)

    def round(self, messages, size=LINE):
        """(CPU us a delivered message of the server, of its programs; deliveries a second)."""
        before, started = proc.cpu(self.server.pid), time.monotonic()
        for _ in range(messages):
            line = self.source.say(size)
            for w in self.watchers:
                w.expect(line)
        seconds = time.monotonic() - started
        own, children = (b - a for a, b in zip(before, proc.cpu(self.server.pid)))
        delivered = messages * len(self.watchers)
        return own / delivered * 1e6, children / delivered * 1e6, delivered / seconds

    def close(self):
        for w in self.watchers:
            w.close()


def _raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def shared(source, *more, label="wsluice shared"):
    return S.wsluice("--session", "shared", "--read-only", "--ping", "1h", *more, command=source.program, text=True, label=label)


def _memory_of_all(pid):
    """Private bytes of the server and of all below it."""
    total = 0
    for p in proc.tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                rows = dict(re.findall(r"^(\w+): +(\d+) kB", f.read(), re.M))
        except OSError:
            continue
        total += (int(rows["Private_Clean"]) + int(rows["Private_Dirty"])) * 1024
    return total


def fan_out(plan):
    """One program's 64-byte lines to all who watch."""
    _raise_limit()
    columns = ["case", "server", "CPU us/delivered", "programs us", "delivered/s", "CPU to floor"]
    with Group(plan, "One program's 64 B lines to many clients", columns) as g:
        for count in (1, 100, 1000, 9000):
            _fan_case(plan, g, count)
        _fan_stuck(plan, g)
        _fan_peer(plan, g, 1000 if plan.full else 300)
    return g.table


def _start(g, key, source, make):
    server = g.start(key, make, source)
    if server is None:
        raise LoadError(f"{key} did not start")
    return server


def _fan_case(plan, g, count):
    messages = max(3, (40000 if plan.full else 12000) // count) if count > 1 else 1000
    makes = {"wsluice": shared, "floor": lambda s: S.floor_fan(*s.program)}
    crowds = {}
    try:
        for key, make in makes.items():
            progress(f"{g.table.title}: {count}: {key}")
            source = Source(f"{key}-{count}")
            crowds[key] = Audience(_start(g, f"{key} {count}", source, make), source, count)
        found = {key: [] for key in crowds}
        for n in range(plan.rounds + 2):
            for key, crowd in crowds.items():
                progress(f"{g.table.title}: {count}: round {n + 1}: {key}")
                found[key].append(crowd.round(messages))
    except (LoadError, OSError) as e:
        g.failed(f"{count} clients", "wsluice", e)
        return
    finally:
        for crowd in crowds.values():
            crowd.close()
            crowd.server.stop()
    ratio = statistics.median(a[0] / b[0] for a, b in zip(found["wsluice"], found["floor"]))
    for key, samples in found.items():
        own, children, rate = (statistics.median(s[i] for s in samples) for i in range(3))
        g.table.rows.append([f"{count:,} clients", crowds[key].server.label, number(own), number(children), number(rate),
                             f"{ratio:.2f}" if key == "wsluice" else ""])
    g.table.raw += [{"case": count, "server": k, "rounds": v} for k, v in found.items()]
    if count == 1000:
        g.goal("1,000 clients: CPU a delivered message, to the bare epoll sender", ratio, high=1.15)


def _settle(crowd):
    """The floor accepts when it comes to it: says lines until all get one, which is where counting begins."""
    pending = list(crowd.watchers)
    first = {}
    for _ in range(100):
        crowd.source.say()
        deadline = time.monotonic() + 0.5
        for w in list(pending):
            w.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                w.rest += w.sock.recv(262144)
            except TimeoutError:
                continue
            pending.remove(w)
            first[w] = True
        if not pending:
            break
    else:
        raise LoadError(f"{len(pending)} clients get nothing")
    time.sleep(0.3)
    last = _line(crowd.source.n)
    for w in crowd.watchers:
        wanted = w.wanted(last)
        w.sock.settimeout(20)
        while not w.rest.endswith(wanted):
            w.rest += w.sock.recv(262144)
        w.rest = b""


def _fan_stuck(plan, g):
    """A client that reads nothing: what it costs the others."""
    source = Source("stuck")
    crowd = Audience(_start(g, "stuck", source, lambda s: shared(s, "--stall-timeout", "1h", "--max-message", "128K")), source, 100)
    try:
        with_, without = [], []
        stuck = Watcher(crowd.server, rcvbuf=4096)
        crowd.round(40, 60000)  # fills what lies between, and the ring
        for n in range(plan.rounds + 2):
            progress(f"{g.table.title}: stuck: round {n + 1}")
            with_.append(crowd.round(100))
            stuck.close()
            time.sleep(0.05)
            without.append(crowd.round(100))
            if n < plan.rounds + 1:
                stuck = Watcher(crowd.server, rcvbuf=4096)
                crowd.round(40, 60000)
    except (LoadError, OSError) as e:
        g.failed("a stuck client", "wsluice", e)
        return
    finally:
        crowd.close()
        crowd.server.stop()
    cpu = statistics.median(a[0] / b[0] for a, b in zip(with_, without))
    for name, samples in (("100, and one stuck", with_), ("100", without)):
        g.table.rows.append([name, crowd.server.label, *(number(statistics.median(s[i] for s in samples)) for i in range(3)), ""])
    g.goal("one stuck client: CPU of the others' messages to that without it", cpu, high=1.05)


def _fan_peer(plan, g, count):
    """As many watchers of one `tail -f`, where each has a process of his own."""
    found = {}
    for key, make in (("wsluice", shared), ("websocketd", lambda s: S.websocketd(*s.program))):
        progress(f"{g.table.title}: watchers: {key}")
        source = Source(f"watch-{key}")
        server = g.start(f"watch {key}", make, source)
        if server is None:
            return
        crowd = Audience(server, source, 0)
        try:
            before, began = _memory_of_all(server.pid), sum(proc.cpu(server.pid))
            crowd.watchers = [Watcher(server) for _ in range(count)]
            _settle(crowd)
            samples = [crowd.round(5) for _ in range(plan.rounds)]
            found[key] = (statistics.median(s[0] + s[1] for s in samples), _memory_of_all(server.pid) - before,
                          sum(proc.cpu(server.pid)) - began)
        except (LoadError, OSError) as e:
            g.failed(f"{count} watchers", key, e)
            return
        finally:
            crowd.close()
            server.stop()
        cost, memory, whole = found[key]
        g.table.rows.append([f"{count:,} watchers of a tail -f, with all processes: {whole * 1e3:.0f} ms of CPU, "
                             f"{memory / 2**20:.1f} MiB", server.label, number(cost), "", "", ""])
    a, b = found["wsluice"], found["websocketd"]
    g.note(f"{count:,} watchers, a delivered line alone: CPU of websocketd to ours {b[0] / a[0]:.1f}; it is the system's send, "
           "see the floor, that leaves no more")
    g.goal(f"{count:,} watchers come and see {5 * plan.rounds} lines: CPU of websocketd to ours", b[2] / a[2], low=20, digits=0)
    g.goal(f"{count:,} watchers: memory of websocketd to ours", b[1] / max(a[1], 1), low=20, digits=0)


# ---- coming back

def attach(plan):
    """A client comes to a session: how soon it has all, and what the session costs while nobody is there."""
    columns = ["what", "value"]
    with Group(plan, "Coming back to a session", columns) as g:
        try:
            _attach_time(plan, g)
            _attach_memory(plan, g)
        except (LoadError, OSError) as e:
            g.failed("attach", "wsluice", e)
    return g.table


def _attach_time(plan, g):
    size, total = 1000, 256 * 1024
    lines = total // size
    source = Source("attach")
    server = _start(g, "wsluice", source, lambda s: shared(s, "--replay", "512K"))
    first = Watcher(server)
    for _ in range(lines):
        first.expect(source.say(size))
    times = []
    for n in range(40 if plan.full else 20):
        started = time.monotonic()
        w = Watcher(server)
        for i in range(1, lines + 1):
            w.expect(_line(i, size))
        times.append((time.monotonic() - started) * 1e3)
        w.close()
    first.close()
    value = statistics.median(times)
    g.table.rows.append([f"connect, handshake, {lines} messages of {size} B replayed", f"{value:.1f} ms"])
    g.goal("256 KiB replayed", value, high=20, unit=" ms", digits=1)
    server.stop()


def _attach_memory(plan, g):
    counts = (100, 2100) if plan.full else (100, 1100)
    service = g.start("service", S.floor_echo)
    port = proc.free_port()
    server = g.start("kept", S.wsluice, "--admin", f"127.0.0.1:{port}", "--session", "token", "--detach", "1h",
                     "--to", f"tcp://127.0.0.1:{service.port}")
    if server is None:
        return

    def replay():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return int(re.search(rb"^wsluice_replay_memory_bytes (\d+)", answer.read(), re.M)[1])
    points, made = [], 0
    for count in counts:
        for n in range(made, count):
            w = Watcher(server, f"/?session={n:022d}")
            for i in range(20):
                w.send(_line(i))
                w.expect(_line(i))
            w.close()
        made = count
        time.sleep(0.5)
        points.append((count, proc.memory(server.pid)["private"], replay()))
    (n1, m1, r1), (n2, m2, r2) = points
    ring, all_of_it = (r2 - r1) / (n2 - n1), (m2 - m1) / (n2 - n1)
    g.table.rows.append(["a session that nobody is at: its ring", f"{ring:.0f} B"])
    g.table.rows.append(["beside it", f"{all_of_it - ring:.0f} B"])
    g.table.raw.append({"points": points})
    g.goal("a detached session beside its ring", all_of_it - ring, high=2048, unit=" B", digits=0)


def smoke(s):
    """That what fan-out and attach are measured with notices what is wrong."""
    source = Source("smoke")
    for name, make in (("floor fan", lambda: S.floor_fan(*source.program)), ("wsluice shared", lambda: shared(source))):
        server = make()
        try:
            s.check(f"{name}: 20 clients", _smoke_run, server, source)
        finally:
            server.stop()
    server = S.wsluice("--session", "shared", command=["sh", "-c", f"tail -n +1 -f {source.path} | sed -u s/a/A/"], text=True)
    try:
        s.check("fan-out notices a changed byte", _smoke_notices, server, source)
    finally:
        server.stop()


def _smoke_run(server, source):
    crowd = Audience(server, source, 20)
    try:
        own, _, rate = crowd.round(10)
        assert own >= 0 and rate > 0
    finally:
        crowd.close()


def _smoke_notices(server, source):
    w = Watcher(server)
    try:
        w.expect(_line(1))
    except LoadError as e:
        assert "wrong bytes" in str(e), e
        return
    finally:
        w.close()
    raise AssertionError("went unnoticed")
