# SPDX-License-Identifier: MIT
"""By which names we are asked for. A web site may let its own name resolve to 127.0.0.1 (DNS rebinding): its pages are
then of our origin, to the browser, and only the name in Host tells that it is not us who was meant."""

import pytest

from lib.daemon import command_line
from lib.judge import accepted, refused
from lib.tls import Certificate, client as tls_client

PLAIN = ("Upgrade", "Connection")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("www")
    (root / "page.html").write_text("page")
    return root


@pytest.fixture(scope="module")
def module_daemon(wsluice_module, folder):
    return wsluice_module("--route", "/echo=echo:", "--static", folder, "--console")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


def upgrade(daemon, host, origin=None, **how):
    client = daemon.connect(**how)
    client.host = host
    client.send(client.head("/echo", origin=origin))
    return client


def get(daemon, host, path, headers=()):
    client = daemon.connect()
    client.host = host
    client.send(client.head(path, headers, drop=PLAIN))
    return client


FOREIGN = ("rebound.example:{port}", "REBOUND.example.:{port}", "localhost.rebound.example:{port}", "127.0.0.1.rebound.example:{port}",
           "xn--lcalhost-j1a:{port}", "box:{port}")
OWN = ("127.0.0.1:{port}", "localhost:{port}", "LocalHost.:{port}", "app.localhost:{port}", "[::1]:{port}", "192.0.2.1:{port}", "127.1:{port}",
       "chess.example", "chess.example:80", "chess.example:443", "chess.example:8")  # the last four by a proxy in front


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_whose_name_was_made_to_mean_us_gets_nothing(daemon, host):
    host = host.format(port=daemon.port)
    for origin in (f"http://{host}", None):
        refused(upgrade(daemon, host, origin), 403, why="--host")
    for path in ("/page.html", "/echo", "/", "/nowhere"):  # same-origin GETs of a page have no Origin
        assert b"page" not in refused(get(daemon, host, path), 403, why="--host").body


def test_the_log_has_the_name(wsluice):
    daemon = wsluice("--to", "echo:")
    refused(upgrade(daemon, f"rebound.example:{daemon.port}"), 403)
    assert "--host" in daemon.wait_for_log(rf"request refused.*Host: rebound.example:{daemon.port}").string


@pytest.mark.parametrize("host", OWN)
def test_who_names_us_by_address_or_by_a_proxy_is_welcome(daemon, host):
    host = host.format(port=daemon.port)
    accepted(upgrade(daemon, host, f"http://{host}"))
    accepted(upgrade(daemon, host))
    assert get(daemon, host, "/page.html").read_response().body == b"page"


def test_host_names_what_we_go_by(wsluice, folder):
    daemon = wsluice("--host", "box,*.example.org", "--route", "/echo=echo:", "--static", folder)
    for host in ("box", f"BOX:{daemon.port}", "a.example.org.", f"a.b.example.org:{daemon.port}", "127.0.0.1", f"localhost:{daemon.port}"):
        accepted(upgrade(daemon, host, f"http://{host}"))
        assert get(daemon, host, "/page.html").read_response().body == b"page"
    for host in ("rebound.example", f"rebound.example:{daemon.port}", "example.org", "box.example", "chess.example:8"):
        refused(upgrade(daemon, host, f"http://{host}"), 403, why="--host")
        refused(get(daemon, host, "/page.html"), 403, why="--host")


def test_host_any(wsluice):
    daemon = wsluice("--host", "any", "--route", "/echo=echo:")
    accepted(upgrade(daemon, f"rebound.example:{daemon.port}"))


@pytest.mark.parametrize("host", ["example.org:80", "*", "a.*.org", "http://example.org", "example.org."])
def test_host_as_written(host):
    done = command_line("--check", "--host", f"box,{host}", "--to", "echo:")
    assert done.returncode == 1 and f"host {host}: a name without a port" in done.stderr


def test_a_host_of_a_route_and_an_origin_name_us(wsluice, folder, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(f"""
routes:
  - {{path: /echo, host: box.example, to: "echo:"}}
  - {{path: /page.html, static: {folder}}}
  - {{path: /listed, to: "echo:", console: on, origin: ["https://app.example", "https://*.apps.example"]}}
""")
    daemon = wsluice("-c", file)
    accepted(upgrade(daemon, f"box.example:{daemon.port}"))
    refused(get(daemon, f"box.example:{daemon.port}", "/page.html"), 403, why="--host")
    for host in ("app.example", "a.apps.example"):
        assert get(daemon, f"{host}:{daemon.port}", "/listed").read_response().status == 200
    host = f"rebound.example:{daemon.port}"
    refused(get(daemon, host, "/listed"), 403, why="--host")
    for origin, good in (("https://app.example", True), ("https://x.apps.example", True), (f"http://{host}", False), (None, True)):
        client = daemon.connect()
        client.host = host
        client.send(client.head("/listed", origin=origin))
        accepted(client) if good else refused(client, 403)


def test_a_trusted_proxy_speaks_for_the_name(wsluice):
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--route", "/echo=echo:")
    inner, origin = f"inner.example:{daemon.port}", "https://chess.example"
    client = daemon.connect()
    client.host = inner
    client.send(client.head("/echo", [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "chess.example")], origin=origin))
    accepted(client)
    refused(upgrade(daemon, inner), 403, why="--host")  # it says nothing
    client = daemon.connect(source="127.0.0.2")  # not trusted
    client.host = inner
    client.send(client.head("/echo", [("X-Forwarded-Host", "chess.example")]))
    refused(client, 403, why="--host")


def test_fields_that_script_can_send_do_not_pass_where_we_know_our_names(wsluice, folder):
    """fetch() of a rebound page can send X-Forwarded-Host, but no other Host."""
    daemon = wsluice("--trusted-proxies", "127.0.0.1", "--host", "chess.example", "--static", folder)
    told = [("X-Forwarded-Host", "chess.example")]
    refused(get(daemon, f"rebound.example:{daemon.port}", "/page.html", told), 403, why="--host")
    assert get(daemon, "inner.example", "/page.html", told).read_response().body == b"page"
    assert get(daemon, f"127.0.0.1:{daemon.port}", "/page.html", told).read_response().body == b"page"


def test_a_certificate_has_judged_the_name(wsluice, tmp_path):
    """No browser takes ours for a page of another name."""
    cert = Certificate(tmp_path, "localhost")
    daemon = wsluice("--tls-cert", cert.cert, "--tls-key", cert.key, "--route", "/echo=echo:")
    client = tls_client(daemon.address, cert)
    client.host = f"dev.example:{daemon.port}"
    client.send(client.head("/echo"))
    accepted(client)


def test_a_unix_socket_takes_any_name_until_names_are_given(wsluice, tmp_path):
    for more, good in (((), True), (("--host", "box"), False)):
        daemon = wsluice("-l", f"unix:{tmp_path}/s{len(more)}", *more, "--route", "/echo=echo:")
        client = upgrade(daemon, "rebound.example")
        accepted(client) if good else refused(client, 403, why="--host")
