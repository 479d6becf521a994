# SPDX-License-Identifier: MIT
"""contrib/terminal: the page with xterm.js on a real terminal, in Chromium."""

import gzip
import json
import os
import re
import subprocess

import pytest

from lib import peers
from lib.setting import PAGE_ONLY, REPO, SOON

TERMINAL = REPO / "contrib" / "terminal"
NO_UPGRADE = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
SHELL = ["env", "PS1=$ ", "TMOUT=", "bash", "--norc", "--noprofile"]
CLOCK = ["sh", "-c", "while date +%T; do sleep 1; done"]


@pytest.fixture(scope="module")
def page():
    """The folder of the page, complete; not made here, for tests of several builds run at once."""
    inputs = subprocess.run([TERMINAL / "vendor", "--inputs"], capture_output=True, text=True, timeout=SOON, check=True).stdout
    made = TERMINAL / "www" / "vendor" / "from"
    assert made.exists() and made.read_text() == inputs, "run: make terminal, then make"
    return TERMINAL / "www"


def test_page_is_complete_and_pinned(page):
    vendor = page / "vendor"
    assert {path.name for path in vendor.iterdir()} == {
        "xterm.mjs", "xterm.css", "xterm.LICENSE.txt", "wsluice-client.js", "wsluice-client.LICENSE.txt", "from",
        *(f"addon-{name}.{kind}" for name in ("fit", "search", "unicode11", "web-links") for kind in ("mjs", "LICENSE.txt"))}
    assert "Permission is hereby granted" in (vendor / "xterm.LICENSE.txt").read_text()
    lock = json.loads((TERMINAL / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert not name or package["integrity"].startswith("sha512-") and "resolved" not in package
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', (page / "index.html").read_text()).group(1)
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "*" not in policy


def get(daemon, path, headers=(), method="GET"):
    with daemon.connect() as client:
        client.send(client.head(path, headers, method=method, drop=NO_UPGRADE))
        return client.read_response(bodiless=method == "HEAD" or "If-None-Match" in dict(headers))


def test_the_page_is_at_the_path_of_a_terminal(wsluice, page):
    """Out of the program itself, byte for byte what is in the folder, also compressed; and nothing else is there."""
    daemon = wsluice("-r", "/a b/sh=pty:cat", "-r", "/x=exec:cat")
    assert daemon.wait_for_log(r" open (\S+)$").group(1) == f"http://127.0.0.1:{daemon.port}/a%20b/sh/"
    redirect = get(daemon, "/a%20b/sh?q=1")
    assert (redirect.status, redirect.get("location")) == (301, "sh/?q=1")
    names = [str(path.relative_to(page)) for path in page.rglob("*") if path.is_file() and path.name != "from"]
    assert "vendor/xterm.mjs" in names
    for name in names:
        answer = get(daemon, f"/a%20b/sh/{name}")
        body = (page / name).read_bytes().replace(b'data-session="unknown"', b'data-session="none"')
        assert answer.status == 200 and answer.body == body and not answer.get("content-encoding")
        assert answer.get("content-security-policy") == "frame-ancestors 'self'"
        assert answer.get("cross-origin-opener-policy") == "same-origin"
        packed = get(daemon, f"/a%20b/sh/{name}", [("Accept-Encoding", "gzip, br")])
        assert packed.get("content-encoding") == "gzip" and gzip.decompress(packed.body) == answer.body
        assert len({answer.get("etag"), packed.get("etag")}) == 2 and answer.get("vary") == packed.get("vary") == "Accept-Encoding"
    assert answer.get("cache-control") == "no-cache"
    assert get(daemon, f"/a%20b/sh/{name}", [("If-None-Match", answer.get("etag"))]).status == 304
    index = get(daemon, "/a%20b/sh/", method="HEAD")
    assert (index.status, index.get("content-type")) == (200, "text/html; charset=utf-8")
    for path in "/x", "/a%20b/sh/vendor/from", "/a%20b/sh/none", "/a%20b/sh/vendor", "/a%20b/sh/vendor/":
        assert get(daemon, path).status == 426
    assert get(daemon, "/a%20b/sh/", method="POST").status == 405


def test_which_page_is_where(wsluice, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    pages = {"auto": {}, "files": {"static": str(tmp_path)}, "files-and-terminal": {"static": str(tmp_path), "page": "terminal"},
             "console": {"console": True}, "both": {"console": True, "page": "terminal"}, "off": {"page": "off"},
             "other": {"subprotocol": "binary"}}
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"listen": "127.0.0.1:0", "routes": [{"path": f"/{name}", "pty": ["cat"], **how}
                                                                      for name, how in pages.items()]}))
    daemon = wsluice("-c", config)
    asked = {name: get(daemon, f"/{name}/") for name in pages}
    assert {name: answer.status for name, answer in asked.items()} == {**dict.fromkeys(pages, 200), "off": 426, "other": 426}
    assert {name: "mine" if answer.body == b"mine" else "console" if b"wsluice console" in answer.body else "terminal"
            for name, answer in asked.items() if answer.status == 200} == {
                "auto": "terminal", "files": "mine", "files-and-terminal": "mine", "console": "console", "both": "terminal"}
    assert get(daemon, "/files/terminal.js").status == 404 and get(daemon, "/files-and-terminal/terminal.js").status == 200


@pytest.mark.plain(PAGE_ONLY)
def test_terminal_in_chromium(wsluice, page, tmp_path):
    pictures = os.environ.get("TERMINAL_SHOTS") or tmp_path
    config = tmp_path / "terminal.yaml"
    config.write_text(json.dumps({"routes": [
        {"path": "/shell", "pty": SHELL, "cwd": str(tmp_path)},
        {"path": "/watch", "pty": CLOCK, "static": str(page), "read-only": True, "tty-preferences": '{"disableStdin": true}'}]}))
    daemon = wsluice("-c", config)
    seen = json.loads(peers.node("terminal.mjs", daemon.url.replace("ws:", "http:"), pictures, timeout=12 * SOON))
    size, resized = seen.pop("size"), seen.pop("resized")
    assert size[0] == size[1] and resized[0] == resized[1] != size[0]  # what stty says, and what the page has
    assert seen.pop("again") == 1  # only a prompt: another run begins on an empty screen
    assert seen == {
        "answer": "42 xterm-256color", "colour": "rgb(250, 10, 20)", "title": "env", "vi": "alternate", "copied": "PASTED",
        "paused": [True, True], "ended": "the program ended: exit 3 · Enter starts it again",
        "killed": "the program was killed: signal SIGKILL · Enter starts it again",
        "lost": "the server stops, or the session was idle (shutdown) · next try in 1 s", "watching": "you are only watching",
        "typed": False, "framed": ["open", "a terminal does not run inside a page of elsewhere"], "faults": []}


@pytest.fixture
def shells(wsluice, page, tmp_path):
    kept = {"pty": SHELL, "cwd": str(tmp_path), "session": "token", "replay": "4K", "tty-preferences": '{"fontSize": 13}'}
    config = tmp_path / "terminal.yaml"
    config.write_text(json.dumps({"routes": [
        {"path": "/shell", "pty": SHELL, "cwd": str(tmp_path)}, {"path": "/kept", **kept}, {"path": "/short", **kept, "detach": "0"},
        {"path": "/small", **kept}], "max-replay": "64K"}))
    daemon = wsluice("-c", config)

    def see(part):
        return json.loads(peers.node("terminal_more.mjs", part, daemon.url.replace("ws:", "http:"), tmp_path, timeout=6 * SOON))
    return see


@pytest.mark.plain(PAGE_ONLY)
def test_what_the_terminal_page_does_besides(shells):
    """Wide characters, copies that the program asks for, the bell, links, search, sizes, themes, "leave?", nothing erased."""
    assert shells("desk") == {
        "widths": ["x", "y", "z"], "asked": "The program wants to copy 5 characters to your clipboard", "askedAgain": False,
        "opener": None, "found": ["1 of 1", "123"], "larger": 2, "options": [22, "bar", "mine", "light"],
        "leave": ["beforeunload", "no"], "kept": ["299", " begins anew]", "$"], "faults": []}


@pytest.mark.plain(PAGE_ONLY)
def test_the_terminal_page_by_fingers(shells):
    """On a phone: scrolling, a bar of keys, a long press that selects, two fingers that change the size."""
    seen = shells("fingers")
    assert 1.4 < seen.pop("pinched") < 2.2
    assert seen == {
        "full": [["\x1b[A"], ["\x1b[<64;"]], "bar": "\x1b \t \x1b[A \x1b[1;5D \x1b[1;3C", "held": "true",
        "word": "words-here", "copied": "words-here\nsome", "ended": "the program ended: exit 3 · tap starts it again", "faults": []}


@pytest.mark.plain(PAGE_ONLY)
def test_the_terminal_page_goes_on_with_its_session(shells):
    """After a cut and a reload the cells are the same; what is gone, taken over or lost is said."""
    seen = shells("sessions")
    before = ["$ x=kept; echo one", "one", "$ echo in between $x", "in between kept", "$"]
    assert seen.pop("afterCut") == before and seen.pop("afterReload") == before
    assert seen == {"told": [13, "env"], "taken": "another window has taken over · Enter takes it back", "gone": "the session is gone · Enter begins a new one",
                    "above": True, "gap": ["[some of the program's output was lost here]"], "faults": []}


@pytest.mark.plain(PAGE_ONLY)
def test_a_full_screen_is_the_same_after_a_reload(wsluice, page, tmp_path):
    """Cell by cell, in Chromium; the page begins anew, and is sent a picture."""
    text = tmp_path / "text"
    text.write_text("".join(f"line {i} of \u65e5\u672c, is it?\tint main(void) {{ return {i}; }}\n" for i in range(300)))
    programs = {
        "vim": ["vim", "-u", "NONE", "-c", "syntax on", "-c", "set number hlsearch mouse=a title", str(text)],
        "less": ["less", "-N", str(text)],
        "wide": ["sh", "-c", "echo; printf '\\033[1;31;44m\u65e5\u672c\u8a9e|e\u0301|\U0001f600x|\u0e01\u0e33|\\033[K\\033[2;3;4mend\\033[3;9r\\033[?1003;1006;2004h\\033[5;7H'; cat"]}
    config = tmp_path / "terminal.yaml"
    config.write_text(json.dumps({"routes": [{"path": f"/{name}", "pty": argv, "session": "token"} for name, argv in programs.items()]}, ensure_ascii=False))
    daemon = wsluice("--stop-grace", "200ms", "--kill-grace", "200ms", "-c", config)
    seen = json.loads(peers.node("terminal_picture.mjs", daemon.url.replace("ws:", "http:"), *programs, timeout=6 * SOON))
    assert seen == {"vim": ["alternate"], "less": ["alternate"], "wide": ["normal"], "faults": []}
    daemon.stop()  # its sessions stay
