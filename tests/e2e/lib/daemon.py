# SPDX-License-Identifier: MIT
"""The daemon under test, started, watched, and held to account when it ends."""

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import threading
import time

from . import proc
from .inside import Inside
from .setting import BINARY, SCALE, SOON
from .wire import Raw

_SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|: runtime error: ")
_LISTENING = re.compile(r"listening on ([^\s\"]+)")


def command_line(*args, timeout=SOON, env=None, cwd=None):
    """Runs the binary to its end, for what it says and how it exits."""
    return subprocess.run([BINARY, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, env=_environment(env), cwd=cwd)


def _environment(extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WSLUICE", "LISTEN_", "NOTIFY_"))}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    env.update(extra or {})
    return env


def _wants_listeners(args):
    """How many -l stand among the options."""
    count = 0
    for arg in args:
        if arg == "--":
            break
        count += arg in ("-l", "--listen") or arg.startswith("--listen=")
    return count


class Wsluice:
    """One running daemon.

    Listens on 127.0.0.1 port 0 unless -l is among the arguments, or listen=False says that they tell it otherwise (of how many addresses: listeners). All clients made by connect() and open() are closed
    before the end is judged. By finish(), the process must have given back every descriptor and child, exit 0 on
    SIGTERM (or as `expect_exit` says) and have no sanitizer report in its log. inside=True: .inside tells what goes on in
    it; frozen=True: and its clock stands still until .inside moves it; halts=True: and what it is moved by at once, the daemon
    takes for time in which it stood still.
    """

    def __init__(self, *args, env=None, nofile=None, cwd=None, ready=True, stdin=subprocess.DEVNULL, binary=BINARY, listen=True,
                 inside=False, frozen=False, halts=False, listeners=1):
        self.args = [str(a) for a in args]
        self.log = []  # lines, undecodable bytes as surrogates
        self.raw_log = bytearray()
        self.addresses = []  # in the order logged: (host, port) or a path
        self.expect_exit = 0
        self.check_leaks = True
        self.patience = SOON  # seconds it has to give everything back, and again to exit
        self._changed = threading.Condition()
        self._reading = threading.Event()
        self._reading.set()
        self._clients = []
        named = _wants_listeners(self.args)
        listen = ["-l", "127.0.0.1:0"] if listen and not named else []

        self.inside = Inside(frozen, halts) if inside or frozen else None
        env = _environment(env)
        env = self.inside.environment(env) if self.inside else env

        def prepare():
            proc.die_with_parent()
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.process = subprocess.Popen([binary, *listen, *self.args], stdin=stdin, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=env, cwd=cwd,
                                        start_new_session=True, preexec_fn=prepare)
        self.pid = self.process.pid
        proc.started.add(self.pid)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if ready:
            try:
                self._wait_ready(max(named, listeners))
            except BaseException:
                self.kill()
                raise

    # The log.

    def _read_log(self):
        rest = b""
        while True:
            self._reading.wait()
            self._log_has_more(None)
            with self._changed:  # so that who holds it and finds nothing more to read finds all in .log
                data = os.read(self.process.stderr.fileno(), 65536)
                *lines, rest = (rest + data).split(b"\n")
                if not data and rest:
                    lines, rest = [rest], b""
                self.raw_log += data
                self.log += [line.decode("utf-8", "surrogateescape") for line in lines]
                self._changed.notify_all()
            if not data:
                return

    def _log_has_more(self, timeout):
        """Waits for lines, or for its end; milliseconds, None: without end."""
        poll = select.poll()
        poll.register(self.process.stderr.fileno(), select.POLLIN)
        return bool(poll.poll(timeout))

    def _log_is_read(self):
        """To the end, or, when a process that outlives the daemon holds it open, all that is there."""
        with self._changed:
            return not self._reader.is_alive() or not self._log_has_more(0)

    def stall_log(self, stalled=True):
        """Stops reading the daemon's stderr, so that it fills up; stall_log(False) goes on."""
        (self._reading.clear if stalled else self._reading.set)()

    def mark(self):
        """A place in the log to look from."""
        return len(self.log)

    def find_log(self, pattern, since=0):
        """All matches so far, one a line."""
        with self._changed:
            lines = self.log[since:]
        return [m for m in (re.search(pattern, line) for line in lines) if m]

    def wait_for_log(self, pattern, timeout=SOON, since=0):
        """Waits for a line that the pattern is found in; returns the match."""
        deadline = time.monotonic() + timeout
        with self._changed:
            seen = since
            while True:
                for line in self.log[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = max(seen, len(self.log))
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive() or not self._changed.wait(left):
                    if left <= 0 or not self._reader.is_alive():
                        raise AssertionError(f"no line like {pattern!r} in the log:\n{self.tail()}")

    def tail(self, n=30):
        return "\n".join(self.log[-n:])

    def _wait_ready(self, listeners):
        proc.wait_until(lambda: len(self.find_log(_LISTENING)) >= listeners or self.process.poll() is not None,
                        lambda: f"{listeners} line(s) 'listening on'; the log:\n{self.tail()}", 2 * SOON)
        if self.process.poll() is not None:
            self._reader.join(SOON)
            raise AssertionError(f"the daemon exited with {self.process.returncode} at once:\n{self.tail()}")
        for match in self.find_log(_LISTENING):
            self.addresses.append(_parse_address(match.group(1)))
        if "--cgroup" in self.args:  # it is tried out, once the listeners are there
            self.wait_for_log("programs have control groups", 2 * SOON)
        self._prove_identity()
        self.baseline = self._descriptors()

    def _prove_identity(self):
        """Whoever listens on the port that our process named must be our process."""
        ours = set(proc.fds(self.pid).values())
        listening = proc.listening_inodes()
        for address in self.addresses:
            if isinstance(address, tuple):
                inodes = listening.get(address[1], set())
                assert any(f"socket:[{i}]" in ours for i in inodes), f"{address} is not a socket of process {self.pid}"

    # Facts.

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.address[1]

    @property
    def url(self):
        host, port = self.address
        return f"ws://{f'[{host}]' if ':' in host else host}:{port}"

    def alive(self):
        return self.process.poll() is None

    def children(self):
        """All processes below the daemon, with their state."""
        return proc.children(self.pid)

    def fds(self):
        return proc.fds(self.pid)

    def rss_kib(self):
        return proc.rss_kib(self.pid)

    def cpu_seconds(self):
        return proc.cpu_seconds(self.pid)

    def _descriptors(self):
        """What a session may hold and must give back, counted by kind."""
        count = {}
        for target in self.fds().values():
            kind = target.partition(":")[0] if ":[" in target else target
            if kind in ("socket", "pipe", "pidfd") or "pidfd" in target or target.startswith("/dev/pt"):
                count[kind] = count.get(kind, 0) + 1
        return count

    # Clients.

    def connect(self, address=None, **how):
        """A TCP or Unix connection to the daemon, no handshake yet."""
        client = Raw.connect(address or self.address, **how)
        self._clients.append(client)
        return client

    def open(self, path="/", headers=(), *, address=None, connect=None, **how):
        """An open WebSocket."""
        return self.connect(address, **(connect or {})).open(path, headers, **how)

    def close_clients(self):
        for client in self._clients:
            client.close()
        self._clients.clear()

    # The end.

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=None):
        """Waits for the exit; returns the status, negative for a signal."""
        status = self.process.wait(SOON if timeout is None else timeout)
        self._reading.set()
        with contextlib.suppress(AssertionError):  # a child that outlived the daemon may write and write
            proc.wait_until(self._log_is_read, "", 5 * SCALE)
        return status

    def stop(self, number=signal.SIGTERM, timeout=None):
        self.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        """For a daemon that does not end by itself."""
        self.process.kill()
        self.wait()
        self._close_log()
        if self.inside:
            self.inside.close()

    def _close_log(self):
        if not self._reader.is_alive():
            self.process.stderr.close()

    def check(self):
        """The daemon still runs and has not complained. Cheap: call it after every test that shares a daemon."""
        assert self.alive(), f"the daemon died with {self.process.returncode}:\n{self.tail()}"
        self._check_sanitizer()

    def _check_sanitizer(self):
        found = self.find_log(_SANITIZER)
        assert not found, "sanitizer report:\n" + "\n".join(self.log[self.log.index(found[0].string):][:60])

    def settle(self, timeout=None):
        """Waits until all sessions are gone without a trace: descriptors and children as at the start."""
        def settled():
            return self._descriptors() == self.baseline and not self.children()

        def what():
            left = "".join(f"\n  child {c}" for c in self.children())
            return f"descriptors {self._descriptors()} to be {self.baseline} again, no children{left}\n{self.tail()}"

        proc.wait_until(settled, what, self.patience if timeout is None else timeout)

    def finish(self):
        """Ends the daemon if it still runs and raises AssertionError with everything that was wrong about it."""
        wrong = []
        self.close_clients()
        self._reading.set()
        if self.inside:
            self.inside.thaw()
        if self.alive():
            if self.check_leaks and self.expect_exit == 0:
                try:
                    self.settle()
                except AssertionError as error:
                    wrong.append(str(error))
            try:
                self.stop(timeout=self.patience)
            except subprocess.TimeoutExpired:
                wrong.append("had to be killed: still running long after SIGTERM")
                self.expect_exit = -signal.SIGKILL
                self.kill()
        status = self.wait()
        if status != self.expect_exit:
            wrong.append(f"exit status {status}, expected {self.expect_exit}")
        try:
            self._check_sanitizer()
        except AssertionError as error:
            wrong.append(str(error))
        for orphan in proc.orphans():
            if orphan.state != "Z":  # one that has ended came to us for its burial, as it would to process 1
                wrong.append(f"left behind: {orphan}")
            proc.bury(orphan)
        proc.started.discard(self.pid)
        self._close_log()
        if self.inside:
            self.inside.close()
        if wrong:
            raise AssertionError("\n".join(["the daemon did not end well:", *wrong, "its log:", self.tail()]))


def _parse_address(text):
    """Of 'ws://127.0.0.1:80/', 'ws://[::1]:80/', 'unix:/run/x' and the like."""
    if "unix:" in text:
        return text.partition("unix:")[2]
    host, _, port = text.partition("://")[2].rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)
