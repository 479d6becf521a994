# SPDX-License-Identifier: MIT
"""Where the log goes: a file that is rotated under load, a syslog daemon that restarts, the journal; and repeats."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import proc
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.wire import Raw

ECHO = ("--to", "echo:")


class Quiet:
    """A daemon whose log is not on its standard error, so that the usual class cannot find its port: `lines()` is
    how the test reads the log. Standard error must stay empty."""

    def __init__(self, *args, lines, env=None):
        self._lines = lines
        self.process = subprocess.Popen([BINARY, "-l", "127.0.0.1:0", *map(str, args)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
                                        env={**os.environ, **(env or {})}, preexec_fn=proc.die_with_parent)
        proc.started.add(self.process.pid)
        try:
            match = self.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)/")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.address = ("127.0.0.1", int(match[1]))

    def wait_for(self, pattern):
        def look():
            return next((m for m in (re.search(pattern, line) for line in self._lines()) if m), None)

        return wait_until(look, lambda: f"{pattern!r} in\n" + "\n".join(self._lines()[-20:]))

    def session(self):
        with contextlib.closing(Raw.connect(self.address).open("/")) as client:
            client.finish()

    def finish(self):
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            _, err = self.process.communicate(timeout=2 * SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            proc.started.discard(self.process.pid)
        assert (self.process.returncode, err) == (0, b"")


@pytest.fixture
def quiet():
    started = []

    def start(*args, **how):
        started.append(Quiet(*args, **how))
        return started[-1]

    yield start
    for daemon in started:
        daemon.finish()


def file_lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_file_rotated_under_load_loses_nothing(quiet, tmp_path):
    """As logrotate does it: rename, then the signal; sessions end all the time, and none misses its line."""
    path = tmp_path / "log"
    daemon = quiet("--log-to", path, "--log-format", "json", *ECHO, lines=lambda: file_lines(path))
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()
    stop, done = threading.Event(), [0, 0, 0]

    def load(k):
        while not stop.is_set():
            daemon.session()
            done[k] += 1

    threads = [threading.Thread(target=load, args=(k,), daemon=True) for k in range(len(done))]
    for thread in threads:
        thread.start()
    for n in range(20):
        before = sum(done)
        path.rename(tmp_path / f"log.{n}")
        daemon.process.send_signal(signal.SIGUSR1)
        wait_until(path.exists, "the new file")
        wait_until(lambda: sum(done) > before + 5, "more sessions")
    stop.set()
    for thread in threads:
        thread.join(SOON)
    files = [*(tmp_path / f"log.{n}" for n in range(20)), path]

    def ids():
        lines = [json.loads(line) for f in files for line in file_lines(f)]
        return [r["id"] for r in lines if r["msg"] == "session closed"]

    wait_until(lambda: len(ids()) >= sum(done), "a line for each session")
    assert sorted(ids()) == list(range(1, sum(done) + 1))
    assert "log reopened" in files[1].read_text()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_failed_reopening_keeps_the_old_file(quiet, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    path, moved = folder / "log", tmp_path / "moved"
    daemon = quiet("--log-to", path, *ECHO, lines=lambda: file_lines(path) + file_lines(moved / "log"))
    folder.rename(moved)
    daemon.process.send_signal(signal.SIGUSR1)
    match = daemon.wait_for(r"error cannot reopen the log.* reason=(.*)")
    assert "No such file" in match[1]
    daemon.session()
    daemon.wait_for("session closed id=1")


def test_file_that_cannot_be_opened_is_told(tmp_path):
    done = command_line("-l", "127.0.0.1:0", "--log-to", tmp_path, *ECHO)
    assert done.returncode == 1
    assert done.stderr == f"wsluice: log-to {tmp_path}: Is a directory\n"


class Syslog:
    """Stands for a syslog daemon: collects datagrams."""

    def __init__(self, path):
        self.path, self.got = str(path), []
        self.start()

    def start(self):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            ready, _, _ = select.select([self._sock, self._stop], [], [])
            if self._sock in ready:
                self.got.append(self._sock.recv(65536).decode())
            elif self._stop in ready:
                return

    def stop(self):
        """What was sent is read before the end."""
        os.unlink(self.path)
        os.write(self._wake, b"x")
        self._thread.join(SOON)
        for fd in (self._stop, self._wake):
            os.close(fd)
        self._sock.close()


@pytest.mark.parametrize("form", ["text", "json"])
def test_syslog(quiet, tmp_path, form):
    syslog = Syslog(tmp_path / "dev-log")
    daemon = quiet("--log-to", "syslog", "--syslog-socket", syslog.path, "--log-format", form, *ECHO,
                   lines=lambda: syslog.got)
    daemon.session()
    daemon.wait_for("session closed")
    for line in syslog.got:
        match = re.fullmatch(r"<(\d+)>([A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d) wsluice\[(\d+)\]: (.*)", line)
        assert match, line
        assert int(match[1]) in (28, 30) and int(match[3]) == daemon.process.pid
        stamp = time.strptime(f"{time.localtime().tm_year} {match[2]}", "%Y %b %d %H:%M:%S")
        assert abs(time.mktime(stamp) - time.time()) < 3600
        if form == "json":
            assert json.loads(match[4])["level"] in ("info", "warn")
        else:
            assert re.match(r"(info|warn)  ?\w", match[4])
    daemon.finish()
    syslog.stop()
    assert "stopped" in syslog.got[-1]


def test_syslog_restarts(quiet, tmp_path):
    """While no daemon is there lines wait, and sessions do not."""
    syslog = Syslog(tmp_path / "dev-log")
    daemon = quiet("--log-to", "syslog", "--syslog-socket", syslog.path, *ECHO, lines=lambda: syslog.got)
    daemon.session()
    daemon.wait_for("session closed id=1 ")
    syslog.stop()
    for _ in range(5):
        daemon.session()
    time.sleep(0.1)  # it must not be the first try that succeeds
    assert not any("id=2 " in line for line in syslog.got)
    syslog.start()
    for n in range(2, 7):
        daemon.wait_for(f"session closed id={n} ")
    syslog.stop()
    syslog.start()
    daemon.session()  # at once: found anew by the line itself
    daemon.wait_for("session closed id=7 ")
    daemon.finish()
    syslog.stop()
    assert sum("session closed" in line for line in syslog.got) == 7


def test_journal_lines(tmp_path):
    """Standard error is what JOURNAL_STREAM says: priorities, no time. What else it is: the usual lines."""
    reader, writer = os.pipe()
    try:
        status = os.fstat(writer)
        for inode, pattern in ((status.st_ino, r"<6>info  listening on ws://"),
                               (status.st_ino + 1, r"\d{4}-\d\d-\d\dT[\d:.]+Z info  listening on ws://")):
            process = subprocess.Popen([BINARY, "-l", "127.0.0.1:0", *ECHO], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=writer,
                                       env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"})
            data = b""
            while b"listening" not in data or not data.endswith(b"\n"):
                assert select.select([reader], [], [], SOON)[0], data
                data += os.read(reader, 65536)
            process.terminate()
            assert process.wait(2 * SOON) == 0
            data += os.read(reader, 65536)
            lines = data.decode().splitlines()
            assert re.match(pattern, lines[0]), lines
            shape = r"<[3467]>(error|warn |info |debug) " if inode == status.st_ino else r"20"
            assert all(re.match(shape, line) for line in lines), lines
    finally:
        os.close(reader)
        os.close(writer)


def test_repeats_are_summed_up(wsluice):
    """A flood of refusals is a few lines a second, and every one is counted."""
    daemon = wsluice("--route", "/echo=echo:")
    refused = 300
    for _ in range(refused):
        with Raw.connect(daemon.address) as client:
            assert client.upgrade("/none").status == 404

    def told():
        summed = sum(int(m[1]) for m in daemon.find_log(r'repeated event="request refused" times=(\d+)'))
        return len(daemon.find_log("info  request refused")) + summed

    wait_until(lambda: told() == refused, lambda: f"{refused} refusals, told {told()}")
    assert len(daemon.find_log("info  request refused")) < refused / 2
    for _ in range(30):
        daemon.open("/echo").finish()
    wait_until(lambda: len(daemon.find_log("session closed")) == 30, "each session's own line")
