# SPDX-License-Identifier: MIT
"""Ends that met a pause: what was sent before a hang-up counts, and nobody fills a queue by not reading."""

import os
import socket
import time

import pytest

from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SCALE, SOON
from lib.tools import Peak
from lib.wire import BINARY, Raw, binary, close

PAUSE = 1.2  # seconds a client does not read: longer than the sweep that looks for hang-ups


@pytest.mark.parametrize("size", [2_900_000, 3_600_000, 4_000_000])
def test_bytes_of_a_unix_service_that_closed_while_its_client_paused(wsluice, server, tmp_path, size):
    def serve(sock):
        sock.sendall(b"u" * size)

    def end(sock):
        serve(sock)
        sock.close()

    service = server(end, path=tmp_path / "service")
    daemon = wsluice("--to", service.to)
    with daemon.open(connect={"rcvbuf": 65536}) as client:
        time.sleep(PAUSE)
        got = 0
        while got < size:
            opcode, payload = client.read_message()
            assert opcode == BINARY
            got += len(payload)
        assert got == size
        assert client.read_close()[0] == 1000


def test_bytes_of_a_client_that_closed_a_unix_socket_while_the_program_paused(wsluice, tmp_path):
    """All was sent, the Close too, before the program read a byte."""
    out = tmp_path / "out"
    daemon = wsluice("-l", f"unix:{tmp_path}/door", "--framing", "stream", "--stop-grace", "10s", "--", "sh", "-c",
                     f"sleep {PAUSE}; cat > {out}; mv {out} {out}.all")
    with daemon.open(address=str(tmp_path / "door")) as client:
        client.send(binary(b"c" * 150_000) + close(1000))
        client.close()
    wait_until(lambda: os.path.exists(f"{out}.all"), "the program to have got all")
    assert os.path.getsize(f"{out}.all") == 150_000


def test_one_who_asks_and_does_not_read_fills_no_queue(wsluice):
    daemon = wsluice("--console", "--to", "echo:", inside=True)
    with Raw.connect(daemon.address, rcvbuf=4096) as client:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sock.setblocking(False)
        with Peak(daemon) as peak:
            for _ in range(1500):  # one at a time, as often as the daemon takes one
                try:
                    client.sock.send(request)
                except (BlockingIOError, ConnectionResetError, BrokenPipeError):  # it has stopped reading us
                    break
                time.sleep(0.002)
        peak.check(512)


def test_a_pause_in_an_answer_does_not_cut_it(wsluice, tmp_path):
    """Longer than the linger of two seconds."""
    (tmp_path / "large").write_bytes(b"l" * 8_000_000)
    daemon = wsluice("--static", tmp_path)
    with Raw.connect(daemon.address, rcvbuf=65536) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(3)
        client.read_until(b"\r\n\r\n")
        body, _ = client.read_to_end(timeout=SOON)
        assert len(body) == 8_000_000


def test_a_line_as_long_as_allowed_whatever_its_border(wsluice):
    for script in (r"printf '0123456789\r\n'", r"printf '0123456789\r'; sleep 0.2; printf '\n'"):
        daemon = wsluice("--max-message", "10", "--", "sh", "-c", script)
        with daemon.open() as client:
            assert client.read_message()[1] == b"0123456789"


@pytest.mark.parametrize("which", ["cert", "key"])
def test_a_fifo_for_a_certificate_stops_the_start_and_not_the_loop(tmp_path, which):
    os.mkfifo(tmp_path / "fifo")
    names = {"cert": tmp_path / "fifo", "key": tmp_path / "fifo"}
    done = command_line("-l", "127.0.0.1:0", "--tls-cert", names["cert"], "--tls-key", names["key"], "--to", "echo:")
    assert done.returncode == 1 and "not a regular file" in done.stderr, which


def test_drain_while_opening_speaks_in_close_codes(wsluice):
    """With errors: close, a client whose service is being connected to hears 1001."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hole:
        fillers = []
        for _ in range(4):  # the backlog fills up: further connects wait
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            fillers.append(filler)
        daemon = wsluice("--errors", "close", "--connect-timeout", "30s", "--to",
                         f"tcp://127.0.0.1:{hole.getsockname()[1]}")
        with daemon.connect() as client:
            client.send(client.head())
            assert client.silent(0.3 * SCALE)
            daemon.send_signal(15)
            assert client.read_response().status == 101
            assert client.read_close()[0] == 1001
        for filler in fillers:
            filler.close()
        assert daemon.wait(2 * SOON) == 0
