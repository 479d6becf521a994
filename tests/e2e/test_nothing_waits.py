# SPDX-License-Identifier: MIT
"""All sessions share one loop: nothing in it asks anybody, or waits for a file."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from lib.daemon import command_line
from lib.setting import BINARY, SOON
from lib.tls import Certificate, client
from test_tls_reload import der, echoes, replace, serial

ASKS_NOBODY = "the key is encrypted, and nobody is there to type its passphrase.*openssl pkey"


@pytest.fixture
def served(tmp_path):
    return Certificate(tmp_path, "localhost", "127.0.0.1", stem="served")


def encrypt(key, how):
    """Gives the key a passphrase, in each of the forms that there are."""
    form = ["pkcs8", "-topk8"] if how == "pkcs8" else ["ec"]
    subprocess.run(["openssl", *form, "-in", key, "-out", key + ".new", "-aes256" if how != "pkcs8" else "-v2", *(["aes256"] * (how == "pkcs8")),
                    "-passout", "pass:secret"], check=True, capture_output=True)
    assert "ENCRYPTED" in pathlib.Path(key + ".new").read_text(encoding="ascii")
    shutil.move(key + ".new", key)


@pytest.fixture
def terminal():
    """A terminal as standard input, at which nobody types."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    yield slave, lambda: asked(master)
    os.close(master)
    os.close(slave)


def asked(master):
    try:
        return os.read(master, 4096)
    except BlockingIOError:
        return b""


def run_at(terminal, *args):
    return subprocess.run([BINARY, "-l", "127.0.0.1:0", *map(str, args)], stdin=terminal, capture_output=True, text=True, timeout=SOON,
                          start_new_session=True)


@pytest.mark.parametrize("how", ["pkcs8", "traditional"])
@pytest.mark.parametrize("check", [[], ["--check"]], ids=["start", "check"])
@pytest.mark.parametrize("side", ["tls", "backend"])
def test_a_passphrase_is_not_asked_for(served, terminal, how, check, side):
    encrypt(served.key, how)
    slave, heard = terminal
    to = "tls://localhost:1" if side == "backend" else "echo:"
    done = run_at(slave, *check, f"--{side}-cert", served.cert, f"--{side}-key", served.key, "--to", to)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and re.search(ASKS_NOBODY, done.stderr), done.stderr
    assert heard() == b""


@pytest.mark.parametrize("kind", ["ca", "chain"])
def test_nor_for_a_certificate_that_is_encrypted(served, terminal, tmp_path, kind):
    """PEM can say that of any block; OpenSSL would ask for each."""
    block = pathlib.Path(served.cert).read_text(encoding="ascii")
    secret = block.replace("-----BEGIN CERTIFICATE-----\n",
                           "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n")
    file = tmp_path / "secret.pem"
    file.write_text(secret if kind == "ca" else block + secret)
    slave, heard = terminal
    more = ["--tls-client-cert", "require", "--tls-client-ca", file] if kind == "ca" else []
    done = run_at(slave, "--check", "--tls-cert", served.cert if kind == "ca" else file, "--tls-key", served.key, *more, "--to", "echo:")
    assert done.returncode == 1 and "secret.pem: cannot read" in done.stderr and heard() == b""


@pytest.mark.parametrize("how", ["pkcs8", "traditional"])
def test_nor_by_a_reload_or_a_renewal(terminal, wsluice, served, tmp_path, how):
    slave, heard = terminal
    new = Certificate(tmp_path, "localhost", stem="new")
    encrypt(new.key, how)
    daemon = wsluice("--tls-cert", served.cert, "--tls-key", served.key, "--to", "echo:", stdin=slave)
    before = der(served)
    trusted = shutil.copy(served.cert, tmp_path / "before.crt")
    old = Certificate.__new__(Certificate)
    old.cert = trusted
    with client(daemon.address, old).open() as c:
        replace(served, new)
        daemon.wait_for_log(f"cannot be used, the old ones stay in force.*{ASKS_NOBODY}")
        since = daemon.mark()
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for_log("not reloaded: the old configuration stays in force", since=since)
        assert serial(daemon.address) == before and heard() == b""
        echoes(c, "alive")


FILES = {
    "config": ["--config", "FIFO"],
    "tls-cert": ["--tls-cert", "FIFO", "--tls-key", "KEY", "--to", "echo:"],
    "tls-key": ["--tls-cert", "CERT", "--tls-key", "FIFO", "--to", "echo:"],
    "tls-ocsp": ["--tls-cert", "CERT", "--tls-key", "KEY", "--tls-ocsp", "FIFO", "--to", "echo:"],
    "tls-client-ca": ["--tls-cert", "CERT", "--tls-key", "KEY", "--tls-client-cert", "require", "--tls-client-ca", "FIFO", "--to", "echo:"],
    "backend-ca": ["--backend-ca", "FIFO", "--to", "tls://localhost:1"],
    "backend-cert": ["--backend-cert", "FIFO", "--backend-key", "KEY", "--to", "tls://localhost:1"],
    "backend-key": ["--backend-cert", "CERT", "--backend-key", "FIFO", "--to", "tls://localhost:1"],
    "auth-basic": ["--auth", "basic", "--auth-file", "FIFO", "--to", "echo:"],
    "auth-bearer": ["--auth", "bearer", "--auth-file", "FIFO", "--to", "echo:"],
    "ban-file": ["--ban-file", "FIFO", "--to", "echo:"],
    "preamble-secret": ["--preamble", "{secret}", "--preamble-secret", "FIFO", "--to", "tcp://127.0.0.1:1"],
    "token-file": ["--to", "token-file:FIFO"],
}


@pytest.mark.parametrize("args", FILES.values(), ids=FILES)
def test_no_file_waits_for_its_writer(served, tmp_path, args):
    """A FIFO in the place of each file that is named."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    names = {"FIFO": tmp_path / "fifo", "CERT": served.cert, "KEY": served.key}
    done = command_line("-l", "127.0.0.1:0", "--check", *(names.get(a, a.replace("FIFO", str(tmp_path / "fifo"))) for a in args))
    assert done.returncode in (1, 2) and "not a regular file" in done.stderr, done.stderr


def test_a_reload_does_not_wait_for_a_name(wsluice, tmp_path):
    """Longer than a second; and for one that it knows not at all."""
    path = tmp_path / "c.json"

    def listen(*names):
        path.write_text(json.dumps({"listen": [*names], "routes": [{"to": "echo:"}]}))

    listen("localhost:0")
    daemon = wsluice("-c", path, listen=None, inside=True)
    with daemon.open() as c:
        listen("localhost:0", "unanswered.example:0")
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for_log('cannot listen on unanswered.example:0: "unanswered.example": no answer within a second')
        daemon.wait_for_log("not reloaded")
        echoes(c, "alive")
