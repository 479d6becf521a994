# SPDX-License-Identifier: MIT
"""What a newcomer meets first: the page to open, examples, help."""

import http.client
import re
import ssl
import urllib.request

import pytest

from lib.daemon import command_line
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
