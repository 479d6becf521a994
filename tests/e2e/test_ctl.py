# SPDX-License-Identifier: MIT
"""`wsluice ctl`: every command against a living server, its errors, and `top` in a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import urllib.parse

import pytest

from lib import peers
from lib.admin import Admin
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.wire import text
from test_stop_upgrade import successors  # noqa: F401


@pytest.fixture
def door(wsluice, tmp_path):
    return Admin(wsluice("--admin", f"unix:{tmp_path}/admin.sock", "--route", "/cat=exec:cat", "--route", "/echo=echo:",
                         "--drain-timeout", "20s"))


def ctl(door, *words, status=0, **how):
    """Runs it; returns what it says on standard output, or on standard error when it is to fail."""
    done = command_line("ctl", "--admin", door.ctl, *words, **how)
    assert done.returncode == status, done
    if status == 0:
        assert done.stderr == ""
        return done.stdout
    assert done.stdout == ""
    return done.stderr


def test_sessions(door):
    assert len(ctl(door, "sessions").splitlines()) == 1
    client = door.daemon.open("/cat/a")
    client.text("hello")
    client.read_message()
    door.daemon.open("/echo")
    head, second, first = ctl(door, "sessions").splitlines()
    assert head.split()[:6] == ["ID", "CLIENT", "PATH", "KIND", "BACKEND", "STATE"]
    host, port = client.sock.getsockname()
    pid = door.daemon.children()[0].pid
    assert first.split()[:7] == ["1", f"{host}:{port}", "/cat/a", "exec", "pid", str(pid), "open"]
    assert first.split()[8:] == ["5", "5", "0", "-"]
    assert second.split()[0] == "2" and "/echo" in second
    raw = json.loads(ctl(door, "--json", "sessions"))
    assert [s["id"] for s in raw["sessions"]] == [2, 1]


def test_show(door):
    door.daemon.open("/cat/a")
    shown = dict(line.split(None, 1) for line in ctl(door, "show", "1").splitlines() if len(line.split(None, 1)) == 2)
    assert shown["path"] == "/cat/a" and shown["state"] == "open" and shown["rtt_ms"] == "-"
    assert json.loads(ctl(door, "show", "1", "--json"))["id"] == 1
    assert "no such session" in ctl(door, "show", "2", status=1)
    assert "number" in ctl(door, "show", "1/../..", status=2)


def test_a_terminal_is_not_obeyed_to(door):
    """What a client chose cannot move the cursor, nor turn text around or hide it."""
    chosen = ("\x1b[2J", "\x9b31m", "\u202e", "\n\r", "\x7f", "\u2066", "\u2069", "\u200b", "\u2028", "\ufeff")
    for text in chosen:
        door.daemon.open("/echo/" + urllib.parse.quote(text))
    numbers = range(1, len(chosen) + 1)
    for words in (("sessions",), ("top",), ("--json", "sessions"), *(("show", str(n)) for n in numbers)):
        shown = ctl(door, *words)
        shown = shown.replace("\x7f", "") if "--json" in words else shown  # jansson leaves it, and terminals ignore it
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", shown), (words, shown)
    assert len(ctl(door, "sessions").splitlines()) == 1 + len(chosen)
    said = json.loads(ctl(door, "--json", "sessions"))["sessions"]
    assert {s["path"] for s in said} == {"/echo/" + text for text in chosen}


def test_kick(door):
    clients = [door.daemon.open("/echo") for _ in range(3)]
    assert ctl(door, "kick", "2", "go & away?=100%").strip() == "1 session ended"
    assert clients[1].expect_close(1008) == "go & away?=100%"
    wait_until(lambda: len(door.sessions()) == 2, "it to be gone")
    assert ctl(door, "kick", "127.0.0.1").strip() == "2 sessions ended"
    for client in clients[::2]:
        client.expect_close(1008)
    assert "no session" in ctl(door, "kick", "127.0.0.77", status=1)
    assert "no such session" in ctl(door, "kick", "99", status=1)
    for nobody in ("somebody", "user:", "token:", "user"):
        assert "numeric address, user:NAME or token:TOKEN" in ctl(door, "kick", nobody, status=1), nobody


def test_kick_by_user(wsluice, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("alice alice-s-token\nbob bob-s-token\nanonymous-token\n")
    tokens.chmod(0o600)
    door = Admin(wsluice("--admin", f"unix:{tmp_path}/admin.sock", "--auth", "bearer", "--auth-file", tokens, "--to", "echo:"))
    clients = [door.daemon.open(headers=[("Authorization", f"Bearer {t}")]) for t in
               ("alice-s-token", "bob-s-token", "alice-s-token", "anonymous-token")]
    assert "no session" in ctl(door, "kick", "user:carol", status=1) and "no session" in ctl(door, "kick", "user:ali", status=1)
    assert ctl(door, "kick", "user:alice", "go home").strip() == "2 sessions ended"
    for client in clients[0::2][:2]:
        assert client.expect_close(1008) == "go home"
    clients[1].exchange([text("x")], [(1, "x")])
    clients[3].exchange([text("x")], [(1, "x")])
    assert door.daemon.wait_for_log("admin order=kick what=user:alice count=2")


def test_kick_by_token(wsluice, server, tmp_path):
    """By what a client had to know; it is shown nowhere, nor has it to stand on a command line."""
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{name}: 127.0.0.1:{server(peers.echo).port}\n" for name in ("secret-one", "secret-two")))
    door = Admin(wsluice("--admin", f"unix:{tmp_path}/admin.sock", "--log-level", "debug", "--route", f"/vnc=token-file:{tokens}", "--route", "/echo=echo:"))
    clients = [door.daemon.open(path) for path in ("/vnc?token=secret-one", "/vnc?token=secret-two", "/vnc/secret-one", "/vnc?token=secret-two", "/echo")]
    assert "no session" in ctl(door, "kick", "token:secret-on", status=1)
    assert ctl(door, "kick", "token:secret-one").strip() == "2 sessions ended"
    for client in clients[0:3:2]:
        client.expect_close(1008)
    def kick_by_input(text):
        return subprocess.run([BINARY, "ctl", "--admin", door.ctl, "kick", "token:-"], input=text, text=True, capture_output=True, timeout=SOON)

    asked = kick_by_input("x" * 300)
    assert (asked.returncode, asked.stderr) == (1, "wsluice ctl: too long\n")  # and not its beginning
    asked = kick_by_input("secret-two\n")
    assert asked.stdout.strip() == "2 sessions ended", asked
    for client in clients[1:4:2]:
        client.expect_close(1008)
    clients[4].exchange([text("x")], [(1, "x")])
    assert door.daemon.wait_for_log("admin order=kick what=token count=2")
    assert not door.daemon.find_log("secret-two|what=.*secret") and "secret" not in json.dumps(door.sessions())


def test_stats(door):
    with door.daemon.open("/echo") as client:
        client.text("four")
        client.read_message()
        shown = ctl(door, "stats")
    assert re.search(r"^sessions +1$", shown, re.M) and re.search(rf"^pid +{door.daemon.pid}$", shown, re.M)
    assert re.search(r"^/echo +echo +1 +1 +0 +1 +1 +4 +4 ", shown, re.M), shown
    assert json.loads(ctl(door, "--json", "stats"))["process"]["pid"] == door.daemon.pid


def test_metrics(door):
    assert "wsluice_sessions 0\n" in ctl(door, "metrics")


def test_log_level(door):
    assert ctl(door, "log-level") == "info\n"
    assert ctl(door, "log-level", "debug") == "debug\n"
    assert ctl(door, "log-level") == "debug\n"
    assert "level=" in ctl(door, "log-level", "shout", status=1)


def test_health_ready_drain(door):
    assert (ctl(door, "health"), ctl(door, "ready")) == ("ok\n", "ready\n")
    client = door.daemon.open("/cat")
    assert ctl(door, "drain") == "done\n"
    assert client.read_close()[0] == 1001
    assert ctl(door, "health") == "ok\n"
    assert "503: draining" in ctl(door, "ready", status=1)
    client.close()
    assert door.daemon.wait() == 0


def test_reload_without_a_file(door):
    """What the command line names is looked at again: programs, certificates."""
    assert ctl(door, "reload").strip() == "done"


def test_a_successor_does_not_mix_its_doors_up(wsluice, successors):
    """Both addresses are written alike; what was public must not become the admin door, nor the other way round."""
    door = Admin(wsluice("-l", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--to", "echo:"))
    successor = successors(door.daemon)
    assert door.json("/stats")["process"]["pid"] == successor.pid
    assert door.daemon.wait() == 0
    door.daemon.open().finish()
    with door.daemon.connect() as client:
        assert client.upgrade("/stats", drop=("Upgrade",)).status == 426
    assert successor.stop() == 0


@pytest.fixture
def configured(wsluice, tmp_path):
    """(door, write): a server with a file, and what rewrites it."""
    path = tmp_path / "wsluice.yaml"

    def write(text):
        path.write_text("listen: 127.0.0.1:0\n" + text)

    admin = f"admin: unix:{tmp_path}/admin.sock\n"
    routes = 'routes:\n  - path: /a\n    to: "echo:"\n'
    write(admin + routes)
    return Admin(wsluice("-l", "127.0.0.1:0", "--config", path)), write, admin, routes


def test_reload(configured):
    door, write, admin, routes = configured
    assert door.daemon.connect().upgrade("/b").status == 404
    write(admin + routes + '  - path: /b\n    to: "echo:"\n')
    ctl(door, "reload")
    door.daemon.open("/b").finish()
    write(admin + "routes: [[[\n")
    assert "wsluice.yaml" in ctl(door, "reload", status=1)
    door.daemon.open("/b").finish()
    reloads = json.loads(ctl(door, "stats", "--json"))["reloads"]
    assert (reloads["ok"], reloads["failed"], reloads["last_ok"]) == (1, 1, False)
    metrics = door.metrics()
    assert metrics[("wsluice_config_last_reload_successful",)] == 0
    opened = [k for k in metrics if k[0] == "wsluice_sessions_opened_total" and ("route", "/b") in k]
    assert [metrics[k] for k in opened] == [2]


def test_a_reload_moves_the_admin_door(configured, tmp_path):
    door, write, admin, routes = configured
    write(f"admin: unix:{tmp_path}/other.sock\n" + routes)
    ctl(door, "reload")
    assert not (tmp_path / "admin.sock").exists()
    door.address, door.url = f"{tmp_path}/other.sock", f"unix:{tmp_path}/other.sock"
    assert ctl(door, "health") == "ok\n"
    write("admin: 0.0.0.0:0\n" + routes)
    assert "loopback" in ctl(door, "reload", status=1)
    assert ctl(door, "health") == "ok\n"
    write(routes)
    ctl(door, "reload")
    assert not (tmp_path / "other.sock").exists()
    write(admin + routes)
    since = door.daemon.mark()
    door.daemon.send_signal(signal.SIGHUP)
    door.daemon.wait_for_log("admin on", since=since)


def test_a_successor_takes_the_admin_door_over(wsluice, successors, tmp_path):
    door = Admin(wsluice("--admin", f"unix:{tmp_path}/admin.sock", "--to", "echo:"))
    successor = successors(door.daemon)
    assert json.loads(ctl(door, "stats", "--json"))["process"]["pid"] == successor.pid
    assert door.daemon.wait() == 0
    assert ctl(door, "health") == "ok\n"
    assert successor.stop() == 0
    assert not (tmp_path / "admin.sock").exists()


# Finding the server, and not finding it.

def test_where_it_asks(wsluice, tmp_path):
    tcp = Admin(wsluice("--admin", "127.0.0.1:0", "--to", "echo:"))
    host, port = tcp.address
    for address in (f"{host}:{port}", port, f"http://{host}:{port}/", f"localhost:{port}"):
        assert command_line("ctl", f"--admin={address}", "health").stdout == "ok\n", address
        assert command_line("ctl", "health", env={"WSLUICE_ADMIN": address}).stdout == "ok\n", address
    six = Admin(wsluice("--admin", "[::1]:0", "--to", "echo:"))
    assert command_line("ctl", "--admin", f"[::1]:{six.address[1]}", "health").stdout == "ok\n"
    unix = Admin(wsluice("--admin", f"unix:{tmp_path}/a.sock", "--to", "echo:"))
    assert command_line("ctl", "--admin", f"{tmp_path}/a.sock", "health").stdout == "ok\n"
    assert command_line("ctl", "--admin", unix.url, "health", env={"WSLUICE_ADMIN": "127.0.0.1:1"}).stdout == "ok\n"


def one_line(done, status):
    assert done.returncode == status and done.stdout == "" and len(done.stderr.splitlines()) == 1, done
    assert done.stderr.startswith("wsluice ctl: ")
    return done.stderr


def test_nobody_there(tmp_path):
    assert "--admin" in one_line(command_line("ctl", "--admin", f"unix:{tmp_path}/none", "stats"), 1)
    assert "/run/wsluice/admin.sock" in one_line(command_line("ctl", "stats"), 1)
    assert "refused" in one_line(command_line("ctl", "--admin", "127.0.0.1:1", "stats"), 1)
    for address in ("nonsense", "unix:" + "x" * 200, ":", "127.0.0.1:99999"):
        one_line(command_line("ctl", "--admin", address, "top"), 1)


@pytest.mark.parametrize("words", [(), ("nope",), ("kick",), ("show",), ("show", "1", "2"), ("show", "x"), ("stats", "x"), ("--nope", "stats"),
                                   ("--admin",), ("log-level", "a", "b"), ("top", "--interval", "0"), ("top", "--interval", "x")])
def test_wrong_usage_is_2(words):
    done = command_line("ctl", *words)
    assert done.returncode == 2 and done.stdout == "" and "ctl" in done.stderr


def test_help_names_every_command():
    done = command_line("ctl", "--help")
    assert done.returncode == 0 and done.stderr == ""
    for name in ("sessions", "show", "kick", "ban", "unban", "bans", "stats", "top", "metrics", "reload", "drain", "log-level", "health", "ready"):
        assert re.search(rf"^  {name}\b", done.stdout, re.M)


@pytest.mark.parametrize("answer, word", [
    (b"", "without an answer"), (b"SSH-2.0-x\r\n", "not a wsluice"), (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "cut short"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "cut short"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{}\r\n0\r\n\r\n", "cut short"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[[[", "not JSON"),
    (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n\x1b]", "500: ?]"), (b"HTTP/1.1 404 No\r\nContent-Length: 6\r\n\r\n\xff\nmore", "404: ?"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", None), (b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"sessions\":[{}]}", None),
])
def test_something_else_answers(server, answer, word):
    def serve(sock):
        sock.recv(65536)
        sock.sendall(answer)
        sock.close()

    address = server(serve).to.removeprefix("tcp://")
    done = command_line("ctl", "--admin", address, "sessions")
    if word:
        assert word in one_line(done, 1) and "\x1b" not in done.stderr
    else:
        assert done.returncode == 0


# top

class Terminal:
    """`ctl top` in a terminal of ours; what it shows is read as a terminal would, well enough."""

    def __init__(self, *args, lines=24, columns=100):
        self.master, slave = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(slave)
        env = {k: v for k, v in os.environ.items() if k != "WSLUICE_ADMIN"}
        self.process = subprocess.Popen([BINARY, "ctl", *args], stdin=slave, stdout=slave, stderr=slave, env=env,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave, self.raw = slave, ""

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.raw += os.read(self.master, 65536).decode()
        return self.raw

    def screens(self):
        """The pictures drawn so far, as lists of lines."""
        pictures = self.read().split("\033[H")[1:]
        return [p.split("\033[J")[0].replace("\033[K", "").split("\r\n") for p in pictures if "\033[J" in p]

    def wait(self, fact, what):
        return wait_until(lambda: (s := self.screens()) and fact(s[-1]) and s[-1], lambda: f"{what}\n{self.raw[-3000:]}")

    def press(self, key):
        os.write(self.master, key.encode())

    def end(self):
        status = self.process.wait(SOON)
        self.read()
        assert self.raw.endswith("\033[?25h\033[?1049l"), "the terminal is left as it was found"
        assert termios.tcgetattr(self.slave)[3] == self.before[3]
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    with contextlib.ExitStack() as stack:
        yield lambda *args, **how: stack.enter_context(contextlib.closing(Terminal(*args, **how)))


def test_top_is_live(door, terminal):
    quiet, busy = door.daemon.open("/cat"), door.daemon.open("/echo/busy")
    top = terminal("--admin", door.ctl, "--interval", "0.2", "top")
    top.wait(lambda s: any("/cat" in line for line in s), "both sessions")
    stop = threading.Event()

    def talk():
        while not stop.wait(0.005):
            busy.text("x" * 1000)
            busy.read_message()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        shown = top.wait(lambda s: re.search(r"messages/s in [1-9]", "\n".join(s)) and "/echo/busy" in s[5], "rates")
        row = shown[5].split()
        assert row[0] == "2" and row[3] != "0" and row[4][-1] == "K", "the busiest comes first"
        assert f"pid {door.daemon.pid}" in shown[0] and "sessions 2 of" in shown[1]
        assert max(map(len, shown)) <= 100
    finally:
        stop.set()
        thread.join()
    quiet.close()
    busy.close()
    top.wait(lambda s: "sessions 0 of" in s[1], "none")
    top.press("q")
    assert top.end() == 0


def test_top_keeps_to_its_window(door, terminal):
    for _ in range(40):
        door.daemon.open("/echo/a/rather/long/path/that/does/not/fit/into/a/narrow/window")
    top = terminal("--admin", door.ctl, "--interval", "3600", "top", lines=20, columns=60)
    shown = top.wait(lambda s: True, "a picture")
    assert len(shown) <= 20 and max(map(len, shown)) <= 60
    top.resize(30, 120)
    shown = top.wait(lambda s: len(s) > 21, "a picture in the new size, at once")
    assert len(shown) <= 30 and 60 < max(map(len, shown)) <= 120
    drawn = len(top.screens())
    top.press(" ")
    wait_until(lambda: len(top.screens()) > drawn, "another look on a key")
    top.press("q")
    assert top.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_top_ends_well_by_signal(door, terminal, number):
    top = terminal("--admin", door.ctl, "top")
    top.wait(lambda s: True, "a picture")
    top.process.send_signal(number)
    assert top.end() == 0


def test_top_outlives_the_server(door, terminal):
    top = terminal("--admin", door.ctl, "--interval", "0.2", "top")
    top.wait(lambda s: "sessions" in s[1], "a picture")
    assert door.daemon.stop() == 0
    wait_until(lambda: "trying again" in top.read(), "it to say so")
    top.press("q")
    assert top.end() == 0


def test_top_without_a_terminal_shows_once(door):
    door.daemon.open("/echo/x")
    shown = ctl(door, "top")
    assert "\033" not in shown and "/echo/x" in shown and "sessions 1 of" in shown


def test_an_answer_that_cannot_be_written(door):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "ctl", "--admin", door.ctl, "stats"], stdout=full, stderr=subprocess.PIPE, timeout=SOON)
    assert done.returncode == 1 and b"cannot write" in done.stderr
