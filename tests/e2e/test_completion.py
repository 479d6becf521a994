# SPDX-License-Identifier: MIT
"""--completion: the scripts are made from the table of options, and the real shells understand them."""

import re
import shutil
import subprocess

import pytest

from lib import proc
from lib.daemon import command_line
from lib.setting import SOON


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request):
    return request.param


def script(name):
    done = command_line("--completion", name)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def options():
    """All long options, with whether each takes a value."""
    return {m[1]: bool(m[2]) for m in re.finditer(r"^  (?:-., |    )--([a-z0-9-]+)( [A-Z]\S*)?", command_line("--help").stdout, re.M)}


def test_all_options_are_in_it(shell):
    text, names = script(shell), options()
    assert len(names) > 40 and names["ping"] and not names["help"]
    missing = [n for n in names if not re.search(rf"(--|-l ){n}\b", text)]
    assert not missing


def test_unknown_shell_and_none():
    assert command_line("--completion", "tcsh").returncode == 2
    done = command_line("--completion", "none", "--help")
    assert done.returncode == 0 and "--completion" in done.stdout


def test_shell_accepts_it(shell, tmp_path):
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    (tmp_path / "script").write_text(script(shell))
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=SOON)
    assert (done.returncode, done.stderr) == (0, "")


def bash(tmp_path, *words):
    """What bash would offer for the last of the words."""
    (tmp_path / "script").write_text(script("bash"))
    # as readline takes a line apart: "=" is a word of its own
    split = [part for word in words for part in (re.split("(=)", word) if word.startswith("--") else [word])]
    split = [part for i, part in enumerate(split) if part or i == len(split) - 1]
    done = subprocess.run(
        ["bash", "--norc", "-c", '. "$1"; shift; COMP_WORDS=(wsluice "$@"); COMP_CWORD=$#; _wsluice && '
         'printf "%s\\n" "${COMPREPLY[@]}"; complete -p wsluice >&2', "-", str(tmp_path / "script"), *split],
        capture_output=True, text=True, timeout=SOON, cwd=tmp_path)
    assert "-F _wsluice wsluice" in done.stderr, done.stderr
    return done.stdout.split()


needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="no bash")


@needs_bash
def test_bash_completes_options(tmp_path):
    assert bash(tmp_path, "--pi") == ["--ping"]
    assert bash(tmp_path, "--ping", "25s", "--stop-g") == ["--stop-grace"]
    assert bash(tmp_path, "--ping=25s", "--stop-g") == ["--stop-grace"]
    assert set(bash(tmp_path, "--")) == {"--" + name for name in options()}


@needs_bash
def test_bash_completes_values(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.yaml").touch()
    assert bash(tmp_path, "--log-level", "de") == ["debug"]
    assert bash(tmp_path, "--log-level=de") == ["debug"]
    assert set(bash(tmp_path, "--log-level=")) == {"error", "warn", "info", "debug"}
    assert bash(tmp_path, "--static", "fol") == ["folder"]
    assert set(bash(tmp_path, "-c", "fol")) == {"folder", "folder.yaml"}
    assert bash(tmp_path, "--ping", "--st") == [], "a time: nothing to offer, and no option stands there"


@needs_bash
def test_bash_leaves_the_command_alone(tmp_path):
    (tmp_path / "--pinguin").touch()
    assert "bash" in bash(tmp_path, "--", "bas")
    assert bash(tmp_path, "--ping", "25s", "cat", "--pi") == ["--pinguin"]
    assert bash(tmp_path, "--", "cat", "--pi") == ["--pinguin"]


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish_completes(tmp_path):
    (tmp_path / "script").write_text(script("fish"))

    def offered(line):
        done = subprocess.run(["fish", "--no-config", "-c", f'source {tmp_path}/script; complete -C "{line}"'], text=True,
                              capture_output=True, timeout=2 * SOON, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
        assert done.stderr == ""
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert offered("wsluice --pi") == ["--ping"]
    assert offered("wsluice --log-level de") == ["debug"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_takes_the_specification(tmp_path):
    """_arguments itself parses it: a faulty one would be told."""
    (tmp_path / "_wsluice").write_text(script("zsh"))
    code = f"""
        fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump
        print -r -- $_comps[wsluice]
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'PS1=; fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump'
        zpty -w z 'bindkey "^I" complete-word; print READY'
        zpty -r z out '*READY*READY*'
        zpty -n -w z $'wsluice --pi\\t25s; print -r DONE\\n'
        zpty -r z out '*--ping[= ]*DONE*' && print -r FOUND
        zpty -d z
    """
    done = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, timeout=2 * SOON,
                          env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "dumb"}, cwd=tmp_path)
    for orphan in proc.orphans():  # zpty leaves its shell behind
        proc.bury(orphan)
    assert done.stdout.split() == ["_wsluice", "FOUND"], done.stdout + done.stderr
