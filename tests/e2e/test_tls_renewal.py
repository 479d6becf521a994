# SPDX-License-Identifier: MIT
"""Certificates and what belongs to them are taken over when they change on disk, without a reload."""

import os
import pathlib
import shutil
import ssl
import time

import pytest

from lib import peers, proc
from lib.setting import SOON
from lib.tls import Authority, Certificate, client
from lib.wire import Ended
from test_reload import configured, path  # noqa: F401
from test_tls_reload import der, echoes, replace, serial, stapled

IN_FORCE = "changed certificates are in force"
REFUSED = "changed certificates cannot be used, the old ones stay in force"


@pytest.fixture
def served(tmp_path):
    return Certificate(tmp_path, "localhost", "127.0.0.1", stem="served")


def tls(served, *more):
    return ["--tls-cert", served.cert, "--tls-key", served.key, *more, "--to", "echo:"]


def test_a_new_pair_is_taken_over_and_old_connections_go_on(wsluice, served, tmp_path):
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice(*tls(served))
    with client(daemon.address, served).open() as old:
        replace(served, new)
        daemon.wait_for_log(f"{IN_FORCE}.*of=")
        assert serial(daemon.address) == der(new)
        echoes(old, "still here")
        with client(daemon.address, new).open() as fresh:
            echoes(fresh, "with the new one")
    again = Certificate(tmp_path, "localhost", stem="again")
    since = daemon.mark()
    replace(served, again)
    daemon.wait_for_log(IN_FORCE, since=since)
    assert serial(daemon.address) == der(again)
    assert not daemon.find_log(REFUSED)


@pytest.mark.parametrize("first", ["cert", "key"])
def test_half_a_pair_keeps_the_old_until_the_rest_is_there(wsluice, served, tmp_path, first):
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice(*tls(served))
    before = der(served)
    second = {"cert": "key", "key": "cert"}[first]
    shutil.copy(getattr(new, first), getattr(served, first))
    daemon.wait_for_log(f"{REFUSED}.*the key does not fit the certificate")
    assert serial(daemon.address) == before
    shutil.copy(getattr(new, second), getattr(served, second))
    daemon.wait_for_log(IN_FORCE)
    assert serial(daemon.address) == der(new)
    assert len(daemon.find_log(REFUSED)) == 1


@pytest.mark.parametrize("spoil, says", [
    (lambda c: pathlib.Path(c.cert).write_text("half a certifi"), r"served\.crt: cannot read a PEM certificate"),
    (lambda c: pathlib.Path(c.cert).write_bytes(pathlib.Path(c.cert).read_bytes()[:200]), r"served\.crt: cannot read a PEM certificate"),
    (lambda c: pathlib.Path(c.key).write_text(""), r"served\.key: the file is empty"),
    (lambda c: os.chmod(c.key, 0o644), r"served\.key: everybody may read it"),
], ids=["garbage", "cut-off", "empty-key", "open-key"])
def test_what_cannot_be_used_is_told_and_mended(wsluice, served, tmp_path, spoil, says):
    """A key that is opened to others is told, too: the next start would refuse it."""
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice(*tls(served))
    before = der(served)
    spoil(served)
    daemon.wait_for_log(f"{REFUSED}.*{says}")
    assert serial(daemon.address) == before
    replace(served, new)
    daemon.wait_for_log(IN_FORCE)
    assert serial(daemon.address) == der(new)


def test_a_file_that_is_away_for_a_while_is_no_change(wsluice, served, tmp_path):
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice(*tls(served))
    os.rename(served.key, served.key + ".away")
    shutil.copy(new.cert, served.cert)
    time.sleep(2.5)  # more than one look: a lower bound
    assert not daemon.find_log("changed certificates")
    shutil.copy(new.key, served.key)
    daemon.wait_for_log(IN_FORCE)
    assert serial(daemon.address) == der(new)


def test_links_as_certbot_keeps_them(wsluice, tmp_path):
    """live/ has links into archive/, which are changed one after the other."""
    live, archive = tmp_path / "live", tmp_path / "archive"
    live.mkdir()
    archive.mkdir()
    one, two = (Certificate(archive, "localhost", stem=stem) for stem in ("one", "two"))

    def link(pair):
        for name, target in (("privkey.pem", pair.key), ("fullchain.pem", pair.cert)):
            (live / "new").symlink_to(target)
            os.replace(live / "new", live / name)

    link(one)
    daemon = wsluice("--tls-cert", live / "fullchain.pem", "--tls-key", live / "privkey.pem", "--to", "echo:")
    assert serial(daemon.address) == der(one)
    link(two)
    daemon.wait_for_log(IN_FORCE)
    assert serial(daemon.address) == der(two)


def test_each_listener_by_itself(configured, tmp_path):  # noqa: F811
    pairs = [Certificate(tmp_path, "localhost", stem=f"p{i}") for i in range(2)]
    new = Certificate(tmp_path, "localhost", stem="new")
    listen = [{"address": f"127.0.0.{i + 1}:0", "tls": {"cert": p.cert, "key": p.key}} for i, p in enumerate(pairs)]
    daemon = configured({"listen": listen, "routes": [{"path": "/", "to": "echo:"}]}, listeners=2)
    olds = [der(p) for p in pairs]
    addresses = sorted(daemon.addresses)
    assert [serial(a) for a in addresses] == olds
    replace(pairs[1], new)
    daemon.wait_for_log(f"{IN_FORCE}.*of=127.0.0.2:0")
    assert [serial(a) for a in addresses] == [olds[0], der(new)]


def test_a_new_staple_is_given(wsluice, tmp_path):
    root = Authority(tmp_path)
    pair = root.issue("/CN=localhost", "localhost")
    staple = root.ocsp(pair)
    daemon = wsluice(*tls(pair, "--tls-ocsp", staple))
    first = stapled(daemon)
    root.ocsp(pair, minutes=600)
    daemon.wait_for_log(IN_FORCE)
    assert "Cert Status: good" in stapled(daemon)
    update = [line for line in first.splitlines() if "Next Update" in line]
    assert update and update != [line for line in stapled(daemon).splitlines() if "Next Update" in line]


def test_new_authorities_of_clients_are_believed(wsluice, served, tmp_path):
    old, new = Authority(tmp_path, "Old"), Authority(tmp_path, "New")
    ca = shutil.copy(old.cert, tmp_path / "ca.pem")
    theirs = new.issue("/CN=client")
    daemon = wsluice(*tls(served, "--tls-client-cert", "require", "--tls-client-ca", ca))

    def comes_in():
        try:
            with client(daemon.address, served, own=theirs) as c:
                return c.upgrade().status == 101
        except (OSError, Ended):
            return False

    assert not comes_in()
    shutil.copy(new.cert, ca)
    daemon.wait_for_log(IN_FORCE)
    assert comes_in()


def test_new_authorities_of_services_are_believed(wsluice, server, tmp_path):
    old, new = Authority(tmp_path, "Old"), Authority(tmp_path, "New")
    pair = new.issue("/CN=localhost", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    service = server(lambda sock: peers.echo(context.wrap_socket(sock, server_side=True)))
    ca = shutil.copy(old.cert, tmp_path / "ca.pem")
    daemon = wsluice("--to", f"tls://localhost:{service.port}", "--backend-ca", ca)
    assert daemon.connect().upgrade().status == 502
    shutil.copy(new.cert, ca)
    daemon.wait_for_log(f"{IN_FORCE}.*of=tls://localhost")
    with daemon.open() as c:
        c.binary(b"through")
        assert c.read_message().data == b"through"


def test_handshakes_under_way_are_finished_with_the_old(wsluice, served, tmp_path):
    new = Certificate(tmp_path, "localhost", stem="new")
    daemon = wsluice(*tls(served))
    before = der(served)
    trust = shutil.copy(served.cert, tmp_path / "before.crt")
    context = ssl.create_default_context(cafile=trust)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    with daemon.connect() as slow:
        hello = outgoing.read()
        slow.send(hello[:100])
        replace(served, new)
        daemon.wait_for_log(IN_FORCE)
        slow.send(hello[100:])
        proc.wait_until(lambda: shaken(machine, slow, incoming), "the handshake", SOON)
        assert machine.getpeercert(binary_form=True) == before


def shaken(machine, slow, incoming):
    incoming.write(slow.sock.recv(65536))
    try:
        machine.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
