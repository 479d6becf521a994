# SPDX-License-Identifier: MIT
"""We are stopped for longer than a deadline, as `docker pause` or a frozen machine does it, and clients and backends do
what they have to meanwhile: nobody is cut off for it. How long a stop lasts is a lower bound."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time

from lib import peers
from lib.proc import process, wait_until
from lib.setting import SCALE, SOON
from lib.tls import Authority
from lib.tools import JSON, ended, fill, records
from lib.wire import BINARY, PING, PONG, TEXT, frame

DEADLINE = 2.0 * SCALE
OVER = 1.5 * DEADLINE


@contextlib.contextmanager
def stopped(daemon, seconds=OVER):
    """Inside, the daemon stands still; at the end it has done so for that long at least."""
    daemon.send_signal(signal.SIGSTOP)
    wait_until(lambda: process(daemon.pid).state == "T", "the daemon to stand still")
    start = time.monotonic()
    try:
        yield
        time.sleep(max(0, seconds - (time.monotonic() - start)))
    finally:
        daemon.send_signal(signal.SIGCONT)


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


def test_idle_timeout(wsluice):
    daemon = wsluice(*JSON, "--max-per-address", "0", "--idle-timeout", f"{DEADLINE}s", "--to", "echo:")
    clients = [daemon.open() for _ in range(100)]  # more than libev takes from epoll at once
    for client in clients:
        answers(client, "before")
    with stopped(daemon):
        for client in clients:
            client.text("meanwhile")
    for client in clients:
        assert client.read_message() == (TEXT, b"meanwhile")
    assert not records(daemon)
    daemon.wait_for_log("we stood still")


def test_heartbeat(wsluice):
    daemon = wsluice(*JSON, "--max-per-address", "0", "--ping", f"{DEADLINE / 2}s", "--pong-timeout", f"{DEADLINE}s",
                     "--to", "echo:")
    clients = [daemon.open() for _ in range(100)]
    asked = [client.read_frame() for client in clients]
    with stopped(daemon):
        for client, ping in zip(clients, asked):
            assert ping.opcode == PING
            client.send(frame(PONG, ping.payload))
    for client in clients:
        answers(client, "after")
    assert not records(daemon)


def test_pings_do_not_leave_all_at_once_afterwards(wsluice):
    """They keep the distance that they had."""
    every = 3 * SCALE
    daemon = wsluice("--max-per-address", "0", "--ping", f"{every}s", "--to", "echo:")
    clients, came = [], {}
    for i in range(10):
        clients.append(daemon.open())
        time.sleep(every / 20)
    with stopped(daemon, 2 * every):
        for client in clients:  # what was asked before
            with contextlib.suppress(TimeoutError):
                got = client.read_frame(0.01)
                client.send(frame(PONG, got.payload))
    threads = [threading.Thread(target=lambda c=c: came.setdefault(c, (c.read_frame(), time.monotonic())))
               for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found.opcode == PING for found, _ in came.values())
    times = [when for _, when in came.values()]
    assert max(times) - min(times) > every / 5


def test_stall_timeout_of_the_backend(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--stall-timeout", f"{DEADLINE}s", "--ping", "0", "--to", service.to)
    client = daemon.open(connect=dict(sndbuf=65536))
    sock = service.wait_accepted()
    fill(client, most=DEADLINE / 4, patience=DEADLINE / 8)
    with stopped(daemon):
        drain = threading.Thread(target=peers.sink, args=(sock,))
        drain.start()
    client.sock.settimeout(SOON)
    sock.sendall(b"alive")
    assert client.read_message() == (BINARY, b"alive")
    assert not records(daemon)
    client.close()
    drain.join(SOON)


def test_stall_timeout_of_a_backend_that_was_stopped_too(wsluice):
    """A frozen container: nobody in it did anything. Afterwards the program has the time it had before."""
    daemon = wsluice(*JSON, "--stall-timeout", f"{2 * DEADLINE}s", "--ping", "0", "--framing", "stream", "--stop-grace",
                     "100ms", "--", "sleep", "1000")
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client, most=DEADLINE / 4, patience=DEADLINE / 8)
    with stopped(daemon, 2.5 * DEADLINE):
        pass
    assert client.silent(DEADLINE / 8)
    assert client.read_close()[0] == 1011, "it still has a deadline"


def test_handshake_timeout(wsluice):
    daemon = wsluice("--handshake-timeout", f"{DEADLINE}s", "--to", "echo:")
    early = daemon.connect()
    head = early.head()
    early.send(head[:20])
    time.sleep(0.05)
    with stopped(daemon):
        early.send(head[20:])
    assert early.read_response().status == 101


def test_connect_timeout(wsluice, server, tmp_path):
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
    daemon = wsluice("--connect-timeout", f"{DEADLINE}s", "--backend-ca", authority.cert, "--to",
                     f"tls://localhost:{service.port}")
    client = daemon.connect()
    client.send(client.head())
    service.wait_accepted()
    with stopped(daemon):
        go_on.set()
    assert client.read_response().status == 101


def test_auth_hook(wsluice, tmp_path):
    gate, hook = tmp_path / "gate", tmp_path / "hook"
    os.mkfifo(gate)
    hook.write_text(f"#!/bin/sh\nread line <{gate}\nexit 0\n")
    hook.chmod(0o755)
    daemon = wsluice("--auth", "hook", "--auth-hook", str(hook), "--to", "echo:")
    client = daemon.connect()
    client.send(client.head())
    wait_until(daemon.children, "the hook to run")
    with stopped(daemon, 6):  # hooks get 5 s
        gate.write_text("go\n")
    assert client.read_response().status == 101


def test_udp(wsluice, udp):
    service = udp()
    daemon = wsluice(*JSON, "--udp-idle-timeout", f"{DEADLINE}s", "--to", service.to)
    client = daemon.open()
    client.binary(b"hello")
    _, peer = service.get()
    with stopped(daemon):
        service.sock.sendto(b"meanwhile", peer)
    assert client.read_message() == (BINARY, b"meanwhile")
    client.binary(b"still here")
    assert service.get()[0] == b"still here"
    assert not records(daemon)


def test_a_loop_that_is_always_late_still_has_deadlines(wsluice):
    """What is taken out of our time is one pause, and then not the next ones."""
    daemon = wsluice(*JSON, "--idle-timeout", "3s", "--to", "echo:")
    client = daemon.open()
    answers(client, "before")
    for _ in range(15):  # if none of these counted, 3 s would take sixty
        with stopped(daemon, 0.8):
            pass
        time.sleep(0.05)
        if records(daemon):
            break
    assert ended(daemon, timeout=0.1)["reason"] == "idle"
