# SPDX-License-Identifier: MIT
"""make install: everything where it is looked for, and what is installed agrees with itself."""

import re
import subprocess

import pytest

from lib.setting import REPO, SOON

pytestmark = [pytest.mark.plain("make install installs the plain build"), pytest.mark.limit(300)]


@pytest.fixture(scope="module", params=["/usr/local", "/usr", "/opt/wsluice"])
def installed(request, tmp_path_factory):
    """(the folder that stands for /, the prefix)"""
    root = tmp_path_factory.mktemp("root")
    prefix = [] if request.param == "/usr/local" else [f"PREFIX={request.param}"]
    done = subprocess.run(["make", "install", f"DESTDIR={root}", *prefix], cwd=REPO, capture_output=True, text=True, timeout=250,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return root, request.param


def test_units_name_the_program_where_it_is(installed):
    root, prefix = installed
    unit = (root / prefix[1:] / "lib/systemd/system/wsluice.service").read_text()
    named = re.findall(r"^Exec(?:Start|StartPre)=(.*?wsluice) ", unit, re.M)
    assert named == [f"{prefix}/bin/wsluice"] * 2
    program = root / named[0][1:]
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0 and done.stdout.startswith("wsluice ")
    for file in "lib/systemd/system/wsluice.socket", "lib/sysusers.d/wsluice.conf", "lib/tmpfiles.d/wsluice.conf":
        assert (root / prefix[1:] / file).is_file()


def test_nothing_is_put_elsewhere(installed):
    root, prefix = installed
    assert all(str(path.relative_to(root)).startswith(prefix[1:]) for path in root.rglob("*") if path.is_file())


def test_the_installed_program_has_the_terminal_page(installed):
    root, prefix = installed
    done = subprocess.run([root / prefix[1:] / "bin/wsluice", "--check", "--page", "terminal", "--pty", "--", "cat"],
                          capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0, done.stderr
