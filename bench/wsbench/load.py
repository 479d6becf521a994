# SPDX-License-Identifier: MIT
"""Builds the tools, runs the load generator, and reads the server's CPU time at both ends of the window."""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field

from . import proc

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, "build", "bench")


class LoadError(Exception):
    """Wrong bytes, missing messages, or a server that hung up."""


def tool(name):
    return os.path.join(OUT, name)


def build():
    subprocess.run(["make", "-s", "-C", TOP, "-f", "bench/Makefile"], check=True)


@dataclass
class Sample:
    """One run. Times in seconds, latencies in microseconds."""
    messages: int
    bytes: int
    seconds: float
    cpu_own: float       # of the server
    cpu_children: float  # of the programs it started
    cpu_load: float      # of the load generator
    latency: dict
    connect: dict
    each: list = field(default_factory=list)  # own CPU of each process, should the server be several

    @property
    def rate(self):
        return self.messages / self.seconds

    @property
    def megabytes(self):
        return self.bytes / self.seconds / 1e6

    @property
    def cost(self):
        """Microseconds of the server's own CPU a message."""
        return self.cpu_own / self.messages * 1e6

    @property
    def cost_children(self):
        return self.cpu_children / self.messages * 1e6

    @property
    def cost_all(self):
        return self.cost + self.cost_children


class Load:
    """A running load generator: begin() up to the window, go(), end() with the result."""

    def __init__(self, server, args, seconds):
        argv = [tool("load"), "--to", f"127.0.0.1:{server.port}", "--sync", "--seconds", str(seconds),
                *(["--tcp"] if server.tcp else []), *server.load_args, *args]
        if server.text and "--text" not in argv:
            argv.append("--text")
        self.seconds = seconds
        self.process = proc.start(argv, "load", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = proc.Lines(self.process.stdout)

    def _next(self, seconds):
        try:
            return json.loads(self.lines.next(seconds))
        except (TimeoutError, EOFError) as e:
            text = proc.log_of(self.process).strip() or str(e)
            proc.stop(self.process)
            raise LoadError(text) from None

    def _event(self, name, seconds):
        event = self._next(seconds)
        if event.get("error"):
            proc.stop(self.process)
            raise LoadError(event["error"])
        assert event["event"] == name, event
        return event

    def begin(self):
        self._event("start", 60)

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def end(self):
        """Returns when all is back; the connections stay open and silent until result() is called."""
        self._event("end", self.seconds + 40)

    def result(self):
        self.go()
        event = self._event("result", 10)
        try:
            self.process.wait(10)
        finally:
            proc.stop(self.process)
        return event


def settle(server, count):
    """Waits until the server has no more living descendants than count: its programs have ended."""
    deadline = time.monotonic() + 3
    while len(proc.tree(server.pid)) > count and time.monotonic() < deadline:
        time.sleep(0.01)


def measure(server, args, seconds, storm=False):
    """One run of the load generator against a server."""
    alone = len(proc.tree(server.pid))
    load = Load(server, args, seconds)
    load.begin()
    before = [proc.cpu(pid) for pid in (server.pid, *server.also)]
    load.go()
    load.end()
    if storm:
        settle(server, alone)
    after = [proc.cpu(pid) for pid in (server.pid, *server.also)]
    r = load.result()
    settle(server, alone)
    own = [a[0] - b[0] for a, b in zip(after, before)]
    children = sum(a[1] - b[1] for a, b in zip(after, before))
    return Sample(r["messages"], r["bytes"], r["seconds"], sum(own), children, r["cpu_user"] + r["cpu_system"],
                  r["latency_us"], r["connect_us"], own)
