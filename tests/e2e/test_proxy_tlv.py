# SPDX-License-Identifier: MIT
"""What PROXY headers of version 2 say beyond addresses: read, told to programs and the log, written to services."""

import re
import socket
import ssl
import struct

import pytest

from lib import peers
from lib.daemon import command_line
from lib.judge import accepted, refused
from lib.proc import wait_until
from lib.setting import SOON
from lib.tls import Authority, client as tls_client
from lib.tools import JSON, ended, records, sh
from lib.wire import TEXT
from test_proxy import LOCAL, PROXIED, SIGNATURE, TLS_TLV, TRUST, receive, tlv, v1, v2
from test_reload import configured, path, reload  # noqa: F401

SHOW = sh("env -0 | tr '\\n\\0' '~\\n' | grep -E '^(HTTPS|SSL_|WSLUICE_PROXY_|UNIQUE_ID)'; echo end; cat")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return struct.pack("!I", crc ^ 0xffffffff)


def checked(tlvs):
    """A header with a checksum behind these."""
    head = v2(tlvs=tlvs + tlv(0x03, bytes(4)))
    return head[:-4] + crc32c(head)


def tls_tlv(client=0x01, verify=0, version=b"TLSv1.3", cn=None):
    return tlv(0x20, struct.pack("!BI", client, verify) + tlv(0x21, version) + (tlv(0x22, cn) if cn is not None else b""))


def shown(c):
    """The variables of the program that SHOW is."""
    got = {}
    while True:
        opcode, line = c.read_message()
        assert opcode == TEXT
        if line == b"end":
            return got
        name, _, value = line.decode().partition("=")
        got[name] = value


def told(daemon, header):
    """What the program and the log are told of a client behind this header."""
    n = len(records(daemon))
    with daemon.connect() as c:
        c.send(header)
        c.open()
        env = shown(c)
        c.finish()
    return env, ended(daemon, n + 1)


# ---- inward


def test_all_of_it_reaches_program_and_log(wsluice):
    daemon = wsluice(*PROXIED, *JSON, *SHOW)
    tlvs = (tlv(0x01, b"http/1.1") + tlv(0x02, b"chess.example") + tlv(0x05, b"id-4711") + tlv(0x30, b"netns") +
            tls_tlv(0x03, 0, cn="Aljoša".encode()))
    env, record = told(daemon, checked(tlvs))
    assert len(env.pop("UNIQUE_ID")) == 32, "ours stays ours"
    assert env == {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN_CN": "Aljoša",
                   "WSLUICE_PROXY_AUTHORITY": "chess.example", "WSLUICE_PROXY_ALPN": "http/1.1",
                   "WSLUICE_PROXY_UNIQUE_ID": "id-4711"}
    assert {k: v for k, v in record.items() if k.startswith(("proxy_", "client_"))} == {
        "client_verify": "SUCCESS", "proxy_unique_id": "id-4711", "proxy_authority": "chess.example", "proxy_alpn": "http/1.1",
        "proxy_tls": "TLSv1.3", "proxy_client_cn": "Aljoša"}


@pytest.mark.parametrize("header, wanted", [
    (v1(), {}),
    (v2(), {}),
    (LOCAL, {}),
    (SIGNATURE + b"\x20\x11" + v2(tlvs=tlv(0x02, b"a") + TLS_TLV)[14:], {}),
    (v2(tlvs=tls_tlv()), {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "NONE"}),
    (v2(tlvs=tls_tlv(0x03, 18, cn=b"mallory")),
     {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "FAILED:as the proxy says"}),
    (v2(tlvs=tls_tlv(0x06, 0, cn=b"mallory")), {}),  # not over TLS, whatever else is claimed
    (v2(tlvs=tlv(0x02, b"evil\nHTTPS=on") + tlv(0x05, b"a\0b") + tlv(0x01, b"\x1b[2J")), {}),
    (v2(tlvs=tlv(0x05, b"only")), {"WSLUICE_PROXY_UNIQUE_ID": "only"}),
], ids=["v1", "v2", "local", "local-with-all", "no-certificate", "bad-certificate", "not-tls", "control-bytes", "id-alone"])
def test_nothing_but_what_it_says(wsluice, header, wanted):
    daemon = wsluice(*PROXIED, *JSON, *SHOW)
    env, record = told(daemon, header)
    del env["UNIQUE_ID"]
    assert env == wanted
    assert {k for k in record if k.startswith("proxy_")} == (
        {"proxy_unique_id"} if "WSLUICE_PROXY_UNIQUE_ID" in wanted else
        {"proxy_tls", "proxy_client_cn"} if "FAILED" in wanted.get("SSL_CLIENT_VERIFY", "") else
        {"proxy_tls"} if wanted else set())


def test_a_wrong_checksum_is_no_header(wsluice):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    good = checked(tlv(0x02, b"chess.example"))
    with daemon.connect() as c:
        c.send(good)
        c.open().finish()
    for at in (20, len(good) - 10, len(good) - 1):
        with daemon.connect() as c:
            c.try_send(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] + c.head())
            assert c.read_to_end()[0] == b""
    wait_until(lambda: len(records(daemon, "connection refused")) == 3, "the log to say so")


def test_a_page_of_https_is_of_the_same_origin(wsluice):
    daemon = wsluice(*PROXIED, "--to", "echo:")
    rows = [(v2(tlvs=tls_tlv()), "https://chess.example", True), (v2(tlvs=tls_tlv()), "http://chess.example", False),
            (v2(tlvs=tlv(0x02, b"chess.example")), "https://chess.example", None),
            (v2(tlvs=tls_tlv() + tlv(0x02, b"evil.example")), "https://evil.example", False)]
    for header, origin, good in rows:
        c = daemon.connect()
        c.host = "chess.example"
        c.send(header + c.head(origin=origin))
        if good is None:  # over plain HTTP the scheme is not known for sure: as without a proxy
            plain = wsluice("--to", "echo:").connect()
            plain.host = "chess.example"
            plain.send(plain.head(origin=origin))
            assert c.read_response().status == plain.read_response().status
            plain.close()
            c.close()
        elif good:
            accepted(c)
        else:
            refused(c, 403)


def test_a_refusal_has_the_proxys_id(wsluice):
    daemon = wsluice(*PROXIED, *JSON, "--to", "echo:")
    with daemon.connect() as c:
        c.send(v2(tlvs=tlv(0x05, b"id-4712")) + c.head(origin="https://evil.example"))
        refused(c, 403)
    daemon.wait_for_log("request refused")
    assert records(daemon, "request refused")[0]["proxy_unique_id"] == "id-4712"


def test_each_request_of_a_connection_knows_it(wsluice, tmp_path):
    (tmp_path / "page.txt").write_text("page")
    daemon = wsluice(*PROXIED, "--static", tmp_path, *SHOW)
    with daemon.connect() as c:
        c.send(v2(tlvs=tlv(0x05, b"kept")))
        for _ in range(2):
            c.send(b"GET /page.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.read_response().body == b"page"
        c.open()
        assert shown(c)["WSLUICE_PROXY_UNIQUE_ID"] == "kept"


def test_client_certificates_of_a_proxy_open_no_door(wsluice, tmp_path):
    """auth: client-cert asks for one that our own TLS has verified."""
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    daemon = wsluice(*PROXIED, *JSON, "--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-cert", "optional",
                     "--tls-client-ca", root.cert, "--auth", "client-cert", "--to", "echo:")
    context = ssl.create_default_context(cafile=root.cert)
    c = daemon.connect()
    c.send(v2(tlvs=tls_tlv(0x03, 0, cn=b"alice")))
    c.sock = context.wrap_socket(c.sock, server_hostname="localhost")
    assert c.upgrade().status == 403
    c.close()


def test_a_hooks_answer_is_remembered_for_this_certificate_only(wsluice, tmp_path):
    """From one address, all else the same: alice was let in, and mallory is asked about anew."""
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\n[ \"$SSL_CLIENT_VERIFY/$SSL_CLIENT_S_DN_CN\" = SUCCESS/alice ]\n")
    hook.chmod(0o755)
    daemon = wsluice(*PROXIED, "--auth", "hook", "--auth-hook", str(hook), "--to", "echo:")

    def ask(tlvs):
        with daemon.connect() as c:
            c.host = "x"
            c.send(v2(tlvs=tlvs))
            return c.upgrade().status

    alice = tls_tlv(0x03, 0, cn=b"alice")
    assert [ask(alice), ask(alice)] == [101, 101]
    assert ask(tls_tlv(0x03, 0, cn=b"mallory")) == 401
    assert ask(tls_tlv(0x03, 1, cn=b"alice")) == 401
    assert ask(alice) == 101


def test_our_own_tls_is_told_in_the_same_words(wsluice, tmp_path):
    root = Authority(tmp_path)
    pair, alice = root.issue("/CN=localhost", "localhost"), root.issue("/O=wsluice/CN=alice")
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-cert", "optional", "--tls-client-ca",
                     root.cert, *SHOW)
    for own, wanted in ((alice, {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=alice,O=wsluice",
                                 "SSL_CLIENT_S_DN_CN": "alice"}), (None, {"SSL_CLIENT_VERIFY": "NONE"})):
        with tls_client(daemon.address, root, own=own, high=ssl.TLSVersion.TLSv1_2).open() as c:
            env = shown(c)
            del env["UNIQUE_ID"]
            assert env == {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.2", **wanted}


# ---- per listener


def test_listeners_differ(configured, path):  # noqa: F811
    """One takes headers only, the other none; a reload changes what holds for connections to come."""
    a, b = peers.free_port(), peers.free_port()
    conf = {"listen": [{"address": f"127.0.0.1:{a}", "accept-proxy": True}, f"127.0.0.1:{b}"],
            "trusted-proxies": ["127.0.0.1"], "routes": [{"path": "/", "to": "echo:"}]}

    def first(port, header):
        with daemon.connect(("127.0.0.1", port)) as c:
            c.sock.settimeout(SOON)
            c.try_send(header + c.head())
            try:
                return c.sock.recv(12)
            except ConnectionResetError:
                return b""

    def check(with_header, without):
        assert first(with_header, v1()) == b"HTTP/1.1 101" and first(with_header, b"") == b""
        assert first(without, b"") == b"HTTP/1.1 101" and first(without, v1()) == b"HTTP/1.1 501"

    daemon = configured(conf)
    daemon.wait_for_log(f"127.0.0.1:{b}")
    check(a, b)
    conf["listen"] = [f"127.0.0.1:{a}", {"address": f"127.0.0.1:{b}", "accept-proxy": False}]
    conf["accept-proxy"] = True
    reload(daemon, conf)
    check(a, b)
    conf["listen"].reverse()
    conf["accept-proxy"] = False
    conf["listen"][0]["accept-proxy"] = True
    reload(daemon, conf)
    check(b, a)


def test_a_listener_needs_somebody_to_trust(path):  # noqa: F811
    path.write_text("listen: [{address: '127.0.0.1:0', accept-proxy: on}]\nroutes: [{path: /, to: 'echo:'}]\n")
    done = command_line("--config", path, "--check")
    assert done.returncode != 0
    assert "accept-proxy of 127.0.0.1:0: say from whom: --trusted-proxies LIST" in done.stderr, done.stderr


# ---- outward


def parse(data):
    """A header of version 2: its family byte, addresses, {type: value}, with those within TLS as (0x20, type)."""
    assert data[:12] == SIGNATURE and data[12] == 0x21, data
    size = {0x11: 12, 0x21: 36, 0: 0}[data[13]]

    def tlvs(block):
        while block:
            kind, n = struct.unpack_from("!BH", block)
            assert len(block) >= 3 + n
            yield kind, block[3:3 + n]
            block = block[3 + n:]

    found = dict(tlvs(data[16 + size:]))
    if 0x20 in found:
        found.update({(0x20, kind): value for kind, value in tlvs(found[0x20][5:])})
        found[0x20] = found[0x20][:5]
    return data[13], data[16:16 + size], found


def header_of(service, n=1):
    sock = service.wait_accepted(n)
    sock.settimeout(SOON)
    fixed = receive(sock, 16)
    return parse(fixed + receive(sock, struct.unpack("!H", fixed[14:])[0]))


def test_a_service_is_told_name_and_id(wsluice, server):
    """The id is the one in our log, so that both logs can be joined; each session has its own."""
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--stop-grace", "0", "--proxy-protocol", "v2", "--to", service.to)
    ids = set()
    for n in (1, 2):
        c = daemon.connect()
        c.host = "chess.example:8080"
        with c.open():
            family, _, found = header_of(service, n)
            assert family == 0x11 and set(found) == {0x02, 0x05} and found[0x02] == b"chess.example"
            c.finish()
        assert ended(daemon, n)["unique_id"] == found[0x05].decode()
        ids.add(found[0x05])
    assert len(ids) == 2


def test_version_1_is_as_it_was_and_logs_no_id(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--stop-grace", "0", "--proxy-protocol", "v1", "--to", service.to)
    with daemon.open() as c:
        c.finish()
    assert "unique_id" not in ended(daemon)


def test_a_service_is_told_of_our_tls(wsluice, server, tmp_path):
    root = Authority(tmp_path)
    pair, alice = root.issue("/CN=localhost", "localhost"), root.issue("/O=wsluice/CN=alice")
    other = Authority(tmp_path, "Other Root").issue("/CN=mallory")
    service = server(peers.hold)
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-cert", "optional", "--tls-client-ca",
                     root.cert, "--proxy-protocol", "v2", "--to", service.to)
    rows = ((alice, b"\x07\0\0\0\0", b"alice"), (None, b"\x01\0\0\0\1", None), (other, b"\x07\0\0\0\1", None))
    for n, (own, fixed, name) in enumerate(rows, 1):
        with tls_client(daemon.address, root, own=own).open():
            found = header_of(service, n)[2]
        assert (found[0x20], found[0x20, 0x21], found.get((0x20, 0x22))) == (fixed, b"TLSv1.3", name)
        assert found[0x02] == b"localhost"


def test_what_a_proxy_in_front_says_of_tls_goes_on(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*PROXIED, "--proxy-protocol", "v2", "--to", service.to)
    rows = ((tls_tlv(0x05, 0, b"TLSv1.2", b"alice"), b"\x07\0\0\0\0", b"TLSv1.2", b"alice"),
            (tls_tlv(0x03, 9, b"TLSv1.2", b"bob"), b"\x07\0\0\0\1", b"TLSv1.2", b"bob"),
            (tls_tlv(), b"\x01\0\0\0\1", b"TLSv1.3", None), (b"", None, None, None))
    for n, (tlvs, fixed, version, name) in enumerate(rows, 1):
        with daemon.connect() as c:
            c.send(v2(tlvs=tlvs + tlv(0x05, b"theirs")))
            c.open()
            found = header_of(service, n)[2]
        assert (found.get(0x20), found.get((0x20, 0x21)), found.get((0x20, 0x22))) == (fixed, version, name)
        assert found[0x05] != b"theirs", "each hop names its own"


def test_x_forwarded_proto_is_tls_without_a_version(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*TRUST, "--proxy-protocol", "v2", "--to", service.to)
    with daemon.open(headers=[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "[2001:db8::5]:444")]):
        found = header_of(service)[2]
    assert found[0x20] == b"\x01\0\0\0\1" and found[0x02] == b"2001:db8::5" and (0x20, 0x21) not in found


def test_the_header_goes_before_tls_to_the_service(wsluice, server, tmp_path):
    """With a preamble, which is for the service itself, behind the handshake."""
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    got = []

    def serve(sock):
        fixed = receive(sock, 16)
        got.append(parse(fixed + receive(sock, struct.unpack("!H", fixed[14:])[0])))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        with context.wrap_socket(sock, server_side=True) as tls:
            got.append(tls.recv(100))
            tls.sendall(b"heard")
            tls.recv(100)

    service = server(serve)
    daemon = wsluice("--proxy-protocol", "v2", "--preamble", "HELLO {client_address}\n", "--backend-ca", root.cert,
                     "--to", f"tls://localhost:{service.port}")
    with daemon.open() as c:
        assert c.read_message().data == b"heard"
        c.finish()
    assert got[0][0] == 0x11 and socket.inet_ntoa(got[0][1][:4]) == "127.0.0.1" and re.fullmatch(rb"[0-9a-f]{32}", got[0][2][5])
    assert got[1] == b"HELLO 127.0.0.1\n"
