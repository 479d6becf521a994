# SPDX-License-Identifier: MIT
"""What users of other tools write by habit: the message has words that work, and they do work here."""

import re
import subprocess

import pytest

from lib.daemon import command_line
from lib.setting import REPO, SOON

# what was written | what the message says to write | with that, or None where it is no command line to try
OPTIONS = {
    # websocketd
    "--port": ("--port=8080 -- cat", "-l 8080", "-l 8080 -- cat"),
    "one dash": ("-port=8080 -- cat", "-l 8080", "-l 8080 -- cat"),
    "one dash of ours": ("-listen 8080 -- cat", "--listen", "--listen 8080 -- cat"),
    "--address": ("--address=127.0.0.1 -- cat", "-l 127.0.0.1:8080", "-l 127.0.0.1:8080 -- cat"),
    "--staticdir": ("--staticdir=/usr -- cat", "--static /usr", "--static /usr -- cat"),
    "--devconsole": ("--devconsole -- cat", "--console", "--console -- cat"),
    "--binary": ("--binary -- cat", "--framing stream", "--framing stream -- cat"),
    "--passenv": ("--passenv=HOME -- cat", "--pass-env HOME", "--pass-env HOME -- cat"),
    "--maxforks": ("--maxforks 7 -- cat", "--max-sessions 7", "--max-sessions 7 -- cat"),
    "--closems": ("--closems 700 -- cat", "--stop-grace 700ms", "--stop-grace 700ms -- cat"),
    "--loglevel": ("--loglevel=debug -- cat", "--log-level debug", "--log-level debug -- cat"),
    "--dir": ("--dir=/x", "--route /NAME=exec:/x/NAME", None),
    "--sameorigin": ("--sameorigin -- cat", "leave it out", "-- cat"),
    # websockify
    "port and target": ("8080 localhost:5900", "-l 8080 --to tcp://localhost:5900", "-l 8080 --to tcp://localhost:5900"),
    "address and target": ("127.0.0.1:8080 localhost:5900", "-l 127.0.0.1:8080 --to tcp://localhost:5900", None),
    "a port alone": ("8080", "-l 8080", None),
    "a target alone": ("localhost:5900", "--to tcp://localhost:5900", "--to tcp://localhost:5900"),
    "a port and a program": ("8080 cat -u", "-l 8080 -- cat -u", "-l 8080 -- cat -u"),
    "--web": ("--web /usr 8080 localhost:5900", "--static /usr", "--static /usr --to tcp://localhost:5900"),
    "--unix-target": ("--unix-target=/run/x", "--to unix:/run/x", "--to unix:/run/x"),
    "--heartbeat": ("--heartbeat=30 --to echo:", "--ping 30s", "--ping 30s --to echo:"),
    "--token-source": ("--token-source tokens", "--route /=token-file:tokens", None),
    "-v": ("-v -- cat", "--log-level debug", "--log-level debug -- cat"),
    "-D": ("-D -- cat", "stays in the foreground", "-- cat"),
    # ttyd
    "-p": ("-p 7681 -W bash", "-l 7681", "-l 7681 --pty bash"),
    "-p and value together": ("-p7681 bash", "-l 7681", "-l 7681 --pty bash"),
    "-W": ("-W bash", "leave it out", "--pty bash"),
    "-i": ("-i 127.0.0.1 bash", "-l 127.0.0.1:8080", "-l 127.0.0.1:8080 --pty bash"),
    "-c": ("-c user:secret bash", "--auth basic --auth-file", None),
    "--credential": ("--credential user:secret bash", "--auth basic --auth-file", None),
    "-t": ("-t fontSize=20 bash", """--tty-preferences '{"fontSize": 20}'""", """--tty-preferences '{"fontSize": 20}' --pty bash"""),
    "-T": ("-T xterm bash", "--env TERM=xterm", "--env TERM=xterm --pty bash"),
    "-m": ("-m 3 bash", "--max-sessions 3", "--max-sessions 3 --pty bash"),
    "-w": ("-w /usr bash", "--cwd /usr", "--cwd /usr --pty bash"),
    "-P": ("-P 5 bash", "--ping 5s", "--ping 5s --pty bash"),
    "-6": ("-6 bash", "-l [::]:8080", "-l [::1]:8080 --pty bash"),
    "-b": ("-b /tty bash", "--route /x=ADDR", "--route /x=pty:bash"),
    "-H": ("-H X-User bash", "a proxy in front", None),
    "-U": ("-U root:root bash", "--unix-mode 0660", "--unix-mode 0660 --pty bash"),
    "-I": ("-I /usr bash", "--static /usr", "--static /usr --pty bash"),
    "-B": ("-B bash", "leave it out", "bash"),
    "-A": ("-A /ca.pem bash", "--tls-client-ca /ca.pem", None),
    # websocat, socat
    "ws-l and cmd": ("ws-l:127.0.0.1:8080 cmd:cat", "-l 127.0.0.1:8080 -- cat", "-l 127.0.0.1:8080 -- cat"),
    "ws-l and tcp": ("ws-l:8080 tcp:127.0.0.1:5900", "-l 8080 --to tcp://127.0.0.1:5900", "-l 8080 --to tcp://127.0.0.1:5900"),
    "-s PORT": ("-s 8080", "-l 8080", None),
    "a client": ("wss://example.org/", "--console", "--console --to echo:"),
    "UNIX-CONNECT": ("--to UNIX-CONNECT:/run/x", "unix:/run/x", "--to unix:/run/x"),
    "EXEC": ("--to EXEC:cat", "exec:cat", "--to exec:cat"),
    # nginx and other servers
    "-s reload": ("-s reload", "wsluice ctl reload", None),
    "-g": ("-g www-data -- cat", "--user NAME:www-data", None),
    "--bind": ("--bind 127.0.0.1 -- cat", "-l 127.0.0.1:8080", "-l 127.0.0.1:8080 -- cat"),
    "--workers": ("--workers 4 -- cat", "--reuse-port", "--reuse-port -- cat"),
    "--exec": ("--exec cat", "-- PROGRAM", "-- cat"),
    "help": ("help", "wsluice --help", "--help"),
    "reload": ("reload", "wsluice ctl reload", None),
    "a file": ("wsluice.yaml", "-c wsluice.yaml", None),
    # addresses
    "to HOST:PORT": ("--to 127.0.0.1:5900", "tcp://127.0.0.1:5900", "--to tcp://127.0.0.1:5900"),
    "to PORT": ("--to 5900", "tcp://127.0.0.1:5900", "--to tcp://127.0.0.1:5900"),
    "to tcp:HOST:PORT": ("--to tcp:localhost:5900", "tcp://localhost:5900", "--to tcp://localhost:5900"),
    "to tcp:PORT": ("--to tcp://5900", "tcp://127.0.0.1:5900", "--to tcp://127.0.0.1:5900"),
    "to a path": ("--to /run/x.sock", "unix:/run/x.sock", "--to unix:/run/x.sock"),
    "to HTTP": ("--to http://localhost:3000/", "tcp://localhost:3000", "--to tcp://localhost:3000"),
    "to WebSocket": ("--to ws://localhost:3000/x", "tcp://localhost:3000", None),
    "to a path of a host": ("--to tcp://localhost:3000/x", "tcp://localhost:3000", "--to tcp://localhost:3000"),
    "to mqtts": ("--to mqtts://localhost:8883", "tls://localhost:8883", "--to tls://localhost:8883"),
    "to redis": ("--to redis://localhost:6379/0", "tcp://localhost:6379", "--to tcp://localhost:6379"),
    "to a word": ("--to cat", "exec:cat", "--to exec:cat"),
    "to words": ("--to 'cat -u'", "exec:cat -u", "--to 'exec:cat -u'"),
    "to echo": ("--to echo", "echo:", "--to echo:"),
    "listen :PORT": ("-l :8080 -- cat", "8080 for this machine alone, or 0.0.0.0:8080", "-l 8080 -- cat"),
    "listen HOST": ("-l 127.0.0.1 -- cat", "127.0.0.1:8080", "-l 127.0.0.1:8080 -- cat"),
    "listen URL": ("-l http://127.0.0.1:8080/ -- cat", "127.0.0.1:8080", "-l 127.0.0.1:8080 -- cat"),
    "listen path": ("-l /run/x -- cat", "unix:/run/x", "-l unix:/run/x -- cat"),
    "listen IPv6": ("-l ::1:8080 -- cat", "[::1]:8080", "-l [::1]:8080 -- cat"),
    "listen any IPv6": ("-l :: -- cat", "[::]:8080", None),
    "listen ssl": ("-l '443 ssl' -- cat", "443, with --tls-cert", None),
    "COMMAND is an address": ("tcp://localhost:80", "--to tcp://localhost:80", "--to tcp://localhost:80"),
    "COMMAND is a route": ("'/a=exec:cat -u'", "--route '/a=exec:cat -u'", "--route '/a=exec:cat -u'"),
    "COMMAND in quotes": ("'cat -u'", "-- cat -u", "-- cat -u"),
    "COMMAND is a folder": ("/usr", "--static /usr", "--static /usr"),
    "COMMAND has a tilde": ("'~/bin/x'", "write the whole path", None),
    "route without a slash": ("-r a=echo:", "'/a=echo:'", "-r /a=echo:"),
    "route without =": ("-r /a:tcp://localhost:80", "'/a=tcp://localhost:80'", "-r /a=tcp://localhost:80"),
    "route is an address": ("-r tcp://localhost:80", "'/=tcp://localhost:80'", "-r /=tcp://localhost:80"),
    # values
    "log-to stdout": ("--log-to stdout -- cat", "/dev/stdout", "--log-to /dev/stdout -- cat"),
    "log-to -": ("--log-to - -- cat", "stderr", "--log-to stderr -- cat"),
    "log-to journal": ("--log-to journal -- cat", "stderr", "--log-to stderr -- cat"),
    "log-to none": ("--log-to none -- cat", "/dev/null", "--log-to /dev/null -- cat"),
    "warning": ("--log-level warning -- cat", "warn", "--log-level warn -- cat"),
    "framing raw": ("--framing=raw -- cat", "stream", "--framing stream -- cat"),
    "compression true": ("--compression true -- cat", "on", "--compression on -- cat"),
    "auth USER:PASSWORD": ("--auth me:secret -- cat", "--auth basic --auth-file FILE", None),
    "seconds in words": ("--ping '30 seconds' -- cat", "30s", "--ping 30s -- cat"),
    "small k": ("--max-message 64k -- cat", "64K", "--max-message 64K -- cat"),
}


def words(line):
    import shlex
    return shlex.split(line)


@pytest.mark.parametrize("written, says, works", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_message_says_the_words_that_work(written, says, works):
    done = command_line("--check", *words(written))
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and len(done.stderr) < 600
    assert says in done.stderr, done.stderr
    assert "secret" not in done.stderr.partition("; ")[2], "a password is not said again"
    if works is not None:
        assert (command_line("--check", *words(works)).returncode, says) == (0, says)


QUOTES = {
    "single": ("sh -c 'echo hi'", '["sh", "-c", "echo hi"]', "-- sh -c 'echo hi'"),
    "double": ('sh -c "echo hi"', '["sh", "-c", "echo hi"]', '-- sh -c "echo hi"'),
    "inside a word": ("printf it's", "-- printf it's", ""),
    "backslash": ("printf a\\ b", '["printf", "a b"]', "-- printf a\\ b"),
    "quotes inside quotes": ("""sh -c 'echo "a b"'""", r'["sh", "-c", "echo \"a b\""]', ""),
    "a pipe": ("cat | grep x", '["sh", "-c", "cat | grep x"]', "-- sh -c "),
    "redirection": ("cat > /tmp/x", '["sh", "-c", "cat > /tmp/x"]', ""),
}


@pytest.mark.parametrize("kind", ["exec", "pty"])
@pytest.mark.parametrize("line, as_list, as_command", QUOTES.values(), ids=QUOTES.keys())
def test_words_for_a_shell_are_refused_with_the_way_out(kind, line, as_list, as_command, tmp_path):
    done = command_line("--check", "--route", f"/a={kind}:{line}")
    assert done.returncode == 2 and "no shell reads these words" in done.stderr
    assert as_command in done.stderr
    if not as_list.startswith("["):
        return
    assert f"{kind}: {as_list}" in done.stderr
    (tmp_path / "c.yaml").write_text(f"routes:\n  - {kind}: {as_list}\n")
    assert command_line("--check", "-c", tmp_path / "c.yaml").returncode == 0


def test_lists_and_commands_keep_their_quotes(wsluice, tmp_path):
    (tmp_path / "c.yaml").write_text("""routes:\n  - path: /a\n    exec: [printf, "%s", "it's | \\"x\\""]\n    framing: stream\n""")
    assert wsluice("-c", tmp_path / "c.yaml").open("/a").read_message().data == b"it's | \"x\""
    assert wsluice("--framing", "stream", "--", "printf", "%s", "it's > \"x\"").open().read_message().data == b"it's > \"x\""


ECHO = 'routes: [{ to: "echo:" }]\n'
# a file | the line to write instead of the first of it that is given third
FILES = {
    "a colon at the end": ("routes:\n  - to: echo:\n", '- to: "echo:"', "- to: echo:"),
    "a colon at the end, second key": ("routes:\n  - path: /a\n    to: echo:\n", 'to: "echo:"', "to: echo:"),
    "brackets": ("listen: [::1]:8080\n" + ECHO, 'listen: "[::1]:8080"', "listen: [::1]:8080"),
    "brackets in a list": ("listen:\n  - [::1]:8080\n" + ECHO, '- "[::1]:8080"', "- [::1]:8080"),
    "a star": ("origin: *\n" + ECHO, "origin: any", "origin: *"),
    "a star and more": ("listen: *:8080\nuser: root\n" + ECHO, 'listen: "*:8080"', "listen: *:8080"),
    "a capture among words": ("routes:\n  - path: /{name:[a-z]+}\n    exec: [tail, -f, {name}.log]\n", 'exec: [tail, -f, "{name}.log"]', "exec: [tail, -f, {name}.log]"),
    "a line instead of words": ("routes:\n  - exec: cat -u\n", 'exec: ["cat", "-u"]', "exec: cat -u"),
    "a line with quotes instead of words": ("routes:\n  - exec: sh -c 'echo hi'\n", 'exec: ["sh", "-c", "echo hi"]', "exec: sh -c 'echo hi'"),
    "one item for all words": ('routes:\n  - exec: ["cat -u"]\n', '["cat", "-u"]', '["cat -u"]'),
    "no blank behind a key": ('routes:\n  - path:/a\n    to: "echo:"\n', "- path: /a", "- path:/a"),
    "two keys in a line": ('routes:\n  - path: /a to: "echo:"\n', "each key on a line of its own", None),
    "INI": ("listen = 8080\n", "listen: 8080", None),
    "TOML": ('[[routes]]\npath = "/a"\n', 'path: "/a"', None),
    "nginx": ("# nginx\nserver {\n  listen 8080;\n}\n", "wsluice example", None),
    "nginx with a comment": ("worker_processes auto;\n\nevents {\n    worker_connections 10; # few\n}\n", "wsluice example", None),
    "a list of routes only": ('- path: /a\n  to: "echo:"\n', "write routes: above it", None),
    "port": ("port: 8080\n" + ECHO, "listen: 8080", "port: 8080"),
    "command": ("routes:\n  - command: cat\n", "exec: [PROGRAM, ARG]", None),
    "path as a key": ('routes:\n  - /a: "echo:"\n', "- path: /a", None),
    "to HOST:PORT": ("routes:\n  - to: localhost:5900\n", "tcp://localhost:5900", "localhost:5900"),
    "value of another tool": ("log-level: warning\n" + ECHO, "warn", "warning"),
}


@pytest.mark.parametrize("text, says, instead_of", FILES.values(), ids=FILES.keys())
def test_the_message_about_a_file_says_the_line_that_works(text, says, instead_of, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    done = command_line("--check", "-c", path)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    if instead_of is not None:
        path.write_text(text.replace(instead_of, says))
        done = command_line("--check", "-c", path)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*new, "-x509", "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=SOON)
    subprocess.run([*new, "-keyout", folder / "other.pem", "-out", request], check=True, capture_output=True, timeout=SOON)
    both = folder / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    both.chmod(0o600)
    key.chmod(0o600)
    return {"cert": cert, "key": key, "request": request, "both": both}


@pytest.mark.parametrize("cert, key, says", [
    ("key", "cert", "swapped"),
    ("key", "key", "its certificate is needed here"),
    ("cert", "cert", "its key is needed here"),
    ("request", "key", "CSR"),
    ("both", None, "the same file, if it has both"),
    ("both", "both", None),
])
def test_certificate_and_key_that_are_not(pair, cert, key, says):
    args = ["--tls-cert", pair[cert], *(["--tls-key", pair[key]] if key else [])]
    done = command_line("--check", *args, "--to", "echo:")
    assert done.returncode == (1 if says else 0)
    assert (says or "") in done.stderr and done.stderr.count("\n") <= 1


def test_a_program_of_that_name_is_no_habit(wsluice, tmp_path):
    """What can be run is run, whatever it is called."""
    program = tmp_path / "8080"
    program.write_text("#!/bin/sh\necho ran with $1\n")
    program.chmod(0o755)
    daemon = wsluice("8080", "localhost:5900", env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert daemon.open().read_message().data == b"ran with localhost:5900"


def test_no_habit_is_an_option_of_ours():
    """Such a row would never be met."""
    source = (REPO / "src/conf/habits.c").read_text()
    tables = {name: re.findall(r'^    \{"([^"]+)",', re.search(rf" {name}\[\] = \{{\n(.*?)^\}};", source, re.M | re.S)[1], re.M)
              for name in ("options", "keys")}
    ours = {"options": re.findall(r"^  (?:-(\w), |    )--([\w-]+)", command_line("--help-all").stdout, re.M),
            "keys": [(k,) for k in re.findall(r"^  ([a-z-]+) ", command_line("--help-config").stdout, re.M)]}
    for table, rows in tables.items():
        assert len(rows) > 10
        names = {n for found in ours[table] for n in found if n}
        assert not names & {word for row in rows for word in row.split()}, table
