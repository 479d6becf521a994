# SPDX-License-Identifier: MIT
"""A control group for each program (--cgroup): where it is, and that nothing survives a session."""

import os
import pathlib
import re
import signal
import subprocess
import uuid

import pytest

from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.wire import TEXT
from test_stop_upgrade import successors  # noqa: F401

# Leaves its process group, its session and its pipes, and hears no signal that can be refused. `groups`: into groups of its own, too.
ESCAPES = """
i=0; while [ $i -lt 10 ]; do setsid sh -c 'trap "" TERM HUP; exec sleep 1000' </dev/null >/dev/null 2>&1 & i=$((i+1)); done
echo started; read x; %s"""


def hierarchy():
    """Where cgroup2 is mounted and is ours, or None."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    found = re.search(r"^\S+ \S+ \S+ / (\S+) .* - cgroup2 ", mounts, re.M)
    return pathlib.Path(found.group(1)) if found and os.access(found.group(1), os.W_OK) else None


pytestmark = pytest.mark.skipif(os.geteuid() != 0 or hierarchy() is None, reason="no control groups of version 2 that we may make")


def remove(folder):
    """With all below: what is in them has ended, or is killed."""
    def gone():
        for group in sorted(folder.rglob("*/"), reverse=True):
            try:
                group.rmdir()
            except OSError:
                pass
        return not any(p.is_dir() for p in folder.iterdir())

    (folder / "cgroup.kill").write_text("1")
    wait_until(gone, lambda: f"{folder} to be empty")
    folder.rmdir()


@pytest.fixture
def folder():
    path = hierarchy() / f"wsluice-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    yield path
    remove(path)


def groups(folder):
    return sorted(p.name for p in (folder / "programs").iterdir() if p.is_dir())


def pids(group):
    return [int(line) for line in (group / "cgroup.procs").read_text().split()]


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def start(daemon, folder):
    """A client and the processes of its program, which has let ten go."""
    client = daemon.open()
    assert client.read_message() == (TEXT, b"started")
    found = [p for group in groups(folder) for p in pids(folder / "programs" / group)]
    assert len(found) >= 11
    return client, found


def all_end(found, folder):
    wait_until(lambda: not any(alive(p) for p in found), lambda: f"{[p for p in found if alive(p)]} to end")
    wait_until(lambda: groups(folder) == [], lambda: f"{groups(folder)} to go")


@pytest.mark.parametrize("end", ["exit 0", "trap '' TERM; exec sleep 1000", "kill -9 $$"], ids=["exits", "stays", "is killed"])
@pytest.mark.parametrize("pty", [[], ["--pty", "--framing", "lines"]], ids=["pipes", "terminal"])
def test_nothing_survives_a_session(folder, wsluice, end, pty):
    script = ("stty -echo -onlcr; " if pty else "") + ESCAPES % end
    daemon = wsluice("--cgroup", folder, "--stop-grace", "50ms", "--kill-grace", "50ms", *pty, "--user", "root", "--", "sh", "-c", script)
    client, found = start(daemon, folder)
    client.text("go")
    if "sleep" in end:
        client.finish()
    else:
        client.read_close()
    all_end(found, folder)


def test_the_group_of_each(folder, wsluice):
    """Of the server and of each program; what a program makes below its own goes with it."""
    daemon = wsluice("--cgroup", folder, "--kill-grace", "50ms", "--user", "root", "--", "sh", "-c",
                     f"""g=$(sed -n 's/^0:://p' /proc/self/cgroup); echo "$g"
                     mkdir {hierarchy()}/$g/own {hierarchy()}/$g/own/deeper; setsid sleep 1000 >/dev/null 2>&1 </dev/null &
                     echo $! >{hierarchy()}/$g/own/deeper/cgroup.procs; echo moved; read x""")
    assert pids(folder / "server") == [daemon.pid]
    with daemon.open() as one, daemon.open() as two:
        said = [client.read_message()[1].decode() for client in (one, two)]
        assert said == [f"/{folder.name}/programs/{daemon.pid}-{n}" for n in (2, 3)]  # the first was tried out at the start
        assert [client.read_message()[1] for client in (one, two)] == [b"moved"] * 2
        found = [p for n in (2, 3) for p in pids(folder / f"programs/{daemon.pid}-{n}/own/deeper")]
        assert len(found) == 2
    all_end(found, folder)


def test_by_another_user(folder, wsluice):
    """Root opens it for the user that the server becomes."""
    daemon = wsluice("--cgroup", folder, "--kill-grace", "50ms", "--user", "nobody", "--", "sh", "-c", ESCAPES % "exit 0")
    client, found = start(daemon, folder)
    client.text("go")
    client.read_close()
    all_end(found, folder)


def test_a_program_that_cannot_be_started_leaves_no_group(folder, wsluice, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    daemon = wsluice("--cgroup", folder, "--user", "root", "--", program)
    program.unlink()
    assert daemon.connect().upgrade("/").status == 502
    assert groups(folder) == []


def test_what_a_crash_leaves_is_ended_by_the_next(folder, wsluice):
    """And nothing of one that is alive."""
    args = ["--cgroup", folder, "--kill-grace", "50ms", "--user", "root", "--", "sh", "-c", ESCAPES % "exit 0"]
    crashes = wsluice(*args)
    _, left = start(crashes, folder)
    crashes.expect_exit = -9
    crashes.kill()
    left = [p for p in left if alive(p)]
    assert len(left) >= 10
    lives = wsluice("--cgroup", folder, "--user", "root", "--", "cat")
    all_end(left, folder)
    with lives.open() as client:
        client.text("x")
        assert client.read_message() == (TEXT, b"x")
        wsluice("--cgroup", folder, "--user", "root", "--", "cat")
        client.text("y")
        assert client.read_message() == (TEXT, b"y")


def inside_of(folder, tmp_path):
    """The daemon, as one that was started in that group."""
    script = tmp_path / "launcher"
    script.write_text(f'#!/bin/sh\necho $$ >{folder}/cgroup.procs\nexec {BINARY} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_below_our_own_and_with_a_successor(folder, wsluice, successors, tmp_path):  # noqa: F811
    """auto: the group that we were started in, for a successor too, which leaves its predecessor's sessions alone."""
    daemon = wsluice("--cgroup", "auto", "--user", "root", "--stop-grace", "1000", "--", "sh", "-c", ESCAPES % "sleep 1000",
                     binary=inside_of(folder, tmp_path))
    _, found = start(daemon, folder)
    successor = successors(daemon)
    assert sorted(pids(folder / "server")) == sorted([daemon.pid, successor.pid])
    assert groups(folder) == [f"{daemon.pid}-2"] and all(alive(p) for p in found)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    all_end(found, folder)
    assert successor.stop() == 0


def test_a_stop_ends_all(folder, wsluice):
    daemon = wsluice("--cgroup", folder, "--drain-timeout", "0.1", "--user", "root", "--", "sh", "-c", ESCAPES % "exit 0")
    _, found = start(daemon, folder)
    daemon.send_signal(signal.SIGTERM)
    daemon.process.wait(SOON)
    assert not any(alive(p) for p in found) and groups(folder) == []


def test_where_it_cannot_be_had(folder, tmp_path):
    """The start and --check say the same."""
    for where, user, says in ((tmp_path, None, "no folder of control groups"), ("/nowhere", None, "No such file"), (hierarchy(), None, "root group"),
                              (folder, 65534, "Delegate=yes"), ("auto", None, "root group")):
        if where == "auto" and "0::/\n" not in pathlib.Path("/proc/self/cgroup").read_text(encoding="utf-8"):
            continue
        for check in [], ["--check"]:
            done = subprocess.run([BINARY, "-l", "127.0.0.1:0", *check, "--cgroup", where, "--to", "echo:"], capture_output=True, text=True,
                                  timeout=SOON, user=user, cwd="/", check=False)
            assert done.returncode == 1 and says in done.stderr, (where, done)
    assert command_line("--cgroup", folder, "--check", "--to", "echo:").returncode == 0


# Limits. Where the hierarchy has no such controllers (version 1 has them), that this is told.

LIMITS = {"memory": ("--memory-max", "32M"), "pids": ("--pids-max", "10"), "cpu": ("--cpu-max", "0.25"), "io": ("--io-weight", "20")}


def controllers():
    return (hierarchy() / "cgroup.controllers").read_text().split()


@pytest.fixture
def limited(folder):
    """The folder, with all controllers that there are handed down to it."""
    for name in set(controllers()) & set(LIMITS):
        (hierarchy() / "cgroup.subtree_control").write_text(f"+{name}")
    return folder


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_cannot_be_had(folder, name):
    """No program runs without it: there are no groups, or no such controller in them."""
    for check in [], ["--check"]:
        done = command_line("-l", "127.0.0.1:0", *check, *LIMITS[name], "--user", "root", "--", "cat")
        assert done.returncode == 1 and "programs have no control groups; say cgroup: auto" in done.stderr, done
        if name not in (folder / "cgroup.controllers").read_text().split():
            done = command_line("-l", "127.0.0.1:0", *check, *LIMITS[name], "--cgroup", folder, "--user", "root", "--", "cat")
            assert done.returncode == 1 and f'no controller "{name}"' in done.stderr, done


def test_a_reload_cannot_limit_what_has_no_controller(folder, wsluice, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("routes: [{exec: [cat]}]\n")
    daemon = wsluice("-c", path, "--cgroup", folder, "--user", "root")
    lacks = next((name for name in LIMITS if name not in (folder / "cgroup.controllers").read_text().split()), None)
    if lacks is None:
        pytest.skip("all controllers are there")
    option, value = LIMITS[lacks]
    path.write_text(f"routes: [{{exec: [cat], {option[2:]}: '{value}'}}]\n")
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log(f'no controller "{lacks}"')
    daemon.wait_for_log("not reloaded")
    daemon.open().finish()


@pytest.mark.parametrize("value", ["0", "many", "-1", "1e9", "0.5x", "nan"])
def test_what_is_no_number_of_processors(value):
    done = command_line("--check", "--cgroup", "auto", f"--cpu-max={value}", "--", "cat")
    assert done.returncode in (1, 2) and "write a number of processors" in done.stderr, done


def needs(name):
    return pytest.mark.skipif(hierarchy() is None or name not in controllers(), reason=f"no controller {name} in version 2 here")


@needs("memory")
def test_out_of_memory_is_told(limited, wsluice):
    daemon = wsluice("--cgroup", limited, "--memory-max", "32M", "--user", "root", "--", "sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done")
    assert daemon.open().read_close()[:2] == (4309, "out of memory at 32M")


@needs("pids")
def test_processes_are_counted(limited, wsluice):
    daemon = wsluice("--cgroup", limited, "--pids-max", "10", "--user", "root", "--",
                     "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done 2>/dev/null; echo all; sleep 100")
    with daemon.open() as client:
        with pytest.raises(Exception, match="Close"):
            client.read_message()


@needs("cpu")
def test_processors_are_shared_out(limited, wsluice):
    daemon = wsluice("--cgroup", limited, "--cpu-max", "0.25", "--user", "root", "--", "sh", "-c",
                     f"cat {hierarchy()}/$(sed -n s/^0:://p /proc/self/cgroup)/cpu.max")
    assert daemon.open().read_message() == (TEXT, b"25000 100000")
