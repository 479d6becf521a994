# SPDX-License-Identifier: MIT
"""Draining: readiness first, then clients are told, not all in one moment, and never longer than promised."""

import selectors
import signal
import socket

import pytest

from lib.proc import wait_until
from lib.setting import SANITIZED, SOON
from lib.swarm import Swarm, room_for
from lib.tools import JSON, orphans_reaped, records, sh
from lib.wire import CLOSE, TEXT, close_payload, frame


def test_during_the_delay_all_is_served(wsluice):
    """Load balancers need time to see that we are going: until then we must take what they still send."""
    daemon = wsluice("--max-per-address", "0", "--drain-delay", "60s", "--ping", "0", "--to", "echo:", frozen=True)
    client = daemon.open()
    with Swarm(daemon.address, rate=200) as swarm:
        swarm.wait(20)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_for_log("stopping")
        swarm.wait(20)
        daemon.inside.advance(59.9, step=1)
        late = daemon.open()
        swarm.wait(20)
        swarm.stop()
    assert not swarm.faults and swarm.away == 0
    client.text("still here")
    assert client.read_message() == (TEXT, b"still here")
    assert client.silent(0.05), "told before the delay was over"
    daemon.inside.advance(0.2)
    assert client.read_close()[0] == 1001
    assert late.read_close()[0] == 1001
    client.close(), late.close()
    daemon.inside.thaw()
    assert daemon.wait() == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(daemon.address, 1):
        pass


def test_a_second_signal_cuts_the_delay_short(wsluice):
    daemon = wsluice("--drain-delay", "1h", "--to", "echo:")
    daemon.open()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    assert daemon.stop() == 0


def told(daemon, clients, seconds):
    """Moves the clock on in steps of 10 ms; returns how many had their Close by when, and by whom it was answered."""
    waiting, by_now = set(clients), []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        for _ in range(round(seconds * 100)):
            for key, _ in selector.select(0):
                got = key.data.read_frame()
                assert got.opcode == CLOSE and got.code == 1001, got
                key.data.try_send(frame(CLOSE, close_payload(1001)))
                selector.unregister(key.fileobj)
                waiting.discard(key.data)
            by_now.append(len(clients) - len(waiting))
            if not waiting:
                break
            daemon.inside.advance(0.01)
    return by_now


def test_a_thousand_are_not_told_in_one_moment(wsluice):
    """They all come back at once somewhere else. At most 100, or what half of drain-timeout asks for, each 100 ms."""
    n = 1000
    room_for(n + 200)
    daemon = wsluice(*JSON, "--max-per-address", "0", "--drain-timeout", "12s", "--to", "echo:", frozen=True)
    clients = [daemon.open() for _ in range(n)]
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    by_now = told(daemon, clients, 6)
    assert by_now[-1] == n
    for later in range(10, len(by_now)):
        assert by_now[later] - by_now[later - 10] <= 200, f"{by_now}: more than two batches in 100 ms"
    assert len(by_now) >= 90
    for client in clients:
        client.close()
    daemon.inside.thaw()
    assert daemon.wait(2 * SOON) == 0
    assert len(records(daemon)) == n


def test_many_are_told_within_half_of_a_short_deadline(wsluice):
    """Pacing must not eat the time in which programs and clients can finish."""
    n = 600
    room_for(n + 200)
    daemon = wsluice("--max-per-address", "0", "--drain-timeout", "1s", "--to", "echo:", frozen=True)
    clients = [daemon.open() for _ in range(n)]
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    by_now = told(daemon, clients, 0.6)
    assert by_now[-1] == n, by_now
    for client in clients:
        client.close()
    daemon.inside.thaw()
    assert daemon.wait() == 0
    assert not daemon.find_log("drain-timeout is over")


def test_the_deadline_holds_behind_a_delay(orphans_reaped, wsluice):
    """Programs that ignore SIGTERM and clients that never answer: gone at delay + timeout, exit status 0."""
    n = 4 if SANITIZED else 10
    daemon = wsluice("--stop-grace", "1h", "--kill-grace", "1h", "--close-timeout", "1h",
                     "--drain-delay", "10s", "--drain-timeout", "20s",
                     *sh("trap '' TERM; sleep 1000 & exec sleep 1000"), frozen=True)
    clients = [daemon.open() for _ in range(n)]
    wait_until(lambda: sum(c.name == "sleep" for c in daemon.children()) == 2 * n, "the programs")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    daemon.inside.advance(29.9, step=0.1)
    assert daemon.alive() and not daemon.find_log("drain-timeout is over")
    daemon.inside.thaw()
    assert daemon.wait() == 0
    daemon.wait_for_log("drain-timeout is over")
    assert not daemon.children()
    for client in clients:
        assert client.read_close()[0] == 1001


def test_a_request_on_its_way_still_gets_its_answer(wsluice):
    """Accepted before the signal, asked after it: a session that is told to go, not a connection cut."""
    daemon = wsluice("--to", "echo:")
    client = daemon.connect()
    wait_until(lambda: daemon._descriptors()["socket"] > daemon.baseline["socket"], "the connection to be accepted")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    client.open()
    assert client.read_close()[0] == 1001
    client.close()
    assert daemon.wait() == 0
