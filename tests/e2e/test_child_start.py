# SPDX-License-Identifier: MIT
"""Starting programs: what they are given, and what happens when they cannot start."""

import contextlib
import os
import re
import resource
import shutil
import subprocess
import tempfile

import pytest

from lib.proc import children, wait_until
from lib.setting import BINARY
from lib.tools import py, sh, to_the_close
from lib.wire import TEXT

# What a program prints about itself, whole.
STREAM = ("--framing", "stream")


def output(client):
    code, reason, messages = to_the_close(client)
    assert (code, reason) == (1000, "exit 0")
    return b"".join(m.data for m in messages)


def environment(daemon, path="/", headers=(), **how):
    """Of `env -0` as the program; every name once."""
    pairs = [e.split(b"=", 1) for e in output(daemon.open(path, headers, **how)).split(b"\0") if e]
    names = [n.decode() for n, _ in pairs]
    assert len(set(names)) == len(names), f"a name twice: {names}"
    return {n.decode(): v.decode("utf-8", "surrogateescape") for n, v in pairs}


def wrapper(directory, *lines):
    """A script that prepares something and becomes the daemon."""
    path = directory / "wrapper"
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + f'\nexec {BINARY} "$@"\n')
    path.chmod(0o755)
    return str(path)


# What the program sees.

OWN_FDS = """
import os, stat
for fd in range(64):
    try:
        print(fd, 'fifo' if stat.S_ISFIFO(os.fstat(fd).st_mode) else 'other')
    except OSError:
        pass
"""


def test_descriptors_0_1_2_only(wsluice, tmp_path):
    """Neither those of other sessions nor those that somebody left open in the daemon."""
    binary = wrapper(tmp_path, "exec 3</dev/null 7</ 9>/dev/null")
    daemon = wsluice("--route", "/cat=exec:/bin/cat", *STREAM, *py(OWN_FDS), binary=binary)
    for _ in range(5):
        daemon.open("/cat")
    assert output(daemon.open()).decode().splitlines() == ["0 fifo", "1 fifo", "2 fifo"]


def test_descriptors_0_1_2_where_the_daemon_had_none(wsluice, tmp_path):
    """Started with its own 0 closed: no socket of ours may take the number."""
    binary = wrapper(tmp_path, "exec <&-")
    daemon = wsluice(*STREAM, *py(OWN_FDS), binary=binary)
    assert output(daemon.open()).decode().splitlines() == ["0 fifo", "1 fifo", "2 fifo"]


@pytest.mark.parametrize("mode, kinds", [("merge", ["fifo", "fifo", "fifo"]), ("discard", ["fifo", "fifo", "other"])])
def test_descriptors_by_stderr_mode(wsluice, mode, kinds):
    daemon = wsluice("--stderr", mode, *STREAM, *py(OWN_FDS))
    assert output(daemon.open()).decode().split()[1::2] == kinds


def test_signals_are_default_and_unblocked(wsluice, tmp_path):
    """Whatever the daemon was started with, and although it ignores SIGPIPE itself."""
    binary = wrapper(tmp_path, "trap '' INT QUIT HUP USR2 PIPE TSTP")
    daemon = wsluice(*STREAM, "--", "cat", "/proc/self/status", binary=binary)
    status = dict(re.findall(r"^(\w+):\s*(.*)$", output(daemon.open()).decode(), re.M))
    assert {int(status[k], 16) for k in ("SigIgn", "SigBlk", "SigPnd", "ShdPnd")} == {0}
    daemon.send_signal(15)
    daemon.wait()


def test_own_session_and_process_group(wsluice):
    daemon = wsluice(*STREAM, *sh("cat /proc/$$/stat"))
    fields = output(daemon.open()).rpartition(b")")[2].split()
    parent, group, session, terminal = map(int, fields[1:5])
    assert parent == daemon.pid and group == session != parent and terminal == 0


def test_limit_of_descriptors_is_the_one_the_daemon_was_started_with(wsluice, tmp_path):
    """The daemon raises its own; a program with select() would fall over more than 1024."""
    binary = wrapper(tmp_path, "ulimit -S -n 200")
    daemon = wsluice(*STREAM, *sh("ulimit -S -n"), binary=binary)
    assert output(daemon.open()) == b"200\n"


def test_cwd(wsluice, tmp_path):
    assert output(wsluice("--cwd", tmp_path, "--", "pwd").open()).decode() == str(tmp_path.resolve())


def test_arguments_arrive_as_they_are(wsluice):
    daemon = wsluice("--eof-on-empty", "--", "printf", "[%s]", "a b", "", "*", "$HOME", "--listen", "'\"", "ü\n")
    assert [m.data.decode() for m in to_the_close(daemon.open())[2]] == ["[a b][][*][$HOME][--listen]['\"][ü", "]"]


# The environment.

FIXED = {"GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REQUEST_METHOD",
         "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT", "UNIQUE_ID",
         "WSLUICE_ROUTE", "WSLUICE_SUBPROTOCOL", "PATH", "LANG", "TZ"}
OF_THE_REQUEST = {"HTTP_HOST", "HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_SEC_WEBSOCKET_KEY",
                  "HTTP_SEC_WEBSOCKET_VERSION"}


def test_environment_is_an_allow_list(wsluice):
    ours = {"SECRET": "1", "LD_PRELOAD_X": "1", "HTTP_PROXY": "evil", "HOME": "/root", "LC_TIME": "C", "LANG": "C",
            "TZ": "UTC", "BASH_ENV": "x", "IFS": "x", "REMOTE_USER": "faked"}
    env = environment(wsluice(*STREAM, "--", "env", "-0", env=ours))
    assert set(env) <= FIXED | OF_THE_REQUEST | {"LC_TIME"} | {n for n in os.environ if n.startswith("LC_")}
    assert env["LC_TIME"] == "C" and env["LANG"] == "C" and env["TZ"] == "UTC" and env["PATH"] == os.environ["PATH"]


def test_environment_of_cgi(wsluice):
    daemon = wsluice(*STREAM, "--route", "/app=exec:/usr/bin/env -0", "--subprotocol", "chat")
    client = daemon.connect()
    port = client.sock.getsockname()[1]
    assert client.upgrade("/app/more/%41?q=1&x=%20", protocols="chat").status == 101
    env = {k: v for k, _, v in (e.partition("=") for e in output(client).decode().split("\0") if e)}
    wanted = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
              "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(daemon.port), "REQUEST_URI": "/app/more/%41?q=1&x=%20",
              "SCRIPT_NAME": "/app", "PATH_INFO": "/more/A", "QUERY_STRING": "q=1&x=%20", "REMOTE_ADDR": "127.0.0.1",
              "REMOTE_PORT": str(port), "WSLUICE_ROUTE": "/app", "WSLUICE_SUBPROTOCOL": "chat"}
    assert {k: env.get(k) for k in wanted} == wanted
    assert env["SERVER_SOFTWARE"].startswith("wsluice") and "HTTPS" not in env


def test_environment_unique_id(wsluice):
    daemon = wsluice(*STREAM, "--", "env", "-0")
    ids = {environment(daemon)["UNIQUE_ID"] for _ in range(5)}
    assert len(ids) == 5 and all(re.fullmatch(r"[0-9a-zA-Z_-]{16,64}", i) for i in ids)


def test_environment_headers(wsluice):
    env = environment(wsluice(*STREAM, "--", "env", "-0"), headers=[
        ("User-Agent", "me"), ("X-Forwarded-For", "1.2.3.4"), ("X-Two", "a"), ("x-two", "b"), ("X-Empty", ""),
        ("X-Utf8", b"\xc3\xbc"), ("X-Latin", b"\xfc")])
    assert env["HTTP_USER_AGENT"] == "me" and env["HTTP_X_FORWARDED_FOR"] == "1.2.3.4"
    assert env["HTTP_X_TWO"] == "a, b" and env.get("HTTP_X_EMPTY", "") == "" and env["HTTP_X_UTF8"] == "ü"
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in env)


@pytest.mark.parametrize("name", ["Proxy", "proxy", "PROXY", "pRoXy"])
def test_environment_never_http_proxy(wsluice, name):
    env = environment(wsluice(*STREAM, "--", "env", "-0"), headers=[(name, "http://evil.example/")])
    assert not any("PROXY" in n.upper() or "evil" in v for n, v in env.items())


@pytest.mark.parametrize("names", [("X-Y", "X_Y"), ("X_Y", "X-Y"), ("x_y", "X-Y"), ("X_Y",)])
def test_environment_names_with_underscores_pass_for_no_other(wsluice, names):
    """A proxy that sets or removes X-Y does not know of X_Y."""
    env = environment(wsluice(*STREAM, "--", "env", "-0"), headers=[(n, "_" if "_" in n else "-") for n in names] + [("X-Z", "z")])
    assert env.get("HTTP_X_Y") == ("-" if len(names) == 2 else None) and env["HTTP_X_Z"] == "z"


@pytest.mark.parametrize("name", ["X.Y", "X!Y", "X~", "X'Y", "X|Y", "X`id`"])
def test_environment_odd_names_are_dropped(wsluice, name):
    env = environment(wsluice(*STREAM, "--", "env", "-0"), headers=[(name, "odd-value")])
    assert "odd-value" not in env.values()


@pytest.mark.parametrize("value", ["() { :; }; echo hacked", "() {"])
def test_environment_function_definitions_are_harmless(wsluice, value):
    env = environment(wsluice(*STREAM, "--", "env", "-0"), "/?() { :; }".replace(" ", "%20"), [("X-Shock", value)])
    assert not any(v.startswith("() {") for v in env.values())


def test_environment_control_bytes_never_arrive(wsluice):
    """In headers they are refused with the request; what a path decodes to must not carry them into a variable."""
    daemon = wsluice(*STREAM, "--", "env", "-0")
    for path in ("/a%0ab", "/a%01b", "/a%7fb", "/a%0db"):
        client = daemon.connect()
        if client.upgrade(path).status != 101:
            continue
        env = output(client)
        assert not re.search(rb"[\x01-\x08\x0a-\x1f\x7f]", env), env


def test_environment_env_and_pass_env(wsluice):
    daemon = wsluice("--env", "ONE=1=x", "--env", "PATH=/mine", "--env", "EMPTY=", "--pass-env", "TWO, THREE,MISSING",
                     *STREAM, "--", "/usr/bin/env", "-0", env={"TWO": "2", "THREE": "3", "FOUR": "4"})
    env = environment(daemon)
    assert (env["ONE"], env["PATH"], env["EMPTY"], env["TWO"], env["THREE"]) == ("1=x", "/mine", "", "2", "3")
    assert not {"FOUR", "MISSING"} & set(env)


# It cannot be started.

@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\nexec cat\n")
    path.chmod(0o755)
    return path


def refused(daemon, status, words):
    before = daemon.fds()
    response = daemon.connect().upgrade()
    assert response.status == status, response
    assert words in response.body.decode() and (status != 503 or response.get("retry-after").isdigit())
    daemon.close_clients()
    daemon.settle()
    assert len(daemon.fds()) <= len(before)
    daemon.wait_for_log(words)


def break_noent(path):
    path.unlink()


def break_access(path):
    path.chmod(0o644)


def break_noexec(path):
    path.write_text("neither a script nor a binary\n")


def break_interpreter(path):
    path.write_text("#!/no/such/interpreter\n")


def break_directory(path):
    path.unlink()
    path.mkdir()


BREAKS = [(break_noent, "No such file"), (break_access, "Permission denied"), (break_noexec, "Exec format error"),
          (break_interpreter, "No such file"), (break_directory, "Permission denied")]


@pytest.mark.parametrize("how, words", BREAKS, ids=[b.__name__[6:] for b, _ in BREAKS])
def test_exec_failure_is_502_with_the_reason(wsluice, program, how, words):
    daemon = wsluice("--", program)
    client = daemon.open()
    client.text("well")
    assert client.read_message() == (TEXT, b"well")
    client.finish()
    daemon.settle()
    how(program)
    for _ in range(3):
        refused(daemon, 502, words)


def test_exec_busy_text_is_502(wsluice, program):
    shutil.copy("/bin/cat", program)
    daemon = wsluice("--", program)
    with open(program, "r+b"):
        refused(daemon, 502, "Text file busy")
    assert daemon.open()


def test_cwd_that_vanished_is_502(wsluice, tmp_path):
    directory = tmp_path / "gone"
    directory.mkdir()
    daemon = wsluice("--cwd", directory, "--", "cat")
    directory.rmdir()
    refused(daemon, 502, "No such file")


def test_exec_too_big_is_502(wsluice):
    """The kernel's bound for arguments and environment is a quarter of the stack's limit."""
    big = {f"BIG{i}": "x" * 110_000 for i in range(5)}
    daemon = wsluice("--pass-env", ",".join(big), "--", "cat", env=big)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_STACK)
    resource.prlimit(daemon.pid, resource.RLIMIT_STACK, (1 << 20, limits[1]))
    refused(daemon, 502, "Argument list too long")
    resource.prlimit(daemon.pid, resource.RLIMIT_STACK, limits)
    assert daemon.open()


@pytest.mark.parametrize("more", [0, 1, 2, 3, 4, 5, 6])
def test_descriptors_short_at_each_step_is_503(wsluice, more):
    """`more` descriptors are left beside the client's own: three pipes take six, the pidfd one."""
    daemon = wsluice("--", "cat")
    client = daemon.connect()
    client.send(client.head()[:-2])
    wait_until(lambda: sum("socket" in t for t in daemon.fds().values()) > daemon.baseline["socket"], "the connection")
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    bound, numbers = 0, daemon.fds()  # the limit is on the number: so many that are free lie below it
    while more >= 0:
        more -= bound not in numbers
        bound += more >= 0
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (bound, limits[1]))
    client.send(b"\r\n")
    response = client.read_response()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    assert response.status == 503 and response.get("retry-after").isdigit(), response
    assert "Too many open files" in response.body.decode()
    daemon.close_clients()
    daemon.settle()
    assert daemon.open()


# Root is not bound by the number of processes, so the daemon must be somebody else.
NO_RIGHTS = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"] if os.geteuid() == 0 else []


def limit_processes(daemon, soft):
    subprocess.run([*NO_RIGHTS, "prlimit", "--pid", str(daemon.pid), f"--nproc={soft}:"], check=True)


@contextlib.contextmanager
def binary_for_anybody():
    """The binary where a user without rights can execute it."""
    directory = tempfile.mkdtemp()
    try:
        os.chmod(directory, 0o755)
        shutil.copy(BINARY, directory)
        path = os.path.join(directory, os.path.basename(BINARY))
        os.chmod(path, 0o755)
        script = os.path.join(directory, "wrapper")
        with open(script, "w") as file:
            file.write(f'#!/bin/sh\nexec {" ".join(NO_RIGHTS)} {path} "$@"\n')
        os.chmod(script, 0o755)
        yield script
    finally:
        shutil.rmtree(directory)


def test_no_more_processes_is_503(wsluice):
    """vfork gives EAGAIN: nothing of the attempt stays, and it works again when there is room."""
    with binary_for_anybody() as binary:
        daemon = wsluice("--", "cat", binary=binary)
        limit_processes(daemon, 1)
        for _ in range(3):
            refused(daemon, 503, "Resource temporarily unavailable")
        limit_processes(daemon, 500)
        client = daemon.open()
        client.text("again")
        assert client.read_message() == (TEXT, b"again")
        daemon.finish()


def test_refused_starts_do_not_hurt_a_running_session(wsluice, program):
    daemon = wsluice("--", program)
    client = daemon.open()
    client.text("it runs")
    assert client.read_message() == (TEXT, b"it runs")
    program.unlink()
    for i in range(50):
        assert daemon.connect().upgrade().status == 502
        client.text(str(i))
        assert client.read_message().data == str(i).encode()
    assert len(children(daemon.pid)) == 1
