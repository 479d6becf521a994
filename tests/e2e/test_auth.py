# SPDX-License-Identifier: MIT
"""Who may pass: passwords, tokens, hooks and token files, at every door of a route."""

import base64
import concurrent.futures
import contextlib
import ctypes
import http.server
import itertools
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading

import pytest

from lib import peers, proc
from lib.admin import Admin
from lib.daemon import command_line
from lib.setting import BINARY, SOON
from lib.tls import Authority
from lib.tls import client as tls_client
from lib.wire import Raw

NO_UPGRADE = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
PASSWORD = "op\u00e9n:sesame"
TOKEN = "s3cret-Token_of.alice"
QUICK = "$6$rounds=1000$saltsalt$"  # hashes that cost next to nothing
NOT_QUICK = "$6$rounds=200000$saltsalt$"
SLOW = "$6$rounds=900000$saltsalt$"

_crypt = ctypes.CDLL("libcrypt.so.1").crypt
_crypt.restype, _crypt.argtypes = ctypes.c_char_p, [ctypes.c_char_p] * 2


def hashed(password, salt=QUICK):
    return _crypt(password.encode(), salt.encode()).decode()


def write(path, text, mode=0o600):
    """At once, as an editor does it: readers see the old file or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(path)
    return path


def basic(user, password=PASSWORD):
    text = user if isinstance(user, bytes) else f"{user}:{password}".encode()
    return ("Authorization", "Basic " + base64.b64encode(text).decode())


def bearer(token=TOKEN):
    return ("Authorization", f"Bearer {token}")


# Addresses for clients, so that the delay after one failure does not slow down the next.
SOURCES = map(lambda n: f"127.{n >> 14 & 127 | 64}.{n >> 7 & 127}.{n & 127 | 128}", itertools.count(1))


def ask(daemon, path, headers=(), source=None, timeout=SOON, **how):
    """A plain GET, from an address of its own unless told."""
    with daemon.connect(source=source or next(SOURCES), timeout=timeout) as client:
        client.send(client.head(path, headers, drop=NO_UPGRADE, **how))
        return client.read_response()


def upgrade(daemon, path, headers=(), source=None, **how):
    return daemon.connect(source=source or next(SOURCES)).upgrade(path, headers, **how)


def together(function, *lists):
    """What the function returns for each, all at once: each that is wrong has to wait for its answer."""
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(pool.map(function, *lists))


def start(wsluice, path, text, *args, **how):
    return wsluice("--config", write(path / "wsluice.yaml", text), *args, **how)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("auth")
    write(root / "passwords", f"# people\n\nalice:{hashed(PASSWORD)}\nbob:{hashed('builder', NOT_QUICK)}:a note\n")
    write(root / "tokens", f"# tokens\nalice {TOKEN}\n\nnobody-s-token\n")
    (root / "www").mkdir()
    (root / "www" / "index.html").write_text("files")
    return root


@pytest.fixture(scope="module")
def module_daemon(wsluice_module, place):
    return start(wsluice_module, place, f"""
log-query: on
log-level: debug
auth-realm: the vault
routes:
  - {{path: /basic/ws, to: "echo:", console: on, auth: basic, auth-file: {place}/passwords}}
  - {{path: /basic/env, exec: [/usr/bin/env], auth: basic, auth-file: {place}/passwords}}
  - {{path: /basic/files, static: {place}/www, auth: basic, auth-file: {place}/passwords}}
  - {{path: /bearer/ws, to: "echo:", console: on, auth: bearer, auth-file: {place}/tokens}}
  - {{path: /bearer/env, exec: [/usr/bin/env], auth: bearer, auth-file: {place}/tokens, subprotocol: [chat, more]}}
  - {{path: /bearer/files, static: {place}/www, auth: bearer, auth-file: {place}/tokens}}
  - {{path: /open, to: "echo:", console: on}}
""")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


# Every door.

GOOD = {"basic": basic("alice"), "bearer": bearer()}
WRONG = {"basic": basic("alice", "wrong"), "bearer": bearer("wrong-Token_of.alice")}
CHALLENGE = {"basic": 'Basic realm="the vault", charset="UTF-8"', "bearer": 'Bearer realm="the vault"'}


def at_door(daemon, scheme, door, headers):
    if door == "websocket":
        return upgrade(daemon, f"/{scheme}/ws", headers)
    return ask(daemon, f"/{scheme}/{'ws' if door == 'console' else 'files/'}", headers)


@pytest.mark.parametrize("door", ["websocket", "console", "files"])
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_every_door(daemon, scheme, door):
    good = at_door(daemon, scheme, door, [GOOD[scheme]])
    assert good.status == (101 if door == "websocket" else 200)
    for headers in ([], [WRONG[scheme]], [GOOD["bearer" if scheme == "basic" else "basic"]]):
        answer = at_door(daemon, scheme, door, headers)
        assert answer.status == 401, headers
        assert answer.get("www-authenticate") == CHALLENGE[scheme]
        assert b"files" not in answer.body and b"<html" not in answer.body


@pytest.mark.parametrize("path", ["/basic/files/nowhere", "/basic/files", "/basic/ws/deeper", "/basic/%77s"])
def test_nothing_is_told_before(daemon, path):
    assert ask(daemon, path).status == 401


def test_other_routes_stay_open(daemon):
    assert ask(daemon, "/open").status == 200
    daemon.open("/open").finish()


def test_files_of_another_route_keep_their_lock(wsluice, place, tmp_path):
    """A route of a service lets the files of a shorter path through: not without their password."""
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {place}/www, auth: basic, auth-file: {place}/passwords}}
  - {{path: /ws, to: "echo:"}}
  - {{path: /sub, static: {place}/www}}
  - {{path: /sub/locked, to: "echo:", auth: bearer, auth-file: {place}/tokens}}
""")
    (place / "www" / "ws").mkdir(exist_ok=True)
    (place / "www" / "ws" / "page.html").write_text("page")
    (place / "www" / "locked").mkdir()
    (place / "www" / "locked" / "page.html").write_text("page")
    assert ask(daemon, "/ws/page.html").status == 401
    assert ask(daemon, "/ws/page.html", [basic("alice")]).body == b"page"
    daemon.open("/ws").finish()
    assert ask(daemon, "/sub/locked/page.html").status == 401
    assert ask(daemon, "/sub/locked/page.html", [bearer()]).body == b"page"


def test_no_other_form_of_a_path_walks_round(wsluice, place, tmp_path):
    """Files open at / and the same folder's private part behind a password: router, door and file see one path."""
    (place / "www" / "private").mkdir(exist_ok=True)
    (place / "www" / "private" / "page.html").write_text("private page")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {place}/www}}
  - {{path: /private, static: {place}/www/private, auth: basic, auth-file: {place}/passwords}}
  - {{path: /ws, to: "echo:", auth: basic, auth-file: {place}/passwords}}
""")
    for path in ("/private/page.html", "/p%72ivate/page.html", "/%70%52ivate/../private/page.html", "/private/%70age.html"):
        for form in ("", f"http://127.0.0.1:{daemon.port}"):
            answer = ask(daemon, form + path)
            assert answer.status == (400 if ".." in path else 401), form + path
    for path in ("//private/page.html", "///private///page.html", "/%2Fprivate/page.html", "/%2fprivate/page.html", "/private//page.html",
                 "/private%2Fpage.html", "/private%2fpage.html", "/./private/page.html", "/x/../private/page.html", "/%2E/private/page.html",
                 "/x/%2e%2E/private/page.html", "/.%2fprivate/page.html", "//ws", "/%2Fws", "/ws//x"):
        for form in ("", f"http://127.0.0.1:{daemon.port}"):
            for headers in ([], [basic("alice")]):
                answer = ask(daemon, form + path, headers)
                assert answer.status == 400 and b"page" not in answer.body, form + path
        assert upgrade(daemon, path).status == 400, path
    assert ask(daemon, "/private/page.html", [basic("alice")]).body == b"private page"


def test_a_lock_on_an_index_holds_for_its_folder(wsluice, place, tmp_path):
    """The folder's own path shows the same page: who asks for it is sent to where the lock is, be there a page or not."""
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {place}/www}}
  - {{path: /index.html, to: "echo:", auth: basic, auth-file: {place}/passwords}}
  - {{path: /none/index.html, to: "echo:", auth: basic, auth-file: {place}/passwords}}
  - {{path: /open, to: "echo:"}}
  - {{path: /open/index.html, to: "echo:", auth: basic, auth-file: {place}/passwords}}
""")
    for path in ("/", "/none/", "/%6eone/", "/open/"):
        for headers in ([], [basic("alice")]):
            answer = ask(daemon, path, headers)
            assert (answer.status, answer.get("location")) == (302, "index.html") and b"files" not in answer.body
    assert ask(daemon, "/index.html").status == 401
    assert ask(daemon, "/index.html", [basic("alice")]).body == b"files"


@pytest.mark.parametrize("console", [False, True])
def test_a_route_without_lock_does_not_tell_what_is_behind_one(wsluice, place, tmp_path, console):
    """An open route above files with a password: who has none learns nothing of them, by no method."""
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {place}/www, auth: basic, auth-file: {place}/passwords}}
  - {{path: /ws, to: "echo:", console: {"on" if console else "off"}}}
""")
    (place / "www" / "ws").mkdir(exist_ok=True)
    (place / "www" / "ws" / "page.html").write_text("page")
    for method in ("GET", "HEAD", "POST"):
        answers = set()
        for path in ("/ws/page.html", "/ws/nowhere", "/ws/", "/ws", "/ws/.hidden"):
            client = daemon.connect()
            client.send(client.head(path, method=method, drop=("Upgrade", "Connection")))
            answer = client.read_response(bodiless=method == "HEAD")
            answers.add((answer.status, answer.body))
        assert len(answers) == 1 and answers.pop()[0] == 401, method
    assert ask(daemon, "/ws/page.html", [basic("alice")]).body == b"page"
    assert ask(daemon, "/ws/nowhere", [basic("alice")]).status == (200 if console else 426)
    daemon.open("/ws").finish()


# Wrong credentials.

MALFORMED = {
    "scheme-only": "Basic", "no-base64": "Basic !!!!", "cut-base64": "Basic YWxpY2U6b3BlbjpzZXNhbWU",
    "inner-padding": "Basic YWxp=2U6", "trailing-bits": "Basic YWxpY2U6b3BlbjpzZXNhbWX=", "no-colon": basic(b"alice")[1],
    "empty-user": basic("")[1], "only-colon": basic(b":")[1], "cr-in-user": basic("ali\rce")[1], "lf-in-user": basic("alice\n")[1],
    "lf-in-password": basic("alice", PASSWORD + "\n")[1], "nul": basic("alice", PASSWORD + "\0")[1],
    "nul-in-user": basic("alice\0")[1], "not-utf8": basic(b"alice:\xe9\xff")[1], "latin-1": basic(f"alice:{PASSWORD}".encode("latin-1"))[1],
    "colon-in-user": basic("ali:ce")[1], "8-kib-user": basic("a" * 8192)[1], "8-kib-password": basic("alice", "a" * 8192)[1],
    "8-kib-no-base64": "Basic " + "A" * 8191, "512-password": basic("alice", "a" * 512)[1], "user-with-hash": basic("alice:" + hashed(PASSWORD))[1],
    "hash-as-password": basic("alice", hashed(PASSWORD))[1], "unknown": basic("nobody")[1], "other-s-password": basic("bob")[1],
    "capitals": basic("Alice")[1], "comment": basic("# people")[1], "digest": 'Digest username="alice"',
}


def ask_all(daemon, path, values):
    """Each at the same time from an address of its own; {name: status}."""
    clients = {name: daemon.connect(source=next(SOURCES)) for name in values}
    for name, client in clients.items():
        client.send(client.head(path, [("Authorization", values[name])], drop=NO_UPGRADE))
    return {name: client.read_response().status for name, client in clients.items()}


def test_wrong_basic_credentials(daemon):
    assert ask_all(daemon, "/basic/ws", MALFORMED) == dict.fromkeys(MALFORMED, 401)


def test_two_authorizations(daemon):
    assert ask(daemon, "/basic/ws", [basic("alice"), basic("alice")]).status == 401
    assert ask(daemon, "/bearer/ws", [bearer(), bearer()]).status == 401


def test_good_basic_credentials(daemon):
    name, value = basic("alice")
    for spelled in (value, value.replace("Basic", "basic"), value.replace("Basic", "BASIC"), value.replace(" ", "   ")):
        assert ask(daemon, "/basic/ws", [(name, spelled)]).status == 200
    assert ask(daemon, "/basic/ws", [basic("bob", "builder")]).status == 200


def test_wrong_tokens(daemon):
    tokens = ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "alice", f"alice {TOKEN}", "#", "x" * 8192, "a,b", f'"{TOKEN}"']
    values = {token: bearer(token)[1] for token in tokens} | {"no scheme": TOKEN, "scheme only": "Bearer", "tab": f"Bearer\t{TOKEN}"}
    assert ask_all(daemon, "/bearer/ws", values) == dict.fromkeys(values, 401)


# Passwords.

@pytest.mark.parametrize("salt", ["$y$j75$saltsaltsalt", "$2b$04$abcdefghijklmnopqrstuu", "$2y$04$abcdefghijklmnopqrstuu",
                                  "$2a$04$abcdefghijklmnopqrstuu", "$5$rounds=1000$saltsalt$", "$6$saltsalt$"])
def test_hash(wsluice, tmp_path, salt):
    made = hashed(PASSWORD, salt)
    assert made and made.startswith(salt[:3])
    write(tmp_path / "pw", f"u:{made}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw")
    assert ask(daemon, "/", [basic("u")]).status == 200
    assert ask(daemon, "/", [basic("u", PASSWORD + "x")]).status == 401


BAD_FILES = {
    "apr1": ("x:$apr1$saltsalt$abcdefghijklmnopqrstu.", r":1: .*htpasswd -B"), "md5": ("x:$1$saltsalt$abcdefghijklmnopqrstu.", r":1: .*htpasswd -B"),
    "des": ("\n#\nx:" + "abJnggxhB/yWI", r":3: .*htpasswd -B"), "plain": ("ok:" + hashed("x") + "\nx:secret-word", r":2: .*htpasswd -B"),
    "sha1": ("x:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", r":1: .*htpasswd -B"), "no-colon": ("justaname", r":1: write user:hash"),
    "no-name": (":" + hashed("x"), r":1: a name"), "cut": ("x:$2b$10$abc", r":1: .*damaged"), "twice": (f"x:{hashed('x')}\nx:{hashed('y')}", "twice"),
    "zero": (f"x:{hashed('x')}\n\0y:{hashed('y')}\n", "zero byte"), "function": ("() { x:" + hashed("x"), r":1: a name"),
}


@pytest.mark.parametrize("text, says", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_password_file_stops_the_start(tmp_path, text, says):
    path = write(tmp_path / "pw", text)
    done = command_line("-l", "127.0.0.1:0", "--to", "echo:", "--auth", "basic", "--auth-file", path, "--check")
    assert done.returncode == 1 and str(path) in done.stderr and re.search(says, done.stderr), done.stderr
    assert "secret-word" not in done.stderr


@pytest.mark.parametrize("args, mode, says", [
    (["--auth", "basic"], None, "needs auth-file"), (["--auth", "bearer"], None, "needs auth-file"), (["--auth", "hook"], None, "needs auth-hook"),
    (["--auth", "client-cert"], None, "TLS listener that asks"), (["--auth-file", "FILE"], 0o600, "nobody is asked"),
    (["--auth", "basic", "--auth-file", "/nowhere/pw"], None, "No such file"), (["--auth", "bearer", "--auth-file", "FILE"], 0o644, "chmod o-r"),
    (["--auth", "basic", "--auth-file", "FILE"], 0o602, "chmod o-w"), (["--auth", "basic", "--auth-file", "/dev/zero"], None, "not a regular file"),
    (["--auth", "bearer", "--auth-file", "FILE", "--auth-realm", 'a"b'], 0o600, "auth-realm"), (["--auth", "hook", "--auth-hook", "/nowhere"], None, "no such program"),
    (["--auth", "hook", "--auth-hook", "https://127.0.0.1/"], None, "http://HOST"), (["--auth", "magic"], None, "not one of"),
])
def test_settings_that_stop_the_start(tmp_path, args, mode, says):
    path = write(tmp_path / "file", "long-enough-token\n", mode or 0o600)
    done = command_line("--to", "echo:", *(path if a == "FILE" else a for a in args), "--check")
    assert done.returncode != 0 and says in done.stderr, done.stderr


@pytest.mark.parametrize("line", ["short", "three words here-and", "uml\u00e4ut-token", "name tooshort"[:-2], "na\x7fme long-enough-token",
                                  "n" * 256 + " long-enough-token"])
def test_bad_token_file_is_not_shown(tmp_path, line):
    path = write(tmp_path / "tokens", f"# fine\n{line}\n")
    done = command_line("--to", "echo:", "--auth", "bearer", "--auth-file", path, "--check")
    assert done.returncode == 1 and f"{path}:2:" in done.stderr and line not in done.stderr


def test_good_password_is_remembered_a_bad_one_not(wsluice, tmp_path):
    """Whether a process has worked on it tells: its time is added to ours when it has ended."""
    write(tmp_path / "pw", f"u:{hashed('p', SLOW)}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw", "--auth-cache", "100s",
                     inside=True)

    def is_checked(password, status):
        before = proc.cpu_seconds_of_children(daemon.pid)
        assert ask(daemon, "/", [basic("u", password)]).status == status
        return proc.cpu_seconds_of_children(daemon.pid) > before

    assert is_checked("q", 401) and is_checked("q", 401)
    daemon.inside.freeze()
    assert is_checked("p", 200)
    daemon.inside.advance(99)
    assert not is_checked("p", 200)
    daemon.inside.advance(101)
    assert is_checked("p", 200)


@pytest.mark.plain("the leak sanitizer has to look at its own process")
def test_unknown_names_take_as_long(wsluice, tmp_path):
    """A process checks a hash of the same kind and cost, whoever it is."""
    write(tmp_path / "pw", f"u:{hashed('p', NOT_QUICK)}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw")
    reads = tmp_path / "reads"
    tracer = subprocess.Popen(["strace", "-f", "-s", "400", "-o", reads, "-e", "trace=read", "-p", str(daemon.pid)], stderr=subprocess.DEVNULL)
    try:
        proc.wait_until(lambda: "TracerPid:\t0" not in open(f"/proc/{daemon.pid}/status").read(), "strace to be there")
        for user in ("u", "nobody"):
            assert ask(daemon, "/", [basic(user, "wr0ng")]).status == 401
        checked = proc.wait_until(lambda: (found := re.findall(r' read\(0, "wr0ng\\0(\$\S+?\$)[^$"]+\$([^$"]+)\\0"', reads.read_text()))[1:] and found,
                                  lambda: f"two hashes to be checked:\n{reads.read_text()}")
    finally:
        tracer.terminate()
        tracer.wait()
    (known, salt_and_hash), (unknown, other) = checked
    assert len(checked) == 2 and known == unknown == "$6$rounds=200000$" and len(salt_and_hash) == len(other)


def test_loop_is_not_blocked(wsluice, tmp_path):
    write(tmp_path / "pw", f"u:{hashed('p', SLOW)}\n")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /locked, to: "echo:", console: on, auth: basic, auth-file: {tmp_path}/pw}}
  - {{path: /echo, to: "echo:"}}
""")
    echo = daemon.open("/echo")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(daemon, "/locked", [basic("u", "p")]).status))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    proc.wait_until(lambda: len(daemon.children()) >= 2, lambda: "passwords being checked")
    trips = 0  # of echoes that came back while the same two processes were checking
    while not answers:
        checking = {c.pid for c in daemon.children()}
        echo.text(b"x")
        assert echo.read_message().data == b"x"
        trips += bool(checking & {c.pid for c in daemon.children()})
    for thread in threads:
        thread.join()
    assert answers == [200] * 3
    assert trips >= 3


def test_client_that_leaves_while_its_password_is_checked(wsluice, tmp_path):
    """Noticed at once of who wants a WebSocket; who wants a page may have ended its side only."""
    write(tmp_path / "pw", f"u:{hashed('p', '$y$jFT$saltsaltsalt')}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw")
    for way in ("rst", "close"):
        client = daemon.connect()
        client.send(client.head("/", [basic("u", "p")]))
        proc.wait_until(lambda: daemon.children(), lambda: "a password being checked")
        getattr(client, way)()
        proc.wait_until(lambda: not daemon.children(), lambda: "its end")


def test_stop_while_a_password_is_checked(wsluice, tmp_path):
    write(tmp_path / "pw", f"u:{hashed('p', '$y$jFT$saltsaltsalt')}\n")
    daemon = wsluice("--to", "echo:", "--auth", "basic", "--auth-file", tmp_path / "pw", "--drain-timeout", "0.3s")
    client = daemon.connect()
    client.send(client.head("/", [basic("u", "p")]))
    proc.wait_until(lambda: daemon.children(), lambda: "a password being checked")
    daemon.stop()


def test_more_attempts_than_one_address_may_have(wsluice, tmp_path):
    write(tmp_path / "pw", f"u:{hashed('p')}\n")
    daemon = wsluice("--to", "echo:", "--auth", "basic", "--auth-file", tmp_path / "pw")
    source = next(SOURCES)
    clients = [daemon.connect(source=source) for _ in range(60)]
    for client in clients:
        client.send(client.head("/", [basic("u", "wrong")]))
    late = [c for c in clients if c.read_response().status == 429]
    assert 20 <= len(late) < 60
    assert ask(daemon, "/", [basic("u", "p")]).status == 426  # from elsewhere it goes on


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_who_guesses_learns_nothing_without_waiting(daemon, scheme):
    """Where the next wrong guess would be refused at once, a good one is, too, also one that is remembered."""
    source, path = next(SOURCES), f"/{scheme}/ws"
    assert ask(daemon, path, [GOOD[scheme]]).status == 200
    clients = [daemon.connect(source=source) for _ in range(60)]
    for client in clients:
        client.send(client.head(path, [WRONG[scheme]]))
    quick, _, _ = select.select([c.sock for c in clients], [], [], SOON)
    assert b" 429 " in quick[0].recv(20)
    assert ask(daemon, path, [GOOD[scheme]], source).status == 429
    assert ask(daemon, path, [GOOD[scheme]]).status == 200  # from elsewhere it goes on


def test_who_leaves_before_the_answer_has_guessed_all_the_same(daemon):
    source = next(SOURCES)
    clients = [daemon.connect(source=source) for _ in range(32)]
    for client in clients:
        client.send(client.head("/bearer/ws", [WRONG["bearer"]]))
        client.half_close()
    assert [client.read_to_end()[0] for client in clients] == [b""] * 32
    assert ask(daemon, "/bearer/ws", [WRONG["bearer"]], source).status == 429


# Tokens.

def places(token):
    return {"header": ("", [bearer(token)], {}), "cookie": ("", [("Cookie", f"a=b; wsluice_token={token}; c=d")], {}),
            "query": (f"?x=1&token={token}&y=2", [], {}), "escaped-query": ("?token=" + "".join(f"%{ord(c):02X}" for c in token), [], {}),
            "subprotocol": ("", [], {"protocols": f"other, bearer.{token}, chat"})}


@pytest.mark.parametrize("where", places(TOKEN))
def test_token_at_each_place(daemon, where):
    query, headers, how = places(TOKEN)[where]
    mark = daemon.mark()
    client = daemon.connect(source=next(SOURCES)).open("/bearer/env" + query, headers, **how)
    _, _, messages = client.read_close()
    env = dict(m.data.decode().split("=", 1) for m in messages)
    assert env["REMOTE_USER"] == "alice"
    assert TOKEN not in repr(messages) and "token" not in env.get("QUERY_STRING", "") and "token" not in env["REQUEST_URI"]
    if where == "query":
        assert env["QUERY_STRING"] == "x=1&y=2" and env["REQUEST_URI"] == "/bearer/env?x=1&y=2"
    if where == "cookie":
        assert env["HTTP_COOKIE"] == "a=b; c=d"
    if where == "subprotocol":
        assert env["WSLUICE_SUBPROTOCOL"] == "chat" and env["HTTP_SEC_WEBSOCKET_PROTOCOL"] == "other, chat"
    client.close()
    assert " user=alice " in daemon.wait_for_log("session closed.*", since=mark).group(0)


@pytest.mark.parametrize("cookies, left", [
    ([f"wsluice_token={TOKEN}", "a=1", "b=2; c=3"], "a=1; b=2; c=3"), (["a=1", f"wsluice_token={TOKEN}"], "a=1"),
    ([f"a=1; wsluice_token={TOKEN};", "b=2"], "a=1; b=2"), ([f"; wsluice_token={TOKEN};; a=1 ;"], "a=1"), ([f"wsluice_token={TOKEN}"], None),
    ([f"wsluice_token={TOKEN};", f"wsluice_token={TOKEN}"], None), ([f"a=1;wsluice_token={TOKEN};b=2", "", "c=3"], "a=1;b=2; c=3")])
def test_nothing_of_the_token_is_left_among_the_cookies(daemon, cookies, left):
    client = daemon.connect(source=next(SOURCES)).open("/bearer/env", [("Cookie", c) for c in cookies])
    env = dict(m.data.decode().split("=", 1) for m in client.read_close()[2])
    assert env["REMOTE_USER"] == "alice" and env.get("HTTP_COOKIE") == left


@pytest.mark.parametrize("where", places(TOKEN))
def test_wrong_token_at_each_place(daemon, where):
    query, headers, how = places("wrong-" + TOKEN)[where]
    assert upgrade(daemon, "/bearer/env" + query, headers, **how).status == 401


def test_token_is_never_the_subprotocol(daemon):
    for offers, chosen in ((f"bearer.{TOKEN}", None), (f"bearer.{TOKEN}, binary", "binary"), (f"first, bearer.{TOKEN}", "first")):
        answer = upgrade(daemon, "/bearer/ws", protocols=offers)
        assert answer.status == 101 and answer.get("sec-websocket-protocol") == chosen


def test_token_without_a_name(daemon):
    client = daemon.connect(source=next(SOURCES)).open("/bearer/env", [bearer("nobody-s-token")])
    assert not [m for m in client.read_close()[2] if m.data.startswith(b"REMOTE_USER=")]


@pytest.mark.parametrize("query", ["?token=%", "?token=%zz", "?token=a%00b"])
def test_broken_token_in_the_query(daemon, query):
    assert ask(daemon, "/bearer/ws" + query).status == 400


# Changes.

def test_changed_files_take_effect(wsluice, tmp_path):
    write(tmp_path / "pw", f"old:{hashed('p')}\n")
    write(tmp_path / "tokens", "the-old-token\n")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /pw, to: "echo:", console: on, auth: basic, auth-file: {tmp_path}/pw}}
  - {{path: /tokens, to: "echo:", console: on, auth: bearer, auth-file: {tmp_path}/tokens}}
""")
    assert ask(daemon, "/pw", [basic("old", "p")]).status == 200
    assert ask(daemon, "/tokens", [bearer("the-old-token")]).status == 200
    write(tmp_path / "pw", f"new:{hashed('p')}\n")
    write(tmp_path / "tokens", "the-new-token\n")
    proc.wait_until(lambda: ask(daemon, "/pw", [basic("new", "p")]).status == 200, lambda: "the new password")
    proc.wait_until(lambda: ask(daemon, "/tokens", [bearer("the-new-token")]).status == 200, lambda: "the new token")
    assert ask(daemon, "/pw", [basic("old", "p")]).status == 401  # though it was remembered
    assert ask(daemon, "/tokens", [bearer("the-old-token")]).status == 401
    write(tmp_path / "pw", "new:plain\n")
    proc.wait_until(lambda: ask(daemon, "/pw", [basic("new", "p")]).status == 200 and daemon.find_log("passwords not read again.*pw:1:"),
                    lambda: "the old ones kept")
    (tmp_path / "tokens").unlink()
    assert ask(daemon, "/tokens", [bearer("the-new-token")]).status == 200


def test_changed_password_ends_what_was_remembered(wsluice, tmp_path):
    write(tmp_path / "pw", f"u:{hashed('p')}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw")
    assert ask(daemon, "/", [basic("u", "p")]).status == 200
    write(tmp_path / "pw", f"u:{hashed('q')}\n")
    proc.wait_until(lambda: ask(daemon, "/", [basic("u", "q")]).status == 200, lambda: "the new password")
    assert ask(daemon, "/", [basic("u", "p")]).status == 401


# After failures.

def test_answers_to_failures_are_delayed(wsluice, tmp_path):
    write(tmp_path / "tokens", f"alice {TOKEN}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "bearer", "--auth-file", tmp_path / "tokens", frozen=True)
    for delay in (1, 2, 4):
        with daemon.connect() as client:
            client.send(client.head("/", [bearer("wrong-token")], drop=NO_UPGRADE))
            took = daemon.inside.until(lambda: not client.silent(0.001), 10, step=0.1)
            assert delay - 0.1 <= took <= delay + 0.2
            assert client.read_response().status == 401
    assert ask(daemon, "/", [bearer()], "127.0.0.1").status == 200  # a good one is not
    assert ask(daemon, "/", [], "127.0.0.1").status == 401  # nor one that tried nothing


def test_clients_that_leave_during_the_delay(daemon):
    source = next(SOURCES)
    for way in ("rst", "close"):
        client = daemon.connect(source=source)
        mark = daemon.mark()
        client.send(client.head("/bearer/ws", [bearer("wrong-token")]))
        daemon.wait_for_log("status=401", since=mark)
        getattr(client, way)()
    daemon.settle()


# Secrets.

def test_no_secret_in_log_or_ps(daemon, place):
    seen = set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            for child in [daemon.pid, *pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()]:
                for what in ("cmdline", "environ"):
                    try:
                        seen.add(pathlib.Path(f"/proc/{child}/{what}").read_bytes())
                    except OSError:
                        pass
            stop.wait(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()

    def by_password(user, password):
        ask(daemon, "/basic/ws", [basic(user, password)])
        upgrade(daemon, "/basic/env", [basic(user, password)])

    def by_token(query, headers, how):
        upgrade(daemon, "/bearer/env" + query, headers, **how)
        ask(daemon, "/bearer/files/" + query, headers)
        ask(daemon, "/bearer/ws" + query, headers)

    together(by_password, ("alice", "alice", "bob", "bob"), (PASSWORD, "wrong-Pass-word", "wrong-Pass-word", "builder"))
    together(by_token, *zip(*places(TOKEN).values(), *places("wrong-Pass-word").values()))
    stop.set()
    watcher.join()
    everything = bytes(daemon.raw_log) + b"".join(seen)
    assert any(b"auth-verify" in s for s in seen), "no process was seen that checks a password"
    for secret in (PASSWORD, TOKEN, "wrong-Pass-word", "builder", hashed(PASSWORD), basic("alice")[1][6:], basic("bob", "builder")[1][6:]):
        assert secret.encode() not in everything, secret


def test_user_is_shown_with_the_session(wsluice, place, tmp_path):
    daemon = start(wsluice, tmp_path, f"""
admin: 127.0.0.1:0
routes: [{{path: /, exec: [/bin/cat], auth: basic, auth-file: {place}/passwords}}]
""")
    client = daemon.open("/", [basic("alice")])
    assert [s["user"] for s in Admin(daemon).sessions()] == ["alice"]
    client.finish()
    assert " user=alice " in daemon.wait_for_log("session closed.*").group(0)


def test_verify_alone():
    good = hashed("p").encode()

    def verify(data):
        return subprocess.run([BINARY, "auth-verify"], input=data, capture_output=True, timeout=SOON)

    assert verify(b"p\0" + good + b"\0").returncode == 0
    for data in (b"", b"p", b"p\0", b"p\0\0", b"q\0" + good + b"\0", b"p\0" + good, b"\0\0", b"p\0*0\0", b"p\0*1\0", b"p\0x\0", b"a" * 100000, b"\0" * 5000):
        done = verify(data)
        assert done.returncode == 1 and done.stdout == b"" and done.stderr == b"", data[:40]


# Hooks.

def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def hooked(wsluice, path, hook, *more, **how):
    words = ", ".join(f'"{w}"' for w in ([hook] if isinstance(hook, (str, pathlib.Path)) else hook))
    return start(wsluice, path, f"""
routes:
  - {{path: /env, exec: [/usr/bin/env], auth: hook, auth-hook: [{words}]{''.join(', ' + m for m in more)}}}
  - {{path: /files, static: {path}, auth: hook, auth-hook: [{words}]{''.join(', ' + m for m in more)}}}
""", **how)


def env_of(client):
    return dict(m.data.decode().split("=", 1) for m in client.read_close()[2])


def test_hook_program_allows_and_denies(wsluice, tmp_path):
    """No shell is between, words stay words."""
    hook = script(tmp_path / "hook", f"""
env >{tmp_path}/seen
[ "$1" = 'a b; exit 1' ] || exit 3
read -r line && exit 4
echo "user $(printf %s "$QUERY_STRING" | cut -c1-20)"
echo env GRANTED=some thing
echo env bad-name=1
echo env LD=
echo noise
case $WSLUICE_AUTH in Bearer\\ good) exit 0 ;; esac
exit 1
""")
    daemon = hooked(wsluice, tmp_path, [hook, "a b; exit 1"])
    env = env_of(daemon.connect().open("/env?carol", [bearer("good")]))
    assert env["REMOTE_USER"] == "carol" and env["GRANTED"] == "some thing" and env["LD"] == "" and "bad-name" not in env
    assert "WSLUICE_AUTH" not in env
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    assert seen["WSLUICE_AUTH"] == "Bearer good" and seen["REMOTE_ADDR"] == "127.0.0.1" and seen["WSLUICE_ROUTE"] == "/env"
    assert ask(daemon, "/files/hook", [bearer("good")]).status == 200
    for headers in ([], [bearer("bad")]):
        assert upgrade(daemon, "/env", headers).status == 401
        assert ask(daemon, "/files/hook", headers).status == 401


def test_hook_answer_is_remembered_for_all_that_it_saw(wsluice, tmp_path):
    """A hook may judge by any header: an answer given for one value is not good for another, or for none."""
    hook = script(tmp_path / "hook", 'test "$HTTP_X_API_KEY" = good\n')
    daemon = hooked(wsluice, tmp_path, hook, "auth-cache: 1m")
    for _ in range(2):
        assert ask(daemon, "/files/hook", [("X-Api-Key", "good")], "127.9.9.9").status == 200
        assert ask(daemon, "/files/hook", [("X-Api-Key", "bad")], "127.9.9.9").status == 401
        assert ask(daemon, "/files/hook", (), "127.9.9.9").status == 401


def test_hook_answer_is_remembered_for_who_was_found_before(wsluice, tmp_path):
    """The files are of another route than the path: first a token is asked for, then the hook. It sees whose token, in nothing
    else than REMOTE_USER."""
    hook = script(tmp_path / "hook", 'test "$REMOTE_USER" = alice\n')
    (tmp_path / "www" / "x").mkdir(parents=True)
    (tmp_path / "www" / "x" / "page").write_text("for alice")
    write(tmp_path / "tokens", "alice alice-s-token\nbob bob-s-token\n")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {tmp_path}/www, auth: hook, auth-hook: [{hook}], auth-cache: 1m}}
  - {{path: /x, to: "echo:", auth: bearer, auth-file: {tmp_path}/tokens}}
""")
    assert ask(daemon, "/x/page?token=alice-s-token", (), "127.9.9.9").status == 200
    assert ask(daemon, "/x/page?token=bob-s-token", (), "127.9.9.9").status == 401
    assert ask(daemon, "/x/page?token=alice-s-token", (), "127.9.9.9").status == 200


def test_one_hook_of_two_routes_judges_each(wsluice, tmp_path):
    """The path is one route's, the files another's, and both ask the same hook: it is told which, and may judge by it."""
    hook = script(tmp_path / "hook", f'echo "$WSLUICE_ROUTE" >>{tmp_path}/seen; test "$WSLUICE_ROUTE" = /x -o "$WSLUICE_AUTH" = "Bearer all"\n')
    (tmp_path / "www" / "x").mkdir(parents=True)
    (tmp_path / "www" / "x" / "page").write_text("secret")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /, static: {tmp_path}/www, auth: hook, auth-hook: [{hook}]}}
  - {{path: /x, to: "echo:", auth: hook, auth-hook: [{hook}]}}
""")
    assert ask(daemon, "/x/page", [bearer("some")]).status == 401
    assert (tmp_path / "seen").read_text().split() == ["/x", "/"]
    assert ask(daemon, "/x/page", [bearer("all")]).body == b"secret"


def test_hook_answer_does_not_outlive_its_settings(wsluice, tmp_path):
    hook = script(tmp_path / "hook", 'test "$ALLOWED" = yes\n')

    def write_down(allowed):
        write(tmp_path / "wsluice.yaml", f"""
routes:
  - {{path: /files, static: {tmp_path}, auth: hook, auth-hook: [{hook}], auth-cache: 1m, env: {{ALLOWED: "{allowed}"}}}}
""")

    write_down("yes")
    daemon = wsluice("--config", tmp_path / "wsluice.yaml")
    assert ask(daemon, "/files/hook", (), "127.9.9.9").status == 200
    since = daemon.mark()
    write_down("no")
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log(r"info +reloaded", since=since)
    assert ask(daemon, "/files/hook", (), "127.9.9.9").status == 401


def test_who_judges_gains_no_privileges(wsluice, tmp_path):
    """Where we do not give up gaining for all, because of one route, the others' hooks and the check of passwords still do."""
    hook = script(tmp_path / "hook", f'grep NoNewPrivs /proc/self/status >>{tmp_path}/seen; exit 0\n')
    write(tmp_path / "passwords", f"alice:{hashed(PASSWORD, SLOW)}\n")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /sudo, exec: [cat], no-new-privs: off, auth: hook, auth-hook: [{hook}]}}
  - {{path: /files, static: {tmp_path}, auth: hook, auth-hook: [{hook}]}}
  - {{path: /slow, static: {tmp_path}, auth: basic, auth-file: {tmp_path}/passwords}}
""")
    assert ask(daemon, "/files/hook").status == 200
    daemon.connect(source=next(SOURCES)).open("/sudo").close()
    assert (tmp_path / "seen").read_text().split() == ["NoNewPrivs:", "1", "NoNewPrivs:", "0"]
    proc.wait_until(lambda: not daemon.children(), lambda: "nothing running")
    with daemon.connect(source=next(SOURCES)) as client:
        client.send(client.head("/slow/hook", [basic("alice")], drop=NO_UPGRADE))

        def status_of_the_check():  # when it is that, and no longer on its way to be it; it may end while we look
            with contextlib.suppress(OSError):
                for child in daemon.children():
                    of = pathlib.Path(f"/proc/{child.pid}")
                    status = (of / "status").read_text()
                    if b"auth-verify" in (of / "cmdline").read_bytes():
                        return status

        assert re.search(r"^NoNewPrivs:\s*1$", proc.wait_until(status_of_the_check, lambda: "the password being checked"), re.M)


def test_hook_answer_is_remembered(wsluice, tmp_path):
    hook = script(tmp_path / "hook", f'echo x >>{tmp_path}/count; case $WSLUICE_AUTH in *good) exit 0 ;; esac; exit 1\n')
    daemon = hooked(wsluice, tmp_path, hook, "auth-cache: 2s")

    def count():
        return (tmp_path / "count").read_text().count("x")

    for _ in range(3):
        assert ask(daemon, "/files/hook", [bearer("good")], "127.9.9.9").status == 200
    assert count() == 1
    assert ask(daemon, "/files/hook", [bearer("more-good")], "127.9.9.9").status == 200  # other credentials
    assert ask(daemon, "/files/hook?x", [bearer("good")], "127.9.9.9").status == 200  # another path
    assert ask(daemon, "/files/hook", [bearer("good")], "127.9.9.8").status == 200  # another client
    assert count() == 4
    assert ask(daemon, "/files/hook", [bearer("bad")]).status == ask(daemon, "/files/hook", [bearer("bad")]).status == 401
    assert count() == 6

    def forgotten():
        before = count()
        assert ask(daemon, "/files/hook", [bearer("good")], "127.9.9.9").status == 200
        return count() > before

    proc.wait_until(forgotten, lambda: "the hook asked again after 2 s")


@pytest.mark.parametrize("text, status", [("exec sleep 60", 503), ("kill -9 $$", 503), ("exec yes", 503), ("exit 77", 401)])
def test_hook_program_that_fails(wsluice, tmp_path, text, status):
    daemon = hooked(wsluice, tmp_path, script(tmp_path / "hook", text + "\n"), inside=True)
    if text == "exec sleep 60":
        daemon.inside.freeze()
        with daemon.connect() as client:
            client.send(client.head("/files/hook", drop=NO_UPGRADE))
            proc.wait_until(daemon.children, lambda: "the hook running")
            daemon.inside.advance(4.9)
            assert client.silent(0.05)
            daemon.inside.advance(0.2)
            daemon.inside.thaw()
            answer = client.read_response()
    else:
        answer = ask(daemon, "/files/hook")
    assert answer.status == status
    assert (answer.get("retry-after") is not None) == (status == 503)


def test_hook_program_that_cannot_be_started(wsluice, tmp_path):
    hook = script(tmp_path / "hook", "exit 0\n")
    daemon = hooked(wsluice, tmp_path, hook)
    hook.unlink()
    assert ask(daemon, "/files/hook").status == 503


def test_client_that_leaves_while_the_hook_thinks(wsluice, tmp_path):
    daemon = hooked(wsluice, tmp_path, script(tmp_path / "hook", "exec sleep 60\n"))
    client = daemon.connect()
    client.send(client.head("/env"))
    proc.wait_until(lambda: daemon.children(), lambda: "the hook running")
    client.rst()
    proc.wait_until(lambda: not daemon.children(), lambda: "the hook ended")


@pytest.fixture
def http_hook():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.seen.append((self.path, dict(self.headers.items())))
            status = self.server.status.get(self.headers.get("Authorization"), 403)
            if status == "silent":
                self.server.gone.wait()
                return
            self.send_response(status)
            self.send_header("X-User", self.server.names.get(self.headers.get("Authorization"), "dora"))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.gone, server.names = [], threading.Event(), {}
    server.status = {"Bearer good": 200, "Bearer none": 401, "Bearer odd": 302, "Bearer silent": "silent"}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.gone.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_hook_by_http(wsluice, tmp_path, http_hook):
    daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{http_hook.server_address[1]}/may?i", "auth-cache: 1m", inside=True)
    headers = [bearer("good"), ("Cookie", "a=b")]
    env = env_of(daemon.connect().open("/env/deep?q=1", headers))
    assert env["REMOTE_USER"] == "dora"
    path, seen = http_hook.seen[0]
    assert path == "/may?i" and seen["X-Original-URI"] == "/env/deep?q=1" and seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["Authorization"] == "Bearer good" and seen["Cookie"] == "a=b"
    daemon.connect().open("/env/deep?q=1", headers).read_close()
    assert len(http_hook.seen) == 1  # remembered
    assert upgrade(daemon, "/env", [bearer("none")]).status == 401
    assert upgrade(daemon, "/env", [bearer("bad")]).status == 403
    assert upgrade(daemon, "/env", [bearer("odd")]).status == 503
    daemon.inside.freeze()
    with daemon.connect() as client:
        client.send(client.head("/env", [bearer("silent")], drop=NO_UPGRADE))
        proc.wait_until(lambda: len(http_hook.seen) == 5, lambda: "the question")
        daemon.inside.advance(4.9)
        assert client.silent(0.05)
        daemon.inside.advance(0.2)
        assert client.read_response().status == 503


@pytest.mark.parametrize("name", ["d\x01ra", "d\tra", "\x7f", "() { :; }", "d" * 256])
def test_hook_by_http_with_a_name_that_programs_cannot_have(wsluice, tmp_path, http_hook, name):
    """Else the program would run for somebody without a name."""
    daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{http_hook.server_address[1]}/")
    http_hook.names["Bearer good"] = name
    assert upgrade(daemon, "/env", [bearer("good")]).status == 503
    http_hook.names["Bearer good"] = "d\xe9ra"
    assert daemon.connect(source=next(SOURCES)).open("/env", [bearer("good")])


LONG = b"X-Padding: " + b"x" * 2000 + b"\r\n"


@pytest.mark.parametrize("pieces, status", [
    pytest.param([b"HTTP/1.1 200 OK\r\nX-User: d\r\n\r\n", None], 101, id="end behind the head"),
    pytest.param([b"HTTP/1.0 204\r\n\r\n"], 101, id="1.0 without words"),
    pytest.param([b"HTTP/1.1 403 No\r\n\r\nand why"], 403, id="a body behind it"),
    pytest.param([bytes([c]) for c in b"HTTP/1.1 200 OK\r\n\r\n"], 101, id="byte by byte"),
    pytest.param([b"HTTP/1.1 200 OK\r\n" + LONG * 7 + b"\r\n"], 101, id="a long head"),
    pytest.param([None], 503, id="end without a word"),
    pytest.param([b"HTTP/1.1 200 OK\r\nX-User: d\r\n", None], 503, id="end in the head"),
    pytest.param([b"HTTP/1.1 200 OK\r\n", "reset"], 503, id="reset in the head"),
    pytest.param(["reset"], 503, id="reset at once"),
    pytest.param([b"HTTP/1.1 200 OK\r\n" + LONG * 10], 503, id="an endless head"),
    pytest.param([b"HTTP/2 200 OK\r\n\r\n"], 503, id="no HTTP/1"),
    pytest.param([b"HTTP/1.1 2x0 OK\r\n\r\n"], 503, id="no number"),
    pytest.param([b"HTTP/1.1 20\r\n\r\n"], 503, id="too short a number"),
    pytest.param([b"HTTP/1.1_200 OK\r\n\r\n"], 503, id="no blank"),
])
def test_endings_of_a_hook_by_http(wsluice, tmp_path, pieces, status):
    """Only a whole head with a status that we know lets in. What the service does behind it does not matter; and in no case
    are its connection or the client's left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SOON)
        daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with daemon.connect() as client:
            client.send(client.head("/env", [bearer("good")]))
            with Raw(listener.accept()[0]) as asked:
                assert asked.read_until(b"\r\n\r\n").startswith(b"GET / HTTP/1.1\r\n")
                for piece in pieces:
                    if piece is None:
                        asked.half_close()
                    elif piece == "reset":
                        asked.rst()
                    else:
                        asked.send(piece)
                assert client.read_response().status == status


def test_a_client_that_leaves_ends_the_question_by_http(wsluice, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SOON)
        daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        client = daemon.connect()
        client.send(client.head("/env", [bearer("good")]))
        with Raw(listener.accept()[0]) as asked:
            asked.read_until(b"\r\n\r\n")
            client.rst()
            asked.read_to_end()


def test_hook_by_http_at_an_ipv6_address(wsluice, tmp_path):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        daemon = hooked(wsluice, tmp_path, f"http://[::1]:{port}/")
        client = daemon.connect()
        client.send(client.head("/env", [bearer("good")]))
        listener.settimeout(SOON)
        with Raw(listener.accept()[0]) as asked:
            assert f"\r\nHost: [::1]:{port}\r\n".encode() in asked.read_until(b"\r\n\r\n")
            asked.send(b"HTTP/1.1 200 OK\r\nX-User: six\r\n\r\n")
        assert client.read_response().status == 101


def test_hook_by_http_that_is_not_there(wsluice, tmp_path, server):
    gone = server(peers.echo)
    port = gone.port
    gone.close()
    daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{port}/")
    assert ask(daemon, "/files/hook").status == 503


# token-file.

@pytest.fixture
def services(server):
    return server(peers.echo), server(peers.echo)


def test_token_file(wsluice, tmp_path, services):
    first, second = services
    path = write(tmp_path / "targets", f"# services\none: 127.0.0.1:{first.port}\ntwo:   127.0.0.1:{second.port}\r\nbad: nonsense\nsock: unix:{tmp_path}/nowhere\n")
    daemon = start(wsluice, tmp_path, f"log-query: on\nroutes: [{{path: /vnc, token-file: {path}}}]\n")
    for way, service in (("/vnc?token=one", first), ("/vnc/one", first), ("/vnc/a/one", first), ("/vnc?x&token=t%77o", second), ("/vnc/one?token=two", second)):
        mark = daemon.mark()
        client = daemon.open(way)
        client.binary(b"hello")
        assert client.read_message().data == b"hello"
        client.finish()
        line = daemon.wait_for_log("session closed.*", since=mark).group(0)
        assert f"address=127.0.0.1:{service.port}" in line and "token" not in line.replace("backend=token", "")
    wrong = ("/vnc", "/vnc/", "/vnc?token=", "/vnc?token=three", "/vnc?token=on", "/vnc?token=onee", "/vnc?token=%23%20services", "/vnc/one/",
             "/vnc?token=..%2Ftargets", "/vnc?token=one%0A")
    assert together(lambda way: (way, upgrade(daemon, way).status), wrong) == [(way, 403) for way in wrong]
    assert upgrade(daemon, "/vnc?token=bad").status == 503
    assert upgrade(daemon, "/vnc?token=sock").status == 502
    write(path, f"three: 127.0.0.1:{second.port}\n")
    daemon.open("/vnc?token=three").finish()
    assert upgrade(daemon, "/vnc?token=one").status == 403
    path.unlink()
    assert upgrade(daemon, "/vnc?token=three").status == 503


def test_token_directory(wsluice, tmp_path, services):
    first, second = services
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "a.cfg").write_text(f"one: 127.0.0.1:{first.port}\n")
    (folder / "b.cfg").write_text(f"two: tcp://127.0.0.1:{second.port}\n")
    (tmp_path / "outside").write_text(f"out: 127.0.0.1:{first.port}\n")
    (folder / "link").symlink_to("../outside")
    (folder / "absolute").symlink_to(tmp_path / "outside")
    (folder / "inside").symlink_to("a.cfg")
    (folder / ".hidden").write_text(f"hidden: 127.0.0.1:{first.port}\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "c.cfg").write_text(f"sub: 127.0.0.1:{first.port}\n")
    os.mkfifo(folder / "fifo")
    daemon = wsluice("--route", f"/vnc=token-file:{folder}")
    daemon.open("/vnc?token=one").finish()
    daemon.open("/vnc/two").finish()
    wrong = ("out", "hidden", "sub", "../outside", "a.cfg", "..", ".")
    assert together(lambda token: (token, upgrade(daemon, f"/vnc?token={token}").status), wrong) == [(token, 403) for token in wrong]
    (folder / "b.cfg").unlink()
    assert upgrade(daemon, "/vnc/two").status == 403


def test_token_file_behind_a_password(wsluice, place, tmp_path, services):
    path = write(tmp_path / "targets", f"one: 127.0.0.1:{services[0].port}\n")
    daemon = start(wsluice, tmp_path, f"routes: [{{path: /, token-file: {path}, auth: basic, auth-file: {place}/passwords}}]\n")
    assert upgrade(daemon, "/?token=one").status == upgrade(daemon, "/?token=none").status == 401
    daemon.open("/?token=one", [basic("alice")]).finish()
    assert upgrade(daemon, "/?token=none", [basic("alice")]).status == 403


def test_token_file_that_is_not_there(tmp_path):
    done = command_line("--route", f"/=token-file:{tmp_path}/nowhere", "--check")
    assert done.returncode != 0 and "No such file" in done.stderr


# Reload.

def test_reload_brings_new_settings(wsluice, place, tmp_path):
    routes = "routes: [{{path: /, to: 'echo:', console: on{}}}]\n"
    daemon = start(wsluice, tmp_path, routes.format(""))
    assert ask(daemon, "/").status == 200
    locked = f", auth: basic, auth-file: {place}/passwords"
    write(tmp_path / "wsluice.yaml", routes.format(locked))
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log("reloaded")
    assert ask(daemon, "/").status == 401
    write(tmp_path / "wsluice.yaml", routes.format(", auth: basic, auth-file: /nowhere"))
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log("not reloaded")
    assert ask(daemon, "/").status == 401
    assert ask(daemon, "/", [basic("alice")]).status == 200


# Certificates.

def test_client_certificate(wsluice, tmp_path):
    root, other = Authority(tmp_path), Authority(tmp_path, "Other")
    pair, alice = root.issue("/CN=localhost", "localhost", "127.0.0.1", stem="server"), root.issue("/O=wsluice/CN=alice")
    foreign = other.issue("/O=wsluice/CN=alice", stem="foreign")
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-cert", "optional", "--tls-client-ca", root.cert,
                     "--auth", "client-cert", "--console", "--", "env")
    for own, status in ((alice, 200), (None, 403), (foreign, 403)):
        with tls_client(daemon.address, root, own=own) as client:
            client.send(client.head("/", drop=NO_UPGRADE))
            assert client.read_response().status == status
    with tls_client(daemon.address, root, own=alice).open() as client:
        assert env_of(client)["REMOTE_USER"] == "CN=alice,O=wsluice"
