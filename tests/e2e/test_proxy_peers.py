# SPDX-License-Identifier: MIT
"""The same against real proxies, HAProxy and nginx, in front of us and behind."""

import os
import pathlib

import pytest

from lib import peers, proc
from lib.judge import accepted
from lib.setting import SOON, installed
from lib.tls import Authority, Certificate, client as tls_client
from lib.tools import JSON, ended, sh

WHO = sh("echo $REMOTE_ADDR ${REMOTE_PORT:-none} $SERVER_NAME ${HTTPS:-off}")
PROXIED = ("--accept-proxy", "--trusted-proxies", "127.0.0.1")
SOURCE = "127.0.0.3"  # the client's; proxies connect from 127.0.0.1
STREAM_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")

HAPROXY = """
global
    maxconn 50
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen here
    bind 127.0.0.1:{port} %s
    server there 127.0.0.1:%d %s
"""

NGINX = """
%s
daemon off;
master_process off;
error_log stderr;
pid {folder}/nginx.pid;
events {{ worker_connections 50; }}
"""

HTTP = NGINX % "" + """
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:%d;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            %s
        }}
    }}
}}
"""

STREAM = NGINX % f"load_module {STREAM_MODULE};" + """
stream {{
    server {{
        listen 127.0.0.1:{port} %s;
        set_real_ip_from 127.0.0.1;
        proxy_pass 127.0.0.1:%d;
        proxy_protocol on;
    }}
}}
"""


def listens(name):
    """A child of ours of that name listens on the port: no connection is made to find out."""
    def answers(port):
        wanted = {f"socket:[{inode}]" for inode in proc.listening_inodes().get(port, ())}
        return any(wanted & set(proc.fds(p.pid).values()) for p in proc.children(os.getpid(), recursive=False)
                   if p.name == name and p.state != "Z")
    return answers


@pytest.fixture
def proxy(tmp_path):
    """proxy("haproxy" or "nginx", CONFIGURATION with {port} and {folder}) starts one; its address has .port."""
    running = []

    def start(name, text):
        path = installed(name)
        folder = tmp_path / f"{name}{len(running)}"
        folder.mkdir()

        def argv(port):
            file = folder / "conf"
            file.write_text(text.format(port=port, folder=folder))
            return [path, "-db", "-f", file] if name == "haproxy" else [path, "-p", folder, "-c", file]

        running.append(peers.Program(argv, listens(name)))
        return running[-1]

    yield start
    for program in running:
        program.close()


def told(c):
    return c.read_message().data.decode().split()


# ---- in front


RICH = "send-proxy-v2 proxy-v2-options ssl,authority,unique-id"


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", RICH], ids=["v1", "v2", "v2-tlvs"])
def test_haproxy_in_front(wsluice, proxy, how):
    daemon = wsluice(*PROXIED, *JSON, *WHO)
    front = proxy("haproxy", HAPROXY % ("", daemon.port, how))
    with daemon.open(address=("127.0.0.1", front.port), connect={"source": SOURCE}) as c:
        port = c.sock.getsockname()[1]
        assert told(c) == [SOURCE, str(port), "127.0.0.1", "off"]
    assert ended(daemon)["client"] == f"{SOURCE}:{port}"


def test_haproxy_ends_tls_in_front(wsluice, proxy, tmp_path):
    """Its TLV tells us of TLS: a page of https:// is of the same origin."""
    cert = Certificate(tmp_path, "localhost")
    both = tmp_path / "both.pem"
    both.write_bytes(pathlib.Path(cert.cert).read_bytes() + pathlib.Path(cert.key).read_bytes())
    daemon = wsluice(*PROXIED, *WHO)
    front = proxy("haproxy", HAPROXY % (f"ssl crt {both}", daemon.port, "send-proxy-v2-ssl"))
    with tls_client(("127.0.0.1", front.port), cert) as c:
        c.open(origin="https://localhost")
        assert told(c)[2:] == ["localhost", "on"]


def test_all_that_haproxy_says_of_tls(wsluice, proxy, tmp_path):
    """With its checksum; its id is the one it could log."""
    root = Authority(tmp_path)
    pair, alice = root.issue("/CN=localhost", "localhost"), root.issue("/O=wsluice/CN=alice")
    both = tmp_path / "both.pem"
    both.write_bytes(pathlib.Path(pair.cert).read_bytes() + pathlib.Path(pair.key).read_bytes())
    show = sh("echo $HTTPS $SSL_PROTOCOL $SSL_CLIENT_VERIFY $SSL_CLIENT_S_DN_CN $WSLUICE_PROXY_AUTHORITY "
              "$WSLUICE_PROXY_UNIQUE_ID; cat")
    daemon = wsluice(*PROXIED, *JSON, *show)
    config = (HAPROXY % (f"ssl crt {both} ca-file {root.cert} verify optional", daemon.port,
                         "send-proxy-v2 proxy-v2-options ssl,cert-cn,authority,unique-id,crc32c"))
    front = proxy("haproxy", config.replace("    server", "    unique-id-format id-%cp\n    server"))
    for n, (own, wanted) in enumerate(((alice, ["SUCCESS", "alice"]), (None, ["NONE"])), 1):
        with tls_client(("127.0.0.1", front.port), root, own=own) as c:
            unique = f"id-{c.sock.getsockname()[1]}"
            c.open(origin="https://localhost")
            assert told(c) == ["on", "TLSv1.3", *wanted, "localhost", unique]
            c.finish()
        record = ended(daemon, n)
        assert (record["proxy_unique_id"], record["proxy_authority"], record["proxy_tls"]) == (unique, "localhost", "TLSv1.3")
        assert record["client_verify"] == wanted[0] and record.get("proxy_client_cn") == ("alice" if own else None)


def test_haproxy_passes_tls_through(wsluice, proxy, tmp_path):
    cert = Certificate(tmp_path, "localhost")
    daemon = wsluice(*PROXIED, "--tls-cert", cert.cert, "--tls-key", cert.key, *WHO)
    front = proxy("haproxy", HAPROXY % ("", daemon.port, "send-proxy-v2"))
    with tls_client(("127.0.0.1", front.port), cert) as c:
        port = c.sock.getsockname()[1]
        c.open()
        assert told(c) == ["127.0.0.1", str(port), "localhost", "on"]


def test_haproxy_health_checks_are_local(wsluice, proxy, tmp_path):
    """They begin with a LOCAL header: the proxy itself asks, and gets its answer."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "well.txt").write_text("well")
    daemon = wsluice(*PROXIED, "--static", tmp_path / "www", "--to", "echo:")
    options = ("log stdout format raw daemon\n    option log-health-checks\n    option httpchk\n"
               "    http-check send meth GET uri /well.txt ver HTTP/1.1 hdr Host localhost\n    bind")
    front = proxy("haproxy", (HAPROXY % ("", daemon.port, "send-proxy-v2 check inter 100ms")).replace("bind", options))
    proc.wait_until(lambda: any("Health check" in line for line in front.output), "a health check", SOON)
    assert "succeeded" in "".join(front.output) and "code: 200" in "".join(front.output), front.output
    assert not daemon.find_log("connection refused")


def test_haproxys_plain_health_check(wsluice, proxy, tmp_path):
    """`option httpchk` alone asks OPTIONS by HTTP/1.0, without a Host."""
    daemon = wsluice("--static", tmp_path, "--route", "/echo=echo:", "--log-level", "debug")
    options = "log stdout format raw daemon\n    option log-health-checks\n    option httpchk\n    bind"
    front = proxy("haproxy", (HAPROXY % ("", daemon.port, "check inter 100ms")).replace("bind", options))
    proc.wait_until(lambda: any("Health check" in line for line in front.output), "a health check", SOON)
    assert "succeeded" in "".join(front.output) and "code: 204" in "".join(front.output), front.output
    daemon.wait_for_log("request .*method=OPTIONS.*status=204")


def test_nginx_that_speaks_1_0_gets_its_pages(wsluice, proxy, tmp_path):
    """Without proxy_http_version it does (before 1.29.7), and then opens no WebSocket: the log says what is missing."""
    (tmp_path / "page.txt").write_text("a page")
    daemon = wsluice("--static", tmp_path, "--route", "/echo=echo:")
    front = proxy("nginx", (HTTP % (daemon.port, "")).replace("proxy_http_version 1.1", "proxy_http_version 1.0"))
    with daemon.connect(address=("127.0.0.1", front.port)) as c:
        c.send(c.head("/page.txt", drop=("Upgrade", "Connection")))
        answer = c.read_response()
        assert (answer.status, answer.body) == (200, b"a page")
    with daemon.connect(address=("127.0.0.1", front.port)) as c:
        assert c.upgrade("/echo").status == 426
    daemon.wait_for_log("request refused.*status=426.*proxy_http_version 1.1")


@pytest.mark.parametrize("fields, names", [
    ("proxy_set_header X-Forwarded-For $remote_addr;", [SOURCE, "none"]),
    ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", [SOURCE, "none"]),
    ('proxy_set_header X-Forwarded-For "$remote_addr:$remote_port";', [SOURCE, None]),
    ('proxy_set_header Forwarded "for=\\"$remote_addr:$remote_port\\"";', [SOURCE, None]),
    ("", ["127.0.0.1", ""]),
], ids=["x", "x-appended", "x-with-port", "forwarded", "silent"])
def test_nginx_in_front(wsluice, proxy, fields, names):
    """The client lies about who it is, and nobody believes that."""
    which = "forwarded" if "Forwarded \"for" in fields else "x-forwarded"
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--forwarded-header", which, *WHO)
    front = proxy("nginx", http(daemon, fields))
    lies = [("X-Forwarded-For", "6.6.6.6, 7.7.7.7"), ("Forwarded", "for=6.6.6.6;proto=https")] if fields else []
    with daemon.open(headers=lies, address=("127.0.0.1", front.port), connect={"source": SOURCE}) as c:
        port = c.sock.getsockname()[1]
        address, seen_port, *_ = told(c)
        assert address == names[0]
        assert names[1] == "" or seen_port == (names[1] or str(port))


def http(daemon, fields):
    """nginx passes a client's own Forwarded on: that must not matter."""
    return HTTP % (daemon.port, fields)


ORIGIN_FIELDS = ("proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $http_host; "
                 "proxy_set_header X-Forwarded-Proto https;")


@pytest.mark.parametrize("fields", ["proxy_set_header Host $http_host;", "proxy_set_header Host $host;", ""], ids=["README", "no-port", "upstream"])
def test_names_behind_nginx_need_no_word_of_ours(wsluice, proxy, fields):
    """The lines of the README, and others people write, without --trusted-proxies or --host."""
    daemon = wsluice("--to", "echo:")
    front = proxy("nginx", http(daemon, fields))
    for host in (f"chess.example:{front.port}", "chess.example", f"localhost:{front.port}"):
        with daemon.connect(address=("127.0.0.1", front.port)) as c:
            c.host = host
            c.send(c.head(origin=f"http://{host}" if "http_host" in fields else None))
            accepted(c)


def test_origin_behind_nginx(wsluice, proxy):
    """nginx rewrites Host to what it connects to, unless told otherwise: X-Forwarded-Host says what it was."""
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--to", "echo:")
    told_host = proxy("nginx", http(daemon, ORIGIN_FIELDS))
    silent = proxy("nginx", http(daemon, ""))
    rows = ((told_host, "https://chess.example", True), (told_host, "https://evil.example", False),
            (told_host, "http://chess.example", False), (silent, "https://chess.example", False))
    for front, origin, good in rows:
        c = daemon.connect(("127.0.0.1", front.port))
        c.host = "chess.example"
        c.send(c.head(origin=origin))
        if good:
            accepted(c)
        else:
            assert c.read_response().status == 403
            c.close()


def test_nginx_stream_in_front(wsluice, proxy):
    daemon = wsluice(*PROXIED, *WHO)
    front = proxy("nginx", STREAM % ("", daemon.port))
    with daemon.open(address=("127.0.0.1", front.port), connect={"source": SOURCE}) as c:
        assert told(c)[:2] == [SOURCE, str(c.sock.getsockname()[1])]


# ---- behind


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
@pytest.mark.parametrize("address", [SOURCE, "2001:db8::1"], ids=["ipv4", "ipv6"])
def test_behind_us(wsluice, server, proxy, kind, version, address):
    """It understands our header: it tells the next one, a service of ours, the same client by a line of its own."""
    service = server(peers.hold)
    if kind == "haproxy":
        behind = proxy("haproxy", HAPROXY % ("accept-proxy", service.port, "send-proxy"))
    else:
        behind = proxy("nginx", STREAM % ("proxy_protocol", service.port))
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--proxy-protocol", version,
                     "--to", f"tcp://127.0.0.1:{behind.port}")
    shown = f"[{address}]:4711" if ":" in address else f"{address}:4711"
    with daemon.open(headers=[("X-Forwarded-For", shown)]) as c:
        c.text("hello")
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        data = b""
        while not data.endswith(b"hello"):
            more = sock.recv(1000)
            assert more, data
            data += more
        words = data.partition(b"\r\n")[0].decode().split()
        assert words[:3] == ["PROXY", "TCP6" if ":" in address else "TCP4", address] and words[4] == "4711", data
        assert data.partition(b"\r\n")[2] == b"hello"
        sock.sendall(b"back")
        assert c.read_message().data == b"back"
        c.finish()


def test_haproxy_behind_us_logs_our_id(wsluice, server, proxy):
    """So that its log and ours can be joined."""
    service = server(peers.echo)
    logged = ("log stdout format raw daemon\n    log-format told=%[fc_pp_authority]=%[fc_pp_unique_id]=\n    bind")
    behind = proxy("haproxy", (HAPROXY % ("accept-proxy", service.port, "")).replace("bind", logged))
    daemon = wsluice(*JSON, "--proxy-protocol", "v2", "--to", f"tcp://127.0.0.1:{behind.port}")
    c = daemon.connect()
    c.host = "chess.example"
    with c.open():
        c.binary("hello")
        assert c.read_message().data == b"hello"
        c.finish()
    unique = ended(daemon)["unique_id"]
    proc.wait_until(lambda: f"told=chess.example={unique}=" in "".join(behind.output), lambda: "".join(behind.output), SOON)


def test_haproxy_behind_us_wants_the_header(wsluice, server, proxy):
    """What makes the tests above able to fail: without our header HAProxy ends the connection."""
    service = server(peers.hold)
    behind = proxy("haproxy", HAPROXY % ("accept-proxy", service.port, "send-proxy"))
    daemon = wsluice("--to", f"tcp://127.0.0.1:{behind.port}")
    with daemon.open() as c:
        c.text("hello, no header\r\n")
        c.read_close()
    assert not service.accepted
