# SPDX-License-Identifier: MIT
"""permessage-deflate (RFC 7692): what is agreed on, messages both ways, and what the client does wrong.

The two long tests are the groups 12 and 13 of the well-known WebSocket test suite: sizes, texts, and all parameters.
"""

import json
import random

import pytest

from lib import deflate, peers
from lib.admin import Admin, labels
from lib.daemon import command_line
from lib.deflate import BROWSERS, RSV1, agreed, compress, opened
from lib.proc import wait_until
from lib.tools import JSON, ended, sh
from lib.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Closed, binary, cont, frame, ping, text

KIB = 1024


@pytest.fixture(scope="module")
def module_daemon(wsluice_module, tmp_path_factory):
    """An echo without and with takeover, each taking all messages of at least a byte; and one that does not compress."""
    def route(path, how, **more):
        return {"path": path, "to": "echo:", "compression": how, "compression-min": 1, "max-message": "4M", **more}

    routes = [
        route("/on", "on"), route("/takeover", "takeover"), route("/wide", "takeover", **{"compression-window": 15}),
        route("/narrow", "takeover", **{"compression-window": 9, "compression-level": 9}), route("/off", "off"),
        {"path": "/usual", "to": "echo:", "compression": "on"}]
    file = tmp_path_factory.mktemp("compression") / "routes.yaml"
    file.write_text(json.dumps({"routes": routes}))  # JSON is YAML
    return wsluice_module("-c", file)


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


# What is agreed on. The grammar's corners are in tests/unit/test_deflate.c.


def answer_to(daemon, path, *offers):
    client = daemon.connect()
    response = client.upgrade(path, [("Sec-WebSocket-Extensions", offer) for offer in offers])
    assert response.status == 101
    params = agreed(response)
    client.rsv_allowed = 0
    client.exchange([text("plain")], [(TEXT, "plain")])  # any session does without
    return params


def test_nothing_is_agreed_on_unless_asked_for(daemon, wsluice):
    assert answer_to(wsluice("--to", "echo:"), "/", BROWSERS) is None
    assert answer_to(daemon, "/off", BROWSERS) is None
    assert answer_to(daemon, "/on") is None
    daemon.open("/off").exchange([text("x", rsv=RSV1)], [], 1002)
    daemon.open("/on").exchange([text("x", rsv=RSV1)], [], 1002)


NONE = {"server_no_context_takeover": True, "client_no_context_takeover": True}


@pytest.mark.parametrize("path, offers, params", [
    ("/on", [BROWSERS], NONE),
    ("/on", ["permessage-deflate; server_max_window_bits=10"], {**NONE, "server_max_window_bits": 10}),
    ("/on", ["permessage-deflate; server_max_window_bits=8"], None),
    ("/on", ["permessage-deflate; server_max_window_bits=8, permessage-deflate"], NONE),
    ("/on", ["x-other; a=\"b\"", "permessage-deflate; nonsense", BROWSERS], NONE),
    ("/on", ["permessage-deflate; client_max_window_bits=\"1\""], None),
    ("/takeover", [BROWSERS], {"server_max_window_bits": 12, "client_max_window_bits": 12}),
    ("/takeover", ["permessage-deflate"], {"client_no_context_takeover": True, "server_max_window_bits": 12}),
    ("/takeover", ["permessage-deflate; server_no_context_takeover; client_max_window_bits=9"],
     {"server_no_context_takeover": True, "client_max_window_bits": 9}),
    ("/wide", ["permessage-deflate"], {}),
    ("/narrow", [BROWSERS], {"server_max_window_bits": 9, "client_max_window_bits": 9}),
])
def test_what_is_agreed_on(daemon, path, offers, params):
    assert answer_to(daemon, path, *offers) == params


def test_a_refusal_by_close_keeps_to_what_was_agreed_on(wsluice):
    with peers.refused_port() as port:
        daemon = wsluice("--compression", "on", "--errors", "close", "--to", f"tcp://127.0.0.1:{port}")
        assert opened(daemon).raw.read_close()[0] == 1014


@pytest.mark.parametrize("options, words", [
    (["--compression", "maybe"], "is not one of off, on, takeover"), (["--compression-level", "0"], "compression-level"),
    (["--compression-level", "10"], "compression-level"), (["--compression-window", "8"], "compression-window"),
    (["--compression-window", "16"], "compression-window")])
def test_bad_options(options, words):
    done = command_line("--check", *options, "--to", "echo:")
    assert done.returncode == 2 and words in done.stderr


# Messages. 12: sizes, kinds of text, cut by the client; 13: every parameter.

OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover; server_max_window_bits=11",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=13",
]
SIZES = [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]
WORDS = [w.encode() for w in "der die und in den von zu das mit sich κόσμε 🚀 {\"id\":17,\"name\":\"x\"} ,\n".split(" ")]


def payload(rnd, kind, size):
    if kind == "zeroes":
        return bytes(size)
    if kind == "noise":
        return rnd.randbytes(size)
    words = b" ".join(rnd.choice(WORDS) for _ in range(size // 2 + 1))[:size]
    while True:
        try:
            words.decode()
            return words
        except UnicodeDecodeError as error:
            words = words[:error.start] + b"." * (len(words) - error.start)


@pytest.mark.parametrize("kind", ["words", "zeroes", "noise"])
@pytest.mark.parametrize("path", ["/on", "/takeover", "/wide"])
def test_12_sizes(daemon, path, kind):
    rnd = random.Random(path + kind)
    client = opened(daemon, path)
    for size in [*SIZES, 300]:
        data = payload(rnd, kind, size)
        packed = client.pack(data)
        cuts = sorted(rnd.randrange(len(packed) + 1) for _ in range(rnd.choice((0, 0, 1, 5))))
        opcode = BINARY if kind == "noise" else TEXT
        client.raw.send(client.frames(opcode, packed, cuts), chop=rnd.choice((None, None, 1 + size // 7)))
        got, back, was_packed = client.read()
        assert (got, back) == (opcode, data)
        assert was_packed == (kind != "noise" and size > 16) or size <= 64
        assert client.last_packed <= size
    client.raw.finish()


@pytest.mark.parametrize("offer", OFFERS, ids=lambda o: o.replace("permessage-deflate", "").replace("_max_window", ""))
@pytest.mark.parametrize("path", ["/on", "/takeover", "/narrow"])
def test_13_parameters(daemon, path, offer):
    """What we send is inflated with just the window agreed on, which finds a distance that is too far."""
    rnd = random.Random(path + offer)
    client = opened(daemon, path, offer)
    for size in (100, 3000, 40000, 100, 70000, 500):
        data = payload(rnd, "words", size)
        client.send(data, TEXT)
        assert client.read() == (TEXT, data, True)
    client.raw.finish()


def test_takeover_remembers(daemon):
    data = random.Random(1).randbytes(1000)
    kept, alone = opened(daemon, "/takeover"), opened(daemon, "/on")
    for client in (kept, alone):
        client.send(data)
        assert client.read() == (BINARY, data, False)  # noise is sent as it is
    data = payload(random.Random(1), "words", 1000)
    sizes = {}
    for client in (kept, alone):
        for _ in range(2):
            client.send(data)
            assert client.read() == (BINARY, data, True)
        sizes[client] = client.last_packed
    assert sizes[kept] < 50 < 200 < sizes[alone]


def test_noise_between_takeovers(daemon):
    """A message that went as it is left no trace in the stream."""
    rnd = random.Random(3)
    client = opened(daemon, "/takeover")
    for i in range(30):
        data = payload(rnd, "noise" if i % 3 == 1 else "words", 2000)
        client.send(data)
        assert client.read() == (BINARY, data, i % 3 != 1)


def test_short_messages_and_long_ones_go_as_they_are(daemon):
    client = opened(daemon, "/usual")
    for size, packed in ((255, False), (256, True), (1024 * KIB, True)):
        client.send(b"a" * size)
        assert client.read() == (BINARY, b"a" * size, packed)
    client = opened(daemon, "/on")
    client.send(b"a" * (1024 * KIB + 1))
    assert client.read() == (BINARY, b"a" * (1024 * KIB + 1), False)


def test_a_client_may_leave_any_message_uncompressed(daemon):
    client = opened(daemon, "/takeover")
    for i in range(6):
        data = b"some words, some words, some words %d" % i
        client.raw.send(text(data) if i % 2 else client.frames(TEXT, client.pack(data)))
        assert client.read()[:2] == (TEXT, data)


def test_empty_messages(daemon):
    client = opened(daemon, "/takeover")
    client.send("to be remembered")
    assert client.read()[1] == b"to be remembered"
    for empty in (b"\x00", b"", b"\x02\x00"):
        client.raw.send(client.frames(TEXT, empty) + client.frames(BINARY, empty, [0, len(empty)]))
        assert client.read() == (TEXT, b"", False)
        assert client.read() == (BINARY, b"", False)
    client.send("to be remembered")
    assert client.read()[1] == b"to be remembered"


def test_final_blocks(daemon):
    """RFC 7692, section 7.2.3.4; some forget the byte behind them."""
    client = opened(daemon, "/on")
    for packed in (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", b"\xf3\x48\xcd\xc9\xc9\x07\x00"):
        client.raw.send(client.frames(TEXT, packed) + client.frames(TEXT, packed, range(len(packed))))
        assert client.read()[1] == client.read()[1] == b"Hello"


def test_control_frames_between_fragments(daemon):
    client = opened(daemon, "/on")
    packed = compress(b"Hello, Hello, Hello")
    client.raw.send(frame(TEXT, packed[:3], fin=False, rsv=RSV1) + ping("a") + cont(packed[3:5], fin=False) + ping("b") +
                    cont(packed[5:]))
    seen = [client.raw.read_frame() for _ in range(3)]
    assert [(f.opcode, f.rsv) for f in seen[:2]] == [(PONG, 0), (PONG, 0)] and seen[2].opcode == TEXT


def test_many_in_one_read_and_a_byte_at_a_time(daemon):
    client = opened(daemon, "/takeover")
    messages = [b"message %d, as many others" % i for i in range(200)]
    client.raw.send(b"".join(client.frames(TEXT, client.pack(m)) for m in messages))
    assert [client.read()[1] for _ in messages] == messages
    client.raw.send(b"".join(client.frames(TEXT, client.pack(m)) for m in messages[:10]), chop=1)
    assert [client.read()[1] for _ in messages[:10]] == messages[:10]


# Where the client is wrong.

PACKED = compress(b"Hello, world! Hello, world!")


@pytest.mark.parametrize("sent, code", [
    ([frame(PING, b"x", rsv=RSV1)], 1002),
    ([frame(CLOSE, b"", rsv=RSV1)], 1002),
    ([frame(TEXT, PACKED[:2], fin=False, rsv=RSV1), cont(PACKED[2:], rsv=RSV1)], 1002),
    ([text("x", fin=False), cont("y", rsv=RSV1)], 1002),
    ([text(PACKED, rsv=2)], 1002),
    ([text(PACKED, rsv=RSV1 | 1)], 1002),
    ([text("not compressed at all", rsv=RSV1)], 1007),
    ([binary(b"\xff" * 20, rsv=RSV1)], 1007),
    ([binary(PACKED[:-4], rsv=RSV1)], 1007),
    ([binary(PACKED + b"\xff\xff", rsv=RSV1)], 1007),
    ([frame(BINARY, PACKED[:9], fin=False, rsv=RSV1), cont(b"")], 1007),
    ([text(compress(b"\xc3("), rsv=RSV1)], 1007),
    ([text(compress("é".encode()[:1]), rsv=RSV1)], 1007),
    ([frame(TEXT, compress(b"ok \xff, and then nothing more"), fin=False, rsv=RSV1)], 1007),  # fails fast
    ([frame(BINARY, b"\x06", fin=False, rsv=RSV1)], 1007),
    ([binary(bytes(5 << 20)[:70000])] + [frame(BINARY, deflate.bomb((4 << 20) + 1), rsv=RSV1)], 1009),
], ids=lambda v: None)
@pytest.mark.parametrize("path", ["/on", "/takeover"])
def test_what_is_wrong(daemon, path, sent, code):
    client = opened(daemon, path)
    client.raw.send(b"".join(sent))
    with pytest.raises(Closed) as closed:
        while True:
            client.read()
    assert closed.value.code == code
    other = opened(daemon, path)  # the stream of the one before is clean
    other.send("fine")
    assert other.read()[1] == b"fine"


def test_the_limit_is_for_what_the_message_is(wsluice):
    """A frame longer than the limit may hold a message that is not; plain ones fail by their header."""
    daemon = wsluice("--compression", "on", "--max-message", "1000", "--to", "echo:")
    client = opened(daemon)
    noise = random.Random(5).randbytes(1000)
    packed = compress(noise) + (deflate.TAIL + b"\x00") * 20
    client.raw.send(client.frames(BINARY, packed))
    assert client.read()[1] == noise
    client.send(b"a" * 1001)
    with pytest.raises(Closed) as closed:
        client.read()
    assert closed.value.code == 1009
    client = opened(daemon)
    client.raw.send(binary(b"a" * 1001)[:10])
    assert client.raw.read_frame().code == 1009


# Programs and services.


def test_lines(wsluice):
    daemon = wsluice("--compression", "takeover", "--compression-min", "1", "--", "cat")
    client = opened(daemon)
    lines = [f"line {i}, " * (i % 40) for i in range(300)]
    client.raw.stream([client.frames(TEXT, client.pack(line.encode())) for line in lines])
    for line in lines:
        opcode, data, packed = client.read()
        assert (opcode, data.decode()) == (TEXT, line)
        assert packed or len(line) < 30
    client.raw.finish()


@pytest.mark.parametrize("framing", ["nul", "len32", "netstring", "lsp", "tagged"])
@pytest.mark.parametrize("how", ["on", "takeover"])
def test_other_framings(wsluice, framing, how):
    """Prefix and suffix go around what was inflated, whole or put together."""
    daemon = wsluice("--compression", how, "--framing", framing, "--", "cat")
    client = opened(daemon)
    for size in (300, 5000, 200_000, 300):
        data = payload(random.Random(size), "words", size)
        for cuts in ([], [1, 20]):
            client.send(data, TEXT, cuts)
            _, back, packed = client.read()
            assert back == data and packed
    client.raw.finish()


def test_empty_compressed_message_is_the_end_of_input(wsluice):
    daemon = wsluice("--compression", "on", "--eof-on-empty", "--", "wc", "-c")
    client = opened(daemon)
    client.send("12345")
    client.raw.send(client.frames(TEXT, b"\x00"))
    assert client.read()[1].strip() == b"6"


@pytest.mark.parametrize("framing", ["stream", "text"])
def test_streams(wsluice, server, framing):
    service = server(peers.echo)
    daemon = wsluice("--compression", "on", "--framing", framing, "--to", service.to)
    client = opened(daemon)
    data = ("Grüße, κόσμε 🚀, " * 40000).encode()
    opcode = TEXT if framing == "text" else BINARY
    packed = client.pack(data)
    client.raw.stream([client.frames(opcode, packed, [10, 500, 501])])
    back, wire = b"", 0
    while len(back) < len(data):
        got, piece, _ = client.read()
        assert got == opcode
        back += piece
        wire += client.last_packed
    assert back == data and wire < len(data) / 10


def test_output_that_is_not_utf8(wsluice):
    daemon = wsluice("--compression", "on", *sh(r"printf '%300s\377\n' x; read x"))
    assert opened(daemon).read() == (TEXT, b" " * 299 + "x\ufffd".encode(), True)


def test_recordings_are_plain(wsluice, tmp_path):
    daemon = wsluice("--compression", "on", "--record", tmp_path, "--", "cat")
    client = opened(daemon)
    client.send("word " * 100)
    assert client.read()[1] == b"word " * 100
    client.raw.finish()
    wait_until(lambda: not daemon.children(), "cat to be gone")
    file, = [p for p in tmp_path.rglob("*") if p.is_file()]
    wait_until(lambda: file.read_text().count("word " * 100) == 2, "both directions in the recording")


# What the operator sees.


def test_metrics_and_ctl(wsluice):
    daemon = wsluice("--admin", "127.0.0.1:0", *JSON, "--compression", "takeover", "--to", "echo:")
    admin = Admin(daemon)
    client = opened(daemon)
    for _ in range(3):
        client.send("word " * 200)
        assert client.read()[2]
    one, = admin.sessions()
    assert one["compression"] == "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    assert one["compressed_in_plain"] == one["compressed_out_plain"] == one["bytes_in"] == one["bytes_out"] == 3000
    assert 0 < one["compressed_in_wire"] < 100 and 0 < one["compressed_out_wire"] < 100
    shown = command_line("ctl", "--admin", admin.ctl, "show", one["id"]).stdout
    assert f"compressed_out_to     {100 * one['compressed_out_wire'] / 3000:.1f} %" in shown
    metrics = admin.metrics()
    for direction in ("in", "out"):
        who = {"route": "/", "backend": "echo", "direction": direction}
        assert metrics[labels("wsluice_compressed_plain_bytes_total", **who)] == 3000
        assert metrics[labels("wsluice_compressed_wire_bytes_total", **who)] == one[f"compressed_{direction}_wire"]
    client.raw.finish()
    assert ended(daemon)["bytes_in"] == 3000
    plain = daemon.open()
    assert [s["compression"] for s in admin.sessions()] == [""]
    plain.finish()


def test_a_reload_changes_new_sessions(wsluice, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("routes: [{to: 'echo:'}]\ncompression: on\n")
    daemon = wsluice("-c", file)
    client = opened(daemon)
    file.write_text("routes: [{to: 'echo:'}]\n")
    daemon.send_signal(1)
    wait_until(lambda: answer_to(daemon, "/", BROWSERS) is None, "the new configuration")
    client.send("word " * 200)
    assert client.read() == (TEXT, b"word " * 200, True)
