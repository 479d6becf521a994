# SPDX-License-Identifier: MIT
"""How much a client may send in a time. Rates of one an hour make the burst all there is; where a pace is tested, it is
fast, and what must come is waited for."""

import signal
import time

import pytest

from lib.admin import Admin, hold, labels, until_kicked
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SCALE, SOON
from lib.tls import Certificate
from lib.tls import client as tls_client
from lib.tools import JSON, ended, sh
from lib.wire import BINARY, CLOSE, PONG, binary, close, close_payload, fragments, frame, ping, text

TWENTY = [b"%d" % i for i in range(20)]


@pytest.fixture
def limited(wsluice):
    """limited(OPTION...): the admin door of a daemon."""
    return lambda *args: Admin(wsluice(*JSON, "--admin", "127.0.0.1:0", *args))


BACKENDS = {"echo": ("--to", "echo:"), "lines": ("--", "cat"), "text": ("--framing", "text", "--", "cat")}


@pytest.mark.parametrize("how", ["at-once", "one-by-one"])
@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_exactly_the_burst_passes(limited, backend, how):
    door = limited("--max-message-rate", "1/h:5", *backend)
    client, got = door.daemon.open(), b""
    if how == "at-once":
        client.send(b"".join(text(m) for m in TWENTY))
    else:
        for message in TWENTY[:5]:
            client.text(message)
        while len(got) < 5:  # one message may hold several: text cuts where reads end
            got += client.read_message().data
        client.text(TWENTY[5])
    hold(door)
    session = door.sessions()[0]
    assert session["rate_holds"] == 1 and session["messages_in"] == 5 and session["state"] == "open"
    assert "held" in command_line("ctl", "--admin", door.ctl, "sessions").stdout
    while len(got) < 5:
        got += client.read_message().data
    assert got == b"01234" and until_kicked(door, client) == []
    client.try_send(frame(CLOSE, close_payload(1008)))
    client.close()
    line = ended(door.daemon)
    assert line["rate_holds"] == 1 and line["code"] == 1008
    assert door.metrics()[labels("wsluice_rate_holds_total", route="/", backend=session["backend"])] == 1


def test_fragments_are_one_message_and_control_frames_none(limited):
    door = limited("--max-message-rate", "1/h:2", "--to", "echo:")
    client = door.daemon.open()
    client.send(ping(b"1") + fragments(BINARY, b"abc" * 50, 7) + ping(b"2") + ping(b"3") + text("x") + ping(b"4"))
    assert [client.read_message().data for _ in range(2)] == [b"abc" * 50, b"x"]
    got = client.read_frame()  # at its limit, but not over it: still answered
    assert (got.opcode, got.payload) == (PONG, b"4") and client.pongs == [b"1", b"2", b"3"]
    client.send(text("over") + ping(b"5"))
    hold(door)
    assert until_kicked(door, client) == [] and client.pongs == [b"1", b"2", b"3"]


def test_bytes(limited):
    door = limited("--max-byte-rate", "1/h:100", "--to", "echo:")
    client = door.daemon.open()
    client.send(binary(b"a" * 60) + binary(b"b" * 40) + binary(b"") + binary(b"c"))
    assert [client.read_message().data for _ in range(3)] == [b"a" * 60, b"b" * 40, b""]
    hold(door)
    assert until_kicked(door, client) == []


def test_a_pace(limited):
    """A lower bound of time is no gamble: faster than the rate it must not be."""
    door = limited("--max-message-rate", "200/s:10", "--to", "echo:")
    client = door.daemon.open()
    began = time.monotonic()
    messages = [b"%d" % i for i in range(110)]
    client.send(b"".join(text(m) for m in messages))
    assert [client.read_message().data for _ in messages] == messages
    assert time.monotonic() - began >= 100 / 200 * 0.99
    client.finish()
    assert int(ended(door.daemon)["rate_holds"]) >= 50


@pytest.mark.parametrize("framing", ["lines", "stream"])
def test_large_messages_at_a_pace(limited, framing):
    """They are held in their middle, read by read, and come whole; nor does the queue of a slow backend grow."""
    door = limited("--max-byte-rate", "8M/s:64K", "--max-message", "4M", "--framing", framing, "--", "cat")
    client = door.daemon.open()
    message = (b"0123456789abcdef" * (1 << 16)) + b"end"
    began = time.monotonic()
    client.stream([binary(message) * 2])
    got = b""
    while len(got) < 2 * len(message):
        got += client.read_message().data
    assert got == message * 2
    assert time.monotonic() - began >= (2 << 20) / (8 << 20) * 0.7
    client.finish()


def test_over_tls(limited, tmp_path):
    """What OpenSSL has read ahead is not forgotten."""
    cert = Certificate(tmp_path, "localhost", "127.0.0.1")
    door = limited("--tls-cert", cert.cert, "--tls-key", cert.key, "--max-message-rate", "400/s:1", "--to", "echo:")
    with tls_client(door.daemon.address, cert).open() as client:
        messages = [b"%d" % i for i in range(100)]
        client.send(b"".join(text(m) for m in messages))
        assert [client.read_message().data for _ in messages] == messages
        client.finish()


def test_frames_cut_by_reads(limited):
    """A header that came in two pieces is looked at twice."""
    door = limited("--max-message-rate", "300/s:1", "--max-byte-rate", "30K/s:200", "--to", "echo:")
    client = door.daemon.open()
    messages = [b"m" * n for n in (0, 1, 125, 126, 200, 3, 700)]
    client.send(b"".join(binary(m) for m in messages), chop=3)
    assert [client.read_message().data for _ in messages] == messages
    client.finish()


def test_what_lies_behind_the_head_counts(limited):
    door = limited("--max-message-rate", "1/h:2", "--to", "echo:")
    client = door.daemon.connect()
    assert client.upgrade(pipelined=text("1") + text("2") + text("3")).status == 101
    assert [client.read_message().data for _ in range(2)] == [b"1", b"2"]
    hold(door)
    assert until_kicked(door, client) == []


# Shared by many.


@pytest.fixture
def three_routes(limited, tmp_path):
    def start(settings, top=""):
        path = tmp_path / "wsluice.yaml"
        path.write_text(f"""
{top}
routes:
  - {{path: /a, to: "echo:"{settings}}}
  - {{path: /b, to: "echo:"{settings}}}
  - {{path: /c, to: "echo:", max-message-rate: 0}}
""")
        return limited("--config", path)
    return start


def test_of_a_route(three_routes):
    door = three_routes(", max-route-message-rate: 1/h:4")
    first, second, other = (door.daemon.open(path) for path in ("/a", "/a/x", "/b"))
    for n in range(3):
        first.text(f"{n}")
        assert first.read_message().data == b"%d" % n
    second.text("3")
    assert second.read_message().data == b"3"
    first.text("4")
    second.text("5")
    hold(door, 2)
    for n in range(4):
        other.text("its own")
        assert other.read_message().data == b"its own"
    door.daemon.open("/c").exchange([text("x")] * 10, [(1, "x")] * 10)
    assert until_kicked(door, first, 1) == until_kicked(door, second, 2) == []


def test_of_a_route_is_not_new_with_the_next_session(three_routes):
    door = three_routes(", max-route-byte-rate: 1/h:4")
    for _ in range(2):
        door.daemon.open("/a").exchange([text("ab")], [(1, "ab")])
    client = door.daemon.open("/a")
    client.text("ab")
    hold(door)
    assert until_kicked(door, client, 3) == []


@pytest.mark.parametrize("top", ["max-total-message-rate: 1/h:4", "max-total-byte-rate: 1/h:12"])
def test_of_all(three_routes, top):
    door = three_routes("", top)
    clients = [door.daemon.open(path) for path in ("/a", "/b", "/c")]
    for client in [*clients, clients[0]]:
        client.text("abc")
        assert client.read_message().data == b"abc"
    for client in clients:
        client.text("abc")
    hold(door, 3)
    for n, client in enumerate(clients, 1):
        assert until_kicked(door, client, n) == []


def test_who_leaves_gives_its_place_back(three_routes):
    """400 clients that wait at 20 a second would be 20 seconds; whoever waits behind them gets their time."""
    door = three_routes(", max-route-message-rate: 20/s:1", "max-per-address: 0")
    clients = [door.daemon.open("/a") for _ in range(400)]
    for client in clients:
        client.text("x")
    wait_until(lambda: sum(s["rate_held"] for s in door.sessions()) > 300, "them to wait")
    for client in clients:
        client.rst()
    wait_until(lambda: not door.sessions(), "them to be gone")
    client = door.daemon.open("/a")
    client.text("now")
    assert client.read_message(timeout=5 * SCALE).data == b"now"


# Not the end of anybody, unless asked for.


def test_close_when_asked_for(limited):
    door = limited("--max-message-rate", "1/h:3", "--over-rate", "close", "--", "cat")
    client = door.daemon.open()
    client.send(b"".join(text(m) for m in TWENTY))
    code, reason, messages = client.read_close()
    assert (code, reason) == (1008, "more than the rate that is allowed")
    assert [m.data for m in messages] in (TWENTY[:3], [])  # the program may be slower than the Close
    assert ended(door.daemon)["messages_in"] == 3


def test_nobody_is_closed_for_the_others(three_routes):
    door = three_routes(", over-rate: close, max-route-message-rate: 1/h:2")
    first, second = door.daemon.open("/a"), door.daemon.open("/a")
    first.exchange([text("1"), text("2")], [(1, "1"), (1, "2")])
    second.text("3")
    hold(door)
    assert until_kicked(door, second, 2) == []


def test_heartbeat_and_idle_timeout_let_a_held_client_live(limited):
    """A client beside it that is as silent, and is not held, is dropped: then their time was over."""
    door = limited("--max-message-rate", "1/h:1", "--ping", "100ms", "--pong-timeout", "200ms", "--to", "echo:")
    client, silent = door.daemon.open(), door.daemon.open()
    client.send(text("1") + text("2"))
    hold(door)
    wait_until(lambda: door.daemon.find_log("no answer to the heartbeat"), "the silent one to be dropped")
    again = door.daemon.open()
    wait_until(lambda: len(door.daemon.find_log("no answer to the heartbeat")) == 2, "one more to be dropped")
    assert [s["id"] for s in door.sessions()] == [1]
    assert until_kicked(door, client) == [b"1"] and client.pings
    silent.close(), again.close()


def test_idle_timeout_does_not_count_while_held(limited):
    door = limited("--max-message-rate", "1/h:1", "--idle-timeout", "300ms", "--to", "echo:")
    client = door.daemon.open()
    client.send(text("1") + text("2"))
    hold(door)
    for _ in range(3):  # its time, three times over
        door.daemon.open().expect_close(1001)
    assert [s["id"] for s in door.sessions()] == [1]
    assert until_kicked(door, client) == [b"1"]


def test_the_close_behind_what_is_held(limited):
    door = limited("--max-message-rate", "50/s:1", "--to", "echo:")
    client = door.daemon.open()
    client.send(b"".join(text(m) for m in TWENTY) + close(1000, "done"))
    code, _, messages = client.read_close()
    assert code == 1000 and [m.data for m in messages] == TWENTY
    line = ended(door.daemon)
    assert line["messages_in"] == 20 and line["closed_by"] == "client" and line["dropped"] == 0


def test_our_close_needs_no_patience(limited):
    """The client's answer stands behind what is held: that is let go, else close-timeout would run out."""
    door = limited("--max-message-rate", "1/h:1", "--close-timeout", "1h", *sh("read line; exit 3"))
    client = door.daemon.open()
    client.send(b"".join(text(m) for m in TWENTY))
    client.expect_close(4003)
    assert ended(door.daemon)["code"] == 4003


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_held_client_that_leaves(limited, how):
    door = limited("--max-message-rate", "1/h:1", "--stop-grace", "100ms", "--to", "echo:")
    client = door.daemon.open()
    client.send(b"".join(text(m) for m in TWENTY))
    hold(door)
    client.half_close() if how == "fin" else client.rst()
    line = ended(door.daemon)
    assert line["code"] == 1006 and line["dropped"] > 0
    client.close()


def test_draining_ends_a_held_client(limited):
    door = limited("--max-message-rate", "1/h:1", "--close-timeout", "1h", "--", "cat")
    client = door.daemon.open()
    client.send(b"".join(text(m) for m in TWENTY))
    assert client.read_message().data == b"0"
    hold(door)
    door.daemon.send_signal(signal.SIGTERM)
    client.expect_close(1001)
    assert door.daemon.wait() == 0


def test_what_is_held_goes_on_when_the_backend_takes_it(limited, server, tmp_path):
    """Its turn comes while the service does not read: it waits for that, too, and nothing is lost or doubled."""
    may_read, got = [], bytearray()

    def serve(sock):
        wait_until(lambda: may_read, "the word")
        while data := sock.recv(65536):
            got.extend(data)

    door = limited("--max-message-rate", "1000/s:1", "--ping", "0", "--to", server(serve, path=tmp_path / "sink").to)
    client = door.daemon.open()
    message = bytes(range(256)) * 256
    client.stream([binary(message)] * 60)
    wait_until(lambda: door.sessions()[0]["queued_backend"] > 0, "the service's queue to be full")
    assert door.sessions()[0]["queued_backend"] <= 128 * 1024
    may_read.append(True)
    wait_until(lambda: len(got) == 60 * len(message), lambda: f"all to arrive, not {len(got)}", 4 * SOON)
    assert got == message * 60
    client.finish()


def test_reload_leaves_running_sessions_what_they_had(three_routes, tmp_path):
    door = three_routes(", max-message-rate: 1/h:2")
    old = door.daemon.open("/a")
    path = tmp_path / "wsluice.yaml"
    path.write_text(path.read_text().replace("1/h:2", "1/h:3"))
    assert door.post("/reload")[0] == 200
    new = door.daemon.open("/a")
    for client in (old, new):
        client.send(b"".join(text(m) for m in TWENTY))
    hold(door, 2)
    assert until_kicked(door, old, 1) == TWENTY[:2] and until_kicked(door, new, 2) == TWENTY[:3]


# Sessions of a route.


def test_sessions_of_a_route(three_routes, tmp_path):
    door = three_routes(", max-sessions: 2", "max-per-address: 0")
    first, second = door.daemon.open("/a"), door.daemon.open("/a/b")
    with door.daemon.connect() as client:
        refusal = client.upgrade("/a")
    assert refusal.status == 503 and refusal.get("Retry-After") == "1"
    others = [door.daemon.open("/b"), door.daemon.open("/b")] + [door.daemon.open("/c") for _ in range(5)]
    path = tmp_path / "wsluice.yaml"
    path.write_text(path.read_text().replace("max-sessions: 2", "max-sessions: 2, errors: close"))
    assert door.post("/reload")[0] == 200  # sessions of before count
    with door.daemon.open("/a") as client:
        assert "too many sessions here" in client.expect_close(1013)
    first.finish()
    wait_until(lambda: len(door.sessions()) == 8, "a free place")
    door.daemon.open("/a").exchange([text("x")], [(1, "x")])
    assert all(other.try_send(ping()) for other in others) and second.try_send(ping())


# What is written.


@pytest.mark.parametrize("option, value", [("max-message-rate", "64K"), ("max-connect-rate", "10/x"), ("max-byte-rate", "64K/s:0")])
def test_bad_rates(option, value):
    done = command_line(f"--{option}={value}", "--to", "echo:", "--check")
    assert done.returncode == 2 and f"--{option}" in done.stderr and "is not a rate" in done.stderr, done


@pytest.mark.parametrize("value, dumped", [("10", "10/s:10"), ("0/s", "0"), ("600/m", "600/m:10")])
def test_rates_are_dumped_as_they_are_read(tmp_path, value, dumped):
    def dump(*args):
        done = command_line(*args, "--dump-config")
        assert done.returncode == 0, done
        return done.stdout
    first = dump("--max-message-rate", value, "--max-byte-rate", "64K/s:1.5M", "--to", "echo:")
    assert f"\nmax-message-rate: {dumped}\n" in first and "\nmax-byte-rate: 65536/s:1572864\n" in first
    (tmp_path / "again.yaml").write_text(first)
    assert dump("--config", tmp_path / "again.yaml") == first
