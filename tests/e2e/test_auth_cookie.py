# SPDX-License-Identifier: MIT
"""The cookie of a page that was let in: it opens the page's WebSocket and what it loads, and nothing else."""

import json
import re
import signal

import pytest

from lib import peers, proc
from lib.setting import PAGE_ONLY, SOON
from lib.tls import Certificate
from lib.tls import client as tls_client
from test_auth import NO_UPGRADE, PASSWORD, ask, basic, bearer, env_of, hashed, script, start, upgrade, write
from test_terminal_page import page  # noqa: F401

TOKEN = "a-token-of-alice"
ATTRIBUTES = ["Max-Age=3600", "HttpOnly", "SameSite=Strict"]


def set_cookie(answer):
    """(name=value, attributes) of the one that is set; None: none is."""
    lines = [value for name, value in answer.fields if name == "set-cookie"]
    assert len(lines) <= 1
    return (lines[0].split("; ")[0], lines[0].split("; ")[1:]) if lines else None


def cookie(text):
    return ("Cookie", text)


def of(daemon, path, *headers):
    """The cookie that a page there sets."""
    answer = ask(daemon, path, headers)
    assert answer.status == 200
    return set_cookie(answer)[0]


@pytest.fixture
def daemon(wsluice, tmp_path):
    write(tmp_path / "users", f"alice:{hashed(PASSWORD)}\nbob:{hashed('builder')}\n")
    write(tmp_path / "others", f"alice:{hashed(PASSWORD)}\n")
    write(tmp_path / "tokens", f"first-other-token\nalice {TOKEN}\n")
    hook = script(tmp_path / "hook", f'env >>{tmp_path}/seen; test "$WSLUICE_AUTH" = "Bearer good"\n')
    (tmp_path / "www" / "sub").mkdir(parents=True)
    (tmp_path / "www" / "page.html").write_text("page")
    with_files = f"static: {tmp_path}/www"
    basic_by = f"auth: basic, auth-file: {tmp_path}/users"
    return start(wsluice, tmp_path, f"""
auth-realm: wsluice
routes:
  - {{path: /app, {with_files}, {basic_by}}}
  - {{path: /app/env, exec: [/usr/bin/env], console: on, {basic_by}}}
  - {{path: /app/other, {with_files}, exec: [/usr/bin/env], auth: basic, auth-file: {tmp_path}/others}}
  - {{path: /application, {with_files}, {basic_by}}}
  - {{path: /token, {with_files}, exec: [/usr/bin/env], auth: bearer, auth-file: {tmp_path}/tokens}}
  - {{path: /any, {with_files}, exec: [/usr/bin/env], origin: any, {basic_by}}}
  - {{path: /each, {with_files}, exec: [/usr/bin/env], auth-cache: 0, {basic_by}}}
  - {{path: /hook, {with_files}, auth: hook, auth-hook: [{hook}]}}
  - {{path: /open, exec: [/usr/bin/env]}}
""")


def test_a_page_gets_it_and_its_socket_passes_by_it(daemon):
    name, attributes = set_cookie(ask(daemon, "/app/page.html", [basic("alice")]))
    assert re.fullmatch(r"wsluice_auth=\d+\.[\w-]+\.[\w-]{43}", name) and attributes == ["Path=/app", *ATTRIBUTES]
    env = env_of(daemon.connect().open("/app/env", [cookie(f"a=b; {name}; c=d")]))
    assert env["REMOTE_USER"] == "alice" and env["HTTP_COOKIE"] == "a=b; c=d"
    env = env_of(daemon.connect().open("/app/env", [cookie(name)]))
    assert "HTTP_COOKIE" not in env and not any("wsluice_auth" in value for value in env.values())
    answer = ask(daemon, "/app/page.html", [cookie(name)])
    assert answer.status == 200 and set_cookie(answer) is None  # only a password makes a new one
    assert "private" in ",".join(value for field, value in ask(daemon, "/app/page.html", [basic("alice")]).fields if field == "cache-control")


def test_a_token_in_the_address_of_a_page(daemon):
    name, attributes = set_cookie(ask(daemon, f"/token/page.html?token={TOKEN}"))
    assert attributes == ["Path=/token", *ATTRIBUTES] and TOKEN not in name
    assert ask(daemon, "/token/page.html", [cookie(name)]).status == 200
    assert env_of(daemon.connect().open("/token", [cookie(name)]))["REMOTE_USER"] == "alice"
    assert set_cookie(ask(daemon, f"/token/sub?token={TOKEN}")) is not None  # a redirect loses the token


def test_who_gets_none(daemon):
    for path, headers in (("/app/nowhere", [basic("alice")]), ("/app/page.html", []), ("/app/page.html", [basic("alice", "wrong")]),
                          ("/any/page.html", [basic("alice")]), ("/each/page.html", [basic("alice")]), ("/hook/page.html", [bearer("good")])):
        assert set_cookie(ask(daemon, path, headers)) is None, path
    assert set_cookie(upgrade(daemon, "/app/env", [basic("alice")])) is None


def test_it_opens_nothing_else(daemon):
    name = of(daemon, "/app/page.html", basic("alice"))
    for path in ("/app/other/page.html", "/application/page.html", "/token/page.html", "/any/page.html", "/each/page.html", "/hook/page.html"):
        assert ask(daemon, path, [cookie(name)]).status == 401, path
    for path in ("/any", "/each", "/token", "/app/other"):
        assert upgrade(daemon, path, [cookie(name)]).status == 401, path
    token = of(daemon, f"/token/page.html?token={TOKEN}")
    assert ask(daemon, "/app/page.html", [cookie(token)]).status == 401


def test_origins_are_judged_all_the_same(daemon):
    name = of(daemon, "/app/page.html", basic("alice"))
    host = "%s:%d" % daemon.address
    assert upgrade(daemon, "/app/env", [cookie(name), ("Origin", f"http://{host}")]).status == 101
    for origin in ("http://evil.example", f"http://{host.split(':')[0]}:1", "null"):
        assert upgrade(daemon, "/app/env", [cookie(name), ("Origin", origin)]).status == 403
    for site, status in (("same-origin", 200), ("none", 200), ("same-site", 401), ("cross-site", 401)):
        assert ask(daemon, "/app/page.html", [cookie(name), ("Sec-Fetch-Site", site)]).status == status


def test_a_password_beside_it_counts(daemon):
    name = of(daemon, "/app/page.html", basic("alice"))
    assert ask(daemon, "/app/page.html", [cookie(name), basic("alice", "wrong")]).status == 401
    assert env_of(daemon.connect().open("/app/env", [cookie(name), basic("bob", "builder")]))["REMOTE_USER"] == "bob"


def test_a_wrong_one_is_none(daemon):
    """Neither a guess that is delayed, nor one that the log tells of: a page that is older than we are sends one."""
    name = of(daemon, "/app/page.html", basic("alice"))
    for wrong in ("wsluice_auth=", "wsluice_auth=x", name[:-1], name + "x", name.replace("=", "=1", 1), name.swapcase()):
        assert ask(daemon, "/app/page.html", [cookie(wrong)]).status == 401
    assert ask(daemon, "/app/page.html", [cookie(f"wsluice_auth=x; {name}")]).status == 200  # of several one is right
    assert not daemon.find_log("authentication failed")


def test_nobody_behind_sees_it(daemon, tmp_path):
    name = of(daemon, "/app/page.html", basic("alice"))
    assert "HTTP_COOKIE" not in env_of(daemon.connect().open("/open", [cookie(name)]))
    for path, headers in (("/open", []), ("/app/env", [basic("alice")])):  # nor the one that holds a token
        env = env_of(daemon.connect().open(path, [cookie(f"a=b; wsluice_token={TOKEN}"), *headers]))
        assert env["HTTP_COOKIE"] == "a=b"
    assert ask(daemon, "/hook/page.html", [cookie(f"{name}; a=b"), bearer("good")]).status == 200
    seen = (tmp_path / "seen").read_text()
    assert "HTTP_COOKIE=a=b\n" in seen and "wsluice_auth" not in seen
    assert name.split("=", 1)[1] not in bytes(daemon.raw_log).decode()


def test_it_is_void_when_the_credential_changes(daemon, tmp_path):
    name, other = of(daemon, "/app/page.html", basic("alice")), of(daemon, "/app/page.html", basic("bob", "builder"))
    token = of(daemon, f"/token/page.html?token={TOKEN}")
    write(tmp_path / "users", f"alice:{hashed('new')}\nbob:{hashed('builder')}\n")
    write(tmp_path / "tokens", f"another-token\nanother-yet\nalice {TOKEN}\n")
    proc.wait_until(lambda: ask(daemon, "/app/page.html", [basic("alice", "new")]).status == 200, lambda: "the new password")
    assert ask(daemon, "/app/page.html", [cookie(name)]).status == 401
    assert ask(daemon, "/app/page.html", [cookie(other)]).status == 200
    proc.wait_until(lambda: ask(daemon, "/token/page.html", [bearer("another-yet")]).status == 200, lambda: "the new token")
    assert ask(daemon, "/token/page.html", [cookie(token)]).status == 200  # it stands elsewhere now
    write(tmp_path / "users", f"alice:{hashed('new')}\n")
    write(tmp_path / "tokens", "another-token\nbob another-yet\n")
    proc.wait_until(lambda: ask(daemon, "/app/page.html", [cookie(other)]).status == 401, lambda: "bob's end")
    proc.wait_until(lambda: ask(daemon, "/token/page.html", [cookie(token)]).status == 401, lambda: "the token's end")


def test_it_outlives_a_reload(daemon):
    name, token = of(daemon, "/app/page.html", basic("alice")), of(daemon, f"/token/page.html?token={TOKEN}")
    since = daemon.mark()
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log(r"info +reloaded", since=since)
    assert ask(daemon, "/app/page.html", [cookie(name)]).status == 200
    assert ask(daemon, "/token/page.html", [cookie(token)]).status == 200


def test_over_tls_it_is_secure(wsluice, tmp_path):
    write(tmp_path / "users", f"alice:{hashed(PASSWORD)}\n")
    pair = Certificate(tmp_path, "localhost")
    daemon = wsluice("--tls-cert", pair.cert, "--tls-key", pair.key, "--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "users")
    with tls_client(daemon.address, pair) as client:
        client.send(client.head("/", [basic("alice")], drop=NO_UPGRADE))
        assert set_cookie(client.read_response())[1] == ["Path=/", *ATTRIBUTES, "Secure"]


@pytest.mark.plain(PAGE_ONLY)
def test_terminal_page_behind_a_token_and_a_password_in_chromium(wsluice, page, tmp_path):  # noqa: F811
    shell = ["env", "PS1=$ ", "TMOUT=", "bash", "--norc", "--noprofile"]
    write(tmp_path / "users", f"alice:{hashed('sesame')}\n")
    write(tmp_path / "others", f"alice:{hashed('sesame')}\n")
    write(tmp_path / "tokens", f"{TOKEN}\n")
    base = {"pty": shell, "static": str(page)}
    write(tmp_path / "wsluice.yaml", json.dumps({"routes": [
        {"path": "/token", "auth": "bearer", "auth-file": str(tmp_path / "tokens"), **base},
        {"path": "/basic", "auth": "basic", "auth-file": str(tmp_path / "users"), **base},
        {"path": "/other", "auth": "basic", "auth-file": str(tmp_path / "others"), **base}]}))
    daemon = wsluice("--config", tmp_path / "wsluice.yaml")
    seen = json.loads(peers.node("auth_cookie.mjs", daemon.url.replace("ws:", "http:"), TOKEN, "alice", "sesame", timeout=10 * SOON))
    fine, shape = {"refused": [], "script": ""}, {"name": "wsluice_auth", "httpOnly": True, "secure": False, "sameSite": "Strict"}
    assert seen["token"] == seen["basic"] == seen["bare"] == fine
    assert seen["tokenCookie"] == [{**shape, "path": "/token"}] and seen["basicCookie"] == [{**shape, "path": "/basic"}]
    assert 401 in seen["without"]["refused"] and 401 in seen["elsewhere"]["refused"]
