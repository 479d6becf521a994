# SPDX-License-Identifier: MIT
"""Many short sessions a second, each judged: what an upgrade or a reload must not disturb."""

import os
import re
import resource
import socket
import threading
import time

from .proc import wait_until
from .setting import SCALE, SOON
from .wire import CLOSE, KEY, TEXT, accept_value, close_payload, frame

_HEAD = ("GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n")
_ACCEPT = re.compile(b"(?i)\r\nsec-websocket-accept: *" + re.escape(accept_value().encode()) + b"\r\n")


class Cut(Exception):
    """An open session that ended without a word."""


class Swarm:
    """with Swarm(daemon.address) as swarm: ... keeps opening sessions with an echo, `rate` a second in all.

    done: sessions whose message came back and whose Close 1000 was answered. away: those that were told 1001 instead,
    which is how a server that ends takes its leave: nothing was lost, the client knows. cuts: open sessions that ended
    without a Close. faults: all others, in words.
    """

    def __init__(self, address, rate=400, threads=8, path="/", patience=None):
        self.address, self.faults, self.cuts, self.done, self.away = address, [], [], 0, 0
        unix = isinstance(address, (str, os.PathLike))
        self._family = socket.AF_UNIX if unix else socket.AF_INET
        host = "localhost" if unix else "%s:%d" % tuple(address)
        self._head = _HEAD.format(path=path, host=host).encode()
        self._pause = threads / rate
        self._patience = patience or 2 * SOON
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(threads)]

    def __enter__(self):
        self.since = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(self._patience + 1)
        self.lasted = time.monotonic() - self.since

    @property
    def total(self):
        return self.done + self.away + len(self.cuts) + len(self.faults)

    def rate(self):
        """Sessions a second, so far or at the end."""
        return self.total / (getattr(self, "lasted", None) or time.monotonic() - self.since)

    def wait(self, n, timeout=None):
        """Waits for n more sessions that were served."""
        goal = self.done + n
        wait_until(lambda: self.done >= goal or self.faults, f"{n} more sessions", timeout or 4 * SOON)
        assert not self.faults, self.told()

    def told(self):
        return f"{len(self.faults)} of {self.total} sessions went wrong: {self.faults[:5]}"

    def check(self, least_rate=300, cuts=0):
        """Nobody refused, at most `cuts` lost, and it was a load worth the name."""
        assert not self.faults, self.told()
        assert len(self.cuts) <= cuts, f"{len(self.cuts)} of {self.total} sessions were cut: {self.cuts[:5]}"
        assert self.rate() >= least_rate / SCALE / 3, f"only {self.rate():.0f} sessions a second: the load proves nothing"

    def _run(self, number):
        due, message = time.monotonic(), 0
        while not self._stop.is_set():
            message += 1
            try:
                end = self._session(b"%d-%d" % (number, message))
            except Exception as error:  # every way to go wrong is a verdict
                where = self.cuts if isinstance(error, Cut) else self.faults
                with self._lock:
                    where.append(f"after {time.monotonic() - self.since:.2f} s {type(error).__name__}: {error}")
                if len(self.faults) > 100:
                    return
            else:
                with self._lock:
                    self.done += end == 1000
                    self.away += end == 1001
            due = max(due + self._pause, time.monotonic() - 1)
            self._stop.wait(max(0, due - time.monotonic()))

    def _session(self, message):
        with socket.socket(self._family) as sock:
            sock.settimeout(self._patience)
            sock.connect(str(self.address) if self._family == socket.AF_UNIX else tuple(self.address))
            sock.sendall(self._head + frame(TEXT, message))
            data = b""
            while b"\r\n\r\n" not in data:
                data += self._more(sock, "the 101")
            head, _, data = data.partition(b"\r\n\r\n")
            head += b"\r\n"
            if not head.startswith(b"HTTP/1.1 101 ") or not _ACCEPT.search(head):
                raise AssertionError(repr(head[:200] + data[:100]))
            try:
                code, data = self._frame(sock, data, message)
                if code is None:
                    sock.sendall(frame(CLOSE, close_payload(1000)))
                    code, data = self._frame(sock, data, None)
            except (ConnectionError, EOFError) as error:
                raise Cut(f"{type(error).__name__} {error}") from None
            if code == 1001:  # our answer may cross with the end
                try:
                    sock.sendall(frame(CLOSE, close_payload(1001)))
                except OSError:
                    pass
            elif code != 1000:
                raise AssertionError(f"Close {code}")
            return code

    @staticmethod
    def _more(sock, stage):
        data = sock.recv(4096)
        if not data:
            raise EOFError(f"the connection ended before {stage}")
        return data

    def _frame(self, sock, data, message):
        """The next frame must be the message, or a Close, whose code is returned. All frames are short."""
        while len(data) < 2 or len(data) < 2 + (data[1] & 127):
            data += self._more(sock, "the echo" if message else "the Close")
        opcode, length = data[0] & 15, data[1] & 127
        payload, rest = data[2 : 2 + length], data[2 + length :]
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big"), rest
        if payload != message or opcode != TEXT:
            raise AssertionError(f"{payload!r} instead of {message!r}")
        return None, rest


def room_for(descriptors):
    """This process may open that many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
