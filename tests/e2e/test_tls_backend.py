# SPDX-License-Identifier: MIT
"""Services over TLS, tls://: what is verified, how a refusal is told, and that the bytes are those of tcp://."""

import os
import socket
import ssl

import pytest

from lib import peers
from lib.daemon import command_line
from lib.setting import SCALE
from lib.tls import Authority, Certificate
from lib.tools import JSON, ended, to_the_close
from lib.wire import BINARY, frame


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def pair(root):
    return root.issue("/CN=localhost", "localhost", "127.0.0.1")


class Service:
    """A TLS server; `serve(sock)` gets the TLS socket. names: what its clients have asked for."""

    def __init__(self, server, pair, serve=peers.echo, *, low=None, high=None, client_ca=None, host="localhost"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if low:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
            self.context.minimum_version, self.context.maximum_version = low, high
        self.context.load_cert_chain(pair.cert, pair.key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca.cert)
        self.names, self.subjects, self.first = [], [], []
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)

        def run(sock):
            secure = self.context.wrap_socket(sock, server_side=True)
            self.subjects.append(secure.getpeercert())
            serve(secure)

        self.server = server(run)
        self.to = f"tls://{host}:{self.server.port}"


def echoes(daemon, data=b"through TLS", path="/"):
    with daemon.open(path) as client:
        client.binary(data)
        got = b""
        while len(got) < len(data):
            got += client.read_message()[1]
        assert got == data
        client.finish()


def test_bytes_go_both_ways(wsluice, server, root, pair):
    service = Service(server, pair)
    daemon = wsluice("--backend-ca", root.cert, "--to", service.to)
    echoes(daemon, os.urandom(3_000_000))
    assert service.names == ["localhost"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_the_services_end_is_1000_behind_all_its_data(wsluice, server, root, pair, version):
    """What comes with the handshake's last flight lies inside the TLS library, where epoll sees nothing."""
    data = os.urandom(500_000)

    def serve(sock):
        sock.sendall(data)
        sock.unwrap()

    service = Service(server, pair, serve)
    service.context.minimum_version = service.context.maximum_version = version
    daemon = wsluice(*JSON, "--backend-ca", root.cert, "--to", service.to)
    code, _, messages = to_the_close(daemon.open(connect=dict(rcvbuf=8192)))
    assert code == 1000 and b"".join(m.data for m in messages) == data
    assert ended(daemon)["backend"] == "tls"


def test_the_clients_end_reaches_the_service(wsluice, server, root, pair):
    got = []

    def serve(sock):
        while data := sock.recv(65536):
            got.append(data)
        got.append(None)

    service = Service(server, pair, serve)
    daemon = wsluice("--backend-ca", root.cert, "--to", service.to)
    client = daemon.open()
    client.send(frame(BINARY, b"last words"))
    client.finish()
    daemon.settle()
    peers.proc.wait_until(lambda: got and got[-1] is None, "the service's end of input")
    assert b"".join(got[:-1]) == b"last words"


@pytest.mark.parametrize("wrong, says", [
    ("name", "not for localhost"),
    ("address", "not for 127.0.0.1"),
    ("expired", "certificate has expired"),
    ("authority", "self-signed|unable to get local issuer"),
    ("system", "self-signed|unable to get local issuer"),
    ("old", "alert protocol version|no TLS 1.2 or 1.3|unsupported protocol"),
    ("plain", "no TLS 1.2 or 1.3|closed the connection"),
])
def test_a_bad_service_is_502_and_the_log_says_why(wsluice, server, tmp_path, root, pair, wrong, says):
    host, ca, how = "localhost", ["--backend-ca", root.cert], {}
    if wrong == "name":
        pair = root.issue("/CN=other.example", "other.example")
    elif wrong == "address":
        host, pair = "127.0.0.1", root.issue("/CN=127.0.0.1", "localhost", stem="as-name")
    elif wrong == "expired":
        pair = root.issue("/CN=localhost", "localhost", days=-1, stem="expired")
    elif wrong == "authority":
        pair = Certificate(tmp_path, "localhost")
    elif wrong == "system":
        ca = []
    elif wrong == "old":
        how = {"low": ssl.TLSVersion.TLSv1_1, "high": ssl.TLSVersion.TLSv1_1}
    service = Service(server, pair, host=host, **how)
    if wrong == "plain":
        service.to = server(peers.says(b"220 hello\r\n")).to.replace("tcp:", "tls:")
    daemon = wsluice(*ca, "--to", service.to)
    answer = daemon.connect().upgrade()
    assert answer.status == 502
    assert b"cert" not in answer.body, "what is wrong inside is nothing for clients"
    daemon.wait_for_log(rf"cannot connect to the backend.*reason=\"?.*({says})")
    daemon.settle()


def test_without_verification_on_demand(wsluice, server, tmp_path):
    service = Service(server, Certificate(tmp_path, "nobody.example"))
    daemon = wsluice("--backend-verify=off", "--to", service.to)
    echoes(daemon)


def test_a_listed_certificate_is_trusted_by_itself(wsluice, server, root, pair):
    daemon = wsluice("--backend-ca", pair.cert, "--to", Service(server, pair).to)
    echoes(daemon)


def test_an_address_is_verified_and_not_asked_for(wsluice, server, root, pair):
    service = Service(server, pair, host="127.0.0.1")
    daemon = wsluice("--backend-ca", root.cert, "--to", service.to)
    echoes(daemon)
    assert service.names == [None]


def test_another_name(wsluice, server, root):
    service = Service(server, root.issue("/CN=db.example", "db.example"), host="127.0.0.1")
    daemon = wsluice("--backend-ca", root.cert, "--backend-servername", "db.example", "--to", service.to)
    echoes(daemon)
    assert service.names == ["db.example"]


def test_our_own_certificate_is_shown(wsluice, server, root, pair):
    own = root.issue("/CN=the proxy")
    service = Service(server, pair, client_ca=root)
    daemon = wsluice("--backend-ca", root.cert, "--backend-cert", own.cert, "--backend-key", own.key, "--to", service.to)
    echoes(daemon)
    assert ((("commonName", "the proxy"),),) == service.subjects[0]["subject"]


def test_a_service_that_wants_a_certificate_and_gets_none(wsluice, server, root, pair):
    """TLS 1.3 tells that after the handshake: the session ends. By TLS 1.2 it is a 502."""
    service = Service(server, pair, client_ca=root)
    daemon = wsluice(*JSON, "--backend-ca", root.cert, "--to", service.to)
    client = daemon.open()
    assert to_the_close(client)[0] == 1011
    daemon.wait_for_log("TLS failed.*alert certificate required")
    service.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert daemon.connect().upgrade().status == 502
    daemon.wait_for_log("cannot connect to the backend.*handshake failure")


def test_a_silent_service_is_504(wsluice, server):
    daemon = wsluice("--connect-timeout", "300ms", "--to", server(peers.hold).to.replace("tcp:", "tls:"))
    assert daemon.connect().upgrade().status == 504
    daemon.wait_for_log("timed out after 0.3 s, in the TLS handshake")
    daemon.settle()


def test_a_client_that_leaves_while_we_shake_hands(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice("--connect-timeout", "60s", "--to", service.to.replace("tcp:", "tls:"))
    client = daemon.connect()
    client.send(client.head())
    sock = service.wait_accepted()
    client.rst()
    sock.settimeout(10 * SCALE)
    while sock.recv(4096):  # the hello, then our end
        pass
    daemon.settle()


def test_the_proxy_header_comes_before_tls(wsluice, server, root, pair):
    service = Service(server, pair)
    lines, plain = [], service.server._serve

    def serve(sock):
        line = b""
        while not line.endswith(b"\r\n"):
            line += sock.recv(1)
        lines.append(line)
        plain(sock)

    service.server._serve = serve
    daemon = wsluice("--backend-ca", root.cert, "--proxy-protocol", "v1", "--to", service.to)
    echoes(daemon)
    assert lines[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")


def test_many_at_once(wsluice, server, root, pair):
    """More handshakes than one turn has time for."""
    daemon = wsluice("--max-per-address", "0", "--backend-ca", root.cert, "--to", Service(server, pair).to)
    clients = [daemon.connect() for _ in range(40)]
    for client in clients:
        client.send(client.head())
    for i, client in enumerate(clients):
        assert client.read_response().status == 101
        client.binary(b"%d" % i)
    for i, client in enumerate(clients):
        assert client.read_message() == (BINARY, b"%d" % i)


def test_a_service_that_floods_with_new_keys_is_cut(wsluice, tmp_path, pair, root):
    """openssl s_server sends a KeyUpdate for a line "k" of its input."""
    port = peers.free_port()
    process = peers.subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair.cert, "-key", pair.key, "-tls1_3"],
        stdin=peers.subprocess.PIPE, stdout=peers.subprocess.DEVNULL, stderr=peers.subprocess.DEVNULL,
        preexec_fn=peers.proc.die_with_parent)
    try:
        daemon = wsluice(*JSON, "--backend-ca", root.cert, "--to", f"tls://localhost:{port}")

        def up():
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        peers.proc.wait_until(up, "s_server to listen")
        client = daemon.open()

        def one_more():
            process.stdin.write(b"k\n")
            process.stdin.flush()
            return daemon.find_log("TLS connection cut.*too many key updates")

        peers.proc.wait_until(one_more, "the flood to be cut")
        assert ended(daemon)["closed_by"] == "backend"
        client.close()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("args, says", [
    (["--backend-ca", "/nonexistent/ca.pem"], "/nonexistent/ca.pem: No such file"),
    (["--backend-cert", "CERT"], "backend-key go together"),
    (["--backend-cert", "CERT", "--backend-key", "OTHER"], "the key does not fit the certificate"),
])
def test_bad_files_stop_the_start(tmp_path, pair, args, says):
    other = Certificate(tmp_path, "localhost")
    args = [{"CERT": pair.cert, "OTHER": other.key}.get(a, a) for a in args]
    done = command_line("-l", "127.0.0.1:0", *args, "--to", "tls://localhost:1")
    assert done.returncode == 1 and says in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("options, told", [((), None), (("--backend-alpn", "postgresql"), "postgresql"),
                                           (("--backend-alpn", "h2,postgresql,http/1.1"), "postgresql")],
                         ids=["none", "one", "several"])
def test_protocols_are_offered(wsluice, server, root, pair, options, told):
    """PostgreSQL 17 ends a direct TLS connection without one."""
    chosen = []

    def serve(sock):
        chosen.append(sock.selected_alpn_protocol())
        peers.echo(sock)

    service = Service(server, pair, serve)
    service.context.set_alpn_protocols(["postgresql"])
    echoes(wsluice("--backend-ca", root.cert, *options, "--to", service.to))
    assert chosen == [told]


@pytest.mark.parametrize("bad", ["a,,b", ",", "a,", "x" * 255, ",".join(["abcdefg"] * 32)])
def test_protocols_that_cannot_be_offered(bad):
    done = command_line("--backend-alpn", bad, "--to", "tls://127.0.0.1:1", "--check")
    assert done.returncode in (1, 2) and "backend-alpn" in done.stderr
