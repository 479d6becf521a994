# SPDX-License-Identifier: MIT
"""The harness itself: a daemon that misbehaves must not pass. The ones here are small scripts, each bad in one way."""

import os
import re
import subprocess
import sys
import textwrap

import pytest

from lib import proc
from lib.daemon import Wsluice
from lib.setting import REPO
from lib.tools import Peak
from lib.wire import BINARY, PING, frame

SCRIPT = """\
#!/usr/bin/python3
import os, signal, socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def say(line): os.write(2, line.encode() + b"\\n")
def ready(): say(f"listening on ws://127.0.0.1:{port}/")
"""


@pytest.fixture
def start(tmp_path):
    """start(CODE) starts a script that does CODE and then waits; the daemon is killed if the test does not end it."""
    started = []

    def start(code):
        path = tmp_path / "daemon"
        path.write_text(SCRIPT + textwrap.dedent(code) + "\nwhile True: signal.pause()\n")
        path.chmod(0o755)
        started.append(Wsluice(binary=str(path)))
        started[-1].patience = 0.5
        return started[-1]

    yield start
    for daemon in started:
        if daemon.alive():
            daemon.kill()


def test_a_good_one_passes(start):
    daemon = start("ready()")
    daemon.connect()
    daemon.finish()


@pytest.mark.parametrize("code, complaint", [
    pytest.param("signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\nready()", "exit status 3", id="exit-status"),
    pytest.param("signal.signal(signal.SIGTERM, signal.SIG_DFL)\nready()", "exit status -15", id="killed-by-signal"),
    pytest.param("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()", "had to be killed", id="ignores-sigterm"),
    pytest.param("ready(); say('==1==ERROR: AddressSanitizer: heap-use-after-free')", "heap-use-after-free",
                 id="address-sanitizer"),
    pytest.param("ready(); say('x.c:1:2: runtime error: signed integer overflow')", "integer overflow",
                 id="undefined-behaviour"),
    pytest.param("""
        def leave(*_):
            subprocess.Popen(["sleep", "100"], start_new_session=True, stderr=subprocess.DEVNULL)
            os._exit(0)
        signal.signal(signal.SIGTERM, leave)
        ready()""", r"left behind: \d+ \(.\) ", id="orphan"),
    pytest.param("kept = subprocess.Popen(['sleep', '100'], start_new_session=True, stderr=subprocess.DEVNULL)\n"
                 "ready()", r"child \d+ \(.\) sleep 100", id="child"),
    pytest.param("os.fork() or os._exit(0)\nready()", r"child \d+ \(Z\)", id="zombie"),
    pytest.param("ready(); listener.accept()[0].close(); kept = os.pipe(); say('leaked')", "'pipe': 3",
                 id="descriptors"),
    pytest.param("ready()\nkept = [listener.accept()]; say('leaked')", "'socket': 2", id="client-socket"),
])
def test_a_bad_one_does_not(start, code, complaint):
    daemon = start(code)
    daemon.connect()
    if "leaked" in code:
        daemon.wait_for_log("leaked")
    with pytest.raises(AssertionError) as failure:
        daemon.finish()
    assert re.search(complaint, str(failure.value)), failure.value
    assert not daemon.alive()


@pytest.mark.parametrize("code, complaint", [
    pytest.param("say('port in use'); sys.exit(1)", "exited with 1 at once:.*port in use", id="dies"),
    pytest.param("say('listening on ws://127.0.0.1:1/')", "not a socket of process", id="somebody-elses-port"),
])
def test_a_bad_start_is_seen(start, code, complaint):
    with pytest.raises(AssertionError) as failure:
        start(code)
    assert re.search(complaint, str(failure.value), re.S), failure.value


def test_log_lines_are_found(start):
    daemon = start("ready(); say('one'); say('two 22'); os.write(2, b'torn \\xff')")
    assert daemon.wait_for_log(r"two (\d+)").group(1) == "22"
    with pytest.raises(AssertionError):
        daemon.wait_for_log("three", timeout=0.05)
    with pytest.raises(AssertionError):
        daemon.wait_for_log("one", timeout=0.05, since=daemon.mark())
    daemon.finish()
    assert daemon.log[-1] == "torn \udcff"


# What a daemon tells from inside.

def test_the_clock_stands_until_it_is_moved(wsluice):
    daemon = wsluice("--to", "echo:", "--ping", "0", "--idle-timeout", "1h", frozen=True)
    client = daemon.open()
    daemon.inside.advance(3599, step=100)
    assert client.silent(0.01)
    daemon.inside.advance(1.01)
    client.expect_close(1001)


def test_a_step_is_over_when_all_is_done_that_is_due(wsluice):
    """A ping is there when the step that it falls into is over; how much later one looks does not matter."""
    daemon = wsluice("--to", "echo:", "--ping", "10s", frozen=True)
    client = daemon.open()
    assert 8.9 < daemon.inside.until(lambda: not client.silent(0.001), 12) < 11.2
    assert client.read_frame().opcode == PING


def test_bytes_and_turns_are_counted(wsluice):
    daemon = wsluice("--framing", "nul", "--max-message", "4M", "--", "cat", inside=True)
    small = daemon.inside.live
    with Peak(daemon) as peak:
        client = daemon.open()
        client.send(frame(BINARY, b"x" * (2 << 20), fin=False))
        proc.wait_until(lambda: daemon.inside.live > small + (2 << 20), "it to be held")
    peak.check(8 << 10)
    with pytest.raises(AssertionError, match="KiB more"):
        peak.check(1 << 10)
    client.close()
    proc.wait_until(lambda: daemon.inside.live < small + (1 << 20), "it to be given back")
    with pytest.raises(AssertionError, match="turned"), daemon.inside.turns_at_most(20):
        for _ in range(50):
            daemon.open().finish()


# A test that waits for ever.

def test_a_test_has_the_time_of_its_mark_and_no_more(tmp_path):
    (tmp_path / "test_it.py").write_text(textwrap.dedent("""\
        import time
        import pytest

        @pytest.mark.limit(1)
        def test_short():
            time.sleep(30)

        @pytest.mark.limit(3600)
        def test_long(request):
            import conftest
            assert conftest.limit_of(request.node) == 3600

        def test_other(request):
            import conftest
            assert conftest.limit_of(request.node) == conftest.WATCHDOG
        """))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", tmp_path,
                           "-o", "markers=limit(seconds): how long", tmp_path],
                          env={**os.environ, "PYTHONPATH": str(REPO / "tests" / "e2e")}, cwd=tmp_path,
                          capture_output=True, text=True)
    assert "1 failed, 2 passed" in done.stdout and "the test did not end within 1 s" in done.stdout, done.stdout + done.stderr
