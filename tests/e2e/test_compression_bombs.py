# SPDX-License-Identifier: MIT
"""A few compressed bytes that become very many: what they may cost us and the others, and what compression costs."""

import time

import pytest

from lib import deflate, peers
from lib.admin import Admin
from lib.deflate import RSV1, opened
from lib.tools import JSON, Peak, ended
from lib.wire import BINARY, CONT, TEXT, Closed, binary, cont, frame, ping

MIB = 1 << 20
BOMB = deflate.bomb(256 * MIB)  # 261 KB
SMALL_BOMB = deflate.bomb(MIB)  # exactly the limit, 1 KB


def cut(payload, size):
    pieces = [payload[i : i + size] for i in range(0, len(payload), size)]
    return [frame(CONT if i else BINARY, piece, fin=i == len(pieces) - 1, rsv=0 if i else RSV1)
            for i, piece in enumerate(pieces)]


def warm(daemon, path="/"):
    """The first use makes what all share."""
    client = opened(daemon, path)
    client.send(b"x" * 5000)
    client.read()
    client.raw.finish()


def inflated(door):
    """Bytes that compressed data from clients has become so far: what it costs in time."""
    return sum(n for (name, *of), n in door.metrics().items()
               if name == "wsluice_compressed_plain_bytes_total" and ("direction", "in") in of)


@pytest.mark.parametrize("how", ["on", "takeover"])
@pytest.mark.parametrize("backend", [["--to", "echo:"], ["--", "cat"]], ids=["echo", "cat"])
@pytest.mark.parametrize("size", [len(BOMB), 100])
def test_bomb_is_1009_and_costs_little(wsluice, how, backend, size):
    door = Admin(wsluice("--admin", "127.0.0.1:0", "--compression", how, *backend, inside=True))
    daemon = door.daemon
    warm(daemon)
    client = opened(daemon)
    before = inflated(door)
    with Peak(daemon) as peak:
        for one in cut(BOMB, size):
            if not client.raw.try_send(one):
                break
        with pytest.raises(Closed) as closed:
            client.read()
        assert closed.value.code == 1009
        client.raw.close()
    peak.check(2048)
    assert inflated(door) - before <= MIB + (64 << 10)  # of 256: up to the limit of a message, and the piece that was too much


def test_bomb_behind_what_is_remembered(wsluice):
    """With takeover a bomb needs no zeroes of its own: it refers to those before."""
    daemon = wsluice("--compression", "takeover", "--to", "echo:", inside=True)
    client = opened(daemon)
    client.send(bytes(100_000))
    assert client.read()[1] == bytes(100_000)
    packed = client.pack(bytes(20 * MIB))
    with Peak(daemon) as peak:
        client.raw.send(client.frames(BINARY, packed))
        with pytest.raises(Closed) as closed:
            client.read()
        assert closed.value.code == 1009
    peak.check(2048)


def test_bombs_within_the_limit_all_in_one_read(wsluice, server):
    """Each may pass. A service that does not read gets one after the other, not all into our memory."""
    service = server(peers.hold)
    daemon = wsluice("--compression", "on", "--framing", "lines", *JSON, "--to", service.to, inside=True)
    client = opened(daemon)
    sock = service.wait_accepted()
    bombs = b"".join(frame(BINARY, SMALL_BOMB, rsv=RSV1) for _ in range(20))
    with Peak(daemon) as peak:
        client.raw.send(bombs)
        other = opened(daemon)
        for _ in range(20):  # others live
            other.raw.send(ping("a"))
            other.raw.read_frame()
    peak.check(5 << 10)  # a message put together, twice for its growth, and the queue
    got = 0
    while got < 20 * (MIB + 1):
        got += len(sock.recv(MIB))
    client.raw.finish()
    assert ended(daemon)["messages_in"] == 20


@pytest.mark.parametrize("how", ["on", "takeover"])
def test_stream_to_a_service_that_reads_nothing_and_then_all(wsluice, server, how):
    """No limit holds for `stream`, but what was not inflated yet waits as it came, and the client is held back."""
    service = server(peers.hold)
    daemon = wsluice("--compression", how, *JSON, "--to", service.to, inside=True)
    client = opened(daemon)
    sock = service.wait_accepted()
    size = 12 * MIB
    packed = client.pack(bytes(size), level=9)
    with Peak(daemon) as peak:
        client.raw.send(client.frames(BINARY, packed, range(0, len(packed), 3000)) + binary(b"plain behind it") +
                        client.frames(TEXT, client.pack(b"packed behind it")) + ping("last"))
        assert client.raw.silent(0.3)  # the ping was not looked at: the client is held back
    peak.check(2048)
    got = bytearray()
    while len(got) < size + 31:
        got += sock.recv(MIB)
    assert got.count(0) == size and got.endswith(b"plain behind itpacked behind it")
    assert client.raw.read_frame().payload == b"last"
    client.raw.finish()
    record = ended(daemon)
    assert record["bytes_in"] == size + 31 and record["stalls_backend"] >= 1


def test_others_live_while_one_inflates(wsluice, server):
    """Nothing is held back here: the service takes all at once, yet the session works in shares."""
    service = server(peers.sink)
    daemon = wsluice("--compression", "on", "--to", service.to)
    other = daemon.open()
    client = opened(daemon)
    client.raw.send(frame(BINARY, deflate.bomb(24 * MIB), rsv=RSV1) + ping("done"))
    turns = 0
    client.raw.sock.setblocking(False)
    done = False
    while not done:
        other.send(ping("a"))
        other.read_frame()
        turns += 1
        try:
            done = bool(client.raw.sock.recv(100))
        except BlockingIOError:
            pass
    assert turns >= 5
    client.raw.sock.setblocking(True)


def test_echo_of_bombs_to_a_client_that_does_not_read(wsluice):
    daemon = wsluice("--compression", "on", "--compression-min", "1M", "--to", "echo:", inside=True)
    client = opened(daemon, rcvbuf=4096)
    noisy = b"".join(frame(BINARY, deflate.bomb(MIB - 1), rsv=RSV1) for _ in range(20))  # goes back as it is
    with Peak(daemon) as peak:
        client.raw.stream([noisy])
        assert client.raw.read_exact(2)[0] == 0x82
        time.sleep(0.3)  # it must not go on meanwhile
    peak.check(8 << 10)
    client.raw.pending[:0] = b"\x82\x7f"
    for _ in range(20):
        assert len(client.read()[1]) == MIB - 1


def test_close_behind_what_waits(wsluice, server):
    """The service has gone while compressed data waited: it is thrown away, and our Close is answered."""
    service = server(peers.hold)
    daemon = wsluice("--compression", "on", "--stop-grace", "100ms", *JSON, "--to", service.to)
    client = opened(daemon)
    sock = service.wait_accepted()
    client.raw.send(frame(BINARY, BOMB, rsv=RSV1) + frame(8, b"\x03\xe8"))
    sock.recv(1000)
    peers.reset(sock)
    code, _, _ = client.raw.read_close()
    assert code == 1011
    rest, _ = client.raw.read_to_end()
    assert rest == b""
    assert ended(daemon)["dropped"] > 0


def test_client_gone_while_its_data_waits(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice("--compression", "takeover", "--stop-grace", "100ms", *JSON, "--to", service.to)
    for end in ("rst", "close"):
        client = opened(daemon)
        client.raw.send(frame(BINARY, BOMB[:50000], fin=False, rsv=RSV1) + cont(BOMB[50000:100000], fin=False))
        assert client.raw.silent(0.1)
        getattr(client.raw, end)()
    ended(daemon, 2)


def test_drain_while_data_waits(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice("--compression", "on", "--drain-timeout", "3s", "--stop-grace", "100ms", "--to", service.to)
    client = opened(daemon)
    client.raw.send(frame(BINARY, BOMB, rsv=RSV1))
    assert client.raw.silent(0.1)
    daemon.send_signal(15)
    assert client.raw.read_close()[0] == 1001
    client.raw.send(frame(8, b"\x03\xe9"))
    client.raw.close()
    assert daemon.wait() == 0


# What it costs in peace.

SESSIONS = 300


def grown_by(daemon, sessions):
    """KiB for each session that has had a message."""
    warm(daemon)
    before = daemon.inside.kib()
    clients = []
    for _ in range(sessions):
        clients.append(opened(daemon))
        clients[-1].send(b"a few words, " * 200)
        assert clients[-1].read()[2]
    return (daemon.inside.kib() - before) / sessions


@pytest.mark.parametrize("how, least, most", [("on", 0, 3), ("takeover", 30, 60)])
def test_memory_of_idle_sessions(wsluice, how, least, most):
    """Without takeover nothing stays with a session; with it what docs/compression.md says."""
    daemon = wsluice("--compression", how, "--max-per-address", "0", "--to", "echo:", inside=True)
    assert least <= grown_by(daemon, SESSIONS) <= most


def test_shares_count_no_stalls(wsluice, server):
    daemon = wsluice("--admin", "127.0.0.1:0", "--compression", "on", "--to", "echo:", "--max-message", "16M")
    client = opened(daemon)
    client.send(bytes(8 * MIB))
    assert len(client.read()[1]) == 8 * MIB
    one, = Admin(daemon).sessions()
    assert one["messages_in"] == one["messages_out"] == 1 and one["compressed_in_plain"] == 8 * MIB
