# SPDX-License-Identifier: MIT
"""Draining: readiness first, then clients are told, not all in one moment, and never longer than promised."""

import selectors
import signal
import socket
import time

import pytest

from lib.proc import wait_until
from lib.setting import SANITIZED, SCALE, SOON
from lib.swarm import Swarm, room_for
from lib.tools import JSON, orphans_reaped, records, sh
from lib.wire import CLOSE, TEXT, close_payload, frame


def test_during_the_delay_all_is_served(wsluice):
    """Load balancers need time to see that we are going: until then we must take what they still send."""
    daemon = wsluice("--max-per-address", "0", "--drain-delay", "1500ms", "--to", "echo:")
    client = daemon.open()
    with Swarm(daemon.address, rate=200) as swarm:
        swarm.wait(20)
        start = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_for_log("stopping")
        swarm.wait(20)
        late = daemon.open()
        assert time.monotonic() - start < 1.4, "this machine is too slow to tell"
        swarm.stop()
    assert not swarm.faults and swarm.away == 0
    client.text("still here")
    assert client.read_message() == (TEXT, b"still here")
    assert client.read_close()[0] == 1001
    assert time.monotonic() - start > 1.45, "told before the delay was over"
    assert late.read_close()[0] == 1001
    client.close(), late.close()
    assert daemon.wait() == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(daemon.address, 1):
        pass


def test_a_second_signal_cuts_the_delay_short(wsluice):
    daemon = wsluice("--drain-delay", "60s", "--to", "echo:")
    daemon.open()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    assert daemon.stop(timeout=2 * SCALE) == 0


def closes(clients, timeout):
    """Reads from all until each has its Close and answers it. Returns the times of arrival, and the codes."""
    times, codes = [], []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        deadline = time.monotonic() + timeout
        while len(times) < len(clients):
            assert time.monotonic() < deadline, f"only {len(times)} were told"
            for key, _ in selector.select(1):
                got = key.data.read_frame()
                assert got.opcode == CLOSE, got
                times.append(time.monotonic())
                codes.append(got.code)
                key.data.try_send(frame(CLOSE, close_payload(1001)))
                selector.unregister(key.fileobj)
    return times, codes


def test_a_thousand_are_not_told_in_one_moment(wsluice):
    """They all come back at once somewhere else. At most 100, or what half of drain-timeout asks for, each 100 ms."""
    n = 1000
    room_for(n + 200)
    daemon = wsluice(*JSON, "--max-per-address", "0", "--drain-timeout", f"{12 * SCALE}s", "--to", "echo:")
    clients = [daemon.open() for _ in range(n)]
    daemon.send_signal(signal.SIGTERM)
    times, codes = closes(clients, 12 * SCALE)
    assert set(codes) == {1001}
    for client in clients:
        client.close()
    assert daemon.wait(2 * SOON) == 0
    assert len(records(daemon)) == n
    # ten batches 100 ms apart; a daemon that lags only spreads them more, a test that lags brings them together
    assert 0.5 < times[-1] - times[0] < 12 * SCALE / 2 + 2 * SCALE
    half = next(t for i, t in enumerate(times) if i >= n // 2) - times[0]
    assert half > 0.2, f"half of them were told within {half:.2f} s"


def test_many_are_told_within_half_of_a_short_deadline(wsluice):
    """Pacing must not eat the time in which programs and clients can finish."""
    n = 600
    room_for(n + 200)
    timeout = 2 * SCALE
    daemon = wsluice("--max-per-address", "0", "--drain-timeout", f"{timeout}s", "--to", "echo:")
    clients = [daemon.open() for _ in range(n)]
    daemon.send_signal(signal.SIGTERM)
    start = time.monotonic()
    times, codes = closes(clients, 2 * timeout)
    assert set(codes) == {1001}
    assert times[-1] - start < timeout / 2 + 0.6 * SCALE
    for client in clients:
        client.close()
    assert daemon.wait() == 0
    assert not daemon.find_log("drain-timeout is over")


def test_the_deadline_holds_behind_a_delay(orphans_reaped, wsluice):
    """Programs that ignore SIGTERM and clients that never answer: gone at delay + timeout, exit status 0."""
    n = 4 if SANITIZED else 10
    daemon = wsluice("--stop-grace", "60s", "--kill-grace", "60s", "--close-timeout", "60s",
                     "--drain-delay", "300ms", "--drain-timeout", "700ms",
                     *sh("trap '' TERM; sleep 1000 & exec sleep 1000"))
    clients = [daemon.open() for _ in range(n)]
    wait_until(lambda: sum(c.name == "sleep" for c in daemon.children()) == 2 * n, "the programs")
    start = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert 0.95 < time.monotonic() - start < 1 + 3 * SCALE
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
