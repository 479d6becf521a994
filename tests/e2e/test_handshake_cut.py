# SPDX-License-Identifier: MIT
"""Handshakes that end early or never, and those with nothing free behind them."""

import re

import pytest

from lib import peers
from lib.judge import refused, works
from lib.proc import wait_until
from lib.wire import TEXT, frame

ROUTE = "/echo"


# Refusals for want of something behind us: limits and backends.


def test_too_many_sessions(wsluice):
    daemon = wsluice("--max-sessions", "2", "--to", "echo:")
    first = daemon.open()
    daemon.open()
    client = daemon.connect()
    client.send(client.head())
    response = refused(client, 429, 503)
    assert response.get("retry-after").isdigit()
    works(first)
    wait_until(lambda: daemon.connect().upgrade().status == 101, "a place to be free again")


def test_too_many_sessions_from_one_address(wsluice):
    daemon = wsluice("--max-per-address", "1", "--to", "echo:")
    first = daemon.open()
    client = daemon.connect()
    client.send(client.head())
    response = refused(client, 429, 503)
    assert response.get("retry-after").isdigit()
    works(daemon.open(connect=dict(source="127.0.0.2")))
    works(first)


def test_service_refuses(wsluice):
    with peers.refused_port() as port:
        daemon = wsluice("--to", f"tcp://127.0.0.1:{port}")
        client = daemon.connect()
        client.send(client.head())
        refused(client, 502)


def test_service_missing_unix_socket(wsluice, tmp_path):
    daemon = wsluice("--to", f"unix:{tmp_path}/nothing-here")
    client = daemon.connect()
    client.send(client.head())
    refused(client, 502)


def test_service_does_not_answer(wsluice):
    with peers.black_hole() as port:
        daemon = wsluice("--connect-timeout", "30s", "--to", f"tcp://127.0.0.1:{port}", frozen=True)
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: daemon._descriptors()["socket"] >= daemon.baseline["socket"] + 2, "the attempt")
        daemon.inside.advance(29.9)
        assert client.silent(0.05)
        daemon.inside.advance(0.2)
        daemon.inside.thaw()
        refused(client, 504)


def test_service_that_is_gone_when_the_bytes_come(wsluice, server):
    """A backend that resets behind the connect: too late for a status, so a Close says it."""
    daemon = wsluice("--to", server(peers.reset).to)
    client = daemon.connect()
    response = client.upgrade()
    if response.status == 101:
        code, _, messages = client.read_close()
        assert code in (1011, 1014) and not messages
    else:
        assert response.status == 502


# The wire cut at every byte, and slow clients.


@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_head_cut_at_every_byte(wsluice, how):
    daemon = wsluice("--handshake-timeout", "60s", "--route", f"{ROUTE}=echo:")
    good = daemon.open(ROUTE)
    head = good.head(ROUTE)
    waiting = []
    for n in range(len(head) + 1):
        client = daemon.connect()
        client.send(head[:n])
        if how == "rst":
            client.rst()
        elif how == "close":
            client.close()
        else:
            client.half_close()
            waiting.append((n, client))
    for n, client in waiting:
        answer, _ = client.read_to_end()
        if n < len(head):
            assert not answer.startswith(b"HTTP/1.1 101"), f"101 for a head cut at byte {n}"
            assert not answer or re.match(rb"HTTP/1\.1 4\d\d ", answer), answer[:80]
    good.text("unharmed")
    assert good.read_message() == (TEXT, b"unharmed")
    good.finish()
    daemon.settle()


def test_101_not_read(wsluice):
    """Clients that vanish between their request and our answer leave nothing behind."""
    daemon = wsluice("--to", "echo:")
    for _ in range(100):
        client = daemon.connect()
        client.send(client.head() + frame(TEXT, b"x" * 1000))
        client.rst()
    daemon.settle()
    works(daemon.open())


@pytest.mark.parametrize("sent", [0, 1, 20, -1], ids=["nothing", "one-byte", "request-line", "all-but-one-byte"])
def test_silent_client_is_cut(wsluice, sent):
    daemon = wsluice("--handshake-timeout", "30s", "--route", f"{ROUTE}=echo:", frozen=True)
    client = daemon.connect()
    client.send(client.head(ROUTE)[:sent])
    wait_until(lambda: daemon._descriptors()["socket"] > daemon.baseline["socket"], "the connection to be accepted")
    daemon.inside.advance(29.9)
    assert client.silent(0.05)
    daemon.inside.advance(0.2)
    daemon.inside.thaw()
    check_timed_out(client.read_to_end()[0])


def check_timed_out(answer):
    assert not answer or re.match(rb"HTTP/1\.1 408 ", answer), answer[:80]


def test_slow_clients_are_cut_and_good_ones_unharmed(wsluice):
    """A byte now and then resets no clock: the head must be complete by the deadline."""
    daemon = wsluice("--handshake-timeout", "30s", "--ping", "0", "--route", f"{ROUTE}=echo:", frozen=True)
    good = daemon.open(ROUTE)
    slow = [daemon.connect() for _ in range(50)]
    head = good.head(ROUTE)
    for at, byte in enumerate(head[:40]):
        if at < 29:
            assert slow[at].silent(0.001), "cut too early"
        for client in slow:
            client.try_send(bytes([byte]))
        good.text("still there?")
        assert good.read_message() == (TEXT, b"still there?")
        daemon.inside.advance(1)
    daemon.inside.thaw()
    for client in slow:
        check_timed_out(client.read_to_end()[0])
    good.finish()


def test_open_session_knows_no_handshake_timeout(wsluice):
    daemon = wsluice("--handshake-timeout", "300ms", "--to", "echo:")
    client = daemon.open()
    assert client.silent(1.0)
    works(client)
