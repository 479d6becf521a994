# SPDX-License-Identifier: MIT
"""contrib/demo: what a newcomer sees with `make demo` works in a real browser, and Ctrl-C leaves nothing behind."""

import json
import os
import re
import signal
import subprocess

import pytest

from lib import peers, proc
from lib.setting import BINARY, PAGE_ONLY, REPO, SOON

RUN = REPO / "contrib" / "demo" / "run"
PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n....IHDR\x00\x00\x05\x00\x00\x00[\x06\x07]", re.DOTALL)  # 1280 wide, a page high


class Demo:
    """A running demo, in a session of its own as in a terminal of its own."""

    def __init__(self, *args, command=RUN):
        self.process = subprocess.Popen([command, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True, env={**os.environ, "WSLUICE": BINARY},
                                        preexec_fn=proc.as_from_a_terminal)
        proc.started.add(self.process.pid)
        self.first = self.process.stdout.readline()
        self.below = proc.children(self.process.pid)

    @property
    def url(self):
        return re.fullmatch(r"open (http://127\.0\.0\.1:\d+/) in a browser, Ctrl-C ends it\n", self.first).group(1)

    def left(self):
        """What was below it and still is somewhere, zombies not counted."""
        now = [proc.process(was.pid) for was in self.below]
        return [p for was, p in zip(self.below, now) if p and p.start == was.start and p.state != "Z"]

    def finish(self, number=None):
        """Ends it; returns its status and the complaints on stderr. number: a signal to it alone, else as Ctrl-C does."""
        self.below = proc.children(self.process.pid)
        if number:
            self.process.send_signal(number)
        else:
            os.killpg(self.process.pid, signal.SIGINT)
        _, err = self.process.communicate(timeout=4 * SOON)
        proc.started.discard(self.process.pid)
        return self.process.returncode, [line for line in err.splitlines() if "running as root" not in line]

    def close(self):
        if self.process.poll() is None:
            self.finish(signal.SIGTERM)
        for process in self.left():
            proc.bury(process)


@pytest.fixture
def demo():
    running = []

    def start(*args, **how):
        running.append(Demo(*args, **how))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.mark.plain(PAGE_ONLY)
def test_every_card_in_a_browser(demo, tmp_path):
    picture = os.environ.get("DEMO_SHOT") or tmp_path / "demo.png"
    running = demo("0")
    seen = json.loads(peers.node("demo.mjs", "demo", running.url, picture, timeout=6 * SOON))
    assert seen["faults"] == []  # no error of a script, nothing against the content policy
    assert seen["power"] == seen["again"] == "18446744073709551616"
    assert seen["pi"] == "3.1415926535897932384626433832795028841968"
    assert "Divide by zero" in seen["error"] and seen["markup"] == 0
    assert seen["quit"] == "ended normally · again"
    assert seen["targets"] == ["e3", "e4"] and seen["illegal"] == ""
    assert re.fullmatch(r"1\. e2e4 [a-h][78][a-h][56]", seen["opening"])  # Black's first move, whatever the engine likes
    assert 28 <= seen["pieces"] <= 32
    assert seen["clock"][0] != seen["clock"][1]
    assert re.search(r"Heron: hello from the first tab", seen["heard"]) and "Otter: and hello back" in seen["chat"]
    assert re.fullmatch(r"datagram \d+: 2 on the pond, click to swim", seen["pond"])
    assert "guest" in seen["talk"] and seen["log"] == 1  # one program for both readers
    assert seen["cut"] == ["lost 0, twice 0"] * 2
    assert seen["wide"] and seen["narrow"]  # nothing to scroll sideways, on a phone neither
    assert seen["game"] == running.url + "terminal/"
    with open(picture, "rb") as file:
        data = file.read()
    assert PICTURE.match(data) and 30_000 < len(data) < 400_000
    status, err = running.finish()
    assert (status, err) == (0, [])
    proc.wait_until(lambda: not running.left(), lambda: f"all to end: {running.left()}")


@pytest.mark.plain(PAGE_ONLY)
def test_editor_with_a_language_server_in_a_browser(demo, tmp_path):
    running = demo("0")
    seen = json.loads(peers.node("demo.mjs", "editor", running.url + "editor.html", tmp_path / "editor.png", timeout=6 * SOON))
    assert seen["faults"] == []
    assert "undeclared identifier 'retrun'" in seen["first"] and seen["selected"] == "retrun"
    assert re.match(r"5:9 .*'int'", seen["second"]) and seen["clean"] == "no complaints"
    assert seen["markup"] == 0 and seen["offset"] == "<"  # positions are right behind characters outside the BMP
    status, err = running.finish()
    assert (status, err) == (0, [])
    proc.wait_until(lambda: not running.left(), lambda: f"all to end: {running.left()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
def test_end_leaves_nothing_behind(demo, number):
    running = demo("0")
    assert running.url
    assert {"wsluice", "python3"} <= {os.path.basename(p.command.split()[0]) for p in running.below}
    status, err = running.finish(number)
    assert (status, err) == (0, [])
    proc.wait_until(lambda: not running.left(), lambda: f"all to end: {running.left()}")


def test_make_that_is_killed_leaves_nothing_behind(demo, tmp_path):
    """make passes a SIGTERM on to what it has started itself, and to nothing below."""
    said = subprocess.run(["make", "-n", "demo"], cwd=REPO, capture_output=True, text=True, timeout=4 * SOON, check=True,
                          env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}).stdout
    recipe = next(line for line in said.splitlines() if line.endswith("contrib/demo/run"))
    recipe = re.sub(r"WSLUICE=\S+", f"WSLUICE={BINARY}", recipe)
    (tmp_path / "Makefile").write_text(f"demo:\n\t@cd {REPO} && {recipe} 0\n")
    running = demo("-s", "-C", tmp_path, "demo", command="make")
    assert running.url
    status, _ = running.finish(signal.SIGTERM)
    assert status != 0
    proc.wait_until(lambda: not running.left(), lambda: f"all to end: {running.left()}")


def test_taken_port_is_said(demo):
    url = demo("0").url
    port = url.rstrip("/").rpartition(":")[2]
    second = demo(port)
    assert second.first == ""
    _, err = second.process.communicate(timeout=SOON)
    assert second.process.returncode == 1 and f"port {port} is taken" in err


def test_missing_binary_is_said():
    done = subprocess.run([RUN, "0"], env={**os.environ, "WSLUICE": "/nowhere/wsluice"}, capture_output=True, text=True,
                          timeout=SOON, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "/nowhere/wsluice is not there" in done.stderr
