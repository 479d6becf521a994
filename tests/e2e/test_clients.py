# SPDX-License-Identifier: MIT
"""Clients and servers that others wrote: python3-websocket, python3-websockets, ws for node, Chromium, MQTT.js and mosquitto, redis."""

import asyncio
import json
import socket

import pytest
import websocket
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from lib import peers
from lib.admin import Admin
from lib.proc import wait_until
from lib.setting import PAGE_ONLY, SOON
from lib.wire import BINARY


def run_node(script, *args):
    return json.loads(peers.node(script, *args))


def assert_compressed(daemon):
    """The client's messages came smaller than they are, and ours left so."""
    metrics = Admin(daemon).metrics()
    for direction in ("in", "out"):
        plain, wire = (sum(value for name, value in metrics.items() if name[0] == f"wsluice_compressed_{form}_bytes_total"
                           and ("direction", direction) in name) for form in ("plain", "wire"))
        assert 0 < wire < plain / 4, (direction, wire, plain)


# python3-websocket.


@pytest.fixture
def python_client():
    """connect(url, ...) with python3-websocket, closed afterwards."""
    opened = []

    def connect(url, **how):
        opened.append(websocket.create_connection(url, timeout=SOON, **how))
        return opened[-1]

    yield connect
    for client in opened:
        client.shutdown()


def test_python_websocket_echo(wsluice, python_client):
    daemon = wsluice("--to", "echo:")
    client = python_client(daemon.url + "/")
    client.send("Grüße, κόσμε!")
    assert client.recv_data() == (websocket.ABNF.OPCODE_TEXT, "Grüße, κόσμε!".encode())
    client.send_binary(bytes(range(256)) * 300)
    assert client.recv_data() == (websocket.ABNF.OPCODE_BINARY, bytes(range(256)) * 300)
    client.ping("are you there?")
    opcode, frame = client.recv_data_frame(control_frame=True)
    assert (opcode, frame.data) == (websocket.ABNF.OPCODE_PONG, b"are you there?")
    client.send_close(4000, b"enough")
    opcode, frame = client.recv_data_frame(control_frame=True)
    assert (opcode, frame.data[:2]) == (websocket.ABNF.OPCODE_CLOSE, (4000).to_bytes(2, "big"))


def test_python_websocket_sends_its_origin(wsluice, python_client):
    """This client sends an Origin of its own making, the server's: it must be taken for the same."""
    daemon = wsluice("--", "cat")
    client = python_client(daemon.url + "/x")
    client.send("a line")
    assert client.recv() == "a line"
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        python_client(daemon.url + "/x", origin="http://evil.example")
    assert refusal.value.status_code == 403


def test_python_websocket_ipv6_and_subprotocol(wsluice, python_client):
    daemon = wsluice("-l", "[::1]:0", "--subprotocol", "beta", "--to", "echo:")
    client = python_client(daemon.url + "/", subprotocols=["alpha", "beta"])
    assert client.getsubprotocol() == "beta"
    client.send("six")
    assert client.recv() == "six"


def test_python_websocket_over_a_unix_socket(wsluice, python_client, tmp_path):
    path = tmp_path / "listen.sock"
    wsluice("-l", f"unix:{path}", "--to", "echo:")
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    client = python_client("ws://localhost/", socket=sock)
    client.send("local")
    assert client.recv() == "local"


# python3-websockets, which compresses.


@pytest.mark.parametrize("how", ["on", "takeover"])
@pytest.mark.parametrize("parameters", [
    {}, {"server_max_window_bits": 9, "client_max_window_bits": 9}, {"server_no_context_takeover": True},
    {"client_no_context_takeover": True, "client_max_window_bits": 15}], ids=str)
def test_python_websockets_compressed(wsluice, how, parameters):
    async def talk(url):
        offer = ClientPerMessageDeflateFactory(**parameters)
        async with websockets.connect(url, compression=None, extensions=[offer], max_size=None) as client:
            assert [e.name for e in client.extensions] == ["permessage-deflate"]
            for message in ("Grüße, κόσμε!", "", b"", b"word " * 20000, "word " * 20000, "x" * 300_000):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "fragments"])
            assert await client.recv() == "in three fragments"

    daemon = wsluice("--compression", how, "--compression-min", "1", "--admin", "127.0.0.1:0", "--to", "echo:")
    asyncio.run(talk(daemon.url))
    assert_compressed(daemon)


# ws for node.


def test_node_ws_echo(wsluice):
    daemon = wsluice("--to", "echo:")
    seen = run_node("ws_echo.mjs", daemon.url + "/")
    assert seen == {
        "protocol": "", "extensions": "", "messages": ["same"] * 6, "pongs": ["are you there?"],
        "code": 4321}


@pytest.mark.parametrize("how", ["on", "takeover"])
def test_node_ws_compressed(wsluice, how):
    daemon = wsluice("--compression", how, "--compression-min", "1", "--admin", "127.0.0.1:0", "--to", "echo:")
    seen = run_node("ws_echo.mjs", daemon.url + "/")
    assert seen == {
        "protocol": "", "extensions": "permessage-deflate", "messages": ["same"] * 6, "pongs": ["are you there?"],
        "code": 4321}
    assert_compressed(daemon)


def test_node_ws_to_a_service(wsluice, server):
    """Whatever comes of the borders, the bytes are the same; `binary` is what noVNC and Emscripten ask for."""
    daemon = wsluice("--to", server(peers.echo).to)
    client = daemon.connect()
    response = client.upgrade("/", [("Sec-WebSocket-Protocol", "base64, binary")])
    assert response.status == 101 and response.get("sec-websocket-protocol") == "binary"
    client.binary(b"x" * 100_000)
    back = b""
    while len(back) < 100_000:
        opcode, data = client.read_message()
        assert opcode == BINARY
        back += data
    assert back == b"x" * 100_000
    client.finish()


# Chromium. The page lies beside the WebSocket: served by the same daemon, on the same port.

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>wsluice test</title>
<link rel="icon" href="data:,">
<script>
const socket = new WebSocket(`ws://${location.host}/live`);
const seen = [];
const lines = %s;
socket.onopen = () => { seen.push("open " + socket.protocol); if (lines.length) socket.send(lines.shift()); };
socket.onmessage = (event) => { seen.push(event.data); if (lines.length) socket.send(lines.shift()); };
socket.onerror = () => seen.push("error");
socket.onclose = (event) => {
  window.result = { seen, code: event.code, reason: event.reason, clean: event.wasClean, origin: location.origin,
    extensions: socket.extensions };
};
</script>
"""


@pytest.fixture
def page(tmp_path):
    """page(LINES) writes a directory with a page that sends the lines, each once the one before was answered."""
    def write(lines):
        (tmp_path / "index.html").write_text(PAGE % json.dumps(lines))
        return tmp_path

    return write


def browse(daemon):
    seen = run_node("page.mjs", daemon.url.replace("ws:", "http:") + "/")
    assert seen["status"] == 200 and seen["type"].startswith("text/html")
    assert seen["result"], seen
    assert seen["result"]["origin"] == daemon.url.replace("ws:", "http:")
    return seen["result"]


@pytest.mark.plain(PAGE_ONLY)
def test_chromium_calculates_with_bc(wsluice, page):
    daemon = wsluice("--static", page(["2^64", "scale=5; 22/7", "quit"]), "--", "bc", "-l")
    result = browse(daemon)
    assert result["seen"] == ["open ", "18446744073709551616", "3.14285"]
    assert (result["code"], result["clean"]) == (1000, True)


@pytest.mark.plain(PAGE_ONLY)
def test_chromium_sees_the_exit_status(wsluice, page):
    daemon = wsluice("--static", page([]), "--", "sh", "-c", "exit 3")
    result = browse(daemon)
    assert (result["code"], result["reason"], result["clean"]) == (4003, "exit 3", True)


@pytest.mark.plain(PAGE_ONLY)
def test_chromium_sees_the_signal(wsluice, page):
    daemon = wsluice("--static", page([]), "--", "sh", "-c", "kill -9 $$")
    result = browse(daemon)
    assert (result["code"], result["reason"]) == (4309, "signal SIGKILL")


def test_chromium_loads_the_page_again_and_again(wsluice, page):
    """One page, one bc each; nothing is left when the browser has gone."""
    daemon = wsluice("--static", page(["1+1", "quit"]), "--", "bc", "-l")
    for _ in range(2):
        assert browse(daemon)["seen"] == ["open ", "2"]
    wait_until(lambda: not daemon.children(), "bc to be gone")


def test_chromium_compressed(wsluice, page):
    lines = ["Grüße, κόσμε! " * n for n in (1, 40, 4000, 1, 40)] + ["x" * 100_000]
    daemon = wsluice("--compression", "takeover", "--admin", "127.0.0.1:0", "--static", page(lines + ["q"]), "--",
                     "sed", "-u", "-e", "/^q/{", "-e", "q", "-e", "}")
    result = browse(daemon)
    assert result["seen"] == ["open ", *lines, "q"] and result["code"] == 1000
    assert result["extensions"].startswith("permessage-deflate")
    assert_compressed(daemon)


# Services.


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def mosquitto(tmp_path):
    def argv(port):
        config = tmp_path / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\n")
        return ["/usr/sbin/mosquitto", "-c", str(config)]

    program = peers.Program(argv, listens)
    yield program
    program.close()


def test_mqtt_js_to_mosquitto(wsluice, mosquitto):
    daemon = wsluice("--to", f"tcp://127.0.0.1:{mosquitto.port}")
    seen = run_node("mqtt_round_trip.mjs", daemon.url + "/mqtt")
    assert seen == {"subprotocol": "mqtt", "qos": 1, "count": 4, "same": True}


@pytest.fixture
def redis(tmp_path):
    program = peers.Program(lambda port: ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                          "--appendonly", "no", "--dir", str(tmp_path)], listens)
    yield program
    program.close()


def command(*words):
    """A request in redis' own protocol."""
    out = b"*%d\r\n" % len(words)
    for word in words:
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def test_redis(wsluice, redis):
    daemon = wsluice("--to", f"tcp://127.0.0.1:{redis.port}")
    client = daemon.open()

    def ask(request, length):
        client.binary(request)
        answer = b""
        while len(answer) < length:
            opcode, data = client.read_message()
            assert opcode == BINARY
            answer += data
        return answer

    value = bytes(range(256)) * 4096
    assert ask(command(b"PING"), 7) == b"+PONG\r\n"
    assert ask(command(b"SET", b"key", value), 5) == b"+OK\r\n"
    expected = b"$%d\r\n%s\r\n" % (len(value), value)
    assert ask(command(b"GET", b"key"), len(expected)) == expected
    many = b"".join(command(b"INCR", b"n") for _ in range(500))
    assert ask(many, sum(len(b":%d\r\n" % i) for i in range(1, 501))).endswith(b":500\r\n")
    client.binary(command(b"QUIT"))
    code, _, messages = client.read_close()
    assert code == 1000, "the server's FIN is a normal end"
    assert [m.data for m in messages] == [b"+OK\r\n"]
