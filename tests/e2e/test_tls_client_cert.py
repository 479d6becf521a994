# SPDX-License-Identifier: MIT
"""Certificates of clients: who is let in, and what programs and the log learn about them."""

import json
import ssl

import pytest

from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SOON
from lib.tls import Authority, Certificate, client
from lib.tools import JSON, ended
from lib.wire import TEXT, Raw
from test_reload import configured, path, reload  # noqa: F401
from test_stop_upgrade import successors  # noqa: F401

SHOW = ["--", "sh", "-c", 'printf "%s|%s\\n" "$SSL_CLIENT_VERIFY" "$SSL_CLIENT_S_DN"; cat']


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def pair(root):
    return root.issue("/CN=localhost", "localhost", "127.0.0.1", stem="server")


@pytest.fixture(scope="module")
def alice(root):
    return root.issue("/O=wsluice/CN=alice")


@pytest.fixture
def asking(wsluice, root, pair):
    def start(how, *more):
        return wsluice(*JSON, "--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-cert", how, "--tls-client-ca",
                       root.cert, *more)
    return start


def shown(daemon, root, own=None, **how):
    """What the program was told, and what the log says in the end."""
    with client(daemon.address, root, own=own, **how).open() as c:
        opcode, told = c.read_message()
        assert opcode == TEXT
        c.finish()
    return told.decode(), ended(daemon)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("how", ["optional", "require"])
def test_a_good_certificate_is_told(asking, root, alice, how, version):
    daemon = asking(how, *SHOW)
    told, record = shown(daemon, root, alice, low=version, high=version)
    assert told == "SUCCESS|CN=alice,O=wsluice"
    assert (record["client_verify"], record["client_dn"]) == ("SUCCESS", "CN=alice,O=wsluice")


def test_optional_lets_in_who_has_none(asking, root):
    told, record = shown(asking("optional", *SHOW), root)
    assert told == "NONE|"
    assert record["client_verify"] == "NONE" and "client_dn" not in record


@pytest.mark.parametrize("wrong, says", [("expired", "certificate has expired"), ("foreign", "self-signed certificate"),
                                         ("purpose", "")])
def test_optional_tells_what_is_wrong_and_no_subject(asking, root, tmp_path, wrong, says):
    """A name that nobody vouches for is no name: a program that looks at nothing else must not be fooled."""
    if wrong == "expired":
        own = root.issue("/O=wsluice/CN=alice", days=-1, stem="expired")
    elif wrong == "foreign":
        own = Certificate(tmp_path, "alice")
    else:
        own = Authority(tmp_path, "Other").issue("/O=wsluice/CN=alice")
    told, record = shown(asking("optional", *SHOW), root, own)
    assert told.startswith("FAILED:") and told.endswith("|") and says in told
    assert record["client_verify"].startswith("FAILED:") and "client_dn" not in record


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("wrong, says", [("none", "peer did not return a certificate"),
                                         ("expired", "certificate has expired"), ("foreign", "self-signed certificate")])
def test_require_keeps_out(asking, root, alice, tmp_path, wrong, says, version):
    own = {"none": None, "expired": root.issue("/CN=alice", days=-1, stem="expired2") if wrong == "expired" else None,
           "foreign": Certificate(tmp_path, "alice") if wrong == "foreign" else None}[wrong]
    daemon = asking("require", *SHOW)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        # by TLS 1.3 a client has finished before it is judged
        client(daemon.address, root, own=own, low=version, high=version).open()
    daemon.wait_for_log(f"TLS handshake failed.*{says}")
    assert not daemon.children()
    told, _ = shown(daemon, root, alice)
    assert told.startswith("SUCCESS")


def test_names_of_others_arrive_whole_and_harmless(asking, root):
    own = root.issue("/CN=Jörg, \"quoted\"\\+ and\nmore/O=x", stem="odd")
    told, record = shown(asking("require", *SHOW), root, own)
    assert told == record["client_verify"] + "|" + record["client_dn"]
    assert "Jörg" in told and "\n" not in told and '\\"quoted\\"' in told


def test_a_client_cannot_say_it_itself(asking, root):
    daemon = asking("optional", *SHOW)
    headers = [("SSL_CLIENT_S_DN", "CN=root"), ("SSL-Client-Verify", "SUCCESS"), ("SSL_CLIENT_VERIFY", "SUCCESS")]
    with client(daemon.address, root).open("/", headers) as c:
        assert c.read_message() == (TEXT, b"NONE|")


def test_not_asked_not_told(wsluice, root, pair):
    daemon = wsluice(*JSON, "--tls-cert", pair.cert, "--tls-key", pair.key, *SHOW)
    told, record = shown(daemon, root)
    assert told == "|" and "client_verify" not in record


def test_it_is_known_in_resumed_sessions_too(asking, root, alice):
    daemon = asking("require", *SHOW)
    request = ("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()
    context = ssl.create_default_context(cafile=root.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(alice.cert, alice.key)
    first = context.wrap_socket(Raw.connect(daemon.address).sock, server_hostname="localhost")
    again = context.wrap_socket(Raw.connect(daemon.address).sock, server_hostname="localhost", session=first.session)
    assert again.session_reused
    with first, again:
        again.settimeout(SOON)
        again.sendall(request)
        got = b""
        while b"|" not in got:
            got += again.recv(4096) or pytest.fail(f"the connection ended behind {got}")
        assert b"SUCCESS|CN=alice" in got


def test_each_listener_of_a_file_by_itself_and_reload(configured, root, pair, alice):  # noqa: F811
    tls = {"cert": pair.cert, "key": pair.key}
    content = {"listen": [{"address": "127.0.0.1:0", "tls": tls, "client-cert": "require", "client-ca": root.cert},
                          {"address": "localhost:0", "tls": tls}],
               "routes": [{"path": "/", "exec": SHOW[1:]}]}
    daemon = configured(content)
    wait_until(lambda: len(daemon.find_log("listening on")) == 2, "both listeners")
    asking_, open_ = (("127.0.0.1", int(m[1])) for m in daemon.find_log(r"listening on wss://[^/]*:(\d+)/"))
    with client(asking_, root, own=alice).open() as standing:
        assert standing.read_message()[1] == b"SUCCESS|CN=alice,O=wsluice"
        with client(open_, root).open() as c:
            assert c.read_message()[1] == b"|"
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            client(asking_, root).open()
        content["listen"][0]["client-cert"] = "optional"
        reload(daemon, json.dumps(content))
        with client(asking_, root).open() as c:
            assert c.read_message()[1] == b"NONE|"
        standing.text("still here")
        assert standing.read_message() == (TEXT, b"still here")


def test_a_listener_of_the_command_line_asks_as_the_file_says(wsluice, root, pair, alice, tmp_path):
    file = tmp_path / "wsluice.yaml"
    file.write_text(json.dumps({"tls-cert": pair.cert, "tls-key": pair.key, "tls-client-cert": "require",
                                "tls-client-ca": root.cert, "routes": [{"path": "/", "exec": SHOW[1:]}]}))
    daemon = wsluice("-c", file)  # the harness adds --listen
    with client(daemon.address, root, own=alice).open() as c:
        assert c.read_message()[1] == b"SUCCESS|CN=alice,O=wsluice"
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        client(daemon.address, root).open()


@pytest.mark.parametrize("args, says", [
    (["--tls-client-cert", "require"], "say whose: client-ca FILE"),
    (["--tls-client-ca", "CA"], "say --tls-client-cert require, or optional"),
    (["--tls-client-cert", "require", "--tls-client-ca", "/nonexistent"], "/nonexistent: No such file"),
    (["--tls-client-cert", "require", "--tls-client-ca", "KEY"], "cannot read PEM"),
])
def test_what_cannot_hold_stops_the_start(root, pair, args, says):
    args = [{"CA": root.cert, "KEY": root.key}.get(a, a) for a in args]
    done = command_line("-l", "127.0.0.1:0", "--tls-cert", pair.cert, "--tls-key", pair.key, *args, "--to", "echo:")
    assert done.returncode == 1 and says in done.stderr and len(done.stderr.splitlines()) == 1
