# SPDX-License-Identifier: MIT
"""The client has left in order, and the backend still takes what it sent: nothing of that is cut off."""

import contextlib
import signal
import ssl
import threading
import time

import pytest

from lib.admin import Admin
from lib.setting import SCALE, SOON
from lib.tls import Authority
from lib.tools import JSON, ended, py, records
from lib.wire import BINARY, CLOSE, close_payload, frame

GRACE = 1.5 * SCALE  # --stop-grace: all of an upload takes longer, and no single step of it does
STEPS = 48
UPLOAD = 3 * 1024 * 1024  # less than the systems between take at once


class Slow:
    """A service that reads a piece, waits, and answers, until the end of what it is sent."""

    def __init__(self, size=UPLOAD, pause=2.5 * GRACE / STEPS, answer=b"ok"):
        self.step, self.pause, self.answer = size // STEPS, pause, answer
        self.taken, self.answered, self.error, self.over = 0, 0, None, threading.Event()

    def __call__(self, sock):
        try:
            while data := sock.recv(self.step):
                self.taken += len(data)
                time.sleep(self.pause)
                sock.sendall(self.answer)
                self.answered += len(self.answer)
        except OSError as error:
            self.error = error
        self.over.set()
        sock.close()


def upload(client, size=UPLOAD):
    """Sends so much and a Close, and goes when that is answered."""
    client.send(frame(BINARY, b"u" * size) + frame(CLOSE, close_payload(1000)))
    assert client.read_close()[0] == 1000
    client.close()


def service_of(server, serve, kind, folder):
    """The kind of service, and options for the daemon."""
    if kind == "unix":
        return ["--to", server(serve, path=folder / "s").to]
    if kind == "tcp":
        return ["--to", server(serve).to]
    authority = Authority(folder)
    pair = authority.issue("/CN=localhost", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)

    def within(sock):
        with context.wrap_socket(sock, server_side=True) as inner:
            serve(inner)

    return ["--backend-ca", authority.cert, "--to", f"tls://localhost:{server(within).port}"]


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_an_upload_arrives_whole_behind_a_clean_close(wsluice, server, tmp_path, kind):
    """The service answers while it reads: an answer that nobody reads must not become a reset."""
    size = {"tcp": UPLOAD, "unix": 150_000, "tls": 700_000}[kind]
    slow = Slow(size)
    daemon = wsluice(*JSON, "--stop-grace", f"{GRACE}s", *service_of(server, slow, kind, tmp_path))
    client = daemon.open()
    upload(client, size)
    assert slow.over.wait(SOON + 4 * GRACE)
    assert (slow.error, slow.taken) == (None, size)
    record = ended(daemon)
    assert (record["code"], record["closed_by"]) == (1000, "client")
    assert record["dropped"] > 0, "answers that nobody got are told"
    assert record["dropped"] + record["bytes_out"] == slow.answered


def test_who_only_talks_is_cut_after_stop_grace(wsluice, server):
    """What it says is no progress."""
    def talks(sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 1000)
                time.sleep(0.02)
        sock.close()

    daemon = wsluice(*JSON, "--stop-grace", "300ms", "--to", server(talks).to)
    client = daemon.open()
    client.send(frame(CLOSE, close_payload(1000)))
    while client.read_frame().opcode != CLOSE:
        pass
    assert ended(daemon)["dropped"] > 0


def lingering(wsluice, server, *options):
    """A session whose client has left and whose service takes bytes until it is told to stop."""
    slow = Slow(pause=0.2)
    daemon = wsluice(*JSON, "--stop-grace", "30s", *options, "--to", server(slow).to)
    upload(daemon.open())
    assert not records(daemon)
    return daemon, slow


def test_it_counts_as_a_session(wsluice, server):
    daemon, _ = lingering(wsluice, server, "--max-sessions", "1", "--max-per-address", "0")
    assert daemon.connect().upgrade().status == 503
    assert not records(daemon)


def test_drain_timeout_ends_it(wsluice, server):
    daemon, slow = lingering(wsluice, server, "--drain-timeout", "300ms")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert slow.taken < UPLOAD
    assert ended(daemon)["code"] == 1000


def test_a_kick_ends_it(wsluice, server, tmp_path):
    daemon, slow = lingering(wsluice, server, "--admin", f"unix:{tmp_path}/admin")
    door = Admin(daemon)
    assert door.post("/sessions/kick?what=1") == (200, {"kicked": 1})
    assert door.sessions() == []
    assert slow.taken < UPLOAD


def test_a_program_gets_its_input_before_the_signal(wsluice, tmp_path):
    """stop-grace counts from the last byte that it took: the signal would tear what it has not read yet."""
    result = tmp_path / "result"
    pieces = 25
    program = py(f"""
import os, time
total = 0
while data := os.read(0, 2048):
    total += len(data)
    time.sleep({2.5 * GRACE / pieces})
open({str(result)!r}, "w").write(str(total))
""")
    daemon = wsluice(*JSON, "--framing", "stream", "--stop-grace", f"{GRACE}s", *program)
    client = daemon.open()
    upload(client, 2048 * pieces)
    record = ended(daemon, timeout=SOON + 4 * GRACE)
    assert result.read_text() == str(2048 * pieces)
    assert (record["code"], record["exit"]) == (1000, "0")


def test_a_program_that_stops_reading_gets_the_signal(wsluice):
    """What it has taken of its input before gives it no more than the grace."""
    daemon = wsluice(*JSON, "--framing", "stream", "--stop-grace", "300ms",
                     *py("import os, time; os.read(0, 1); time.sleep(1000)"))
    upload(daemon.open(), 50_000)
    assert ended(daemon)["exit"] == "signal 15"
