# SPDX-License-Identifier: MIT
"""contrib/compat: the stand-ins for websockify and websocketd say what they make of an option, and do it."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess

import pytest
import websocket

from lib import peers, proc, tls
from lib.setting import BINARY, REPO, SOON
from lib.wire import BINARY as BYTES, TEXT

COMPAT = REPO / "contrib" / "compat"
WEBSOCKIFY, WEBSOCKETD = COMPAT / "websockify", COMPAT / "websocketd"
ENV = {**{k: v for k, v in os.environ.items() if not k.startswith(("WSLUICE", "LD_"))}, "WSLUICE": BINARY}


# these never come to wsluice itself
PLAIN = pytest.mark.plain("the translation is the same, whatever build it is for")


def run(program, *args, cwd=None, **env):
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=2 * SOON, cwd=cwd,
                          stdin=subprocess.DEVNULL, env={**ENV, **env})


def translate(program, *args, notes=False, **env):
    """The options of wsluice that the stand-in shows; notes: that it says something besides."""
    done = run(program, "--print", *args, **env)
    assert done.returncode == 0, done.stderr
    assert bool(done.stderr) == notes, done.stderr
    name, *words = shlex.split(done.stdout)
    assert name == "wsluice"
    return words


def refusal(program, *args, **env):
    done = run(program, *args, **env)
    assert done.returncode == 2 and not done.stdout, done
    assert re.fullmatch(rf"{program.name}: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


# websockify: what becomes of each option.

WEBSOCKIFY_OPTIONS = [
    ("6080 localhost:5901", "--listen 0.0.0.0:6080 --to tcp://localhost:5901"),
    ("127.0.0.1:6080 [::1]:5901", "--listen 127.0.0.1:6080 --to 'tcp://[::1]:5901'"),
    ("[::1]:6080 10.0.0.1:5901", "--listen '[::1]:6080' --to tcp://10.0.0.1:5901"),
    ("-6 6080 h:1", "--listen '[::]:6080' --to tcp://h:1"),
    ("6080 --web=/usr/share/novnc h:1", "--listen 0.0.0.0:6080 --static /usr/share/novnc --to tcp://h:1"),
    ("--web /www 6080 h:1 -v", "--listen 0.0.0.0:6080 --static /www --to tcp://h:1 --log-level debug"),
    ("--cert c.pem --ssl-only 6080 h:1", "--listen 0.0.0.0:6080 --tls-cert c.pem --tls-key c.pem --to tcp://h:1"),
    ("--cert c.pem --key k.pem --ssl-only --verify-client --cafile a.pem 6080 h:1", "--listen 0.0.0.0:6080 --tls-cert c.pem "
     "--tls-key k.pem --tls-client-cert require --tls-client-ca a.pem --to tcp://h:1"),
    ("--ssl-target 6080 h:1", "--listen 0.0.0.0:6080 --to tls://h:1"),
    ("--unix-target /run/vnc.sock 6080", "--listen 0.0.0.0:6080 --to unix:/run/vnc.sock"),
    ("--token-plugin TokenFile --token-source /etc/tokens 6080", "--listen 0.0.0.0:6080 --route /=token-file:/etc/tokens"),
    ("--token-plugin websockify.token_plugins.ReadOnlyTokenFile --token-source t 6080",
     "--listen 0.0.0.0:6080 --route /=token-file:t"),
    ("--target-config=/etc/tokens 6080", "--listen 0.0.0.0:6080 --route /=token-file:/etc/tokens"),
    ("--heartbeat=30 6080 h:1", "--listen 0.0.0.0:6080 --to tcp://h:1 --ping 30s"),
    ("--log-file /tmp/l 6080 h:1", "--listen 0.0.0.0:6080 --to tcp://h:1 --log-to /tmp/l"),
    ("--syslog=/dev/log --legacy-syslog 6080 h:1", "--listen 0.0.0.0:6080 --to tcp://h:1 --log-to syslog --syslog-socket /dev/log"),
    ("--auth-plugin ExpectOrigin --auth-source 'https://a https://b:1' 6080 h:1",
     "--listen 0.0.0.0:6080 --to tcp://h:1 --origin https://a,https://b:1"),
    ("--libserver --ssl-version=tlsv1_2 -D 6080 h:1", "--listen 0.0.0.0:6080 --to tcp://h:1"),
]


@PLAIN
def test_websockify_options():
    for given, made in WEBSOCKIFY_OPTIONS:
        assert translate(WEBSOCKIFY, *shlex.split(given)) == shlex.split(made + " --errors close"), given


def test_websockify_notes_what_differs():
    assert "--tls-cert" in translate(WEBSOCKIFY, "--cert", "c.pem", "6080", "h:1", notes=True)


WEBSOCKIFY_REFUSED = [
    ("", "which port"),
    ("6080", "where to"),
    ("x h:1", "port number"),
    ("99999 h:1", "port number"),
    ("6080 5900", "HOST:PORT"),
    ("6080 h:vnc", "port number"),
    ("6080 h:1 extra", "extra"),
    ("--bogus 6080 h:1", "--bogus"),
    ("--web", "--web"),
    ("--record=f 6080 h:1", "--record is not supported: .*recording.md"),
    ("--run-once 6080 h:1", "--run-once is not supported"),
    ("--timeout 5 6080 h:1", "--timeout is not supported"),
    ("--idle-timeout=5 6080 h:1", "--idle-timeout is not supported"),
    ("--traffic 6080 h:1", "--traffic is not supported"),
    ("--inetd h:1", "--inetd is not supported"),
    ("--web-auth 6080 h:1", "--web-auth is not supported"),
    ("--host-token 6080 h:1", "--host-token is not supported"),
    ("--wrap-mode=exit 6080 h:1", "--wrap-mode is not supported"),
    ("6080 -- vncserver", "-- COMMAND is not supported"),
    ("--key-password=x 6080 h:1", "--key-password is not supported"),
    ("--ssl-ciphers=x 6080 h:1", "--ssl-ciphers is not supported"),
    ("--ssl-version=tlsv1_3 6080 h:1", "--ssl-version tlsv1_3 is not supported"),
    ("--ssl-only 6080 h:1", "--ssl-only needs --cert"),
    ("--token-plugin JWTTokenApi --token-source k 6080", "JWTTokenApi is not supported"),
    ("--token-plugin TokenFile 6080", "needs --token-source"),
    ("--token-source t 6080 h:1", "needs --token-plugin"),
    ("--token-plugin TokenFile --token-source t 6080 h:1", "at once"),
    ("--auth-plugin BasicHTTPAuth --auth-source u:p 6080 h:1", "BasicHTTPAuth is not supported: .*wsluice passwd"),
    ("--unix-target s 6080 h:1", "in place of a target"),
    ("--heartbeat soon 6080 h:1", "number of seconds"),
    ("--syslog=host:514 6080 h:1", "sockets of this machine"),
]


@PLAIN
def test_websockify_refuses():
    for given, told in WEBSOCKIFY_REFUSED:
        said = refusal(WEBSOCKIFY, *shlex.split(given))
        assert re.search(told, said), (given, said)


# websocketd: the same.

@pytest.fixture(scope="module")
def both():
    """What it listens on when told no address."""
    with open("/proc/net/if_inet6") as interfaces:
        return "--listen 0.0.0.0:8080 " + ("--listen '[::]:8080' " if interfaces.read() else "")


WEBSOCKETD_OPTIONS = [
    ("--port=8080 cat", "-- cat"),
    ("-port 8080 ./prog --port=9 -x", "-- ./prog --port=9 -x"),
    ("--port=8080 --staticdir=www --binary cat", "--static www --framing stream -- cat"),
    ("--port=8080 --binary=false --devconsole=true -- cat", "--console -- cat"),
    ("--port=8080 --origin=https://a.example,b.example:81 cat",
     "--origin https://a.example,http://b.example:81,https://b.example:81 -- cat"),
    ("--port=8080 --sameorigin=false cat", "--origin any -- cat"),
    ("--port=8080 --sameorigin cat", "-- cat"),
    ("--port=8080 --passenv=PATH,HOME --maxforks=3 --closems 250 cat",
     "--pass-env PATH,HOME --max-sessions 3 --stop-grace 250ms -- cat"),
    ("--port=8080 --maxforks=0 --closems=0 --reverselookup=false --loglevel=trace cat", "--log-level debug -- cat"),
    ("--port=8080 --ssl --sslcert=c --sslkey=k --loglevel=access cat", "--tls-cert c --tls-key k --log-level info -- cat"),
]


@PLAIN
def test_websocketd_options(both):
    for given, made in WEBSOCKETD_OPTIONS:
        assert translate(WEBSOCKETD, *shlex.split(given)) == shlex.split(both + made), given


def test_websocketd_addresses_and_ports():
    words = translate(WEBSOCKETD, "--address=127.0.0.1", "--address", "[::1]", "--port=99", "cat")
    assert words == ["--listen", "127.0.0.1:99", "--listen", "[::1]:99", "--", "cat"]
    assert translate(WEBSOCKETD, "--address=::1", "cat")[:2] == ["--listen", "[::1]:80"]
    assert "127.0.0.1:443" in translate(WEBSOCKETD, "--address=127.0.0.1", "--ssl", "--sslcert=c", "--sslkey=k", "cat")
    assert "--pass-env" in translate(WEBSOCKETD, "cat", LD_LIBRARY_PATH="/lib")
    assert translate(WEBSOCKETD, "cat", WSLUICE_OPTIONS="--origin any")[-4:] == ["--origin", "any", "--", "cat"]
    assert translate(WEBSOCKETD, "--origin=a.example", "cat", notes=True)[-3:-2] == ["http://a.example,https://a.example"]


WEBSOCKETD_REFUSED = [
    ("", "which program"),
    ("--port", "needs a value"),
    ("--port=web cat", "port number"),
    ("--bogus cat", "--bogus"),
    ("--binary=perhaps cat", "true or false"),
    ("--maxforks=many cat", "number"),
    ("--closems=-1 cat", "negative"),
    ("--loglevel=loud cat", "one of"),
    ("--cgidir=cgi cat", "--cgidir is not supported"),
    ("--header=A:b cat", "--header is not supported"),
    ("--header-ws A:b cat", "--header-ws is not supported"),
    ("--redirport=80 cat", "--redirport is not supported: .*redirect-to-https"),
    ("--reverselookup cat", "--reverselookup is not supported"),
    ("--ssl cat", "all of them or none"),
    ("--sslcert=c cat", "all of them or none"),
    ("--devconsole --staticdir=www cat", "only one of them"),
    ("--sameorigin --origin=a cat", "only one of them"),
    ("--dir=. cat", "only one of them"),
    ("--dir=/nowhere", "no programs below"),
]


@PLAIN
def test_websocketd_refuses():
    for given, told in WEBSOCKETD_REFUSED:
        said = refusal(WEBSOCKETD, *shlex.split(given))
        assert re.search(told, said), (given, said)


def test_where_wsluice_is(tmp_path):
    assert "/nowhere/x is not there" in refusal(WEBSOCKETD, "cat", WSLUICE="/nowhere/x")
    assert "WSLUICE_OPTIONS cannot be read" in refusal(WEBSOCKETD, "cat", WSLUICE_OPTIONS="'")
    (tmp_path / "websockify").symlink_to(WEBSOCKIFY)  # as one would put it on PATH
    (tmp_path / "wsluice").symlink_to(BINARY)
    done = run(tmp_path / "websockify", "127.0.0.1:0", "h:1", "--web", "/nowhere", WSLUICE="", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1 and done.stderr.startswith("wsluice: ") and "/nowhere" in done.stderr
    for program in (WEBSOCKIFY, WEBSOCKETD):
        assert "--print" in run(program, "--help").stdout


# For real.

@pytest.fixture
def websockify(wsluice):
    return lambda *args, **how: wsluice("127.0.0.1:0", *args, binary=WEBSOCKIFY, listen=False, env={"WSLUICE": BINARY}, **how)


def test_websockify_for_real(websockify, server, tmp_path):
    (tmp_path / "vnc.html").write_text("a page")
    port = server(peers.echo).port
    daemon = websockify(f"127.0.0.1:{port}", "--web", tmp_path)
    client = websocket.create_connection(daemon.url + "/websockify", timeout=SOON, subprotocols=["binary", "base64"])
    with contextlib.closing(client):
        assert client.getsubprotocol() == "binary"
        client.send_binary(b"RFB 003.008\n")
        assert client.recv_data() == (websocket.ABNF.OPCODE_BINARY, b"RFB 003.008\n")
    page = daemon.connect()
    page.send(b"GET /vnc.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert page.read_to_end()[0].endswith(b"a page")


def test_websockify_tokens_and_sockets(websockify, server, tmp_path):
    path = tmp_path / "service.sock"
    server(peers.says(b"unix"), path=path)
    port = server(peers.says(b"tcp")).port
    (tmp_path / "tokens").write_text(f"# desks\none: 127.0.0.1:{port}\n")
    with websockify("--token-plugin", "TokenFile", "--token-source", tmp_path / "tokens").open("/websockify?token=one") as client:
        assert client.read_message() == (BYTES, b"tcp")
    with websockify("--unix-target", path).open("/websockify") as client:
        assert client.read_message() == (BYTES, b"unix")


def test_websockify_tls(websockify, server, tmp_path):
    certificate = tls.Certificate(tmp_path, "localhost")
    combined = tmp_path / "self.pem"
    combined.touch(mode=0o600)
    for path in (certificate.cert, certificate.key):
        with open(path) as file, open(combined, "a") as out:
            out.write(file.read())
    daemon = websockify(f"127.0.0.1:{server(peers.echo).port}", "--cert", combined)
    with tls.client(daemon.address, certificate, low=ssl.TLSVersion.TLSv1_2).open() as client:
        client.binary(b"secret")
        assert client.read_message() == (BYTES, b"secret")


def test_websockify_target_that_refuses_is_a_close_code(websockify):
    with peers.refused_port() as port:
        code, reason, _ = websockify(f"127.0.0.1:{port}").open("/websockify").read_close()
    assert code == 1014 and reason


def test_websockify_in_the_background(tmp_path):
    """-D returns once it serves; what is wrong is told first."""
    log = tmp_path / "log"
    before = {p.pid for p in proc.orphans()}
    done = run(WEBSOCKIFY, "-D", "127.0.0.1:0", "127.0.0.1:1", "--log-file", log)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    daemon, = (p for p in proc.orphans() if p.pid not in before)
    try:
        port = int(re.search(r"listening on ws://127.0.0.1:(\d+)/", log.read_text()).group(1))
        with socket.create_connection(("127.0.0.1", port), timeout=SOON):
            pass
        taken = run(WEBSOCKIFY, "-D", f"127.0.0.1:{port}", "127.0.0.1:1")
        assert taken.returncode == 1 and "in use" in taken.stderr
        os.kill(daemon.pid, signal.SIGTERM)
        proc.wait_until(lambda: proc.process(daemon.pid).state == "Z", "it to end")
    finally:
        proc.bury(daemon)


@pytest.fixture
def websocketd(wsluice):
    """It knows no port 0: a free one is looked for, and another if somebody was faster."""
    def start(*args):
        for _ in range(5):
            port = peers.free_port()
            with contextlib.suppress(AssertionError):
                return wsluice("--address=127.0.0.1", f"--port={port}", *args, binary=WEBSOCKETD, listen=False,
                               env={"WSLUICE": BINARY})
        raise AssertionError("websocketd does not start")

    return start


def test_websocketd_for_real(websocketd):
    with websocketd("bc", "-l").open() as client:
        client.text("2^64")
        assert client.read_message() == (TEXT, b"18446744073709551616")
    with websocketd("--binary", "cat").open() as client:
        client.binary(b"\0\xff")
        assert client.read_message() == (BYTES, b"\0\xff")


def test_websocketd_serves_a_folder(websocketd, tmp_path):
    for name, mode in (("hello.sh", 0o755), ("sub/where.sh", 0o755), ("text.txt", 0o644), (".git/hook", 0o755)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho "$SCRIPT_NAME $PATH_INFO"\n')
        path.chmod(mode)
    daemon = websocketd("--dir", tmp_path)
    for path, line in (("/hello.sh", b"/hello.sh "), ("/sub/where.sh/a/b", b"/sub/where.sh /a/b")):
        with daemon.open(path) as client:
            assert client.read_message() == (TEXT, line)
    for path in ("/text.txt", "/.git/hook", "/"):
        assert daemon.connect().upgrade(path).status == 404


# noVNC, with a desktop behind the first.

@pytest.fixture
def desktop():
    """An X server that speaks VNC. It chooses its display itself, so that nobody is in its way."""
    def listens(port):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    program = peers.Program(lambda port: ["Xtigervnc", "-displayfd", "1", "-rfbport", str(port), "-localhost", "-geometry", "640x480",
                                          "-SecurityTypes", "None", "-nolisten", "tcp"], listens)
    number = proc.wait_until(lambda: next((line.strip() for line in program.output if re.fullmatch(r"\d+\n", line)), None),
                             lambda: "a display:\n" + "".join(program.output))
    program.display = f":{number}"
    yield program
    program.close()


def test_novnc_shows_a_desktop(websockify, desktop, tmp_path):
    """Pixels of the desktop arrive in the browser; a click and a key of the browser arrive on the desktop."""
    subprocess.run(["xsetroot", "-display", desktop.display, "-solid", "#2a6fdb"], check=True, timeout=SOON)
    xev = subprocess.Popen(["stdbuf", "-oL", "xev", "-display", desktop.display, "-geometry", "200x200+0+0"], text=True,
                           stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=proc.die_with_parent)
    proc.started.add(xev.pid)
    try:
        for line in xev.stdout:
            if line.startswith("MapNotify"):
                break
        daemon = websockify(f"127.0.0.1:{desktop.port}", "--web", "/usr/share/novnc")
        url = daemon.url.replace("ws:", "http:") + "/vnc.html?autoconnect=true"
        seen = json.loads(peers.node("novnc.mjs", url, tmp_path / "vnc.png"))
        assert seen == {"size": [640, 480], "colours": [[0x2A, 0x6F, 0xDB]] * 2}
        heard = ""
        for line in xev.stdout:
            heard += line
            if "keysym 0x77, w" in line:
                break
        assert re.search(r"^ButtonPress .*\n.* root:\(60,60\)", heard, re.M), heard
    finally:
        xev.kill()
        xev.wait()
        xev.stdout.close()
        proc.started.discard(xev.pid)
