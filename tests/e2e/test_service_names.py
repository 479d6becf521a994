# SPDX-License-Identifier: MIT
"""Names of services: asked of a name server of the test, without blocking, their addresses raced (RFC 8305)."""

import contextlib
import socket
import time

import pytest

from lib import peers
from lib.proc import wait_until
from lib.tools import Names
from lib.wire import BINARY


def echoes(client):
    client.binary(b"found")
    assert client.read_message() == (BINARY, b"found")


def asking(wsluice, names, host, port, *options, **how):
    return wsluice("--dns-servers", names.address, *options, "--to", f"tcp://{host}:{port}", **how)


def test_name_is_resolved(wsluice, server):
    with Names({"good.example": ["127.0.0.1"]}) as names:
        daemon = asking(wsluice, names, "good.example", server(peers.echo).port)
        for _ in range(5):
            client = daemon.open()
            echoes(client)
            client.finish()
        assert ("good.example", Names.A) in names.asked


def test_name_is_asked_again_for_each_session(wsluice, server):
    """lighttpd resolves once at its start: a service that moves is lost to it."""
    first = server(peers.says(b"first"))
    with Names({"moves.example": ["127.0.0.1"]}) as names:
        daemon = asking(wsluice, names, "moves.example", first.port)
        assert daemon.open().read_message() == (BINARY, b"first")
        names.answers["moves.example"] = ["127.0.0.9"]  # nobody is there on that port
        assert daemon.connect().upgrade().status == 502


def test_name_that_does_not_exist_is_502(wsluice):
    with Names({}) as names:
        daemon = asking(wsluice, names, "nowhere.example", 1)
        response = daemon.connect().upgrade()
        assert response.status == 502 and "nowhere.example" not in response.body.decode()
        daemon.wait_for_log("nowhere.example")
        assert names.asked


def test_name_without_addresses_is_502(wsluice):
    with Names({"empty.example": []}) as names:
        assert asking(wsluice, names, "empty.example", 1).connect().upgrade().status == 502


def test_silent_name_server_is_504_within_connect_timeout(wsluice):
    with Names({"silent.example": None}) as names:
        daemon = asking(wsluice, names, "silent.example", 1, "--connect-timeout", "1s", "--route", "/echo=echo:", frozen=True)
        client, other = daemon.connect(), daemon.open("/echo")
        client.send(client.head())
        wait_until(lambda: names.asked, "the question")
        for _ in range(10):  # nobody waits for it
            other.text("x")
            other.read_message()
        daemon.inside.advance(0.74, step=0.1)
        assert client.silent(0.05)
        daemon.inside.advance(0.02)
        assert client.read_response().status == 504
        daemon.wait_for_log("silent.example: no name server has answered within 0.8 s")


def test_name_server_that_is_not_there(wsluice):
    """Nobody listens on its port: known at once, or by the timeout at the latest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    daemon = wsluice("--dns-servers", f"127.0.0.1:{port}", "--connect-timeout", "1s", "--to", "tcp://any.example:1")
    assert daemon.connect().upgrade().status in (502, 504)


def test_second_name_server_is_asked_when_the_first_is_silent(wsluice, server):
    with Names({"good.example": None}) as silent, Names({"good.example": ["127.0.0.1"]}) as names:
        daemon = wsluice("--dns-servers", f"{silent.address},{names.address}", "--connect-timeout", "20s",
                         "--to", f"tcp://good.example:{server(peers.echo).port}")
        client = daemon.connect()
        assert client.upgrade().status == 101
        echoes(client)


FAMILIES = {Names.A: "127.0.0.1", Names.AAAA: "::1"}


@pytest.mark.parametrize("fault", [Names.DROP, Names.FAIL, Names.HOLD])
@pytest.mark.parametrize("missing", FAMILIES)
def test_one_family_is_answered_and_the_other_not(wsluice, server, missing, fault):
    """Then the one that is there must do, 50 ms later (RFC 8305, 3). Nothing is over before all that."""
    there = next(address for kind, address in FAMILIES.items() if kind != missing)
    with Names({"half.example": list(FAMILIES.values())}, {missing: fault}) as names:
        daemon = asking(wsluice, names, "half.example", server(peers.echo, host=there).port, "--connect-timeout", "1h", frozen=True)
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: {kind for _, kind in names.asked} == set(FAMILIES), "both questions")
        if fault != Names.FAIL:  # an error may be an answer; c-ares asks again first
            daemon.inside.advance(0.04)
            assert client.silent(0.1)
        daemon.inside.until(lambda: not client.silent(0.05), 1)
        assert client.read_response().status == 101
        echoes(client)
        names.release()  # too late, and no harm
        echoes(client)


def test_a_family_without_addresses_is_no_answer_to_go_with(wsluice, server):
    """That there is no IPv6 address comes first: it is no reason to stop waiting for the other family."""
    with Names({"four.example": ["127.0.0.1"]}, {Names.A: Names.HOLD}) as names:
        daemon = asking(wsluice, names, "four.example", server(peers.echo).port, "--connect-timeout", "1h", frozen=True)
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: names._held, "the question that is held")
        daemon.inside.advance(2, step=0.1)
        assert client.silent(0.1)
        names.release()
        assert client.read_response().status == 101


def test_answers_in_time_are_raced_together(wsluice, server):
    """::1 goes first, as the system's table of preferences has it (RFC 6724), whoever answered first."""
    with Names({"both.example": ["127.0.0.1", "::1"]}, {Names.AAAA: Names.HOLD}) as names:
        six = server(peers.says(b"six"), host="::1")
        daemon = asking(wsluice, names, "both.example", six.port, "--connect-timeout", "1h", frozen=True)
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: names._held, "the question that is held")
        daemon.inside.advance(0.03)
        names.release()
        assert client.read_response().status == 101
        assert client.read_message() == (BINARY, b"six")


@contextlib.contextmanager
def hole_at(host, port):
    """A listener whose queue is full, so that a connect to it is never answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(64):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect((host, port))
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue of a listener never filled")
        yield


@pytest.mark.parametrize("order", [1, -1], ids=["dead-first", "dead-last"])
def test_addresses_are_raced_past_a_dead_one(wsluice, server, order):
    """RFC 8305: the next attempt starts 250 ms after the first, not after its timeout."""
    service = server(peers.echo, host="127.0.0.3")
    with hole_at("127.0.0.2", service.port), \
            Names({"two.example": ["127.0.0.2", "127.0.0.3"][::order]}) as names:
        daemon = asking(wsluice, names, "two.example", service.port, "--connect-timeout", "15s", frozen=True)
        client = daemon.connect()
        client.send(client.head())
        if order == 1:
            wait_until(lambda: daemon._descriptors()["socket"] > daemon.baseline["socket"] + 1 and len(names.asked) > 1, "the first attempt")
            daemon.inside.advance(0.24)
            assert client.silent(0.05)
            daemon.inside.until(lambda: not client.silent(0.01), 1)
        assert client.read_response().status == 101
        echoes(client)


def test_addresses_are_raced_past_one_that_refuses(wsluice, server):
    """A refusal is no reason to wait."""
    service = server(peers.echo, host="127.0.0.3")
    with Names({"two.example": ["127.0.0.2", "127.0.0.3"]}) as names:
        daemon = asking(wsluice, names, "two.example", service.port, frozen=True)  # so it does not
        echoes(daemon.open())


def test_all_addresses_dead_is_504(wsluice, server):
    service = server(peers.echo, host="127.0.0.4")
    with hole_at("127.0.0.2", service.port), hole_at("127.0.0.3", service.port), \
            Names({"two.example": ["127.0.0.2", "127.0.0.3"]}) as names:
        daemon = asking(wsluice, names, "two.example", service.port, "--connect-timeout", "600ms")
        assert daemon.connect().upgrade().status == 504


def test_all_addresses_refuse_is_502(wsluice):
    with peers.refused_port() as port, Names({"two.example": ["127.0.0.1", "127.0.0.1"]}) as names:
        assert asking(wsluice, names, "two.example", port).connect().upgrade().status == 502


def test_localhost_needs_no_name_server(wsluice, server):
    client = wsluice("--to", f"tcp://localhost:{server(peers.echo).port}").open()
    echoes(client)


def test_ipv6_service(wsluice, server):
    echoes(wsluice("--to", server(peers.echo, host="::1").to).open())


def test_many_questions_at_once(wsluice, server):
    with Names({"good.example": ["127.0.0.1"]}) as names:
        daemon = asking(wsluice, names, "good.example", server(peers.echo).port)
        clients = [daemon.connect() for _ in range(100)]
        for client in clients:
            client.send(client.head())
        for client in clients:
            assert client.read_response().status == 101
            echoes(client)


def test_client_that_leaves_while_we_ask(wsluice):
    with Names({"silent.example": None}) as names:
        daemon = asking(wsluice, names, "silent.example", 1, "--connect-timeout", "60s")
        for _ in range(10):
            client = daemon.connect()
            client.send(client.head())
            client.rst()
        time.sleep(0.7)  # so long it may take to notice
        assert daemon.stop() == 0
