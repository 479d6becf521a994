# SPDX-License-Identifier: MIT
"""What a client may demand of us: sizes of messages and frames, fragments and floods."""

import pytest

from lib.setting import SOON
from lib.wire import BINARY, CLOSE, CONT, PONG, TEXT, apply_mask, binary, cont, fragments, frame, header, ping, text

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def module_daemon_default(wsluice_module):
    return wsluice_module("--to", "echo:")


@pytest.fixture
def default_daemon(shared, module_daemon_default):
    return shared(module_daemon_default)


# Our own limit: --max-message, 1M by default, is judged by the header that declares too much.


def test_max_message_default_holds_1_mib(default_daemon):
    message = b"m" * MIB
    client = default_daemon.open(connect=dict(timeout=2 * SOON))
    client.stream([binary(message)])
    got = client.read_frame()
    assert got.payload == message
    client.finish()


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_max_message_exceeded_is_seen_in_the_header(default_daemon, opcode):
    client = default_daemon.open()
    client.send(header(opcode, MIB + 1)[0])
    assert client.expect_close(1009)


def test_max_message_exceeded_while_the_client_floods(default_daemon):
    """The Close must reach a client that goes on sending: a server that just closes has it cut off by a RST."""
    client = default_daemon.open()
    head, key = header(BINARY, 3 * MIB)
    client.try_send(head + apply_mask(b"x" * 3 * MIB, key))
    client.expect_close(1009)


def test_max_message_exceeded_by_a_fragment(default_daemon):
    client = default_daemon.open()
    client.send(fragments(BINARY, b"m" * MIB, 64 * KIB)[:-(64 * KIB + 14)] + cont(b"m" * 64 * KIB, fin=False))
    assert client.silent(0.1), "the limit itself is allowed"
    client.send(header(CONT, 1)[0])
    client.expect_close(1009)


def test_max_message_counts_per_message(default_daemon):
    client = default_daemon.open(connect=dict(timeout=2 * SOON))
    message = binary(b"m" * 700 * KIB)
    client.stream([message] * 4)
    for _ in range(4):
        assert len(client.read_message().data) == 700 * KIB
    client.finish()


def test_max_message_small(wsluice):
    daemon = wsluice("--max-message", "10", "--to", "echo:")
    daemon.open().exchange([text("0123456789"), ping(b"x" * 125)], [(TEXT, "0123456789"), (PONG, b"x" * 125)])
    daemon.open().exchange([text("0123456789A")], [], 1009)
    daemon.open().exchange([text("01234", fin=False), cont("56789A")], [], 1009)


# Lengths at every border, cut at every byte.

SIZES = [(125, 16), (125, 64), (126, 64), (65535, 64), (65535, 16), (65536, 64), (2**31 - 1, 64), (2**31, 64),
         (2**32 - 1, 64), (2**32, 64), (2**63 - 1, 64), (2**63, 64), (2**64 - 1, 64)]


@pytest.mark.parametrize("length, form", SIZES, ids=[f"{n:#x}-in-{f}-bits" for n, f in SIZES])
def test_length(default_daemon, length, form):
    minimal = form == (16 if length < 65536 else 64)
    if minimal and length <= MIB:
        default_daemon.open().exchange([binary(b"x" * length)], [(BINARY, b"x" * length)])
    else:
        client = default_daemon.open()
        client.send(header(BINARY, length, form=form)[0])
        client.expect_close(1009 if minimal and length < 2**63 else 1002)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_length_cut_at_every_byte(wsluice, how):
    daemon = wsluice("--to", "echo:", inside=True)
    daemon.open().exchange([binary(b"w" * 65536) * 16], [(BINARY, b"w" * 65536)] * 16)  # the memory of normal work
    before = daemon.inside.kib()
    for length, form in SIZES:
        head, _ = header(BINARY, length, form=form)
        for at in range(len(head) + 1):
            client = daemon.open()
            client.send(head[:at])
            if how == "rst":
                client.rst()
            else:
                client.half_close()
                rest, _ = client.read_to_end()
                assert not rest or rest[0] == 0x80 | CLOSE
                client.close()
    daemon.settle()
    grown = daemon.inside.kib() - before
    assert grown < 64, f"{grown} KiB allocated for nothing"


def test_sum_of_fragments_overflows(default_daemon):
    """10 + (2^64 - 1) is 9 in 64 bits: neither that nor the largest legal length may slip through."""
    for length in (2**63 - 1, 2**64 - 1, 2**64 - 10):
        client = default_daemon.open()
        client.send(binary(b"x" * 10, fin=False) + header(CONT, length, form=64)[0])
        client.expect_close(1009 if length < 2**63 else 1002)


# A message of one-byte fragments.


def watch_memory(daemon, pieces, client):
    """Sends the pieces and returns the most KiB that the daemon had allocated beyond what it had."""
    before = daemon.inside.kib()
    daemon.inside.forget_peak()
    for piece in pieces:
        if not client.try_send(piece):
            break
    return daemon.inside.peak / 1024 - before


MEMORY = 1024


def test_one_byte_fragments(wsluice):
    daemon = wsluice("--max-message", "200K", "--to", "echo:", inside=True)
    client = daemon.open()
    batch = cont("c", fin=False) * 5000
    client.send(text("c", fin=False))
    grown = watch_memory(daemon, [batch] * 40, client)  # 200,001 bytes by now: less than 204,800
    assert grown < MEMORY, f"{grown} KiB for 200 KB in one-byte fragments"
    client.send(ping("alive"))
    got = client.read_frame()
    assert (got.opcode, got.payload) == (PONG, b"alive")
    client.send(cont("c", fin=False) * 4799)
    assert client.silent(0.1), "the limit itself is allowed"
    client.send(cont("c", fin=False))
    client.expect_close(1009)


def test_empty_fragments(wsluice):
    """They never reach a limit of bytes, so they must cost nothing."""
    daemon = wsluice("--max-message", "10K", "--to", "echo:", inside=True)
    client = daemon.open()
    client.send(binary(b"start", fin=False))
    batch = cont(fin=False) * 10_000
    grown = watch_memory(daemon, [batch] * 20, client)
    assert grown < MEMORY
    client.exchange([cont(b"-end")], [(BINARY, b"start-end")])


def test_endless_message_behind_the_limit(wsluice):
    """A client that does not care about our Close: memory stays flat, the connection ends."""
    daemon = wsluice("--max-message", "64K", "--to", "echo:", inside=True)
    client = daemon.open()
    client.send(binary(b"x" * 1000, fin=False))
    grown = watch_memory(daemon, [cont(b"x" * 60_000, fin=False)] * 200, client)
    assert grown < MEMORY
    client.expect_close(1009)


# Floods that are all legal.


@pytest.mark.parametrize("flood", [ping(b"p" * 125), frame(PONG, b"p" * 125), text(), frame(PONG)],
                         ids=["ping", "pong", "empty-text", "empty-pong"])
def test_flood_unread(wsluice, flood):
    """A client that sends and never reads: what would be sent to it must not pile up. Afterwards all still works."""
    daemon = wsluice("--to", "echo:", inside=True)
    client = daemon.open(connect=dict(rcvbuf=4096, sndbuf=65536, timeout=0.5))
    batch = flood * (65536 // len(flood))
    before = daemon.inside.kib()
    daemon.inside.forget_peak()
    try:
        for _ in range(200):
            client.send(batch)
    except TimeoutError:
        pass  # backpressure: it stopped reading us
    assert daemon.inside.peak / 1024 - before < MEMORY
    client.rst()
    other = daemon.open()
    other.exchange([text("fine")], [(TEXT, "fine")])
