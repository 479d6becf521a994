# SPDX-License-Identifier: MIT
"""Root acts by no file that others could have written: who owns it, its mode, and the folders on the way to it."""

import json
import os
import re
import shutil
import subprocess

import pytest

from lib.daemon import command_line
from lib.setting import BINARY
from test_auth import hashed
from test_privileges import configured, needs_root, public, reload  # noqa: F401

NOBODY = 65534
pytestmark = needs_root
CONTENTS = {"auth-file": f"somebody:{hashed('x')}\n", "ban-file": "192.0.2.0/24\n", "preamble-secret": "s3cret\n", "auth-hook": "#!/bin/sh\n",
            "token-file": "a: 127.0.0.1:1\n", "include": "log-level: warn\n", "tls-cert": "", "tls-key": "", "tls-client-ca": "", "backend-ca": ""}


def naming(kind, path):
    """A configuration with that file as that."""
    path = str(path)
    return {
        "auth-file": {"routes": [{"path": "/", "to": "echo:", "auth": "basic", "auth-file": path}]},
        "auth-hook": {"routes": [{"path": "/", "to": "echo:", "auth": "hook", "auth-hook": [path]}]},
        "preamble-secret": {"routes": [{"path": "/", "to": "tcp://127.0.0.1:1", "preamble": "{secret}\n", "preamble-secret": path}]},
        "backend-ca": {"routes": [{"path": "/", "to": "tls://127.0.0.1:1", "backend-ca": path}]},
        "token-file": {"routes": [{"path": "/", "to": f"token-file:{path}"}]},
        "include": {"include": [path], "routes": [{"path": "/", "to": "echo:"}]},
    }.get(kind, {kind: path, "routes": [{"path": "/", "to": "echo:"}]})


def check(folder, content):
    config = folder / "main.yaml"
    config.write_text(json.dumps(content))
    return command_line("--config", config, "--check")


def bad_owner(folder, file):
    os.chown(file, NOBODY, 0)
    return f"user {NOBODY} owns {file}, .*: chown root {file}"


def bad_group(folder, file):
    os.chown(file, 0, 12)
    file.chmod(0o770)
    return rf"{file} may be written by others \(mode 0770\), .*: chmod go-w {file}"


def bad_folder(folder, file):
    folder.chmod(0o757)
    return rf"the folder {folder} may be written by others \(mode 0757\), .*: chmod o-w {folder}"


def bad_folder_owner(folder, file):
    os.chown(folder, NOBODY, 0)
    return f"user {NOBODY} owns the folder {folder}, .*: chown root {folder}"


def link_of_others(folder, file):
    folder.chmod(0o1777)
    file.rename(folder / "real")
    file.symlink_to("real")
    os.chown(file, NOBODY, 0, follow_symlinks=False)
    return f"user {NOBODY} owns the link {file}, .*: chown -h root {file}"


def link_to_an_open_folder(folder, file):
    (folder / "open").mkdir()
    file.rename(folder / "open/real")
    file.symlink_to("open/../open/real")
    (folder / "open").chmod(0o777)
    return f"the folder {folder}/open may be written by others"


@pytest.fixture
def folder(public):  # noqa: F811
    (public / "secrets").mkdir(mode=0o755)
    return public / "secrets"


def put(folder, kind):
    file = folder / "file"
    file.write_text(CONTENTS[kind])
    file.chmod(0o700)
    return file


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_of_file_that_others_could_have_written_is_refused(public, folder, kind):  # noqa: F811
    says = bad_owner(folder, put(folder, kind))
    done = check(public, naming(kind, folder / "file"))
    assert done.returncode == 1 and re.search(rf"{kind}: .*{says}", done.stderr), done.stderr


@pytest.mark.parametrize("spoil", [bad_owner, bad_group, bad_folder, bad_folder_owner, link_of_others, link_to_an_open_folder])
def test_start_check_and_reload_say_the_same(public, folder, configured, spoil):  # noqa: F811
    file = put(folder, "auth-file")
    content = naming("auth-file", file)
    assert check(public, content).returncode == 0
    daemon = configured(content, "--user", "nobody")  # whose files they may be, but not through folders of others
    says = spoil(folder, file)
    if spoil in (bad_owner, bad_folder_owner, link_of_others):
        says = says.replace(str(NOBODY), "1")
        for path in {bad_owner: [file], bad_folder_owner: [folder], link_of_others: [file]}[spoil]:
            os.chown(path, 1, 0, follow_symlinks=False)
    done = check(public, content)
    assert done.returncode == 1 and re.search(says, done.stderr), done.stderr
    log, taken = reload(daemon, content)
    assert not taken and re.search(says, log), log
    done = command_line("-l", "127.0.0.1:0", "--config", public / "main.yaml")
    assert done.returncode != 0 and re.search(says, done.stderr), done.stderr


def test_the_configuration_itself_belongs_to_root(public):  # noqa: F811
    config = public / "main.yaml"
    for spoil in (lambda: os.chown(config, NOBODY, 0), lambda: config.chmod(0o666), lambda: public.chmod(0o777)):
        assert check(public, naming("ban-file", put(public, "ban-file"))).returncode == 0
        spoil()
        done = command_line("--config", config, "--user", "nobody", "--check")
        assert done.returncode == 1 and re.search("chown root|chmod (go|o)-w", done.stderr), done.stderr
        os.chown(config, 0, 0)
        config.chmod(0o644)
        public.chmod(0o755)


def test_files_of_the_user_we_become_are_taken(public, folder):  # noqa: F811
    os.chown(put(folder, "auth-file"), NOBODY, 0)
    os.chown(folder, NOBODY, 0)
    assert check(public, {"user": "nobody", **naming("auth-file", folder / "file")}).returncode == 0


def test_mounts_of_kubernetes_pass(public, folder):  # noqa: F811
    """The folder is for everybody, sticky; files are links through one link to a folder with a date for a name."""
    dated = folder / "..2024_01_01"
    dated.mkdir(mode=0o755)
    put(dated, "auth-file")
    (folder / "..data").symlink_to(dated.name)
    (folder / "file").symlink_to("..data/file")
    folder.chmod(0o1777)
    assert check(public, naming("auth-file", folder / "file")).returncode == 0
    os.chown(folder / "..data", NOBODY, 0, follow_symlinks=False)
    assert check(public, naming("auth-file", folder / "file")).returncode == 1


def test_a_relative_path_is_judged_from_where_we_are(public, folder, monkeypatch):  # noqa: F811
    put(folder, "auth-file")
    monkeypatch.chdir(folder)
    assert check(public, naming("auth-file", "file")).returncode == 0
    folder.chmod(0o757)
    assert check(public, naming("auth-file", "./file")).returncode == 1


def test_who_is_not_root_keeps_files_as_they_like(public):  # noqa: F811
    file = put(public, "auth-file")
    file.chmod(0o664)
    public.chmod(0o777)
    check(public, naming("auth-file", file))
    (public / "main.yaml").chmod(0o666)
    mine = public / "wsluice"
    shutil.copy(BINARY, mine)
    mine.chmod(0o755)
    done = subprocess.run([mine, "--config", public / "main.yaml", "--check"], user=NOBODY, group=NOBODY, extra_groups=[], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
