# SPDX-License-Identifier: MIT
"""The command line: what it takes, and one line that says what to do for what it does not."""

import os
import re
import socket
import subprocess

import pytest

from lib import proc
from lib.daemon import command_line
from lib.setting import BINARY, SOON
from lib.wire import TEXT, Raw


def complains(args, status, *words):
    """One line on stderr in our name with all the words in it, nothing on stdout."""
    result = command_line(*args)
    assert result.returncode == status, f"{result.returncode}: {result.stderr!r}"
    assert result.stdout == ""
    assert result.stderr.startswith("wsluice: ") and result.stderr.count("\n") == 1 and result.stderr.endswith("\n")
    assert len(result.stderr) < 600
    for word in words:
        assert word in result.stderr, f"{word!r} not in {result.stderr!r}"


USAGE = {
    "unknown": (["--liste", "80", "--", "cat"], "--liste", "did you mean --listen?"),
    "unknown and like nothing": (["--qqqqqqqqqq", "--", "cat"], "--qqqqqqqqqq", "--help-all"),
    "unknown with a value": (["--pingg=3s", "--", "cat"], "--pingg", "--ping"),
    "unknown letter": (["-x", "--", "cat"], "-x", "--help"),
    "unknown letter behind a known": (["-Vx"], "-x"),
    "value missing": (["--listen"], "--listen", "missing"),
    "value missing of a letter": (["-l"], "--listen", "missing"),
    "nothing to serve": ([], "--to", "--help"),
    "only options": (["--ping", "3s"], "COMMAND"),
    "only the separator": (["--"], "COMMAND"),
    "time without sense": (["--ping", "soon", "--", "cat"], "--ping", "soon", "25s"),
    "time of an unknown unit": (["--ping", "3 weeks", "--", "cat"], "--ping"),
    "negative time": (["--ping", "-1s", "--", "cat"], "--ping"),
    "empty time": (["--ping=", "--", "cat"], "--ping"),
    "time too long": (["--ping", "1000d", "--", "cat"], "--ping", "range"),
    "time nan": (["--ping", "nan", "--", "cat"], "--ping"),
    "time inf": (["--ping", "inf", "--", "cat"], "--ping"),
    "size without sense": (["--max-message", "big", "--", "cat"], "--max-message", "big"),
    "size zero": (["--max-message", "0", "--", "cat"], "--max-message", "range"),
    "size too large": (["--max-message", "99999G", "--", "cat"], "--max-message", "range"),
    "count with a fraction": (["--max-sessions", "1.5", "--", "cat"], "--max-sessions"),
    "count negative": (["--max-sessions", "-1", "--", "cat"], "--max-sessions"),
    "count hexadecimal": (["--max-sessions", "0x10", "--", "cat"], "--max-sessions"),
    "choice": (["--frames", "blue", "--", "cat"], "--frames", "blue", "text", "binary"),
    "flag with a value": (["--console=maybe", "--", "cat"], "--console", "on"),
    "framing": (["--framing", "morse", "--", "cat"], "--framing", "morse", "lines", "stream", "text"),
    "scheme": (["--to", "gopher://x:1"], "gopher://x:1", "tcp://"),
    "no scheme": (["--to", "localhost:80"], "localhost:80", "tcp://"),
    "no port": (["--to", "tcp://localhost"], "tcp://localhost"),
    "port 0": (["--to", "tcp://localhost:0"], "tcp://localhost:0"),
    "port too large": (["--to", "tcp://localhost:65536"], "65536"),
    "port is a word": (["--to", "tcp://localhost:http"], "http"),
    "empty host": (["--to", "tcp://:80"], "tcp://"),
    "empty unix path": (["--to", "unix:"], "unix:"),
    "unix path too long": (["--to", "unix:/" + "x" * 200], "107"),
    "listen port": (["-l", "99999", "--", "cat"], "99999"),
    "listen nonsense": (["-l", "::::", "--", "cat"], "::::"),
    "listen unix path": (["-l", "unix:", "--", "cat"], "unix:"),
    "listen unix path too long": (["-l", "unix:/tmp/" + "x" * 150, "--", "cat"], "107"),
    "listen unix path of two lines": (["-l", "unix:/tmp/a\nb", "--", "cat"], "control character"),
    "two backends": (["--to", "echo:", "--", "cat"], "two backends", "--route"),
    "two backends by route": (["-r", "/a=echo:", "-r", "/a=exec:cat"], "two backends", "/a"),
    "two backends but for the slash": (["-r", "/a=echo:", "-r", "/a/=exec:cat"], "two backends", "/a"),
    "two backends for the root": (["-r", "/=echo:", "--", "cat"], "two backends"),
    "route without address": (["-r", "/a"], "/a", "/a=tcp://HOST:PORT"),
    "route without slash": (["-r", "a=echo:"], "a path begins with /"),
    "route with query": (["-r", "/a?b=echo:"], "/a?b"),
    "route without program": (["-r", "/a=exec:"], "exec:"),
    "env": (["--env", "NOVALUE", "--", "cat"], "--env", "NOVALUE", "NAME=VALUE"),
    "env without name": (["--env", "=x", "--", "cat"], "--env"),
    "unix mode": (["--unix-mode", "rw", "--", "cat"], "--unix-mode", "rw", "0660"),
    "unix mode too large": (["--unix-mode", "7777", "--", "cat"], "--unix-mode"),
}


@pytest.mark.parametrize("args, words", [(a, w) for a, *w in USAGE.values()], ids=USAGE.keys())
def test_wrong_use_is_2(args, words):
    complains(args, 2, *words)


# What is right in form and cannot be done: exit 1.

def test_port_in_use(wsluice):
    daemon = wsluice("--to", "echo:")
    complains(["-l", f"127.0.0.1:{daemon.port}", "--to", "echo:"], 1, str(daemon.port), "in use")
    client = daemon.open()
    client.text("unharmed")
    assert client.read_message() == (TEXT, b"unharmed")


def test_second_of_two_listeners_in_use(wsluice):
    daemon = wsluice("--to", "echo:")
    complains(["-l", "127.0.0.1:0", "-l", f"127.0.0.1:{daemon.port}", "--to", "echo:"], 1, "in use")


def test_listen_address_that_does_not_resolve():
    complains(["-l", "no-such-host.invalid:8080", "--to", "echo:"], 1, "no-such-host.invalid")


def test_listen_address_of_another_machine():
    complains(["-l", "192.0.2.1:0", "--to", "echo:"], 1, "192.0.2.1")


@pytest.mark.parametrize("program", ["no-such-program-here", "/no/such/program", "./none", "/etc", __file__])
def test_program_that_does_not_exist_or_run(program):
    complains(["-l", "127.0.0.1:0", "--", program], 1, program)


def test_program_of_a_route_that_does_not_exist():
    complains(["-l", "127.0.0.1:0", "-r", "/a=exec:no-such-program-here now"], 1, "no-such-program-here")


def test_static_directory(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path / "file"):
        complains(["-l", "127.0.0.1:0", "--static", path, "--to", "echo:"], 1, str(path))


def test_static_directory_unreadable(unprivileged):
    path = unprivileged.folder / "dir"
    path.mkdir(0o000)
    done = unprivileged("-l", "127.0.0.1:0", "--static", path, "--to", "echo:")
    assert done.returncode == 1 and str(path) in done.stderr and "Permission denied" in done.stderr, done


def test_only_root_becomes_somebody_else(unprivileged):
    done = unprivileged("-l", "127.0.0.1:0", "--user", "daemon", "--to", "echo:")
    assert done.returncode == 1 and "only root can become somebody else" in done.stderr, done


def test_cwd_that_does_not_exist(tmp_path):
    complains(["-l", "127.0.0.1:0", "--cwd", tmp_path / "none", "--", "cat"], 1, str(tmp_path / "none"))


def test_unix_socket_in_a_missing_directory(tmp_path):
    complains(["-l", f"unix:{tmp_path}/none/s", "--to", "echo:"], 1, f"{tmp_path}/none/s")


def test_syslog_socket_path_too_long():
    complains(["-l", "127.0.0.1:0", "--syslog-socket", "/" + "x" * 107, "--to", "echo:"], 1, "syslog-socket", "107")


# Help and version.

@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version", "-hV"])
def test_help_and_version_go_to_stdout(option):
    result = command_line(option)
    assert result.returncode == 0 and result.stderr == "" and len(result.stdout) > 20


def test_version_tells_the_libraries():
    text = command_line("-V").stdout.lower()
    assert text.startswith("wsluice ")
    for library in ("libev", "openssl", "llhttp", "c-ares", "zlib"):
        assert re.search(rf"{library}\s+v?\d", text), f"no version of {library} in {text!r}"


def test_help_fits_a_terminal():
    assert max(map(len, command_line("--help-all").stdout.splitlines())) <= 100


def options_of_help():
    """(long name, letter or None, takes a value) for each."""
    found = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: ([A-Z]\S*))?", command_line("--help-all").stdout, re.M)
    assert len(found) > 30
    return [(name, letter, bool(value)) for letter, name, value in found]


VALUES = {"listen": "127.0.0.1:0", "to": "echo:", "route": "/x=echo:", "framing": "text", "frames": "binary",
          "invalid-utf8": "close", "subprotocol": "a, b", "origin": "any", "static": "/", "errors": "close",
          "stderr": "merge", "cwd": "/", "env": "A=b", "pass-env": "HOME", "rlimits": "nofile=256",
          "headers": "X-A=b", "nice": "1", "run-as": str(os.geteuid()), "umask": "077", "read-paths": "any", "write-paths": "any", "max-sessions": "100",
          "max-per-address": "7", "max-message": "64KiB", "unix-mode": "0600", "dns-servers": "127.0.0.1:5353",
          "log-level": "debug", "log-format": "text",
          "compression-level": "9", "compression-window": "15"}


def accepted_form(name, letter, takes):
    """How the option is written with a value that it takes: ours, a time, or a choice that it names itself."""
    if not takes:
        return [f"--{name}"], [f"-{letter}"]
    value = VALUES.get(name, "2s")
    result = command_line(f"--{name}={value}", "--help")
    choice = re.search("is not one of ([^ ,]+)", result.stderr)
    if choice:
        value = choice.group(1)
        result = command_line(f"--{name}={value}", "--help")
    if re.search("is not a (whole number|size|rate)", result.stderr):
        value = "65536"
        result = command_line(f"--{name}={value}", "--help")
    most = re.search(r"is out of range \(\S+ to (\S+)\)", result.stderr)
    if most:
        value = most.group(1)
        result = command_line(f"--{name}={value}", "--help")
    assert (result.returncode, result.stderr) == (0, ""), f"--{name}={value}: {result.stderr}"
    return [f"--{name}={value}"], [f"-{letter}{value}"]


def test_every_option_of_help_is_accepted(wsluice):
    """Each by itself, where --help proves that nothing was wrong; and those that need nothing else all at once."""
    args, letters = [], []
    for name, letter, takes in options_of_help():
        if name in ("help", "help-all", "version"):
            continue
        long, short = accepted_form(name, letter, takes)
        if name in VALUES or name.endswith(("timeout", "grace")) or name == "console":
            args += long if name != "to" else []
            letters += short if letter and name != "to" else []
    assert len(args) > 25 and len(letters) >= 4
    assert wsluice(*args, "--", "cat").open().try_send(b"")
    wsluice(*letters, "--", "cat").open()


@pytest.mark.parametrize("form", [["--ping", "3s"], ["--ping=3s"], ["--ping", "3000ms"], ["--ping", "0.05m"],
                                  ["--console", "--console=off"], ["--console=no"]])
def test_forms_of_options(wsluice, form):
    wsluice(*form, "--to", "echo:").open()


@pytest.mark.parametrize("args", [["cat"], ["--", "cat"], ["cat", "-u"], ["cat", "--", "-"]])
def test_command_begins_at_the_first_word(wsluice, args):
    client = wsluice("-l", "127.0.0.1:0", *args).open()
    client.text("x")
    assert client.read_message() == (TEXT, b"x")


def test_program_is_found_in_path(wsluice, tmp_path):
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    daemon = wsluice("--", "mine", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert daemon.open().read_message() == (TEXT, b"found")


# Listening.

def test_several_listeners_at_once(wsluice, tmp_path):
    daemon = wsluice("-l", "127.0.0.1:0", "-l", "[::1]:0", "-l", f"unix:{tmp_path}/s", "-l", "127.0.0.2:0", "--to", "echo:")
    assert len(daemon.addresses) == 4 and len({str(a) for a in daemon.addresses}) == 4
    for address in daemon.addresses:
        client = daemon.open(address=address)
        client.text("here")
        assert client.read_message() == (TEXT, b"here")
    assert all(a[1] > 0 for a in daemon.addresses if isinstance(a, tuple))


def test_port_alone_is_loopback_only(wsluice):
    """Reached from here, and from nowhere else."""
    daemon = wsluice("-l", "0", "--to", "echo:")
    assert daemon.address[0] == "127.0.0.1"
    daemon.open()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", daemon.port), 1):
        pass


def test_host_name_to_listen_on(wsluice):
    daemon = wsluice("-l", "localhost:0", "--to", "echo:")
    daemon.open()


def test_reuse_port(wsluice):
    first = wsluice("--reuse-port", "-l", "127.0.0.1:0", "--to", "echo:")
    complains(["-l", f"127.0.0.1:{first.port}", "--to", "echo:"], 1, "in use")
    second = wsluice("--reuse-port", "-l", f"127.0.0.1:{first.port}", "--to", "echo:")
    assert second.port == first.port
    for _ in range(10):
        with socket.create_connection(first.address, 2):
            pass


def test_standard_descriptors_closed():
    """Started with none of them open: no socket may take their place, and it says nothing into one."""
    closed = subprocess.run(["/bin/sh", "-c", f"exec {BINARY} -l 127.0.0.1:0 -- /no/such <&- >&- 2>&-"], timeout=SOON)
    assert closed.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_socket_takes_the_place_of_a_standard_descriptor(tmp_path, closed):
    """Else a line of the log, or what a program prints, would go to a client. It serves, and programs have all three."""
    script = 'for i in 0 1 2; do test -e /proc/self/fd/$i || echo $i is missing; done; ls -l /proc/self/fd >&2; cat'
    process = subprocess.Popen(["/bin/sh", "-c", f'exec {BINARY} -l unix:{tmp_path}/s -- /bin/sh -c "$0" {closed}', script],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(tmp_path / "s")) == 0

        proc.wait_until(listens, "the socket")
        with Raw.connect(str(tmp_path / "s")) as client:
            client.open()
            client.text("hello")
            assert client.read_message().data == b"hello"
            standard = [os.readlink(f"/proc/{process.pid}/fd/{i}") for i in range(3)]
        assert standard == ["/dev/null"] * 3
    finally:
        process.terminate()
        assert process.wait(SOON) == 0


def test_help_to_a_full_device_is_an_error():
    with open("/dev/full", "w") as full:
        for words in (["--help"], ["--check", "--to", "echo:"]):
            done = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=SOON)
            assert done.returncode == 1
            assert done.stderr == "wsluice: cannot write to standard output: No space left on device\n"
