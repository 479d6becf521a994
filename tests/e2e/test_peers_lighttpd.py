# SPDX-License-Identifier: MIT
"""What docs/migrating.md says of lighttpd's mod_wstunnel, beside the real one: the same client before both."""

import http.client

import pytest

from lib import peers
from lib.setting import SOON, installed
from lib.wire import BINARY, PING, TEXT, Raw

LIGHTTPD = installed("lighttpd")

CONF = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ( "mod_wstunnel" )
$HTTP["url"] =~ "^/live" {{ wstunnel.server = ( "" => (( "host" => "127.0.0.1", "port" => "{to}" )) ) {more} }}
"""


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status in (403, 404)
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def lighttpd(tmp_path):
    running = []

    def start(service, more=""):
        file = tmp_path / "lighttpd.conf"

        def argv(port):
            file.write_text(CONF.format(folder=tmp_path, port=port, to=service.port, more=more))
            return [LIGHTTPD, "-D", "-f", file]

        running.append(peers.Program(argv, answers))
        return "127.0.0.1", running[-1].port

    yield start
    for program in running:
        program.close()


@pytest.fixture
def service():
    server = peers.Server(peers.echo)
    yield server
    server.close()


def status(address, origin=None):
    with Raw.connect(address) as client:
        client.send(client.head("/live", [("Origin", origin)] if origin else []))
        return client.read_response().status


def first_answer(address, **how):
    with Raw.connect(address) as client:
        client.open("/live", **how)
        client.text("hello")
        return client.read_message()


def test_text_frames_are_its_default(lighttpd, wsluice, service):
    ours = wsluice("--frames", "text", "--origin", "any", "--route", f"/live=tcp://127.0.0.1:{service.port}")
    assert first_answer(lighttpd(service)) == first_answer(ours.address) == (TEXT, b"hello")


def test_binary_frames(lighttpd, wsluice, service):
    ours = wsluice("--route", f"/live=tcp://127.0.0.1:{service.port}")
    theirs = lighttpd(service, 'wstunnel.frame-type = "binary"')
    assert first_answer(theirs, headers=[("Sec-WebSocket-Protocol", "binary")])[0] == BINARY
    assert first_answer(ours.address) == (BINARY, b"hello")


def test_who_may_come_in(lighttpd, wsluice, service):
    """All pages without wstunnel.origins; with it the ends of hosts, which are whole origins here."""
    to = ["--route", f"/live=tcp://127.0.0.1:{service.port}"]
    everybody = wsluice("--origin", "any", *to)
    assert status(lighttpd(service), "http://evil.example") == status(everybody.address, "http://evil.example") == 101
    assert status(wsluice(*to).address, "http://evil.example") == 403
    theirs = lighttpd(service, 'wstunnel.origins = ( "example.org" )')
    ours = wsluice("--origin", "https://www.example.org", *to)
    for origin, expected in ("https://example.org", 403), ("https://www.example.org", 101), ("https://notexample.org", 403):
        assert (status(theirs, origin), status(ours.address, origin)) == (expected, expected), origin
    assert (status(theirs), status(ours.address)) == (400, 101), "a client without an Origin is no page"


def test_a_service_that_is_away(lighttpd, wsluice):
    gone = peers.Server(peers.echo)
    gone.close()
    ours = wsluice("--route", f"/live=tcp://127.0.0.1:{gone.port}")
    assert (status(lighttpd(gone)), status(ours.address)) == (503, 502)


def test_heartbeats(lighttpd, wsluice, service):
    ours = wsluice("--ping", "1s", "--route", f"/live=tcp://127.0.0.1:{service.port}")
    for address in lighttpd(service, "wstunnel.ping-interval = 1"), ours.address:
        with Raw.connect(address) as client:
            client.open("/live")
            assert client.read_frame().opcode == PING
