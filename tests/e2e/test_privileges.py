# SPDX-License-Identifier: MIT
"""What the process and its programs may still do after the start. Read from /proc; as root where there is something to give
up."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from lib import proc
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SANITIZED, SOON
from lib.wire import TEXT, Closed
from test_child_start import binary_for_anybody
from test_stop_upgrade import successors  # noqa: F401

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NONE = ["0000000000000000"]
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FOR_PROGRAMS = "00000000000000e0"  # KILL, SETGID, SETUID
NOBODY = 65534


def status(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return re.search(rf"^{field}:\s*(.*)$", file.read(), re.M).group(1).split()


def capabilities(pid):
    return {name: status(pid, name)[0] for name in SETS}


@pytest.fixture
def public():
    """A folder that every user may look into; pytest's own are for one user."""
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def configured(wsluice, public):
    """configured(CONTENT, ARG...) starts a daemon with that file; the command line has a listener on a port of its own."""
    def start(content, *args, **how):
        path = public / "wsluice.yaml"
        path.write_text(json.dumps(content))
        daemon = wsluice("--config", path, *args, **how)
        daemon.config = path
        return daemon

    return start


def only_the_file(folder):
    """The binary without the listener that the harness puts on every command line."""
    script = folder / "launcher"
    script.write_text(f'#!/bin/sh\nshift 2\nexec {BINARY} "$@"\n')
    script.chmod(0o755)
    return str(script)


def reload(daemon, content):
    """Returns the lines that it logged, and whether it took the file."""
    since = daemon.mark()
    daemon.config.write_text(json.dumps(content))
    daemon.send_signal(signal.SIGHUP)
    verdict = daemon.wait_for_log(r"not reloaded|info +reloaded", since=since)
    return "\n".join(daemon.log[since:]), not verdict.group().startswith("not")


def says(daemon, path="/"):
    """All that the program of a route says, and its close code."""
    lines = []
    with daemon.open(path) as client:
        while True:
            try:
                lines.append(client.read_message()[1].decode())
            except Closed as end:
                return "\n".join(lines), end.code


@needs_root
def test_identity_and_all_capabilities_are_given_up(wsluice):
    daemon = wsluice("--user", "nobody", "--", "cat")
    with daemon.open():
        for pid in (daemon.pid, daemon.children()[0].pid):
            assert set(status(pid, "Uid")) == {"65534"}
            assert set(status(pid, "Gid")) == {"65534"}
            assert set(status(pid, "Groups")) <= {"65534"}
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert status(pid, capabilities) == ["0000000000000000"]
            assert status(pid, "NoNewPrivs") == ["1"]
    daemon.wait_for_log('privileges uid=65534 gid=65534 capabilities=none why="nothing needs any" no_new_privs=on')


@needs_root
def test_root_cannot_be_had_again(wsluice, tmp_path):
    """A set-user-ID root shell gives nothing."""
    shell = tmp_path / "rootshell"
    shell.write_bytes(open("/usr/bin/id", "rb").read())
    shell.chmod(0o4755)
    tmp_path.chmod(0o755)
    daemon = wsluice("--user", "nobody", "--", "/usr/bin/id", "-u")
    with daemon.open() as client:
        assert client.read_message()[1] == b"65534"
    daemon = wsluice("--user", "nobody", "-r", "/=exec:/bin/sh -c " + str(shell), "--stderr", "merge")
    with daemon.open() as client:
        assert b"euid=0" not in client.read_message()[1]


# ---- root on the network


@needs_root
def test_root_without_user_is_told(wsluice):
    daemon = wsluice("--to", "echo:")
    daemon.wait_for_log("running as root.*--user")


@needs_root
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_root_does_not_serve_the_network_untold(wsluice, address):
    done = command_line("-l", "127.0.0.1:0", "-l", address, "--to", "echo:")
    assert done.returncode == 2, done
    assert "--user NAME" in done.stderr and "--user root" in done.stderr
    daemon = wsluice("-l", "127.0.0.1:0", "-l", address, "--user", "root", "--to", "echo:")
    assert not daemon.find_log("give an account")
    assert status(daemon.pid, "Uid")[1] == "0"


@needs_root
def test_a_passed_socket_on_the_network_is_no_way_round(wsluice):
    """systemd's sockets: their addresses stand in no file of ours."""
    script = ("import os, socket, sys; s = socket.create_server(('0.0.0.0', 0)); os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
              "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])")
    done = subprocess.run(["/usr/bin/python3", "-c", script, BINARY, "-l", "systemd", "--to", "echo:"],
                          capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 2 and "--user root" in done.stderr, done


@needs_root
def test_a_passed_socket_of_another_family_is_no_way_round():
    """Virtual machines reach us by it."""
    try:
        with socket.socket(socket.AF_VSOCK) as probe:
            probe.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
    except (AttributeError, OSError) as error:
        pytest.skip(f"no AF_VSOCK here: {error}")
    script = ("import os, socket, sys; s = socket.socket(socket.AF_VSOCK); s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))\n"
              "s.listen(); os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
              "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])")
    done = subprocess.run(["/usr/bin/python3", "-c", script, BINARY, "-l", "systemd", "--to", "echo:"],
                          capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 2 and "--user root" in done.stderr, done


SAYS_NO = [
    (["-l", "0.0.0.0:0"], None),
    (["-l", "[::]:0"], None),
    (["-l", "127.0.0.1:0", "--user", "nobody.such"], None),
    (["-l", "192.0.2.1:0", "--user", "root"], None),
    (["-l", "no.such.host.invalid:0"], None),
    (["-l", "127.0.0.1:0", "--user", "root"], 65534),
    (["-l", "127.0.0.1:0", "--run-as", "root"], 65534),
    (["-l", "127.0.0.1:1"], 65534),
    (["-l", "unix:/none/s"], None),
    (["-l", "unix:/s"], 65534),
    (["-l", "unix:/etc/passwd"], None),
    (["-l", "127.0.0.1:0", "--admin", "unix:/none/s"], None),
    (["-l", "127.0.0.1:0", "--log-to", "/none/log"], None),
    (["-l", "127.0.0.1:0", "--log-to", "/wsluice.log"], 65534),
    (["-l", "127.0.0.1:0", "--log-to", "/etc/passwd"], 65534),
    (["-l", "127.0.0.1:0", "--log-to", "/"], None),
]


@needs_root
@pytest.mark.parametrize("args, user", SAYS_NO)
def test_check_says_what_a_start_says(tmp_path, args, user):
    """And in the same words."""
    def run(*first):
        return subprocess.run([BINARY, *first, *args, "--", "/bin/cat"], capture_output=True, text=True, timeout=SOON, user=user,
                              group=user, extra_groups=[] if user else None, cwd="/")

    start, check = run(), run("--check")
    if "permission denied" not in start.stderr and args[-1].endswith(":1"):
        pytest.skip("ports below 1024 are free for all here")
    assert start.returncode in (1, 2) and check.returncode == 1, (start, check)
    assert start.stderr and start.stderr == check.stderr


@needs_root
def test_a_reload_is_no_way_round(configured, public):
    routes = [{"to": "echo:"}]
    daemon = configured({"listen": "127.0.0.1:0", "routes": routes}, binary=only_the_file(public))
    for more in ({}, {"user": "nobody"}):  # who we are is said at the start or not at all
        lines, taken = reload(daemon, {"listen": ["127.0.0.1:0", "0.0.0.0:0"], "routes": routes, **more})
        assert not taken and "--user root" in lines
    daemon.open().finish()


def test_a_unix_socket_is_not_the_network(wsluice, tmp_path):
    with wsluice("-l", f"unix:{tmp_path}/s", "--to", "echo:").open() as client:
        client.text("x")
        assert client.read_message()[1] == b"x"


# ---- capabilities that are kept


@needs_root
def test_what_programs_of_other_users_need_is_kept_and_not_in_effect(configured):
    daemon = configured({"user": "nobody", "routes": [{"path": "/other", "exec": ["cat"], "run-as": "daemon"},
                                                      {"path": "/own", "exec": ["cat"]}]})
    kept = {"CapInh": NONE[0], "CapPrm": FOR_PROGRAMS, "CapEff": NONE[0], "CapBnd": FOR_PROGRAMS, "CapAmb": NONE[0]}
    daemon.wait_for_log(r'privileges uid=65534 .*cap_kill,cap_setgid,cap_setuid.*run-as')
    with daemon.open("/other"), daemon.open("/own"):
        for child in daemon.children():
            assert capabilities(child.pid) == {**kept, "CapPrm": NONE[0]}
            assert sorted(proc.fds(child.pid)) == [0, 1, 2]
            assert status(child.pid, "NoNewPrivs") == ["1"]
        assert {status(c.pid, "Uid")[0] for c in daemon.children()} == {"1", str(NOBODY)}
    assert capabilities(daemon.pid) == kept
    assert SANITIZED or os.stat(f"/proc/{daemon.pid}/environ").st_uid == 0  # root's: who cannot be dumped or traced


@needs_root
def test_a_low_port_can_be_opened_again(configured, public):
    """A file that names one may name others later. An address of our own keeps it apart from everybody's."""
    host = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.9"
    low, other = f"{host}:81", f"{host}:82"
    content = {"user": "nobody", "listen": [low], "routes": [{"to": "echo:"}]}
    daemon = configured(content, binary=only_the_file(public))
    assert capabilities(daemon.pid)["CapPrm"] == "0000000000000400"
    lines, taken = reload(daemon, {**content, "listen": [other]})
    assert taken and f"listening on ws://{other}" in lines
    assert capabilities(daemon.pid)["CapEff"] == NONE[0]


@needs_root
def test_a_low_port_that_nobody_kept_a_right_for(configured, public):
    """A start without one gives the right up; the reload says what it would take, before it opens anything."""
    content = {"user": "nobody", "listen": ["127.0.0.1:0"], "routes": [{"to": "echo:"}]}
    daemon = configured(content, binary=only_the_file(public))
    lines, taken = reload(daemon, {**content, "listen": ["127.0.0.1:0", "127.0.0.1:81"]})
    assert not taken and "listen 127.0.0.1:81: ports below" in lines and "CAP_NET_BIND_SERVICE" in lines


@needs_root
def test_a_reload_cannot_have_back_what_was_given_up(configured):
    content = {"user": "nobody", "listen": ["127.0.0.1:0"], "routes": [{"exec": ["cat"]}]}
    daemon = configured(content)
    lines, taken = reload(daemon, {**content, "routes": [{"exec": ["cat"], "run-as": "daemon"}]})
    assert not taken and re.search(r"wsluice\.yaml:1:\d+: run-as daemon: .*CAP_SETUID.*restart", lines), lines
    lines, taken = reload(daemon, {**content, "routes": [{"exec": ["cat"], "no-new-privs": False}]})
    assert not taken and re.search(r"wsluice\.yaml:1:\d+: no-new-privs off.*restart", lines), lines
    daemon.open().finish()


@needs_root
def test_a_successor_has_what_was_kept(configured, successors):  # noqa: F811
    daemon = configured({"user": "nobody", "routes": [{"exec": ["id", "-u"], "run-as": "daemon"}]})
    assert says(daemon)[0] == "1"
    successor = successors(daemon)
    assert daemon.wait() == 0
    assert says(daemon)[0] == "1"
    assert capabilities(successor.pid)["CapPrm"] == FOR_PROGRAMS and capabilities(successor.pid)["CapAmb"] == NONE[0]
    assert successor.stop() == 0


@needs_root
def test_who_is_not_root_cannot_run_others_programs(public):
    path = public / "wsluice.yaml"
    path.write_text("routes:\n  - exec: [cat]\n    run-as: daemon\n")
    with binary_for_anybody() as binary:
        done = subprocess.run([binary, "-l", "127.0.0.1:0", "--config", path], capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 1 and re.search(r"wsluice\.yaml:2:5: run-as daemon: .*CAP_SETUID.*start as root", done.stderr), done


def test_ones_own_user_takes_no_privilege(wsluice):
    daemon = wsluice("--run-as", f"{os.geteuid()}:{os.getegid()}", "--", "id", "-u")
    assert says(daemon) == (str(os.geteuid()), 1000)


# ---- programs of other users


@needs_root
@pytest.mark.parametrize("user", [["--user", "nobody"], []], ids=["nobody", "root"])
def test_the_ladder_ends_programs_of_other_users(wsluice, user):
    """What ignores SIGTERM too, and what it started; the end of the test looks for both."""
    daemon = wsluice(*user, "--run-as", "daemon", "--stop-grace", "0.1s", "--kill-grace", "0.2s", "--", "sh", "-c",
                     "trap '' TERM; sh -c 'while :; do sleep 60; done' & echo on; while :; do sleep 60; done")
    with daemon.open() as client:
        assert client.read_message()[1] == b"on"
        group = daemon.children()[0].session
        assert {status(c.pid, "Uid")[1] for c in daemon.children()} == {"1"}
    wait_until(lambda: not daemon.children(), lambda: f"group {group} to end: {daemon.children()}")
    daemon.wait_for_log("session closed.*signal 9")


@needs_root
def test_kill_9_of_us_ends_programs_of_other_users(wsluice):
    daemon = wsluice("--user", "nobody", "--run-as", "daemon", "--", "cat")
    daemon.expect_exit = -signal.SIGKILL
    client = daemon.open()
    child = daemon.children()[0]
    daemon.send_signal(signal.SIGKILL)
    wait_until(lambda: (proc.process(child.pid) or child).state == "Z" or proc.process(child.pid) is None, f"{child} to end")
    client.close()


@needs_root
def test_a_program_cannot_signal_us(wsluice):
    script = "for s in 0 TERM STOP KILL; do kill -$s $PPID 2>/dev/null && echo reached; done; echo done"
    daemon = wsluice("--user", "nobody", "--run-as", "daemon", "--", "sh", "-c", script)
    assert says(daemon)[0] == "done"
    daemon.check()


@needs_root
def test_who_stops_programs_at_their_start_stops_us_for_a_moment_only(wsluice):
    """From the change of its user to its execve a program's process may be stopped by that user, while we wait for it."""
    stopper = "import os, signal\nprint('on', flush=True)\nwhile True:\n try: os.kill(-1, signal.SIGSTOP)\n except OSError: pass"
    daemon = wsluice("--user", "nobody", "--run-as", "daemon", "--stop-grace", "0.1s", "--kill-grace", "0.1s",
                     "-r", "/true=exec:true", "--", "/usr/bin/python3", "-c", stopper)
    with daemon.open() as client:
        assert client.read_message()[1] == b"on"
        for _ in range(100):
            daemon.open("/true").close()


@needs_root
def test_dev_stdin_is_there_for_other_users(wsluice):
    daemon = wsluice("--user", "nobody", "--run-as", "daemon", "--", "sh", "-c", "head -n 1 /dev/stdin >/dev/stdout")
    with daemon.open() as client:
        client.text("hello")
        assert client.read_message() == (TEXT, b"hello")


@needs_root
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_terminal_of_another_user(wsluice, user):
    """It is the user's own where we may give it away; nobody else can open it, and /dev/tty works in any case."""
    daemon = wsluice("--user", user, "--run-as", "daemon", "--pty", "--", "sh", "-c",
                     "stat -c %a:%U $(tty); id -un >/dev/tty; kill -0 $PPID && echo could; echo end")
    with daemon.open() as client:
        said = client.read_until(b"end\r\n").decode("latin-1")
    owner = "daemon" if user == "root" else "nobody"
    assert re.search(rf"6[02]0:{owner}\r\n", said) and "daemon\r\n" in said and "could" not in said, said


@needs_root
def test_groups_are_those_of_the_account(wsluice):
    """None of ours stays: not those of root, nor those of --user."""
    daemon = wsluice("--user", "nobody", "--run-as", "games:tty", "--", "id")
    assert re.fullmatch(r"uid=5\(games\) gid=5\(tty\) groups=5\(tty\)(,60\(games\))?", says(daemon)[0])


@needs_root
def test_a_folder_closed_to_the_programs_user_is_502(wsluice, tmp_path):
    tmp_path.chmod(0o700)
    daemon = wsluice("--user", "nobody", "--run-as", "daemon", "--cwd", tmp_path, "--", "cat")
    answer = daemon.connect().upgrade()
    assert answer.status == 502 and b"cwd: Permission denied" in answer.body
    daemon.wait_for_log('cannot start the program.*"cwd: Permission denied"')


# ---- what every program is held by


def test_programs_gain_nothing_by_set_user_id(wsluice):
    daemon = wsluice("--", "sh", "-c", "grep NoNewPrivs /proc/self/status")
    with daemon.open() as client:
        assert client.read_message()[1].split() == [b"NoNewPrivs:", b"1"]
    daemon = wsluice("--no-new-privs=off", "--", "sh", "-c", "grep NoNewPrivs /proc/self/status")
    with daemon.open() as client:
        assert client.read_message()[1].split() == [b"NoNewPrivs:", b"0"]


def test_no_new_privs_of_one_route(configured):
    look = ["grep", "NoNewPrivs", "/proc/self/status"]
    content = {"listen": ["127.0.0.1:0"],
               "routes": [{"path": "/off", "exec": look, "no-new-privs": False}, {"path": "/on", "exec": look}]}
    daemon = configured(content)
    assert (says(daemon, "/off")[0].split()[1], says(daemon, "/on")[0].split()[1]) == ("0", "1")
    assert status(daemon.pid, "NoNewPrivs") == ["0"]  # it would be everybody's
    assert reload(daemon, {**content, "routes": content["routes"][1:]})[1]
    assert status(daemon.pid, "NoNewPrivs") == ["1"]
    assert says(daemon, "/on")[0].split()[1] == "1"


def test_limits(configured):
    look = "ulimit -S -n; ulimit -H -n; ulimit -S -t; ulimit -H -t; ulimit -S -v; ulimit -c; umask; nice"
    daemon = configured({"rlimits": {"nofile": 99}, "routes": [
        {"path": "/own", "exec": ["bash", "-c", look], "umask": "0027", "nice": 3,
         "rlimits": {"nofile": "32:64", "cpu": "1m:2m", "as": "1G", "core": 0}},
        {"path": "/default", "exec": ["bash", "-c", "ulimit -n; umask; nice"]}]})
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    assert says(daemon, "/own")[0].split() == ["32", "64", "60", "120", "1048576", "0", "0027", str(min(nice + 3, 19))]
    assert says(daemon, "/default")[0].split() == ["99", f"{current_umask():04o}", str(nice)]


def current_umask():
    return int(re.search(r"^Umask:\s*(\d+)", pathlib.Path("/proc/self/status").read_text(), re.M).group(1), 8)


def test_a_program_over_its_limit_is_ended(wsluice, tmp_path):
    daemon = wsluice("--rlimits", "fsize=4096", "--cwd", tmp_path, "--", "sh", "-c", "exec head -c 100000 /dev/zero >file")
    assert says(daemon) == ("", 4300 + signal.SIGXFSZ)
    assert (tmp_path / "file").stat().st_size == 4096


# ---- paths (Landlock)

LANDLOCK = max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))  # the version of the kernel's interface
needs_landlock = pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")


@pytest.mark.skipif(bool(LANDLOCK), reason="this kernel has Landlock")
def test_without_landlock_nothing_runs_unprotected():
    done = command_line("-l", "127.0.0.1:0", "--read-paths", "/usr", "--", "cat")
    assert done.returncode == 1 and "no Landlock" in done.stderr


@pytest.fixture
def tree(public):
    """in/ may be reached, out/ may not."""
    for name in ("in", "out"):
        (public / name).mkdir()
        (public / name).chmod(0o777)
        (public / name / "file").write_text(f"of {name}\n")
        (public / name / "file").chmod(0o666)
    return public


@needs_landlock
def test_what_is_not_listed_cannot_be_read(wsluice, tree):
    script = f"cat {tree}/in/file; cat {tree}/out/file; ls {tree}/out; cat <{tree}/in/../out/file; echo x >{tree}/in/new; echo >/dev/null && echo null"
    daemon = wsluice("--read-paths", f"/usr,/lib,/lib64,/bin,{tree}/in", "--stderr", "discard", "--", "sh", "-c", script)
    assert says(daemon)[0].split("\n") == ["of in", "null"]
    assert not (tree / "in" / "new").exists()


@needs_landlock
def test_what_is_not_listed_cannot_be_written(wsluice, tree):
    script = (f"cat {tree}/out/file; echo new >{tree}/in/new; echo new >{tree}/out/new; true >{tree}/out/file; rm -f {tree}/out/file;"
              f"truncate -s 0 {tree}/out/file; ln -s x {tree}/out/link; mkdir {tree}/out/dir; mv {tree}/in/file {tree}/out/moved; echo end")
    daemon = wsluice("--write-paths", f"{tree}/in", "--stderr", "discard", "--", "sh", "-c", script)
    assert says(daemon)[0].split("\n") == ["of out", "end"]
    assert (tree / "in" / "new").read_text() == "new\n" and os.listdir(tree / "out") == ["file"]
    if LANDLOCK >= 3:  # before that it could be shortened
        assert (tree / "out" / "file").read_text() == "of out\n"


@needs_landlock
def test_a_route_may_be_free_of_the_default(configured, tree):
    look = ["sh", "-c", f"cat {tree}/out/file; echo x >{tree}/out/new-$0 && echo written", "NAME"]
    routes = [{"path": "/held", "exec": look}, {"path": "/reads", "exec": look, "read-paths": "any", "write-paths": "none"},
              {"path": "/free", "exec": look, "read-paths": "any"}]
    daemon = configured({"read-paths": ["/usr", "/lib", "/lib64", "/bin"], "stderr": "discard", "routes": routes})
    assert says(daemon, "/held")[0] == ""
    assert says(daemon, "/reads")[0] == "of out"
    assert says(daemon, "/free")[0] == "of out\nwritten"


@needs_landlock
def test_paths_hold_across_programs_and_users(wsluice, tree):
    """What a program starts is held, too; and no set-user-ID file gets out."""
    user = ["--user", "nobody", "--run-as", "daemon"] if os.geteuid() == 0 else []
    script = f"sh -c 'setsid sh -c \"cat {tree}/out/file\"'; id -u"
    daemon = wsluice(*user, "--read-paths", "/usr,/lib,/lib64,/bin,/etc/passwd", "--stderr", "discard", "--", "sh", "-c", script)
    assert says(daemon)[0] == ("1" if user else str(os.geteuid()))


@pytest.mark.skipif(LANDLOCK < 6, reason="this kernel's Landlock does not hold signals")
def test_a_program_held_by_paths_cannot_signal_us(wsluice):
    """Of the same user, or root, nor another session's; it and what it starts signal one another as ever, and the ladder ends it."""
    script = "sleep 60 & kill -0 $! && kill $! && echo own; wait; kill -9 ${QUERY_STRING:-$PPID} || echo held; exec cat"
    daemon = wsluice("--read-paths", "/usr,/lib,/lib64,/bin,/dev", "--stderr", "discard", "--stop-grace", "0", "--", "bash", "-c", script)
    with daemon.connect().open() as client:
        assert [client.read_message().data for _ in range(2)] == [b"own", b"held"]
        first = next(p.pid for p in daemon.children() if p.pid == p.session)
        with daemon.connect().open(f"/?{first}") as other:
            assert [other.read_message().data for _ in range(2)] == [b"own", b"held"]
            assert first in [p.pid for p in daemon.children()]
    wait_until(lambda: not daemon.children(), lambda: "the program ended")


@needs_landlock
@needs_root
def test_a_landlocked_program_has_no_descriptor_of_ours(wsluice):
    daemon = wsluice("--read-paths", "/usr,/lib,/lib64,/bin", "--", "cat")
    with daemon.open():
        assert sorted(proc.fds(daemon.children()[0].pid)) == [0, 1, 2]


# ---- bad input


@pytest.mark.parametrize("user", ["no-such-user", "nobody:no-such-group", ":", "123456789"])
def test_unknown_accounts_stop_the_start(user):
    done = command_line("-l", "127.0.0.1:0", "--user", user, "--to", "echo:")
    assert done.returncode == 1 and "--user" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("key, value, wrong", [
    ("run-as", "no-such-user", "no such account"),
    ("run-as", "nobody:no-such-group", "no such group"),
    ("run-as", "123456789", "needs a group"),
    ("rlimits", {"nofiles": 1}, 'no such limit; there are: as core'),
    ("rlimits", {"nofile": "many"}, 'nofile: "many" is not a whole number, or unlimited'),
    ("rlimits", {"nofile": 2}, "out of range"),
    ("rlimits", {"as": "1K"}, "out of range"),
    ("rlimits", {"cpu": "9:3"}, "soft limit .* above the hard"),
    ("rlimits", ["cpu=9", "cpu=8"], "twice"),
    ("rlimits", "cpu", "NAME=VALUE"),
    ("umask", "0999", "octal"),
    ("nice", 20, "out of range"),
    ("nice", -1, "whole number"),
    ("read-paths", ["/no/such/folder"], "not there; create it, or leave it out"),
    ("read-paths", ["etc"], "must begin with /"),
    ("read-paths", ["any", "/etc"], "alone"),
    ("write-paths", ["/etc", "none"], "alone"),
    ("user", "nobody", "top level, not to a route.*run-as"),
])
def test_bad_input_stops_the_start(public, key, value, wrong):
    path = public / "wsluice.yaml"
    path.write_text(f"routes:\n  - exec: [cat]\n    {key}: {json.dumps(value)}\n")
    if key.endswith("paths") and "not there" in wrong and not LANDLOCK:
        pytest.skip("this kernel has no Landlock")
    for more in ([], ["--check"]):
        done = command_line("-l", "127.0.0.1:0", "--config", path, *more)
        assert done.returncode == 1 and re.search(rf"^(wsluice: )?{path}:[23]:\d+: .*{wrong}", done.stderr), done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_paths_need_no_new_privs(public):
    done = command_line("-l", "127.0.0.1:0", "--read-paths", "/usr", "--no-new-privs=off", "--", "cat")
    assert done.returncode == 2 and "no-new-privs" in done.stderr and "leave it on" in done.stderr


def test_a_limit_above_our_own_stops_the_start(public):
    """Only root could raise it."""
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    done = subprocess.run(["prlimit", "--nofile=512:512", BINARY, "-l", "127.0.0.1:0", *user, "--rlimits", "nofile=1024", "--", "cat"],
                          capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 1 and "above our own hard limit, 512" in done.stderr, done


# ---- what others may see of us, and what passes on by inheritance

@pytest.mark.plain("the leak sanitizer looks at its own process by ptrace, so that build stays dumpable")
def test_others_of_our_user_cannot_look_into_us(wsluice, public):
    """Keys and passwords are in our memory. What /proc has of a process that is not dumpable belongs to root."""
    binary = shutil.copy(BINARY, public)
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([binary, "-l", "127.0.0.1:0", "--to", "echo:"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, cwd="/", **who)
    try:
        while b"listening on" not in (line := process.stderr.readline()):
            assert line, "it ended"
        assert status(process.pid, "Uid")[1] != "0"
        assert os.stat(f"/proc/{process.pid}/environ").st_uid == 0
    finally:
        process.terminate()
        process.communicate(timeout=SOON)


@needs_root
@pytest.mark.parametrize("user", [(), ("--user", "nobody")], ids=["root", "nobody"])
def test_nothing_is_inherited_by_programs(wsluice, public, user):
    """Capabilities that whoever started us marked as inheritable are not so any more, in us and in programs."""
    launcher = public / "launcher"
    launcher.write_text(f'#!/bin/sh\nexec setpriv --inh-caps +net_raw,+chown {BINARY} "$@"\n')
    launcher.chmod(0o755)
    daemon = wsluice(*user, "--", "grep", "^Cap", "/proc/self/status", binary=str(launcher))
    assert status(daemon.pid, "CapInh") == NONE and status(daemon.pid, "CapAmb") == NONE
    assert re.search(r"CapInh:\s*(\w+)", says(daemon)[0]).group(1) == NONE[0]
