# SPDX-License-Identifier: MIT
"""What a service manager is told, the sockets it passes, and the unit files in contrib/systemd."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lib import peers, proc
from lib.proc import wait_until
from lib.setting import BINARY, REPO, SCALE, SOON
from lib.tools import PYTHON, orphans_reaped, sh  # noqa: F401
from lib.wire import TEXT, Raw
from test_stop_upgrade import successors  # noqa: F401

UNITS = REPO / "contrib" / "systemd"


class Manager:
    """The receiving end of $NOTIFY_SOCKET. Each message is a dict, with the sender's pid under "from"."""

    def __init__(self, path):
        self.env = {"NOTIFY_SOCKET": str(path)}
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._sock.bind("\0" + str(path)[1:] if str(path).startswith("@") else str(path))
        self.got = []

    def _read(self, timeout):
        self._sock.settimeout(timeout)
        data, ancillary, _, _ = self._sock.recvmsg(4096, 256)
        message = dict(line.split("=", 1) for line in data.decode().split("\n"))
        message["from"] = int.from_bytes(ancillary[0][2][:4], "little")
        message["at"] = time.monotonic()
        self.got.append(message)
        return message

    def wait(self, key, value=None, timeout=SOON):
        """The next message with that key."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self._read(left)
            except TimeoutError:
                break
            if key in message and value in (None, message[key]):
                return message
        raise AssertionError(f"no {key}={value or ''} came; but: {self.got}")

    def all_so_far(self):
        messages = []
        while True:
            try:
                messages.append(self._read(0.001))
            except (TimeoutError, BlockingIOError):
                return messages

    def close(self):
        self._sock.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def managed(wsluice, manager):
    """Starts a daemon that tells the manager; what READY says comes with it, as .ready."""
    def start(*args, env=None, **how):
        daemon = wsluice(*args, env={**manager.env, **(env or {})}, **how)
        daemon.ready = manager.wait("READY", "1")
        daemon.baseline = daemon._descriptors()  # the socket to the manager is opened behind the listeners
        return daemon
    return start


# ---- what it is told

def test_ready_comes_when_it_listens_and_stopping_when_it_drains(managed, manager):
    daemon = managed("--to", "echo:")
    assert daemon.ready["from"] == daemon.pid
    assert daemon.ready["STATUS"]
    client = daemon.open()
    daemon.send_signal(signal.SIGTERM)
    stopping = manager.wait("STOPPING", "1")
    assert "1 session" in stopping["STATUS"]
    assert client.read_close()[0] == 1001
    client.close()
    assert daemon.wait() == 0
    assert not [m for m in manager.all_so_far() if "READY" in m]


def test_abstract_socket(wsluice):
    manager = Manager(f"@wsluice-test-{os.getpid()}")
    try:
        daemon = wsluice("--to", "echo:", env=manager.env)
        assert manager.wait("READY")["from"] == daemon.pid
        daemon.baseline = daemon._descriptors()
    finally:
        manager.close()


def test_not_ready_when_it_cannot_listen(wsluice, manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = wsluice("-l", "127.0.0.1:%d" % taken.getsockname()[1], "--to", "echo:", env=manager.env, ready=False)
        daemon.expect_exit = 1
        assert daemon.wait() == 1
    assert not manager.all_so_far()


@pytest.mark.parametrize("path", ["/nonexistent/notify", "", "relative", "/" + "x" * 200])
def test_nobody_to_tell_is_no_trouble(wsluice, path):
    daemon = wsluice("--to", "echo:", env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"})
    daemon.send_signal(signal.SIGHUP)
    daemon.open().finish()


def test_a_manager_that_does_not_read_holds_nothing_up(managed, manager):
    daemon = managed("--to", "echo:", env={"WATCHDOG_USEC": "2000"}, frozen=True)
    daemon.inside.advance(0.3, step=0.002)  # far more messages than its queue takes
    daemon.inside.thaw()
    daemon.open().finish()
    assert sum("WATCHDOG" in m for m in manager.all_so_far()) >= 5, "its queue was never full: this proves nothing"
    manager.wait("WATCHDOG", "1")  # it goes on where there is room again


def test_reloading_has_its_time_and_ends_with_ready(managed, manager):
    daemon = managed("--to", "echo:")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.send_signal(signal.SIGHUP)
    reloading = manager.wait("RELOADING", "1")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.wait("READY", "1")["STATUS"]


def test_the_environment_does_not_reach_programs(managed):
    daemon = managed(*sh("env | grep -c -e NOTIFY -e WATCHDOG -e LISTEN_"),
                     env={"WATCHDOG_USEC": "1000000", "LISTEN_FDNAMES": "x"})
    assert daemon.open().read_message() == (TEXT, b"0")


# ---- the watchdog

def test_watchdog_is_fed_by_the_loop(managed, manager):
    """Twice in its time; and when the loop does not run, not at all."""
    daemon = managed("--to", "echo:", env={"WATCHDOG_USEC": "400000"}, frozen=True)
    manager.all_so_far()
    daemon.inside.advance(1.6, step=0.05)  # no more than its queue takes
    fed = manager.all_so_far()
    assert 7 <= len(fed) <= 9 and {(m["from"], m.get("WATCHDOG")) for m in fed} == {(daemon.pid, "1")}
    daemon.inside.thaw()
    manager.wait("WATCHDOG", "1")
    daemon.send_signal(signal.SIGSTOP)
    wait_until(lambda: proc.process(daemon.pid).state == "T", "it to be stopped")
    manager.all_so_far()
    time.sleep(0.5)
    assert not manager.all_so_far(), "fed by somebody else than the loop"
    daemon.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG", "1")


def test_watchdog_is_fed_through_a_drain(managed, manager):
    daemon = managed("--close-timeout", "60s", "--drain-timeout", "50s", "--to", "echo:", env={"WATCHDOG_USEC": "2000000"}, frozen=True)
    client = daemon.open()
    daemon.send_signal(signal.SIGTERM)
    manager.wait("STOPPING")
    manager.all_so_far()
    daemon.inside.advance(8, step=0.5)
    assert 7 <= sum("WATCHDOG" in m for m in manager.all_so_far()) <= 9
    client.close()
    assert daemon.wait() == 0


def launcher(tmp_path, script):
    """An executable that is `script` (Python) and becomes the daemon, with its arguments and its pid."""
    path = tmp_path / "launcher"
    path.write_text(f"#!{PYTHON} -IS\nimport os, sys\npid = str(os.getpid())\n{script}\n"
                    f"os.execv({BINARY!r}, [{BINARY!r}, *sys.argv[1:]])\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("whose, fed", [("pid", True), ("'1'", False)])
def test_watchdog_of_another_process_is_not_fed(managed, manager, tmp_path, whose, fed):
    managed("--to", "echo:", env={"WATCHDOG_USEC": "100000"},
            binary=launcher(tmp_path, f"os.environ['WATCHDOG_PID'] = {whose}"))
    if fed:
        manager.wait("WATCHDOG")
    else:
        time.sleep(0.5)
        assert not [m for m in manager.all_so_far() if "WATCHDOG" in m]


def test_upgrade_names_the_new_main_process_and_never_says_stopping(managed, manager, successors, tmp_path):
    """To systemd the service goes on: STOPPING from the old one would end all of it, and an unfed watchdog too."""
    daemon = managed("--close-timeout", "60s", "--drain-timeout", f"{SCALE}s", "--to", "echo:",
                     env={"WATCHDOG_USEC": "200000"}, binary=launcher(tmp_path, "os.environ['WATCHDOG_PID'] = pid"))
    manager.wait("WATCHDOG")
    daemon.open()
    successor = successors(daemon)
    named = manager.wait("MAINPID")
    assert (named["from"], named["MAINPID"]) == (daemon.pid, str(successor.pid))
    for _ in range(3):
        assert manager.wait("WATCHDOG")["from"] == successor.pid
    assert daemon.wait(2 * SOON) == 0
    manager.all_so_far()
    since = manager.got.index(named)
    assert not [m for m in manager.got if "STOPPING" in m]
    assert {m["from"] for m in manager.got[since + 1 :]} == {successor.pid}, "the old one has nothing to say any more"
    assert any("READY" in m for m in manager.got if m["from"] == successor.pid)
    os.kill(successor.pid, signal.SIGTERM)
    assert manager.wait("STOPPING")["from"] == successor.pid
    assert successor.wait() == 0


# ---- sockets that are passed

PASS = """
import socket
made = []
def tcp():
    made.append(socket.create_server(("127.0.0.1", 0)))
def unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    made.append(sock)
{make}
for i, sock in enumerate(made):
    os.dup2(os.dup(sock.fileno()), 40 + i)
for i in range(len(made)):
    os.dup2(40 + i, 3 + i)
os.closerange(3 + len(made), 100)
os.environ.update(LISTEN_FDS=str(len(made)), LISTEN_PID={pid}, **({{"LISTEN_FDNAMES": {names!r}}} if {names!r} else {{}}))
"""


@pytest.fixture
def activated(wsluice, tmp_path):
    """activated(CODE that makes sockets, names, ARG, ...) starts a daemon that finds them at descriptor 3 and on."""
    def start(make, names, *args, pid="pid", **how):
        return wsluice(*args, binary=launcher(tmp_path, PASS.format(make=make, names=names, pid=pid)), **how)
    return start


def echoes(daemon, address=None):
    client = daemon.open(address=address)
    client.text("hello")
    assert client.read_message() == (TEXT, b"hello")
    client.finish()


def test_a_passed_socket_serves(activated):
    daemon = activated("tcp()", None, "-l", "systemd", "--to", "echo:")
    assert len(daemon.addresses) == 1
    echoes(daemon)


def test_names_choose(activated, tmp_path):
    path = tmp_path / "b.sock"
    daemon = activated(f"tcp(); unix({str(path)!r}); tcp()", "a:b:c", "-l", "systemd:b", "-l", "systemd:a", "--to", "echo:")
    assert len(daemon.addresses) == 2
    for address in daemon.addresses:
        echoes(daemon, address)
    assert str(path) in daemon.addresses
    # nobody asked for c: it is closed, and its clients are refused rather than left waiting
    ours = {t[8:-1] for t in daemon.fds().values() if t.startswith("socket:[")}
    assert len([port for port, inodes in proc.listening_inodes().items() if inodes & ours]) == 1


def test_bare_systemd_takes_all(activated, tmp_path):
    daemon = activated("tcp(); tcp()", "a:b", "-l", "systemd", "--to", "echo:")
    wait_until(lambda: len(daemon.find_log("listening on")) == 2, "both")
    for match in daemon.find_log(r"listening on ws://127.0.0.1:(\d+)/"):
        echoes(daemon, ("127.0.0.1", int(match.group(1))))


def test_a_passed_socket_outlives_a_reload_that_fails(activated, tmp_path):
    """One that would have gone by it: nobody could give it to us again."""
    file = tmp_path / "wsluice.yaml"
    file.write_text("listen: [systemd]\nroutes: [{to: 'echo:'}]\n")
    daemon = activated("tcp()", None, "-c", file, listen=False)
    file.write_text("listen: ['127.0.0.2:0']\nadmin: unix:/nonexistent/admin\nroutes: [{to: 'echo:'}]\n")
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log("not reloaded")
    echoes(daemon)


@pytest.mark.parametrize("make, names, listen", [
    ("", None, "systemd"), ("tcp()", "web", "systemd:other"), ("tcp()", None, "systemd:web"),
])
def test_socket_that_was_not_passed_is_told(activated, make, names, listen):
    daemon = activated(make, names, "-l", listen, "--to", "echo:", ready=False)
    daemon.expect_exit = 1
    assert daemon.wait() == 1
    assert f"cannot listen on {listen}: no such socket was passed" in daemon.log[-1]


def test_sockets_for_another_process_are_not_taken(activated):
    daemon = activated("tcp()", None, "-l", "systemd", "--to", "echo:", pid="'1'", ready=False)
    daemon.expect_exit = 1
    assert daemon.wait() == 1


def test_a_descriptor_that_does_not_listen_is_refused(activated):
    daemon = activated("made.append(socket.socket())", None, "-l", "systemd", "--to", "echo:", ready=False)
    daemon.expect_exit = 1
    assert daemon.wait() == 1
    assert "does not listen" in daemon.log[-1]


def test_the_file_of_a_socket_unit_stays(activated, tmp_path):
    """systemd listens on while we are away: without the file nobody could start us again."""
    path = tmp_path / "s.sock"
    daemon = activated(f"unix({str(path)!r})", None, "-l", "systemd", "--to", "echo:")
    echoes(daemon, str(path))
    assert daemon.stop() == 0
    assert path.exists()


def test_passed_sockets_survive_an_upgrade(activated, successors, tmp_path):
    path = tmp_path / "s.sock"
    daemon = activated(f"tcp(); unix({str(path)!r})", "web:local", "-l", "systemd:web", "-l", "systemd:local", "--to", "echo:")
    successor = successors(daemon)
    assert daemon.wait() == 0
    for address in daemon.addresses:
        with Raw.connect(address).open() as client:
            client.text("hello")
            assert client.read_message() == (TEXT, b"hello")
            client.finish()
    assert successor.stop() == 0
    assert path.exists()


def test_no_variable_and_no_socket_of_it_reaches_programs(activated):
    daemon = activated("tcp()", "web", "-l", "systemd", *sh("env | grep -c LISTEN_; ls /proc/self/fd | wc -l"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"0")
    assert client.read_message() == (TEXT, b"4")  # 0-2 and the folder itself


def test_with_systemd_socket_activate(tmp_path):
    """The real one: it listens, and starts us when the first client comes."""
    path = tmp_path / "s.sock"
    process = subprocess.Popen(
        ["systemd-socket-activate", "-l", str(path), "--fdname=web", BINARY, "-l", "systemd:web", "--to", "echo:"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=proc.die_with_parent)
    proc.started.add(process.pid)
    try:
        wait_until(path.exists, "its socket")
        for _ in range(3):
            with Raw.connect(str(path)).open() as client:
                client.text("hello")
                assert client.read_message() == (TEXT, b"hello")
                client.finish()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SOON)
        assert process.returncode == 0, said
        assert b"listening on ws+unix:" in said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        proc.started.discard(process.pid)


# ---- the files in contrib/systemd

@pytest.fixture
def units(tmp_path):
    """The unit files as they would be installed, with the binary that is tested."""
    folder = tmp_path / "units"
    folder.mkdir()
    for name in ("wsluice.service", "wsluice.socket"):
        text = (UNITS / name).read_text()
        (folder / name).write_text(text.replace("/usr/bin/wsluice", BINARY))
    return folder


def analyze(*args):
    done = subprocess.run(["systemd-analyze", *map(str, args)], capture_output=True, text=True, timeout=4 * SOON,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"})
    return done.returncode, done.stdout + done.stderr


def add_programs(units):
    (units / "wsluice.service.d").mkdir()
    for name in ("programs.conf", "cgroup.conf"):
        shutil.copy(UNITS / name, units / "wsluice.service.d")


@pytest.mark.parametrize("programs", [False, True])
def test_units_are_valid(units, programs):
    if programs:
        add_programs(units)
    status, said = analyze("verify", "--man=no", *units.glob("wsluice.s*[et]"))
    assert (status, said) == (0, "")


def test_verify_would_find_a_fault(units):
    path = units / "wsluice.service"
    path.write_text(path.read_text().replace("KillMode=mixed", "KillMod=mixed"))
    assert "KillMod" in analyze("verify", "--man=no", path)[1]


@pytest.mark.parametrize("programs, most", [(False, 1.5), (True, 2.0)])
def test_exposure(units, programs, most):
    if programs:
        add_programs(units)
    status, said = analyze("security", "--offline=true", "--no-pager", units / "wsluice.service")
    level = float(re.search(r"Overall exposure level for wsluice.service: ([\d.]+)", said).group(1))
    assert level <= most, said


def seconds(text):
    return sum(float(n) * {"ms": 0.001, "s": 1, "min": 60, "m": 60}[unit or "s"]
               for n, unit in re.findall(r"([\d.]+)\s*(ms|s|min|m)?", text))


def test_units_wait_longer_than_the_drain():
    stop = re.search(r"^TimeoutStopSec=(.*)$", (UNITS / "wsluice.service").read_text(), re.M).group(1)
    said = subprocess.run([BINARY, "--help-all"], capture_output=True, text=True, timeout=SOON).stdout
    said = re.sub(r"\s+", " ", said)
    drain = re.search(r"--drain-timeout TIME .*?\((\d+m?s)\)", said).group(1)
    assert seconds(stop) >= seconds(drain) + 5


def allowed_calls():
    """The names that the unit's SystemCallFilter lines let through."""
    sets, current = {}, None
    for line in analyze("syscall-filter", "--no-pager")[1].splitlines():
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), set())
        elif current is not None and line.startswith("    ") and not line.strip().startswith("#"):
            current.add(line.strip())

    def expand(name):
        return set().union(*map(expand, sets[name])) if name.startswith("@") else {name}

    allowed = expand("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", (UNITS / "wsluice.service").read_text(), re.M):
        named = set().union(*map(expand, line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@pytest.mark.plain("sanitizers make calls of their own")
def test_system_call_filter_has_all_that_we_use(orphans_reaped, wsluice, server, successors, tmp_path):
    """Everything the daemon calls while it starts, serves, reloads, hands over and drains."""
    trace = tmp_path / "trace"
    strace = tmp_path / "strace"
    strace.write_text(f"#!/bin/sh\nexec strace -D -f -qq --signal=none -o {trace} {BINARY} \"$@\"\n")
    strace.chmod(0o755)
    daemon = wsluice("-l", "127.0.0.1:0", "-l", f"unix:{tmp_path}/sock", "--stop-grace", "100ms", "--kill-grace", "100ms",
                     "--static", str(UNITS), "--route", "/tcp=" + server(peers.echo).to, "--route", "/echo=echo:",
                     "--route", "/program=exec:/bin/cat", "--route", "/stubborn=exec:/bin/sleep 1000",
                     binary=str(strace))
    daemon.patience = 4 * SOON
    for path in ("/tcp", "/echo", "/program"):
        client = daemon.open(path)
        client.text("hello\n")
        client.read_message()
        client.send_frame(8, b"\x03\xe8")
        client.read_close()
        client.close()
    daemon.open("/stubborn").close()
    get = daemon.connect()
    get.send(b"GET /sysusers.conf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert get.read_response().status == 200
    get.close()
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log("info +reloaded")
    successor = successors(daemon)
    assert daemon.wait(2 * SOON) == 0
    assert successor.stop() == 0
    wait_until(lambda: not proc.orphans(), "strace to end")
    used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), re.M))
    assert {"accept4", "epoll_wait", "execve"} <= used, used
    allowed = allowed_calls()
    assert len(allowed) > 200 and "mount" not in allowed
    assert used <= allowed, f"the unit's filter would refuse {sorted(used - allowed)}"


def test_user_and_folders(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for argv in (["systemd-sysusers", f"--root={root}", UNITS / "sysusers.conf"],
                 ["systemd-tmpfiles", "--create", f"--root={root}", UNITS / "tmpfiles.conf"]):
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=2 * SOON)
        assert done.returncode == 0, done.stderr
    assert "wsluice:" in (root / "etc/passwd").read_text()
    assert oct((root / "etc/wsluice").stat().st_mode & 0o777) == "0o750"
