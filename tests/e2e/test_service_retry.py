# SPDX-License-Identifier: MIT
"""A service that refuses is asked again for a while (connect-retry), by one connection at a time."""

import socket

import pytest

from lib.wire import BINARY

TARGET = "tcp://127.0.0.1:{}"


@pytest.fixture
def port():
    """Nobody listens there yet: bound, so that nobody else takes it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1], held


def asked(daemon, count=1):
    """Clients that have asked, and whose service has refused."""
    clients = [daemon.connect() for _ in range(count)]
    for client in clients:
        client.send(client.head("/"))
    return clients


@pytest.mark.parametrize("count", [1, 40])
def test_a_restart_is_a_moment_and_no_error(wsluice, port, count):
    number, held = port
    daemon = wsluice("--to", TARGET.format(number), frozen=True)
    clients = asked(daemon, count)
    daemon.inside.settle()
    held.listen(128)
    daemon.inside.advance(0.29, step=0.01)
    assert [client.read_response().status for client in clients] == [101] * count


def test_patience_has_an_end(wsluice, port):
    daemon = wsluice("--to", TARGET.format(port[0]), "--connect-retry", "0.1s")
    assert daemon.connect().upgrade("/").status == 502
    daemon.wait_for_log("Connection refused")


def test_without_patience(wsluice, port):
    daemon = wsluice("--to", TARGET.format(port[0]), "--connect-retry", "0", frozen=True)
    assert daemon.connect().upgrade("/").status == 502


def test_who_leaves_meanwhile_hands_the_question_on(wsluice, port):
    number, held = port
    daemon = wsluice("--to", TARGET.format(number), "--connect-retry", "1h", "--connect-timeout", "1h", frozen=True)
    first, = asked(daemon)
    daemon.inside.settle()
    second, = asked(daemon)  # waits for what the first one finds
    daemon.inside.settle()
    first.rst()
    daemon.inside.until(lambda: daemon.find_log("request abandoned"), most=3)
    held.listen(8)
    daemon.inside.advance(10, step=0.1)
    assert second.read_response().status == 101
    far, _ = held.accept()
    far.sendall(b"hello")
    assert second.read_message() == (BINARY, b"hello")
    far.close()
