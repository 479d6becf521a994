# SPDX-License-Identifier: MIT
"""What a daemon tells from inside (inside.c, loaded into it): bytes allocated, turns of its loop, and a clock that the test moves."""

import contextlib
import mmap
import os
import pathlib
import signal
import struct
import tempfile
import time

from .proc import process, wait_until
from .setting import BINARY

LIBRARY = pathlib.Path(BINARY).parent / "inside.so"
_FIELDS = ("live", "peak", "calls", "turns", "frozen", "now", "ahead", "idle", "pid", "nodelay", "halts")


class Inside:
    """frozen: the clock stands still from the start on; else it goes until freeze().

    The system and other processes live by the true clock: acknowledgements of what was sent may take it a twentieth of a
    second, programs start and end when they do. A test waits for them before it moves the clock.
    """

    def __init__(self, frozen=False, halts=False):
        assert LIBRARY.exists(), f"{LIBRARY} is missing: make it"
        handle, self.path = tempfile.mkstemp(prefix="wsluice-inside-")
        os.ftruncate(handle, 8 * len(_FIELDS))
        os.fchmod(handle, 0o666)  # some daemons become another user
        self._map = mmap.mmap(handle, 8 * len(_FIELDS))
        os.close(handle)
        if frozen:
            self.freeze()
        self._set("halts", int(halts))

    def environment(self, env):
        """What the daemon must be started with."""
        options = ":".join(filter(None, (env.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        return {**env, "LD_PRELOAD": str(LIBRARY), "TEST_INSIDE": self.path, "ASAN_OPTIONS": options}

    def __getattr__(self, name):
        if name not in _FIELDS:
            raise AttributeError(name)
        return struct.unpack_from("q", self._map, 8 * _FIELDS.index(name))[0]

    def _set(self, name, value):
        struct.pack_into("q", self._map, 8 * _FIELDS.index(name), value)

    # Bytes.

    def kib(self):
        """KiB that are allocated."""
        return self.live / 1024

    def forget_peak(self):
        self._set("peak", self.live)

    # Turns.

    @contextlib.contextmanager
    def turns_at_most(self, n):
        """The loop wakes up at most n times within: it does not go round while there is nothing to do."""
        before = self.turns
        yield
        turned = self.turns - before
        assert turned <= n, f"the loop turned {turned} times, allowed are {n}"

    # The clock.

    def freeze(self):
        self._set("now", time.monotonic_ns() + self.ahead)
        self._set("frozen", 1)

    def thaw(self):
        """It goes on from where it stands."""
        if self.frozen:
            self._set("ahead", self.now - time.monotonic_ns())
            self._set("frozen", 0)

    def settle(self):
        """Waits until the daemon has done all there is to do at this time."""
        now = self.now
        for _ in range(2):  # the first may be of a look that began before what we have sent last
            self._set("idle", 0)
            wait_until(lambda: self.idle >= now, "the daemon to have nothing left to do")

    def advance(self, seconds, step=None):
        """Moves the clock, at once or in steps, and waits each time until all that is due then is done."""
        left = round(seconds * 1e9)
        step = round(step * 1e9) if step else left
        while left > 0:
            self._set("now", self.now + min(step, left))
            left -= step
            self.settle()

    @contextlib.contextmanager
    def halted(self, seconds):
        """Inside, the daemon stands still, as by `docker pause`; when it goes on, so much time has gone by, which it sees
        if it was started with halts=True (and if a step of advance() has half a second, that is a halt to it, too)."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: process(self.pid).state == "T", "the daemon to stand still")
            yield
            self._set("now", self.now + round(seconds * 1e9))
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def until(self, fact, most, step=0.01):
        """Moves the clock in steps until fact() is true; returns the seconds that it has moved. For what only the
        daemon does: other processes live by the true clock. A test fails if it has not happened after `most` seconds of this clock."""
        began = self.now
        self.settle()
        while not fact():
            assert self.now - began <= most * 1e9, f"nothing after {most} s"
            self.advance(step)
        return (self.now - began) / 1e9

    def close(self):
        pathlib.Path(self.path).unlink(missing_ok=True)
