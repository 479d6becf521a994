# SPDX-License-Identifier: MIT
"""What passes to a successor and what does not: our memory to programs, our sockets to a failed one's children, the log's file."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from lib import proc
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.tools import sh
from test_stop_upgrade import replaceable, successors  # noqa: F401

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start us as somebody else, and look on")
NOBODY = 65534


# ---- our memory, and programs of our user

class Tracer:
    """Stops a process, and what it forks, right behind each execve: before the first instruction of the new program."""

    SEIZE, CONT, LISTEN, DETACH, INTERRUPT = 0x4206, 7, 0x4208, 17, 0x4207
    FORK, VFORK, CLONE, EXEC, STOP = 1, 2, 3, 4, 128
    OPTIONS = 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC

    def __init__(self, pid):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.pid, self._all = pid, {pid}
        self._call(self.SEIZE, pid, 0, self.OPTIONS)

    def _call(self, what, pid, address=0, data=0):
        if self._libc.ptrace(what, pid, address, data) != 0 and what != self.DETACH:
            raise OSError(ctypes.get_errno(), f"ptrace {what} of {pid}")

    def exec(self):
        """Lets all run until one of them has executed something; its pid. It stays stopped."""
        while True:
            pid, status = os.waitpid(-1, 0x40000000)  # __WALL
            if not os.WIFSTOPPED(status):
                self._all.discard(pid)
                continue
            self._all.add(pid)
            event, number = status >> 16, os.WSTOPSIG(status)
            if event == self.EXEC:
                return pid
            self._call(self.CONT, pid, 0, number if event == 0 else 0)

    def detach(self, pid):
        self._call(self.DETACH, pid)
        self._all.discard(pid)


def open_memory(pid):
    """What comes of it when another process of user nobody tries."""
    code = f"open('/proc/{pid}/mem', 'r+b')"
    done = subprocess.run(["/usr/bin/python3", "-c", code], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.stderr else "open"


@pytest.fixture
def for_anybody():
    """A copy of the binary that nobody may execute."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "wsluice")
        shutil.copy(BINARY, path)
        os.chmod(path, 0o755)
        yield path


@needs_root
@pytest.mark.plain("the leak sanitizer has to look at its own process")
@pytest.mark.parametrize("start", [["--user", "nobody"], None], ids=["gave-up-root", "never-root"])
def test_a_successors_memory_is_closed_to_programs_before_its_first_instruction(wsluice, successors, for_anybody, start):
    """Who has /proc/PID/mem open keeps it, whatever is forbidden later; and any program of our user can cause an upgrade."""
    binary = for_anybody
    if start is None:
        binary += ".sh"
        with open(binary, "w") as file:
            file.write(f'#!/bin/sh\nexec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {for_anybody} "$@"\n')
        os.chmod(binary, 0o755)
    daemon = wsluice(*(start or []), "--to", "echo:", binary=binary)
    assert "Permission denied" in open_memory(daemon.pid)
    for sender in (daemon.pid, None):  # and that of a successor's successor
        tracer = Tracer(sender or first.pid)
        since = daemon.mark()
        os.kill(tracer.pid, signal.SIGUSR2)
        pid = tracer.exec()
        assert pid != tracer.pid and proc.process(pid).command.startswith(for_anybody)
        said = open_memory(pid)
        # the sender must be stopped to be let go; and first, for it ends once the successor serves
        os.kill(tracer.pid, signal.SIGSTOP)
        while tracer.pid in tracer._all:
            stopped, _ = os.waitpid(tracer.pid, 0x40000000)
            tracer.detach(stopped)
        os.kill(tracer.pid, signal.SIGCONT)
        tracer.detach(pid)
        assert "Permission denied" in said
        first = successors(daemon, sender=False, since=since)
        if sender == daemon.pid:
            assert daemon.wait() == 0
        wait_until(lambda: proc.process(first.pid).name == "wsluice", "its name in lists of processes")
        assert "Permission denied" in open_memory(first.pid)
    assert first.stop() == 0


@needs_root
@pytest.mark.plain("the leak sanitizer has to look at its own process")
def test_a_file_with_mode_0711_is_closed_from_the_start(for_anybody):
    """As the documents advise for a start without root: nobody cannot read it, so the kernel keeps the process to itself."""
    for mode, verdict in ((0o755, "open"), (0o711, "Permission denied")):
        os.chmod(for_anybody, mode)
        child = subprocess.Popen(["/bin/sh", "-c", 'read go; exec "$0" --version', for_anybody], user=NOBODY, group=NOBODY,
                                 extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        tracer = Tracer(child.pid)
        child.stdin.write(b"\n")
        child.stdin.close()
        assert tracer.exec() == child.pid
        assert verdict in open_memory(child.pid)
        tracer.detach(child.pid)
        assert child.wait(SOON) == 0


# ---- orders from programs

# Each lives on for a moment, as who has ended is nobody's.
@pytest.mark.parametrize("how", ["kill -{} $PPID; read x", "(kill -{} $PPID; sleep 2) & read x", "setsid -w sh -c 'kill -{} $0; read x' $PPID"])
def test_programs_give_no_orders_by_signals(wsluice, tmp_path, how):
    config = tmp_path / "c.yaml"
    config.write_text("routes: " + json.dumps([
        {"path": f"/{s}", "exec": ["sh", "-c", how.format(s)]} for s in ("HUP", "USR2")]))
    daemon = wsluice("-c", config)
    for name in ("HUP", "USR2"):
        client = daemon.open("/" + name)
        daemon.wait_for_log(rf'a signal of a program of ours is ignored.*signal=SIG{name} pid=\d+')
        client.text("")
    assert not daemon.find_log("reloaded|successor")
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log("info +reloaded")


# ---- a successor that comes to nothing

def test_what_a_killed_successor_started_goes_with_it(replaceable, tmp_path):  # noqa: F811
    """Else a child of a wrapper would keep our sockets: clients hang, and the port stays in use."""
    daemon = replaceable("--upgrade-timeout", "300ms", "--to", "echo:")
    daemon.replace(f"#!/bin/sh\nsleep 1000 &\necho $! >{tmp_path}/child\nwait\n")
    daemon.send_signal(signal.SIGUSR2)
    daemon.wait_for_log("was killed")
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: proc.process(child) is None or proc.process(child).state == "Z", "the child of the successor to be gone")
    daemon.open().finish()


def test_one_that_ends_at_once_takes_its_children_along(replaceable, tmp_path):  # noqa: F811
    daemon = replaceable("--to", "echo:")
    daemon.replace(f"#!/bin/bash\neval \"exec $WSLUICE_READY>&-\"\nsleep 1000 &\necho $! >{tmp_path}/child\nexit 3\n")
    daemon.send_signal(signal.SIGUSR2)
    daemon.wait_for_log('the successor did not start; this process goes on.*reason="exit status 3"')
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: proc.process(child) is None or proc.process(child).state == "Z", "the child of the successor to be gone")


def test_a_successor_that_serves_is_in_our_group_again(replaceable, successors, tmp_path):  # noqa: F811
    """So keys of the terminal (Ctrl-C) reach it; until then its group is its own."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    daemon = replaceable("--to", "echo:")
    shutil.copy(BINARY, tmp_path / "real")
    daemon.replace(f"#!/bin/sh\nread line <{gate}\nexec {tmp_path}/real \"$@\"\n")
    group, since = os.getpgid(daemon.pid), daemon.mark()
    daemon.send_signal(signal.SIGUSR2)
    pid = int(daemon.wait_for_log(r"starting a successor.*pid=(\d+)").group(1))
    wait_until(lambda: os.getpgid(pid) == pid, "a group of its own")
    gate.write_text("\n")
    successor = successors(daemon, sender=False, since=since)
    assert os.getpgid(pid) == group
    assert daemon.wait() == 0
    assert successor.stop() == 0


# ---- what goes over

@needs_root
def test_a_log_file_of_root_goes_over_to_somebody_else(wsluice, successors, tmp_path):
    """The successor is nobody, and may not open what root did."""
    log = tmp_path / "log"
    with open(os.devnull) as null:
        daemon = wsluice("--user", "nobody", "--log-to", log, "--to", "echo:", stdin=null, ready=False)
    wait_until(lambda: log.exists() and "listening on" in log.read_text(), "the log")
    assert log.stat().st_uid == 0 and tmp_path.stat().st_mode & 0o077 == 0
    daemon.baseline = daemon._descriptors()
    daemon.send_signal(signal.SIGUSR2)
    wait_until(lambda: "the successor serves" in log.read_text(), lambda: log.read_text())
    pid = int(log.read_text().split("the successor serves pid=")[1].split()[0])
    proc.started.add(pid)
    assert daemon.wait() == 0
    names = [t for t in proc.fds(pid).values() if t == str(log)]
    assert names == [str(log)], "once, and not left open a second time"
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    proc.started.discard(pid)
    assert log.read_text().count("stopped") == 2


def test_sockets_that_left_the_file_leave_the_disk(wsluice, successors, tmp_path):
    config, keep, go = tmp_path / "c.yaml", tmp_path / "keep", tmp_path / "go"
    admin = tmp_path / "admin"

    def write(listen, **more):
        config.write_text(json.dumps({"listen": [f"unix:{p}" for p in listen], "routes": [{"to": "echo:"}], **more}))

    write([keep, go], admin=f"unix:{admin}")
    daemon = wsluice("-c", config, listen=False)
    assert keep.exists() and go.exists() and admin.exists()
    write([keep])
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert keep.exists() and not go.exists() and not admin.exists()
    daemon.open(address=str(keep)).finish()
    assert successor.stop() == 0
    assert not keep.exists()
