# SPDX-License-Identifier: MIT
"""Messages and bytes: what `lines`, `stream` and `text` make of each other's ends, on real programs."""

import pytest

from lib import peers
from lib.tools import JSON, ended, py, sh, to_the_close
from lib.wire import BINARY, TEXT, Closed, fragments, frame


def says(data, framing="lines", *options):
    """Options for a daemon with a program that writes data at once and ends. Octal escapes only."""
    octal = "".join(f"\\{byte:03o}" for byte in data)
    return ["--framing", framing, *options, *sh(f"printf '{octal}'")]


def messages_of(daemon):
    """All messages of a program that ends with 0."""
    code, reason, messages = to_the_close(daemon.open())
    assert (code, reason) == (1000, "exit 0")
    return messages


def texts(*wanted):
    return [(TEXT, w if isinstance(w, bytes) else w.encode()) for w in wanted]


# lines, program to client.

LINES = {
    "one": (b"one\n", ["one"]),
    "two": (b"one\ntwo\n", ["one", "two"]),
    "unterminated tail": (b"one\ntwo", ["one", "two"]),
    "only a tail": (b"one", ["one"]),
    "nothing": (b"", []),
    "cr lf is cut": (b"one\r\ntwo\r\n", ["one", "two"]),
    "only one cr is cut": (b"one\r\r\n", ["one\r"]),
    "a cr inside is text": (b"a\rb\n", ["a\rb"]),
    "a cr at the very end is text": (b"one\r", ["one\r"]),
    "empty lines are messages": (b"\n\n\na\n\n", ["", "", "", "a", ""]),
    "empty lines with cr": (b"\r\n\r\n", ["", ""]),
    "lf cr is no line end": (b"a\n\rb\n", ["a", "\rb"]),
    "nul": (b"a\0b\n", ["a\0b"]),
    "utf-8": ("grüße 漢字 😀\n".encode(), ["grüße 漢字 😀"]),
}


@pytest.mark.parametrize("data, wanted", LINES.values(), ids=LINES.keys())
def test_lines_to_the_client(wsluice, data, wanted):
    assert messages_of(wsluice(*says(data))) == texts(*wanted)


@pytest.mark.parametrize("data, wanted", LINES.values(), ids=LINES.keys())
def test_lines_written_byte_by_byte(wsluice, data, wanted):
    """A line is a line: a writer that pauses in the middle of one, of a character or of \\r\\n does not split it."""
    daemon = wsluice(*py(f"import os, time\nfor b in {data!r}:\n os.write(1, bytes([b])); time.sleep(0.002)"))
    assert messages_of(daemon) == texts(*wanted)


# lines, client to program: `cat -A` and the like show what arrived.

def test_lines_to_the_program(wsluice):
    client = wsluice("--eof-on-empty", *sh("exec od -An -v -tx1 -w64")).open()
    client.send(frame(TEXT, "a") + frame(TEXT, "\n") + frame(BINARY, b"b\r")
                + frame(TEXT, "c\nd") + frame(TEXT))
    code, _, messages = to_the_close(client)
    assert code == 1000
    assert bytes.fromhex(b"".join(m.data for m in messages).decode()) == b"a\n\n\nb\r\nc\nd\n"


def test_lines_empty_messages_are_empty_lines(wsluice):
    client = wsluice("--", "cat", "-n").open()
    client.send(frame(TEXT, "") + frame(TEXT, "x") + frame(BINARY, ""))
    assert [client.read_message().data.strip() for _ in range(3)] == [b"1", b"2\tx", b"3"]


def test_lines_inner_newline_makes_two_lines(wsluice):
    client = wsluice("--", "cat").open()
    client.text("one\ntwo")
    assert [client.read_message(), client.read_message()] == texts("one", "two")
    client.text("three\n")
    assert [client.read_message(), client.read_message()] == texts("three", "")


def test_lines_a_fragmented_message_is_one_line(wsluice):
    client = wsluice("--", "cat").open()
    client.send(fragments(TEXT, "grüße aus Köln".encode(), 3))
    assert client.read_message() == texts("grüße aus Köln")[0]


def test_lines_many_messages_in_one_segment(wsluice):
    """The daemon gathers them into one write in its receive buffer: none may touch its neighbour."""
    client = wsluice("--", "cat").open()
    wanted = [str(i) * (i % 7) for i in range(3000)]
    client.send(b"".join(frame(TEXT, w) for w in wanted))
    assert [client.read_message().data.decode() for _ in wanted] == wanted


def test_lines_longer_than_any_buffer(wsluice):
    client = wsluice("--", "cat").open()
    for size in (65535, 65536, 200_000, 1_000_000):
        line = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        client.text(line)
        assert client.read_message() == (TEXT, line)


# max-message.

def test_max_message_1009_for_the_client(wsluice):
    daemon = wsluice("--max-message", "1000", "--", "cat")
    client = daemon.open()
    client.text("x" * 1000)
    assert client.read_message() == (TEXT, b"x" * 1000)
    client.text("x" * 1001)
    assert "--max-message" in client.expect_close(1009)
    client = daemon.open()
    client.send(fragments(TEXT, b"x" * 1001, 100))
    assert "--max-message" in client.expect_close(1009)


@pytest.mark.parametrize("data, delivered", [(b"x" * 1001, 0), (b"fine\\n" + b"x" * 1001, 1), (b"x" * 1001 + b"\\n", 0)],
                         ids=["unterminated", "behind a good line", "terminated"])
def test_max_message_1009_for_the_program(wsluice, data, delivered):
    daemon = wsluice("--max-message", "1000", *JSON, *sh(f"printf '{data.decode()}'; exec cat"))
    code, reason, messages = to_the_close(daemon.open())
    assert code == 1009 and "--max-message" in reason and messages == texts("fine")[:delivered]
    assert ended(daemon)["code"] == 1009


def test_max_message_exactly_is_allowed_for_the_program(wsluice):
    daemon = wsluice("--max-message", "1000", *sh(f"printf '%s\\n%s' {'x' * 1000} {'y' * 1000}"))
    assert messages_of(daemon) == texts("x" * 1000, "y" * 1000)


@pytest.mark.parametrize("framing", ["stream", "text"])
def test_no_max_message_where_nothing_is_assembled(wsluice, framing):
    client = wsluice("--max-message", "1000", "--framing", framing, "--", "cat").open()
    client.send(frame(TEXT, b"x" * 100_000))
    got = b""
    while len(got) < 100_000:
        got += client.read_message().data
    assert got == b"x" * 100_000


# stream and text.

def test_stream_passes_bytes_as_they_arrive(wsluice):
    """Not only whole messages: the first fragment is at the program before the second exists."""
    client = wsluice("--framing", "stream", "--", "cat").open()
    client.send(frame(BINARY, b"first", fin=False))
    assert client.read_message() == (BINARY, b"first")
    client.send(frame(0, b"second", fin=True))
    assert client.read_message() == (BINARY, b"second")


def test_stream_part_of_a_frame_is_passed_on(wsluice):
    client = wsluice("--framing", "stream", "--", "cat").open()
    whole = frame(BINARY, b"0123456789")
    client.send(whole[:10])
    assert client.read_message() == (BINARY, b"0123")
    client.send(whole[10:])
    assert client.read_message() == (BINARY, b"456789")


def test_stream_keeps_every_byte(wsluice):
    client = wsluice("--framing", "stream", "--", "cat").open()
    data = bytes(range(256)) * 8
    client.text("text is accepted too: ü")
    client.binary(data)
    want, got = "text is accepted too: ü".encode() + data, b""
    while len(got) < len(want):
        message = client.read_message()
        assert message.opcode == BINARY
        got += message.data
    assert got == want


@pytest.mark.parametrize("pause", [0, 0.01])
def test_text_is_cut_between_characters_only(wsluice, pause):
    """read_message() decodes each message by itself, and the program writes characters in pieces."""
    word = "aé漢😀\n"
    daemon = wsluice("--framing", "text", *py(f"""
import os, time
for b in {word.encode()!r} * 5:
    os.write(1, bytes([b]))
    time.sleep({pause})"""))
    messages = messages_of(daemon)
    assert b"".join(m.data for m in messages) == word.encode() * 5
    assert all(m.opcode == TEXT for m in messages)


def test_text_over_the_borders_of_reads(wsluice):
    """Characters of 3 bytes never fit a buffer whose size is a power of 2."""
    daemon = wsluice("--framing", "text", *py("import sys\nsys.stdout.buffer.write('漢'.encode() * 200_000)"))
    messages = messages_of(daemon)
    assert b"".join(m.data for m in messages).decode() == "漢" * 200_000 and len(messages) > 1


@pytest.mark.parametrize("tail", ["é", "漢", "😀"])
def test_text_unfinished_character_at_the_end(wsluice, tail):
    for n in range(1, len(tail.encode())):
        data = b"ok" + tail.encode()[:n]
        messages = messages_of(wsluice(*says(data, "text")))
        assert b"".join(m.data for m in messages).decode().rstrip("\ufffd") == "ok"
        assert b"".join(m.data for m in messages).decode() != "ok", "the tail is lost without a sign"


# invalid-utf8 and frames.

BAD = b"good\nb\xffd\n\xc3\n\xe2\x82\nlast\n"


def test_invalid_utf8_replace(wsluice):
    got = [m.data.decode() for m in messages_of(wsluice(*says(BAD)))]
    assert got == ["good", "b\ufffdd", "\ufffd", "\ufffd", "last"]


def test_invalid_utf8_binary(wsluice):
    got = messages_of(wsluice(*says(BAD, "lines", "--invalid-utf8", "binary")))
    assert got == [(TEXT, b"good"), (BINARY, b"b\xffd"), (BINARY, b"\xc3"), (BINARY, b"\xe2\x82"), (TEXT, b"last")]


def test_invalid_utf8_close(wsluice):
    code, reason, messages = to_the_close(wsluice(*says(BAD, "lines", "--invalid-utf8", "close")).open())
    assert code == 1011 and "UTF-8" in reason and messages == texts("good")


@pytest.mark.parametrize("framing", ["lines", "text"])
def test_invalid_utf8_of_the_client_is_1007(wsluice, framing):
    client = wsluice("--framing", framing, "--", "cat").open()
    client.send(frame(TEXT, b"b\xffd"))
    code, _, messages = to_the_close(client)
    assert code == 1007 and messages == []


def test_invalid_utf8_stream_text_frame_is_1007(wsluice):
    client = wsluice("--framing", "stream", "--", "cat").open()
    client.send(frame(TEXT, b"\xff"))
    client.expect_close(1007)


def test_binary_of_the_client_is_not_judged(wsluice):
    client = wsluice("--frames", "binary", "--", "cat").open()
    client.binary(b"b\xffd")
    assert client.read_message() == (BINARY, b"b\xffd")


@pytest.mark.parametrize("framing", ["lines", "stream", "text"])
@pytest.mark.parametrize("frames, opcode", [("text", TEXT), ("binary", BINARY), ("framing", None)])
def test_frames(wsluice, framing, frames, opcode):
    own = BINARY if framing == "stream" else TEXT
    messages = messages_of(wsluice(*says(b"word\n", framing, "--frames", frames)))
    assert [m.opcode for m in messages] == [opcode or own]


def test_frames_text_on_a_stream_is_still_utf8(wsluice):
    messages = messages_of(wsluice(*says(b"a\xff\xc3", "stream", "--frames", "text")))
    assert b"".join(m.data for m in messages).decode() == "a\ufffd\ufffd"


def test_frames_text_on_a_stream_waits_for_the_rest_of_a_character(wsluice):
    """`stream` cut at any byte, sent as text: a character in two reads must arrive as itself."""
    daemon = wsluice("--framing", "stream", "--frames", "text",
                     *py("import os, time\nfor b in '漢字'.encode(): os.write(1, bytes([b])); time.sleep(0.02)"))
    assert b"".join(m.data for m in messages_of(daemon)).decode() == "漢字"


# partial-lines.

def test_partial_lines_never_by_default(wsluice):
    client = wsluice(*sh("printf 'prompt> '; read x; echo got $x")).open()
    assert client.silent(0.4)
    client.text("42")
    assert client.read_message() == texts("prompt> got 42")[0]


def test_partial_lines_show_a_prompt(wsluice):
    daemon = wsluice("--partial-lines", "10s", *sh("printf 'prompt> '; echo written >&2; read x; echo got $x; echo end"), frozen=True)
    client = daemon.open()
    daemon.wait_for_log("written")
    daemon.inside.advance(9.9)
    assert client.silent(0.05)
    daemon.inside.advance(0.2)
    client.read_message()
    client.text("42")
    assert [client.read_message(), client.read_message()] == texts("got 42", "end")


def test_partial_lines_do_not_cut_a_line_written_quickly(wsluice):
    daemon = wsluice("--partial-lines", "1s", *sh("for i in 1 2 3 4 5; do printf $i; sleep 0.02; done; echo; exit 0"))
    assert messages_of(daemon) == texts("12345")


def test_partial_lines_newline_after_the_pause(wsluice):
    """The part that was shown is over; what follows begins anew, and the \\n that ends it is an empty rest."""
    daemon = wsluice("--partial-lines", "50ms", *sh("printf abc; sleep 0.5; printf 'def\\n'; exit 0"))
    assert messages_of(daemon) == texts("abc", "def")


def test_partial_lines_of_half_a_character(wsluice):
    """What goes out must be valid at every cut."""
    daemon = wsluice("--partial-lines", "50ms", *sh("printf 'x\\303'; sleep 0.4; printf '\\251\\n'; exit 0"))
    messages = messages_of(daemon)  # read_message() has decoded each
    assert messages[0].data.startswith(b"x")
    assert b"".join(m.data for m in messages).decode() == "xé", "a character torn by our pause is lost"


# eof-on-empty.

def test_eof_on_empty_sort(wsluice):
    client = wsluice("--eof-on-empty", "--", "sort").open()
    client.send(b"".join(frame(TEXT, w) for w in ("pear", "apple", "fig")) + frame(TEXT))
    code, reason, messages = to_the_close(client)
    assert (code, reason, messages) == (1000, "exit 0", texts("apple", "fig", "pear"))


@pytest.mark.parametrize("empty", [frame(TEXT), frame(BINARY)], ids=["text", "binary"])
def test_eof_on_empty_wc(wsluice, empty):
    client = wsluice("--eof-on-empty", "--framing", "stream", "--", "wc", "-c").open()
    client.send(frame(BINARY, b"x" * 100_000) + empty + frame(BINARY, b"behind the end"))
    code, _, messages = to_the_close(client)
    assert code == 1000 and b"".join(m.data for m in messages).strip() == b"100000"


def test_eof_on_empty_is_off_by_default(wsluice):
    client = wsluice("--", "cat").open()
    client.text("")
    assert client.read_message() == texts("")[0]


def test_eof_on_empty_of_a_service(wsluice, server):
    server_ = server(peers.echo)
    client = wsluice("--eof-on-empty", "--to", server_.to).open()
    client.send(frame(BINARY, b"all of it") + frame(BINARY))
    code, _, messages = to_the_close(client)
    assert code == 1000 and b"".join(m.data for m in messages) == b"all of it"


def test_closed_raises_nothing_between(wsluice):
    """A program's last output and its Close come in this order, nothing behind."""
    client = wsluice(*sh("echo last")).open()
    assert client.read_message() == texts("last")[0]
    with pytest.raises(Closed) as closed:
        client.read_message()
    assert closed.value.code == 1000
