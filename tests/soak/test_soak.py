# SPDX-License-Identifier: MIT
"""Hours of everything at once: `make soak SOAK_SECONDS=3600`.

Clients of all kinds of routes come, exchange random messages that must come back byte for byte, and leave in every way there
is: Close, FIN, RST, in the middle of a frame, while data is on its way. Meanwhile programs are killed. At the end the daemon
must have given everything back, under the sanitizers, and its memory must not have grown over the second half.
"""

import contextlib
import os
import random
import signal
import socket
import threading
import time

import pytest

from lib import peers
from lib.daemon import Wsluice
from lib.setting import SCALE
from lib.wire import BINARY, TEXT, Closed, Ended, Raw, binary, fragments, text

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
CLIENTS = 12


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.sessions = self.messages = self.cut = 0
        self.wrong = []

    def add(self, messages, cut):
        with self.lock:
            self.sessions += 1
            self.messages += messages
            self.cut += cut


def message(rng, kind):
    size = rng.choice((0, 1, 125, 126, 1000, 4096, 16384, 65535, 65536, 200000))
    size = rng.randrange(size + 1)
    if kind == TEXT:
        return "".join(rng.choice("aäz€😀 0") for _ in range(size // 3)).encode()
    return rng.randbytes(size)


def leave(client, rng):
    how = rng.choice(("close", "close", "fin", "rst", "half-frame", "sudden"))
    if how == "close":
        with contextlib.suppress(Ended, Closed, TimeoutError, OSError, AssertionError):
            client.finish()
    elif how == "fin":
        client.half_close()
    elif how == "rst":
        client.rst()
    elif how == "half-frame":
        client.try_send(binary(b"x" * 100)[: rng.randrange(1, 100)])
    client.close()
    return how != "close"


def is_torn(client, route, got, payload):
    """A program of lines that was killed inside one: its part is a message, perhaps cut inside a character, and then the Close
    says so."""
    part = got.removesuffix("\ufffd".encode())
    if route != "/lines" or not payload.startswith(part):
        return False
    try:
        client.read_message()
    except Closed as end:
        return end.code == 4300 + signal.SIGKILL
    return False


def one_session(address, rng, route, kind, tally):
    """A conversation in which every message comes back as it was sent."""
    client, done, cut = Raw.connect(address, timeout=20 * SCALE), 0, True
    try:
        client.open(route)
        for _ in range(rng.randrange(20)):
            payload = message(rng, kind)
            if route == "/lines":
                payload = payload.replace(b"\n", b" ")
            if rng.random() < 0.3:
                client.send(fragments(kind, payload, rng.choice((1000, 7000))))
            else:
                client.send(text(payload) if kind == TEXT else binary(payload))
            got = bytearray()
            if route in ("/stream", "/tcp"):
                while len(got) < len(payload):
                    got += client.read_message()[1]
            else:
                got += client.read_message()[1]
            if bytes(got) != payload and is_torn(client, route, bytes(got), payload):
                break
            if bytes(got) != payload:
                tally.wrong.append(f"{route}: {len(got)} bytes for {len(payload)}")
            done += 1
        cut = leave(client, rng)
    except (Ended, Closed):  # its program was killed
        client.close()
    finally:
        client.close()
        tally.add(done, cut)


def client_loop(address, seed, until, tally):
    rng = random.Random(seed)
    routes = (("/echo", BINARY), ("/echo", TEXT), ("/lines", TEXT), ("/stream", BINARY), ("/tcp", BINARY))
    while time.monotonic() < until and not tally.wrong:
        route, kind = rng.choice(routes)
        try:
            one_session(address, rng, route, kind, tally)
        except BaseException as error:  # a thread's failure must reach the test
            tally.wrong.append(f"{route}: {error!r}")


def kill_some(daemon, until, tally):
    rng = random.Random(0)
    while time.monotonic() < until and not tally.wrong:
        children = daemon.children()
        if children and rng.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(children).pid, signal.SIGKILL)
        time.sleep(0.2)


class EchoServer:
    """peers.echo for ever: closes what has ended, unlike peers.Server, which keeps all for the test to look at."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    @staticmethod
    def serve(sock):
        with sock, contextlib.suppress(OSError):
            peers.echo(sock)


CONFIG = """
routes:
  - {{path: /echo, to: "echo:"}}
  - {{path: /lines, exec: [cat]}}
  - {{path: /stream, exec: [cat], framing: stream}}
  - {{path: /tcp, to: "tcp://127.0.0.1:{port}"}}
max-per-address: 0
ping: 500ms
stop-grace: 200ms
kill-grace: 200ms
log-level: warn
"""


@pytest.mark.limit(SECONDS + 180)
def test_soak(tmp_path):
    server, tally, until = EchoServer(), Tally(), time.monotonic() + SECONDS
    (tmp_path / "soak.yaml").write_text(CONFIG.format(port=server.port))
    daemon = Wsluice("--config", tmp_path / "soak.yaml", "--listen", "127.0.0.1:0", "--log-level", "info",
                     env={"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=8"})  # else freed memory counts as grown
    threads = [threading.Thread(target=client_loop, args=(daemon.address, n, until, tally)) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=kill_some, args=(daemon, until, tally)))
    for thread in threads:
        thread.start()
    time.sleep(SECONDS / 2)
    half = daemon.rss_kib()
    for thread in threads:
        thread.join(SECONDS + 60)
    server.listener.close()
    print(f"\n{tally.sessions} sessions, {tally.messages} messages, {tally.cut} cut; RSS {half} -> {daemon.rss_kib()} KiB")
    assert not tally.wrong, "\n".join(tally.wrong[:10])
    assert tally.sessions > SECONDS
    grown = daemon.rss_kib() - half
    daemon.finish()
    assert grown < 32 * 1024, f"{grown} KiB more in the second half"
