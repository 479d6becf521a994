# SPDX-License-Identifier: MIT
"""Servers for the daemon to connect to: threads of ours on port 0, and real ones as processes."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading

from . import proc
from .setting import BROWSER, SOON


class Server:
    """A TCP (127.0.0.1 or host) or Unix server; `serve(sock)` runs in a thread for each connection.

    accepted: the sockets, in order, still usable by the test. to: the address in the daemon's own notation.
    """

    def __init__(self, serve, *, host="127.0.0.1", path=None, backlog=128):
        self._serve, self.accepted, self._new = serve, [], threading.Condition()
        if path is not None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self.to = f"unix:{path}"
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            self._listener.bind((host, 0))
            self.port = self._listener.getsockname()[1]
            self.to = f"tcp://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._listener.listen(backlog)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._new:
                self.accepted.append(sock)
                self._new.notify_all()
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        with contextlib.suppress(OSError):
            self._serve(sock)

    def wait_accepted(self, n=1, timeout=SOON):
        """The n-th connection so far."""
        with self._new:
            assert self._new.wait_for(lambda: len(self.accepted) >= n, timeout), f"connection {n} never came"
            return self.accepted[n - 1]

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SOON)
        for sock in self.accepted:
            sock.close()


class Udp:
    """A UDP socket of the test on host, port 0 or the one given; the test does the rest with .sock."""

    def __init__(self, host="127.0.0.1", port=0):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(SOON)
        self.sock.bind((host, port))
        self.port = self.sock.getsockname()[1]
        self.to = f"udp://{f'[{host}]' if ':' in host else host}:{self.port}"

    def get(self):
        """The next datagram and its sender."""
        data, peer = self.sock.recvfrom(65536)
        return data, peer[:2]

    def close(self):
        self.sock.close()


def echo(sock):
    """Returns what it gets; half-closes when it has got all."""
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def sink(sock):
    while sock.recv(65536):
        pass


def hold(_sock):
    """Does nothing: the test has the socket in .accepted."""


def reset(sock):
    """Ends the connection with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def says(data):
    """A server that sends data and ends."""
    def serve(sock):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sink(sock)
    return serve


def free_port():
    """A port on 127.0.0.1 where nobody listens. It may be taken by the time it is used: then try again."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def refused_port():
    """A port where a connect is refused for as long as this lasts: bound, and nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def black_hole():
    """A port where a connect is never answered: the queue of its listener is full and stays so."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(64):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue of a listener never filled")
        yield port


class Program:
    """A real server as a process; `answers(port)` says whether it is up. Port clashes are tried again."""

    def __init__(self, argv_for_port, answers, env=None):
        for _ in range(5):
            self.port = free_port()
            self.process = subprocess.Popen(
                argv_for_port(self.port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=env, preexec_fn=proc.die_with_parent)
            proc.started.add(self.process.pid)
            self.output = []
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            try:
                proc.wait_until(lambda: self.process.poll() is not None or answers(self.port), "server to answer",
                                2 * SOON)
            except BaseException:
                self.close()
                raise
            if self.process.poll() is None:
                return
            self.close()
        raise AssertionError(f"{self.process.args[0]} does not start:\n" + "".join(self.output))

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line.decode(errors="replace"))

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(SOON)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(SOON)
        self.process.stdout.close()
        proc.started.discard(self.process.pid)


def node(script, *args, timeout=4 * SOON, env=None):
    """Runs tests/browser/SCRIPT with node; returns its standard output. A failure shows what it said. env: more variables."""
    if not (BROWSER / "node_modules").is_dir():
        raise AssertionError(f"{BROWSER}/node_modules is missing: run npm ci in tests/browser")
    env = {**os.environ, "NODE_PATH": str(BROWSER / "node_modules"), **(env or {})}
    process = subprocess.Popen(["node", str(BROWSER / script), *map(str, args)], stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True,
                               preexec_fn=_own_orphans)
    proc.started.add(process.pid)
    before = {p.pid for p in proc.orphans()}
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        for child in proc.children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{script} did not end in {timeout} s:\n{out}\n{err}") from None
    finally:
        proc.started.discard(process.pid)
        for orphan in proc.orphans():  # a browser leaves helpers behind
            if orphan.pid not in before:
                proc.bury(orphan)
    assert process.returncode == 0, f"{script} failed with {process.returncode}:\n{out}\n{err}"
    return out


def _own_orphans():
    proc.die_with_parent()
    proc.become_subreaper()
