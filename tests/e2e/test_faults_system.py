# SPDX-License-Identifier: MIT
"""When descriptors run out, two daemons on one socket, limits."""

import os
import re
import resource
import signal
import socket
import stat
import subprocess
import threading

import pytest

from lib import proc
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.tools import JSON, sh
from lib.wire import TEXT, Raw

# Out of descriptors.


def echoes(client, word=b"fine"):
    client.text(word)
    assert client.read_message() == (TEXT, word)


def test_no_descriptors_left(wsluice, tmp_path):
    """256 of them and 600 clients who cannot be told apart, so that none has to go: accepting pauses, without spinning
    and without filling the log; sessions go on; as soon as clients leave, others come in."""
    daemon = wsluice("-l", f"unix:{tmp_path}/s", "--handshake-timeout", "1h", "--max-per-address", "0", "--to", "echo:",
                     nofile=256, inside=True)
    sessions = [daemon.open() for _ in range(5)]
    crowd = [daemon.connect() for _ in range(600)]
    daemon.wait_for_log("Too many open files")
    daemon.inside.freeze()
    since = daemon.mark()
    with daemon.inside.turns_at_most(2000):  # 20 s with four attempts in each, and 100 echoes; who spins does it in a moment
        for _ in range(20):
            for session in sessions:
                echoes(session)
            daemon.inside.advance(1, step=0.05)
    lines = len(daemon.find_log("Too many open files|cannot accept", since))
    assert lines <= 21, f"{lines} lines in 20 s"
    daemon.inside.thaw()
    for client in crowd:
        client.close()
    echoes(daemon.open(), b"new")
    for session in sessions:
        echoes(session)


def test_no_descriptors_left_for_programs(wsluice):
    """Three pipes and a pidfd each: the newest is refused with 503, those that run go on, a place is free at once."""
    daemon = wsluice("--max-per-address", "0", "--max-sessions", "1000", "--", "cat", nofile=64)
    clients, refused = [], None
    for _ in range(64):
        client = daemon.connect()
        response = client.upgrade()
        if response.status != 101:
            refused = response
            client.close()
            break
        clients.append(client)
    assert refused is not None and refused.status == 503 and refused.get("retry-after")
    assert len(clients) >= 5
    for client in clients:
        echoes(client)
    clients.pop().finish()
    wait_until(lambda: len(daemon.children()) == len(clients), "the program to end")
    echoes(daemon.open())


def test_derived_limit_of_sessions_leaves_descriptors(wsluice):
    """Without --max-sessions it follows from the descriptor limit: the refusal is a clean 503 and never EMFILE."""
    daemon = wsluice("--max-per-address", "0", "--", "cat", nofile=128)
    statuses = [daemon.connect().upgrade().status for _ in range(40)]
    assert statuses[0] == 101 and statuses[-1] == 503 and set(statuses) == {101, 503}
    assert not daemon.find_log("Too many open files")


def test_soft_limit_is_raised_to_the_hard_one(wsluice, tmp_path):
    path = tmp_path / "soft"
    path.write_text(f'#!/bin/sh\nulimit -S -n 100\nexec {BINARY} "$@"\n')
    path.chmod(0o755)
    daemon = wsluice("--max-per-address", "0", "--to", "echo:", binary=str(path))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0] > 100
    clients = [daemon.open() for _ in range(150)]
    echoes(clients[-1])


# Limits on sessions.

def status_of(daemon, **how):
    client = daemon.connect(**how)
    response = client.upgrade()
    return response.status, response.get("retry-after")


def test_max_sessions_is_freed_by_every_kind_of_end(wsluice):
    daemon = wsluice("--max-sessions", "2", "--stop-grace", "50ms", "--kill-grace", "50ms", "--close-timeout", "200ms",
                     "--route", "/echo=echo:", "--route", "/ends=exec:/bin/true", "--route", "/cat=exec:/bin/cat",
                     "--route", "/no=tcp://127.0.0.1:1")
    for path, leave in [("/echo", "finish"), ("/echo", "rst"), ("/echo", "half_close"), ("/cat", "rst"),
                        ("/cat", "finish"), ("/ends", "close"), ("/cat", "close")] * 2:
        first, second = daemon.open("/echo"), daemon.open(path)
        status, retry = status_of(daemon)
        assert status == 404 or (status == 503 and retry.isdigit())
        assert daemon.connect().upgrade("/echo").status == 503
        getattr(second, leave)()
        first.rst()
        wait_until(lambda: daemon._descriptors()["socket"] <= daemon.baseline["socket"] + 2 and not daemon.children(),
                   "both to be gone")
        daemon.close_clients()
        daemon.settle()
    for _ in range(5):  # a backend that cannot be opened gives its place back as well
        assert daemon.connect().upgrade("/no").status == 502
    echoes(daemon.open("/echo"))


def test_max_per_address_is_429_and_freed(wsluice):
    daemon = wsluice("--max-per-address", "3", "--to", "echo:")
    mine = [daemon.open() for _ in range(3)]
    status, retry = status_of(daemon)
    assert status == 429 and retry.isdigit()
    others = [daemon.open(connect=dict(source="127.0.0.2")) for _ in range(3)]
    assert status_of(daemon, source="127.0.0.2")[0] == 429
    mine.pop().finish()
    wait_until(lambda: status_of(daemon)[0] == 101, "a free place")
    echoes(others[0])


def test_default_limit_per_address_is_256(wsluice):
    daemon = wsluice("--to", "echo:")
    clients = [daemon.open() for _ in range(256)]
    assert status_of(daemon)[0] == 429
    echoes(clients[0])
    echoes(daemon.open(connect=dict(source="127.0.0.2")))


def test_limit_per_address_does_not_bind_unix_clients(wsluice, tmp_path):
    """They have no address to be told apart by: a web server in front would be cut off."""
    daemon = wsluice("-l", f"unix:{tmp_path}/s", "--max-per-address", "1", "--to", "echo:")
    clients = [daemon.open() for _ in range(5)]
    for client in clients:
        echoes(client)


@pytest.mark.parametrize("what, code", [("refused", 1014), ("sessions", 1013)])
def test_errors_close_speaks_in_close_codes(wsluice, what, code):
    """Page script cannot see a status."""
    daemon = wsluice("--errors", "close", "--to", "tcp://127.0.0.1:1") if what == "refused" else \
        wsluice("--errors", "close", "--max-sessions", "1", "--to", "echo:")
    if what == "sessions":
        daemon.open()
    client = daemon.connect()
    response = client.upgrade()
    assert response.status == 101, response
    got, reason, _ = client.read_close()
    assert got == code and reason


# Two daemons on one socket, and Unix sockets.

def test_second_daemon_on_one_unix_socket_fails(wsluice, tmp_path):
    path = tmp_path / "s"
    first = wsluice("-l", f"unix:{path}", "--to", "echo:")
    client = first.open()
    result = command_line("-l", f"unix:{path}", "--to", "echo:")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and str(path) in result.stderr
    echoes(client)
    echoes(first.open())  # the path still leads to the first


def test_stale_unix_socket_is_reclaimed(wsluice, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
    assert path.exists()
    echoes(wsluice("-l", f"unix:{path}", "--to", "echo:").open())


def test_unix_socket_of_a_killed_daemon_is_reclaimed(wsluice, tmp_path):
    path = tmp_path / "s"
    first = wsluice("-l", f"unix:{path}", "--to", "echo:")
    first.expect_exit = -9
    first.stop(9)
    assert path.exists()
    echoes(wsluice("-l", f"unix:{path}", "--to", "echo:").open())


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_never_removed(tmp_path, kind):
    path = tmp_path / "precious"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        (tmp_path / "target").write_text("precious")
        path.symlink_to(tmp_path / "target")
    result = command_line("-l", f"unix:{path}", "--to", "echo:")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert path.is_dir() if kind == "directory" else path.read_text() == "precious"


@pytest.mark.parametrize("option, mode", [([], 0o660), (["--unix-mode", "0600"], 0o600), (["--unix-mode", "666"], 0o666)])
def test_unix_socket_mode(wsluice, tmp_path, option, mode):
    """Whatever the umask of the one who starts it."""
    path, before = tmp_path / "s", os.umask(0o077)
    try:
        wsluice("-l", f"unix:{path}", *option, "--to", "echo:")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_unix_socket_is_removed_at_the_end(wsluice, tmp_path):
    path = tmp_path / "s"
    daemon = wsluice("-l", f"unix:{path}", "--to", "echo:")
    daemon.stop()
    assert not path.exists()


def test_unix_socket_of_another_is_not_removed_at_the_end(wsluice, tmp_path):
    """Somebody has put a new one in its place meanwhile: a restart by hand, say."""
    path = tmp_path / "s"
    daemon = wsluice("-l", f"unix:{path}", "--to", "echo:")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        daemon.stop()
        assert path.exists()


def test_umask_of_programs_is_ours(wsluice, tmp_path):
    """Making the socket with its mode must not leave its mark."""
    before = os.umask(0o027)
    try:
        daemon = wsluice("-l", f"unix:{tmp_path}/s", *JSON, *sh("umask; exit 0"))
    finally:
        os.umask(before)
    assert re.fullmatch(rb"0*27", daemon.open().read_message().data)


# ---- process 1

@pytest.fixture
def process_one(tmp_path):
    """process_one(ARG, ...) starts a daemon as process 1 of a namespace of its own; its port, and its number out here."""
    running = []

    def start(*args):
        outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", BINARY, "-l", "127.0.0.1:0", *args],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=proc.die_with_parent)
        proc.started.add(outer.pid)
        running.append(outer)
        for line in outer.stderr:
            found = re.search(r"listening on ws://127.0.0.1:(\d+)", line)
            if found:
                threading.Thread(target=outer.stderr.read, daemon=True).start()
                return int(found.group(1)), proc.children(outer.pid, recursive=False)[0].pid, outer
        raise AssertionError("it does not listen")

    yield start
    for outer in running:
        outer.kill()
        outer.wait()
        proc.started.discard(outer.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process 1")
def test_process_1_buries_daemons_and_loses_no_status(process_one):
    """A program may leave daemons behind: they become ours there, and must not stay as zombies. The statuses of programs that end
    in the same moment are told all the same."""
    port, pid, outer = process_one("--max-per-address", "0", "--", "sh", "-c",
                                   "for i in 1 2 3 4 5; do setsid -f sleep 0.0$i; done; read n; setsid -f true; exit $n")
    clients = [Raw.connect(("127.0.0.1", port)).open("/") for _ in range(60)]
    for n, client in enumerate(clients):
        client.text(str(n + 1))
    assert [client.read_close()[0] for client in clients] == [4001 + n for n in range(60)]
    for client in clients:
        client.close()
    wait_until(lambda: not proc.children(pid), lambda: f"all of {proc.children(pid)} to be buried")
    os.kill(pid, signal.SIGTERM)
    assert outer.wait(SOON) == 0
