# SPDX-License-Identifier: MIT
"""When descriptors run out: who has to go, who comes in all the same, and what the operator can still do."""

import os
import resource
import select
import signal
import subprocess

import pytest

from lib import proc
from lib.admin import Admin, labels
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.wire import TEXT

MANY = ("--max-per-address", "0", "--max-sessions", "100000", "--handshake-timeout", "1h")


def served(client, word=b"word"):
    client.text(word)
    assert client.read_message() == (TEXT, word)


def idle(daemon, count, **how):
    """So many connections that ask for nothing; those that were closed while we came are among them."""
    return [daemon.connect(**how) for _ in range(count)]


def is_open(client):
    """Nothing came, and no end either."""
    client.sock.setblocking(False)
    try:
        return client.sock.recv(1, 2) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        client.sock.settimeout(SOON)


def shed(door):
    return door.metrics()[labels("wsluice_connections_shed_total")]


@pytest.mark.parametrize("limit, crowd", [(64, 100), (256, 400), (1024, 1500)])
def test_idle_connections_of_one_address_keep_nobody_out(wsluice, limit, crowd):
    """Others come in and get their programs, the operator is answered, and the address that holds all can be banned."""
    daemon = wsluice(*MANY, "--admin", "127.0.0.1:0", "--", "cat", nofile=limit)
    door = Admin(daemon)
    idle(daemon, crowd)
    assert command_line("ctl", "--admin", door.ctl, "ban", "192.0.2.1").returncode == 0
    for i in range(2, 6):
        client = daemon.open(connect=dict(source=f"127.0.0.{i}"))
        served(client)
    assert shed(door) >= crowd - limit
    assert not daemon.find_log("cannot accept")
    daemon.wait_for_log("closed to make room.*client=127.0.0.1 ")
    served(daemon.open(), b"even this address")
    assert command_line("ctl", "--admin", door.ctl, "ban", "127.0.0.1").returncode == 0
    wait_until(lambda: door.metrics()[labels("wsluice_connections")] < 10, "those of the banned address to be gone")
    served(client, b"and sessions stay")


def test_the_address_with_most_loses_its_oldest(wsluice):
    """One half of a head, the oldest connection there is, outlives a crowd from elsewhere; so does what is answered."""
    daemon = wsluice(*MANY, "--admin", "127.0.0.1:0", "--to", "echo:", nofile=64)
    half = daemon.connect(source="127.0.0.2")
    head = half.head("/", ())
    half.try_send(head[:20])
    session = daemon.open()
    crowd = idle(daemon, 200)
    wait_until(lambda: shed(Admin(daemon)) >= 100, "the crowd to make room for itself")
    assert [is_open(c) for c in crowd[:100]] == [False] * 100
    assert is_open(crowd[-1])
    half.try_send(head[20:])
    assert half.read_response().status == 101
    served(session)


def test_connections_that_were_answered_and_ask_no_more_go_too(wsluice, tmp_path):
    (tmp_path / "page.html").write_text("page")
    daemon = wsluice(*MANY, "--admin", "127.0.0.1:0", "--static", tmp_path, "--to", "echo:", nofile=64)
    for _ in range(100):
        client = daemon.connect()
        client.try_send(f"GET /page.html HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
        assert client.read_response().status == 200
    assert shed(Admin(daemon)) >= 40
    client = daemon.connect(source="127.0.0.2")
    client.try_send(f"GET /page.html HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
    assert client.read_response().status == 200


@pytest.mark.parametrize("who", ["a trusted proxy", "a Unix socket"])
def test_who_speaks_for_many_is_spared(wsluice, tmp_path, who):
    daemon = wsluice(*MANY, "--trusted-proxies", "127.0.0.9", "-l", "127.0.0.1:0", "-l", f"unix:{tmp_path}/s",
                     "--to", "echo:", nofile=64)
    how = dict(source="127.0.0.9") if who == "a trusted proxy" else dict(address=f"{tmp_path}/s")
    spared = idle(daemon, 20, **how)
    idle(daemon, 100)
    served(daemon.open(connect=dict(source="127.0.0.2")), b"fine")
    daemon.wait_for_log("closed to make room.*client=127.0.0.1 ")
    assert all(is_open(c) for c in spared)


def test_behind_a_proxy_header_the_client_counts(wsluice):
    """All connections are the proxy's; whose they really are, it says."""
    daemon = wsluice(*MANY, "--trusted-proxies", "127.0.0.1", "--accept-proxy", "--to", "echo:", nofile=256)
    other = daemon.connect()
    other.try_send(b"PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n")
    crowd = []
    for _ in range(400):
        crowd.append(daemon.connect())
        crowd[-1].try_send(b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n")
    daemon.wait_for_log("closed to make room.*client=192.0.2.1 ")
    wait_until(lambda: not is_open(crowd[100]), "the crowd to make room for itself")
    other.try_send(other.head("/", ()))
    assert other.read_response().status == 101


# What the operator does, when sessions have all that is there for clients.

@pytest.fixture
def full(wsluice, tmp_path):
    """A daemon whose sessions leave no descriptor for another."""
    config = tmp_path / "wsluice.yaml"
    config.write_text("max-sessions: 100000\nmax-per-address: 0\nping: 0\nroutes:\n- to: 'echo:'\n")
    daemon = wsluice("--admin", f"unix:{tmp_path}/admin", "--log-to", tmp_path / "log", "-c", config, nofile=256,
                     ready=False)
    log = tmp_path / "log"
    wait_until(lambda: log.exists() and "listening on" in log.read_text(), "the start")
    daemon.log_file = log
    port = int(log.read_text().partition("ws://127.0.0.1:")[2].partition("/")[0])
    daemon.addresses = [("127.0.0.1", port)]
    daemon.baseline = daemon._descriptors()
    daemon.door = f"unix:{tmp_path}/admin"
    daemon.sessions = []

    def more():
        client = daemon.connect()
        client.send(client.head())
        wait_until(lambda: select.select([client.sock], [], [], 0)[0] or "cannot accept" in log.read_text(), "an answer, or none")
        if not select.select([client.sock], [], [], 0)[0]:
            return False
        daemon.sessions.append(client)
        return client.read_response().status == 101

    while more():
        pass
    assert len(daemon.sessions) > 150 and "cannot accept" in log.read_text()
    yield daemon


def ctl(daemon, *words):
    return command_line("ctl", "--admin", daemon.door, *words)


def test_a_probe_and_orders_are_answered(full):
    assert ctl(full, "health").returncode == 0
    assert ctl(full, "reload").returncode == 0
    assert ctl(full, "stats").returncode == 0
    assert ctl(full, "kick", "1").returncode == 0


def test_the_log_is_opened_anew(full, tmp_path):
    full.log_file.rename(tmp_path / "old")
    full.send_signal(signal.SIGUSR1)
    wait_until(full.log_file.exists, "a new log")


def test_it_is_read_again(full):
    full.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in full.log_file.read_text(), "a reload")


def test_a_successor_takes_over(full):
    full.check_leaks = False
    full.send_signal(signal.SIGUSR2)
    wait_until(lambda: "the successor serves" in full.log_file.read_text(), "the successor")
    successor = int(full.log_file.read_text().partition("the successor serves pid=")[2].split()[0])
    full.close_clients()
    assert full.wait() == 0
    os.kill(successor, signal.SIGTERM)
    wait_until(lambda: not any(p.pid == successor and p.state != "Z" for p in proc.orphans()), "the successor's end")


@pytest.mark.parametrize("limit", [8, 11, 16, 23])
def test_too_few_descriptors_are_told(limit):
    for check in ([], ["--check"]):
        result = subprocess.run(["prlimit", f"--nofile={limit}:{limit}", BINARY, *check, "-l", "127.0.0.1:0", "--to", "echo:"],
                                capture_output=True, text=True, timeout=SOON)
        assert result.returncode == 1, result
        assert f"only {limit} open files are allowed, at least 24 are needed" in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_least_is_enough(wsluice):
    daemon = wsluice("--to", "echo:", nofile=24)
    served(daemon.open(), b"fine")


def test_inherited_descriptors_that_leave_none_are_told():
    script = f'for i in $(seq 3 27); do eval "exec $i</dev/null"; done; ulimit -n 32; exec {BINARY} -l 127.0.0.1:0 --to echo:'
    # a sanitizer needs descriptors of its own to look for leaks at the end, and waits for them for ever
    env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=SOON, env=env)
    assert result.returncode == 1 and result.stderr.startswith("wsluice: Too many open files\n"), result


def test_programs_get_the_limits_of_the_start(wsluice):
    """The reserve is ours: a program's soft limit is what it was."""
    daemon = wsluice("--", "sh", "-c", "ulimit -Sn; ulimit -Hn", nofile=512)
    client = daemon.open()
    assert [client.read_message().data for _ in range(2)] == [b"512", b"512"]
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (512 - 32, 512)
