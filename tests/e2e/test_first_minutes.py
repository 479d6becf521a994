# SPDX-License-Identifier: MIT
"""What a newcomer meets first: the page to open, examples, help."""

import http.client
import re
import ssl
import urllib.request

import pytest

from lib.daemon import command_line
from lib.setting import REPO
from lib.tls import Certificate


def page(daemon):
    """The address that the log says to open."""
    return daemon.wait_for_log(r" open (\S+)$").group(1)


def says_no_page(daemon):
    """Its whole log."""
    daemon.stop()
    return not daemon.find_log(" open ")


def fetch(url, **how):
    with urllib.request.urlopen(url, timeout=10, **how) as answer:
        return answer.read().decode()


@pytest.fixture
def www(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "index.html").write_text("the index")
    return folder


def test_the_index_of_a_folder(wsluice, www):
    daemon = wsluice("--static", www, "-r", "/echo=echo:", "-r", "/cat=exec:cat")
    assert page(daemon) == f"http://127.0.0.1:{daemon.port}/"
    assert fetch(page(daemon)) == "the index"


def test_the_first_page_where_there_is_no_index(wsluice, www):
    (www / "index.html").rename(www / "vnc.html")
    (www / "vnc_lite.html").write_text("not this")
    (www / ".hidden.html").write_text("nor this")
    daemon = wsluice("--static", www, "--to", "tcp://127.0.0.1:1")
    assert page(daemon) == f"http://127.0.0.1:{daemon.port}/vnc.html"
    assert fetch(page(daemon)) == "the index"


def test_the_console(wsluice):
    daemon = wsluice("--console", "-r", "/a/b=echo:", "-r", "/calc x=exec:cat")
    assert page(daemon) == f"http://127.0.0.1:{daemon.port}/calc%20x"
    assert "<script" in fetch(page(daemon))


def test_a_folder_below_a_path(wsluice, www, tmp_path):
    (tmp_path / "c.yaml").write_text(f"listen: ['127.0.0.1:0']\nroutes:\n  - path: /w/{{x:[a-z]}}\n    to: 'echo:'\n    console: on\n"
                                     f"  - path: /sub\n    static: {www}\n")
    daemon = wsluice("-c", tmp_path / "c.yaml")
    assert page(daemon) == f"http://127.0.0.1:{daemon.port}/sub/"
    assert fetch(page(daemon)) == "the index"


@pytest.mark.parametrize("args", [["--to", "echo:"], ["--static", "/proc/self/fd", "--to", "echo:"]])
def test_no_page_no_word(wsluice, args):
    assert says_no_page(wsluice(*args))


def test_all_addresses_are_seen_from_here(wsluice, www):
    for address, host in ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]"):
        daemon = wsluice("-l", address, "--user", "root", "--static", www)
        assert re.fullmatch(rf"http://{re.escape(host)}:\d+/", page(daemon))


def test_a_unix_socket_is_no_door_for_browsers(wsluice, www, tmp_path):
    assert says_no_page(wsluice("-l", f"unix:{tmp_path}/s", "--static", www))


def test_tls_and_the_host_of_a_route(wsluice, www, tmp_path):
    own = Certificate(tmp_path, "localhost")
    (tmp_path / "c.yaml").write_text(f"listen:\n  - address: 127.0.0.1:0\n    tls: {{cert: {own.cert}, key: {own.key}}}\n"
                                     f"routes:\n  - host: localhost\n    static: {www}\n")
    daemon = wsluice("-c", tmp_path / "c.yaml", listen=False)
    assert page(daemon) == f"https://localhost:{daemon.port}/"
    connection = http.client.HTTPSConnection("localhost", daemon.port, context=ssl._create_unverified_context(), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"the index"
    connection.close()


# wsluice example: whole configurations, each of them accepted.

def example(*args):
    return command_line("example", *args)


NAMES = re.findall(r"^  ([a-z]+) ", example().stdout, re.M)


def test_examples_are_listed():
    done = example()
    assert done.returncode == 0 and {"program", "shell", "vnc", "mqtt", "tls"} <= set(NAMES)
    assert example("--help").stdout == done.stdout
    assert set(NAMES) == {path.stem for path in (REPO / "contrib/examples").glob("*.yaml")}


@pytest.mark.parametrize("name", NAMES)
def test_each_example_is_whole_and_valid(name, tmp_path):
    text = example(name).stdout
    assert text.startswith("# ") and "SPDX" not in text
    assert max(map(len, text.splitlines())) <= 100
    # what its comments say to make first
    (tmp_path / "users").write_text("me:$2y$05$IqFnbNQxLqUD7n2gZEoRqOKrH0oOtRIw1/XTFnbAnzlMbzBTtNI5y\n")
    (tmp_path / "tokens").write_text("0123456789abcdef0123456789abcdef\n")
    for secret in ("users", "tokens"):
        (tmp_path / secret).chmod(0o600)
    own = Certificate(tmp_path, "example.org")
    text = text.replace("/etc/letsencrypt/live/example.org/fullchain.pem", own.cert)
    text = text.replace("/etc/letsencrypt/live/example.org/privkey.pem", own.key)
    (tmp_path / "c.yaml").write_text(text)
    done = command_line("--check", "-c", "c.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for line in re.findall(r"^ *# (?=[a-z-]+: )(.*?)(?:  .*)?$", text, re.M):  # what may be switched on is an option, too
        key = line.partition(":")[0]
        assert re.search(rf"^  {key} ", command_line("--help-config").stdout, re.M), f"no key {key}"


def test_examples_that_are_not():
    for args, word in ((["vmc"], "did you mean vnc?"), (["zzzzzzz"], "lists them"), (["vnc", "mqtt"], "one name")):
        done = example(*args)
        assert done.returncode == 2 and word in done.stderr and done.stdout == ""


# --help: one screen, and true.

def test_help_is_one_screen():
    lines = command_line("--help").stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80


def test_help_tells_options_as_help_all_does():
    row = re.compile(r"^  (-\w, |    )(--[a-z-]+)(?: ([A-Z]\S*))?", re.M)
    short, whole = (row.findall(command_line(o).stdout) for o in ("--help", "--help-all"))
    assert len(short) > 8 and set(short) <= set(whole)
    for name in re.findall(r"--[a-z-]+", command_line("--help").stdout):
        assert name in {n for _, n, _ in whole}
