# SPDX-License-Identifier: MIT
"""How sessions with services end, and services that do not behave."""

import contextlib
import os
import random
import socket
import struct
import threading
import time

import pytest

from lib import peers
from lib.proc import wait_until
from lib.setting import SANITIZED, SOON
from lib.tools import JSON, ended, records, to_the_close
from lib.wire import BINARY, CLOSE, TEXT, Ended, close_payload, frame, text


def data_of(messages):
    assert all(m.opcode == BINARY for m in messages)
    return b"".join(m.data for m in messages)


def recv_all(sock):
    got = b""
    sock.settimeout(SOON)
    while data := sock.recv(65536):
        got += data
    return got


# Ends.

def test_fin_of_the_service_is_1000_behind_all_its_data(wsluice, server):
    data = os.urandom(2_000_000)
    daemon = wsluice(*JSON, "--to", server(peers.says(data)).to)
    client = daemon.open(connect=dict(rcvbuf=8192))
    time.sleep(0.2)
    code, reason, messages = to_the_close(client)
    assert (code, reason) == (1000, "") and data_of(messages) == data
    record = ended(daemon)
    assert (record["code"], record["closed_by"], record["bytes_out"]) == (1000, "backend", len(data))


def test_client_close_is_fin_for_the_service_behind_all_data(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice("--to", service.to)
    client = daemon.open()
    data = os.urandom(500_000)
    client.send(frame(BINARY, data) + frame(CLOSE, close_payload(1000)))
    client.expect_close(1000, answer=False)
    sock = service.wait_accepted()
    assert recv_all(sock) == data


@pytest.mark.parametrize("how", ["half_close", "rst", "close"])
def test_client_gone_ends_the_connection_to_the_service(wsluice, server, how):
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--stop-grace", "300ms", "--to", service.to)
    client = daemon.open()
    sock = service.wait_accepted()
    getattr(client, how)()
    assert recv_all(sock) == b""
    assert ended(daemon)["code"] == 1006


def test_service_that_goes_on_after_the_client_left_is_cut_after_stop_grace(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--stop-grace", "30s", "--to", service.to, frozen=True)
    client = daemon.open()
    sock = service.wait_accepted()
    client.finish()
    assert recv_all(sock) == b""
    took = daemon.inside.until(lambda: records(daemon), 40, step=0.5)
    assert took >= 29.5, "cut too early"


def test_reset_of_the_service_is_1011(wsluice, server):
    service = server(peers.hold)
    daemon = wsluice(*JSON, "--to", service.to)
    client = daemon.open()
    peers.reset(service.wait_accepted())
    code, reason, _ = to_the_close(client)
    assert code == 1011 and "reset" in reason
    assert ended(daemon)["closed_by"] == "backend"


def test_data_before_a_reset_arrives(wsluice, server):
    """What the service had sent and we had read is the client's, whatever happens then."""
    def talk_then_reset(sock):
        sock.sendall(b"x" * 1000)
        time.sleep(0.2)
        peers.reset(sock)

    code, _, messages = to_the_close(wsluice("--to", server(talk_then_reset).to).open())
    assert code == 1011 and data_of(messages) == b"x" * 1000


def test_service_that_ends_only_its_reading_still_talks(wsluice, server):
    def deaf(sock):
        sock.shutdown(socket.SHUT_RD)
        for _ in range(5):
            time.sleep(0.05)
            sock.sendall(b"still ")
        sock.shutdown(socket.SHUT_WR)

    client = wsluice("--to", server(deaf).to).open()
    client.binary(b"ignored")
    code, _, messages = to_the_close(client)
    assert code == 1000 and data_of(messages) == b"still " * 5


def test_both_ends_at_once(wsluice, server):
    daemon = wsluice("--to", server(peers.says(b"bye")).to)
    for _ in range(30):
        client = daemon.open()
        client.send(frame(CLOSE, close_payload(1000)))
        while client.read_frame().opcode != CLOSE:
            pass
        client.close()
    daemon.settle()


def test_unix_service(wsluice, server, tmp_path):
    client = wsluice("--to", server(peers.echo, path=tmp_path / "s").to).open()
    client.text("over a unix socket")
    assert client.read_message() == (BINARY, b"over a unix socket")
    client.finish()


@pytest.mark.parametrize("framing, sent, wanted", [("lines", b"a\r\nb\nc", [(TEXT, b"a"), (TEXT, b"b"), (TEXT, b"c")]),
                                                   ("text", "ü".encode(), [(TEXT, "ü".encode())]),
                                                   ("stream", b"\xff\n", [(BINARY, b"\xff\n")])])
def test_framings_of_services(wsluice, server, framing, sent, wanted):
    code, _, messages = to_the_close(wsluice("--framing", framing, "--to", server(peers.says(sent)).to).open())
    assert code == 1000 and messages == wanted


def test_nodelay_on_both_sides(wsluice, server):
    """Without it small messages of two in a row wait 40 ms for an acknowledgement."""
    service = server(peers.echo)
    daemon = wsluice("--to", service.to, inside=True)
    client = daemon.open()
    service.wait_accepted()
    client.send(frame(BINARY, b"a"))
    client.read_message()
    assert daemon.inside.nodelay == 2  # of the listener, whose connections inherit it, and towards the service


# RST of the service at every state.

def test_reset_of_the_service_at_every_state(wsluice, server):
    rng = random.Random(13)
    choice = {}

    def behave(sock):
        """Resets after some bytes read and written, before or after its own FIN."""
        sock.settimeout(SOON)
        with contextlib.suppress(OSError):
            state = rng.randrange(7)
            choice[state] = choice.get(state, 0) + 1
            if state >= 1:
                sock.sendall(b"x" * rng.randrange(1, 3000))
            if state == 2:
                sock.recv(rng.randrange(1, 5000))
            if state == 3:
                sock.shutdown(socket.SHUT_WR)
            if state == 4:
                sock.shutdown(socket.SHUT_RD)
            if state == 5:  # everything full
                sock.setblocking(False)
                while True:
                    sock.send(b"y" * 65536)
            if state == 6:
                time.sleep(rng.random() * 0.01)
        peers.reset(sock)

    daemon = wsluice(*JSON, "--max-per-address", "0", "--stop-grace", "200ms", "--to", server(behave).to)
    opened = 0
    for i in range(100 if SANITIZED else 300):
        client = daemon.connect(rcvbuf=4096)
        response = client.upgrade(pipelined=frame(BINARY, b"z" * 2000))
        assert response.status in (101, 502)
        if response.status == 101:
            opened += 1
            with contextlib.suppress(Ended):
                for _ in range(rng.randrange(3)):
                    client.try_send(frame(BINARY, b"z" * rng.randrange(5000)))
                code, _, _ = client.read_close()
                assert code in (1000, 1011), code
        client.close()
    assert opened > 20 and len(choice) == 7
    daemon.settle()


# It cannot be reached.

def test_refused(wsluice):
    with peers.refused_port() as port:
        daemon = wsluice("--to", f"tcp://127.0.0.1:{port}")
        for _ in range(20):
            response = daemon.connect().upgrade()
            assert response.status == 502 and response.body
        daemon.wait_for_log("refused")


def test_black_hole_is_504_within_connect_timeout(wsluice):
    with peers.black_hole() as port:
        daemon = wsluice("--connect-timeout", "30s", "--to", f"tcp://127.0.0.1:{port}", frozen=True)
        clients = [daemon.connect() for _ in range(20)]
        for client in clients:
            client.send(client.head())
        wait_until(lambda: daemon._descriptors()["socket"] >= daemon.baseline["socket"] + 40, "the attempts")
        daemon.inside.advance(29.9, step=1)
        assert all(client.silent(0.001) for client in clients)
        daemon.inside.advance(0.2)
        daemon.inside.thaw()
        assert {c.read_response().status for c in clients} == {504}


@pytest.mark.parametrize("how", ["rst", "half_close", "close"])
def test_client_that_leaves_while_we_connect(wsluice, how):
    """A reset is noticed, and so is a FIN: who ends its side before the 101 wants no WebSocket any more."""
    with peers.black_hole() as port:
        daemon = wsluice("--connect-timeout", "1h", "--to", f"tcp://127.0.0.1:{port}")
        for _ in range(5):
            client = daemon.connect()
            client.send(client.head())
            wait_until(lambda: daemon._descriptors()["socket"] >= daemon.baseline["socket"] + 2, "the attempt")
            getattr(client, how)()
        wait_until(lambda: daemon._descriptors()["socket"] <= daemon.baseline["socket"] + (how == "half_close") * 5,
                   "the attempts to be given up")
        wait_until(lambda: len(daemon.find_log("request abandoned.*client=127.0.0.1:")) == 5, "the log to say so")


def test_client_that_sends_too_early_and_leaves_while_we_connect(wsluice):
    """Its frames came before our answer, which they may not; it hears that it is over."""
    with peers.black_hole() as port:
        daemon = wsluice("--connect-timeout", "1h", "--to", f"tcp://127.0.0.1:{port}")
        client = daemon.connect()
        client.send(client.head() + text("early"))
        client.half_close()
        assert client.read_to_end()[0] == b""
        daemon.wait_for_log("request abandoned.*the client left while the service was being opened")


def test_half_close_behind_a_request_for_a_page_is_answered(wsluice, tmp_path):
    """Only for a WebSocket it means that the client has left: also while somebody is asked whether it may come."""
    (tmp_path / "page.txt").write_text("page")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nread line <{gate}\nexit 0\n")
    hook.chmod(0o755)
    daemon = wsluice("--auth", "hook", "--auth-hook", str(hook), "--static", tmp_path, "--to", "echo:")
    gone = daemon.connect()
    gone.send(gone.head())
    page = daemon.connect()
    page.send(b"GET /page.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: len(daemon.children()) == 2, "both to be asked about")
    gone.half_close()
    page.half_close()
    assert gone.read_to_end()[0] == b""
    wait_until(lambda: len(daemon.children()) == 1, "the one that left to be forgotten")
    gate.write_text("go\n")
    assert page.read_response().body == b"page"


def test_reset_right_behind_accept(wsluice):
    """The connection is complete for the kernel before the service has accepted it, and reset then."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    stop = []

    def killer():
        listener.settimeout(0.1)
        while not stop:
            with contextlib.suppress(TimeoutError):
                sock, _ = listener.accept()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        daemon = wsluice("--to", "tcp://127.0.0.1:%d" % listener.getsockname()[1])
        for _ in range(100):
            client = daemon.connect()
            response = client.upgrade()
            assert response.status in (101, 502)
            if response.status == 101:
                assert client.read_close()[0] == 1011
            client.close()
    finally:
        stop.append(1)
        thread.join()
        listener.close()


def test_listener_that_closes_with_us_in_its_queue(wsluice):
    """Reset before accept: it never took us out of its queue."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    daemon = wsluice("--to", "tcp://127.0.0.1:%d" % listener.getsockname()[1])
    clients = [daemon.open() for _ in range(5)]
    listener.close()
    assert {to_the_close(c)[0] for c in clients} == {1011}
    assert daemon.connect().upgrade().status == 502


@pytest.mark.parametrize("kind", ["missing", "file", "stale", "full"])
def test_unix_service_that_cannot_be_reached(wsluice, tmp_path, kind):
    path = tmp_path / "s"
    with contextlib.ExitStack() as stack:
        if kind == "file":
            path.write_text("")
        elif kind != "missing":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
        if kind == "full":
            listener.listen(0)
            for _ in range(16):
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    sock.connect(str(path))
        daemon = wsluice("--connect-timeout", "300ms", "--to", f"unix:{path}")
        response = daemon.connect().upgrade()
        assert response.status in ((502, 503, 504) if kind == "full" else (502,)) and response.body
        assert str(path) not in response.body.decode(), "where the service stands is no business of a client"


def test_errors_close_for_services(wsluice):
    with peers.refused_port() as port, peers.black_hole() as hole:
        daemon = wsluice(*JSON, "--errors", "close", "--connect-timeout", "300ms",
                         "--route", f"/refused=tcp://127.0.0.1:{port}", "--route", f"/hole=tcp://127.0.0.1:{hole}")
        client = daemon.open("/refused")
        code, reason, _ = to_the_close(client)
        assert code == 1014 and reason and str(port) not in reason
        assert to_the_close(daemon.open("/hole"))[0] in (1011, 1014)
        ended(daemon, 2)
