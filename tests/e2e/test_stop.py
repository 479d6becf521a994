# SPDX-License-Identifier: MIT
"""Stopping: everybody is told, stubborn programs are ended, nobody is left."""

import signal
import socket
import time

import pytest

from lib import peers, proc
from lib.proc import process, wait_until
from lib.setting import SANITIZED
from lib.tools import JSON, fill, orphans_reaped, records, sh
from lib.wire import CLOSE, TEXT, close_payload, frame

STUBBORN = "trap '' TERM; exec sleep 1000"
QUICK = ("--close-timeout", "300ms", "--stop-grace", "200ms", "--kill-grace", "300ms")


def answer_closes(clients, code=1001):
    """All get a Close; each answers it and sees the end of its connection."""
    for client in clients:
        while (got := client.read_frame()).opcode != CLOSE:
            pass
        assert got.code == code, got
        client.try_send(frame(CLOSE, close_payload(code)))
    for client in clients:
        assert client.read_to_end()[0] == b""


def test_300_sessions_half_of_them_stubborn(orphans_reaped, wsluice):
    n = 100 if SANITIZED else 300
    daemon = wsluice(*JSON, *QUICK, "--drain-timeout", "1h", "--max-per-address", "0",
                     "--route", "/cat=exec:/bin/cat", "--route", "/echo=echo:", *sh(STUBBORN))
    clients = [daemon.open(path) for path in ("/cat", "/echo", "/") for _ in range(n // 3)]
    wait_until(lambda: sum(c.name == "sleep" for c in daemon.children()) == n // 3, "the stubborn to be so")
    pids = [c.pid for c in daemon.children()]
    daemon.send_signal(signal.SIGTERM)
    answer_closes(clients)
    assert daemon.wait() == 0
    closed = records(daemon)
    assert len(closed) == len(clients) and {r["code"] for r in closed} == {1001}
    assert not [p for p in pids if process(p)]


def test_clients_that_never_answer_do_not_hold_it(wsluice):
    daemon = wsluice("--close-timeout", "20s", "--drain-timeout", "1h", "--to", "echo:", frozen=True)
    clients = [daemon.open() for _ in range(20)]
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    daemon.inside.advance(19.9, step=0.1)
    assert daemon.alive(), "it did not wait for them"
    daemon.inside.thaw()
    assert daemon.wait() == 0
    for client in clients:
        assert client.read_close()[0] == 1001


def test_it_accepts_nobody_while_stopping(orphans_reaped, wsluice):
    daemon = wsluice("--stop-grace", "700ms", "--kill-grace", "200ms", "--close-timeout", "300ms", *sh(STUBBORN))
    client = daemon.open()
    daemon.send_signal(signal.SIGTERM)
    assert client.read_close()[0] == 1001
    with pytest.raises(OSError), socket.create_connection(daemon.address, 1):
        pass
    assert daemon.wait() == 0


def test_a_program_can_finish_its_work_while_stopping(wsluice, tmp_path):
    """EOF first: what it does with the end of its input is done before SIGTERM comes."""
    daemon = wsluice("--close-timeout", "200ms", "--stop-grace", "10s", *sh(f"cat >/dev/null; sleep 0.3; echo saved > {tmp_path}/state"))
    daemon.open()
    assert daemon.stop() == 0
    assert (tmp_path / "state").read_text() == "saved\n"


def test_drain_timeout_is_the_bound(orphans_reaped, wsluice):
    daemon = wsluice("--stop-grace", "1h", "--kill-grace", "1h", "--close-timeout", "1h", "--drain-timeout", "30s",
                     *sh(STUBBORN), frozen=True)
    daemon.open()
    pid = wait_until(daemon.children, "the program")[0].pid
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    daemon.inside.advance(29.9, step=0.1)
    assert daemon.alive(), "it did not wait"
    daemon.inside.thaw()
    assert daemon.wait() == 0
    wait_until(lambda: not process(pid), "the program to be gone")


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM),
                                           (signal.SIGTERM, signal.SIGINT)])
def test_second_signal_ends_now(orphans_reaped, wsluice, first, second):
    daemon = wsluice("--stop-grace", "1h", "--kill-grace", "1h", "--close-timeout", "1h", "--drain-timeout", "1h",
                     *sh(STUBBORN))
    daemon.open(), daemon.open()
    pids = [c.pid for c in wait_until(lambda: len(daemon.children()) == 2 and daemon.children(), "the programs")]
    daemon.send_signal(first)
    daemon.wait_for_log("stopping")
    time.sleep(0.1)
    assert daemon.alive(), "it did not wait"
    assert daemon.stop(second) == 0
    wait_until(lambda: not any(process(p) for p in pids), "the programs to be gone")


def test_grandchildren_end_with_it(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, *sh("sleep 1001 & sleep 1002 >&- 2>&- & echo up; wait"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"up")
    assert daemon.stop() == 0  # finish() finds what is left behind


def test_grandchildren_that_ignore_term_end_with_it(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, *sh(f"({STUBBORN}) & ({STUBBORN}) <&- >&- 2>&- & echo up; wait"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"up")
    time.sleep(0.1)
    assert daemon.stop() == 0


def test_grandchildren_on_the_ladder_end_with_a_second_signal(orphans_reaped, wsluice):
    daemon = wsluice("--stop-grace", "1h", "--kill-grace", "1h", *sh(f"({STUBBORN}) <&- >&- 2>&- & echo up; exit 0"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"up")
    client.read_close()
    client.close()
    daemon.wait_for_log("session closed")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    time.sleep(0.1)
    assert daemon.stop() == 0
    wait_until(lambda: not proc.orphans(), "the grandchild to be gone")


def test_kill_9_of_us_ends_programs(orphans_reaped, wsluice):
    """PR_SET_PDEATHSIG: none outlives a crash of ours, however stubborn."""
    daemon = wsluice(*sh(STUBBORN))
    daemon.expect_exit = -9
    for _ in range(10):
        daemon.open()
    pids = [c.pid for c in wait_until(lambda: len(daemon.children()) == 10 and daemon.children(), "the programs")]
    assert daemon.stop(signal.SIGKILL) == -9
    wait_until(lambda: not any(process(p) for p in pids), "the programs to be gone")


def test_full_queues_do_not_hold_it(orphans_reaped, wsluice, server):
    """A client that reads nothing, a service that reads nothing, a program that reads nothing: stall-timeout is the
    bound, and drain-timeout would be."""
    daemon = wsluice(*QUICK, "--stall-timeout", "2500ms", "--framing", "stream", "--drain-timeout", "1h",
                     "--route", "/yes=exec:/usr/bin/yes", "--route", "/deaf=exec:/bin/sleep 1000",
                     "--route", "/hold=" + server(peers.hold).to)
    daemon.open("/yes", connect=dict(rcvbuf=4096))
    fill(daemon.open("/deaf", connect=dict(sndbuf=16384)), patience=0.15)
    fill(daemon.open("/hold", connect=dict(sndbuf=16384)), patience=0.15)
    assert daemon.stop() == 0


def test_connections_without_a_session_do_not_hold_it(wsluice, tmp_path):
    """Those that have sent nothing, or keep an HTTP connection open, go soon; half a head has until its deadline."""
    (tmp_path / "index.html").write_text("page")
    daemon = wsluice("--handshake-timeout", "1500ms", "--drain-timeout", "1h", "--static", tmp_path, "--route", "/ws=echo:")
    daemon.connect()
    daemon.connect().send(b"GET / HT")
    client = daemon.connect()
    client.send(client.head("/", drop=("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")))
    assert client.read_response().status == 200
    daemon.send_signal(signal.SIGTERM)
    client.read_to_end()
    daemon.close_clients()
    assert daemon.wait() == 0


def test_a_backend_still_connecting_does_not_hold_it(wsluice):
    with peers.black_hole() as port:
        daemon = wsluice("--connect-timeout", "1h", "--drain-timeout", "1h", "--to", f"tcp://127.0.0.1:{port}")
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: sum("socket" in t for t in daemon.fds().values()) >= daemon.baseline["socket"] + 2, "the attempt")
        assert daemon.stop() == 0
        assert client.read_response().status == 503


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE])
def test_other_signals_do_no_harm(wsluice, number):
    daemon = wsluice("--", "cat")
    client = daemon.open()
    for _ in range(5):
        daemon.send_signal(number)
    client.text("unharmed")
    assert client.read_message() == (TEXT, b"unharmed")


def test_stop_with_nobody_there_waits_for_nothing(wsluice):
    daemon = wsluice("--to", "echo:", frozen=True)
    assert daemon.stop() == 0
