# SPDX-License-Identifier: MIT
"""What a service is told before the client's first byte: WEBIRC and the like, that no client can bend."""

import json
import shutil
import socket

import pytest

from lib import peers
from lib.daemon import command_line
from lib.setting import SOON
from lib.tools import JSON, ended, records
from lib.wire import Raw
from test_proxy import TRUST, receive
from test_reload import configured, path, reload, write  # noqa: F401

WEBIRC = "WEBIRC {secret} wsluice {client_address} {client_address}\r\n"
NGIRCD = shutil.which("ngircd", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    return file


class Irc:
    """A scripted server: believes WEBIRC with the password, and tells who somebody is."""

    def __init__(self):
        self.lines = []

    def __call__(self, sock):
        address, nick = sock.getpeername()[0], "*"
        for n, line in enumerate(sock.makefile("r", encoding="utf-8", newline="\r\n")):
            line = line.rstrip("\r\n")
            self.lines.append(line)
            word, *rest = line.split(" ")
            if word == "WEBIRC" and n == 0 and len(rest) == 4 and rest[0] == "s3cret":
                address = rest[3]
            elif word == "WEBIRC":
                sock.sendall(b"ERROR :bad WEBIRC\r\n")
                return
            elif word == "NICK":
                nick = rest[0]
                sock.sendall(f":irc 001 {nick} :Welcome\r\n".encode())
            elif word == "WHOIS":
                sock.sendall(f":irc 378 {nick} {rest[0]} :is connecting from {address}\r\n".encode())


def says_until(c, word):
    """What the service says, up to a line with this word."""
    data = b""
    while word not in data or not data.endswith(b"\r\n"):
        data += c.read_message().data
    return data.decode()


def first_line(daemon, service, n=1, **how):
    with daemon.open(**how) as c:
        c.text("x")
        sock = service.wait_accepted(n)
        sock.settimeout(SOON)
        data = b""
        while not data.endswith(b"x"):
            more = sock.recv(1000)
            assert more, data
            data += more
        return data[:-1]


ADDRESSES = [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("::1", "0::1"), ("::ffff:192.0.2.9", "192.0.2.9")]


@pytest.mark.parametrize("address, wanted", ADDRESSES)
def test_a_scripted_irc_server_learns_the_address(wsluice, server, secret, address, wanted):
    irc = Irc()
    daemon = wsluice(*TRUST, "--preamble", WEBIRC, "--preamble-secret", secret, "--to", server(irc).to)
    with daemon.open(headers=[("X-Forwarded-For", address)]) as c:
        c.text("NICK me\r\nUSER me 0 * :me\r\n")
        says_until(c, b" 001 ")
        c.text("WHOIS me\r\n")
        assert f"is connecting from {wanted}\r\n" in says_until(c, b" 378 ")
    assert irc.lines[0] == f"WEBIRC s3cret wsluice {wanted} {wanted}"


def test_it_is_sent_at_once(wsluice, server, secret):
    """A server that waits for it must not wait for the client."""
    service = server(peers.hold)
    daemon = wsluice("--preamble", WEBIRC, "--preamble-secret", secret, "--to", service.to)
    with daemon.open():
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        assert sock.recv(200) == b"WEBIRC s3cret wsluice 127.0.0.1 127.0.0.1\r\n"


def test_every_value(configured, server, path, tmp_path):  # noqa: F811
    """Behind the PROXY header, where there is one; and the id is that of the log."""
    service = server(peers.hold, path=tmp_path / "service")
    users = tmp_path / "tokens"
    users.write_text("alice sesame99\n")
    users.chmod(0o600)
    daemon = configured({"listen": ["127.0.0.1:0"], "log-format": "json", "stop-grace": 0, "routes": [
        {"path": "/room/{room:[a-z]+}", "to": service.to, "auth": "bearer", "auth-file": str(users), "proxy-protocol": "v1",
         "preamble": "{client_address} {client_port} {local_address} {local_port} {host} {user} {unique_id} {room} {{room}} {x y}\n"}]})
    c = daemon.connect()
    c.host = "chess.example:81"
    port = c.sock.getsockname()[1]
    with c.open("/room/blue", headers=[("Authorization", "Bearer sesame99")]):
        sock = service.wait_accepted()
        sock.settimeout(SOON)
        data = b""
        while data.count(b"\n") < 2:
            data += sock.recv(1000)
        c.finish()
    unique = ended(daemon)["unique_id"]
    assert data.decode() == (f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {daemon.port}\r\n"
                             f"127.0.0.1 {port} 127.0.0.1 {daemon.port} chess.example alice {unique} blue {{room}} {{x y}}\n")


def test_a_client_of_a_unix_socket_has_no_address(wsluice, server, tmp_path):
    service = server(peers.hold)
    daemon = wsluice("-l", f"unix:{tmp_path}/door", "--preamble", "{client_address} {client_port}\n", "--to", service.to)
    assert first_line(daemon, service) == b"0.0.0.0 0\n"


@pytest.mark.parametrize("word", ["a%20b", "%20", "%3Acolon", "a%20QUIT"])
def test_a_captured_word_cannot_bend_the_line(configured, server, word):
    service = server(peers.hold)
    daemon = configured({"listen": ["127.0.0.1:0"], "log-format": "json", "routes": [
        {"path": "/{room:.+}", "to": service.to, "preamble": "JOIN {room} now\r\n"}]})
    with daemon.connect() as c:
        c.send(c.head("/" + word))
        response = c.read_response()
        assert response.status == 400 and b"who" not in response.body and b"secret" not in response.body
    daemon.wait_for_log("a value does not fit")
    record, = records(daemon, "a value does not fit into the preamble")
    assert record["value"] == "room"
    assert not service.accepted
    assert first_line(daemon, service, path="/caf%C3%A9:x") == "JOIN café:x now\r\n".encode()


def test_a_host_or_user_cannot_bend_it_either(configured, server, tmp_path):
    """A Host that is empty, and a user whom a hook has named with a space."""
    service = server(peers.hold)
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\necho 'user: a b'\n")
    hook.chmod(0o755)
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [
        {"path": "/host", "to": service.to, "preamble": "H {host} x\n", "origin": ["any"]},
        {"path": "/user", "to": service.to, "preamble": "U {user} x\n", "auth": "hook", "auth-hook": [str(hook)]}]})
    for path_, host in (("/host", ""), ("/host", ":80"), ("/host", "[::1]:80"), ("/user", "x")):
        c = daemon.connect()
        c.host = host
        assert c.upgrade(path_).status == 400, (path_, host)
        c.close()
    assert not service.accepted


def test_the_secret_is_in_no_dump_log_or_listing(wsluice, server, secret):
    service = server(peers.hold)
    args = ["--log-level", "debug", "--preamble", WEBIRC, "--preamble-secret", str(secret), "--to", service.to]
    dump = command_line("-l", "127.0.0.1:0", *args, "--dump-config").stdout
    assert "s3cret" not in dump and str(secret) in dump and r"{client_address}\u000d\u000a" in dump
    daemon = wsluice(*args)
    assert b"s3cret" in first_line(daemon, service)
    with open(f"/proc/{daemon.pid}/cmdline", "rb") as file:
        assert b"s3cret" not in file.read()
    assert "s3cret" not in "\n".join(daemon.log)


def test_a_new_secret_comes_with_a_reload(configured, server, secret):
    service = server(peers.hold)
    daemon = configured({"listen": ["127.0.0.1:0"], "routes": [
        {"path": "/", "to": service.to, "preamble": "{secret}\n", "preamble-secret": str(secret)}]})
    assert first_line(daemon, service) == b"s3cret\n"
    secret.write_text("  other \n\n")
    reload(daemon)
    assert first_line(daemon, service, 2) == b"other\n"
    secret.write_text("two words\n")
    log = reload(daemon, ok=False)
    assert any("one word is needed" in line for line in log) and not any("two words" in line for line in log)
    assert first_line(daemon, service, 3) == b"other\n"


TCP = {"path": "/", "to": "tcp://127.0.0.1:1"}


@pytest.mark.parametrize("conf, wanted", [
    ({"routes": [{**TCP, "preamble": "{clientaddress}\n"}]},
     "{clientaddress}: no such value; there is what the path captures, and {client_address} {client_port}"),
    ({"routes": [{**TCP, "preamble": "HELLO\\r\\n"}]}, "is a backslash and a letter here"),
    ({"routes": [{**TCP, "preamble": "{secret}\n"}]}, "{secret} comes from a file: preamble-secret FILE"),
    ({"routes": [{**TCP, "preamble": "x\n", "preamble-secret": "SECRET"}]}, "preamble-secret is set, but there is no {secret}"),
    ({"routes": [TCP], "preamble-secret": "SECRET"}, "preamble-secret is set, but there is no {secret}"),
    ({"routes": [{**TCP, "preamble": "{user}\n"}]}, "{user} is known only where somebody is asked: see auth"),
    ({"routes": [{**TCP, "path": "/{host:x}", "preamble": "{host}\n"}]}, "{host} is a name of ours"),
    ({"routes": [{"path": "/", "exec": ["cat"], "preamble": "x\n"}]}, "only services on stream sockets are told"),
    ({"routes": [{"path": "/", "to": "echo:"}], "preamble": "x\n"}, "only services on stream sockets are told"),
    ({"routes": [{**TCP, "preamble": "{secret}\n", "preamble-secret": "/nonexistent"}]}, "/nonexistent: No such file"),
    ({"routes": [{**TCP, "preamble": "{secret}\n", "preamble-secret": "OPEN"}]}, "everybody may read it: chmod o-r"),
    ({"routes": [{**TCP, "preamble": "{secret}\n", "preamble-secret": "EMPTY"}]}, "one word is needed"),
    ({"routes": [{**TCP, "preamble": "{secret}\n", "preamble-secret": "COLON"}]}, "one word is needed"),
], ids=["unknown", "no-line-end", "no-file", "unused", "unused-for-all", "nobody-asked", "two-of-a-name", "program", "echo-for-all", "missing",
        "readable", "empty", "colon"])
def test_what_cannot_hold_stops_the_start(path, secret, tmp_path, conf, wanted):  # noqa: F811
    for name, text, mode in (("OPEN", "x", 0o644), ("EMPTY", "\n", 0o600), ("COLON", ":x", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    text = json.dumps(conf).replace("SECRET", str(secret))
    for name in ("OPEN", "EMPTY", "COLON"):
        text = text.replace(f'"{name}"', f'"{tmp_path}/{name}"')
    write(path, text)
    done = command_line("--config", path, "--check")
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if wanted in line and "wsluice.yaml:" in line], done.stderr


def test_a_default_for_all_does_not_hurt_programs(configured, server):
    service = server(peers.hold)
    daemon = configured({"listen": ["127.0.0.1:0"], "preamble": "HELLO\n", "routes": [
        {"path": "/cat", "exec": ["cat"]}, {"path": "/", "to": service.to}]})
    assert first_line(daemon, service) == b"HELLO\n"
    with daemon.open("/cat") as c:
        c.text("hello")
        assert c.read_message().data == b"hello"


# ---- the real one

CONF = """
[Global]
Name = irc.test
AdminInfo1 = test
AdminEMail = a@b.c
Info = test
Listen = 127.0.0.1
Ports = {port}
ServerUID = {uid}
ServerGID = {gid}
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local1
{webirc}
"""


@pytest.fixture
def ngircd(tmp_path):
    """ngircd(LINES) with those lines among its options."""
    assert NGIRCD, "ngircd is missing: contrib/install-deps.sh test"
    running = []

    def start(webirc):
        def argv(port):
            file = tmp_path / f"ngircd{len(running)}.conf"
            file.write_text(CONF.format(port=port, uid="irc", gid="irc", webirc=webirc))
            tmp_path.chmod(0o755)
            return [NGIRCD, "--nodaemon", "--config", str(file)]

        def answers(port):
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        running.append(peers.Program(argv, answers))
        return running[-1]

    yield start
    for program in running:
        program.close()


def whois(c, nick):
    c.text(f"NICK {nick}\r\nUSER {nick} 0 * :somebody\r\n")
    says_until(c, f" 001 {nick} ".encode())
    c.text(f"WHOIS {nick}\r\n")
    return says_until(c, b" 318 ")


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_ngircd_shows_the_real_address(wsluice, ngircd, secret, address):
    irc = ngircd("WebircPassword = s3cret")
    to = ["--to", f"tcp://127.0.0.1:{irc.port}"]
    daemon = wsluice(*TRUST, *JSON, "--preamble", WEBIRC, "--preamble-secret", secret, *to)
    with daemon.open(headers=[("X-Forwarded-For", address)]) as c:
        assert address in whois(c, "me"), "not the client's address"
    bare = wsluice(*TRUST, *to)
    with bare.open(headers=[("X-Forwarded-For", address)]) as c:
        assert address not in whois(c, "other"), "it knows without being told: this test cannot fail"


def test_ngircd_refuses_a_wrong_secret(wsluice, ngircd, secret):
    """Our line is what it judges."""
    irc = ngircd("WebircPassword = another")
    daemon = wsluice("--preamble", WEBIRC, "--preamble-secret", secret, "--to", f"tcp://127.0.0.1:{irc.port}")
    with daemon.open() as c:
        assert "Invalid password" in says_until(c, b" 464 ")
