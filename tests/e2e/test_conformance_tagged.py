# SPDX-License-Identifier: MIT
"""The cases of test_conformance.py once more, with framing `tagged` and plain `cat` in the place of the echo.

A program answers when it likes. So pongs and messages are judged each in their own order; and of the messages before a
fault those that come back are a beginning of those that were sent, since ours is the Close that may overtake them.
"""

import random

import pytest

import test_conformance as whole
from lib.setting import SOON
from lib.wire import BINARY, CLOSE, PONG, TEXT, binary, close_payload, frame


@pytest.fixture(scope="module")
def module_daemon(wsluice_module):
    return wsluice_module("--max-message", "16M", "--framing", "tagged", "--max-per-address", "0", "--", "cat")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


PEACE = "we end it"


def run(daemon, name, sent, expected, end=PEACE, chop=None):
    """One row of test_conformance.py. end: the Close code that must follow (None: an empty Close)."""
    wanted = [(o, p.encode() if isinstance(p, str) else p) for o, p in expected]
    pongs = [p for o, p in wanted if o == PONG]
    messages = [(o, p) for o, p in wanted if o != PONG]
    client = daemon.open(connect=dict(timeout=2 * SOON))
    data = b"".join(sent)
    sender = client.stream([data[i : i + chop] for i in range(0, len(data), chop)] if chop else [data])
    got_pongs, got, code = [], [], PEACE
    while end != PEACE or (len(got_pongs), len(got)) != (len(pongs), len(messages)):
        one = client.read_frame()
        assert one.fin, name
        if one.opcode == CLOSE:
            code = one.code
            break
        (got_pongs if one.opcode == PONG else got).append(one.payload if one.opcode == PONG else (one.opcode, one.payload))
    assert got_pongs == pongs and got == messages[: len(got)] and code == end, \
        f"{name}: {code}, {len(got)} of {len(messages)} messages, pongs {got_pongs}"
    if end == PEACE:
        sender.join()
        assert client.finish() == "", name
    else:
        client.try_send(frame(CLOSE, close_payload(end)))
        assert client.read_to_end()[0] == b"", name
    sender.join()
    client.close()


def run_all(daemon, cases):
    for name, (sent, expected, *rest) in cases.items():
        end, chop = (*rest, None, None)[:2]
        run(daemon, name, sent, expected, PEACE if end is None else end, chop)


@pytest.mark.parametrize("opcode, byte", [(TEXT, b"*"), (BINARY, b"\xfe")], ids=["text", "binary"])
def test_1_framing(daemon, opcode, byte):
    for length in whole.LENGTHS:
        run(daemon, length, [frame(opcode, byte * length)], [(opcode, byte * length)])
    run(daemon, "in 997s", [frame(opcode, byte * 65536)], [(opcode, byte * 65536)], chop=997)
    payloads = [bytes([97 + n % 26]) * n for n in range(70)]
    run(daemon, "short", [frame(opcode, p) for p in payloads], [(opcode, p) for p in payloads])


@pytest.mark.parametrize("cases", [whole.PINGS, whole.RESERVED, whole.OPCODES, whole.FRAGMENTS, whole.FAULTS],
                         ids=["2-pings", "3-reserved", "4-opcodes", "5-fragments", "faults"])
def test_2_to_5_frames(daemon, cases):
    run_all(daemon, cases)


@pytest.mark.parametrize("way", whole.WAYS)
def test_6_utf8(daemon, way):
    """All that is valid, as messages of one session; each that is not ends one of its own."""
    client = daemon.open()
    for name, payload in whole.VALID.items():
        sent, chop = whole.WAYS[way](payload)
        client.send(b"".join(sent), chop)
        want = b"a" * 64 + payload if way == "behind-64-ascii" else payload
        assert client.read_message() == (TEXT, want), name
    client.finish()
    for name, payload in whole.INVALID.items():
        sent, chop = whole.WAYS[way](payload)
        run(daemon, name, sent, [], 1007, chop)


def test_6_binary_is_not_judged(daemon):
    messages = [(BINARY, p) for p in whole.INVALID.values()]
    run(daemon, "binary", [binary(p) for _, p in messages], messages)


def test_6_4_fail_fast(daemon):
    for name, sent in whole.FAST.items():
        run(daemon, name, sent, [], 1007)


def test_7_close(daemon):
    """Ours is the answer, so the messages before it may be on their way still."""
    for name, (sent, expected, *rest) in whole.CLOSES.items():
        run(daemon, name, sent, expected, *(rest or [None]))


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_9_limits(daemon, opcode):
    for size in (64 << 10, 1 << 20, 16 << 20):
        message = whole.big_message(opcode, size)
        run(daemon, size, [frame(opcode, message)], [(opcode, message)])
    message = whole.big_message(opcode, 1 << 20)
    for size in (64, 4096, 65536):
        run(daemon, f"fragments of {size}", [whole.fragments(opcode, message, size)], [(opcode, message)])
    run(daemon, "chops", [frame(opcode, message)], [(opcode, message)], chop=1024)


def test_9_many_messages_at_once(daemon):
    messages = [(TEXT if i % 3 else BINARY, b"%d|" % i + b"." * (i * 37 % 3000)) for i in range(1000)]
    run(daemon, "many", [frame(*m) for m in messages], messages)


@pytest.mark.parametrize("seed", range(10))
def test_random_traffic(daemon, seed):
    rng = random.Random(seed)
    sent, expected = whole.random_traffic(rng)
    run(daemon, seed, sent, expected, chop=rng.choice((None, 1448, 997, 4096)))
