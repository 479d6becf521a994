# SPDX-License-Identifier: MIT
"""Who the client is: PROXY headers in front of a connection and towards services, Forwarded and X-Forwarded-*."""

import re
import socket
import ssl
import struct
import time

import pytest

from lib import peers
from lib.daemon import command_line
from lib.judge import accepted, refused, works
from lib.proc import wait_until
from lib.setting import SOON
from lib.tls import Certificate
from lib.tools import JSON, ended, records, sh
from lib.wire import TEXT, Raw, text

TRUST = ("--trusted-proxies", "127.0.0.1")
PROXIED = ("--accept-proxy", *TRUST)
WHO = sh("echo $REMOTE_ADDR ${REMOTE_PORT:-none} $SERVER_NAME ${HTTPS:-off}")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="192.0.2.1", port=56324, family="TCP4", destination="198.51.100.2"):
    return f"PROXY {family} {source} {destination} {port} 443\r\n".encode()


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(source="192.0.2.1", port=56324, destination="198.51.100.2", tlvs=b"", command=1):
    v6 = ":" in source
    family = socket.AF_INET6 if v6 else socket.AF_INET
    block = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack("!HH", port, 443)
    block += tlvs
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x21 if v6 else 0x11, len(block)) + block


TLS_TLV = tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3"))
LOCAL = SIGNATURE + b"\x20\0\0\0"
UNKNOWN = b"PROXY UNKNOWN\r\n"
RICH = v2(tlvs=tlv(0x02, b"chess.example") + tlv(0x05, b"unique") + TLS_TLV)
HEADERS = {
    "v1": (v1(), "192.0.2.1", 56324),
    "v1-ipv6": (v1("2001:db8::1", 7, "TCP6", "::1"), "2001:db8::1", 7),
    "v1-mapped": (v1("::ffff:192.0.2.9", 7, "TCP6", "::1"), "192.0.2.9", 7),
    "v2": (v2(), "192.0.2.1", 56324),
    "v2-ipv6": (v2("2001:db8::1", 8, "::1"), "2001:db8::1", 8),
    "v2-tlvs": (RICH, "192.0.2.1", 56324),
}
each_header = pytest.mark.parametrize("header, address, port", HEADERS.values(), ids=HEADERS)


def told(client):
    """What the program WHO says: [address, port, server name, on or off]."""
    opcode, data = client.read_message()
    assert opcode == TEXT
    return data.decode().split()


# ---- a header in front


@each_header
def test_fused_with_request_and_message(wsluice, header, address, port):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    with daemon.connect() as client:
        client.send(header + client.head() + text("hello"))
        assert client.read_response().status == 101
        assert client.read_message() == (TEXT, b"hello")
        client.finish()
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert ended(daemon)["client"] == shown


@each_header
def test_program_knows_the_client(wsluice, header, address, port):
    daemon = wsluice(*PROXIED, *WHO)
    with daemon.connect() as client:
        client.send(header)
        client.open()
        assert told(client)[:2] == [address, str(port)]


@each_header
def test_byte_by_byte(wsluice, header, address, port):
    daemon = wsluice(*PROXIED, *WHO)
    with daemon.connect() as client:
        client.send(header + client.head(), chop=1, pause=0.001)
        assert client.read_response().status == 101
        assert told(client)[:2] == [address, str(port)]


def test_cut_in_two_at_every_byte(wsluice):
    """Each part is on its own in the socket: the daemon has taken it before the rest comes."""
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    for n, cut in enumerate(range(1, len(RICH))):
        with daemon.connect() as client:
            client.send(RICH[:cut])
            time.sleep(0.002)
            client.send(RICH[cut:] + client.head())
            assert client.read_response().status == 101, f"cut behind byte {cut}"
            client.finish()
        assert ended(daemon, n + 1)["client"] == "192.0.2.1:56324"


ABSENT = {
    "request": None,
    "tls": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(64),
    "v1-lower-case": v1().lower(),
    "v1-bad-port": v1(port=65536),
    "v1-no-cr": v1().replace(b"\r", b""),
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "v2-version-3": SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    "v2-short": SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    "v2-over-4096": SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4081),
    "v2-tlv-garbage": v2(tlvs=b"\x02\xff\xff"),
    "zeroes": bytes(300),
}


@pytest.mark.parametrize("junk", ABSENT.values(), ids=ABSENT)
def test_without_a_valid_header_nothing_is_answered(wsluice, junk):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    with daemon.connect() as client:
        port = client.sock.getsockname()[1]
        client.send(client.head() if junk is None else junk)
        assert client.read_to_end()[0] == b""
    daemon.wait_for_log("connection refused")
    line, = records(daemon, "connection refused")
    assert (line["client"], line["reason"]) == (f"127.0.0.1:{port}", "no valid PROXY header")
    with daemon.connect() as client:
        client.send(v1())
        works(client.open())


def test_a_second_header_is_not_a_request(wsluice):
    daemon = wsluice(*PROXIED, "--to", "echo:")
    with daemon.connect() as client:
        client.send(v1() + v1("6.6.6.6") + client.head())
        refused(client, 400, 501)


def test_untrusted_peer_is_dropped(wsluice):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    with daemon.connect(source="127.0.0.2") as client:
        client.try_send(v1() + client.head())
        assert client.read_to_end()[0] == b""
    daemon.wait_for_log("connection refused")
    line, = records(daemon, "connection refused")
    assert line["client"].startswith("127.0.0.2:") and line["reason"] == "not one of the trusted proxies"


@pytest.mark.parametrize("header", [v1(), RICH], ids=["v1", "v2"])
def test_cut_off_at_every_byte(wsluice, header):
    """FIN and RST end it at once, without an answer; finish() counts what is left of it."""
    daemon = wsluice(*PROXIED, "--handshake-timeout", "1m", "--to", "echo:")
    for cut in range(len(header) + 1):
        with daemon.connect() as client:
            client.send(header[:cut])
            client.half_close()
            assert client.read_to_end() == (b"", False), f"cut behind byte {cut}"
        with daemon.connect() as client:
            client.send(header[:cut])
            client.rst()
    with daemon.connect() as client:
        client.send(header)
        works(client.open())


@pytest.mark.parametrize("door", ["tcp", "unix"])
def test_silence_within_a_header(wsluice, tmp_path, door):
    """Cut at every byte and silent: all are ended at the handshake timeout, and meanwhile nothing spins."""
    path = tmp_path / "door"
    listen = ("-l", "127.0.0.1:0" if door == "tcp" else f"unix:{path}")
    daemon = wsluice(*listen, "--accept-proxy", "--trusted-proxies", "127.0.0.1,unix", "--handshake-timeout", "30s",
                     "--to", "echo:", frozen=True)
    clients = [daemon.connect() for _ in range(len(RICH))]
    for cut, client in enumerate(clients):
        client.send(RICH[:cut])
    wait_until(lambda: daemon._descriptors()["socket"] >= daemon.baseline["socket"] + len(clients), lambda: "all to be accepted")
    daemon.inside.settle()
    with daemon.inside.turns_at_most(100):  # who spins turns thousands of times in a moment
        daemon.inside.advance(29, step=1)
        time.sleep(0.2)
    assert all(client.silent(0.001) for client in clients)
    daemon.inside.advance(1.1)
    daemon.inside.thaw()
    for client in clients:
        assert client.read_to_end()[0] == b""


def test_unix_socket_in_front(wsluice, tmp_path):
    daemon = wsluice("-l", f"unix:{tmp_path}/door", "--accept-proxy", "--trusted-proxies", "unix", *WHO)
    for header in (v1(), RICH):
        with daemon.connect() as client:
            client.send(header[:20])
            time.sleep(0.02)
            client.send(header[20:] + client.head())
            assert client.read_response().status == 101
            assert told(client)[:2] == ["192.0.2.1", "56324"]


def test_counts_for_the_limit_by_address(wsluice):
    daemon = wsluice(*PROXIED, "--max-per-address", "1", "--to", "echo:")

    def ask(source):
        client = daemon.connect()
        client.send(v1(source))
        return client, client.upgrade().status

    first, status = ask("192.0.2.1")
    assert status == 101
    assert ask("192.0.2.1")[1] == 429
    assert ask("192.0.2.2")[1] == 101
    first.finish()
    wait_until(lambda: ask("192.0.2.1")[1] == 101, "the address to be free again")


def test_refusals_name_the_client(wsluice):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    with daemon.connect() as client:
        client.send(v2("2001:db8::5", 9, "::") + b"GET / HTTP/1.1\r\n\r\n")
        refused(client, 400)
    wait_until(lambda: records(daemon, "request refused"), "the line about it")
    assert records(daemon, "request refused")[0]["client"] == "[2001:db8::5]:9"


def test_tls_of_the_proxy_is_told(wsluice):
    """A page of https:// has the same origin then, and a program sees HTTPS."""
    daemon = wsluice(*PROXIED, *WHO)
    for header, https in ((v2(tlvs=TLS_TLV), "on"), (v2(tlvs=tlv(0x20, b"\0\0\0\0\0")), "off"), (v1(), "off")):
        with daemon.connect() as client:
            client.send(header)
            client.open()
            assert told(client)[3] == https


def test_keep_alive_has_one_header(wsluice, tmp_path):
    (tmp_path / "page.txt").write_text("page")
    daemon = wsluice(*PROXIED, "--static", tmp_path, "--to", "echo:")
    with daemon.connect() as client:
        client.send(v1())
        for _ in range(2):
            client.send(b"GET /page.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_response().body == b"page"


# ---- before TLS


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("proxy"), "localhost", "127.0.0.1")


def secure_client(daemon, cert, header, fused):
    context = ssl.create_default_context(cafile=cert.cert)
    plain = daemon.connect()
    if fused:  # held back until the ClientHello is there
        plain.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        plain.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    plain.send(header)
    client = Raw(context.wrap_socket(plain.sock, server_hostname="localhost"), host="localhost")
    if fused:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return client


@pytest.mark.parametrize("fused", [False, True], ids=["apart", "fused"])
@pytest.mark.parametrize("header", [v1(), RICH], ids=["v1", "v2"])
def test_header_before_tls(wsluice, cert, header, fused):
    daemon = wsluice(*PROXIED, "--tls-cert", cert.cert, "--tls-key", cert.key, *WHO)
    with secure_client(daemon, cert, header, fused) as client:
        client.open()
        assert told(client) == ["192.0.2.1", "56324", "localhost", "on"]


def test_tls_without_a_header(wsluice, cert):
    daemon = wsluice(*PROXIED, "--tls-cert", cert.cert, "--tls-key", cert.key, "--to", "echo:")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure_client(daemon, cert, b"", False)
    daemon.wait_for_log("no valid PROXY header")
    with daemon.connect() as client:  # nor is the header taken for plain HTTP, or answered
        client.send(v1()[:10])
        client.half_close()
        assert client.read_to_end()[0] == b""


# ---- what does not start


@pytest.mark.parametrize("args, names", [
    (["--accept-proxy"], ["accept-proxy", "--trusted-proxies"]),
    (["--accept-proxy", "--trusted-proxies", "10.0.0.0/33"], ["trusted-proxies", "10.0.0.0/33"]),
    (["--trusted-proxies", "127.0.0.1,10.0.0.1/8,::1"], ["trusted-proxies", "10.0.0.1/8", "prefix"]),
    (["--trusted-proxies", "localhost"], ["trusted-proxies", "localhost"]),
    (["--trusted-proxies", "::ffff:127.0.0.1"], ["trusted-proxies", "::ffff:127.0.0.1", "IPv4"]),
    (["--proxy-protocol", "v3"], ["proxy-protocol", "v3"]),
], ids=["nobody-trusted", "length", "host-bits", "name", "mapped", "version-3"])
def test_start_refused(args, names):
    done = command_line("-l", "127.0.0.1:0", *args, "--to", "echo:")
    assert done.returncode not in (0, -6, -11)
    lines = [line for line in done.stderr.splitlines() if all(name in line for name in names)]
    assert len(lines) == 1, done.stderr
    if "trusted" in names[0]:
        assert sum(names[1] in line for line in done.stderr.splitlines()) == 1, done.stderr


def test_all_bad_networks_are_listed():
    done = command_line("-l", "127.0.0.1:0", "--trusted-proxies", "10.0.0.0/33,::1,nonsense", "--to", "echo:")
    assert done.returncode != 0
    assert "10.0.0.0/33" in done.stderr and "nonsense" in done.stderr and "::1" not in done.stderr.replace("::1 or", "")


# ---- Forwarded and X-Forwarded-*


CHAINS = {
    "x": ([("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
    "x-spoofed": ([("X-Forwarded-For", "6.6.6.6, 192.0.2.1")], "192.0.2.1"),
    "x-two-proxies": ([("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 127.0.0.1")], "192.0.2.1"),
    "x-two-fields": ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
    "x-40-spoofed": ([("X-Forwarded-For", "6.6.6.6, " * 40 + "192.0.2.1")], "192.0.2.1"),
    "x-unknown": ([("X-Forwarded-For", "192.0.2.1, unknown")], "127.0.0.1"),
    "forwarded": ([("Forwarded", 'for="[2001:db8::1]:5";proto=http')], "2001:db8::1"),
    "forwarded-spoofed": ([("Forwarded", "for=6.6.6.6, for=192.0.2.1")], "192.0.2.1"),
    "x-is-not-forwarded": ([("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "6.6.6.6")], "192.0.2.1"),
    "forwarded-is-not-x": ([("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=6.6.6.6")], "192.0.2.1"),
    "forwarded-40-spoofed": ([("Forwarded", "for=6.6.6.6, " * 40 + "for=192.0.2.1"), ("X-Forwarded-For", "6.6.6.6")],
                             "192.0.2.1"),
}


def written_by_proxy(fields):
    """Options that name the header our proxy writes: here the first that is given."""
    return ["--forwarded-header", "forwarded"] if fields and fields[0][0] == "Forwarded" else []


@pytest.mark.parametrize("fields, address", CHAINS.values(), ids=CHAINS)
def test_client_behind_a_trusted_proxy(wsluice, fields, address):
    daemon = wsluice(*TRUST, *written_by_proxy(fields), *JSON, *WHO)
    with daemon.open(headers=fields) as client:
        assert told(client)[0] == address
    assert re.match(rf"\[?{re.escape(address)}\]?:\d+$", ended(daemon)["client"])


def test_untrusted_peer_is_not_believed(wsluice):
    daemon = wsluice(*TRUST, *JSON, *WHO)
    fields = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Host", "evil"), ("X-Forwarded-Proto", "https"),
              ("Forwarded", "for=6.6.6.6;host=evil;proto=https")]
    with daemon.open(headers=fields, connect={"source": "127.0.0.2"}) as client:
        assert told(client) == ["127.0.0.2", str(client.sock.getsockname()[1]), "127.0.0.1", "off"]
    assert ended(daemon)["client"].startswith("127.0.0.2:")


def test_nobody_is_believed_by_default(wsluice):
    daemon = wsluice(*WHO)
    with daemon.open(headers=[("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6;proto=https")]) as client:
        assert told(client)[0::3] == ["127.0.0.1", "off"]


def test_limit_counts_clients_and_not_their_proxy(wsluice):
    daemon = wsluice(*TRUST, "--max-per-address", "1", "--to", "echo:")

    def ask(address):
        return daemon.connect().upgrade(headers=[("X-Forwarded-For", address)]).status

    assert [ask(a) for a in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "6.6.6.6, 192.0.2.1")] == [101, 101, 429, 429]


@pytest.mark.parametrize("header, fields, address", [
    (v1("192.0.2.1"), "6.6.6.6", "192.0.2.1"),  # the client itself says so
    (v1("127.0.0.1"), "192.0.2.7", "192.0.2.7"),  # a proxy behind a proxy
    (LOCAL, "192.0.2.7", "192.0.2.7"),  # the proxy speaks for itself
    (UNKNOWN, "6.6.6.6", "127.0.0.1"),  # somebody behind the proxy
    (SIGNATURE + b"\x21\0\0\0", "6.6.6.6", "127.0.0.1"),
    (SIGNATURE + b"\x21\x31\0\xd8" + bytes(216), "6.6.6.6", "127.0.0.1"),
], ids=["client", "proxy", "local", "unknown", "unspec", "unix"])
def test_forwarded_behind_a_proxy_header(wsluice, header, fields, address):
    daemon = wsluice(*PROXIED, *WHO)
    with daemon.connect() as client:
        client.send(header)
        client.open(headers=[("X-Forwarded-For", fields)])
        assert told(client)[0] == address


OUR = "https://chess.example"
ORIGINS = [
    # id, Origin, fields of the proxy, accepted when they are believed
    ("x-host-and-proto", OUR, {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https"}, True),
    ("x-host-alone", OUR, {"X-Forwarded-Host": "chess.example"}, True),
    ("x-host-with-port", OUR + ":8443", {"X-Forwarded-Host": "chess.example:8443"}, True),
    ("forwarded", OUR, {"Forwarded": "for=192.0.2.1;host=chess.example;proto=https"}, True),
    ("forwarded-quoted-port", OUR + ":8443", {"Forwarded": 'host="chess.example:8443";proto=https'}, True),
    ("x-port", OUR + ":8443", {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"}, True),
    ("x-port-default", OUR, {"X-Forwarded-Host": "chess.example", "X-Forwarded-Port": "443"}, True),
    ("x-port-beaten-by-the-host's-own", OUR + ":8443", {"X-Forwarded-Host": "chess.example:8443", "X-Forwarded-Port": "443"}, True),
    ("x-port-of-another", OUR, {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"}, False),
    ("x-port-is-none", OUR + ":8443", {"X-Forwarded-Host": "chess.example", "X-Forwarded-Port": "8443x"}, False),
    ("two-that-add", OUR, {"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Host": "chess.example, inner", "X-Forwarded-Proto": "https"}, True),
    ("two-that-add-and-a-client-that-lies", OUR,
     {"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Host": "evil.example, chess.example, inner"}, True),
    ("more-hosts-than-hops", OUR, {"X-Forwarded-For": "127.0.0.1, 192.0.2.1", "X-Forwarded-Host": "chess.example, inner"}, False),
    ("forwarded-by-two", OUR, {"Forwarded": "for=192.0.2.1;host=chess.example, for=127.0.0.1;host=inner"}, True),
    ("other-origin", "https://evil.example",
     {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https"}, False),
    ("other-port", OUR + ":8443", {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https"}, False),
    ("http-page-of-an-https-site", "http://chess.example",
     {"X-Forwarded-Host": "chess.example", "X-Forwarded-Proto": "https"}, False),
    ("forwarded-host-further-away", OUR,
     {"Forwarded": "for=6.6.6.6;host=chess.example, for=192.0.2.1;host=inner"}, False),
    ("x-host-beaten", OUR, {"Forwarded": "for=192.0.2.1;host=inner", "X-Forwarded-Host": "chess.example"}, False),
    ("nothing", OUR, {}, False),
    ("null", "null", {"X-Forwarded-Host": "null"}, False),
]


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("origin, fields, good", [pytest.param(*row[1:], id=row[0]) for row in ORIGINS])
def test_origin_behind_a_proxy_that_rewrites_host(wsluice, origin, fields, good, trusted):
    daemon = wsluice(*TRUST, *written_by_proxy(list(fields.items())), "--to", "echo:")
    client = daemon.connect(source=None if trusted else "127.0.0.2")
    client.host = "inner:8080"
    client.send(client.head(headers=fields.items(), origin=origin))
    if good and trusted:
        accepted(client)
    else:
        refused(client, 403)


# ---- told to services


def receive(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            break
        data += more
    return data


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_service_gets_exactly_this_and_then_the_data(wsluice, server, tmp_path, version, kind):
    service = server(peers.hold, path=tmp_path / "s" if kind == "unix" else None)
    daemon = wsluice("--proxy-protocol", version, "--to", service.to)
    with daemon.open() as client:
        port = client.sock.getsockname()[1]
        client.text("hello")
        if version == "v1":
            wanted = f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {daemon.port}\r\n".encode()
        else:
            block = bytes((127, 0, 0, 1)) * 2 + struct.pack("!HH", port, daemon.port)
            block += tlv(0x02, b"127.0.0.1") + tlv(0x05, 32 * b"?")
            wanted = SIGNATURE + b"\x21\x11" + struct.pack("!H", len(block)) + block
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        got = receive(sock, len(wanted) + 5)
        assert re.sub(rb"[0-9a-f]{32}", 32 * b"?", got) == wanted + b"hello"
        sock.sendall(b"back")
        assert client.read_message().data == b"back"
        client.finish()
        assert sock.recv(1) == b""


def test_header_comes_before_a_word_of_the_client(wsluice, server):
    """A server that speaks first gets the header all the same, and nothing else when it is off."""
    service = server(peers.hold)
    daemon = wsluice("--route", f"/on={service.to}", "--proxy-protocol", "v1")
    with daemon.open("/on"):
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        assert sock.recv(200).startswith(b"PROXY TCP4 127.0.0.1 ")
    off = wsluice("--to", service.to)
    with off.open() as client:
        sock = service.wait_accepted(2)
        client.text("x")
        sock.settimeout(SOON)
        assert sock.recv(200) == b"x"


@pytest.mark.parametrize("source, line", [
    ("192.0.2.1:7", "PROXY TCP4 192.0.2.1 127.0.0.1 7 {port}\r\n"),
    ("[2001:db8::1]:7", "PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 7 {port}\r\n"),
], ids=["ipv4", "ipv6-to-ipv4"])
def test_service_learns_of_the_client_behind_the_proxy(wsluice, server, source, line):
    service = server(peers.hold)
    daemon = wsluice(*TRUST, "--proxy-protocol", "v1", "--to", service.to)
    with daemon.open(headers=[("X-Forwarded-For", source)]):
        wanted = line.format(port=daemon.port).encode()
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        assert receive(sock, len(wanted)) == wanted


@pytest.mark.parametrize("fields, line", [
    ([("X-Forwarded-For", "192.0.2.1:7")], b"PROXY TCP4 192.0.2.1 0.0.0.0 7 0\r\n"),
    ([], b"PROXY UNKNOWN\r\n"),
], ids=["known", "unknown"])
def test_service_learns_of_the_client_of_a_unix_socket(wsluice, server, tmp_path, fields, line):
    service = server(peers.hold)
    daemon = wsluice("-l", f"unix:{tmp_path}/door", "--trusted-proxies", "unix", "--proxy-protocol", "v1",
                     "--to", service.to)
    with daemon.open(headers=fields):
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        assert receive(sock, len(line)) == line


def test_one_wsluice_behind_another(wsluice):
    """Out with a header here, in with it there."""
    inner = wsluice(*PROXIED, *WHO)
    for version in ("v1", "v2"):
        outer = wsluice("--proxy-protocol", version, "--to", f"tcp://127.0.0.1:{inner.port}")
        with outer.open(connect={"source": "127.0.0.3"}) as client:
            # the outer one carries bytes, so this handshake is spoken within its messages
            port = client.sock.getsockname()[1]
            client.binary(client.head())
            data, wanted = b"", f"127.0.0.3 {port} ".encode()
            while wanted not in data:
                data += client.read_message().data
            assert b"HTTP/1.1 101 " in data
