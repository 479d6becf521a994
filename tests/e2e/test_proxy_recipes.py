# SPDX-License-Identifier: MIT
"""The recipes in contrib/ for Apache and Caddy, in front of us, with the real programs."""

import http.client
import os
import subprocess

import pytest

from lib import peers
from lib.setting import REPO, SOON, installed
from lib.tools import sh
from lib.wire import PING, PONG, TEXT, Raw

PATH = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"
PROGRAMS = {"apache": installed("apache2"), "caddy": installed("caddy")}
CLIENT = "127.0.0.77"

# What Debian's apache2.conf and a2enmod do: the modules, and where its files are.
SYSTEM = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
                 for m in ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")) + """
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog /dev/stderr
DocumentRoot {folder}
User {user}
"""


def edit(text, *pairs):
    """Replaces each of the words, which must stand there."""
    for old, new in pairs:
        assert old in text, f"the example no longer says {old!r}"
        text = text.replace(old, new)
    return text


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == 426
    except OSError:
        return False
    finally:
        connection.close()


def apache(folder, port, backend, edits):
    text = (REPO / "contrib/apache/wsluice.conf").read_text()
    file = folder / "apache.conf"
    file.write_text(SYSTEM.format(folder=folder, user="www-data" if os.geteuid() == 0 else os.environ.get("USER", "nobody"))
                    + f"Listen 127.0.0.1:{port}\n" + edit(text, ("127.0.0.1:8081", f"127.0.0.1:{backend}"), *edits))
    return [PROGRAMS["apache"], "-X", "-f", file]


def caddy(folder, port, backend, edits):
    text = (REPO / "contrib/caddy/Caddyfile").read_text()
    file = folder / "Caddyfile"
    # its admin address is a fixed port, which two tests at a time cannot have
    file.write_text("{\n\tadmin off\n}\n" + edit(text, ("127.0.0.1:8081", f"127.0.0.1:{backend}"),
                                                  (":8080 {", f":{port} {{\n\tbind 127.0.0.1"), *edits))
    return [PROGRAMS["caddy"], "run", "--adapter", "caddyfile", "--config", file]


@pytest.fixture(params=["apache", "caddy"])
def kind(request):
    return request.param


@pytest.fixture
def start(kind, tmp_path):
    """start(daemon, (old, new)...) runs the proxy in front of the daemon, with its recipe changed like that; its address."""
    running = []

    def run(daemon, *edits):
        homes = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        argv = {"apache": apache, "caddy": caddy}[kind]
        running.append(peers.Program(lambda port: argv(tmp_path, port, daemon.port, edits), answers, env={**os.environ, **homes}))
        return "127.0.0.1", running[-1].port

    yield run
    for program in running:
        program.close()


WHO = sh("echo $REMOTE_ADDR $HTTP_HOST ${HTTPS:-off}; exec cat")


def serve(wsluice, *options):
    return wsluice("--trusted-proxies", "127.0.0.1", *options, "--framing", "lines", "--route", "/live/echo=echo:", *WHO)


def test_a_session_passes_and_the_client_is_known(start, wsluice):
    """By X-Forwarded-For; what the client says in such fields itself is not believed."""
    daemon = serve(wsluice)
    address = start(daemon)
    with Raw.connect(address, source=CLIENT) as client:
        client.open("/live", [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")])
        assert client.read_message().data.decode().split() == [CLIENT, f"{address[0]}:{address[1]}", "off"]
        for size in (1, 70000):
            client.text("x" * size)
            assert client.read_message() == (TEXT, b"x" * size)
        client.finish()
    daemon.wait_for_log(rf"session closed.* client={CLIENT}\b")


def test_the_page_of_the_proxy_is_of_the_same_origin(start, wsluice):
    address = start(serve(wsluice))
    host = f"{address[0]}:{address[1]}"

    def status(origin, *more, host=host):
        with Raw.connect(address) as client:
            client.send(client.head("/live/echo", [("Host", host), ("Origin", origin), *more], drop=("Host",)))
            return client.read_response().status

    assert status(f"http://{host}") == 101
    assert status("http://elsewhere.example") == 403
    assert status("http://www.example.org", host="www.example.org") == 101
    assert status(f"http://{host}", host="www.example.org") == 403
    for field, value in ("X-Forwarded-Host", "elsewhere.example"), ("X-Forwarded-Port", "80"), ("Forwarded", "host=elsewhere.example"):
        assert status("http://elsewhere.example", (field, value)) == 403


def test_heartbeats_keep_a_silent_session(start, wsluice, kind):
    """With a limit of 2 s in Apache (Caddy has none), and a ping each second."""
    address = start(serve(wsluice, "--ping", "1s"), *([("timeout=120", "timeout=2")] if kind == "apache" else []))
    with Raw.connect(address) as client:
        client.open("/live/echo")
        for _ in range(4):
            got = client.read_frame()
            assert got.opcode == PING
            client.send_frame(PONG, got.payload)
        client.text("still here")
        assert client.read_message() == (TEXT, b"still here")


def test_the_end_of_a_program_arrives(start, wsluice):
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--route", "/live=exec:false", "--route", "/live/echo=echo:")
    with Raw.connect(start(daemon)) as client:
        client.open("/live")
        assert client.read_close()[0] == 4001


def test_recipes_are_accepted_as_they_stand(kind, tmp_path):
    """By the program's own check, nothing replaced."""
    if kind == "apache":
        (tmp_path / "c").write_text(SYSTEM.format(folder=tmp_path, user="www-data") + f"Include {REPO}/contrib/apache/wsluice.conf\n")
        argv = [PROGRAMS[kind], "-t", "-f", tmp_path / "c"]
    else:
        argv = [PROGRAMS[kind], "adapt", "--validate", "--adapter", "caddyfile", "--config", REPO / "contrib/caddy/Caddyfile"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SOON, env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower().replace('"level":"warn","msg":"caddyfile input is not formatted"', "")
