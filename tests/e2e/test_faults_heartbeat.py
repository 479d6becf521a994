# SPDX-License-Identifier: MIT
"""The heartbeat: asked in silence, answered by any byte, fatal to the dead only."""

import contextlib
import time

import pytest

from lib import peers
from lib.proc import wait_until
from lib.setting import SOON
from lib.tools import JSON, ended, fill, hold_back, orphans_reaped, sh, unsent
from lib.wire import BINARY, CLOSE, PING, PONG, TEXT, Closed, Ended, frame

EVERY = 20  # --ping, of a clock that the test moves; a tenth more or less
PING_OPTION = ("--ping", f"{EVERY}s")
QUICK = ("--stop-grace", "100ms", "--kill-grace", "100ms")
SILENT = ["--", "sleep", "1000"]


def speak(daemon, client, seconds, act=lambda: None, pause=2.0):
    """act() again and again while the clock moves on by that much; returns the frames that came, pings answered."""
    got = []
    for _ in range(round(seconds / pause)):
        act()
        daemon.inside.advance(pause)
        got += taken(daemon, client)
    return got


def taken(daemon, client):
    """The frames that are there, pings answered."""
    got = []
    with contextlib.suppress(TimeoutError):
        while True:
            got.append(client.read_frame(0.005))
            if got[-1].opcode == PING:
                daemon.inside.advance(0.001)  # no answer comes at the very time of its question
                client.send(frame(PONG, got[-1].payload))
    answered(daemon, client)
    return got


def answered(daemon, client):
    """What was sent to the daemon has been read by it."""
    wait_until(lambda: not unsent(client.sock), "the data to arrive")
    daemon.inside.settle()


def pings(got):
    return [f for f in got if f.opcode == PING]


# When it is sent.

def test_ping_after_silence_again_and_again(wsluice):
    daemon = wsluice(*PING_OPTION, *QUICK, *SILENT, frozen=True)
    client = daemon.open()
    for _ in range(3):
        took = daemon.inside.until(lambda: not client.silent(0.001), 1.2 * EVERY, step=0.5)
        assert 0.9 * EVERY - 0.5 <= took <= 1.1 * EVERY + 0.5
        assert [f.opcode for f in taken(daemon, client)] == [PING]


def test_ping_0_is_off(wsluice):
    daemon = wsluice("--ping", "0", *QUICK, *SILENT, frozen=True)
    client = daemon.open()
    daemon.inside.advance(3600, step=10)
    assert client.silent(0.05)


def test_default_ping_does_not_come_early(wsluice):
    daemon = wsluice(*QUICK, *SILENT, frozen=True)
    client = daemon.open()
    daemon.inside.advance(22)
    assert client.silent(0.05)
    daemon.inside.advance(6)
    assert client.read_frame().opcode == PING


def test_ping_though_the_client_talks(wsluice):
    """Some boxes watch one direction only: silence towards the client is silence."""
    daemon = wsluice(*PING_OPTION, *sh("cat >/dev/null; :"), frozen=True)
    client = daemon.open()
    got = speak(daemon, client, 5 * EVERY, lambda: client.text("x"))
    assert 3 <= len(pings(got)) <= 6


def test_ping_though_the_program_talks(orphans_reaped, wsluice):
    daemon = wsluice(*PING_OPTION, *QUICK, *sh("while echo x; do sleep 0.01; done"), frozen=True)
    client = daemon.open()
    got = []
    for _ in range(50):
        daemon.inside.advance(2)
        wait_until(lambda: not client.silent(0.01), "the program to say something at this time, too")
        got += taken(daemon, client)
    assert 3 <= len(pings(got)) <= 6 and len(got) > 8


def test_no_ping_while_both_directions_are_busy(wsluice):
    daemon = wsluice(*PING_OPTION, "--", "cat", frozen=True)
    client = daemon.open()
    for _ in range(50):
        client.text("x")
        assert client.read_frame().opcode == TEXT
        daemon.inside.advance(2)
    assert client.silent(0.05)


def test_ping_between_fragments_of_the_client(wsluice):
    daemon = wsluice(*PING_OPTION, "--", "cat", frozen=True)
    client = daemon.open()
    client.send(frame(TEXT, "one ", fin=False))
    answered(daemon, client)
    daemon.inside.advance(1.1 * EVERY)
    got = client.read_frame()
    assert got.opcode == PING
    client.send(frame(PONG, got.payload) + frame(0, "two"))
    assert client.read_message() == (TEXT, b"one two")


def test_pings_are_jittered(wsluice):
    """Sessions that came together are not all asked in one instant."""
    daemon = wsluice(*PING_OPTION, "--to", "echo:", frozen=True)
    clients, told = [daemon.open() for _ in range(20)], {}
    for tenth in range(round(EVERY * 10 * 1.2)):
        daemon.inside.advance(0.1)
        for client in clients:
            if client not in told and not client.silent(0.0001):
                told[client] = tenth / 10
    assert len(told) == 20 and 0.9 * EVERY - 0.1 <= min(told.values()) and max(told.values()) <= 1.1 * EVERY + 0.1
    assert max(told.values()) - min(told.values()) > 0.05 * EVERY, "all in one instant"


# What it measures.

def test_echoed_payload_gives_the_round_trip_time(wsluice):
    daemon = wsluice(*JSON, *PING_OPTION, "--to", "echo:", frozen=True)
    client = daemon.open()
    for trip in (0.3, 0.2, 0.05):
        daemon.inside.advance(1.1 * EVERY)
        got = client.read_frame()
        daemon.inside.advance(trip)
        client.send(frame(PONG, got.payload))
        answered(daemon, client)
    client.finish()
    assert 200 <= ended(daemon)["rtt_ms"] < 201  # the median


def test_no_round_trip_time_without_a_pong_that_answers(wsluice):
    """An unsolicited pong is legal and says nothing."""
    daemon = wsluice(*JSON, *PING_OPTION, "--to", "echo:", frozen=True)
    client = daemon.open()
    client.send(frame(PONG, b"12345678"))
    answered(daemon, client)
    daemon.inside.advance(1.1 * EVERY)
    assert client.read_frame().opcode == PING
    client.send(frame(PONG, b"12345678") + frame(PONG))
    client.finish()
    assert "rtt_ms" not in ended(daemon)


# Who is dead.

def dropped_after(daemon, client, most):
    """Reads all, answers nothing, until the connection ends; returns the seconds of the daemon's clock that took."""
    def gone():
        try:
            while True:
                client.pending.clear()
                client._receive(time.monotonic() + 0.001)
        except TimeoutError:
            return False
        except Ended:
            return True

    return daemon.inside.until(gone, most, step=0.5)


DEAD = (0.9 * EVERY + 10 - 0.5, 1.1 * EVERY + 10 + 1)  # seconds, with a pong-timeout of 10


def test_silent_client_is_dropped_and_its_program_ended(wsluice):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "10s", *SILENT, frozen=True)
    client = daemon.open()
    assert DEAD[0] <= dropped_after(daemon, client, 60) <= DEAD[1]
    daemon.inside.thaw()
    record = ended(daemon)
    assert record["code"] == 1006 and "heartbeat" in record["reason"]
    daemon.settle()


def test_silent_client_is_dropped_though_the_program_talks(orphans_reaped, wsluice):
    """Three peers shipped this wrong: pongs stuck behind data. That data goes out proves no life."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "10s", *sh("while echo x; do sleep 0.01; done"), frozen=True)
    assert DEAD[0] <= dropped_after(daemon, daemon.open(), 60) <= DEAD[1]


def test_client_that_never_pongs_but_sends_is_alive(wsluice):
    daemon = wsluice(*PING_OPTION, "--pong-timeout", "10s", *sh("cat >/dev/null; :"), frozen=True)
    client = daemon.open()
    for _ in range(5 * EVERY):
        client.text("x")
        answered(daemon, client)
        daemon.inside.advance(1)
    daemon.inside.thaw()
    client.send(frame(CLOSE))
    while client.read_frame().opcode == PING:
        pass


@pytest.mark.parametrize("pieces", ["bytes of a frame", "pings of its own", "pongs that answer nothing"])
def test_any_byte_is_life(wsluice, pieces):
    daemon = wsluice(*PING_OPTION, "--pong-timeout", "10s", "--to", "echo:", frozen=True)
    client = daemon.open()
    stream = {"bytes of a frame": frame(TEXT, "y" * 1000), "pings of its own": frame(PING) * 1000,
              "pongs that answer nothing": frame(PONG) * 1000}[pieces]
    step = 1 if pieces == "bytes of a frame" else len(stream) // 1000
    for at in range(0, 5 * EVERY * step // 4, step):
        client.send(stream[at : at + step])
        answered(daemon, client)
        daemon.inside.advance(4)
    for found in [client.read_frame() for _ in range(2)]:
        assert found.opcode in (PING, PONG), f"{found}: taken for dead"


def test_client_that_answers_lives_long(wsluice):
    daemon = wsluice(*PING_OPTION, "--pong-timeout", "3s", "--to", "echo:", frozen=True)
    client = daemon.open()
    got = speak(daemon, client, 10 * EVERY)
    assert len(got) == len(pings(got)) >= 8


# While one side is held back.

def test_heartbeat_is_suspended_while_the_client_is_held_back(wsluice):
    """Its pong may lie behind its data, which we do not read because the program does not: it is alive, and stays
    until the stall is too long; then it is told so."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "10s", "--stall-timeout", "300s",
                     "--framing", "stream", *SILENT, frozen=True)
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client)
    daemon.inside.advance(1.1 * EVERY, step=1)
    assert client.read_frame().opcode == PING
    time.sleep(0.3)  # our system acknowledges it, by the true clock
    daemon.inside.advance(290 - 1.1 * EVERY, step=1)
    assert client.silent(0.05), "cut by the heartbeat"
    daemon.inside.advance(12, step=1)
    with pytest.raises(Closed) as closed:
        while True:
            client.read_message()
    assert closed.value.code == 1011 and "input" in closed.value.reason
    daemon.inside.thaw()
    assert ended(daemon)["code"] == 1011


def test_heartbeat_resumes_after_the_program_reads_again(wsluice, tmp_path):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "12s", "--framing", "stream",
                     *sh(f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; cat >/dev/null; :"), frozen=True)
    client = daemon.open()
    hold_back(client)
    daemon.inside.advance(2 * EVERY, step=1)
    (tmp_path / "go").touch()
    got = speak(daemon, client, 6 * EVERY)
    assert all(f.opcode == PING for f in got), f"{got[-1]}: a live client was cut"
    assert len(pings(got)) >= 4
    client.finish()


def test_ping_that_could_not_be_sent_kills_nobody(wsluice):
    """When it was due, data was queued for the client, so it went unsent. Then all is read, and silence follows: a
    client that answers every ping it sees must not be dropped for the one it never saw."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", f"{3 * EVERY}s", "--framing", "stream",
                     *sh("head -c 8000000 /dev/zero; exec sleep 1000"), frozen=True)
    client = daemon.open(connect=dict(rcvbuf=4096))
    time.sleep(0.3)  # it fills up
    daemon.inside.advance(2 * EVERY, step=1)  # the ping falls due, with the queue full
    total, got = 0, []
    while total < 8_000_000:
        found = client.read_frame()
        total += len(found.payload) if found.opcode == BINARY else 0
        if found.opcode == PING:
            client.send(frame(PONG, found.payload))
    got += speak(daemon, client, 9 * EVERY)
    assert total == 8_000_000 and len(got) == len(pings(got)) >= 1, f"a live client was dropped: {got}"
    client.finish()


def test_slow_but_moving_reader_is_not_dropped(wsluice):
    """It reads 20 KB now and then and never sends anything: its pong cannot come before the data in front of the ping
    is read."""
    daemon = wsluice(*QUICK, *PING_OPTION, "--pong-timeout", "10s", "--framing", "stream", *sh("exec yes"), frozen=True)
    client = daemon.open(connect=dict(rcvbuf=8192))
    for _ in range(5 * EVERY):
        assert client.sock.recv(20_000)
        daemon.inside.advance(1)
    assert client.sock.recv(100)


def test_reader_that_stops_is_1008_after_stall_timeout(wsluice):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "10s", "--stall-timeout", "120s",
                     "--framing", "stream", *sh("exec yes"), frozen=True)
    client = daemon.open(connect=dict(rcvbuf=8192))
    time.sleep(0.3)  # it fills up
    daemon.inside.advance(119, step=1)
    assert daemon.children(), "ended too early"
    daemon.inside.advance(3, step=1)
    daemon.inside.thaw()
    record = ended(daemon)
    assert record["code"] == 1008 and 119 < record["duration"]
    code, reason, _ = client.read_close()  # it had only been asleep: it hears why
    assert code == 1008 and "slow" in reason


def test_dead_client_while_its_data_is_held_is_noticed(wsluice):
    """Though nothing is read from it."""
    daemon = wsluice(*JSON, *QUICK, "--ping", "0", "--stall-timeout", "1h", "--framing", "stream", *SILENT)
    client = daemon.open()
    hold_back(client)
    client.rst()
    assert ended(daemon)["code"] == 1006
    daemon.settle()


@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_dead_client_while_it_does_not_read_is_noticed(wsluice, how):
    """The other direction: the program floods, the client took nothing for a while and then vanishes."""
    daemon = wsluice(*JSON, *QUICK, "--ping", "0", "--stall-timeout", "1h", "--framing", "stream", *sh("exec yes"))
    client = daemon.open(connect=dict(rcvbuf=4096))
    time.sleep(0.3)
    {"fin": client.half_close, "rst": client.rst, "close": client.close}[how]()
    assert ended(daemon)["code"] == 1006
    daemon.settle()


def test_heartbeat_of_a_service(wsluice, server):
    """The same towards the clients of a service, and its connection is ended with the client's."""
    service = server(peers.hold)
    daemon = wsluice(*JSON, *PING_OPTION, *QUICK, "--pong-timeout", "10s", "--to", service.to, frozen=True)
    client = daemon.open()
    assert DEAD[0] <= dropped_after(daemon, client, 60) <= DEAD[1]
    daemon.inside.thaw()
    sock = service.wait_accepted()
    sock.settimeout(SOON)
    assert sock.recv(10) == b""
    assert ended(daemon)["code"] == 1006
