# SPDX-License-Identifier: MIT
"""RFC 6455 through `--to echo:`, group by group as the well-known WebSocket test suite has it.

An echo returns every message whole, in one frame of the same type. A test is a list of bytes to send and the list of
frames that must come back, and then the end: in peace (our Close, theirs, the end of TCP) or with the Close code that
tells what we did wrong, the end of TCP, and nothing of the bad message.
"""

import random
import time

import pytest

from lib.setting import SOON
from lib.wire import (BINARY, CLOSE, CONT, PING, PONG, TEXT, Ended, binary, close, close_payload, cont, fragments,
                      frame, ping, text)

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def module_daemon(wsluice_module):
    return wsluice_module("--max-message", "16M", "--to", "echo:")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


# 1 Framing. Payload lengths around the borders of the three length forms.

LENGTHS = [0, 125, 126, 127, 128, 65535, 65536]


@pytest.mark.parametrize("length, chop", [
    pytest.param(n, None, id=f"{i + 1}-{n}") for i, n in enumerate(LENGTHS)] + [
    pytest.param(65536, 997, id="8-65536-in-997s")])
@pytest.mark.parametrize("opcode, byte", [pytest.param(TEXT, b"*", id="1.1"), pytest.param(BINARY, b"\xfe", id="1.2")])
def test_1_framing(daemon, opcode, byte, length, chop):
    daemon.open().exchange([frame(opcode, byte * length)], [(opcode, byte * length)], chop=chop)


@pytest.mark.parametrize("key", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0"], ids=bytes.hex)
def test_1_framing_masking_keys(daemon, key):
    """Every length up to a few words, so that unmasking meets all its edges."""
    client = daemon.open()
    payloads = [bytes(range(n)) for n in range(70)]
    client.exchange([binary(p, mask=key) for p in payloads], [(BINARY, p) for p in payloads])


# 2 Pings and pongs.

PINGS = {
    "2.1-empty": ([ping()], [(PONG, b"")]),
    "2.2-text": ([ping("Hello, world!")], [(PONG, "Hello, world!")]),
    "2.3-binary": ([ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], [(PONG, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")]),
    "2.4-125": ([ping(b"\xfe" * 125)], [(PONG, b"\xfe" * 125)]),
    "2.5-126": ([ping(b"\xfe" * 126)], [], 1002),
    "2.6-125-octetwise": ([ping(b"\xfe" * 125)], [(PONG, b"\xfe" * 125)], None, 1),
    "2.7-unsolicited-pong": ([frame(PONG)], []),
    "2.8-unsolicited-pong-payload": ([frame(PONG, "unsolicited pong payload")], []),
    "2.9-unsolicited-pong-then-ping": ([frame(PONG, "unsolicited"), ping("ping")], [(PONG, "ping")]),
    "2.10-ten-pings": ([ping(f"payload-{i}") for i in range(10)], [(PONG, f"payload-{i}") for i in range(10)]),
    "2.11-ten-pings-octetwise": ([ping(f"payload-{i}") for i in range(10)], [(PONG, f"payload-{i}") for i in range(10)],
                                 None, 1),
    "2.12-ten-pings-in-one-segment": ([b"".join(ping(f"p{i}") for i in range(10))], [(PONG, f"p{i}") for i in range(10)]),
    "2.13-pong-126": ([frame(PONG, b"x" * 126)], [], 1002),
}


# 3 Reserved bits, and 4 reserved opcodes: the messages before the fault are echoed, nothing behind it is looked at.

HELLO = "Hello, world!"
RESERVED = {
    "3.1-rsv-1": ([text(HELLO, rsv=1)], [], 1002),
    "3.2-rsv-2-behind-text": ([text(HELLO), text(HELLO, rsv=2), ping()], [(TEXT, HELLO)], 1002),
    "3.3-rsv-3-framewise": ([text(HELLO), text(HELLO, rsv=3), ping()], [(TEXT, HELLO)], 1002, 19),
    "3.4-rsv-4-octetwise": ([text(HELLO), text(HELLO, rsv=4), ping()], [(TEXT, HELLO)], 1002, 1),
    "3.5-rsv-5-binary": ([binary(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", rsv=5)], [], 1002),
    "3.6-rsv-6-ping": ([ping(HELLO, rsv=6)], [], 1002),
    "3.7-rsv-7-close": ([frame(CLOSE, rsv=7)], [], 1002),
    "3.8-rsv-1-pong": ([frame(PONG, rsv=1)], [], 1002),
    "3.9-rsv-1-continuation": ([text("a", fin=False), cont("b", rsv=1)], [], 1002),
}
OPCODES = {}
for _group, _codes in (("4.1", range(3, 8)), ("4.2", range(11, 16))):
    for _i, _code in enumerate(_codes):
        OPCODES[f"{_group}.{_i + 1}-opcode-{_code}"] = ([frame(_code)], [], 1002)
        OPCODES[f"{_group}.{_i + 1}-opcode-{_code}-payload"] = ([frame(_code, "reserved")], [], 1002)
        OPCODES[f"{_group}.{_i + 1}-opcode-{_code}-behind-text-octetwise"] = (
            [text(HELLO), frame(_code, HELLO), ping()], [(TEXT, HELLO)], 1002, 1)
        OPCODES[f"{_group}.{_i + 1}-opcode-{_code}-unfinished"] = ([frame(_code, "x", fin=False)], [], 1002)


# 5 Fragmentation.

F1, F2 = "fragment1", "fragment2"
FRAGMENTS = {
    "5.1-ping-in-two": ([ping(F1, fin=False), cont(F2)], [], 1002),
    "5.2-pong-in-two": ([frame(PONG, F1, fin=False), cont(F2)], [], 1002),
    "5.3-text-in-two": ([b"".join([text(F1, fin=False), cont(F2)])], [(TEXT, F1 + F2)]),
    "5.4-text-in-two-framewise": ([text(F1, fin=False), cont(F2)], [(TEXT, F1 + F2)]),
    "5.5-text-in-two-octetwise": ([text(F1, fin=False), cont(F2)], [(TEXT, F1 + F2)], None, 1),
    "5.6-ping-between": ([b"".join([text(F1, fin=False), ping("ping"), cont(F2)])],
                         [(PONG, "ping"), (TEXT, F1 + F2)]),
    "5.7-ping-between-framewise": ([text(F1, fin=False), ping("ping"), cont(F2)],
                                   [(PONG, "ping"), (TEXT, F1 + F2)]),
    "5.8-ping-between-octetwise": ([text(F1, fin=False), ping("ping"), cont(F2)],
                                   [(PONG, "ping"), (TEXT, F1 + F2)], None, 1),
    "5.9-continuation-of-nothing": ([b"".join([cont("non-continuation"), text(HELLO)])], [], 1002),
    "5.10-continuation-of-nothing-framewise": ([cont("non-continuation"), text(HELLO)], [], 1002),
    "5.11-continuation-of-nothing-octetwise": ([cont("non-continuation"), text(HELLO)], [], 1002, 1),
    "5.12-unfinished-continuation-of-nothing": ([b"".join([cont("x", fin=False), text(HELLO)])], [], 1002),
    "5.13-unfinished-continuation-of-nothing-framewise": ([cont("x", fin=False), text(HELLO)], [], 1002),
    "5.14-unfinished-continuation-of-nothing-octetwise": ([cont("x", fin=False), text(HELLO)], [], 1002, 1),
    "5.15-continuation-behind-a-whole-message": (
        [text(F1, fin=False), cont(F2), cont("fragment3", fin=False), text("fragment4")], [(TEXT, F1 + F2)], 1002),
    "5.16-unfinished-continuation-twice": ([cont(F1, fin=False), text(F2), cont(F1, fin=False), text(F2)], [], 1002),
    "5.17-continuation-twice": ([cont(F1), text(F2), cont(F1), text(F2)], [], 1002),
    "5.18-text-inside-text": ([text(F1, fin=False), text(F2)], [], 1002),
    "5.18-binary-inside-text": ([text(F1, fin=False), binary(b"x")], [], 1002),
    "5.20-five-with-pings": (
        [text("1", fin=False), cont("2", fin=False), ping("a"), cont("3", fin=False), cont("4", fin=False), ping("b"),
         cont("5")], [(PONG, "a"), (PONG, "b"), (TEXT, "12345")]),
    "5.20-five-with-pings-octetwise": (
        [text("1", fin=False), cont("2", fin=False), ping("a"), cont("3", fin=False), cont("4", fin=False), ping("b"),
         cont("5")], [(PONG, "a"), (PONG, "b"), (TEXT, "12345")], None, 1),
    "5.21-pong-between": ([text(F1, fin=False), frame(PONG, "x"), cont(F2)], [(TEXT, F1 + F2)]),
    "5.22-close-between": ([text(F1, fin=False), close(1000), cont(F2)], [], 1000),
    "5.23-binary-in-three-empty-ends": ([binary(fin=False), cont(b"\x80", fin=False), cont()], [(BINARY, b"\x80")]),
}

# Frames that are wrong, or right and odd, in ways that the suite does not have.

FAULTS = {
    "unmasked-text": ([text(HELLO, mask=False)], [], 1002),
    "unmasked-empty": ([text(mask=False)], [], 1002),
    "unmasked-ping": ([ping(mask=False)], [], 1002),
    "unmasked-close": ([frame(CLOSE, close_payload(1000), mask=False)], [], 1002),
    "unmasked-continuation": ([text("a", fin=False), cont("b", mask=False)], [], 1002),
    "close-unfinished": ([frame(CLOSE, close_payload(1000), fin=False)], [], 1002),
    "zero-length-text": ([text()], [(TEXT, "")]),
    "zero-length-binary": ([binary()], [(BINARY, b"")]),
    "zero-length-text-in-four": ([text(fin=False), cont(fin=False), cont(fin=False), cont()], [(TEXT, "")]),
    "many-zero-length": ([b"".join([text(), binary()] * 100)], [(TEXT, ""), (BINARY, b"")] * 100),
    "16-bit-length-for-125": ([binary(b"x" * 125, form=16)], [], 1002),
    "16-bit-length-for-0": ([binary(b"", form=16)], [], 1002),
    "16-bit-length-for-ping": ([ping(b"x", form=16)], [], 1002),
    "64-bit-length-for-126": ([binary(b"x" * 126, form=64)], [], 1002),
    "64-bit-length-for-65535": ([binary(b"x" * 65535, form=64)], [], 1002),
    "64-bit-length-for-ping": ([ping(b"x", form=64)], [], 1002),
    "64-bit-length-for-close": ([frame(CLOSE, b"", form=64)], [], 1002),
    "http-instead-of-frames": ([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], [], 1002),
}


def rows(*tables):
    """Of tables {id: (sent, expected[, end[, chop]])}: the parameters that `Raw.exchange` takes."""
    return [pytest.param(*row, *(None,) * (4 - len(row)), id=name) for table in tables for name, row in table.items()]


@pytest.mark.parametrize("sent, expected, end, chop", rows(PINGS, RESERVED, OPCODES, FRAGMENTS, FAULTS))
def test_2_to_5_frames(daemon, sent, expected, end, chop):
    daemon.open().exchange(sent, expected, end, chop)


def test_5_19_five_fragments_with_pings_and_a_pause(daemon):
    client = daemon.open()
    client.send(text("1", fin=False) + cont("2", fin=False) + ping("pongme 1"))
    got = client.read_frame()
    assert (got.opcode, got.payload) == (PONG, b"pongme 1"), "a ping waits for the end of the message around it"
    assert client.silent(0.3)
    client.send(cont("3", fin=False) + cont("4", fin=False) + ping("pongme 2") + cont("5"))
    client.exchange([], [(PONG, b"pongme 2"), (TEXT, "12345")])


# 6 UTF-8. What is sent as a whole, octet by octet, and as one fragment an octet must be judged alike.

KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
VALID = {
    "6.1.1-empty": b"",
    "6.2.1-mixed": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "6.5.1-kosme": KOSME,
    "6.6.2-kosme-1": KOSME[:2],
    "6.6.5-kosme-2": KOSME[:5],
    "6.6.7-kosme-3": KOSME[:7],
    "6.6.9-kosme-4": KOSME[:9],
    "6.6.11-kosme-5": KOSME[:11],
    "6.7.1-first-of-1": b"\x00",
    "6.7.2-first-of-2": b"\xc2\x80",
    "6.7.3-first-of-3": b"\xe0\xa0\x80",
    "6.7.4-first-of-4": b"\xf0\x90\x80\x80",
    "6.9.1-last-of-1": b"\x7f",
    "6.9.2-last-of-2": b"\xdf\xbf",
    "6.9.3-last-of-3": b"\xef\xbf\xbf",
    "6.9.4-last-of-4": b"\xf4\x8f\xbf\xbf",
    "6.11.1-before-surrogates": b"\xed\x9f\xbf",
    "6.11.2-behind-surrogates": b"\xee\x80\x80",
    "6.11.3-replacement-character": b"\xef\xbf\xbd",
    "6.11.4-last-of-all": b"\xf4\x8f\xbf\xbf",
    "6.23.1-ufff9": "\ufff9".encode(),
    "6.23.2-ufffa": "\ufffa".encode(),
    "6.23.3-ufffb": "\ufffb".encode(),
    "6.23.4-ufffc": "\ufffc".encode(),
    "6.23.5-ufffd": "\ufffd".encode(),
    "6.23.6-byte-order-mark": "\ufeffx".encode(),
    "6.23.7-emoji": "👩‍🚀🇺🇳".encode(),
}
_noncharacters = [c for plane in range(17) for c in (plane << 16 | 0xFFFE, plane << 16 | 0xFFFF)]
for _i, _c in enumerate(_noncharacters + [0xFDD0, 0xFDEF]):
    VALID[f"6.22.{_i + 1}-noncharacter-{_c:x}"] = chr(_c).encode()

INVALID = {
    "6.3.1-surrogate-in-text": KOSME + b"\xed\xa0\x80edited",
    "6.4.1-beyond-the-last": KOSME + b"\xf4\x90\x80\x80edited",
    "6.6.1-kosme-cut": KOSME[:1],
    "6.6.3-kosme-cut": KOSME[:3],
    "6.6.4-kosme-cut": KOSME[:4],
    "6.6.6-kosme-cut": KOSME[:6],
    "6.6.8-kosme-cut": KOSME[:8],
    "6.6.10-kosme-cut": KOSME[:10],
    "6.8.1-first-of-5": b"\xf8\x88\x80\x80\x80",
    "6.8.2-first-of-6": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1-last-of-4": b"\xf7\xbf\xbf\xbf",
    "6.10.2-last-of-5": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10.3-last-of-6": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11.5-110000": b"\xf4\x90\x80\x80",
    "6.12.1-continuation-80": b"\x80",
    "6.12.2-continuation-bf": b"\xbf",
    "6.12.3-continuations-2": b"\x80\xbf",
    "6.12.4-continuations-3": b"\x80\xbf\x80",
    "6.12.5-continuations-4": b"\x80\xbf\x80\xbf",
    "6.12.6-continuations-5": b"\x80\xbf\x80\xbf\x80",
    "6.12.7-continuations-6": b"\x80\xbf\x80\xbf\x80\xbf",
    "6.12.8-all-continuations": bytes(range(0x80, 0xC0)),
    "6.13.1-all-lonely-2": b"".join(bytes((c, 0x20)) for c in range(0xC0, 0xE0)),
    "6.13.2-all-lonely-3": b"".join(bytes((c, 0x20)) for c in range(0xE0, 0xF0)),
    "6.13.3-all-lonely-4": b"".join(bytes((c, 0x20)) for c in range(0xF0, 0xF8)),
    "6.13.4-all-lonely-5": b"".join(bytes((c, 0x20)) for c in range(0xF8, 0xFC)),
    "6.13.5-all-lonely-6": b"\xfc \xfd ",
    "6.14.1-last-byte-missing-2": b"\xc0",
    "6.14.2-last-byte-missing-3": b"\xe0\x80",
    "6.14.3-last-byte-missing-4": b"\xf0\x80\x80",
    "6.14.4-last-byte-missing-5": b"\xf8\x80\x80\x80",
    "6.14.5-last-byte-missing-6": b"\xfc\x80\x80\x80\x80",
    "6.14.6-last-byte-missing-df": b"\xdf",
    "6.14.7-last-byte-missing-ef": b"\xef\xbf",
    "6.14.8-last-byte-missing-f7": b"\xf7\xbf\xbf",
    "6.14.9-last-byte-missing-fb": b"\xfb\xbf\xbf\xbf",
    "6.14.10-last-byte-missing-fd": b"\xfd\xbf\xbf\xbf\xbf",
    "6.14.11-last-byte-missing-f4": b"\xf4\x8f\xbf",
    "6.14.12-next-character-instead": b"\xe2\x82\xe2\x82\xac",
    "6.15.1-all-of-these": b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
    "6.16.1-fe": b"\xfe",
    "6.16.2-ff": b"\xff",
    "6.16.3-fefeffff": b"\xfe\xfe\xff\xff",
    "6.17.1-overlong-slash-2": b"\xc0\xaf",
    "6.17.2-overlong-slash-3": b"\xe0\x80\xaf",
    "6.17.3-overlong-slash-4": b"\xf0\x80\x80\xaf",
    "6.17.4-overlong-slash-5": b"\xf8\x80\x80\x80\xaf",
    "6.17.5-overlong-slash-6": b"\xfc\x80\x80\x80\x80\xaf",
    "6.18.1-last-overlong-2": b"\xc1\xbf",
    "6.18.2-last-overlong-3": b"\xe0\x9f\xbf",
    "6.18.3-last-overlong-4": b"\xf0\x8f\xbf\xbf",
    "6.18.4-last-overlong-5": b"\xf8\x87\xbf\xbf\xbf",
    "6.18.5-last-overlong-6": b"\xfc\x83\xbf\xbf\xbf\xbf",
    "6.19.1-overlong-nul-2": b"\xc0\x80",
    "6.19.2-overlong-nul-3": b"\xe0\x80\x80",
    "6.19.3-overlong-nul-4": b"\xf0\x80\x80\x80",
    "6.19.4-overlong-nul-5": b"\xf8\x80\x80\x80\x80",
    "6.19.5-overlong-nul-6": b"\xfc\x80\x80\x80\x80\x80",
}
for _group, _surrogates in (
        ("6.20", ("d800", "db7f", "db80", "dbff", "dc00", "df80", "dfff")),
        ("6.21", ("d800+dc00", "d800+dfff", "db7f+dc00", "db7f+dfff", "db80+dc00", "db80+dfff", "dbff+dc00",
                  "dbff+dfff"))):
    for _i, _name in enumerate(_surrogates):
        INVALID[f"{_group}.{_i + 1}-surrogate-{_name}"] = b"".join(
            chr(int(c, 16)).encode("utf-8", "surrogatepass") for c in _name.split("+"))

WAYS = {
    "whole": lambda payload: ([text(payload)], None),
    "octetwise": lambda payload: ([text(payload)], 1),
    "fragment-an-octet": lambda payload: ([fragments(TEXT, payload, 1)], None),
    "behind-64-ascii": lambda payload: ([text(b"a" * 64 + payload)], None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("payload", VALID.values(), ids=VALID)
def test_6_utf8_valid(daemon, payload, way):
    sent, chop = WAYS[way](payload)
    whole = b"a" * 64 + payload if way == "behind-64-ascii" else payload
    daemon.open().exchange(sent, [(TEXT, whole)], None, chop)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
def test_6_utf8_invalid(daemon, payload, way):
    sent, chop = WAYS[way](payload)
    daemon.open().exchange(sent, [], 1007, chop)


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
def test_6_binary_is_not_judged(daemon, payload):
    daemon.open().exchange([binary(payload)], [(BINARY, payload)])


@pytest.mark.parametrize("sent, whole", [
    pytest.param([text(fin=False), cont(fin=False), cont()], b"", id="6.1.2-three-empty"),
    pytest.param([text(fin=False), cont("middle", fin=False), cont()], b"middle", id="6.1.3-middle-of-three"),
    pytest.param([text("Hello-µ@ßöä", fin=False), cont("üàá-UTF-8!!")], "Hello-µ@ßöäüàá-UTF-8!!".encode(),
                 id="6.2.2-on-a-border"),
    pytest.param([text(b"\xe2", fin=False), cont(fin=False), cont(b"\x82", fin=False), ping("x"), cont(b"\xac")],
                 "€".encode(), id="6.2.5-character-in-three-with-ping"),
])
def test_6_utf8_fragments(daemon, sent, whole):
    pong = [(PONG, b"x")] if len(sent) == 5 else []
    daemon.open().exchange(sent, pong + [(TEXT, whole)])


# 6.4 Fail fast: the Close must come when the text can no longer become valid, while the message still goes on. Sent is
# what makes it so; what would follow is never sent.

FAST = {
    "6.4.1-in-second-fragment": [text(KOSME, fin=False), cont(b"\xf4\x90\x80\x80", fin=False)],
    "6.4.2-character-over-two-fragments": [text(KOSME + b"\xf4", fin=False), cont(b"\x90", fin=False)],
    "6.4.3-inside-a-frame": [text(KOSME + b"\xf4\x90\x80\x80edited")[:-6]],
    "6.4.4-inside-a-character": [text(KOSME + b"\xf4\x90\x80\x80edited")[:-8]],
    "6.4.5-first-octet": [text(b"\xff", fin=False)],
    "6.4.6-overlong-second-octet": [text(b"\xe0\x80", fin=False)],
    "6.4.7-surrogate-second-octet": [text(b"\xed\xa0", fin=False)],
    "6.4.8-ascii-instead-of-continuation": [text(b"\xe2\x82a", fin=False)],
    "6.4.9-unfinished-at-the-end": [text(b"abc\xe2", fin=False), cont(b"\x82")],
}


@pytest.mark.parametrize("pause", [0, 0.05], ids=["at-once", "paused"])
@pytest.mark.parametrize("sent", FAST.values(), ids=[f"{name}-fail-fast" for name in FAST])
def test_6_4_fail_fast(daemon, sent, pause):
    client = daemon.open()
    for one in sent:
        client.send(one)
        time.sleep(pause)
    client.expect_close(1007)


def test_6_bad_text_split_at_every_byte(daemon):
    """The verdict does not depend on where the text is cut, be it into frames or segments."""
    bad = b"ab\xf0\x9f\x9a\x80cd\xed\xa0\x80ef"
    for at in range(len(bad) + 1):
        daemon.open().exchange([text(bad[:at], fin=False) + cont(bad[at:])], [], 1007)
    whole = text(bad)
    for at in range(1, len(whole)):
        client = daemon.open()
        client.try_send(whole[:at])
        client.try_send(whole[at:])
        client.expect_close(1007)


def test_6_good_text_split_at_every_byte(daemon):
    good = "aß€🚀z".encode()
    client = daemon.open()
    for at in range(len(good) + 1):
        client.send(text(good[:at], fin=False))
        client.send(cont(good[at:]))
        assert client.read_message() == (TEXT, good)
    client.finish()


# 7 Closing. The echo answers with the code it got.

CLOSES = {
    "7.1.1-behind-a-message": ([text("Hello World!"), close(1000)], [(TEXT, "Hello World!")], 1000),
    "7.1.2-twice": ([close(1000), close(1000)], [], 1000),
    "7.1.3-ping-behind": ([close(1000), ping("x")], [], 1000),
    "7.1.4-text-behind": ([close(1000), text("x")], [], 1000),
    "7.1.4-text-behind-in-one-segment": ([close(1000) + text("x")], [], 1000),
    "7.1.5-in-a-message": ([text(F1, fin=False), close(1000), cont(F2)], [], 1000),
    "7.1.7-garbage-behind": ([close(1000), b"\xff" * 100], [], 1000),
    "7.3.1-empty": ([close()], []),
    "7.3.2-one-byte": ([frame(CLOSE, b"a")], [], 1002),
    "7.3.3-code": ([close(1000)], [], 1000),
    "7.3.4-code-and-reason": ([close(1000, HELLO)], [], 1000),
    "7.3.5-longest-reason": ([close(1000, "*" * 123)], [], 1000),
    "7.3.6-reason-too-long": ([close(1000, "*" * 124)], [], 1002),
    "7.3.7-octetwise": ([close(1000, "*" * 123)], [], 1000, 1),
    "7.5.1-reason-not-utf-8": ([close(1000, KOSME + b"\xed\xa0\x80edited")], [], 1007),
    "7.5.2-reason-utf-8": ([close(1000, KOSME)], [], 1000),
    "7.5.3-reason-ends-in-a-character": ([close(1000, KOSME[:-1])], [], 1007),
    "7.13.1-code-5000": ([close(5000)], [], 1002),
    "7.13.2-code-65535": ([close(65535)], [], 1002),
}
for _i, _code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
                            1012, 1013, 1014)):
    CLOSES[f"7.7.{_i + 1}-code-{_code}"] = ([close(_code)], [], _code)
    CLOSES[f"7.7.{_i + 1}-code-{_code}-with-reason"] = ([close(_code, "why")], [], _code)
for _i, _code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1015)):
    CLOSES[f"7.9.{_i + 1}-code-{_code}"] = ([close(_code)], [], 1002)
    CLOSES[f"7.9.{_i + 1}-code-{_code}-with-reason"] = ([close(_code, "why")], [], 1002)


@pytest.mark.parametrize("sent, expected, code, chop", rows(CLOSES))
def test_7_close(daemon, sent, expected, code, chop):
    client = daemon.open()
    if chop:
        client.try_send(b"".join(sent), chop)
    else:
        for one in sent:
            client.try_send(one)
    for opcode, payload in expected:
        got = client.read_frame()
        assert (got.opcode, got.payload) == (opcode, payload.encode())
    client.expect_close(code, answer=code in (1002, 1007))


def test_7_1_6_close_behind_a_big_message(daemon):
    """Everything sent before the Close comes back before the Close does."""
    client = daemon.open()
    big = "BAsd7&jh23" * 26 * KIB
    client.exchange([text(big), text("Hello World!"), close(1000), ping()], [(TEXT, big), (TEXT, "Hello World!")], 1000)


def test_7_close_reason_bad_at_every_byte(daemon):
    for at in range(0, 121):
        client = daemon.open()
        client.send(close(1000, b"r" * at + b"\xff"))
        client.expect_close(1007)


def test_7_close_never_answered(daemon):
    """A client that is told to go and neither answers nor goes is left in the end."""
    client = daemon.open()
    client.send(text("x", rsv=1))
    got = client.read_frame()
    assert (got.opcode, got.code) == (CLOSE, 1002)
    client.read_to_end()


def test_7_close_is_not_cut_off_by_a_rst(wsluice):
    """Whoever closes a socket with bytes unread sends a RST, and that can overtake the Close (RFC 6455, 7.1.1)."""
    client = wsluice("--to", "echo:", frozen=True).open()  # time does not run out for a client that is slow
    client.send(text("x", rsv=1) + b"unread" * 50_000)
    got = client.read_frame()
    assert (got.opcode, got.code) == (CLOSE, 1002)
    client.half_close()
    _, was_reset = client.read_to_end()
    assert not was_reset


def test_7_half_closed_without_a_close(daemon):
    """FIN instead of a Close: what was sent before is still answered, then the connection ends."""
    client = daemon.open()
    client.send(text("last words"))
    client.half_close()
    got = client.read_frame()
    assert (got.opcode, got.payload) == (TEXT, b"last words")
    rest, was_reset = client.read_to_end()
    assert not was_reset and (rest == b"" or rest[0] == 0x80 | CLOSE)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_7_frames_cut_at_every_byte(daemon, how):
    """The end of TCP at any place in a frame: the session is gone, the others do not notice."""
    good = daemon.open()
    sent = text(F1, fin=False) + ping("p") + cont(b"\xc3\xa4" + b"x" * 150) + close(1000, "bye")
    for at in range(len(sent)):
        client = daemon.open()
        client.send(sent[:at])
        if how == "rst":
            client.rst()
        else:
            client.half_close()
            client.read_to_end()
            client.close()
    good.text("unharmed")
    assert good.read_message() == (TEXT, b"unharmed")


# 9 Limits. Big messages whole, in fragments, in chops; many round trips. (The suite's counts, some of them reduced.)


def big_message(opcode, size):
    """Not a power of two repeats itself, so that nothing falls on a border by chance."""
    pattern = "äöüß€🚀0123456789abcdefgh".encode() if opcode == TEXT else bytes(range(223, 256))
    return (pattern * (size // len(pattern))).ljust(size, b"~")


@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB],
                         ids=["1-64K", "2-256K", "3-1M", "4-4M", "5-8M", "6-16M"])
@pytest.mark.parametrize("opcode", [pytest.param(TEXT, id="9.1"), pytest.param(BINARY, id="9.2")])
def test_9_message_whole(daemon, opcode, size):
    message = big_message(opcode, size)
    client = daemon.open(connect=dict(timeout=2 * SOON))
    client.stream([frame(opcode, message)])
    got = client.read_frame()
    assert got.opcode == opcode and got.fin and got.payload == message
    client.finish()


@pytest.mark.parametrize("size", [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB])
@pytest.mark.parametrize("opcode", [pytest.param(TEXT, id="9.3"), pytest.param(BINARY, id="9.4")])
def test_9_message_in_fragments(daemon, opcode, size):
    message = big_message(opcode, 4 * MIB if size >= KIB else MIB)
    client = daemon.open(connect=dict(timeout=2 * SOON))
    client.stream([fragments(opcode, message, size)])
    got = client.read_frame()
    assert got.opcode == opcode and got.fin and got.payload == message
    client.finish()


@pytest.mark.parametrize("chop", [64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("opcode", [pytest.param(TEXT, id="9.5"), pytest.param(BINARY, id="9.6")])
def test_9_message_in_chops(daemon, opcode, chop):
    message = big_message(opcode, MIB if chop >= 512 else 128 * KIB)
    client = daemon.open()
    sent = frame(opcode, message)
    client.stream((sent[i : i + chop] for i in range(0, len(sent), chop)))
    got = client.read_frame()
    assert got.opcode == opcode and got.fin and got.payload == message
    client.finish()


@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize("opcode", [pytest.param(TEXT, id="9.7"), pytest.param(BINARY, id="9.8")])
def test_9_round_trips(daemon, opcode, size):
    client = daemon.open()
    message = b"*" * size
    sent = frame(opcode, message)
    for _ in range(300):
        client.send(sent)
        got = client.read_frame()
        assert (got.opcode, got.payload) == (opcode, message)
    client.finish()


def test_9_many_messages_at_once(daemon):
    """A thousand messages of all sizes, never waiting: all come back, in order, byte for byte."""
    client = daemon.open(connect=dict(timeout=2 * SOON))
    messages = [(TEXT if i % 3 else BINARY, b"%d|" % i + b"." * (i * 37 % 3000)) for i in range(1000)]
    client.stream([frame(*m) for m in messages])
    for message in messages:
        assert client.read_message() == message
    client.finish()


# All of it mixed, by chance; the seed is in the name of the test.


def random_traffic(rng):
    """Returns (frames to send, (opcode, payload) to expect): messages of all kinds, cut anyhow, pings anywhere."""
    sent, expected = [], []

    def maybe_ping():
        if rng.random() < 0.2:
            payload = rng.randbytes(rng.randrange(126))
            sent.append(frame(rng.choice((PING, PING, PONG)), payload))
            if sent[-1][0] & 15 == PING:
                expected.append((PONG, payload))

    for _ in range(rng.randrange(1, 30)):
        opcode = rng.choice((TEXT, BINARY))
        size = rng.choice((0, 1, 3, 10, 125, 126, 127, 1000, 65535, 65536, 100_000))
        size = rng.randrange(size + 1) if rng.random() < 0.5 else size
        letters = "".join(rng.choices("aä€🚀 \0", k=size // 2)).encode()
        payload = letters if opcode == TEXT else rng.randbytes(size)
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.choice((0, 0, 1, 2, 20))))
        borders = [0, *cuts, len(payload)]
        for i, (start, end) in enumerate(zip(borders, borders[1:])):
            maybe_ping()
            sent.append(frame(opcode if i == 0 else CONT, payload[start:end], fin=i == len(cuts)))
        expected.append((opcode, payload))
    return sent, expected


@pytest.mark.parametrize("seed", range(40))
def test_random_traffic(daemon, seed):
    rng = random.Random(seed)
    sent, expected = random_traffic(rng)
    whole = b"".join(sent)
    chop = rng.choice((None, 1448, 997, 4096, 65536, max(1, len(whole) // 500)))
    client = daemon.open()
    client.stream([whole] if chop is None else (whole[i : i + chop] for i in range(0, len(whole), chop)))
    for opcode, payload in expected:
        got = client.read_frame()
        assert got.fin and (got.opcode, got.payload) == (opcode, payload), f"{got} instead of {opcode}: {len(payload)}"
    client.finish()


@pytest.mark.parametrize("seed", range(10))
def test_random_traffic_with_a_bit_flipped(daemon, seed):
    """Whatever comes of it: frames that are right in themselves, at most one Close as the last, and an end."""
    rng = random.Random(1000 + seed)
    sent, _ = random_traffic(rng)
    for _ in range(20):
        wrong = bytearray(b"".join(sent)[:20_000])
        wrong[rng.randrange(min(200, len(wrong)))] ^= 1 << rng.randrange(8)
        client = daemon.open()
        client.stream([bytes(wrong)]).join()
        try:
            client.half_close()
            while client.read_frame().opcode != CLOSE:
                pass
            rest, _ = client.read_to_end()
            assert rest == b""
        except (Ended, OSError):
            pass
        client.close()
