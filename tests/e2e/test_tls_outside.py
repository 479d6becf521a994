# SPDX-License-Identifier: MIT
"""TLS as others see it: testssl.sh, Chromium and node over wss, floods of new keys, and plain listeners that send
browsers to https."""

import base64
import contextlib
import hashlib
import json
import shutil
import ssl
import subprocess

import pytest

from lib import peers, proc
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import PAGE_ONLY, SOON
from lib.tls import Certificate, client, s_client
from lib.tools import JSON, ended
from lib.wire import TEXT, Raw
from test_reload import configured, path, reload  # noqa: F401
from test_stop_upgrade import successors  # noqa: F401


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.fixture
def secure(wsluice, cert):
    return lambda *args, **how: wsluice("--tls-cert", cert.cert, "--tls-key", cert.key, *args, **how)


# What is offered.


@pytest.mark.plain("testssl starts thousands of processes; the offer is the plain build's too")
def test_testssl_finds_nothing(secure, tmp_path):
    daemon = secure("--to", "echo:")
    found = tmp_path / "findings.json"
    process = subprocess.Popen(
        [shutil.which("testssl") or "testssl.sh", "--quiet", "--color", "0", "--warnings", "off", "--nodns",
         "min", "-p", "-s", "-f", "-R", "-C", "--jsonfile", str(found), f"127.0.0.1:{daemon.port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        preexec_fn=proc.die_with_parent)
    try:
        said = process.communicate(timeout=280)[0]  # about 40 s on an idle machine
    finally:
        process.kill()
    findings = {f["id"]: (f["severity"], f["finding"]) for f in json.loads(found.read_text())}
    for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT",
                 "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE"):
        assert findings[name][1] == "not offered", (name, said)
    assert findings["TLS1_2"][1] == "offered" and findings["TLS1_3"][1].startswith("offered"), said
    assert (findings.get("PFS") or findings.get("FS"))[1] == "offered", said
    for name in ("secure_client_renego", "CRIME_TLS"):
        assert findings[name][1].startswith("not vulnerable"), (name, said)
    assert findings["secure_renego"][1] == "supported", said
    bad = {k: v for k, v in findings.items() if v[0] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")}
    assert not bad, said


def test_no_renegotiation_and_the_session_goes_on(secure, cert):
    """By TLS 1.2 "R" asks for it. openssl gives up when it is refused; we do not."""
    daemon = secure("--to", "echo:")
    said, _ = s_client(daemon.port, "-tls1_2", stdin=b"R\n")
    assert "no renegotiation" in said
    with client(daemon.address, cert).open() as c:
        c.text("hello")
        assert c.read_message() == (TEXT, b"hello")


def test_a_ticket_of_tls_1_3_resumes_and_is_renewed(secure, cert):
    daemon = secure("--to", "echo:")
    context = ssl.create_default_context(cafile=cert.cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session = None
    for round_ in range(3):
        sock = context.wrap_socket(daemon.connect().sock, server_hostname="localhost", session=session)
        with Raw(sock, timeout=SOON, host="localhost").open() as c:
            assert sock.session_reused == (round_ > 0)
            session = sock.session
            c.finish()


# New keys.

REQUEST = (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")


@pytest.fixture
def talker(cert):
    """An `openssl s_client` by TLS 1.3 that obeys lines: "k" sends a KeyUpdate, "K" one that asks for ours."""
    started = []

    def start(port):
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-crlf"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=proc.die_with_parent)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def say(process, line):
    process.stdin.write(line)
    process.stdin.flush()


@pytest.mark.parametrize("letter", [b"k", b"K"], ids=["plain", "asks-for-ours"])
def test_a_flood_of_new_keys_is_cut(secure, talker, letter):
    daemon = secure(*JSON, "--to", "echo:")
    process = talker(daemon.port)
    say(process, REQUEST.replace(b"\r\n", b"\n"))
    wait_until(lambda: b"101 Switching" in process.stdout.readline(), "the handshake")

    def one_more():
        if process.poll() is None:
            say(process, letter + b"\n")
        return daemon.find_log("TLS connection cut.*too many key updates")

    wait_until(one_more, "the flood to be cut")
    assert ended(daemon)["code"] == 1006
    process.wait(SOON)


def test_some_new_keys_are_fine(secure, talker):
    """32 a minute: whoever sends gigabytes renews keys now and then."""
    daemon = secure("--to", "echo:")
    process = talker(daemon.port)
    say(process, REQUEST.replace(b"\r\n", b"\n"))
    wait_until(lambda: b"101 Switching" in process.stdout.readline(), "the handshake")
    for _ in range(20):
        say(process, b"K\n")
        wait_until(lambda: b"KEYUPDATE" in process.stdout.readline(), "the key update to be sent")
    assert process.poll() is None and not daemon.find_log("TLS connection cut")


# Memory.


def test_an_idle_session_holds_no_buffers(secure, cert):
    """About 14 KiB of it are what OpenSSL keeps for any connection; buffers of one record each way would be 33 more."""
    daemon = secure("--max-per-address", "0", "--to", "echo:", inside=True)

    def session():
        c = client(daemon.address, cert).open()
        c.text("x" * 5000)
        assert c.read_message() == (TEXT, b"x" * 5000)
        return c

    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(session())
        before = daemon.inside.kib()
        for _ in range(200):
            stack.enter_context(session())
        assert (daemon.inside.kib() - before) / 200 < 16.5


# Clients of others.


def test_node_ws_over_wss(secure, cert, monkeypatch):
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", cert.cert)
    seen = json.loads(peers.node("ws_echo.mjs", f"wss://localhost:{secure('--to', 'echo:').port}/"))
    assert seen["messages"] == ["same"] * 6 and seen["pongs"] == ["are you there?"] and seen["code"] == 4321


PAGE = """<!doctype html>
<meta charset="utf-8">
<title>wsluice test</title>
<link rel="icon" href="data:,">
<script>
const socket = new WebSocket(`wss://${location.host}/live`);
const seen = [];
socket.onopen = () => socket.send("2^64");
socket.onmessage = (event) => { seen.push(event.data); socket.send("quit"); };
socket.onclose = (event) => { window.result = { seen, code: event.code, url: location.href }; };
</script>
"""


def trusts(cert):
    """The switch that makes Chromium take this key, and no other."""
    public = subprocess.run(["openssl", "x509", "-in", cert.cert, "-noout", "-pubkey"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.stdout, check=True,
                         capture_output=True).stdout
    return "--ignore-certificate-errors-spki-list=" + base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.plain(PAGE_ONLY)
def test_chromium_over_wss_and_by_the_redirect(configured, cert, tmp_path):  # noqa: F811
    """The plain address sends the page's visitor to https; from there it speaks wss."""
    (tmp_path / "index.html").write_text(PAGE)
    daemon = configured({
        "listen": [{"address": "127.0.0.1:0", "redirect-to-https": True},
                   {"address": "localhost:0", "tls": {"cert": cert.cert, "key": cert.key}}],
        "routes": [{"path": "/", "static": str(tmp_path), "exec": ["bc", "-l"]}]})
    plain, secure_port = ports(daemon)
    seen = json.loads(peers.node("page.mjs", f"http://127.0.0.1:{plain}/?a=b", trusts(cert)))
    assert seen["result"] == {"seen": ["18446744073709551616"], "code": 1000,
                              "url": f"https://127.0.0.1:{secure_port}/?a=b"}, seen


# Redirects.


def ports(daemon):
    """Of the plain listener and the one with TLS."""
    wait_until(lambda: len(daemon.find_log("listening on")) == 2, "both listeners")
    return (int(daemon.find_log(rf"listening on {scheme}://[^/]*:(\d+)/")[0][1]) for scheme in ("ws", "wss"))


@pytest.fixture
def redirecting(configured, cert):  # noqa: F811
    daemon = configured({
        "listen": [{"address": "127.0.0.1:0", "redirect-to-https": "on"},
                   {"address": "localhost:0", "tls": {"cert": cert.cert, "key": cert.key}}],
        "trusted-proxies": "127.0.0.0/8", "routes": [{"path": "/", "to": "echo:", "console": True}]})
    plain, daemon.secure_port = ports(daemon)
    daemon.plain = ("127.0.0.1", plain)
    return daemon


def ask(address, target="/", host="example.org", method="GET", *more):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *more, "", ""]
    with Raw.connect(address) as c:
        c.send("\r\n".join(lines).encode())
        return c.read_response(head_only=True) if method == "HEAD" else c.read_response()


@pytest.mark.parametrize("target, host, place", [
    ("/", "example.org", "https://example.org:PORT/"),
    ("/a%20b/c?x=1&y=%0d%0a", "example.org:8080", "https://example.org:PORT/a%20b/c?x=1&y=%0d%0a"),
    ("/?", "[::1]:8080", "https://[::1]:PORT/?"),
    ("/", "[::1]", "https://[::1]:PORT/"),
    ("http://example.org/x", "example.org", "https://example.org:PORT/x"),
])
def test_where_a_page_is_sent_to(redirecting, target, host, place):
    answer = ask(redirecting.plain, target, host)
    assert answer.status == 301
    assert answer.get("location") == place.replace("PORT", str(redirecting.secure_port))


@pytest.mark.parametrize("host", ["a b", "a/b", "x@evil.example", "a\"b", "", "a<b>", "%65vil"])
def test_an_odd_host_is_sent_nowhere(redirecting, host):
    assert ask(redirecting.plain, "/", host).status != 301


def test_what_is_not_redirected(redirecting, cert):
    with Raw.connect(redirecting.plain).open() as c:  # a WebSocket: browsers would not follow
        c.text("hello")
        assert c.read_message() == (TEXT, b"hello")
    assert ask(redirecting.plain, "/", "example.org", "POST").status == 405
    assert ask(redirecting.plain, "/" + "x" * 5000).status != 301
    assert ask(redirecting.plain, "//evil.example/x", "example.org").status == 400
    # a proxy has spoken TLS already
    assert ask(redirecting.plain, "/", "example.org", "GET", "X-Forwarded-Proto: https").status == 200
    with client(("127.0.0.1", redirecting.secure_port), cert) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.read_response().status == 200


def test_the_connection_stays_for_the_next_request(redirecting):
    with Raw.connect(redirecting.plain) as c:
        for _ in range(3):
            c.send(b"GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n")
            assert c.read_response().status == 301


@pytest.mark.parametrize("listen, says", [
    ([{"address": "127.0.0.1:0", "redirect-to-https": True}], "no listener has TLS"),
    ([{"address": "127.0.0.1:0", "redirect-to-https": True, "tls": "TLS"}], "has TLS itself"),
])
def test_redirects_that_lead_nowhere_stop_the_start(cert, tmp_path, listen, says):
    for item in listen:
        if item.get("tls"):
            item["tls"] = {"cert": cert.cert, "key": cert.key}
    config = tmp_path / "wsluice.yaml"
    config.write_text(json.dumps({"listen": listen, "routes": [{"path": "/", "to": "echo:"}]}))
    done = command_line("--config", config)
    assert done.returncode == 1 and says in done.stderr
