# SPDX-License-Identifier: MIT
"""Floods, dribbles, silence, full queues: bounded work and memory, and the others keep their pace."""

import contextlib
import socket
import threading
import time

import pytest

from lib import peers
from lib.proc import wait_until
from lib.setting import SANITIZED, SOON
from lib.tools import JSON, Peak, ended, fill, hold_back, orphans_reaped, records, sh
from lib.wire import BINARY, CLOSE, PING, PONG, TEXT, Ended, close_payload, frame

QUICK = ("--stop-grace", "100ms", "--kill-grace", "100ms")


class Pulse:
    """Another client that has its echoes all the while: who is starved has none until the flood is over."""

    def __init__(self, client):
        self.client, self.count, self.error = client, 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._stop.is_set():
                self.client.text("beat")
                assert self.client.read_message().data == b"beat"
                self.count += 1
                time.sleep(0.01)
        except Exception as error:  # shown by __exit__, in the thread of the test
            self.error = error

    def going(self, beats):
        """For a loop that floods: until there were that many beats meanwhile, or there is something wrong."""
        return self.count < beats and self.error is None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join()
        if kind is None:
            assert self.error is None, f"the other session: {self.error!r}"


# Floods that are legal, from a client that reads the answers.

FLOODS = {"pings": frame(PING, b"p" * 125), "empty pings": frame(PING), "pongs": frame(PONG, b"p" * 125),
          "empty text": frame(TEXT), "empty fragments": frame(BINARY, fin=False) + frame(0),
          "one byte": frame(BINARY, b"x")}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_flood_of_small_frames(wsluice, flood):
    """As fast as they come: what it answers is read, so it all flows; the daemon does not fall behind or grow."""
    daemon = wsluice("--route", "/echo=echo:", "--route", "/program=exec:/bin/cat", inside=True)
    flooder, other = daemon.open("/echo"), daemon.open("/program")
    batch = flood * (60_000 // len(flood))
    stop = threading.Event()

    def drink():
        flooder.sock.settimeout(SOON)
        with contextlib.suppress(OSError):
            while flooder.sock.recv(1 << 18) and not stop.is_set():
                pass

    reader = threading.Thread(target=drink, daemon=True)
    reader.start()
    sent = 0
    with Peak(daemon) as peak, Pulse(other) as pulse:
        while pulse.going(30) or sent < 50:
            flooder.sock.sendall(batch)
            sent += 1
    stop.set()
    peak.check(3072)
    with contextlib.suppress(OSError):
        flooder.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader
    reader.join(SOON)
    flooder.rst()


def test_flood_of_closes(wsluice):
    """Sessions opened and closed as fast as one can; and Close after Close on one connection."""
    daemon = wsluice("--to", "echo:", inside=True)
    other = daemon.open()
    client = daemon.open()
    with Peak(daemon) as peak, Pulse(other) as pulse:
        client.try_send(frame(CLOSE, close_payload(1000)) * 20_000)
        client.read_to_end()
        while pulse.going(30):
            one = daemon.open()
            one.finish()
            one.close()
    peak.check(3072)


def test_flood_of_pings_to_a_program_that_reads_nothing(wsluice):
    """Pongs have nothing to do with the program."""
    client = wsluice(*QUICK, "--", "sleep", "1000").open()
    for _ in range(20):
        client.send(frame(PING, b"x" * 50) * 500)
        for _ in range(500):
            assert client.read_frame().opcode == PONG


def test_work_of_a_flood_ends_with_it(wsluice):
    daemon = wsluice("--to", "echo:", inside=True)
    client = daemon.open(connect=dict(rcvbuf=4096, sndbuf=65536))
    fill(client, frame(PING, b"p" * 100) * 600)
    with daemon.inside.turns_at_most(60):  # some bytes may still move; who spins turns a hundred thousand times
        time.sleep(0.6)


# A byte at a time, both ways.

def test_one_byte_writes_both_ways(wsluice, server):
    """Every byte of head and frames on its own, to a service that answers byte by byte."""
    def slow_echo(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(1):
            sock.sendall(data)

    client = wsluice("--to", server(slow_echo).to).connect()
    client.send(client.head(), chop=1)
    assert client.read_response().status == 101
    data = bytes(range(256))
    client.send(frame(BINARY, data) + frame(PING, b"end"), chop=1)
    got, pong = b"", False
    while len(got) < len(data) or not pong:
        found = client.read_frame()
        pong = pong or found.opcode == PONG
        got += found.payload if found.opcode == BINARY else b""
    assert got == data
    client.send(frame(CLOSE, close_payload(1000, b"bye")), chop=1)
    client.expect_close(1000, answer=False)


def test_one_byte_reads(wsluice):
    """A client with the smallest window, that takes a byte at a time."""
    client = wsluice("--", "cat").open(connect=dict(rcvbuf=1024))
    line = b"0123456789" * 700
    client.send(frame(TEXT, line))
    got = bytearray()
    while len(got) < 4 + len(line):
        got += client.sock.recv(1)
    assert bytes(got[4:]) == line


# Cut by silence. (FIN and RST at every byte: test_handshake.py and test_conformance.py.)

def test_silence_at_any_byte_of_the_request(wsluice):
    daemon = wsluice("--handshake-timeout", "30s", "--max-per-address", "0", "--ping", "0", "--to", "echo:",
                     frozen=True)
    good = daemon.open()
    head = good.head()
    cut = []
    with Pulse(good) as pulse:
        for n in range(len(head)):
            client = daemon.connect()
            client.send(head[:n])
            cut.append(client)
        wait_until(lambda: pulse.count > 3, "echoes meanwhile")
        daemon.inside.advance(29.9)
        assert all(client.silent(0.001) for client in cut)
        daemon.inside.advance(0.2)
        daemon.inside.thaw()
        for client in cut:
            answer, _ = client.read_to_end()
            assert not answer or answer.startswith(b"HTTP/1.1 408 "), answer
            client.close()


def test_silence_in_a_frame_is_the_heartbeats_business(wsluice):
    daemon = wsluice("--ping", "150ms", "--pong-timeout", "300ms", "--max-per-address", "0", "--to", "echo:")
    whole = frame(TEXT, "x" * 200)
    clients = []
    for n in range(1, len(whole), 9):
        client = daemon.open()
        client.send(whole[:n])
        clients.append(client)
    for client in clients:
        rest, _ = client.read_to_end()
        assert rest[0] == 0x80 | PING


def test_silence_of_a_keep_alive_connection(wsluice, tmp_path):
    (tmp_path / "index.html").write_text("page")
    daemon = wsluice("--handshake-timeout", "30s", "--static", tmp_path, "--route", "/ws=echo:", frozen=True)
    client = daemon.connect()
    client.send(client.head("/", drop=("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")))
    assert client.read_response().status == 200
    daemon.inside.advance(29.9)
    assert client.silent(0.05)
    daemon.inside.advance(0.2)
    assert client.read_to_end()[0] == b""


# Both directions full, slow readers, stuck backends.

@pytest.mark.parametrize("framing", ["stream", "lines"])
def test_echo_deadlock(wsluice, framing):
    """A client that writes 24 MB before it reads anything, through cat: everything fills up, then all of it comes."""
    daemon = wsluice("--framing", framing, "--", "cat", inside=True)
    client = daemon.open(connect=dict(rcvbuf=16384, sndbuf=16384, timeout=3 * SOON))
    line = b"".join(b"%07d|" % i for i in range(1000))
    total, got = 24_000_000, bytearray()  # sockets take up to 10 MB of it
    done = []

    def write():
        for _ in range(total // len(line)):
            client.sock.sendall(frame(TEXT, line))
        done.append(True)

    client.sock.settimeout(3 * SOON)
    writer = threading.Thread(target=write, daemon=True)
    with Peak(daemon) as peak:
        writer.start()
        time.sleep(0.4)
        assert not done, "nothing filled up: this test proves nothing"
        client.sock.settimeout(None)
        while len(got) < total:
            got += client.read_frame().payload
    writer.join(SOON)
    assert bytes(got) == line * (total // len(line))
    peak.check(3072)


SLOW = 20 if SANITIZED else 50


@pytest.mark.parametrize("framing, program, bound", [("stream", "/bin/cat /dev/zero", 100), ("lines", "/usr/bin/yes", 300)],
                         ids=["stream", "lines-of-one-byte"])
def test_slow_readers_while_the_program_floods(orphans_reaped, wsluice, framing, program, bound):
    """Memory: the chunk under way and no more (one-byte lines take three bytes a frame). Then the stall limit cuts
    all of them with 1008, and the one that reads is unharmed."""
    daemon = wsluice(*JSON, *QUICK, "--framing", framing, "--stall-timeout", "2500ms", "--ping", "0",
                     "--max-per-address", "0", "--route", f"/flood=exec:{program}", "--route", "/echo=exec:/bin/cat", inside=True)
    other = daemon.open("/echo")
    with Pulse(other) if framing == "lines" else contextlib.nullcontext():
        with Peak(daemon) as peak:
            slow = [daemon.open("/flood", connect=dict(rcvbuf=4096)) for _ in range(SLOW)]
            time.sleep(1)
        peak.check(SLOW * bound + 3072)
        wait_until(lambda: len(records(daemon)) >= SLOW, lambda: f"{SLOW} sessions to be cut, {len(records(daemon))} are")
    assert {r["code"] for r in records(daemon)} == {1008}
    assert len(slow) == SLOW
    daemon.close_clients()


def test_reader_that_takes_a_little_is_never_cut(wsluice):
    """Slow is not stuck: any byte that moves starts the clock again."""
    daemon = wsluice(*QUICK, "--framing", "stream", "--ping", "0", "--stall-timeout", "60s", "--", "cat", "/dev/zero", frozen=True)
    client = daemon.open(connect=dict(rcvbuf=4096))
    for _ in range(100):
        assert client.sock.recv(8000)
        daemon.inside.advance(10)
    daemon.check()
    assert not daemon.find_log("session closed")


def small_server(server):
    """One that never reads, with little room in its socket."""
    service = server(peers.hold)
    service._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return service


@pytest.mark.parametrize("kind", ["program", "service"])
def test_stuck_backend_is_1011(wsluice, server, kind):
    backend = ["--", "sleep", "1000"] if kind == "program" else ["--to", small_server(server).to]
    daemon = wsluice(*JSON, *QUICK, "--framing", "stream", "--stall-timeout", "1500ms", *backend)
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client)
    assert client.read_frame().code == 1011
    record = ended(daemon)
    # of a service the system may say so first (TCP_USER_TIMEOUT)
    assert record["code"] == 1011 and record["closed_by"] in ("server", "backend")[:1 + (kind == "service")]
    assert record["dropped"] > 0


def test_backend_that_reads_slowly_is_not_stuck(wsluice, server):
    def sip(sock):
        while sock.recv(20_000):
            time.sleep(0.02)

    daemon = wsluice("--stall-timeout", "2s", "--to", server(sip).to)
    client = daemon.open(connect=dict(sndbuf=65536, timeout=3 * SOON))
    for _ in range(30):
        client.binary(b"x" * 60_000)
    assert client.silent(0.3)


def test_what_the_service_acknowledged_is_progress(wsluice, server):
    """Our system holds megabytes, and takes more only when a third of them is gone: long before that, a service that
    reads a little has taken some."""
    service = server(peers.hold)
    daemon = wsluice("--stall-timeout", "10s", "--ping", "0", "--to", service.to, frozen=True)
    client = daemon.open(connect=dict(sndbuf=65536))
    sock = service.wait_accepted()
    sock.settimeout(SOON)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    fill(client, patience=0.3)
    for _ in range(4):
        left = 262144  # more than lies at its side
        while left > 0:
            left -= len(sock.recv(left))
        daemon.inside.advance(6, step=1)
    assert not daemon.find_log("takes no input")
    assert client.silent(0.1)


def test_ten_clients_flood_a_service_that_never_reads(wsluice, server):
    """websockify: 2.1 GB in 8 seconds."""
    daemon = wsluice("--to", server(peers.hold).to, inside=True)
    with Peak(daemon) as peak:
        for _ in range(10):
            fill(daemon.open(), patience=0.1)
    peak.check(10 * 100 + 3072)


def test_pongs_go_out_between_data(wsluice):
    """A ping of the client is answered while the program floods and the client reads."""
    daemon = wsluice(*QUICK, "--framing", "stream", "--", "cat", "/dev/zero")
    client = daemon.open()
    for i in range(5):
        client.send(frame(PING, b"%d" % i))
        while client.read_frame().opcode != PONG:
            pass


def test_client_that_pings_and_does_not_read_gets_the_last_answer(wsluice):
    """RFC 6455, section 5.5.3: an endpoint may answer only the most recent ping."""
    daemon = wsluice(*QUICK, "--framing", "stream", *sh("head -c 3000000 /dev/zero; exec sleep 1000"))
    client = daemon.open(connect=dict(rcvbuf=4096))
    time.sleep(0.3)
    for i in range(100):
        client.send(frame(PING, b"%d" % i))
    time.sleep(0.1)
    total, pongs = 0, []
    while total < 3_000_000 or not pongs:
        found = client.read_frame()
        total += len(found.payload) if found.opcode == BINARY else 0
        pongs += [found.payload] if found.opcode == PONG else []
    assert pongs[-1] == b"99"


def test_held_back_client_costs_no_work(wsluice):
    daemon = wsluice(*QUICK, "--framing", "stream", "--", "sleep", "1000", inside=True)
    clients = [daemon.open() for _ in range(10)]
    for client in clients:
        hold_back(client)
    with daemon.inside.turns_at_most(100):
        time.sleep(0.6)
    with daemon.inside.turns_at_most(500):
        for client in clients:
            client.half_close()  # epoll tells a half-closed socket again and again: no reason to spin
        daemon.settle()
    with pytest.raises((Ended, TimeoutError)):
        clients[0].read_frame(0.1)
