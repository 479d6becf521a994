# SPDX-License-Identifier: MIT
"""The heartbeat: asked in silence, answered by any byte, fatal to the dead only (product.md section 5)."""

import time

import pytest

from lib import peers
from lib.setting import SCALE
from lib.tools import JSON, ended, fill, hold_back, orphans_reaped, sh
from lib.wire import BINARY, CLOSE, PING, PONG, TEXT, Closed, Ended, frame

EVERY = 0.3 * SCALE  # --ping
PING_OPTION = ("--ping", f"{EVERY}s")
QUICK = ("--stop-grace", "100ms", "--kill-grace", "100ms")
SILENT = ["--", "sleep", "1000"]


def opened(daemon, **how):
    return daemon.open(connect=how)


def speak_until(client, until, act, pause=0.05):
    """act() again and again; returns the frames that came, pings answered."""
    got = []
    while time.monotonic() < until:
        act()
        try:
            while True:
                found = client.read_frame(0.001)
                got.append(found)
                if found.opcode == PING:
                    client.send(frame(PONG, found.payload))
        except TimeoutError:
            pass
        time.sleep(pause)
    return got


def pings(got):
    return [f for f in got if f.opcode == PING]


# When it is sent.

def test_ping_after_silence_again_and_again(wsluice):
    client = opened(wsluice(*PING_OPTION, *QUICK, *SILENT))
    last = time.monotonic()
    for _ in range(3):
        got = client.read_frame()
        now = time.monotonic()
        assert got.opcode == PING and 0.8 * EVERY < now - last < 1.1 * EVERY + 0.5 * SCALE
        client.send(frame(PONG, got.payload))
        last = now


def test_ping_0_is_off(wsluice):
    assert opened(wsluice("--ping", "0", *QUICK, *SILENT)).silent(1.0)


def test_default_ping_does_not_come_early(wsluice):
    assert opened(wsluice(*QUICK, *SILENT)).silent(0.5)


def test_ping_though_the_client_talks(wsluice):
    """Some boxes watch one direction only: silence towards the client is silence."""
    client = opened(wsluice(*PING_OPTION, *sh("cat >/dev/null; :")))
    got = speak_until(client, time.monotonic() + 4 * EVERY, lambda: client.text("x"))
    assert 2 <= len(pings(got)) <= 5


def test_ping_though_the_program_talks(orphans_reaped, wsluice):
    client = opened(wsluice(*PING_OPTION, *QUICK, *sh("while echo x; do sleep 0.05; done")))
    got = speak_until(client, time.monotonic() + 4 * EVERY, lambda: None)
    assert 2 <= len(pings(got)) <= 5 and len(got) > 8


def test_no_ping_while_both_directions_are_busy(wsluice):
    client = opened(wsluice(*PING_OPTION, "--", "cat"))
    got = speak_until(client, time.monotonic() + 4 * EVERY, lambda: client.text("x"), 0.02)
    assert not pings(got) and len(got) > 10


def test_ping_between_fragments_of_the_client(wsluice):
    client = opened(wsluice(*PING_OPTION, "--", "cat"))
    client.send(frame(TEXT, "one ", fin=False))
    got = client.read_frame()
    assert got.opcode == PING
    client.send(frame(PONG, got.payload) + frame(0, "two"))
    assert client.read_message() == (TEXT, b"one two")


def test_pings_are_jittered(wsluice):
    """Sessions that came together are not all asked in one instant."""
    daemon = wsluice("--ping", f"{2 * EVERY}s", "--to", "echo:")
    clients = [daemon.open() for _ in range(20)]
    times = []
    for client in clients:
        assert client.read_frame().opcode == PING
    start = time.monotonic()
    for client in clients:
        client.send(frame(PONG, b""))
    for client in clients:
        client.sock.settimeout(None)
    waiting = set(clients)
    while waiting:
        for client in list(waiting):
            try:
                assert client.read_frame(0.001).opcode == PING
                times.append(time.monotonic() - start)
                waiting.discard(client)
            except TimeoutError:
                pass
        assert time.monotonic() - start < 5 * SCALE, f"{len(waiting)} are not pinged a second time"
    assert max(times) - min(times) > 0.02 * EVERY, "all in one instant"


# What it measures.

def test_echoed_payload_gives_the_round_trip_time(wsluice):
    daemon = wsluice(*JSON, *PING_OPTION, "--to", "echo:")
    client = daemon.open()
    for _ in range(3):
        got = client.read_frame()
        time.sleep(0.05)
        client.send(frame(PONG, got.payload))
    client.finish()
    assert 50 <= ended(daemon)["rtt_ms"] < 50 + 300 * SCALE


def test_no_round_trip_time_without_a_pong_that_answers(wsluice):
    """An unsolicited pong is legal and says nothing."""
    daemon = wsluice(*JSON, *PING_OPTION, "--to", "echo:")
    client = daemon.open()
    client.send(frame(PONG, b"12345678"))
    assert client.read_frame().opcode == PING
    client.send(frame(PONG, b"12345678") + frame(PONG))
    client.finish()
    assert "rtt_ms" not in ended(daemon)


# Who is dead.

def drain_to_end(client, timeout):
    """Reads all, answers nothing, until the connection ends; returns the seconds that took."""
    start = time.monotonic()
    client.read_to_end(timeout)
    return time.monotonic() - start


def test_silent_client_is_dropped_and_its_program_ended(wsluice):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "500ms", *SILENT)
    client = daemon.open()
    took = drain_to_end(client, 10 * SCALE)
    assert 0.9 * EVERY + 0.4 < took < 1.1 * EVERY + 0.5 + SCALE
    record = ended(daemon)
    assert record["code"] == 1006 and "heartbeat" in record["reason"]
    daemon.settle()


def test_silent_client_is_dropped_though_the_program_talks(orphans_reaped, wsluice):
    """Three peers shipped this wrong: pongs stuck behind data. That data goes out proves no life."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "500ms", *sh("while echo x; do sleep 0.05; done"))
    took = drain_to_end(daemon.open(), 10 * SCALE)
    assert 0.9 * EVERY + 0.4 < took < 1.1 * EVERY + 0.5 + SCALE


def test_client_that_never_pongs_but_sends_is_alive(wsluice):
    client = opened(wsluice(*PING_OPTION, "--pong-timeout", "400ms", *sh("cat >/dev/null; :")))
    until = time.monotonic() + EVERY + 1.5
    while time.monotonic() < until:
        client.text("x")
        time.sleep(0.1)
    client.send(frame(CLOSE))
    while client.read_frame().opcode == PING:
        pass


@pytest.mark.parametrize("pieces", ["bytes of a frame", "pings of its own", "pongs that answer nothing"])
def test_any_byte_is_life(wsluice, pieces):
    client = opened(wsluice(*PING_OPTION, "--pong-timeout", f"{0.4 * SCALE}s", "--to", "echo:"))
    stream = {"bytes of a frame": frame(TEXT, "y" * 1000), "pings of its own": frame(PING) * 1000,
              "pongs that answer nothing": frame(PONG) * 1000}[pieces]
    step = 1 if pieces == "bytes of a frame" else len(stream) // 1000
    until, at = time.monotonic() + 5 * EVERY, 0
    while time.monotonic() < until:
        client.send(stream[at : at + step])
        at += step
        time.sleep(0.1)
    for found in [client.read_frame() for _ in range(2)]:
        assert found.opcode in (PING, PONG), f"{found}: taken for dead"


def test_client_that_answers_lives_long(wsluice):
    client = opened(wsluice("--ping", "50ms", "--pong-timeout", f"{0.3 * SCALE}s", "--to", "echo:"))
    got = speak_until(client, time.monotonic() + 1.5, lambda: None, 0.01)
    assert len(got) == len(pings(got)) >= 3 / SCALE


# While one side is held back.

def test_heartbeat_is_suspended_while_the_client_is_held_back(wsluice):
    """Its pong may lie behind its data, which we do not read because the program does not: it is alive, and stays
    until the stall is too long; then it is told so."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "400ms", "--stall-timeout", "2500ms",
                     "--framing", "stream", *SILENT)
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client)
    start = time.monotonic()
    code, reason = None, None
    try:
        while True:
            client.read_message(10 * SCALE)
    except Closed as closed:
        code, reason = closed.code, closed.reason
    assert code == 1011 and "input" in reason
    assert time.monotonic() - start > 1.5, "cut by the heartbeat"
    assert ended(daemon)["code"] == 1011


def test_heartbeat_resumes_after_the_program_reads_again(wsluice):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", f"{0.6 * SCALE}s", "--framing", "stream",
                     *sh("sleep 1.2; cat >/dev/null; :"))
    client = daemon.open()
    hold_back(client)
    got = speak_until(client, time.monotonic() + 1.2 + 6 * EVERY, lambda: None, 0.02)
    assert all(f.opcode == PING for f in got), f"{got[-1]}: a live client was cut"
    assert pings(got)
    client.finish()


def test_ping_that_could_not_be_sent_kills_nobody(wsluice):
    """When it was due, data was queued for the client, so it went unsent. Then all is read, and silence follows: a
    client that answers every ping it sees must not be dropped for the one it never saw."""
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", f"{3 * EVERY}s", "--framing", "stream",
                     *sh("head -c 8000000 /dev/zero; exec sleep 1000"))
    client = daemon.open(connect=dict(rcvbuf=4096))
    time.sleep(2 * EVERY)  # the ping falls due, with the queue full
    total, seen, until = 0, 0, time.monotonic() + 9 * EVERY
    while time.monotonic() < until:
        try:
            found = client.read_frame(0.1)
        except TimeoutError:
            continue
        except Ended:
            raise AssertionError(f"a live client was dropped, having answered {seen} ping(s)") from None
        assert found.opcode != CLOSE, found
        total += len(found.payload) if found.opcode == BINARY else 0
        if found.opcode == PING:
            seen += 1
            client.send(frame(PONG, found.payload))
    assert total == 8_000_000 and seen >= 1
    client.finish()


def test_slow_but_moving_reader_is_not_dropped(wsluice):
    """It reads 20 KB now and then and never sends anything: its pong cannot come before the data in front of the ping
    is read."""
    daemon = wsluice(*QUICK, *PING_OPTION, "--pong-timeout", "400ms", "--framing", "stream", *sh("exec yes"))
    client = daemon.open(connect=dict(rcvbuf=8192))
    until = time.monotonic() + EVERY + 2
    while time.monotonic() < until:
        client.sock.recv(20_000)
        time.sleep(0.05)
    client.sock.settimeout(1)
    assert client.sock.recv(100)


def test_reader_that_stops_is_1008_after_stall_timeout(wsluice):
    daemon = wsluice(*JSON, *QUICK, *PING_OPTION, "--pong-timeout", "400ms", "--stall-timeout", "1200ms",
                     "--framing", "stream", *sh("exec yes"))
    client = daemon.open(connect=dict(rcvbuf=8192))
    record = ended(daemon)
    assert record["code"] == 1008 and 1.1 < record["duration"] < 1.2 + 2 * SCALE
    code, reason, _ = client.read_close()  # it had only been asleep: it hears why
    assert code == 1008 and "slow" in reason


def test_dead_client_while_its_data_is_held_is_noticed(wsluice):
    """RST within 1.5 s, though nothing is read from it."""
    daemon = wsluice(*JSON, *QUICK, "--ping", "0", "--stall-timeout", "60s", "--framing", "stream", *SILENT)
    client = daemon.open()
    hold_back(client)
    start = time.monotonic()
    client.rst()
    assert ended(daemon)["code"] == 1006
    assert time.monotonic() - start < 1.5 + (SCALE - 1)
    daemon.settle()


@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_dead_client_while_it_does_not_read_is_noticed(wsluice, how):
    """The other direction: the program floods, the client took nothing for a while and then vanishes."""
    daemon = wsluice(*JSON, *QUICK, "--ping", "0", "--stall-timeout", "60s", "--framing", "stream", *sh("exec yes"))
    client = daemon.open(connect=dict(rcvbuf=4096))
    time.sleep(0.3)
    {"fin": client.half_close, "rst": client.rst, "close": client.close}[how]()
    assert ended(daemon)["code"] == 1006
    daemon.settle()


def test_heartbeat_of_a_service(wsluice, server):
    """The same towards the clients of a service, and its connection is ended with the client's."""
    service = server(peers.hold)
    daemon = wsluice(*JSON, *PING_OPTION, *QUICK, "--pong-timeout", "300ms", "--to", service.to)
    client = daemon.open()
    drain_to_end(client, 10 * SCALE)
    sock = service.wait_accepted()
    sock.settimeout(2 * SCALE)
    assert sock.recv(10) == b""
    assert ended(daemon)["code"] == 1006
