# SPDX-License-Identifier: MIT
"""What the documents tell newcomers to type is accepted: every command line of ours, and every configuration."""

import os
import re
import shlex

import pytest

from lib.daemon import command_line
from lib.setting import REPO
from lib.tls import Certificate

DOCUMENTS = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md")), *sorted((REPO / "docs").glob("*.scd")),
             *sorted((REPO / "contrib").glob("*/README.md"))]
# what stands for something of the reader's
PLACEHOLDERS = re.compile(r"\.\.\.|\b[A-Z]{2,}\b(?!=)|[<>|&]|/etc/wsluice|\bPATH=|\bFILE\b|--help|--completion|--version|--dump")


def commands():
    """(where, the line) of each that could be typed as it is."""
    found = []
    for path in DOCUMENTS:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            block = re.match(r"(?: {4}|\t)(?:build/plain/)?(wsluice (?!ctl|example|auth-verify).*)$", line)
            inline = re.findall(r"`(wsluice (?!ctl|example|auth-verify)[^`]*)`", line) if path.suffix == ".md" else []
            for text in ([block[1]] if block else []) + inline:
                text = text.split("  #")[0].replace("\\|", "|").rstrip()
                if not PLACEHOLDERS.search(text.replace("--route '", "'")) and len(text.split()) > 1:
                    found.append((f"{path.relative_to(REPO)}:{number}", text))
    assert len(found) > 25
    return found


COMMANDS = commands()


@pytest.fixture
def home(tmp_path):
    """A folder with what the examples take for granted."""
    (tmp_path / "www/assets").mkdir(parents=True)
    (tmp_path / "tokens").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "www/index.html").write_text("a page")
    (tmp_path / "contrib").symlink_to(REPO / "contrib")
    for program in "prog", "clock":
        (tmp_path / program).write_text("#!/bin/sh\ncat\n")
        (tmp_path / program).chmod(0o755)
    (tmp_path / "users").write_text("me:$2y$05$IqFnbNQxLqUD7n2gZEoRqOKrH0oOtRIw1/XTFnbAnzlMbzBTtNI5y\n")
    (tmp_path / "users").chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("where, text", COMMANDS, ids=[w for w, _ in COMMANDS])
def test_command_lines_are_accepted(where, text, home):
    words = shlex.split(text)[1:]
    if os.geteuid() == 0 and any("0.0.0.0" in w or "[::]" in w for w in words):
        words = ["--user", "root", *words]  # as the text says that root must
    done = command_line("--check", *words, cwd=home)
    assert (done.returncode, done.stderr) == (0, ""), f"{where}: {text}: {done.stderr}"


def configurations():
    found = []
    for path in DOCUMENTS:
        for block in re.finditer(r"^```yaml\n(.*?)^```", path.read_text(), re.M | re.S):
            if re.search(r"^routes:", block[1], re.M):
                found.append((f"{path.relative_to(REPO)}:{path.read_text()[:block.start()].count(chr(10)) + 1}", block[1]))
    assert found
    return found


CONFIGURATIONS = configurations()


@pytest.mark.parametrize("where, text", CONFIGURATIONS, ids=[w for w, _ in CONFIGURATIONS])
def test_configurations_are_accepted(where, text, home):
    own = Certificate(home, "localhost")
    for theirs, here in (("/etc/wsluice/cert.pem", own.cert), ("/etc/wsluice/key.pem", own.key), ("/etc/wsluice/users", "users"),
                         ("/usr/local/bin/operator-shell", "/bin/sh"), ("/var/lib/wsluice/sessions", str(home)), ("/etc/wsluice/tokens", "tokens"), ("/srv/www", "www")):
        text = text.replace(theirs, here)
    (home / "c.yaml").write_text(text + ("user: root\n" if os.geteuid() == 0 and "user:" not in text else ""))
    done = command_line("--check", "-c", "c.yaml", cwd=home)
    assert (done.returncode, done.stderr) == (0, ""), f"{where}: {done.stderr}"


def test_the_readme_is_short():
    assert len((REPO / "README.md").read_text().splitlines()) < 180
