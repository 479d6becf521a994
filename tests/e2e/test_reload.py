# SPDX-License-Identifier: MIT
"""SIGHUP with a configuration file: all of it or nothing, and nobody outside notices but what is new."""

import itertools
import json
import os
import re
import signal
import socket

import pytest

from lib import peers, proc
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SANITIZED, SOON
from lib.swarm import Swarm
from lib.tools import orphans_reaped  # noqa: F401
from lib.wire import TEXT, Raw
from test_stop_upgrade import successors  # noqa: F401
from test_systemd import Manager

ECHO = {"path": "/", "to": "echo:"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "wsluice.yaml"


def write(path, content):
    """Replaces the file as editors and installers do: a new one under the old name. JSON is YAML, too."""
    new = path.with_suffix(".new")
    new.write_text(content if isinstance(content, str) else json.dumps(content))
    new.rename(path)


@pytest.fixture
def configured(wsluice, path):
    """configured(CONTENT) starts a daemon that has nothing but the file."""

    def start(content, **how):
        write(path, content)
        daemon = wsluice("--config", path, listen=False, **how)
        daemon.config = path
        return daemon

    return start


def reload(daemon, content=None, ok=True):
    """Writes the file, sends SIGHUP, waits for the verdict. Returns the lines logged meanwhile."""
    if content is not None:
        write(daemon.config, content)
    since = daemon.mark()
    daemon.send_signal(signal.SIGHUP)
    verdict = daemon.wait_for_log(r"not reloaded: the old configuration stays in force|info +reloaded", since=since)
    assert verdict.group().startswith("not") != ok, daemon.tail()
    return daemon.log[since:]


def echoes(address, path="/"):
    with Raw.connect(address).open(path) as client:
        client.text("hello")
        assert client.read_message() == (TEXT, b"hello")
        client.finish()


def refuses(address):
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as sock:
        sock.settimeout(SOON)
        try:
            sock.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
    return False


def kinds(daemon):
    return sorted(t.partition(":")[0] for t in daemon.fds().values())


# ---- the whole of it, under load

BAD = {  # what is wrong, and what must be said about it; %(taken)d is a port where somebody else listens
    "syntax": ("listen: [127.0.0.1:0\nroutes:\n", r"wsluice\.yaml:\d+:\d+: "),
    "unknown key": ("listen: [127.0.0.1:0]\nrotes: []\n", r"wsluice\.yaml:2:1: .*did you mean .*routes"),
    "value": ("listen: [127.0.0.1:0]\nroutes:\n  - path: /\n    to: 'echo:'\n    ping: soon\n", r"wsluice\.yaml:5:11: "),
    "address": ("listen: [127.0.0.1:%(taken)d]\nroutes: [{path: /, to: 'echo:'}]\n", r"cannot listen on 127\.0\.0\.1:%(taken)d"),
    "program": ("listen: [127.0.0.1:0]\nroutes: [{path: /, exec: [/nonexistent/program]}]\n", r"/nonexistent/program"),
    "folder": ("listen: [127.0.0.1:0]\nroutes: [{path: /, to: 'echo:', cwd: /nonexistent}]\n", r"/nonexistent"),
    "key": ("listen: [127.0.0.1:0]\ntls-cert: /nonexistent/c\ntls-key: /nonexistent/k\nroutes: [{path: /, to: 'echo:'}]\n",
            r"/nonexistent/[ck]"),
    "include": ("listen: [127.0.0.1:0]\ninclude: [nonexistent.yaml]\nroutes: [{path: /, to: 'echo:'}]\n",
                r"wsluice\.yaml:2:\d+: .*nonexistent\.yaml"),
    "name servers": ("listen: [127.0.0.1:0]\ndns-servers: nobody\nroutes: [{path: /, to: 'echo:'}]\n", "dns-servers nobody: write ADDR"),
    "admin": ("listen: [127.0.0.1:0]\nadmin: 10.0.0.1:1\nroutes: [{path: /, to: 'echo:'}]\n", r"admin 10\.0\.0\.1:1: it may only be a loopback"),
    "empty": ("", r"wsluice\.yaml"),
}


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield {"taken": sock.getsockname()[1]}


def test_a_thousand_reloads_good_and_bad_under_load(configured, tmp_path, taken):
    """Nobody refused, nobody lost, the same sockets, and not a descriptor nor memory more than before."""
    reloads = 200 if SANITIZED else 1000
    manager = Manager(tmp_path / "notify")
    # two good ones in turn, which differ in a listener, in routes and in settings
    good = [{"listen": ["127.0.0.1:0"], "log-level": "warn", "max-per-address": 0, "routes": [ECHO]},
            {"listen": ["127.0.0.1:0", f"unix:{tmp_path}/second"], "log-level": "error", "max-per-address": 0,
             "routes": [ECHO, {"path": "/cat", "exec": ["/bin/cat"], "env": ["A=" + "b" * 500]},
                        {"path": "/files", "static": str(tmp_path), "max-message": "2M"}]}]
    bad = itertools.cycle([text % taken for text, _ in BAD.values()])
    daemon = configured({**good[0], "log-level": "info"}, env=manager.env, inside=True)
    write(daemon.config, good[0])
    manager.wait("READY")
    daemon.baseline = daemon._descriptors()
    inodes = proc.listening_inodes()[daemon.port]
    long = daemon.open()

    def turn(n):
        # good, other good, bad, good, other good, bad, ...
        write(daemon.config, good[n % 3] if n % 3 < 2 else next(bad))
        daemon.send_signal(signal.SIGHUP)
        manager.wait("RELOADING")
        manager.wait("READY")

    try:
        with Swarm(daemon.address, rate=500) as swarm:
            swarm.wait(50)
            for n in range(reloads):
                turn(n)
                swarm.wait(2)  # in between, not before and behind
                if n == reloads // 5:
                    before = daemon.inside.kib()
            after = daemon.inside.kib()
            swarm.wait(50)
        swarm.check()
        assert swarm.away == 0
        assert len(daemon.find_log("not reloaded")) == sum(n % 3 == 2 for n in range(reloads))
        long.text("never noticed")
        assert long.read_message() == (TEXT, b"never noticed")
        long.finish()
        assert proc.listening_inodes()[daemon.port] == inodes
        write(daemon.config, good[0])
        daemon.send_signal(signal.SIGHUP)
        manager.wait("READY")
        daemon.settle()
        assert after - before < 256, f"{before} KiB, then {after} KiB"
    finally:
        manager.close()


# ---- what is wrong keeps the old, and is told

@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_keeps_the_old_and_is_told(configured, taken, fault):
    text, told = BAD[fault]
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    before = kinds(daemon)
    lines = reload(daemon, text % taken, ok=False)
    assert any(re.search(told % taken, line) for line in lines), lines
    echoes(daemon.address)
    wait_until(lambda: kinds(daemon) == before, lambda: f"{kinds(daemon)} to be {before}")
    lines = reload(daemon, {"listen": ["127.0.0.1:0"], "routes": [ECHO, {"path": "/new", "to": "echo:"}]})
    echoes(daemon.address, "/new")


def test_a_file_that_is_gone_keeps_the_old(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    daemon.config.unlink()
    assert any("wsluice.yaml" in line for line in reload(daemon, ok=False))
    echoes(daemon.address)


def test_all_faults_are_told_at_once(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    lines = reload(daemon, "listen: [127.0.0.1:0]\nping: soon\nrotes: []\nmax-sessions: many\n", ok=False)
    text = "\n".join(lines)
    for place in ("yaml:2:7:", "yaml:3:1:", "yaml:4:15:"):
        assert place in text, text
    lines = reload(daemon, "\n".join(f"unknown-{n}: 1" for n in range(70)), ok=False)
    assert sum("unknown key" in line for line in lines) == 50 and any("20 further faults" in line for line in lines)


# ---- listeners

def test_listeners_follow(configured, tmp_path):
    """One stays, the same socket; others come and go, and so do the files of Unix sockets."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    daemon = configured({"listen": ["127.0.0.1:0", f"unix:{a}"], "routes": [ECHO]})
    tcp = ("127.0.0.1", int(daemon.wait_for_log(r"ws://127.0.0.1:(\d+)/").group(1)))
    daemon.wait_for_log(f"ws\\+unix:{a}")
    inodes, inode = proc.listening_inodes()[tcp[1]], os.stat(a).st_ino
    idle = daemon.open(address=tcp)

    port = peers.free_port()
    reload(daemon, {"listen": ["127.0.0.1:0", f"unix:{b}", f"127.0.0.1:{port}"], "routes": [ECHO]})
    for address in (tcp, b, ("127.0.0.1", port)):
        echoes(address)
    assert proc.listening_inodes()[tcp[1]] == inodes
    assert refuses(a) and not os.path.exists(a)

    reload(daemon, {"listen": ["127.0.0.1:0", f"unix:{a}"], "routes": [ECHO]})
    echoes(a)
    assert os.stat(a).st_ino and proc.listening_inodes()[tcp[1]] == inodes
    assert refuses(b) and not os.path.exists(b) and refuses(("127.0.0.1", port))
    idle.text("through all of it")
    assert idle.read_message() == (TEXT, b"through all of it")
    idle.finish()
    assert inode  # it was a socket of its own


def test_a_session_survives_the_end_of_its_listener(configured, tmp_path):
    path = str(tmp_path / "a")
    daemon = configured({"listen": ["127.0.0.1:0", f"unix:{path}"], "routes": [ECHO]})
    daemon.wait_for_log(f"ws\\+unix:{path}")
    client = daemon.open(address=path)
    reload(daemon, {"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    assert refuses(path)
    client.text("still here")
    assert client.read_message() == (TEXT, b"still here")
    client.finish()
    daemon.baseline["socket"] -= 1


def test_one_listener_that_cannot_be_had_means_none_of_it(configured, taken, tmp_path):
    """Also what could be opened is closed again, and nothing that was there is lost."""
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    before, port = kinds(daemon), peers.free_port()
    reload(daemon, {"listen": [f"unix:{tmp_path}/new", f"127.0.0.1:{port}", f"127.0.0.1:{taken['taken']}"],
                    "routes": [{"path": "/other", "to": "echo:"}]}, ok=False)
    assert kinds(daemon) == before
    assert refuses(str(tmp_path / "new")) and not os.path.exists(tmp_path / "new") and refuses(("127.0.0.1", port))
    echoes(daemon.address)


def test_an_admin_address_that_cannot_be_had_means_none_of_it(configured):
    """The listeners that would have gone were never closed: port 0 is the same port."""
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    before, port = kinds(daemon), daemon.address[1]
    inodes = proc.listening_inodes()[port]
    log = reload(daemon, {"listen": ["127.0.0.2:0"], "admin": "unix:/nonexistent/admin", "routes": [ECHO]}, ok=False)
    assert any("/nonexistent/admin: No such file" in line for line in log)
    assert not any("listening on" in line for line in log), log
    assert proc.listening_inodes()[port] == inodes and kinds(daemon) == before
    echoes(daemon.address)


def test_permissions_of_a_socket_follow(configured, tmp_path):
    """Of the one that stays: whoever takes them away means it. What an operator did by hand is left alone."""
    path = tmp_path / "door"
    content = {"listen": [f"unix:{path}"], "unix-mode": "0666", "routes": [ECHO]}
    daemon = configured(content)
    inode = path.stat().st_ino
    for mode in ("0600", "0660"):
        reload(daemon, content | {"unix-mode": mode})
        assert path.stat().st_mode & 0o777 == int(mode, 8) and path.stat().st_ino == inode
    path.chmod(0o640)
    reload(daemon)
    assert path.stat().st_mode & 0o777 == 0o640
    path.rename(tmp_path / "elsewhere")
    path.write_text("somebody else's")
    path.chmod(0o644)
    log = reload(daemon, content)
    assert path.stat().st_mode & 0o777 == 0o644 and any("cannot get mode 0666" in line for line in log)


def test_a_port_that_cannot_become_shared_is_told(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    log = reload(daemon, {"listen": ["127.0.0.1:0"], "reuse-port": "on", "routes": [ECHO]})
    assert any("reuse-port of ws://127.0.0.1" in line and "needs a restart" in line for line in log)


def test_an_address_in_other_words_is_the_same_listener(configured, tmp_path):
    """A port alone, a name, zeroes; and a Unix socket by another path to it."""
    port, path = peers.free_port(), str(tmp_path / "door")
    (tmp_path / "sub").mkdir()
    daemon = configured({"listen": [f"127.0.0.1:{port}", f"unix:{path}"], "routes": [ECHO]})
    daemon.wait_for_log(f"ws\\+unix:{path}")
    inodes, inode = proc.listening_inodes()[port], os.stat(path).st_ino
    idle = daemon.open()
    for words in (f"{port}", f"localhost:{port}", f"127.0.0.1:{port}"):
        log = reload(daemon, {"listen": [{"address": words}, f"unix:{tmp_path}/sub/../door"], "routes": [ECHO]})
        assert not any("listening" in line for line in log), log
        assert proc.listening_inodes()[port] == inodes and os.stat(path).st_ino == inode
        echoes(("127.0.0.1", port))
        echoes(path)
    idle.text("through all of it")
    assert idle.read_message() == (TEXT, b"through all of it")
    idle.finish()


def test_a_successor_takes_an_address_in_other_words(configured, successors):  # noqa: F811
    port = peers.free_port()
    daemon = configured({"listen": [f"127.0.0.1:{port}"], "routes": [ECHO]})
    inodes = proc.listening_inodes()[port]
    write(daemon.config, {"listen": [f"{port}"], "routes": [ECHO]})
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert proc.listening_inodes()[port] == inodes
    echoes(("127.0.0.1", port))
    assert successor.stop() == 0


def test_a_port_that_is_ours_at_another_address_is_said_to_be_ours(configured):
    port = peers.free_port()
    daemon = configured({"listen": [f"127.0.0.1:{port}"], "routes": [ECHO]})
    log = reload(daemon, {"listen": [f"0.0.0.0:{port}"], "routes": [ECHO]}, ok=False)
    assert any(f"cannot listen on 0.0.0.0:{port}" in line and f"this process itself has it, as 127.0.0.1:{port}" in line
               for line in log), log
    echoes(("127.0.0.1", port))
    reload(daemon, {"listen": [f"127.0.0.1:{port}", f"127.0.0.2:{port}"], "routes": [ECHO]})  # that is another
    echoes(("127.0.0.2", port))
    echoes(("127.0.0.1", port))
    reload(daemon, {"listen": [f"127.0.0.2:{port}", f"{port}"], "routes": [ECHO]})
    reload(daemon, {"listen": [f"{port}"], "routes": [ECHO]})
    assert refuses(("127.0.0.2", port))


def test_one_address_in_two_words_is_listed_twice(path):
    write(path, {"listen": ["127.0.0.1:8123", "8123"], "routes": [ECHO]})
    done = command_line("--config", path, "--check")
    assert done.returncode != 0 and "8123: listed twice" in done.stderr, done.stderr


# ---- sessions and settings

def test_sessions_keep_what_they_started_with(configured, orphans_reaped):
    """The old one its limit, its program and its environment; the next one has the new."""
    def content(word, limit):
        return {"listen": ["127.0.0.1:0"], "routes": [
            {"path": "/limit", "to": "echo:", "max-message": limit},
            {"path": "/env", "exec": ["/bin/sh", "-c", "while read x; do echo $WORD $x; done"], "env": [f"WORD={word}"]}]}

    daemon = configured(content("old", 100))
    old_limit, old_env = daemon.open("/limit"), daemon.open("/env")
    old_env.text("1")
    assert old_env.read_message() == (TEXT, b"old 1")
    reload(daemon, content("new", 10))
    old_limit.text("x" * 100)
    assert old_limit.read_message() == (TEXT, b"x" * 100)
    old_env.text("2")
    assert old_env.read_message() == (TEXT, b"old 2")
    new_limit, new_env = daemon.open("/limit"), daemon.open("/env")
    new_limit.text("x" * 100)
    assert new_limit.expect_close(1009) is not None
    new_env.text("3")
    assert new_env.read_message() == (TEXT, b"new 3")
    old_limit.finish()


def test_a_session_survives_the_end_of_its_route(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO, {"path": "/cat", "exec": ["/bin/cat"]}]})
    client = daemon.open("/cat")
    reload(daemon, {"listen": ["127.0.0.1:0"], "routes": [{"path": "/other", "to": "echo:"}]})
    client.text("still here")
    assert client.read_message() == (TEXT, b"still here")
    client.finish()
    assert daemon.connect().upgrade("/cat").status == 404
    echoes(daemon.address, "/other")


def test_includes_are_read_again(configured, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "one.yaml").write_text("routes: [{path: /one, to: 'echo:'}]\n")
    daemon = configured("listen: [127.0.0.1:0]\ninclude: [conf.d/*.yaml]\n")
    echoes(daemon.address, "/one")
    (tmp_path / "conf.d" / "two.yaml").write_text("routes: [{path: /two, to: 'echo:'}]\n")
    (tmp_path / "conf.d" / "one.yaml").unlink()
    reload(daemon)
    echoes(daemon.address, "/two")
    assert daemon.connect().upgrade("/one").status == 404
    (tmp_path / "conf.d" / "three.yaml").write_text("routes:\n  - {path: /three, too: 'echo:'}\n")
    assert any("three.yaml:2:" in line for line in reload(daemon, ok=False))
    echoes(daemon.address, "/two")


def test_the_log_level_follows(configured, tmp_path):
    admin = f"unix:{tmp_path}/admin"

    def content(level):
        return {"listen": ["127.0.0.1:0"], "log-level": level, "admin": admin, "routes": [ECHO]}

    daemon = configured(content("info"))
    echoes(daemon.address)
    daemon.wait_for_log("session closed")
    write(daemon.config, content("error"))
    assert command_line("ctl", "--admin", admin, "reload").returncode == 0  # the log no longer tells
    since = daemon.mark()
    echoes(daemon.address)
    reload(daemon, "listen: [\n", ok=False)
    assert not daemon.find_log("session closed", since)


# ---- together with the rest

def test_reload_after_an_upgrade(configured, successors):
    """The successor reads the file of its own time, and goes on to follow it."""
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    write(daemon.config, {"listen": ["127.0.0.1:0"], "routes": [{"path": "/second", "to": "echo:"}]})
    successor = successors(daemon)
    assert daemon.wait() == 0
    echoes(daemon.address, "/second")
    since = daemon.mark()
    write(daemon.config, {"listen": ["127.0.0.1:0"], "routes": [{"path": "/third", "to": "echo:"}]})
    os.kill(successor.pid, signal.SIGHUP)
    daemon.wait_for_log("reloaded", since=since)
    echoes(daemon.address, "/third")
    assert successor.stop() == 0


def test_an_upgrade_with_a_bad_file_leaves_the_old_one(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [ECHO]})
    write(daemon.config, "listen: [\n")
    daemon.send_signal(signal.SIGUSR2)
    daemon.wait_for_log("the successor did not start")
    daemon.wait_for_log(r"wsluice\.yaml:\d+:\d+")
    echoes(daemon.address)


def test_an_upgrade_that_fails_leaves_unix_sockets(configured, tmp_path):
    """The successor had them already when it found that it cannot listen elsewhere; their files are not its to remove."""
    door, admin = f"{tmp_path}/door", f"{tmp_path}/admin"
    content = {"listen": [f"unix:{door}"], "admin": f"unix:{admin}", "routes": [ECHO]}
    daemon = configured(content)
    write(daemon.config, content | {"listen": [f"unix:{door}", f"unix:{tmp_path}/fresh", "192.0.2.1:80"]})
    daemon.send_signal(signal.SIGUSR2)
    daemon.wait_for_log("the successor did not start; this process goes on")
    echoes(door)
    assert command_line("ctl", "--admin", f"unix:{admin}", "health").returncode == 0
    assert not os.path.exists(tmp_path / "fresh")


def test_sighup_while_draining_is_ignored(configured):
    daemon = configured({"listen": ["127.0.0.1:0"], "close-timeout": "60s", "drain-timeout": "1s", "routes": [ECHO]})
    daemon.open()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping")
    daemon.send_signal(signal.SIGHUP)
    assert daemon.wait() == 0
    assert not daemon.find_log("reloaded")
