# SPDX-License-Identifier: MIT
"""Certificates and what belongs to them are read again on SIGHUP; connections that stand notice nothing."""

import pathlib
import re
import shutil
import signal
import ssl
import subprocess

import pytest

from lib import peers
from lib.setting import SOON
from lib.tls import Authority, Certificate, client, s_client
from lib.wire import TEXT, Raw
from test_reload import configured, path, reload  # noqa: F401
from test_stop_upgrade import successors  # noqa: F401


@pytest.fixture
def served(tmp_path):
    return Certificate(tmp_path, "localhost", "127.0.0.1", stem="served")


def replace(old, new):
    """As certbot and friends do it: new files under the old names."""
    for a, b in ((new.cert, old.cert), (new.key, old.key)):
        shutil.copy(a, b + ".new")
        shutil.move(b + ".new", b)


def hang_up(daemon, ok=True):
    since = daemon.mark()
    daemon.send_signal(signal.SIGHUP)
    verdict = daemon.wait_for_log(r"not reloaded: the old configuration stays in force|info +reloaded", since=since)
    assert verdict.group().startswith("not") != ok, daemon.tail()
    return "\n".join(daemon.log[since:])


def serial(address):
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(address, timeout=SOON))


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(open(certificate.cert, encoding="ascii").read())


def echoes(c, word):
    c.text(word)
    assert c.read_message() == (TEXT, word.encode())


def test_a_new_certificate_is_served_and_old_connections_go_on(wsluice, served, tmp_path):
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice("--tls-cert", served.cert, "--tls-key", served.key, "--to", "echo:")
    before = der(served)
    assert serial(daemon.address) == before
    with client(daemon.address, served).open() as old:
        echoes(old, "before")
        with Raw.connect(daemon.address) as slow:  # the middle of its handshake is where the reload comes
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.create_default_context(cafile=served.cert)
            machine = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                machine.do_handshake()
            hello = outgoing.read()
            slow.send(hello[:50])
            # after an answer on another connection ours has been read, too
            client(daemon.address, served).close()
            replace(served, new)
            hang_up(daemon)
            assert serial(daemon.address) == der(new) != before
            slow.send(hello[50:])
            slow.sock.settimeout(SOON)
            while True:
                incoming.write(slow.sock.recv(65536))
                try:
                    machine.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    continue
            assert machine.getpeercert(binary_form=True) == before
        echoes(old, "after")
        with client(daemon.address, new).open() as fresh:
            echoes(fresh, "with the new one")


@pytest.mark.parametrize("spoil, says", [
    ("missing", r"served\.key: No such file"),
    ("mismatch", r"served\.key: .*fit"),
    ("garbage", r"served\.crt: cannot read a PEM certificate"),
    ("expired", r"served\.crt: the certificate has expired"),
    ("open", r"served\.key: everybody may read it: chmod o-r"),
])
def test_a_bad_new_one_keeps_the_old(wsluice, served, tmp_path, spoil, says):
    daemon = wsluice("--tls-cert", served.cert, "--tls-key", served.key, "--to", "echo:")
    before = der(served)
    trusted = Certificate.__new__(Certificate)
    trusted.cert = shutil.copy(served.cert, tmp_path / "before.crt")
    with client(daemon.address, trusted).open() as old:
        if spoil == "missing":
            (tmp_path / "served.key").unlink()
        elif spoil == "mismatch":
            shutil.copy(Certificate(tmp_path, "localhost", stem="other").key, served.key)
        elif spoil == "garbage":
            (tmp_path / "served.crt").write_text("half a certifi")
        elif spoil == "expired":
            subprocess.run(["openssl", "x509", "-in", trusted.cert, "-signkey", served.key, "-days", "-1", "-out",
                            served.cert], check=True, capture_output=True)
        elif spoil == "open":
            (tmp_path / "served.key").chmod(0o644)
        lines = hang_up(daemon, ok=False)
        assert re.search(says, lines), lines
        assert serial(daemon.address) == before
        echoes(old, "still here")
        with client(daemon.address, trusted).open() as fresh:
            echoes(fresh, "with the old one")


def test_tickets_do_not_outlive_a_reload(wsluice, served, tmp_path):
    """What was agreed by the old rules is not resumed under new ones."""
    daemon = wsluice("--tls-cert", served.cert, "--tls-key", served.key, "--to", "echo:")
    session = str(tmp_path / "session")
    assert "New, " in s_client(daemon.port, "-tls1_2", "-sess_out", session)[0]
    assert "Reused, " in s_client(daemon.port, "-tls1_2", "-sess_in", session)[0]
    hang_up(daemon)
    assert "New, " in s_client(daemon.port, "-tls1_2", "-sess_in", session)[0]


def test_names_choose_certificates_from_a_file(configured, tmp_path):  # noqa: F811
    one, two = Certificate(tmp_path, "one.example"), Certificate(tmp_path, "*.two.example", stem="two")
    listen = {"address": "127.0.0.1:0", "tls": [{"cert": one.cert, "key": one.key}, {"cert": two.cert, "key": two.key}]}
    content = {"listen": [listen], "routes": [{"path": "/", "to": "echo:"}]}
    daemon = configured(content)
    for name, expected in (("one.example", one), ("a.two.example", two), ("unknown.example", one)):
        text_, _ = s_client(daemon.port, "-servername", name)
        assert ssl.PEM_cert_to_DER_cert(re.search(r"-----BEGIN.*?-----END CERTIFICATE-----", text_, re.S)[0]) \
            == der(expected), name
    with client(daemon.address, two, name="b.two.example").open() as c:
        listen["tls"] = {"cert": two.cert, "key": two.key}
        reload(daemon, content)
        echoes(c, "kept")
    assert serial(daemon.address) == der(two)


def test_a_listener_gains_and_loses_tls(configured, served):  # noqa: F811
    content = {"listen": [{"address": "127.0.0.1:0"}], "routes": [{"path": "/", "to": "echo:"}]}
    daemon = configured(content)
    with Raw.connect(daemon.address).open() as plain:
        content["listen"][0]["tls"] = {"cert": served.cert, "key": served.key}
        reload(daemon, content)
        with client(daemon.address, served).open() as secure:
            del content["listen"][0]["tls"]
            reload(daemon, content)
            echoes(secure, "still secret")
        echoes(plain, "still plain")
    with Raw.connect(daemon.address).open() as plain:
        echoes(plain, "plain again")


def test_backend_authorities_are_read_again(configured, server, tmp_path):  # noqa: F811
    old, new = Authority(tmp_path, "Old"), Authority(tmp_path, "New")
    pair = old.issue("/CN=localhost", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    service = server(lambda sock: peers.echo(context.wrap_socket(sock, server_side=True)))
    ca = shutil.copy(old.cert, tmp_path / "ca.pem")
    route = {"path": "/", "to": f"tls://localhost:{service.port}", "backend-ca": str(ca)}
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [route]})
    with daemon.open() as standing:
        standing.binary(b"one")
        assert standing.read_message()[1] == b"one"
        shutil.copy(new.cert, ca)
        hang_up(daemon)
        assert daemon.connect().upgrade().status == 502
        standing.binary(b"two")
        assert standing.read_message()[1] == b"two"
    (tmp_path / "ca.pem").write_text("nothing")
    assert "ca.pem: cannot read PEM" in hang_up(daemon, ok=False)
    shutil.copy(old.cert, ca)
    hang_up(daemon)
    assert daemon.connect().upgrade().status == 101


# OCSP


def stapled(daemon):
    return s_client(daemon.port, "-status")[0]


def test_a_staple_is_given_and_read_again(wsluice, tmp_path):
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    staple = root.ocsp(pair)
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-ocsp", staple, "--to", "echo:")
    first = re.search(r"Next Update: (.*)", stapled(daemon))[1]
    root.ocsp(pair, minutes=600)
    assert re.search(r"Next Update: (.*)", stapled(daemon))[1] == first
    hang_up(daemon)
    assert re.search(r"Next Update: (.*)", stapled(daemon))[1] != first
    assert "Cert Status: good" in stapled(daemon)
    with client(daemon.address, root).open() as c:  # who does not ask is not bothered
        echoes(c, "hello")


def test_an_old_staple_is_not_given(wsluice, tmp_path):
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    staple = pathlib.Path(root.ocsp(pair))
    next_update = re.findall(rb"\d{14}Z", staple.read_bytes())[2]
    staple.write_bytes(staple.read_bytes().replace(next_update, b"20250101000000Z"))
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-ocsp", staple, "--to", "echo:")
    assert "OCSP response: no response sent" in stapled(daemon)


@pytest.mark.parametrize("spoil, says", [
    ("revoked", "not good"), ("other", "another certificate"), ("garbage", "not an OCSP response"),
    ("missing", "No such file")])
def test_a_bad_staple_keeps_the_old(wsluice, tmp_path, spoil, says):
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    staple = root.ocsp(pair)
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-ocsp", staple, "--to", "echo:")
    if spoil == "revoked":
        root.ocsp(pair, revoked=True)
    elif spoil == "other":
        shutil.copy(root.ocsp(root.issue("/CN=other", "other")), staple)
    elif spoil == "garbage":
        open(staple, "w", encoding="ascii").write("x" * 1000)
    else:
        (tmp_path / "localhost.ocsp").unlink()
    lines = hang_up(daemon, ok=False)
    assert re.search(rf"localhost\.ocsp: .*{says}", lines), lines
    assert "Cert Status: good" in stapled(daemon)
