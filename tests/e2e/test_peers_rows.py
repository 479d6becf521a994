# SPDX-License-Identifier: MIT
"""Rows of docs/migrating.md, beside the real websocketd and websockify of Debian: the same client before each and its counterpart."""

import contextlib
import socket
import ssl

import pytest

from lib import peers, tls
from lib.proc import wait_until
from lib.setting import installed
from lib.wire import BINARY, PING, TEXT, Raw

WEBSOCKETD, WEBSOCKIFY = installed("websocketd"), installed("websockify")


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def run():
    """run(argv of a port) starts a peer and returns its address."""
    running = []

    def start(argv):
        running.append(peers.Program(argv, listens))
        return "127.0.0.1", running[-1].port

    yield start
    for program in running:
        program.close()


@pytest.fixture
def both_d(run, wsluice):
    """Addresses of websocketd and of wsluice with what docs/migrating.md writes instead."""
    return lambda theirs, ours: (run(lambda port: [WEBSOCKETD, "--address=127.0.0.1", f"--port={port}", *theirs]), wsluice(*ours).address)


@pytest.fixture
def both_fy(run, wsluice):
    def start(options, target, ours):
        return run(lambda port: [WEBSOCKIFY, *options, f"127.0.0.1:{port}", *target]), wsluice(*ours).address

    return start


@pytest.fixture
def service():
    server = peers.Server(peers.echo)
    yield server
    server.close()


def first(address, path="/", send=None, **how):
    with Raw.connect(address) as client:
        client.open(path, **how)
        if send is not None:
            client.send_frame(*send)
        return client.read_message()


def status(address, path="/", headers=(), upgrade=True):
    with Raw.connect(address) as client:
        if upgrade:
            client.send(client.head(path, list(headers)))
        else:
            client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return client.read_response().status


def pages(tmp_path):
    (tmp_path / "page.html").write_text("a page")
    return tmp_path


# websocketd


def test_a_command_and_its_words(both_d):
    for address in both_d(["bc", "-l"], ["--", "bc", "-l"]):
        assert first(address, send=(TEXT, b"2^64")) == (TEXT, b"18446744073709551616")


def test_binary(both_d):
    for address in both_d(["--binary", "cat"], ["--framing", "stream", "--", "cat"]):
        assert first(address, send=(BINARY, b"\0\xff")) == (BINARY, b"\0\xff")


def test_a_folder_of_programs(both_d, tmp_path):
    script = tmp_path / "hello"
    script.write_text('#!/bin/sh\necho "$SCRIPT_NAME"\n')
    script.chmod(0o755)
    for address in both_d([f"--dir={tmp_path}"], ["--route", f"/hello=exec:{script}"]):
        assert first(address, "/hello") == (TEXT, b"/hello")
        assert status(address, "/none") == 404


def test_files_and_console(both_d, tmp_path):
    for address in both_d([f"--staticdir={pages(tmp_path)}", "cat"], ["--static", tmp_path, "--", "cat"]):
        assert status(address, "/page.html", upgrade=False) == 200
    for address in both_d(["--devconsole", "cat"], ["--console", "--", "cat"]):
        assert status(address, upgrade=False) == 200


@pytest.mark.parametrize("theirs, ours, theirs_says, ours_says", [
    ((), ("--origin", "any"), (101, 101, 101), (101, 101, 101)),
    (("--origin=good.example",), ("--origin", "http://good.example,https://good.example"), (101, 403, 403), (101, 403, 101)),
    (("--sameorigin=true",), (), (403, 403, 403), (403, 403, 101)),
])
def test_origins(both_d, theirs, ours, theirs_says, ours_says):
    """The last of each: a client without an Origin."""
    for address, says in zip(both_d([*theirs, "cat"], [*ours, "--", "cat"]), (theirs_says, ours_says), strict=True):
        assert tuple(status(address, headers=[("Origin", o)] if o else []) for o in ("http://good.example", "http://evil.example", None)) == says


def test_the_environment(both_d, monkeypatch):
    monkeypatch.setenv("SHOWN", "yes")
    for address in both_d(["--passenv=PATH,SHOWN", "sh", "-c", "echo $SHOWN"], ["--pass-env", "SHOWN", "--", "sh", "-c", "echo $SHOWN"]):
        assert first(address) == (TEXT, b"yes")


def test_one_session_too_many(both_d):
    theirs, ours = both_d(["--maxforks=1", "cat"], ["--max-sessions", "1", "--", "cat"])
    for address, says in ((theirs, 429), (ours, 503)):
        with Raw.connect(address) as client:
            client.open()
            assert status(address) == says


def test_an_exit_status(both_d):
    theirs, ours = both_d(["sh", "-c", "exit 3"], ["--", "sh", "-c", "exit 3"])
    with Raw.connect(theirs) as client:
        client.open()
        assert client.read_to_end()[0] == b""
    with Raw.connect(ours) as client:
        client.open()
        assert client.read_close()[0] == 4003


def over_tls(certificate, address):
    with tls.client(address, certificate, low=ssl.TLSVersion.TLSv1_2).open() as client:
        client.binary(b"secret")
        return client.read_message()[1]


def test_tls_of_websocketd(both_d, tmp_path):
    made = tls.Certificate(tmp_path, "localhost")
    for address in both_d(["--ssl", f"--sslcert={made.cert}", f"--sslkey={made.key}", "--binary", "cat"],
                          ["--tls-cert", made.cert, "--tls-key", made.key, "--framing", "stream", "--", "cat"]):
        assert over_tls(made, address) == b"secret"


# websockify


def test_a_target_and_its_pages(both_fy, service, tmp_path):
    for address in both_fy(["--web", pages(tmp_path)], [f"127.0.0.1:{service.port}"], ["--static", tmp_path, "--to", service.to]):
        assert first(address, "/websockify", (BINARY, b"RFB"), headers=[("Sec-WebSocket-Protocol", "binary")]) == (BINARY, b"RFB")
        assert status(address, "/page.html", upgrade=False) == 200


def test_text_frames(both_fy, service):
    theirs, ours = both_fy([], [f"127.0.0.1:{service.port}"], ["--to", service.to])
    with Raw.connect(theirs) as client:
        client.open(headers=[("Sec-WebSocket-Protocol", "binary")])
        client.text("hello")
        assert client.read_close()[0] == 1003
    assert first(ours, send=(TEXT, b"hello")) == (BINARY, b"hello")


def test_tokens(both_fy, service, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"one: 127.0.0.1:{service.port}\n")
    for address in both_fy(["--token-plugin", "TokenFile", "--token-source", tokens], [], ["--route", f"/=token-file:{tokens}"]):
        assert first(address, "/?token=one", (BINARY, b"x"), headers=[("Sec-WebSocket-Protocol", "binary")]) == (BINARY, b"x")


def test_tls_of_websockify(both_fy, service, tmp_path):
    made = tls.Certificate(tmp_path, "localhost")
    for address in both_fy(["--cert", made.cert, "--key", made.key], [f"127.0.0.1:{service.port}"],
                           ["--tls-cert", made.cert, "--tls-key", made.key, "--to", service.to]):
        assert over_tls(made, address) == b"secret"


def test_a_target_that_is_away(both_fy):
    with peers.refused_port() as port:
        theirs, ours = both_fy([], [f"127.0.0.1:{port}"], ["--connect-retry", "0", "--to", f"tcp://127.0.0.1:{port}"])
        with Raw.connect(theirs) as client:
            client.open()
            assert client.read_close()[0] == 1011
        assert status(ours) == 502


def test_heartbeats(both_fy, service):
    """A ping comes to a client that is silent."""
    for address in both_fy(["--heartbeat=1"], [f"127.0.0.1:{service.port}"], ["--ping", "1s", "--to", service.to]):
        with Raw.connect(address) as client:
            client.open()
            assert client.read_frame().opcode == PING
