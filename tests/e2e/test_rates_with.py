# SPDX-License-Identifier: MIT
"""Rates together with what else may hold a client back or counts otherwise: compression, a slow backend, terminals, UDP.

As in test_rates.py, rates of one an hour make the burst all there is."""

import random
import signal
import time

import pytest

from lib import deflate
from lib.admin import Admin, hold, until_kicked
from lib.deflate import RSV1, opened
from lib.proc import wait_until
from lib.setting import SOON
from lib.terminal import Terminal
from lib.tools import JSON, Peak, ended, orphans_reaped, py, sh
from lib.wire import BINARY, binary, close, cont, frame, ping, text

MIB = 1 << 20
PACKED = [b"message %d of twenty" % i for i in range(20)]
HOWS = ["on", "takeover"]


@pytest.fixture
def limited(wsluice):
    """limited(OPTION...): the admin door of a daemon."""
    return lambda *args: Admin(wsluice(*JSON, "--admin", "127.0.0.1:0", *args, inside=True))


def packed(client, messages=PACKED):
    """All of them as frames, compressed."""
    return b"".join(client.frames(BINARY, client.pack(m)) for m in messages)


def receive(sock, size):
    got = bytearray()
    while len(got) < size:
        piece = sock.recv(MIB)
        assert piece, f"the end after {len(got)} of {size} bytes"
        got += piece
    return got


# Compression.


@pytest.mark.parametrize("how", HOWS)
def test_exactly_the_burst_of_compressed_messages(limited, how):
    door = limited("--compression", how, "--max-message-rate", "1/h:5", "--to", "echo:")
    client = opened(door.daemon)
    client.raw.send(packed(client) + ping())
    assert [client.read()[1] for _ in range(5)] == PACKED[:5]
    hold(door)
    session = door.sessions()[0]
    assert session["rate_holds"] == 1 and session["messages_in"] == 5
    assert until_kicked(door, client.raw) == [] and client.raw.pongs == []
    client.raw.close()
    line = ended(door.daemon)
    assert line["messages_in"] == 5 and line["dropped"] > 0


@pytest.mark.parametrize("cuts", [(), (1, 700, 1100)], ids=["whole", "fragments"])
def test_bytes_are_what_comes_over_the_wire(limited, cuts):
    """Each message is inflated in several turns, and weighed once."""
    zeroes = deflate.bomb(MIB)
    door = limited("--compression", "on", "--max-message", "2M", "--max-byte-rate", f"1/h:{3 * len(zeroes)}", "--to", "echo:")
    client = opened(door.daemon)
    whole = client.frames(BINARY, zeroes, cuts)
    client.raw.stream([whole * 3 + binary(b"")])
    for size in (MIB, MIB, MIB, 0):
        assert client.read()[1] == bytes(size)
    assert door.sessions()[0]["rate_holds"] == 0
    client.raw.send(frame(BINARY, deflate.compress(b"1"), rsv=RSV1))
    hold(door)
    session = door.sessions()[0]
    assert session["compressed_in_wire"] == 3 * len(zeroes) and session["bytes_in"] == 3 * MIB
    assert until_kicked(door, client.raw) == []


def mixture(seed, count):
    rnd = random.Random(seed)
    return [rnd.choice([bytes(600_000), rnd.randbytes(9000), b"%d" % i, b"abc" * 30_000, b""]) for i in range(count)]


def frames_of(client, messages):
    """As frames: every third message uncompressed, some in fragments with a ping between them."""
    out = []
    for i, message in enumerate(messages):
        if i % 3 == 2:
            out.append(binary(message))
        elif i % 3 == 1:
            data = client.pack(message)
            out.append(frame(BINARY, data[:5], fin=False, rsv=RSV1) + ping(b"%d" % i) + cont(data[5:]))
        else:
            out.append(client.frames(BINARY, client.pack(message)))
    return b"".join(out)


@pytest.mark.parametrize("rates", [("--max-message-rate", "300/s:3"), ("--max-byte-rate", "3M/s:4K")], ids=["messages", "bytes"])
@pytest.mark.parametrize("how", HOWS)
def test_compressed_over_the_rate(limited, server, tmp_path, how, rates):
    """Held by the rate, by the share of a turn and by a service that does not read: one byte too much, too few or at the
    wrong place would break the streams. What waits is one read."""
    may_read, got = [], bytearray()

    def serve(sock):
        wait_until(lambda: may_read, "the word")
        while data := sock.recv(MIB):
            got.extend(data)

    service = server(serve, path=tmp_path / "service")
    door = limited("--compression", how, *rates, "--to", service.to)
    client, messages = opened(door.daemon), mixture(how, 60)
    whole = b"".join(messages)
    began = time.monotonic()
    with Peak(door.daemon) as peak:
        client.raw.stream([frames_of(client, messages)])
        wait_until(lambda: door.sessions()[0]["queued_backend"] > 0, "the service's queue to be full")
        may_read.append(True)
        wait_until(lambda: len(got) >= len(whole), lambda: f"all to arrive, not {len(got)}", 4 * SOON)
    peak.check(2048)
    assert got == whole
    if rates[0] == "--max-message-rate":
        assert time.monotonic() - began >= 57 / 300 * 0.99
    client.raw.send(close(1000))
    assert client.raw.read_close()[0] == 1000 and len(client.raw.pongs) == 20
    line = ended(door.daemon)
    assert line["messages_in"] == 60 and line["bytes_in"] == len(whole)
    assert line["rate_holds"] > 0 and line["stalls_backend"] > 0 and line["dropped"] == 0


@pytest.mark.parametrize("how", HOWS)
def test_the_close_behind_what_is_held(limited, how):
    door = limited("--compression", how, "--max-message-rate", "100/s:1", "--to", "echo:")
    client = opened(door.daemon)
    client.raw.send(packed(client) + close(1000, "done"))
    assert [client.read()[1] for _ in PACKED] == PACKED
    assert client.raw.read_close()[0] == 1000
    line = ended(door.daemon)
    assert line["messages_in"] == 20 and line["closed_by"] == "client" and line["dropped"] == 0


def test_our_close_lifts_the_hold(limited):
    """The client's answer stands behind what is held: else close-timeout would run out."""
    door = limited("--compression", "on", "--max-message-rate", "1/h:1", "--close-timeout", "1h", *sh("read line; exit 3"))
    client = opened(door.daemon)
    client.raw.send(packed(client))
    client.raw.expect_close(4003)
    assert ended(door.daemon)["code"] == 4003


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_held_client_that_leaves(limited, how):
    door = limited("--compression", "takeover", "--max-message-rate", "1/h:1", "--stop-grace", "100ms", "--to", "echo:")
    client = opened(door.daemon)
    client.raw.send(packed(client))
    hold(door)
    client.raw.half_close() if how == "fin" else client.raw.rst()
    line = ended(door.daemon)
    assert line["code"] == 1006 and line["dropped"] > 0
    client.raw.close()


def test_draining_ends_a_held_client(limited, server):
    """It is held by its rate, behind what the service has not read."""
    door = limited("--compression", "on", "--max-message-rate", "1/h:1", "--close-timeout", "1h", "--stop-grace", "100ms", "--", "sleep", "1000")
    client = opened(door.daemon)
    client.raw.send(client.frames(BINARY, client.pack(bytes(400_000))) + packed(client))
    assert client.raw.silent(0.1)
    door.daemon.send_signal(signal.SIGTERM)
    client.raw.expect_close(1001)
    assert door.daemon.wait() == 0


def test_heartbeat_of_a_held_client(limited):
    """One beside it that is as silent, and is not held, is dropped: then its time was over."""
    door = limited("--compression", "on", "--max-message-rate", "1/h:1", "--ping", "100ms", "--pong-timeout", "200ms", "--to", "echo:")
    client, silent = opened(door.daemon), door.daemon.open()
    client.raw.send(packed(client))
    hold(door)
    wait_until(lambda: door.daemon.find_log("no answer to the heartbeat"), "the silent one to be dropped")
    assert [s["id"] for s in door.sessions()] == [1]
    silent.close()


# Clients that are not listened to.


def test_read_only_counts_too(limited):
    door = limited("--read-only", "--stop-grace", "100ms", "--max-message-rate", "1/h:2", *sh("echo ready; exec sleep 1000"))
    client = door.daemon.open()
    client.send(b"".join(text("abc") for _ in range(5)))
    hold(door)
    assert door.sessions()[0]["messages_in"] == 2
    assert until_kicked(door, client) == [b"ready"]


# Terminals: what is typed is a message, and so is an order.

TYPED = """
import os, tty
tty.setraw(0)
print("ready>", end="", flush=True)
while data := os.read(0, 100):
    os.write(1, data)
"""


def test_terminal_over_its_rate(orphans_reaped, limited):
    door = limited("--max-message-rate", "1/h:4", "--pty", *py(TYPED))
    terminal = Terminal(door.daemon)  # its first message is one
    terminal.until("ready>")
    terminal.type("a")
    terminal.resize(90, 30)
    terminal.type("b")
    assert terminal.until("b") == b"ab"
    terminal.type("c")
    hold(door)
    assert door.sessions()[0]["messages_in"] == 4 and door.sessions()[0]["rate_holds"] == 1
    assert until_kicked(door, terminal.client) == []


def test_terminal_at_a_pace(orphans_reaped, limited):
    door = limited("--max-message-rate", "300/s:1", "--compression", "on", "--pty", *py(TYPED))
    terminal = Terminal(door.daemon)
    terminal.until("ready>")
    keys = "".join(chr(ord("a") + i % 26) for i in range(60))
    terminal.client.send(b"".join(binary(b"0" + key.encode()) for key in keys))
    assert terminal.until(keys) == keys.encode()
    terminal.client.finish()
    assert ended(door.daemon)["rate_holds"] > 10


# Datagrams: a rate of the session holds them back in their order; udp-rate drops them.


def test_datagrams_wait_for_the_rate(limited, udp):
    service = udp()
    door = limited("--max-message-rate", "300/s:2", "--to", service.to)
    client = door.daemon.open()
    client.send(b"".join(binary(m) for m in PACKED))
    assert [service.get()[0] for _ in PACKED] == PACKED
    client.finish()
    line = ended(door.daemon)
    assert line["rate_holds"] > 0 and line["datagrams_dropped_in"] == 0


@pytest.mark.parametrize("first", ["--max-message-rate", "--udp-rate"])
def test_datagrams_over_both_rates(limited, udp, first):
    """The tighter one speaks: what is held is not dropped, what may pass and is too much for udp-rate is."""
    service = udp()
    held = first == "--max-message-rate"
    door = limited("--max-message-rate", "1/h:5" if held else "1/h:9", "--udp-rate", "1/h:9" if held else "1/h:5", "--to", service.to)
    client = door.daemon.open()
    client.send(b"".join(binary(m) for m in PACKED))
    assert [service.get()[0] for _ in range(5)] == PACKED[:5]
    hold(door)
    session = door.sessions()[0]
    assert (session["messages_in"], session["datagrams_dropped_in"]) == ((5, 0) if held else (9, 4))
    assert until_kicked(door, client) == []
