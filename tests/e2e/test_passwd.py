# SPDX-License-Identifier: MIT
"""wsluice passwd: lines of a file of passwords, from a pipe and from a terminal."""

import os
import pty
import re
import signal
import subprocess
import termios

import pytest

from lib import proc
from lib.setting import BINARY, SOON
from test_auth import ask, basic, hashed, write


def passwd(*args, password="sesame\n", cwd=None):
    data = password if isinstance(password, bytes) else password.encode()
    return subprocess.run([BINARY, "passwd", *map(str, args)], input=data, capture_output=True, cwd=cwd, timeout=SOON)


def lines(path):
    return path.read_bytes().decode().splitlines(keepends=True)


def test_a_line_is_put_into_the_file(wsluice, tmp_path):
    """And the running server takes it."""
    path = tmp_path / "users"
    assert passwd(path, "alice").returncode == 0
    assert path.stat().st_mode & 0o7777 == 0o600 and os.listdir(tmp_path) == ["users"]
    assert re.fullmatch(r"alice:\$(y|2b)\$[^:\n]+\n", path.read_text())
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", path)
    assert ask(daemon, "/", [basic("alice", "sesame")]).status == 200
    assert passwd(path, "alice", password="sésame, ouvre-toi: 1").returncode == 0
    proc.wait_until(lambda: ask(daemon, "/", [basic("alice", "sésame, ouvre-toi: 1")]).status == 200, lambda: "the new password")
    assert ask(daemon, "/", [basic("alice", "sesame")]).status == 401


def test_all_else_stays(tmp_path):
    others = [f"# people\r\n", "\n", f"bob:{hashed('b')}:a note: of bob\r\n", f"alicia:{hashed('c')}\n", f"zoe:{hashed('z')}"]
    path = write(tmp_path / "users", "".join(others), 0o640)
    os.chown(path, 12345, 23456) if os.getuid() == 0 else None
    before = path.stat()
    with open(path, "rb") as reader:
        assert passwd(path, "alice").returncode == 0
        assert reader.read() == "".join(others).encode()  # readers have the old file or the new one
    assert lines(path)[:4] == others[:4] and lines(path)[4] == others[4] + "\n" and lines(path)[5].startswith("alice:$")
    assert passwd(path, "bob").returncode == 0
    now = lines(path)
    assert re.fullmatch(r"bob:\$[^:]+:a note: of bob\r\n", now[2]) and now[2] != others[2] and now[3] == others[3] and len(now) == 6
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    path = write(tmp_path / "real" / "users", "")
    (tmp_path / "link").symlink_to("real/users")
    assert passwd("link", "alice", cwd=tmp_path).returncode == 0
    assert (tmp_path / "link").is_symlink() and path.read_text().startswith("alice:")


def test_several_at_once_lose_nothing(tmp_path):
    path, names = tmp_path / "users", [f"user{n}" for n in range(12)]
    running = [subprocess.Popen([BINARY, "passwd", path, name], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for name in names]
    for one in running:
        one.stdin.write(b"sesame\n")
        one.stdin.close()
    assert [one.wait(SOON) for one in running] == [0] * 12
    assert sorted(line.split(":")[0] for line in lines(path)) == sorted(names)


def test_without_a_file_the_line_is_printed(tmp_path):
    done = passwd("alice", cwd=tmp_path)
    assert done.returncode == 0 and re.fullmatch(rb"alice:\$[^:\n]+\n", done.stdout) and done.stderr == b""
    assert os.listdir(tmp_path) == []
    assert passwd("alice", cwd=tmp_path).stdout != done.stdout  # salted


@pytest.mark.parametrize("name, password, says", [
    ("a:b", "x", "no colon"), ("#a", "x", "begin with #"), ("", "x", "a name is needed"), ("a\nb", "x", "no line end"), ("a\x01b", "x", "a control"), ("n" * 256, "x", "longer than 255"),
    (b"\xff", "x", "UTF-8"), ("a", "", "empty"), ("a", "\n", "empty"), ("a", "x\ny\n", "one line"), ("a", "x" * 512, "too long"), ("a", b"x\0y", "no text"),
    ("a", b"\xff\n", "not UTF-8"), ("a", "x\ty", "control character"),
])
def test_what_is_refused(tmp_path, name, password, says):
    path = write(tmp_path / "users", f"bob:{hashed('b')}\n")
    before = path.read_bytes()
    done = subprocess.run([BINARY, "passwd", path, name], input=password if isinstance(password, bytes) else password.encode(),
                          capture_output=True, timeout=SOON)
    assert done.returncode == 1 and says in done.stderr.decode(errors="replace") and done.stdout == b"", done.stderr
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["users"]


def test_files_that_are_no_such_files(tmp_path):
    damaged = write(tmp_path / "damaged", "bob:plain-secret\n")
    for path, says in ((damaged, b":1"), (tmp_path, b"not a regular file"), (tmp_path / "no" / "users", b"No such file"), ("/dev/null", b"not a regular file")):
        done = passwd(path, "alice")
        assert done.returncode == 1 and (says in done.stderr or b" 1: " in done.stderr) and b"plain-secret" not in done.stderr, done.stderr
    assert damaged.read_text() == "bob:plain-secret\n"


@pytest.mark.parametrize("args", [[], ["a", "b", "c"], ["--file", "a"]])
def test_usage(args):
    done = passwd(*args)
    assert done.returncode == 2 and done.stderr.startswith(b"usage: wsluice passwd [FILE] NAME")


# On a terminal.

class Terminal:
    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.slave = slave
        # whoever runs the tests may ignore signals, as nohup does
        self.process = subprocess.Popen([BINARY, "passwd", *map(str, args)], stdin=slave, stdout=subprocess.PIPE, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)])
        self.seen = b""

    def until(self, text):
        while text not in self.seen:
            self.seen += os.read(self.master, 1000)
        self.seen = self.seen.split(text, 1)[1]

    def type(self, text):
        os.write(self.master, text)

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def end(self):
        out, _ = self.process.communicate(timeout=SOON)
        os.close(self.slave)
        seen = self.seen
        while True:
            try:
                seen += os.read(self.master, 1000)
            except OSError:
                break
        os.close(self.master)
        return out, seen


def test_on_a_terminal_it_is_asked_for_twice_without_echo(wsluice, tmp_path):
    terminal = Terminal(tmp_path / "users", "alice")
    terminal.until(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"sesame\n")
    terminal.until(b"Again: ")
    terminal.type(b"sesame\n")
    assert terminal.process.wait(SOON) == 0 and terminal.echoes()
    _, seen = terminal.end()
    assert b"sesame" not in seen and b"alice added" in seen
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "users")
    assert ask(daemon, "/", [basic("alice", "sesame")]).status == 200


def test_two_that_are_not_the_same(tmp_path):
    terminal = Terminal(tmp_path / "users", "alice")
    terminal.until(b"Password: ")
    terminal.type(b"sesame\n")
    terminal.until(b"Again: ")
    terminal.type(b"sesamo\n")
    assert terminal.process.wait(SOON) == 1 and terminal.echoes()
    assert b"not the same" in terminal.end()[1] and not (tmp_path / "users").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path, number):
    terminal = Terminal(tmp_path / "users", "alice")
    terminal.until(b"Password: ")
    proc.wait_until(lambda: not terminal.echoes(), lambda: "no echo")
    terminal.process.send_signal(number)
    assert terminal.process.wait(SOON) == -number and terminal.echoes()
    terminal.end()
    assert not (tmp_path / "users").exists()
