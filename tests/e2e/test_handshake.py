# SPDX-License-Identifier: MIT
"""From the TCP connection to the 101, and everything that must not get there (RFC 6455 section 4, RFC 9112)."""

import base64
import re
import threading
import time

import pytest

from lib import peers
from lib.admin import Admin
from lib.judge import accepted, refused, works
from lib.wire import BINARY, KEY, PING, PONG, TEXT, close, frame

ROUTE = "/echo"


@pytest.fixture(scope="module")
def module_daemon(wsluice_module):
    return wsluice_module("--route", f"{ROUTE}=echo:")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


# What is right.


def test_accept_value_of_the_rfc(daemon):
    client = daemon.connect()
    assert client.upgrade(ROUTE).get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    works(client)


@pytest.mark.parametrize("drop, headers", [
    pytest.param(("Connection",), [("Connection", "keep-alive, Upgrade")], id="firefox-connection"),
    pytest.param(("Connection",), [("connection", "UPGRADE")], id="connection-case"),
    pytest.param(("Connection",), [("Connection", " ,, keep-alive ,\tuPgRaDe\t,")], id="connection-odd-spacing"),
    pytest.param(("Connection",), [("Connection", "keep-alive"), ("Connection", "upgrade")], id="connection-twice"),
    pytest.param(("Upgrade",), [("Upgrade", "WebSocket")], id="upgrade-case"),
    pytest.param(("Upgrade",), [("Upgrade", "h2c, websocket")], id="upgrade-list"),
    pytest.param(("Upgrade",), [("Upgrade", "foo/1 ,\twebSocket ,")], id="upgrade-odd-spacing"),
    pytest.param(("Sec-WebSocket-Version",), [("sec-websocket-version", "  13\t ")], id="version-padded"),
    pytest.param(("Sec-WebSocket-Key",), [("SEC-WEBSOCKET-KEY", f" \t{KEY}  ")], id="key-padded"),
    pytest.param((), [("Content-Length", "0")], id="content-length-0"),
    pytest.param((), [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")], id="extension"),
    pytest.param((), [("Sec-WebSocket-Extensions", "x-webkit-deflate-frame, permessage-foo; a=\"b\"")],
                 id="extensions-unknown"),
    pytest.param((), [("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("Accept-Encoding", "gzip, deflate, br"),
                      ("Accept-Language", "de,en;q=0.5"), ("Cache-Control", "no-cache"), ("Pragma", "no-cache"),
                      ("Cookie", "a=b; c=d"), ("Sec-Fetch-Mode", "websocket"), ("DNT", "1")], id="browser-like"),
    pytest.param((), [("X-Latin", "caf\xe9"), ("X-Empty", ""), ("X-Tab", "a\tb")], id="odd-values"),
])
def test_accepted(daemon, drop, headers):
    client = daemon.connect()
    client.send(client.head(ROUTE, headers, drop=drop))
    accepted(client)


def test_accepted_octet_by_octet(daemon):
    client = daemon.connect()
    client.send(client.head(ROUTE), chop=1)
    accepted(client)


@pytest.mark.parametrize("target", [ROUTE, ROUTE + "/", ROUTE + "/deeper", ROUTE + "?a=b", ROUTE + "?"])
def test_route_matches(daemon, target):
    client = daemon.connect()
    client.send(client.head(target))
    accepted(client)


def test_absolute_form_of_ourselves(daemon):
    """RFC 9112 wants it accepted; a server that refuses it is safe too. What it must not do is fail."""
    client = daemon.connect()
    client.send(client.head(f"http://{client.host}{ROUTE}"))
    response = client.read_response()
    assert response.status in (101, 400)


def test_bytes_behind_the_head_are_the_first_frames(daemon):
    client = daemon.connect()
    many = [f"message {i}".encode() for i in range(50)]
    response = client.upgrade(ROUTE, pipelined=b"".join(frame(TEXT, m) for m in many) + frame(PING, b"p"))
    assert response.status == 101
    for message in many:
        got = client.read_frame()
        assert (got.opcode, got.payload) == (TEXT, message)
    assert client.read_frame().opcode == PONG
    client.finish()


def test_first_frame_cut_by_the_end_of_the_segment(daemon):
    client = daemon.connect()
    message = frame(TEXT, b"cut in two")
    assert client.upgrade(ROUTE, pipelined=message[:3]).status == 101
    client.send(message[3:])
    assert client.read_message() == (TEXT, b"cut in two")


@pytest.mark.parametrize("head_size", [200, 32 * 1024])
def test_much_behind_a_head_in_two_segments(daemon, head_size):
    """More than any one read holds, behind a head that was read in two."""
    client = daemon.connect()
    head = padded(client, head_size)
    client.send(head[:-1])
    time.sleep(0.05)  # so that it is read; nothing tells us that it was
    messages = [b"%d " % i + b"x" * 5000 for i in range(200)]
    sender = threading.Thread(target=client.try_send, args=(head[-1:] + b"".join(frame(BINARY, m) for m in messages),))
    sender.start()
    assert client.read_response().status == 101
    for message in messages:
        assert client.read_message() == (BINARY, message)
    sender.join()
    client.finish()


def test_close_pipelined_behind_the_head(daemon):
    client = daemon.connect()
    response = client.upgrade(ROUTE, pipelined=frame(BINARY, b"last words") + close(1000))
    assert response.status == 101
    assert client.read_message() == (BINARY, b"last words")
    client.expect_close(1000, answer=False)


# What is wrong: (statuses, text the reason must hold). A request is the usual one with one thing changed.

REFUSED = [
    pytest.param(dict(drop=["Host"]), (400,), "host", id="no-host"),
    pytest.param(dict(headers=[("Host", "localhost")]), (400,), "host", id="two-hosts"),
    pytest.param(dict(drop=["Host"], headers=[("Host", "a"), ("Host", "a")]), (400,), "host", id="two-equal-hosts"),
    pytest.param(dict(method="HEAD"), (405,), None, id="head"),
    pytest.param(dict(method="PUT"), (405,), None, id="put"),
    pytest.param(dict(method="DELETE"), (405,), None, id="delete"),
    pytest.param(dict(method="OPTIONS"), (405,), None, id="options"),
    pytest.param(dict(method="POST"), (405,), None, id="post"),
    pytest.param(dict(method="get"), (400, 405, 501), None, id="method-lower-case"),
    pytest.param(dict(method="SPLICE"), (400, 405, 501), None, id="method-unknown"),
    pytest.param(dict(method=""), (400,), None, id="method-empty"),
    pytest.param(dict(version="HTTP/1.0"), (426,), "HTTP/1.1.*proxy_http_version", id="http-1.0"),
    pytest.param(dict(version="HTTP/0.9"), (400, 426, 505), None, id="http-0.9"),
    pytest.param(dict(version="HTTP/2.0"), (400, 426, 505), None, id="http-2.0"),
    pytest.param(dict(version="HTTP/1.1x"), (400, 505), None, id="version-tail"),
    pytest.param(dict(version="http/1.1"), (400, 505), None, id="version-lower-case"),
    pytest.param(dict(version="ICE/1.1"), (400, 505), None, id="another-protocol"),
    pytest.param(dict(drop=["Upgrade"]), (426,), "websocket", id="no-upgrade"),
    pytest.param(dict(drop=["Upgrade", "Connection"]), (426,), "websocket", id="plain-get"),
    pytest.param(dict(drop=["Upgrade"], headers=[("Upgrade", "h2c")]), (400, 426), None, id="upgrade-other"),
    pytest.param(dict(drop=["Upgrade"], headers=[("Upgrade", "websockets")]), (400, 426), None, id="upgrade-longer"),
    pytest.param(dict(drop=["Upgrade"], headers=[("Upgrade", "xwebsocket")]), (400, 426), None, id="upgrade-suffix"),
    pytest.param(dict(drop=["Connection"]), (400, 426), None, id="no-connection"),
    pytest.param(dict(drop=["Connection"], headers=[("Connection", "keep-alive")]), (400, 426), None,
                 id="connection-other"),
    pytest.param(dict(drop=["Connection"], headers=[("Connection", "upgraded, xupgrade")]), (400, 426), None,
                 id="connection-not-a-token"),
    pytest.param(dict(drop=["Sec-WebSocket-Version"]), (400, 426), "version", id="no-version"),
    pytest.param(dict(drop=["Sec-WebSocket-Key"]), (400,), "key", id="no-key"),
    pytest.param(dict(key=""), (400,), "key", id="key-empty"),
    pytest.param(dict(key="c2hvcnQ="), (400,), "key", id="key-short"),
    pytest.param(dict(key=base64.b64encode(b"x" * 15).decode()), (400,), "key", id="key-15-bytes"),
    pytest.param(dict(key=base64.b64encode(b"x" * 17).decode()), (400,), "key", id="key-17-bytes"),
    pytest.param(dict(key="A" * 24), (400,), "key", id="key-18-bytes"),
    pytest.param(dict(key="A" * 22), (400,), "key", id="key-unpadded"),
    pytest.param(dict(key="A" * 21 + "==="), (400,), "key", id="key-padding-too-long"),
    pytest.param(dict(key="=" * 24), (400,), "key", id="key-all-padding"),
    pytest.param(dict(key="AAAAAAAAAAAAAAAAAA!AAA=="), (400,), "key", id="key-not-base64"),
    pytest.param(dict(key="AAAAAAAAAAAAAAAAAA-_AA=="), (400,), "key", id="key-base64url"),
    pytest.param(dict(key="AAAAAAAAAAA AAAAAAAAAA=="), (400,), "key", id="key-space-inside"),
    pytest.param(dict(key=KEY + "A"), (400,), "key", id="key-longer"),
    pytest.param(dict(key=KEY + KEY), (400,), "key", id="key-twice-in-one"),
    pytest.param(dict(headers=[("Sec-WebSocket-Key", KEY)]), (400,), "key", id="two-keys"),
    pytest.param(dict(headers=[("Sec-WebSocket-Version", "13")]), (400, 426), None, id="two-versions"),
    *(pytest.param(dict(headers=[("Sec-WebSocket-Extensions", value)]), (400,), "extensions", id=f"extensions-{value}")
      for value in ("permessage-deflate; =", "permessage-deflate;", "permessage-deflate; a=", "=", "a b", "foo; a=\"b", "foo, ;a", "\"foo\"")),
    pytest.param(dict(headers=[("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Extensions", "foo; =")]), (400,), "extensions",
                 id="extensions-in-the-second-field"),
    pytest.param(dict(path="/nowhere"), (404,), None, id="unknown-path"),
    pytest.param(dict(path="/echoes"), (404,), None, id="path-beyond-the-segment"),
    pytest.param(dict(path="/ech"), (404,), None, id="path-shorter"),
    pytest.param(dict(path="/ECHO"), (404,), None, id="path-case"),
    pytest.param(dict(path="/"), (404,), None, id="root"),
    pytest.param(dict(path="/nowhere", drop=["Upgrade", "Connection"]), (404,), None, id="unknown-path-plain-get"),
    pytest.param(dict(path=""), (400,), None, id="target-empty"),
    pytest.param(dict(path="echo"), (400,), None, id="target-without-slash"),
    pytest.param(dict(path="*"), (400, 404), None, id="target-asterisk"),
    pytest.param(dict(path="localhost:80"), (400,), None, id="target-authority"),
    pytest.param(dict(path="/echo /echo"), (400,), None, id="target-with-space"),
    pytest.param(dict(path="/echo#fragment"), (400, 404), None, id="target-with-fragment"),
    pytest.param(dict(path="http://evil.example/echo"), (400,), None, id="absolute-form-of-another"),
    pytest.param(dict(path="https://localhost@evil.example/echo"), (400,), None, id="absolute-form-userinfo"),
    pytest.param(dict(path="http:///echo"), (400,), None, id="absolute-form-no-host"),
    pytest.param(dict(path="localhost:80", method="CONNECT"), (400, 405), None, id="connect"),
    pytest.param(dict(path="http://evil.example/", method="CONNECT"), (400, 405), None, id="connect-absolute"),
    pytest.param(dict(headers=[("Content-Length", "5")]), (400, 413), None, id="body-announced"),
    pytest.param(dict(headers=[("Content-Length", "00005")]), (400, 413), None, id="body-leading-zeroes"),
    pytest.param(dict(headers=[("Content-Length", "99999999999999999999999")]), (400, 413), None, id="body-overflow"),
    pytest.param(dict(headers=[("Content-Length", "-1")]), (400, 413), None, id="body-negative"),
    pytest.param(dict(headers=[("Content-Length", "+0")]), (400, 413), None, id="body-plus"),
    pytest.param(dict(headers=[("Content-Length", "0x0")]), (400, 413), None, id="body-hex"),
    pytest.param(dict(headers=[("Content-Length", "")]), (400, 413), None, id="body-empty-length"),
    pytest.param(dict(headers=[("Content-Length", "0"), ("Content-Length", "5")]), (400, 413), None,
                 id="body-two-lengths"),
    pytest.param(dict(headers=[("Content-Length", "0, 5")]), (400, 413), None, id="body-list-of-lengths"),
    pytest.param(dict(headers=[("Transfer-Encoding", "chunked")]), (400, 413, 501), None, id="body-chunked"),
    pytest.param(dict(headers=[("Transfer-Encoding", "identity")]), (400, 413, 501), None, id="body-identity"),
    pytest.param(dict(headers=[("Transfer-Encoding", "\x0bchunked")]), (400, 413, 501), None, id="body-vt-chunked"),
    pytest.param(dict(headers=[("Content-Length", "0"), ("Transfer-Encoding", "chunked")]), (400, 413, 501), None,
                 id="body-length-and-chunked"),
]


@pytest.mark.parametrize("change, statuses, why", REFUSED)
def test_refused(daemon, change, statuses, why):
    change = dict(change)
    client = daemon.connect()
    client.send(client.head(change.pop("path", ROUTE), change.pop("headers", ()), **change))
    if change.get("method") == "HEAD":
        response = client.read_response(bodiless=True)
        assert response.status == 405 and response.ended
        return
    response = refused(client, *statuses, why=why)
    if response.status == 405:
        assert "GET" in response.get("allow", ""), "a 405 names the methods allowed (RFC 9110, 15.5.6)"
    if response.status == 426:
        assert "websocket" in response.tokens("upgrade"), "a 426 names the protocol wanted (RFC 9110, 15.5.22)"
        assert response.get("sec-websocket-version") == "13"
        assert sorted(response.tokens("connection")) == ["close", "upgrade"], "Upgrade is for this connection only (RFC 9110, 7.8)"


@pytest.mark.parametrize("version", ["8", "12", "14", "0", "013", "13.0", "1 3", "13, 8", "x", "", "-13", "256"])
def test_version_other_than_13_is_told_13(daemon, version):
    client = daemon.connect()
    client.send(client.head(ROUTE, [("Sec-WebSocket-Version", version)], drop=["Sec-WebSocket-Version"]))
    response = refused(client, *((426,) if version.isdigit() and version[0] != "0" else (400, 426)))
    if response.status == 426:
        assert response.get("sec-websocket-version") == "13"
        assert "websocket" in response.tokens("upgrade")


def test_refusal_is_not_cut_off_by_a_rst(daemon):
    """Whoever closes a socket with bytes unread sends a RST, and that can overtake the answer (RFC 9112, 9.6)."""
    client = daemon.connect()
    client.send(client.head("/nowhere") + b"unread" * 50_000)
    response = client.read_response()
    assert response.status == 404
    assert not response.reset


# Heads that are not HTTP/1.1: given whole, {host} filled in.

GOOD = (b"GET /echo HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\nSec-WebSocket-Version: 13\r\n%s\r\n")
MALFORMED = {
    "bare-lf": GOOD.replace(b"\r\n", b"\n") % b"",
    "bare-lf-one-line": GOOD % b"X-A: b\n",
    "bare-lf-before-end": GOOD.replace(b"%s\r\n", b"\n"),
    "bare-lf-in-request-line": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n") % b"",
    "bare-cr": GOOD % b"X-A: b\rX-B: c\r\n",
    "bare-cr-in-target": GOOD.replace(b"/echo", b"/echo\r") % b"",
    "bare-cr-at-end-of-value": GOOD % b"X-A: b\r\r\n",
    "cr-lf-swapped": GOOD % b"X-A: b\n\r",
    "nul-in-value": GOOD % b"X-A: b\0c\r\n",
    "nul-in-name": GOOD % b"X-\0A: b\r\n",
    "nul-in-target": GOOD.replace(b"/echo", b"/echo\0") % b"",
    "nul-in-host": GOOD.replace(b"{host}", b"{host}\0") % b"",
    "control-in-value": GOOD % b"X-A: b\x01c\r\n",
    "delete-in-value": GOOD % b"X-A: b\x7fc\r\n",
    "control-in-target": GOOD.replace(b"/echo", b"/echo?\x1b[2J") % b"",
    "obs-fold": GOOD % b"X-A: b\r\n c\r\n",
    "obs-fold-tab": GOOD % b"X-A: b\r\n\tc\r\n",
    "obs-fold-first": GOOD.replace(b"Host", b" Host") % b"",
    "obs-fold-of-connection": GOOD.replace(b"Connection: ", b"Connection:\r\n ") % b"",
    "space-before-colon": GOOD % b"X-A : b\r\n",
    "tab-before-colon": GOOD % b"X-A\t: b\r\n",
    "space-before-colon-of-length": GOOD % b"Content-Length : 5\r\n",
    "space-in-name": GOOD % b"X A: b\r\n",
    "empty-name": GOOD % b": b\r\n",
    "no-colon": GOOD % b"X-A b\r\n",
    "not-a-token-in-name": GOOD % b"X-(A): b\r\n",
    "high-byte-in-name": GOOD % b"X-\xe4: b\r\n",
    "tab-in-request-line": GOOD.replace(b"GET ", b"GET\t") % b"",
    "leading-space": b" " + GOOD % b"",
    "no-version": GOOD.replace(b" HTTP/1.1", b"") % b"",
    "trailing-space-in-request-line": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1 \r\n") % b"",
    "host-empty": GOOD.replace(b"{host}", b"") % b"",
    "host-with-userinfo": GOOD.replace(b"{host}", b"a@{host}") % b"",
    "host-with-path": GOOD.replace(b"{host}", b"{host}/x") % b"",
    "host-with-space": GOOD.replace(b"{host}", b"a b") % b"",
    "host-list": GOOD.replace(b"{host}", b"{host}, evil.example") % b"",
    "host-bad-port": GOOD.replace(b"{host}", b"localhost:99x") % b"",
    "two-empty-lines-first": b"\r\n\r\n" + GOOD % b"",
    "bare-lf-first": b"\n" + GOOD % b"",
    "bare-cr-first": b"\r" + GOOD % b"",
    "space-behind-an-empty-line": b"\r\n " + GOOD % b"",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n",
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "proxy-v1-unwanted": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GOOD % b"",
    "garbage": bytes(range(255, -1, -1)) * 8,
}


@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED)
def test_malformed(daemon, head):
    client = daemon.connect()
    client.try_send(head.replace(b"{host}", client.host.encode()))
    # A fault in the request line may be taken for an unknown method or version.
    in_first_line = not re.match(rb"GET /echo\S* HTTP/1\.1\r?\n", head)
    refused(client, *((400, 405, 501, 505) if in_first_line else (400,)))


@pytest.mark.parametrize("target", ["/echo?ok", "/" + "echo"])
def test_the_malformed_ones_are_refused_for_their_fault_only(daemon, target):
    """The same head without a fault passes: the table above tests what it says."""
    client = daemon.connect()
    client.send((GOOD % b"X-A: b\r\n").replace(b"{host}", client.host.encode()).replace(b"/echo", target.encode()))
    accepted(client)


@pytest.mark.parametrize("chop", [None, 1])
def test_an_empty_line_before_the_request_is_skipped(daemon, chop):
    """RFC 9112, section 2.2: some clients send one behind the request before."""
    client = daemon.connect()
    client.send(b"\r\n" + client.head(ROUTE), chop=chop)
    accepted(client)


def test_an_empty_line_alone_is_no_request(wsluice):
    """A connection that is kept open and gets no further request ends without an answer to none."""
    daemon = wsluice("--route", f"{ROUTE}=echo:", "--console", "--handshake-timeout", "0.3")
    client = daemon.connect()
    client.send(client.head(ROUTE, drop=("Upgrade", "Connection")))
    assert client.read_response().status == 200
    client.send(b"\r\n")
    assert client.read_to_end()[0] == b""


# HTTP/1.0: pages, no WebSockets.

OLD = b"%s /%s HTTP/1.0\r\n%s\r\n"


@pytest.fixture(scope="module")
def module_pages(wsluice_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "page.txt").write_bytes(b"a page")
    return wsluice_module("--static", folder, "--route", f"{ROUTE}=echo:", "--admin", "127.0.0.1:0")


@pytest.fixture
def pages(shared, module_pages):
    return shared(module_pages)


@pytest.mark.parametrize("host", [b"", b"Host: localhost\r\n"], ids=["no-host", "host"])
@pytest.mark.parametrize("fields, stays", [
    (b"", False), (b"Connection: close\r\n", False), (b"Connection: keep-alive\r\n", True), (b"Connection: Keep-Alive\r\n", True),
])
def test_1_0_keeps_a_connection_only_when_asked(pages, host, fields, stays):
    client = pages.connect()
    for again in (True, True, False):
        for method, body in ((b"GET", b"a page"), (b"HEAD", b"")):
            client.send(OLD % (method, b"page.txt", host + fields))
            answer = client.read_response(bodiless=method == b"HEAD")
            assert (answer.status, answer.body, answer.get("content-length")) == (200, body, "6")
            assert answer.tokens("connection") == ["keep-alive" if stays else "close"]
            assert bool(answer.ended) is not stays
            if not stays:
                return


def test_1_0_is_asked_what_is_possible(pages):
    for path, host in ((b"", b""), (b"page.txt", b"Host: localhost\r\n"), (b"echo", b"")):
        client = pages.connect()
        client.send(OLD % (b"OPTIONS", path, host))
        answer = client.read_response()
        assert (answer.status, answer.get("allow"), answer.get("content-length")) == (204, "GET, HEAD, OPTIONS", None)
        assert answer.ended and answer.body == b""


def test_1_0_opens_no_websocket(pages):
    """RFC 9110, section 7.8: Upgrade of 1.0 is not looked at. The answer says what nginx lacks."""
    client = pages.connect()
    client.send(client.head(ROUTE, version="HTTP/1.0"))
    assert refused(client, 426, why="HTTP/1.1.*proxy_http_version").get("upgrade") == "websocket"
    client = pages.connect()
    client.send(client.head("/page.txt", version="HTTP/1.0"))
    assert client.read_response().body == b"a page"


def test_1_0_gets_no_chunks(pages):
    """A body of unknown length ends with the connection, whatever was asked for."""
    host, port = Admin(pages).address
    for path in (b"metrics", b"sessions", b"healthz"):
        client = pages.connect(address=(host, int(port)))
        client.send(OLD % (b"GET", path, b"Connection: keep-alive\r\n"))
        answer = client.read_response()
        assert answer.status == 200 and answer.body and answer.get("transfer-encoding") is None
        assert answer.ended or answer.get("content-length")


def test_1_0_with_two_hosts_or_a_body(pages):
    for fields in (b"Host: a\r\nHost: a\r\n", b"Host: \r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
        client = pages.connect()
        client.send(OLD % (b"GET", b"page.txt", fields))
        refused(client, 400, 413)


# Sizes.


def padded(client, size):
    """A good head of exactly so many bytes."""
    plain = len(client.head(ROUTE, [("X-Pad", "")]))
    return client.head(ROUTE, [("X-Pad", "x" * (size - plain))])


MAX_HEAD = 32 * 1024  # the default


@pytest.mark.parametrize("size", [4096, MAX_HEAD - 1, MAX_HEAD])
def test_head_of_up_to_max_head(daemon, size):
    client = daemon.connect()
    client.send(padded(client, size))
    accepted(client)


@pytest.mark.parametrize("max_head", [1024, 65536])
def test_max_head_is_the_operators(wsluice, max_head):
    """Also what a program is told of such a head is whole, and what stands behind it the first frames."""
    daemon = wsluice("--max-head", max_head, "--framing", "stream", "--", "/bin/sh", "-c", 'printf "%s" "$HTTP_COOKIE"; exec cat')
    client = daemon.connect()
    plain = len(client.head("/", [("Cookie", "")]))
    cookie = "c" * (max_head - plain)
    client.send(client.head("/", [("Cookie", cookie)]) + frame(BINARY, b"x" * 70_000))
    assert client.read_response().status == 101
    got = b""
    while len(got) < len(cookie) + 70_000:
        got += client.read_message().data
    assert got == cookie.encode() + b"x" * 70_000
    client.finish()
    client = daemon.connect()
    client.try_send(client.head("/", [("Cookie", cookie + "c")]))
    refused(client, 431, why="--max-head")


@pytest.mark.parametrize("size", [MAX_HEAD + 1, MAX_HEAD + 4000, 1_000_000])
def test_head_over_max_head(daemon, size):
    client = daemon.connect()
    client.try_send(padded(client, size))
    refused(client, 431)


def test_head_over_max_head_in_one_long_target(daemon):
    client = daemon.connect()
    client.try_send(client.head(ROUTE + "?" + "x" * (MAX_HEAD + 16)))
    refused(client, 414, 431)


def test_head_over_max_head_that_never_ends(daemon):
    """Refused at the limit, not at the end that does not come."""
    client = daemon.connect()
    client.try_send(client.head(ROUTE)[:-2] + b"X-A: b\r\n" * 60 + b"X-B: " + b"y" * (MAX_HEAD + 1000))
    refused(client, 431)


def test_100_fields(daemon):
    client = daemon.connect()
    client.send(client.head(ROUTE, [(f"X-{i}", "v") for i in range(95)]))
    accepted(client)


@pytest.mark.parametrize("fields", [101, 500])
def test_over_100_fields(daemon, fields):
    client = daemon.connect()
    client.send(client.head(ROUTE, [(f"X-{i}", "v") for i in range(fields - 5)]))
    refused(client, 431)


# Subprotocols.


def chosen(daemon, headers, path="/"):
    client = daemon.connect()
    response = client.upgrade(path, headers)
    assert response.status == 101, response
    return response.get("sec-websocket-protocol")


def offer(*values):
    return [("Sec-WebSocket-Protocol", value) for value in values]


@pytest.mark.parametrize("headers, expected", [
    pytest.param([], None, id="none-offered"),
    pytest.param(offer("binary"), "binary", id="binary"),
    pytest.param(offer("base64, binary"), "binary", id="binary-second"),
    pytest.param(offer("mqtt"), "mqtt", id="first"),
    pytest.param(offer("mqtt, mqttv3.1"), "mqtt", id="first-of-two"),
    pytest.param(offer(" \tmqttv3.1 ,, mqtt "), "mqttv3.1", id="odd-spacing"),
    pytest.param(offer("one", "two"), "one", id="two-fields"),
    pytest.param(offer("one", "binary"), "binary", id="two-fields-binary"),
    pytest.param(offer("BINARY, other"), "BINARY", id="case-matters-to-binary"),
])
def test_subprotocol_of_a_service(wsluice, server, headers, expected):
    daemon = wsluice("--to", server(peers.echo).to)
    assert chosen(daemon, headers) == expected


@pytest.mark.parametrize("headers, expected", [
    pytest.param([], None, id="none-offered"),
    pytest.param(offer("mqtt, other"), "mqtt", id="others"),
    pytest.param(offer("mqtt, binary"), "binary", id="binary"),
])
def test_subprotocol_of_a_program(wsluice, headers, expected):
    """As of a service: a client that insists on its subprotocol, as those of MCP do, would give up else."""
    assert chosen(wsluice("--", "cat"), headers) == expected


@pytest.mark.parametrize("headers, expected", [
    pytest.param([], None, id="none-offered"),
    pytest.param(offer("alpha"), "alpha", id="listed"),
    pytest.param(offer("gamma, beta"), "beta", id="listed-second"),
    pytest.param(offer(" gamma,\tbeta\t,"), "beta", id="odd-spacing"),
    pytest.param(offer("gamma", "beta"), "beta", id="two-fields"),
    pytest.param(offer("gamma"), None, id="not-listed"),
    pytest.param(offer("alphabet, alph"), None, id="prefix"),
])
@pytest.mark.parametrize("backend", ["program", "service"])
def test_subprotocols_set(wsluice, backend, headers, expected):
    options = ["--subprotocol", "alpha", "--subprotocol", "beta"]
    daemon = wsluice(*options, *(["--", "cat"] if backend == "program" else ["--to", "echo:"]))
    assert chosen(daemon, headers) == expected


@pytest.mark.parametrize("value", ["a b", "a/b", "a\x01", "a;b", "\xe4"])
def test_subprotocol_that_is_no_token_is_never_echoed(wsluice, value):
    daemon = wsluice("--to", "echo:")
    client = daemon.connect()
    client.send(client.head("/", offer(value)))
    response = client.read_response()
    assert response.status == 400 or not response.all("sec-websocket-protocol")
