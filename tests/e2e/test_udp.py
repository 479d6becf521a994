# SPDX-License-Identifier: MIT
"""UDP services: one message is one datagram, both ways; what is live beats what is old."""

import contextlib
import json
import os
import socket
import struct
import time

import pytest

from lib import peers
from lib.admin import Admin
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SOON
from lib.tools import JSON, Names, Peak, ended, records
from lib.wire import BINARY, CLOSE, PONG, TEXT, binary, close_payload, cont, fragments, frame, ping, text

HIGHEST = 65507  # payload of a datagram over IPv4


def meet(client, server):
    """Lets the server know where the client is."""
    client.binary(b"here")
    data, peer = server.get()
    assert data == b"here"
    return peer


def numbers(messages):
    return [struct.unpack("!I", data[:4])[0] for data in messages]


# Borders.

def test_a_message_is_a_datagram_both_ways(wsluice, udp):
    server, sizes = udp(), [0, 1, 3, 4, 125, 126, 0, 1472, 1500, 4096, 4097, 0, 30000, 65000, HIGHEST, 2]
    client = wsluice("--to", server.to).open()
    sent = [os.urandom(n) for n in sizes]
    client.stream([b"".join(binary(one) for one in sent)])
    for one in sent:
        data, peer = server.get()
        assert data == one
        server.sock.sendto(data[::-1], peer)
    for one in sent:
        assert client.read_message() == (BINARY, one[::-1])
    client.finish()


@pytest.mark.parametrize("chop", [1, 7])
def test_borders_hold_at_every_split(wsluice, udp, chop):
    server = udp()
    client = wsluice("--to", server.to).open()
    client.send(binary(b"one") + binary(b"") + text("three") + fragments(BINARY, b"in pieces", 2) + binary(b"z" * 130), chop)
    assert [server.get()[0] for _ in range(5)] == [b"one", b"", b"three", b"in pieces", b"z" * 130]
    client.finish()


def test_fragments_are_one_datagram(wsluice, udp):
    server = udp()
    client = wsluice("--to", server.to).open()
    client.send(frame(TEXT, "be", fin=False) + cont(b"", fin=False) + cont(b"gun"))
    client.send(fragments(BINARY, b"x" * HIGHEST, 9000) + fragments(BINARY, b"", 1))
    assert [server.get()[0] for _ in range(3)] == [b"begun", b"x" * HIGHEST, b""]
    client.finish()


def test_many_small_ones_of_one_wake_up(wsluice, udp):
    server = udp()
    daemon = wsluice("--to", server.to)
    client = daemon.open()
    peer = meet(client, server)
    for round_ in range(5):
        for i in range(60):
            server.sock.sendto(struct.pack("!I", 100 * round_ + i) * (i % 5 + 1), peer)
        for i in range(60):
            assert client.read_message() == (BINARY, struct.pack("!I", 100 * round_ + i) * (i % 5 + 1))
    client.send(b"".join(binary(struct.pack("!I", i)) for i in range(150)))
    assert numbers(server.get()[0] for _ in range(150)) == list(range(150))
    client.finish()


def test_frames_text_replaces_what_is_no_text(wsluice, udp):
    server = udp()
    client = wsluice("--frames", "text", "--to", server.to).open()
    server.sock.sendto(b"caf\xc3\xa9", meet(client, server))
    assert client.read_message() == (TEXT, "café".encode())
    client.finish()


def test_emscriptens_port_message_is_swallowed_once(wsluice, udp):
    """What SDL_net and enet do in a page: a bound socket says its port before all else."""
    server, hello = udp(), b"\xff\xff\xff\xffport\x04\xd2"
    client = wsluice("--to", server.to).connect()
    assert client.upgrade("/", [("Sec-WebSocket-Protocol", "binary")]).get("sec-websocket-protocol") == "binary"
    client.binary(hello)
    client.binary(b"first")
    client.binary(hello)
    assert [server.get()[0] for _ in range(2)] == [b"first", hello]
    client.finish()


# What is too long.

def test_message_longer_than_a_datagram_is_dropped_and_told(wsluice, udp):
    server = udp()
    daemon = wsluice(*JSON, "--to", server.to)
    client = daemon.open()
    client.stream([binary(b"x" * (HIGHEST + 1)) + fragments(BINARY, b"y" * 200_000, 50_000) + binary(b"live")])
    assert server.get()[0] == b"live"
    client.finish()
    record = ended(daemon)
    assert (record["datagrams_dropped_in"], record["datagrams_dropped_out"]) == (2, 0)
    assert record["dropped"] == HIGHEST + 1 + 200_000 and record["code"] == 1000
    told, = records(daemon, "datagram too long, dropped")  # once a session
    assert told["to"] == "backend" and told["bytes"] == HIGHEST + 1


def test_datagram_longer_than_max_message_is_dropped_and_told(wsluice, udp):
    server = udp()
    daemon = wsluice(*JSON, "--max-message", "1000", "--to", server.to)
    client = daemon.open()
    peer = meet(client, server)
    for n in (1001, 1000, 60_000, 5):
        server.sock.sendto(b"x" * n, peer)
    assert [len(client.read_message().data) for _ in range(2)] == [1000, 5]
    client.binary(b"y" * 1001)
    client.expect_close(1009)
    record = ended(daemon)
    assert (record["datagrams_dropped_in"], record["datagrams_dropped_out"]) == (0, 2)
    assert [one["to"] for one in records(daemon, "datagram too long, dropped")] == ["client"]


# Who is there.

def test_nobody_there_is_1011_and_says_so(wsluice):
    nobody = peers.Udp()
    nobody.close()
    client = wsluice("--to", nobody.to).open()
    client.binary(b"anybody?")
    assert client.expect_close(1011) == "nobody is there: Connection refused"


@pytest.mark.parametrize("where", [["::1", "127.0.0.1"], ["127.0.0.9", "127.0.0.1"], ["::1", "127.0.0.9", "127.0.0.8", "127.0.0.1"]],
                         ids=["other-family", "same-family", "the-last-of-four"])
@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "one-by-one"])
def test_the_next_address_is_spoken_to_where_nobody_is_at_the_first(wsluice, udp, where, at_once):
    """As a browser does with "localhost": ::1 first, and the server at 127.0.0.1 only. Nothing that was sent is lost."""
    server = udp()
    with Names({"two.example": where}) as names:
        daemon = wsluice(*JSON, "--dns-servers", names.address, "--udp-queue-age", "1h", "--to",
                         f"udp://two.example:{server.sock.getsockname()[1]}")
        client = daemon.open()
        said = [b"%d" % i for i in range(40)]
        if at_once:
            client.send(b"".join(binary(one) for one in said))
        for one in said:
            if not at_once:
                client.binary(one)
            data, peer = server.get()
            assert data == one
        server.sock.sendto(b"found", peer)
        assert client.read_message() == (BINARY, b"found")
        client.finish()
    assert ended(daemon)["messages_in"] == 40


def test_nobody_at_any_address_is_1011(wsluice):
    nobody = peers.Udp()
    nobody.close()
    with Names({"two.example": ["::1", "127.0.0.9", "127.0.0.1"]}) as names:
        client = wsluice("--dns-servers", names.address, "--to", f"udp://two.example:{nobody.to.rpartition(':')[2]}").open()
        client.binary(b"anybody?")
        assert client.expect_close(1011) == "nobody is there: Connection refused"


def test_a_server_that_restarts_keeps_its_sessions(wsluice, udp):
    server = udp()
    daemon = wsluice("--connect-timeout", "1h", "--to", server.to)
    client = daemon.open()
    peer = meet(client, server)
    server.sock.sendto(b"hello", peer)
    assert client.read_message() == (BINARY, b"hello")
    server.close()
    for i in range(20):  # each but the first meets the error of the one before
        client.send_frame(BINARY, b"lost")
        client.send(ping(b"%d" % i))
        assert client.read_frame().payload == b"%d" % i
    again = udp("127.0.0.1", server.port)
    client.binary(b"still there?")
    data, now = again.get()
    assert (data, now) == (b"still there?", peer)
    client.finish()


def test_a_server_that_stays_away_is_1011(wsluice, udp):
    server = udp()
    client = wsluice("--connect-timeout", "300ms", "--to", server.to).open()
    server.sock.sendto(b"hello", meet(client, server))
    client.read_message()
    server.close()
    start = time.monotonic()
    while client.silent(0.05):
        client.binary(b"and now?")
    assert client.expect_close(1011) == "nobody is there: Connection refused"
    assert time.monotonic() - start > 0.25


def test_others_are_not_heard(wsluice, udp):
    """A session's socket is connected: who guesses its port has nothing of it."""
    server, other = udp(), udp()
    client = wsluice("--to", server.to).open()
    peer = meet(client, server)
    other.sock.sendto(b"from elsewhere", peer)
    server.sock.sendto(b"from the server", peer)
    assert client.read_message() == (BINARY, b"from the server")
    client.finish()


def test_idle_sessions_end_after_udp_idle_timeout(wsluice, udp):
    server = udp()
    daemon = wsluice("--udp-idle-timeout", "400ms", "--to", server.to, "--route", "/echo=echo:")
    client, other = daemon.open(), daemon.open("/echo")
    peer = meet(client, server)
    for _ in range(5):  # either direction counts
        assert client.silent(0.15)
        server.sock.sendto(b"tick", peer)
        assert client.read_message().data == b"tick"
    assert client.expect_close(1001) == "idle"
    assert other.silent(0.6)  # nobody else's


def test_idle_timeout_is_stronger(wsluice, udp):
    daemon = wsluice("--udp-idle-timeout", "1h", "--idle-timeout", "200ms", "--to", udp().to)
    assert daemon.open().expect_close(1001) == "idle"


# Who does not keep up.

def keep_sending(client, server, peer, times):
    """Ten datagrams each time, numbered; the client is heard all the while. Returns the next number."""
    number = 0
    for _ in range(times):
        for _ in range(10):
            server.sock.sendto(struct.pack("!I", number) + bytes(1196), peer)
            number += 1
        client.binary(b"%d" % number)  # nor is the client held back
        assert server.get()[0] == b"%d" % number
    return number


def test_the_oldest_go_when_the_client_is_behind(wsluice, udp):
    """The newest always arrive, what is between is dropped and counted; the client is heard all the while."""
    server = udp()
    daemon = wsluice(*JSON, "--udp-queue", "20", "--udp-queue-age", "1h", "--to", server.to, inside=True)
    client = daemon.open(connect={"rcvbuf": 4096})
    peer = meet(client, server)
    with Peak(daemon) as peak:
        number = keep_sending(client, server, peer, 400)
    peak.check(512)
    server.sock.sendto(struct.pack("!I", number), peer)
    got = []
    while not got or got[-1] != number:
        got += numbers([client.read_message().data])
    assert got == sorted(got) and got[0] == 0
    assert got[-20:] == list(range(number - 19, number + 1)) and len(got) < number / 2
    client.finish()
    record = ended(daemon)
    assert record["datagrams_dropped_out"] >= number + 1 - len(got) - record["stalls_client"]
    assert record["datagrams_dropped_out"] > 0 and record["messages_out"] == len(got)
    assert record["stalls_client"] > 0 and record["stalls_backend"] == 0


def test_the_old_go_when_the_client_is_behind(wsluice, udp):
    server = udp()
    daemon = wsluice("--admin", "127.0.0.1:0", "--udp-queue", "1000", "--udp-queue-age", "200ms", "--to", server.to)
    door = Admin(daemon)
    client = daemon.open(connect={"rcvbuf": 4096})
    peer, number = meet(client, server), 0

    def fill():
        nonlocal number
        server.sock.sendto(struct.pack("!I", number) + bytes(1196), peer)
        number += 1
        return number % 50 == 0 and door.sessions()[0]["backend_paused"]

    wait_until(fill, "the client to be behind")
    stale = number
    for _ in range(40):
        fill()
    time.sleep(0.4)  # they grow old
    server.sock.sendto(struct.pack("!I", 1_000_000), peer)
    wait_until(lambda: door.sessions()[0]["datagrams_dropped_out"] >= 40, "the old to be dropped")
    got = []
    while not got or got[-1] != 1_000_000:
        got += numbers([client.read_message().data])
    assert not set(range(stale, stale + 40)) & set(got)
    metrics = door.get("/metrics").decode()
    assert 'wsluice_datagrams_dropped_total{route="/",backend="udp",direction="in",reason="size"} 0\n' in metrics
    assert 'direction="out",reason="queue"} 0\n' not in metrics and 'direction="out",reason="queue"}' in metrics
    client.finish()


def test_little_waits_in_the_system_for_a_slow_client(wsluice, udp):
    """Else megabytes would lie in its send buffer, and all of a game's last seconds be shown late."""
    server = udp()
    daemon = wsluice("--udp-queue", "10", "--to", server.to)
    client = daemon.open(connect={"rcvbuf": 4096})
    peer = meet(client, server)
    for number in range(3000):
        server.sock.sendto(struct.pack("!I", number) + bytes(1196), peer)
        if number % 10 == 9:
            client.binary(b"in step")
            server.get()
    server.sock.sendto(struct.pack("!I", 3000), peer)
    client.binary(b"in step")
    server.get()
    before = 0
    while numbers([client.read_message().data]) != [3000]:
        before += 1
    assert before * 1200 < 150_000


def test_rate_of_a_session_is_limited(wsluice, udp):
    server = udp()
    daemon = wsluice(*JSON, "--udp-rate", "20", "--to", server.to, inside=True)
    client, other = daemon.open(), daemon.open()
    daemon.inside.freeze()  # so that no tokens come while we look
    client.send(b"".join(binary(b"first") for _ in range(200)) + ping())
    assert client.read_frame().opcode == PONG  # behind all of them
    other.binary(b"other")  # has a limit of its own
    got = 0
    while server.get()[0] == b"first":
        got += 1
    client.finish()
    record = ended(daemon)
    assert got == 20
    assert record["datagrams_dropped_in"] == 200 - got


# Addresses.

def test_each_session_has_an_address_of_its_own(wsluice, udp):
    server = udp()
    daemon = wsluice("--to", server.to)
    hosts = []
    for _ in range(5):
        client = daemon.open()
        host, port = meet(client, server)
        hosts.append(host)
        client.finish()
        daemon.wait_for_log(rf'address="127.0.0.1:{server.port} from {host}:{port}"')
    assert len(set(hosts)) == 5
    for host in hosts:
        assert host.startswith("127.") and not host.startswith("127.0.") and not host.endswith(".255.255.255")


def test_a_client_has_an_address_of_its_own(wsluice, udp):
    """So a server's ban holds for its next session, too, and for no other client."""
    server = udp()
    daemon = wsluice("--udp-source", "client", "--to", server.to)
    first, again = daemon.open(), daemon.open()
    other = daemon.open(connect={"source": "127.0.0.2"})
    (a, a_port), (b, b_port), (c, _) = (meet(one, server) for one in (first, again, other))
    assert a == b and a_port != b_port and c != a and not a.startswith("127.0.")


def test_source_off(wsluice, udp):
    server = udp()
    assert meet(wsluice("--udp-source", "off", "--to", server.to).open(), server)[0] == "127.0.0.1"


def test_ipv6(wsluice, udp):
    server = udp("::1")
    daemon = wsluice("--to", server.to)
    client = daemon.open()
    peer = meet(client, server)
    assert peer[0] == "::1"
    server.sock.sendto(b"x" * 65000, peer)
    assert len(client.read_message().data) == 65000
    client.finish()
    daemon.wait_for_log(rf'address="\[::1\]:{server.port} from \[::1\]:{peer[1]}"')


def test_a_name_is_looked_up(wsluice, udp):
    server = udp()
    with Names({"game.example": ["127.0.0.1"], "silent.example": None}) as names:
        daemon = wsluice("--dns-servers", names.address, "--connect-timeout", "500ms",
                         "--to", f"udp://game.example:{server.port}",
                         "--route", f"/nowhere=udp://nowhere.example:{server.port}",
                         "--route", f"/silent=udp://silent.example:{server.port}")
        assert meet(daemon.open(), server)[0].startswith("127.")
        assert daemon.connect().upgrade("/nowhere").status == 502
        assert daemon.connect().upgrade("/silent").status == 504
        leaver = daemon.connect()
        leaver.send(leaver.head("/silent"))
        leaver.close()  # while the name is looked up
        names.answers["silent.example"] = ["127.0.0.1"]  # c-ares asks again, and is done
        daemon.close_clients()
        daemon.settle()


def test_proxy_header_before_each_datagram(wsluice, udp):
    """As dnsdist and PowerDNS want it: any datagram may be lost, so none speaks for the others."""
    server = udp()
    daemon = wsluice("--proxy-protocol", "v2", "--to", server.to)
    client = daemon.open()
    host, port = client.sock.getsockname()
    want = (b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + socket.inet_aton(host) + socket.inet_aton("127.0.0.1") +
            struct.pack("!HH", port, daemon.port))
    client.send(binary(b"one") + binary(b"") + binary(b"three"))
    for payload in (b"one", b"", b"three"):
        data, peer = server.get()
        assert data == want + payload
    server.sock.sendto(b"plain", peer)
    assert client.read_message() == (BINARY, b"plain")
    client.stream([binary(b"x" * (HIGHEST - 28)) + binary(b"x" * (HIGHEST - 27)) + binary(b"end")])
    assert [len(server.get()[0]) for _ in range(2)] == [HIGHEST, 31]  # the one too long with it is dropped
    client.finish()


# What is written down, and what is refused.

def test_recorded_with_its_borders(wsluice, udp, tmp_path):
    server = udp()
    daemon = wsluice("--record", tmp_path, "--to", server.to)
    client = daemon.open()
    peer = meet(client, server)
    server.sock.sendto(b"\0\1", peer)
    server.sock.sendto(b"", peer)
    assert [client.read_message().data for _ in range(2)] == [b"\0\1", b""]
    client.finish()
    daemon.settle()
    file, = tmp_path.rglob("*.jsonl")
    head, *lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert head["framing"] == "datagram"
    assert [(line["dir"], line["data"]) for line in lines] == [("in", "aGVyZQ=="), ("out", "AAE="), ("out", "")]


def test_seen_by_the_operator(wsluice, udp):
    server = udp()
    daemon = wsluice("--admin", "127.0.0.1:0", "--to", server.to)
    door = Admin(daemon)
    client = daemon.open()
    host, port = meet(client, server)
    one, = door.sessions()
    assert one["backend"] == "udp" and one["address"] == f"127.0.0.1:{server.port} from {host}:{port}"
    assert (one["datagrams_dropped_in"], one["datagrams_dropped_out"]) == (0, 0)
    assert (one["messages_in"], one["messages_out"]) == (1, 0)
    assert door.post("/sessions/kick?what=1")[0] == 200
    client.expect_close(1008)


REFUSED = [
    (["--framing", "lines", "--to", "udp://127.0.0.1:1"], "lines: datagrams have one framing only"),
    (["--framing", "datagram", "--to", "tcp://127.0.0.1:1"], "datagram: this is for udp:// only; leave it out, or write stream"),
    (["--framing", "datagram", "--", "cat"], "datagram: this is for udp:// only; leave it out, or write lines"),
    (["--eof-on-empty", "--to", "udp://127.0.0.1:1"], "an empty message is an empty datagram"),
    (["--proxy-protocol", "v1", "--to", "udp://127.0.0.1:1"], "version 1 knows no UDP"),
    (["--to", "udp://127.0.0.1"], "write udp://HOST:PORT"),
    (["--to", "udp://:53"], "the host is missing"),
    (["--to", "udp://127.0.0.1:0"], "a host and a port"),
    (["--udp-queue", "0", "--to", "udp://127.0.0.1:1"], "udp-queue"),
    (["--udp-source", "mine", "--to", "udp://127.0.0.1:1"], "session, client, off"),
]


@pytest.mark.parametrize("args, say", REFUSED, ids=[say for _, say in REFUSED])
def test_refused_in_words(args, say):
    done = command_line("--check", *args)
    assert done.returncode == 2 and say in done.stderr


def test_framing_datagram_may_be_written(wsluice, udp):
    server = udp()
    meet(wsluice("--framing", "datagram", "--to", server.to).open(), server)


# Bad moments.

def test_ends_at_bad_moments_under_a_flood(wsluice, udp):
    server = udp()
    daemon = wsluice("--udp-queue", "5", "--to", server.to)
    for how in ("close", "rst", "finish", "half") * 5:
        client = daemon.open(connect={"rcvbuf": 4096})
        peer = meet(client, server)
        for _ in range(120):
            server.sock.sendto(bytes(1200), peer)
        if how == "finish":
            client.send(frame(0x8, b"\x03\xe8"))
        {"close": client.close, "rst": client.rst, "finish": client.close, "half": client.half_close}[how]()
    daemon.close_clients()
    daemon.settle()


def test_stop_tells_the_clients(wsluice, udp):
    server = udp()
    daemon = wsluice("--to", server.to)
    client = daemon.open()
    meet(client, server)
    daemon.send_signal(15)
    client.expect_close(1001)
    assert daemon.wait() == 0


# Real servers.

def dns_query(number, name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


@pytest.fixture
def dnsmasq():
    def answers(port):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.settimeout(0.1)
            with contextlib.suppress(OSError):
                sock.sendto(dns_query(1, "up.test"), ("127.0.0.1", port))
                return bool(sock.recv(512))

    with contextlib.closing(peers.Program(
            lambda port: ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}", "--no-resolv", "--no-hosts",
                          "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", "--log-facility=-",
                          "--user=" + os.environ.get("USER", "root"), "--address=/up.test/10.0.0.1",
                          *(f"--address=/host{i}.test/10.9.0.{i}" for i in range(200))], answers)) as program:
        yield program


def test_a_name_server_over_websockets(wsluice, dnsmasq):
    daemon = wsluice("--to", f"udp://127.0.0.1:{dnsmasq.port}")
    clients = [daemon.open() for _ in range(4)]
    for turn, client in enumerate(clients):  # 50 queries at once from each
        client.send(b"".join(binary(dns_query(1000 * turn + i, f"host{50 * turn + i}.test")) for i in range(50)))
    for turn, client in enumerate(clients):
        answered = {}
        while len(answered) < 50:
            data = client.read_message().data
            number, flags, _, count = struct.unpack("!HHHH", data[:8])
            assert flags & 0x800f == 0x8000 and count == 1
            answered[number - 1000 * turn] = data[-4:]
        assert answered == {i: socket.inet_aton(f"10.9.0.{50 * turn + i}") for i in range(50)}
        client.finish()


class Tee:
    """As much of a Teeworlds 0.7 client as keeps a connection: tokens, CONNECT, INFO, and acknowledgements."""

    CONTROL, RESEND = 1, 2
    KEEPALIVE, CONNECT, ACCEPT, CLOSE, TOKEN = 0, 1, 2, 4, 5

    def __init__(self, client):
        self.client, self.mine, self.theirs, self.ack = client, os.urandom(4), b"\xff" * 4, 0

    def send(self, flags, payload, chunks=0):
        self.client.binary(bytes((flags << 2 | self.ack >> 8, self.ack & 255, chunks)) + self.theirs + payload)

    def control(self, message, extra=b""):
        self.send(self.CONTROL, bytes((message,)) + extra)

    def read(self):
        """(flags, payload) of the next packet; what it carries is acknowledged with whatever we send next."""
        data = self.client.read_message().data
        assert data[3:7] == self.mine
        return data[0] >> 2, data[7:]

    def expect(self, message):
        while True:
            flags, payload = self.read()
            if flags & self.CONTROL and payload[0] != self.KEEPALIVE:
                assert payload[0] == message, payload
                return payload[1:]

    def connect(self):
        """Up to the server's word on its map, which is its first chunk."""
        self.control(self.TOKEN, self.mine.ljust(512, b"\0"))
        self.theirs = self.expect(self.TOKEN)[:4]
        self.control(self.CONNECT, self.mine.ljust(512, b"\0"))
        self.expect(self.ACCEPT)
        info = b"\x03" + b"0.7 802f1be60a05665f\0" + b"\0" + b"\x85\x1c"
        self.send(0, bytes((1 << 6 | len(info) >> 6, len(info) & 63, 1)) + info, 1)
        flags, payload = self.read()
        while flags & self.CONTROL:
            flags, payload = self.read()
        assert b"dm1\0" in payload
        self.ack = 1

    def stay(self, seconds):
        """Keeps the connection, and hears from the server all the while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.control(self.KEEPALIVE)
            self.client.silent(0.2)
        self.control(self.KEEPALIVE)


class Console:
    """The server's console (econ)."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), SOON)
        self.ask("secret", "Authentication successful")

    def ask(self, line, until):
        self.sock.sendall(line.encode() + b"\n")
        said = ""
        while until not in said:
            more = self.sock.recv(4096)
            assert more, said
            said += more.decode(errors="replace")
        return said

    def close(self):
        self.sock.close()


@pytest.fixture
def teeworlds(tmp_path):
    def answers(port):
        with contextlib.suppress(OSError):
            with contextlib.closing(Console(port)):
                return True

    env = {**os.environ, "HOME": str(tmp_path), "PATH": os.environ["PATH"] + ":/usr/games"}
    with contextlib.closing(peers.Program(
            lambda port: ["/usr/games/teeworlds-server", f"sv_port {port}", "sv_register 0", "bindaddr 127.0.0.1", f"ec_port {port}",
                          "ec_bindaddr 127.0.0.1", "ec_password secret"], answers, env)) as program:
        yield program


def test_teeworlds_players_stay_connected(wsluice, teeworlds):
    """The handshake of Teeworlds 0.7 through the bridge: each player with an address of its own."""
    daemon = wsluice("--to", f"udp://127.0.0.1:{teeworlds.port}")
    players = [Tee(daemon.open()) for _ in range(2)]
    for player in players:
        player.connect()
    for _ in range(3):
        for player in players:
            player.stay(0.4)
    with contextlib.closing(Console(teeworlds.port)) as console:
        said = console.ask("status", "id=1")
        seen = [line.partition("addr=")[2].split()[0] for line in said.splitlines() if "addr=127." in line]
        assert len({one.rpartition(":")[0] for one in seen}) == 2
        players[0].control(Tee.CLOSE, b"bye\0")
        wait_until(lambda: any(f"client dropped. cid=0 addr={seen[0]}" in line for line in teeworlds.output),
                   lambda: "the server to drop the first\n" + "".join(teeworlds.output[-5:]))
    for one, player in zip(seen, players):
        player.client.send(frame(CLOSE, close_payload(1000)))
        code, _, _ = player.client.read_close()  # what the server had said before is read past
        assert code == 1000
        assert not one.startswith("127.0.")
        player.client.close()
        daemon.wait_for_log(rf'address="127.0.0.1:{teeworlds.port} from {one}"')
