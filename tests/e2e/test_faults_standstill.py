# SPDX-License-Identifier: MIT
"""We are stopped for longer than a deadline, as `docker pause` or a frozen machine does it, and clients and backends do
what they have to meanwhile: nobody is cut off for it. It is really stopped, and the time that goes by is of its clock."""

import contextlib
import functools
import os
import socket
import ssl
import threading

import pytest

from lib import peers
from lib.proc import wait_until
from lib.setting import SOON
from lib.tls import Authority
from lib.tools import JSON, ended, fill, records
from lib.wire import BINARY, PING, PONG, TEXT, frame

DEADLINE = 2.0
OVER = 1.5 * DEADLINE
STEP = 0.25  # seconds; too short to be taken for a halt


@pytest.fixture
def started(wsluice):
    """started(ARG, ...): a daemon whose clock stands still until it is moved."""
    return functools.partial(wsluice, frozen=True, halts=True)


def answers(client, word):
    """What it says comes back, as a message."""
    client.text(word)
    while True:
        got = client.read_frame()
        if got.opcode == PING:
            client.send(frame(PONG, got.payload))
        else:
            assert (got.opcode, got.payload) == (TEXT, word.encode()), got
            return


def test_idle_timeout(started):
    daemon = started(*JSON, "--max-per-address", "0", "--idle-timeout", f"{DEADLINE}s", "--to", "echo:")
    clients = [daemon.open() for _ in range(100)]  # more than libev takes from epoll at once
    for client in clients:
        answers(client, "before")
    with daemon.inside.halted(OVER):
        for client in clients:
            client.text("meanwhile")
    for client in clients:
        assert client.read_message() == (TEXT, b"meanwhile")
    assert not records(daemon)
    daemon.wait_for_log("we stood still")


def test_heartbeat(started):
    daemon = started(*JSON, "--max-per-address", "0", "--ping", f"{DEADLINE / 2}s", "--pong-timeout", f"{DEADLINE}s",
                     "--to", "echo:")
    clients = [daemon.open() for _ in range(100)]
    daemon.inside.advance(DEADLINE * 0.6, step=STEP)  # they differ a little
    asked = [client.read_frame() for client in clients]
    with daemon.inside.halted(OVER):
        for client, ping in zip(clients, asked):
            assert ping.opcode == PING
            client.send(frame(PONG, ping.payload))
    for client in clients:
        answers(client, "after")
    assert not records(daemon)


def test_pings_do_not_leave_all_at_once_afterwards(started):
    """They keep the distance that they had."""
    every = 3
    daemon = started("--max-per-address", "0", "--ping", f"{every}s", "--to", "echo:")
    clients, came = [], {}
    for _ in range(10):
        clients.append(daemon.open())
        daemon.inside.advance(every / 20)
    with daemon.inside.halted(2 * every):
        for client in clients:  # what was asked before
            with contextlib.suppress(TimeoutError):
                got = client.read_frame(0.01)
                client.send(frame(PONG, got.payload))
    for step in range(round(2 * every / 0.1)):
        for client in clients:
            if client not in came and not client.silent(0.001):
                assert client.read_frame().opcode == PING
                came[client] = step * 0.1
        daemon.inside.advance(0.1)
    assert len(came) == 10 and max(came.values()) - min(came.values()) > every / 5


def test_stall_timeout_of_the_backend(started, server):
    service = server(peers.hold)
    daemon = started(*JSON, "--stall-timeout", f"{DEADLINE}s", "--ping", "0", "--to", service.to)
    client = daemon.open(connect=dict(sndbuf=65536))
    sock = service.wait_accepted()
    fill(client)
    with daemon.inside.halted(OVER):
        drain = threading.Thread(target=peers.sink, args=(sock,))
        drain.start()
    client.sock.settimeout(SOON)
    sock.sendall(b"alive")
    assert client.read_message() == (BINARY, b"alive")
    assert not records(daemon)
    client.close()
    drain.join(SOON)


def test_stall_timeout_of_a_backend_that_was_stopped_too(started):
    """A frozen container: nobody in it did anything. Afterwards the program has the time it had before."""
    daemon = started(*JSON, "--stall-timeout", f"{2 * DEADLINE}s", "--ping", "0", "--framing", "stream", "--stop-grace",
                     "100ms", "--", "sleep", "1000")
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client)
    with daemon.inside.halted(2.5 * DEADLINE):
        pass
    daemon.inside.advance(1.5 * DEADLINE, step=STEP)
    assert client.silent(0.01)
    daemon.inside.until(lambda: not client.silent(0.01), DEADLINE, step=STEP)
    assert client.read_close()[0] == 1011, "it still has a deadline"
    daemon.inside.until(lambda: not daemon.children(), 1, step=STEP)


def test_handshake_timeout(started):
    daemon = started("--handshake-timeout", f"{DEADLINE}s", "--to", "echo:")
    early = daemon.connect()
    head = early.head()
    early.send(head[:20])
    daemon.inside.settle()
    with daemon.inside.halted(OVER):
        early.send(head[20:])
    assert early.read_response().status == 101


def test_connect_timeout(started, server, tmp_path):
    """Several steps are still to come when we are stopped: the handshake of TLS takes two of us."""
    authority = Authority(tmp_path)
    pair = authority.issue("/CN=localhost", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    go_on = threading.Event()

    def serve(sock):
        sock.recv(1, socket.MSG_PEEK)
        go_on.wait(SOON + OVER)
        with context.wrap_socket(sock, server_side=True) as secure:
            peers.echo(secure)

    service = server(serve)
    daemon = started("--connect-timeout", f"{DEADLINE}s", "--backend-ca", authority.cert, "--to",
                     f"tls://localhost:{service.port}")
    client = daemon.connect()
    client.send(client.head())
    service.wait_accepted()
    with daemon.inside.halted(OVER):
        go_on.set()
    assert client.read_response().status == 101


def test_auth_hook(started, tmp_path):
    gate, hook = tmp_path / "gate", tmp_path / "hook"
    os.mkfifo(gate)
    hook.write_text(f"#!/bin/sh\nread line <{gate}\nexit 0\n")
    hook.chmod(0o755)
    daemon = started("--auth", "hook", "--auth-hook", str(hook), "--to", "echo:")
    client = daemon.connect()
    client.send(client.head())
    wait_until(daemon.children, "the hook to run")
    with daemon.inside.halted(6):  # hooks get 5 s
        gate.write_text("go\n")
    assert client.read_response().status == 101


def test_udp(started, udp):
    service = udp()
    daemon = started(*JSON, "--udp-idle-timeout", f"{DEADLINE}s", "--to", service.to)
    client = daemon.open()
    client.binary(b"hello")
    _, peer = service.get()
    with daemon.inside.halted(OVER):
        service.sock.sendto(b"meanwhile", peer)
    assert client.read_message() == (BINARY, b"meanwhile")
    client.binary(b"still here")
    assert service.get()[0] == b"still here"
    assert not records(daemon)


def test_a_loop_that_is_always_late_still_has_deadlines(started):
    """What is taken out of our time is one pause, and then not the next ones."""
    daemon = started(*JSON, "--idle-timeout", "3s", "--to", "echo:")
    client = daemon.open()
    answers(client, "before")
    for _ in range(15):  # if none of these counted, 3 s would take sixty
        with daemon.inside.halted(0.8):
            pass
        daemon.inside.advance(0.05)
        if not client.silent(0.01):
            break
    assert client.read_close()[0] == 1001
    client.close()
    assert ended(daemon)["reason"] == "idle"
