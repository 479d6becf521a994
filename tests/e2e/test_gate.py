# SPDX-License-Identifier: MIT
"""Who may come in: connections in a time, and bans. Rates of one an hour make the burst all there is."""

import json
import re
import signal
import socket
import ssl

import pytest

from lib.admin import Admin, labels
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SOON
from lib.tls import Certificate
from lib.tls import client as tls_client
from lib.wire import Ended, Raw, text
from test_proxy import LOCAL, v1

NO_UPGRADE = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
TRUST = ("--trusted-proxies", "127.0.0.1")


@pytest.fixture
def gated(wsluice):
    """gated(OPTION...): the admin door of a daemon with an echo."""
    return lambda *args: Admin(wsluice("--admin", "127.0.0.1:0", "--max-per-address", "0", *args, "--to", "echo:"))


def ask(daemon, *, source="127.0.0.1", headers=(), plain=False, first=b""):
    """The answer to a request; None when the connection is closed instead."""
    with daemon.connect(source=source) as client:
        client.try_send(first + client.head("/", headers, drop=NO_UPGRADE if plain else ()))
        try:
            return client.read_response()
        except Exception:
            data, _ = client.read_to_end() if not client.pending else (b"", 0)
            assert not data
            return None


def statuses(daemon, n, **how):
    return [r and r.status for r in (ask(daemon, **how) for _ in range(n))]


def turned_away(door):
    values = door.metrics()
    return {name: values[labels("wsluice_turned_away_total", reason=name)] for name in ("banned", "address_rate", "rate")}


# Connections in a time.


def test_of_an_address(gated):
    door = gated("--max-connect-rate-per-address", "1/h:3")
    assert statuses(door.daemon, 5) == [101, 101, 101, 429, 429]
    assert statuses(door.daemon, 4, source="127.0.0.2", plain=True) == [426, 426, 426, 429]
    refusal = ask(door.daemon, plain=True)
    assert refusal.status == 429 and 3000 < int(refusal.get("Retry-After")) <= 3600 and refusal.ended
    assert b"too many connections from your address" in refusal.body
    assert turned_away(door) == {"banned": 0, "address_rate": 4, "rate": 0}
    assert door.metrics()[labels("wsluice_requests_refused_total", status="429")] == 4


def test_of_all(gated):
    door = gated("--max-connect-rate", "1/h:3")
    assert [statuses(door.daemon, 1, source=f"127.0.0.{n}") for n in range(2, 7)] == [[101], [101], [101], [503], [503]]
    refusal = ask(door.daemon)
    assert refusal.status == 503 and 3000 < int(refusal.get("Retry-After")) <= 3600
    assert turned_away(door) == {"banned": 0, "address_rate": 0, "rate": 3}


def test_who_is_refused_for_one_does_not_count_for_the_other(gated):
    door = gated("--max-connect-rate", "1/h:4", "--max-connect-rate-per-address", "1/h:2")
    assert statuses(door.daemon, 10) == [101] * 2 + [429] * 8
    assert statuses(door.daemon, 2, source="127.0.0.2") == [101] * 2
    assert statuses(door.daemon, 1, source="127.0.0.3") == [503]


def test_a_connection_that_stays_counts_once(gated):
    door = gated("--max-connect-rate-per-address", "1/h:1", "--console")
    with door.daemon.connect() as client:
        for _ in range(5):
            client.send(client.head("/", drop=NO_UPGRADE))
            assert client.read_response().status == 200
        assert client.upgrade().status == 101
    assert ask(door.daemon).status == 429


def test_a_storm(gated):
    """Hundreds at once: just so many come in as may, those inside notice nothing, the log is not filled."""
    door = gated("--max-connect-rate-per-address", "1/h:60")
    inside = door.daemon.open()
    clients = [door.daemon.connect() for _ in range(300)]
    for client in clients:
        client.try_send(client.head())
    got = [client.read_response().status for client in clients]
    assert sorted(got) == [101] * 59 + [429] * 241
    inside.exchange([text("x")], [(1, "x")])
    door.daemon.close_clients()
    lines = door.daemon.find_log(r"turned away client=127\.0\.0\.1:\d+ reason=.* times=\d+")
    assert 1 <= len(lines) < 60


def test_time_gives_it_back(gated):
    door = gated("--max-connect-rate-per-address", "4/s:1")
    assert ask(door.daemon).status == 101
    wait_until(lambda: ask(door.daemon).status == 101, "another time")


def test_errors_close(gated):
    door = gated("--max-connect-rate-per-address", "1/h:1", "--errors", "close")
    door.daemon.open()
    with door.daemon.open() as client:
        assert client.expect_close(1013) == "too many connections from your address, try again later"
    assert ask(door.daemon, plain=True).status == 429


def test_unix_clients_have_no_address(wsluice, tmp_path):
    daemon = wsluice("-l", f"unix:{tmp_path}/s", "--max-connect-rate-per-address", "1/h:1", "--max-connect-rate", "1/h:3", "--to", "echo:")
    assert [daemon.connect().upgrade().status for _ in range(4)] == [101, 101, 101, 503]


def test_before_a_tls_handshake_it_is_a_close(gated, tmp_path):
    cert = Certificate(tmp_path, "localhost", "127.0.0.1")
    door = gated("--tls-cert", cert.cert, "--tls-key", cert.key, "--max-connect-rate-per-address", "1/h:1")
    with tls_client(door.daemon.address, cert).open() as client:
        with Raw.connect(door.daemon.address) as refused:
            assert refused.read_to_end()[0] == b""
        client.exchange([text("x")], [(1, "x")])
    assert turned_away(door)["address_rate"] == 1


def test_no_limit_by_default(gated):
    door = gated()
    assert statuses(door.daemon, 50) == [101] * 50


# Behind proxies.


def test_a_proxy_header_names_who_counts(gated):
    door = gated("--accept-proxy", *TRUST, "--max-connect-rate-per-address", "1/h:2")
    assert statuses(door.daemon, 3, first=v1("192.0.2.1")) == [101, 101, 429]
    assert statuses(door.daemon, 3, first=v1("192.0.2.2")) == [101, 101, 429]
    assert statuses(door.daemon, 5, first=LOCAL, plain=True) == [426] * 5  # the proxy's own


def test_a_proxy_header_before_tls(gated, tmp_path):
    cert = Certificate(tmp_path, "localhost", "127.0.0.1")
    door = gated("--accept-proxy", *TRUST, "--tls-cert", cert.cert, "--tls-key", cert.key,
                 "--max-connect-rate-per-address", "1/h:1")
    for expected in (101, None):
        sock = socket.create_connection(door.daemon.address, SOON)
        sock.sendall(v1("192.0.2.1"))
        if expected is None:
            assert Raw(sock).read_to_end()[0] == b""
            continue
        context = ssl.create_default_context(cafile=cert.cert)
        with Raw(context.wrap_socket(sock, server_hostname="localhost")) as client:
            assert client.upgrade().status == 101
    assert turned_away(door)["address_rate"] == 1


@pytest.mark.parametrize("name", ["x-forwarded", "forwarded"])
def test_a_header_names_who_counts(gated, name):
    def of(address):
        return [("X-Forwarded-For", address)] if name == "x-forwarded" else [("Forwarded", f"for={address}")]

    door = gated(*TRUST, "--forwarded-header", name, "--max-connect-rate-per-address", "1/h:2")
    assert statuses(door.daemon, 5, headers=of("192.0.2.1"), plain=True) == [426] * 5  # pages do not count
    assert statuses(door.daemon, 3, headers=of("192.0.2.1")) == [101, 101, 429]
    assert statuses(door.daemon, 3, headers=of("192.0.2.2")) == [101, 101, 429]
    assert statuses(door.daemon, 4) == [101] * 4  # the proxy's own word
    # somebody else's word is no word: it is that one that counts
    assert statuses(door.daemon, 3, headers=of("192.0.2.9"), source="127.0.0.2") == [101, 101, 429]
    assert int(ask(door.daemon, headers=of("192.0.2.1")).get("Retry-After")) > 3000


# Bans.


@pytest.fixture
def banning(gated, tmp_path):
    """banning(TEXT, OPTION...): with a ban-file, at door.file; door.ban(TEXT) replaces it."""
    path = tmp_path / "bans"

    def write(text):
        new = path.with_suffix(".new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.rename(path)

    def start(text, *args):
        write(text)
        door = gated("--ban-file", path, *args)
        door.file, door.ban = path, write
        return door

    return start


def test_banned_addresses_are_closed(banning):
    door = banning("# known to be bad\n\n127.0.0.2\n127.0.1.0/24   # a network\r\n2001:db8::/32\n::ffff\n")
    assert statuses(door.daemon, 2, source="127.0.0.2") == [None, None]
    assert [statuses(door.daemon, 1, source=s) for s in ("127.0.1.1", "127.0.1.255", "127.0.2.1", "127.0.0.3", "127.0.0.1")] == \
        [[None], [None], [101], [101], [101]]
    assert turned_away(door)["banned"] == 4
    assert door.metrics()[labels("wsluice_bans", source="file")] == 4
    assert door.daemon.wait_for_log(r'turned away client=127\.0\.0\.2:\d+ reason="your address is banned" times=1')


def test_file_that_changes(banning):
    """It is read again without being told, and who is banned now is ended."""
    door = banning("")
    here, there = door.daemon.open(), door.daemon.open(connect=dict(source="127.0.0.2"))
    door.ban("127.0.0.2\n")
    assert there.expect_close(1008) == "banned"
    door.daemon.wait_for_log(r"bans read again file=\S+/bans networks=1")
    assert ask(door.daemon, source="127.0.0.2") is None
    here.exchange([text("x")], [(1, "x")])
    door.ban("# nobody\n")
    wait_until(lambda: ask(door.daemon, source="127.0.0.2"), "it to be let in again")


@pytest.mark.parametrize("line, why", [("1.2.3.4.5", "not an address"), ("1.1.1.1 2.2.2.2", "one address or network a line")])
def test_bad_line(banning, line, why):
    good = "# x\n127.0.0.2\n"
    door = banning(good)
    door.ban(good + line + "\n")
    assert why in door.daemon.wait_for_log(rf'bans not read again, the old ones hold reason="\S+/bans:3: (.*)"').group(1)
    assert door.metrics()[("wsluice_ban_file_last_read_successful",)] == 0
    assert ask(door.daemon, source="127.0.0.2") is None and ask(door.daemon).status == 101
    since = door.daemon.mark()
    door.daemon.send_signal(signal.SIGHUP)
    assert why in door.daemon.wait_for_log(r"/bans:3: (.*)", since=since).group(1)
    door.daemon.wait_for_log("not reloaded", since=since)
    assert ask(door.daemon, source="127.0.0.2") is None
    done = command_line("--ban-file", door.file, "--to", "echo:", "--check")
    assert done.returncode == 1 and f"{door.file}:3: " in done.stderr and why in done.stderr
    door.ban("127.0.0.3\n")
    wait_until(lambda: ask(door.daemon, source="127.0.0.2"), "the new list to hold")
    assert ask(door.daemon, source="127.0.0.3") is None
    assert door.metrics()[("wsluice_ban_file_last_read_successful",)] == 1


@pytest.mark.parametrize("what, why", [("nowhere", "No such file"), ("", "not a regular file")])
def test_no_start_without_it(tmp_path, what, why):
    done = command_line("--ban-file", tmp_path / what, "--to", "echo:")
    assert done.returncode != 0 and why in done.stderr and str(tmp_path) in done.stderr


def test_file_that_goes_away_holds(banning):
    """Somebody may be replacing it; a reload tells."""
    door = banning("127.0.0.2\n")
    door.file.unlink()
    since = door.daemon.mark()
    door.daemon.send_signal(signal.SIGHUP)
    door.daemon.wait_for_log(r"/bans: No such file", since=since)
    assert ask(door.daemon, source="127.0.0.2") is None


def test_reload_reads_it_at_once(banning):
    door = banning("127.0.0.2\n")
    client = door.daemon.open(connect=dict(source="127.0.0.3"))
    door.file.write_text("127.0.0.3\n")
    assert door.post("/reload")[0] == 200
    assert ask(door.daemon, source="127.0.0.3") is None and ask(door.daemon, source="127.0.0.2").status == 101
    assert client.expect_close(1008) == "banned"


def test_who_is_banned_on_an_open_connection(banning):
    """It is closed while it asks for nothing. A request that is there first is refused."""
    door = banning("", "--console")
    with door.daemon.connect(source="127.0.0.2") as client:
        client.send(client.head("/", drop=NO_UPGRADE))
        assert client.read_response().status == 200
        assert door.post("/ban?what=127.0.0.0/30")[0] == 200
        client.try_send(client.head("/", drop=NO_UPGRADE))
        try:
            refusal = client.read_response()
        except Ended:
            return
        assert refusal.status == 403
        assert b"your address is banned" in refusal.body and refusal.get("Retry-After") is None


def test_who_is_banned_while_it_is_judged(gated, tmp_path):
    """It has no session yet that could be ended, and gets none."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\n: > {tmp_path}/asked\nwhile [ ! -e {tmp_path}/banned ]; do sleep 0.02; done\n")
    hook.chmod(0o755)
    door = gated("--auth", "hook", "--auth-hook", hook, "--errors", "close")
    client, other = (door.daemon.connect(source=f"127.0.0.{n}") for n in (2, 3))
    for one in client, other:
        one.send(one.head())
    wait_until((tmp_path / "asked").exists, "the hook")
    assert door.post("/ban?what=127.0.0.2")[0] == 200
    (tmp_path / "banned").touch()
    assert client.read_response().status == 101
    assert client.expect_close(1008) == "your address is banned"
    assert other.read_response().status == 101
    other.exchange([text("x")], [(1, "x")])
    assert turned_away(door)["banned"] == 1


def test_banned_behind_a_proxy(banning):
    """The proxy's connection lives on; its client gets an answer, or a Close where page script is to see it."""
    door = banning("192.0.2.0/24\n127.0.0.1\n", *TRUST)
    bad = [("X-Forwarded-For", "192.0.2.5")]
    assert ask(door.daemon, headers=bad).status == ask(door.daemon, headers=bad, plain=True).status == 403
    good, own = door.daemon.open(headers=[("X-Forwarded-For", "192.0.3.5")]), door.daemon.open()
    door.ban("192.0.3.0/24\n127.0.0.1\n")
    assert good.expect_close(1008) == "banned"
    assert ask(door.daemon).status == 101  # the proxy itself, whatever the list says
    own.exchange([text("x")], [(1, "x")])


def test_banned_by_a_proxy_header(banning):
    door = banning("192.0.2.0/24\n", "--accept-proxy", *TRUST, "--errors", "close")
    assert ask(door.daemon, first=v1("192.0.2.1"), plain=True).status == 403
    with door.daemon.connect() as client:
        client.send(v1("192.0.2.1"))
        assert client.upgrade().status == 101
        assert client.expect_close(1008) == "your address is banned"


def test_a_header_that_names_a_further_proxy(banning):
    """A balancer passes on connections of a web proxy: not that counts, but the client behind it."""
    door = banning("192.0.2.1\n192.0.2.7\n", "--accept-proxy", "--trusted-proxies", "127.0.0.1,192.0.2.1",
                   "--max-connect-rate-per-address", "1/h:2")

    def through(*clients):
        return [ask(door.daemon, first=v1("192.0.2.1"), headers=[("X-Forwarded-For", c)]).status for c in clients]

    assert through(*(f"192.0.2.{n}" for n in range(2, 8))) == [101] * 5 + [403]
    assert through(*["192.0.3.1"] * 3) == [101, 101, 429]
    assert statuses(door.daemon, 4, first=v1("192.0.2.1")) == [101] * 4  # its own word


def test_a_long_list(banning):
    """100,000 networks, in no order, some inside others."""
    lines = [f"10.{n >> 8 & 255}.{n & 255}.{n >> 16}" for n in range(100000)] + ["127.3.0.0/16", "127.3.3.3", "127.3.0.0/24", "127.0.0.9"]
    door = banning("\n".join(reversed(lines)))
    assert [statuses(door.daemon, 1, source=s) for s in ("127.3.255.255", "127.3.3.3", "127.0.0.9", "127.2.255.255", "127.4.0.0", "127.0.0.8")] == \
        [[None]] * 3 + [[101]] * 3
    assert door.metrics()[labels("wsluice_bans", source="file")] == 100004


# Bans by order.


def ctl(door, *words, status=0):
    done = command_line("ctl", "--admin", door.ctl, *words)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def test_ban_and_unban(gated):
    door = gated()
    clients = [door.daemon.open(connect=dict(source=f"127.0.0.{n}")) for n in (2, 3, 4)]
    assert ctl(door, "ban", "127.0.0.2") == "done\n"
    assert clients[0].expect_close(1008) == "banned"
    assert ctl(door, "ban", "127.0.0.3/32", "2h") == "done\n"
    assert clients[1].expect_close(1008) == "banned"
    clients[2].exchange([text("x")], [(1, "x")])
    assert [statuses(door.daemon, 1, source=f"127.0.0.{n}") for n in (2, 3, 4)] == [[None], [None], [101]]
    lines = [line.split() for line in ctl(door, "bans").splitlines()]
    assert lines == [["NETWORK", "LEFT"], ["127.0.0.2", "-"], ["127.0.0.3", lines[2][1]]] and re.fullmatch(r"(1h59m|2h00m)", lines[2][1])
    assert door.metrics()[labels("wsluice_bans", source="order")] == 2
    assert ctl(door, "unban", "127.0.0.2") == "done\n"
    assert "no such ban" in ctl(door, "unban", "127.0.0.2", status=1)
    assert statuses(door.daemon, 1, source="127.0.0.2") == [101]
    assert [b["network"] for b in json.loads(ctl(door, "--json", "bans"))["bans"]] == ["127.0.0.3"]
    assert door.daemon.wait_for_log(r"admin order=ban what=127\.0\.0\.3 ") and door.daemon.wait_for_log(r"admin order=unban what=127\.0\.0\.2 count=1")


def test_ban_for_a_time(gated):
    door = gated()
    client = door.daemon.open(connect=dict(source="127.0.0.2"))
    assert ctl(door, "ban", "127.0.0.2", "1s")
    assert client.expect_close(1008) == "banned"
    wait_until(lambda: ask(door.daemon, source="127.0.0.2"), "it to be over")
    assert door.json("/bans") == {"bans": [], "file": None, "file_networks": 0, "file_ok": True}


def test_the_admin_door_is_for_the_operator(gated):
    door = gated()
    ctl(door, "ban", "127.0.0.0/8")
    assert ask(door.daemon) is None and ctl(door, "health")
    ctl(door, "unban", "127.0.0.0/8")
    assert ask(door.daemon).status == 101


def test_many_sessions_are_ended(gated):
    door = gated()
    clients = [door.daemon.open(connect=dict(source="127.0.0.2")) for _ in range(200)]
    here = door.daemon.open()
    ctl(door, "ban", "127.0.0.2")
    for client in clients:
        client.expect_close(1008)
    here.exchange([text("x")], [(1, "x")])


def test_unban_of_what_the_file_has(banning):
    door = banning("127.0.0.0/30\n")
    assert "ban-file has it" in ctl(door, "unban", "127.0.0.2", status=1)
    assert "ban-file has it" in ctl(door, "unban", "127.0.0.0/30", status=1)
    ctl(door, "ban", "127.0.0.0/28")  # part of that only
    assert ctl(door, "unban", "127.0.0.0/28") == "done\n"
    assert "and 1 of" in ctl(door, "bans")


def test_ban_of_nonsense(gated):
    door = gated()
    for words in (("somebody",), ("10.0.0.1/8",), ("",), ("127.0.0.2", "soon"), ("127.0.0.2", "0"), ("127.0.0.2", "1e9"), ("127.0.0.2", "1h1m")):
        assert ctl(door, "ban", *words, status=1).startswith("wsluice ctl: "), words
    assert door.json("/bans")["bans"] == []


def test_too_many_orders(gated):
    door = gated()
    for n in range(1024):
        assert door.post(f"/ban?what=10.0.{n >> 8}.{n & 255}")[0] == 200
    assert door.post("/ban?what=127.0.0.2")[0] == 409
    assert door.post("/ban?what=10.0.0.0&time=1h")[0] == 200  # there is one already
    assert len(door.json("/bans")["bans"]) == 1024
