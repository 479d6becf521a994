# SPDX-License-Identifier: MIT
"""SIGUSR2: a new binary takes over the listening sockets, and nobody outside notices but those told to come back."""

import os
import shutil
import signal
import stat
import time

import pytest

from lib import proc
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.swarm import Swarm
from lib.tools import PYTHON, orphans_reaped, sh
from lib.wire import TEXT


class Successor:
    """A process that a daemon started in its own place; by the time it is ours to end, it is our child."""

    def __init__(self, pid):
        self.pid = pid
        proc.started.add(pid)

    def fds(self):
        return proc.fds(self.pid)

    def sockets(self):
        return sum(t.startswith("socket:") for t in self.fds().values())

    def stop(self):
        """SIGTERM; returns the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self, patience=2 * SOON):
        status = []

        def reap():
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                status.append(os.waitstatus_to_exitcode(how))
            return pid

        wait_until(reap, f"process {self.pid} to end", patience)
        proc.started.discard(self.pid)
        return status[0]

    def gone(self):
        return proc.process(self.pid) is None


@pytest.fixture
def successors():
    """succeed(DAEMON) sends SIGUSR2 and returns the successor when it serves. What is left is ended."""
    made = []

    def succeed(daemon, sender=None, since=None):
        since = daemon.mark() if since is None else since
        if sender is not False:
            os.kill(sender or daemon.pid, signal.SIGUSR2)
        pid = int(daemon.wait_for_log(r"the successor serves.*pid=(\d+)", 2 * SOON, since).group(1))
        made.append(Successor(pid))
        return made[-1]

    yield succeed
    for one in made:
        if not one.gone():
            try:
                os.kill(one.pid, signal.SIGKILL)
                one.wait()
            except (ProcessLookupError, ChildProcessError):
                proc.started.discard(one.pid)


def test_under_load_nobody_is_refused_or_lost(wsluice, successors):
    daemon = wsluice("--max-per-address", "0", "--to", "echo:")
    client = daemon.open()
    client.text("before")
    assert client.read_message() == (TEXT, b"before")
    with Swarm(daemon.address) as swarm:
        swarm.wait(100)
        successor = successors(daemon)
        assert client.expect_close(1001) == "shutdown"
        assert daemon.wait(2 * SOON) == 0, "the old one"
        swarm.wait(150)
    swarm.check()
    after = daemon.open()
    after.text("after")
    assert after.read_message() == (TEXT, b"after")
    after.finish()
    assert successor.stop() == 0


def test_the_listening_socket_is_the_same_one(wsluice, successors):
    daemon = wsluice("--to", "echo:")
    before = proc.listening_inodes()[daemon.port]
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert proc.listening_inodes()[daemon.port] == before
    assert successor.stop() == 0
    assert daemon.port not in proc.listening_inodes()


def test_a_program_on_the_old_side_can_finish(orphans_reaped, wsluice, successors, tmp_path):
    """The old one goes by the same ladder as on SIGTERM: first the end of input, then time."""
    daemon = wsluice("--stop-grace", "20s", *sh(f"cat >/dev/null; echo last words; echo saved >{tmp_path}/state"))
    client = daemon.open()
    successor = successors(daemon)
    code, _, _ = client.read_close()
    assert code == 1001
    client.close()
    assert daemon.wait() == 0
    assert (tmp_path / "state").read_text() == "saved\n"
    assert successor.stop() == 0


def test_twice_in_a_row_and_no_descriptor_is_added(wsluice, successors):
    daemon = wsluice("--max-per-address", "0", "--to", "echo:")
    before = sorted(t.partition(":")[0] for t in daemon.fds().values())
    with Swarm(daemon.address) as swarm:
        swarm.wait(50)
        first = successors(daemon)
        assert daemon.wait(2 * SOON) == 0
        swarm.wait(50)
        second = successors(daemon, sender=first.pid)
        assert second.pid != first.pid
        assert first.wait() == 0
        swarm.wait(50)
    swarm.check()
    wait_until(lambda: sorted(t.partition(":")[0] for t in second.fds().values()) == before,
               lambda: f"the descriptors {second.fds()} to be as those of the first process: {before}")
    assert second.stop() == 0


def test_unix_socket_file_survives(wsluice, successors, tmp_path):
    path = tmp_path / "sock"
    daemon = wsluice("-l", f"unix:{path}", "--to", "echo:")
    before = path.stat()
    with Swarm(path) as swarm:
        swarm.wait(50)
        successor = successors(daemon)
        assert daemon.wait(2 * SOON) == 0
        swarm.wait(50)
    swarm.check()
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (before.st_ino, stat.S_IMODE(before.st_mode))
    assert successor.stop() == 0
    assert not path.exists(), "the last one removes it"


def test_the_admin_address_goes_over_too(wsluice, successors, tmp_path):
    """Whoever asks there, before and after, asks the process that serves."""
    path = tmp_path / "admin"
    daemon = wsluice("--admin", f"unix:{path}", "--to", "echo:")
    before = path.stat().st_ino

    def ready():
        with daemon.connect(str(path)) as client:
            client.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.read_response().status

    assert ready() == 200
    client = daemon.open()
    successor = successors(daemon)
    for _ in range(5):  # while the old one drains, too
        assert ready() == 200
    assert client.read_close()[0] == 1001
    client.close()
    assert daemon.wait() == 0
    assert ready() == 200 and path.stat().st_ino == before
    assert successor.stop() == 0
    assert not path.exists()


# ---- a new binary that is no good

@pytest.fixture
def replaceable(wsluice, tmp_path):
    """replaceable(ARG, ...) starts a copy of the binary; .replace(FILE or script text) puts another in its place, as
    an installation does: a new file under the old name."""
    path = tmp_path / "wsluice"
    shutil.copy(BINARY, path)

    def replace(other):
        new = tmp_path / "new"
        if other is None:
            path.unlink()
            return
        if other.startswith("#!"):
            new.write_text(other)
            new.chmod(0o755)
        else:
            shutil.copy(other, new)
        new.rename(path)

    def start(*args, **how):
        daemon = wsluice(*args, binary=str(path), **how)
        daemon.replace = replace
        return daemon

    return start


@pytest.mark.parametrize("broken, reason", [
    pytest.param("/bin/false", "exit status 1", id="fails"),
    pytest.param("/bin/true", "exit status 0", id="ends-well-but-never-served"),
    pytest.param(None, "cannot execute it: No such file or directory", id="missing"),
    pytest.param("#!/nonexistent/interpreter\n", "cannot execute it: No such file or directory", id="cannot-run"),
    pytest.param("#!/bin/sh\nkill -SEGV $$\n", "signal SIGSEGV", id="crashes"),
    pytest.param(f"#!/bin/sh\nexec {BINARY} --no-such-option\n", "exit status 2", id="refuses-its-arguments"),
    pytest.param(f"#!{PYTHON} -IS\nimport os, time\nos.closerange(3, 100)\ntime.sleep(1000)\n", "it lives and has let go of its predecessor", id="lives-but-let-go"),
])
def test_broken_successor_leaves_the_old_one_serving(replaceable, successors, broken, reason):
    daemon = replaceable("--max-per-address", "0", "--to", "echo:")
    client = daemon.open()
    with Swarm(daemon.address) as swarm:
        swarm.wait(30)
        daemon.replace(broken)
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_for_log(f'the successor did not start; this process goes on pid=.* reason="{reason}"', 2 * SOON)
        swarm.wait(30)
    swarm.check()
    assert swarm.away == 0
    client.text("still there")
    assert client.read_message() == (TEXT, b"still there")
    assert not daemon.children()
    client.finish()
    # and when the right one is put in place, it works
    daemon.replace(BINARY)
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert successor.stop() == 0


# ---- a new binary that takes its time

@pytest.fixture
def slow(replaceable, tmp_path):
    """A daemon whose successor starts only when .go() is called."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def start(*args):
        daemon = replaceable(*args)
        shutil.copy(BINARY, tmp_path / "real")
        daemon.replace(f"#!/bin/sh\nread line <{gate}\nexec {tmp_path}/real \"$@\"\n")
        daemon.go = gate.write_text
        return daemon

    return start


def test_while_a_successor_is_starting_all_goes_on(slow, successors):
    daemon = slow("--max-per-address", "0", "--to", "echo:")
    since = daemon.mark()
    with Swarm(daemon.address) as swarm:
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_for_log("starting a successor")
        client = daemon.open()
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_for_log("a successor is being started already")
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for_log("info +reloaded")
        swarm.wait(50)
        assert len(daemon.children()) == 1, "one successor only"
        client.text("served")
        assert client.read_message() == (TEXT, b"served")
        daemon.go("\n")
        successor = successors(daemon, sender=False, since=since)
        assert client.read_close()[0] == 1001
        client.close()
        assert daemon.wait(2 * SOON) == 0
        swarm.wait(50)
    swarm.check()
    assert successor.stop() == 0


def test_sigterm_while_a_successor_is_starting_stops_both(slow):
    daemon = slow("--to", "echo:")
    daemon.send_signal(signal.SIGUSR2)
    pid = int(daemon.wait_for_log(r"starting a successor.*pid=(\d+)").group(1))
    assert daemon.stop() == 0
    assert proc.process(pid) is None
    assert daemon.port not in proc.listening_inodes()


def test_a_successor_that_hangs_is_killed_and_the_old_one_serves_on(slow, successors):
    daemon = slow("--upgrade-timeout", "300ms", "--to", "echo:")
    client = daemon.open()
    daemon.send_signal(signal.SIGUSR2)
    pid = int(daemon.wait_for_log(r"starting a successor.*pid=(\d+)").group(1))
    daemon.wait_for_log(rf"the successor does not serve within upgrade-timeout and was killed.*pid={pid}")
    wait_until(lambda: proc.process(pid) is None, "the successor to be gone")
    client.text("still there")
    assert client.read_message() == (TEXT, b"still there")
    client.finish()
    daemon.replace(BINARY)  # and the next is given its time, too
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert successor.stop() == 0


def test_a_successor_in_time_is_not_killed_later(slow, successors):
    daemon = slow("--upgrade-timeout", "5s", "--drain-timeout", "60s", "--stop-grace", "30s",
                  *sh("cat >/dev/null; sleep 30"))
    stays = daemon.open()
    since, start = daemon.mark(), time.monotonic()
    daemon.send_signal(signal.SIGUSR2)
    daemon.go("\n")
    successor = successors(daemon, sender=False, since=since)
    time.sleep(max(0, start + 5.3 - time.monotonic()))
    assert not successor.gone() and not daemon.find_log("was killed")
    stays.rst()
    daemon.stop()
    assert successor.stop() == 0


def two_lines(daemon):
    """What a program of the daemon says."""
    client = daemon.open()
    got = [client.read_message()[1], client.read_message()[1]]
    client.read_close()
    client.close()
    return got


def test_programs_of_the_successor_have_the_limits_of_the_start(wsluice, successors, tmp_path):
    """We raise our own descriptor limit; programs, of the successor too, get what was ours at the start."""
    launcher = tmp_path / "launcher"
    launcher.write_text(f"#!/bin/sh\nulimit -Sn 321\nexec {BINARY} \"$@\"\n")
    launcher.chmod(0o755)
    daemon = wsluice(*sh("ulimit -Sn; ulimit -Hn"), binary=str(launcher))
    before = two_lines(daemon)
    assert before[0] == b"321" and before[1] != b"321"
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert two_lines(daemon) == before
    assert successor.stop() == 0


def test_programs_get_nothing_of_it(wsluice, successors):
    """Neither the variables nor the descriptors of the succession reach a program."""
    daemon = wsluice("--pass-env", "WSLUICE_PASSED,WSLUICE_READY",
                     *sh("env | grep -c -e WSLUICE_PASSED -e WSLUICE_READY; ls /proc/self/fd | wc -l"))
    before = two_lines(daemon)
    assert before[0] == b"0"
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert two_lines(daemon) == before
    assert successor.stop() == 0
