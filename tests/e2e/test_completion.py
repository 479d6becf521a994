# SPDX-License-Identifier: MIT
"""--completion: the scripts are made from the table of options, and the real shells understand them."""

import os
import re
import subprocess

import pytest

from lib import proc
from lib.daemon import command_line
from lib.setting import BINARY, SOON


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request):
    return request.param


def script(name):
    done = command_line("--completion", name)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def options():
    """All long options, with whether each takes a value."""
    return {m[1]: bool(m[2]) for m in re.finditer(r"^  (?:-., |    )--([a-z0-9-]+)( [A-Z]\S*)?", command_line("--help-all").stdout, re.M)}


def test_all_options_are_in_it(shell):
    text, names = script(shell), options()
    assert len(names) > 40 and names["ping"] and not names["help"]
    missing = [n for n in names if not re.search(rf"(--|-l ){n}\b", text)]
    assert not missing


def test_unknown_shell_and_none():
    assert command_line("--completion", "tcsh").returncode == 2
    done = command_line("--completion", "none", "--help-all")
    assert done.returncode == 0 and "--completion" in done.stdout


def test_shell_accepts_it(shell, tmp_path):
    (tmp_path / "script").write_text(script(shell))
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=SOON)
    assert (done.returncode, done.stderr) == (0, "")


def bash(tmp_path, *words):
    """What bash would offer for the last of the words."""
    (tmp_path / "script").write_text(script("bash"))
    # as readline takes a line apart: "=" is a word of its own
    split = [part for word in words for part in (re.split("(=)", word) if word.startswith("--") else [word])]
    split = [part for i, part in enumerate(split) if part or i == len(split) - 1]
    split = [part for word in split for part in (re.split("(:)", word) if not word.startswith("--") else [word]) if part or not word]
    done = subprocess.run(
        ["bash", "--norc", "-c", '. "$1"; shift; COMP_WORDS=("$WSLUICE_BINARY" "$@"); COMP_CWORD=$#; _wsluice && '
         'printf "%s\\n" "${COMPREPLY[@]}"; complete -p wsluice >&2', "-", str(tmp_path / "script"), *split],
        capture_output=True, text=True, timeout=SOON, cwd=tmp_path, env={**os.environ, "WSLUICE_BINARY": BINARY})
    assert "-F _wsluice wsluice" in done.stderr, done.stderr
    return done.stdout.split()


def test_bash_completes_options(tmp_path):
    assert bash(tmp_path, "--pin") == ["--ping"]
    assert bash(tmp_path, "--ping", "25s", "--stop-g") == ["--stop-grace"]
    assert bash(tmp_path, "--ping=25s", "--stop-g") == ["--stop-grace"]
    assert set(bash(tmp_path, "--")) == {"--" + name for name in options()}


def test_bash_completes_values(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.yaml").touch()
    assert bash(tmp_path, "--log-level", "de") == ["debug"]
    assert bash(tmp_path, "--log-level=de") == ["debug"]
    assert set(bash(tmp_path, "--log-level=")) == {"error", "warn", "info", "debug"}
    assert bash(tmp_path, "--static", "fol") == ["folder"]
    assert set(bash(tmp_path, "-c", "fol")) == {"folder", "folder.yaml"}
    assert bash(tmp_path, "--ping", "--st") == [], "a time: nothing to offer, and no option stands there"


@pytest.fixture
def admin(wsluice, tmp_path):
    """A server with two sessions and a ban, to be asked while a line is completed."""
    socket = f"unix:{tmp_path}/admin.sock"
    daemon = wsluice("--admin", socket, "--to", "echo:")
    daemon.clients = [daemon.open(), daemon.open()]
    assert command_line("ctl", "--admin", socket, "ban", "192.0.2.0/24").returncode == 0
    return socket


def test_bash_completes_addresses(tmp_path):
    """bash sees words that end at a colon, and wants what is behind it."""
    (tmp_path / "folder").mkdir()
    assert bash(tmp_path, "--framing", "len") == ["len32", "len32le"]
    assert set(bash(tmp_path, "--to", "")) == {"tcp://", "tls://", "unix:", "udp://", "token-file:", "echo:"}
    assert bash(tmp_path, "--to", "tc") == ["tcp://"]
    assert bash(tmp_path, "--to", "tcp:") == ["//"]
    assert bash(tmp_path, "--to", "unix:fol") == ["folder"]
    assert bash(tmp_path, "--route", "/a=tl") == ["tls://"]
    assert "bash" in bash(tmp_path, "--route", "/a=exec:bas")
    assert bash(tmp_path, "--to", "unix:/run/x", "--stop-g") == ["--stop-grace"]
    assert bash(tmp_path, "--user", "roo") == ["root"]


def test_bash_completes_orders_of_ctl_and_examples(tmp_path, admin):
    assert bash(tmp_path, "c") != [] and "ctl" in bash(tmp_path, "ct")
    assert bash(tmp_path, "ctl", "ki") == ["kick"]
    assert {"sessions", "kick", "drain", "log-level"} <= set(bash(tmp_path, "ctl", ""))
    assert bash(tmp_path, "ctl", "--js") == ["--json"]
    assert set(bash(tmp_path, "ctl", "log-level", "")) == {"error", "warn", "info", "debug"}
    assert set(bash(tmp_path, "ctl", "--admin", admin, "kick", "")) == {"1", "2"}
    assert set(bash(tmp_path, "ctl", f"--admin={admin}", "show", "")) == {"1", "2"}
    assert bash(tmp_path, "ctl", "--admin", admin, "unban", "") == ["192.0.2.0/24"]
    assert bash(tmp_path, "ctl", "--admin", "unix:adm") == ["admin.sock"]
    assert bash(tmp_path, "ctl", "--admin", f"unix:{tmp_path}/nobody", "kick", "") == []
    assert bash(tmp_path, "example", "vn") == ["vnc"]
    (tmp_path / "users").touch()
    assert "passwd" in bash(tmp_path, "pass") and bash(tmp_path, "passwd", str(tmp_path / "us")) == [str(tmp_path / "users")]


def test_bash_leaves_the_command_alone(tmp_path):
    (tmp_path / "--pinguin").touch()
    assert "bash" in bash(tmp_path, "--", "bas")
    assert bash(tmp_path, "--ping", "25s", "cat", "--pin") == ["--pinguin"]
    assert bash(tmp_path, "--", "cat", "--pin") == ["--pinguin"]


def test_fish_completes(tmp_path, admin):
    (tmp_path / "script").write_text(script("fish"))

    def offered(line):
        done = subprocess.run(["fish", "--no-config", "-c", f'source {tmp_path}/script; complete -C "{line}"'], text=True,
                              capture_output=True, timeout=2 * SOON, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
        assert done.stderr == ""
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert offered("wsluice --pin") == ["--ping"]
    assert offered("wsluice --log-level de") == ["debug"]
    assert offered("wsluice --framing len") == ["len32", "len32le"]
    assert offered("wsluice --to tc") == ["tcp://"]
    assert offered("wsluice --user roo") == ["root"]
    assert offered("wsluice ctl ki") == ["kick"]
    assert set(offered("wsluice ctl log-level ")) == {"error", "warn", "info", "debug"}
    assert offered("wsluice example vn") == ["vnc"]
    assert set(offered(f"{BINARY} ctl --admin {admin} kick ")) == {"1", "2"}
    assert offered(f"{BINARY} ctl --admin {admin} unban ") == ["192.0.2.0/24"]


@pytest.mark.parametrize("typed, becomes", [
    ("wsluice --pin\\t25s", "*--ping[= ]*"),
    ("wsluice --log-level de\\t", "*--log-level debug*"),
    ("wsluice --framing netst\\t", "*netstring*"),
    ("wsluice --to tc\\t", "*--to tcp://*"),
    ("wsluice ctl ki\\t", "*ctl kick *"),
    ("wsluice ctl log-level de\\t", "*log-level debug*"),
    ("wsluice ctl --admin uni\\t", "*--admin[ =]unix:*"),
    ("wsluice example vn\\t", "*example vnc*"),
    ("BINARY ctl --admin ADMIN unban \\t", "*unban 192.0.2.0/24*"),
])
def test_zsh_takes_the_specification(tmp_path, admin, typed, becomes):
    """_arguments itself parses it: a faulty one would be told."""
    typed = typed.replace("BINARY", BINARY).replace("ADMIN", admin)
    (tmp_path / "_wsluice").write_text(script("zsh"))
    code = f"""
        fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump
        print -r -- $_comps[wsluice]
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'PS1=; fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump'
        zpty -w z 'bindkey "^I" complete-word; print READY'
        zpty -r z out '*READY*READY*'
        zpty -n -w z $'{typed}; print -r DONE\\n'
        zpty -r z out '{becomes}DONE*' && print -r FOUND
        zpty -d z
    """
    done = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, timeout=2 * SOON,
                          env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "dumb"}, cwd=tmp_path)
    while orphans := proc.orphans():  # zpty leaves its shell behind, and that what it ran
        for orphan in orphans:
            proc.bury(orphan)
    assert done.stdout.split() == ["_wsluice", "FOUND"], done.stdout + done.stderr
