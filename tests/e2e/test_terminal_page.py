# SPDX-License-Identifier: MIT
"""contrib/terminal: the page with xterm.js on a real terminal, in Chromium."""

import json
import os
import re

import pytest

from lib import peers
from lib.setting import REPO, SOON

TERMINAL = REPO / "contrib" / "terminal"
SHELL = ["env", "PS1=$ ", "TMOUT=", "bash", "--norc", "--noprofile"]
CLOCK = ["sh", "-c", "while date +%T; do sleep 1; done"]


@pytest.fixture(scope="module")
def page():
    """The folder of the page, complete; not made here, for tests of several builds run at once."""
    client = TERMINAL / "www" / "vendor" / "wsluice-client.js"
    assert client.exists() and client.read_bytes() == (REPO / "contrib/client/index.js").read_bytes(), "run: make terminal"
    return TERMINAL / "www"


def test_page_is_complete_and_pinned(page):
    vendor = page / "vendor"
    assert {path.name for path in vendor.iterdir()} == {
        "xterm.mjs", "xterm.css", "xterm.LICENSE.txt", "addon-fit.mjs", "addon-fit.LICENSE.txt", "wsluice-client.js",
        "wsluice-client.LICENSE.txt"}
    assert "Permission is hereby granted" in (vendor / "xterm.LICENSE.txt").read_text()
    lock = json.loads((TERMINAL / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert not name or package["integrity"].startswith("sha512-") and "resolved" not in package
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', (page / "index.html").read_text()).group(1)
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "*" not in policy


def test_terminal_in_chromium(wsluice, page, tmp_path):
    pictures = os.environ.get("TERMINAL_SHOTS") or tmp_path
    config = tmp_path / "terminal.yaml"
    config.write_text(json.dumps({"routes": [
        {"path": "/shell", "pty": SHELL, "static": str(page), "cwd": str(tmp_path)},
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
        "typed": False, "framed": "a terminal does not run inside another page", "faults": []}
