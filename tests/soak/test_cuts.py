# SPDX-License-Identifier: MIT
"""Ten thousand cuts: `make soak SOAK_CUTS=10000`.

Pages hold sessions of a program that says numbered lines as fast as it may, and answers each line that it gets. Their links
are cut in every way there is, plain and over TLS, compressed and not, and each page goes on where it was: no line twice, none
lost, neither way, and nothing that waits for ever. Half of the pages count what they send as well (`resume`).
"""

import contextlib
import json
import os
import random
import signal
import threading
import time

import pytest
import yaml

from lib import tls
from lib.daemon import Wsluice
from lib.deflate import BROWSERS, Deflated, agreed
from lib.wire import CLOSE, TEXT, close_payload, frame

CUTS = int(os.environ.get("SOAK_CUTS", "10000"))
EACH = 20  # cuts of one session
PAGES = 6  # at once
COMPRESSIONS = ("off", "on", "takeover")

FLOOD = r"""
import os, select
n, left = 0, b''
while True:
    n += 1
    out = b'n %d %s\n' % (n, b'x' * (n * 37 % 200))
    if select.select([0], [], [], 0)[0]:
        data = os.read(0, 65536)
        if not data: break
        left += data
        *lines, left = left.split(b'\n')
        for line in lines: out += b'e ' + line + b'\n'
    os.write(1, out)
"""


class Page:
    """What the client library does: counts what it gets, and sends again what has not arrived."""

    def __init__(self, connect, path, compression, resumes, rng):
        self.connect, self.rng, self.resumes, self.compression = connect, rng, resumes, compression
        self.path = f"{path}?session={rng.getrandbits(160):040x}" + ("&resume=page" if resumes else "")
        self.got = self.made = self.lines = self.echoes = 0
        self.raw = self.client = None

    def open(self):
        again = f"&got={self.got}" if self.client is not None else ""
        self.raw = self.connect()
        wants = [("Sec-WebSocket-Extensions", BROWSERS)] if self.compression != "off" else []
        answer = self.raw.upgrade(self.path + again, wants)
        assert answer.status == 101, answer
        self.client = Deflated(self.raw, agreed(answer)) if wants else self.raw
        if self.resumes:
            begin = self.about(self.read_one())
            assert begin["next"] == self.got + 1 and begin["got"] <= self.made, (begin, self.got, self.made)
            for n in range(begin["got"] + 1, self.made + 1):
                self.send(n)

    def read_one(self):
        return self.client.read_message()[1] if self.client is self.raw else self.client.read()[1]

    @staticmethod
    def about(data):
        assert data[:1] == b"\3", data[:50]
        return json.loads(data[1:])

    def send(self, n):
        if self.client is self.raw:
            self.raw.send(frame(TEXT, b"\0%d" % n))
        else:
            self.client.send(b"\0%d" % n, TEXT)

    def say(self):
        self.made += 1
        self.send(self.made)

    def read(self):
        data = self.read_one()
        if self.resumes and data[:1] == b"\3":
            self.about(data)
            return
        self.got += 1
        kind, n, *_ = (data[1:] if self.resumes else data).split()
        if kind == b"n":
            self.lines += 1
            assert int(n) == self.lines, f"line {n} for {self.lines}"
        else:
            self.echoes += 1
            assert int(n) == self.echoes, f"answer {n} for {self.echoes}"

    def cut(self):
        """Returns the link if it stays open, and nobody looks at it any more."""
        how = self.rng.choice(("rst", "fin", "black hole", "in a frame", "reload"))
        if how == "black hole":
            return self.raw
        if how == "in a frame":
            self.raw.try_send(frame(TEXT, b"\0" + b"9" * 100)[: self.rng.randrange(1, 100)])
        if how == "reload":
            self.raw.try_send(frame(CLOSE, close_payload(1001)))
        if how in ("rst", "in a frame"):
            self.raw.rst()
        self.raw.close()
        return None

    def run(self, cuts):
        holes = []
        for _ in range(cuts):
            self.open()
            for _ in range(self.rng.randrange(self.rng.choice((3, 100, 600)))):
                if self.resumes and self.rng.random() < 0.1:
                    self.say()
                self.read()
            hole = self.cut()
            if hole is not None:
                holes.append(hole)
        self.open()
        while self.resumes and self.echoes < self.made:
            self.read()
        self.raw.try_send(frame(CLOSE, close_payload(1000)))
        for hole in [*holes, self.raw]:
            hole.rst()


class Worker(threading.Thread):
    def __init__(self, ways, seed, left, found):
        super().__init__()
        self.ways, self.rng, self.left, self.found = ways, random.Random(seed), left, found

    def run(self):
        while not self.found["wrong"]:
            with self.left["lock"]:
                if self.left["cuts"] <= 0:
                    return
                self.left["cuts"] -= EACH
            compression = self.rng.choice(COMPRESSIONS)
            way, resumes = self.rng.choice(list(self.ways)), self.rng.random() < 0.5
            page = Page(self.ways[way], "/" + compression, compression, resumes, self.rng)
            try:
                page.run(EACH)
            except Exception as e:  # pylint: disable=broad-except
                self.found["wrong"].append(f"{way}, {compression}, resumes {resumes}, behind {page.got} messages: {e!r}")
                return
            with self.left["lock"]:
                self.found["messages"] += page.got
                self.found["sent"] += page.made
                self.found["cuts"] += EACH


@pytest.mark.limit(3 * 3600)
def test_cuts(tmp_path):
    own = tls.Certificate(tmp_path, "localhost")
    config = tmp_path / "wsluice.yaml"
    config.write_text(yaml.safe_dump({"session": "token", "replay": "64K", "routes": [
        {"path": f"/{c}", "compression": c, "exec": ["/usr/bin/python3", "-I", "-S", "-c", FLOOD]} for c in COMPRESSIONS]}))
    plain = Wsluice("-c", config)
    secure = Wsluice("-c", config, "--tls-cert", own.cert, "--tls-key", own.key)
    found, left = {"wrong": [], "messages": 0, "sent": 0, "cuts": 0}, {"cuts": CUTS, "lock": threading.Lock()}
    ways = {"plain": plain.connect, "tls": lambda: tls.client(secure.address, own)}
    started = time.monotonic()
    workers = [Worker(ways, 7 + n, left, found) for n in range(PAGES)]
    for worker in workers:
        worker.start()
    while any(w.is_alive() for w in workers):
        time.sleep(5)
        for daemon in (plain, secure):  # reloads meanwhile: sessions stay
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon.pid, signal.SIGHUP)
    for worker in workers:
        worker.join()
    print(f"{found['cuts']} cuts in {time.monotonic() - started:.0f} s: {found['messages']} messages to pages, "
          f"{found['sent']} from them: 0 lost, 0 twice, 0 hung" if not found["wrong"] else "")
    assert not found["wrong"], found["wrong"]
    for daemon in (plain, secure):
        daemon.close_clients()
        daemon.stop()
