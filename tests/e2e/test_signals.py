# SPDX-License-Identifier: MIT
"""Signals that clients send to programs on pipes, by the subprotocol channels.wsluice: what is allowed, for every framing, and no more."""

import json
import signal

import pytest

from lib.daemon import command_line
from lib.tools import PYTHON, py, sh
from lib.wire import BINARY, TEXT, fragments, frame

NAME = "channels.wsluice"
# Says what it gets, line by line, signals too; ends at the third.
SAYS = ("import os, signal, sys\n"
        "seen = 0\n"
        "def got(number, _):\n"
        "    global seen; seen += 1\n"
        "    os.write(1, (signal.Signals(number).name + chr(10)).encode())\n"
        "    if seen == 3: os._exit(9)\n"
        "for n in (signal.SIGINT, signal.SIGUSR1): signal.signal(n, got)\n"
        "os.write(1, b'ready' + bytes([10]))\n"
        "while True:\n"
        "    data = os.read(0, 4096)\n"
        "    if not data: break\n"
        "    os.write(1, data)\n")


def about(what, opcode=TEXT):
    return frame(opcode, b"\3" + (what if isinstance(what, bytes) else json.dumps(what).encode()))


def opened(daemon):
    client = daemon.connect()
    response = client.upgrade("/", protocols=NAME)
    assert (response.status, response.get("Sec-WebSocket-Protocol")) == (101, NAME)
    return client


def says(client):
    data = client.read_message()[1]
    assert data[:1] in (b"\1", b"\2")
    return data[1:].rstrip(b"\n")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("framing", ["lines", "stream", "text", "crlf"])
def test_signals_and_input(wsluice, framing, opcode):
    daemon = wsluice("--signals", "INT,USR1", "--framing", framing, *py(SAYS))
    client = opened(daemon)
    assert says(client) == b"ready"
    client.send(about({"signal": "INT"}, opcode))
    assert says(client) == b"SIGINT"
    client.send(frame(opcode, b"\0hello\n"))
    assert says(client).strip() == b"hello"
    if framing in ("lines", "crlf"):
        assert says(client).strip() == b""
    client.send(about({"signal": "USR1", "more": [1]}, opcode))
    assert says(client) == b"SIGUSR1"
    client.send(about({}, opcode))  # of nothing that we know
    client.send(about({"signal": "INT"}, opcode))
    assert says(client) == b"SIGINT"
    assert client.read_close()[0] == 4009


@pytest.mark.parametrize("framing", ["nul", "len32", "netstring", "lsp", "tagged"])
def test_framings_with_borders_get_what_is_behind_the_byte(wsluice, framing):
    """cat gives back what it got: byte for byte the message, but for the byte that says from where."""
    client = opened(wsluice("--signals", "INT", "--framing", framing, "--", "cat"))
    for size in (0, 1, 125, 126, 70000):
        payload = b"x" * size
        client.send(frame(TEXT, b"\0" + payload))
        assert client.read_message()[1] == b"\1" + payload
        client.send(fragments(TEXT, b"\0" + payload, 1 if size < 200 else 5000))
        assert client.read_message()[1] == b"\1" + payload
    client.send(about({"signal": "INT"}))
    assert client.read_close()[0] == 4300 + signal.SIGINT


def test_pieces_of_all_kinds(wsluice):
    """The byte alone, and empty frames before it."""
    client = opened(wsluice("--signals", "INT", "--", "cat"))
    client.send(frame(TEXT, b"", fin=False) + frame(0, b"\0", fin=False) + frame(0, b"", fin=False) + frame(0, b"hi"))
    assert client.read_message()[1] == b"\1hi"
    client.send(frame(TEXT, b""))  # nothing at all
    client.send(fragments(TEXT, b'\3{"signal":"INT"}', 1))
    assert client.read_close()[0] == 4300 + signal.SIGINT


def test_with_compression_and_end_of_input(wsluice):
    client = opened(wsluice("--signals", "INT", "--eof-on-empty", "--", "cat"))
    client.send(frame(TEXT, b"\0x") + frame(TEXT, b"\0"))
    assert client.read_message()[1] == b"\1x"
    assert client.read_close()[0] == 1000


def test_stderr_beside_it(wsluice):
    client = opened(wsluice("--signals", "INT", "--stderr", "message", *sh("echo out; echo err >&2; read x")))
    assert {client.read_message()[1], client.read_message()[1]} == {b"\1out", b"\2err"}


def test_the_whole_group_hears_it(wsluice):
    """As of a key: also what a shell has started in the foreground."""
    client = opened(wsluice("--signals", "INT", *sh("trap 'echo shell' INT; sh -c 'trap \"echo child; exit\" INT; echo ready; while :; do sleep 0.05; done'")))
    assert says(client) == b"ready"
    client.send(about({"signal": "INT"}))
    assert {says(client), says(client)} == {b"shell", b"child"}


@pytest.mark.parametrize("message, code, why", [
    (about({"signal": "KILL"}), 1008, "not allowed"),
    (about({"signal": "SIGINT"}), 1002, "no such signal"),
    (about({"signal": 2}), 1002, "no such signal"),
    (about(b"INT"), 1002, "JSON object"),
    (about(b"[]"), 1002, "JSON object"),
    (about(b""), 1002, "JSON object"),
    (frame(TEXT, b"hello"), 1002, "byte 0"),
    (frame(BINARY, b"\xff"), 1002, "byte 0"),
    (frame(TEXT, b"\1hello"), 1002, "byte 0"),
    (about(b" " * 5000), 1009, "4096"),
], ids=["not-allowed", "SIG-before-it", "number", "word", "list", "nothing", "no-channel", "no-such-channel", "output", "long"])
def test_what_is_wrong_ends_the_session(wsluice, message, code, why):
    client = opened(wsluice("--signals", "INT", "--", "cat"))
    client.send(message)
    assert why in client.expect_close(code)


def test_only_who_asks_for_it_speaks_so(wsluice):
    """Others send and get plain messages, whatever is in them."""
    daemon = wsluice("--signals", "INT", "--", "cat")
    client = daemon.open()
    client.text('\3{"signal":"INT"}')
    assert client.read_message()[1] == b'\3{"signal":"INT"}'
    client.finish()


@pytest.mark.parametrize("args", [["--", "cat"], ["--signals", "INT", "--pty", "--", "cat"], ["--signals", "INT", "--to", "echo:"]],
                         ids=["no-signals", "terminal", "echo"])
def test_without_signals_the_name_means_nothing(wsluice, args):
    response = wsluice(*args).connect().upgrade("/", protocols=NAME + ", other")
    assert response.status == 101 and response.get("Sec-WebSocket-Protocol") != NAME


def test_read_only_is_only_watched(wsluice):
    client = opened(wsluice("--signals", "INT", "--read-only", *sh("echo ready; sleep 0.2; echo done")))
    assert says(client) == b"ready"
    client.send(about({"signal": "INT"}))
    assert says(client) == b"done"
    assert client.read_close()[0] == 1000


def test_names_are_judged_at_the_start():
    done = command_line("--check", "--signals", "INT,SIGKILL", "--", PYTHON)
    assert done.returncode == 2 and '"SIGKILL": no such signal; there are: HUP INT QUIT KILL' in done.stderr
