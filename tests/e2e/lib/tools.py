# SPDX-License-Identifier: MIT
"""Programs for the daemon to run, its session log as records, loads and their measure, a name server."""

import array
import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import termios
import threading
import time

import pytest

from . import proc
from .proc import wait_until
from .setting import SOON
from .wire import BINARY, CLOSE, close_payload, frame

PYTHON = "/usr/bin/python3"
JSON = ("--log-format", "json")


def sh(script):
    """The end of a command line: a shell script as the program."""
    return ["--", "/bin/sh", "-c", script]


def py(script):
    """The same with Python, started bare because that is quick."""
    return ["--", PYTHON, "-I", "-S", "-c", script]


def records(daemon, msg="session closed", since=0):
    """The log lines of that name as dicts; the daemon must log JSON."""
    lines = [m.string for m in daemon.find_log(re.escape(f'"msg":"{msg}"'), since)]
    return [json.loads(line) for line in lines]


def ended(daemon, n=1, timeout=SOON):
    """Waits for n sessions to have ended; returns the record of the last."""
    wait_until(lambda: len(records(daemon)) >= n, lambda: f"session {n} to end\n{daemon.tail()}", timeout)
    return records(daemon)[n - 1]


def to_the_close(client, timeout=None):
    """Reads to the Close, answers it and ends; nothing may follow it. Returns (code, reason, messages)."""
    code, reason, messages = client.read_close(timeout)
    client.try_send(frame(CLOSE, close_payload(code)))
    rest, _ = client.read_to_end(timeout)
    assert rest == b"", f"bytes behind the Close: {rest[:80]!r}"
    client.close()
    return code, reason, messages


def fill(client, piece=None, patience=0.3, limit=64 << 20, most=1.0):
    """Sends until the daemon has not taken a byte for `patience` seconds, or `most` are over: systems let a few bytes
    through now and then for long. Returns the number of bytes taken."""
    piece = piece or frame(BINARY, b"f" * 65000)
    client.sock.settimeout(patience)
    total, until = 0, time.monotonic() + most
    while total < limit:
        left = memoryview(piece)
        try:
            while left:
                if time.monotonic() > until:
                    return total
                n = client.sock.send(left)
                total += n
                left = left[n:]
        except TimeoutError:
            return total
    raise AssertionError(f"the daemon took {limit} bytes that nobody reads")


def unsent(sock):
    """Bytes that the other side's system has not acknowledged."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]


def hold_back(client):
    """Fills a program that reads nothing (a pipe of 64 KiB) and the daemon's queue, so that it stops reading the
    client; a little more lies in its socket, and nothing in ours. The client must speak framing `stream`."""
    for _ in range(6):
        client.send(frame(BINARY, b"h" * 16_000))
        wait_until(lambda: not unsent(client.sock), "the data to arrive")
        time.sleep(0.02)


@pytest.fixture
def orphans_reaped():
    """We are the subreaper of all that the daemon starts, so orphans that have ended wait for us, as they would for
    process 1. During the test they are reaped; those that live are left for the end of the test to be found."""
    stop = threading.Event()

    def reap():
        while not stop.wait(0.02):
            for orphan in proc.orphans():
                if orphan.state == "Z":
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(orphan.pid, os.WNOHANG)

    thread = threading.Thread(target=reap, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


class Peak:
    """with Peak(daemon) as peak: ... then peak.check(KIB): never in between were more bytes allocated than that beyond those
    at the start. The daemon must be started with inside=True."""

    def __init__(self, daemon):
        self._inside = daemon.inside

    def __enter__(self):
        self._before = self._inside.live
        self._inside.forget_peak()
        return self

    def __exit__(self, *_):
        self._grown = self._inside.peak - self._before

    def check(self, kib):
        assert self._grown <= kib << 10, f"{self._grown / 1024:.1f} KiB more were allocated at a time, allowed are {kib}"


class Names:
    """A name server on 127.0.0.1. answers: {name: [address, ...]}, of both families; other names do not exist. A name whose
    value is None is never answered. faults: {type: DROP, FAIL or HOLD}; what is held is answered by release(). asked:
    the (name, type) pairs, in order."""

    A, AAAA = 1, 28
    DROP, FAIL, HOLD = "drop", "fail", "hold"

    def __init__(self, answers, faults=None):
        self.answers, self.asked, self.faults, self._held = answers, [], faults or {}, []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(0.1)
        self.address = "127.0.0.1:%d" % self._sock.getsockname()[1]
        self._stop = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join()
        self._sock.close()

    def _serve(self):
        while not self._stop:
            try:
                query, peer = self._sock.recvfrom(4096)
            except TimeoutError:
                continue
            kind, answer = self._answer(query)
            fault = self.faults.get(kind)
            if answer and fault == self.HOLD:
                self._held.append((answer, peer))
            elif answer and fault != self.DROP:
                self._sock.sendto(answer, peer)

    def release(self):
        while self._held:
            self._sock.sendto(*self._held.pop())

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, = struct.unpack("!H", query[at + 1 : at + 3])
        question, name = query[12 : at + 5], ".".join(labels).lower()
        self.asked.append((name, kind))
        found = self.answers.get(name, ())
        if found is None:
            return kind, None
        found = [a for a in found if (":" in a) == (kind == self.AAAA)]
        rcode = 0 if name in self.answers else 3
        if self.faults.get(kind) == self.FAIL:
            found, rcode = [], 2
        head = query[:2] + struct.pack("!HHHHH", 0x8580 | rcode, 1, len(found), 0, 0)
        return kind, head + question + b"".join(self._record(kind, a) for a in found)

    def _record(self, kind, address):
        data = socket.inet_pton(socket.AF_INET if kind == self.A else socket.AF_INET6, address)
        return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 30, len(data)) + data
