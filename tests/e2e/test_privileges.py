# SPDX-License-Identifier: MIT
"""What the process and its programs may still do after the start. Read from /proc, as root only: others have nothing to give up."""

import os
import re

import pytest

from lib.daemon import command_line

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def status(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return re.search(rf"^{field}:\s*(.*)$", file.read(), re.M).group(1).split()


@needs_root
def test_identity_and_all_capabilities_are_given_up(wsluice):
    daemon = wsluice("--user", "nobody", "--", "cat")
    with daemon.open():
        for pid in (daemon.pid, daemon.children()[0].pid):
            assert set(status(pid, "Uid")) == {"65534"}
            assert set(status(pid, "Gid")) == {"65534"}
            assert set(status(pid, "Groups")) <= {"65534"}
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert status(pid, capabilities) == ["0000000000000000"]
            assert status(pid, "NoNewPrivs") == ["1"]


@needs_root
def test_root_cannot_be_had_again(wsluice, tmp_path):
    """A set-user-ID root shell gives nothing."""
    shell = tmp_path / "rootshell"
    shell.write_bytes(open("/usr/bin/id", "rb").read())
    shell.chmod(0o4755)
    tmp_path.chmod(0o755)
    daemon = wsluice("--user", "nobody", "--", "/usr/bin/id", "-u")
    with daemon.open() as client:
        assert client.read_message()[1] == b"65534"
    daemon = wsluice("--user", "nobody", "-r", "/=exec:/bin/sh -c " + str(shell), "--stderr", "merge")
    with daemon.open() as client:
        assert b"euid=0" not in client.read_message()[1]


@needs_root
def test_root_without_user_is_told(wsluice):
    daemon = wsluice("--to", "echo:")
    daemon.wait_for_log("running as root.*--user")


def test_programs_gain_nothing_by_set_user_id(wsluice):
    daemon = wsluice("--", "sh", "-c", "grep NoNewPrivs /proc/self/status")
    with daemon.open() as client:
        assert client.read_message()[1].split() == [b"NoNewPrivs:", b"1"]
    daemon = wsluice("--no-new-privs=off", "--", "sh", "-c", "grep NoNewPrivs /proc/self/status")
    with daemon.open() as client:
        assert client.read_message()[1].split() == [b"NoNewPrivs:", b"0"]


@pytest.mark.parametrize("user", ["no-such-user", "nobody:no-such-group", ":", "123456789"])
def test_unknown_accounts_stop_the_start(user):
    done = command_line("-l", "127.0.0.1:0", "--user", user, "--to", "echo:")
    assert done.returncode == 1 and "--user" in done.stderr and len(done.stderr.splitlines()) == 1
