# SPDX-License-Identifier: MIT
"""Subprotocols (RFC 6455, 11.3.4): what is answered is what the session speaks, and no secret is ever answered or logged."""

import pytest

from lib import peers
from lib.wire import BINARY, TEXT


def offers(*values):
    return [("Sec-WebSocket-Protocol", value) for value in values]


def chosen(daemon, *values, path="/"):
    client = daemon.connect()
    response = client.upgrade(path, offers(*values))
    assert response.status == 101, response
    return response.get("sec-websocket-protocol")


@pytest.mark.parametrize("given, name, kind", [
    (["text.x, bin.x"], "text.x", TEXT), (["bin.x, text.x"], "bin.x", BINARY), (["text.x"], "text.x", TEXT), (["bin.x"], "bin.x", BINARY),
    (["foo, text.x"], "text.x", TEXT), (["foo, bin.x, text.x"], "bin.x", BINARY), (["foo", "bin.x", "text.x"], "bin.x", BINARY),
    (["binary, text.x"], "text.x", TEXT), (["listed, bin.x"], "bin.x", BINARY), (["foo"], "foo", BINARY), ([], None, BINARY)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_route_and_the_answer_are_of_one_offer(wsluice, tmp_path, given, name, kind, turned):
    """Two routes on one path by subprotocol: the first offer that has one chooses, whatever is written first."""
    routes = ['{path: /irc, match-subprotocol: text.x, exec: [cat], framing: lines}',
              '{path: /irc, match-subprotocol: bin.x, exec: [cat], framing: lines, frames: binary, subprotocol: listed}']
    (tmp_path / "c.yaml").write_text("routes:\n" + "".join(f"  - {r}\n" for r in (routes[::-1] if turned else routes))
                                     + "  - {path: /irc, exec: [cat], frames: binary}\n")
    client = wsluice("-c", tmp_path / "c.yaml").connect()
    assert client.upgrade("/irc", offers(*given)).get("sec-websocket-protocol") == name
    client.text("x")
    assert client.read_message().opcode == kind


SECRET = "bearer.abcdefgh"
SESSION = "session.wsluice." + 3 * "abcdefgh"


@pytest.mark.parametrize("given, program, terminal, service", [
    (["mcp"], "mcp", "mcp", "mcp"), (["mcp, other"], "mcp", "mcp", "mcp"), (["a", "b"], "a", "a", "a"), (["a, binary"], "binary", "binary", "binary"),
    (["tty"], None, "tty", "tty"), (["tty, a"], "a", "tty", "tty"), (["a, tty"], "a", "tty", "a"), (["tty, binary"], "binary", "tty", "binary"),
    ([SECRET], None, None, None), ([f"{SECRET}, a"], "a", "a", "a"), (["a", SECRET], "a", "a", "a"),
    ([SESSION], None, None, None), ([f"{SESSION}, tty, {SECRET}, v1"], "v1", "tty", "tty"), ([], None, None, None)])
def test_who_gets_the_first_offer(wsluice, server, given, program, terminal, service):
    daemon = wsluice("--route", "/program=exec:cat", "--route", "/terminal=pty:cat", "--route", f"/service={server(peers.echo).to}")
    for path, name in (("/program", program), ("/terminal", terminal), ("/service", service)):
        assert chosen(daemon, *given, path=path) == name, path


def test_a_program_is_told_the_chosen_one(wsluice):
    client = wsluice("--", "sh", "-c", "echo $WSLUICE_SUBPROTOCOL").open(headers=offers(f"{SECRET}, mcp, other"))
    assert client.read_message().data == b"mcp"


@pytest.mark.parametrize("given, told", [
    (["mcp, other"], "mcp, other"), (["a", "b"], "a, b"), ([f"a, {SECRET}, {SESSION}"], "a, bearer...."),
    (["access_token, " + "eyJhbGciOi" * 8], "access_token, eyJhbGci..."), (["v12.stomp, io.example.a-name-of-32-bytes.v1"], "v12.stomp, io.example.a-name-of-32-bytes.v1")])
def test_a_refused_handshake_names_the_offers(wsluice, given, told):
    daemon = wsluice("--route", "/here=echo:", "--log-format", "json", "--log-level", "debug")
    for path, more, status in (("/nowhere", [], 404), ("/here", [("Origin", "http://evil.example")], 403), ("/here", [("Sec-WebSocket-Version", "12")], 426)):
        mark = daemon.mark()
        client = daemon.connect()
        client.send(client.head(path, offers(*given) + more, drop=[name for name, _ in more]))
        assert client.read_response().status == status
        line = daemon.wait_for_log("request refused", since=mark).string
        # where a route was found, an offer with a token for a session is taken out before anybody looks
        assert f'"offers":"{told}"' in line or f'"offers":"{told}, session.wsluice...."' in line, line
    assert not daemon.find_log("abcdefgh") and not daemon.find_log("OieyJ")


def test_offers_of_which_none_is_listed_are_told(wsluice):
    daemon = wsluice("--subprotocol", "alpha", "--to", "echo:")
    assert chosen(daemon, "beta, gamma") is None
    daemon.wait_for_log("none of the offered subprotocols.*offers=.beta, gamma")


@pytest.mark.parametrize("name, options, fits", [
    ("text.ircv3.net", [], False), ("text.ircv3.net", ["--framing", "lines"], True), ("text.ircv3.net", ["--framing", "text"], False),
    ("text.ircv3.net", ["--framing", "lines", "--frames", "binary"], False), ("binary.ircv3.net", ["--framing", "lines"], False),
    ("binary.ircv3.net", ["--framing", "lines", "--frames", "binary"], True), ("mqtt", [], True), ("mqtt", ["--framing", "lines"], False),
    ("mqtt", ["--frames", "text"], False), ("binary", [], True), ("binary", ["--framing", "text"], False), ("unknown", ["--framing", "text"], True)])
def test_a_known_name_with_the_wrong_framing_is_told(wsluice, server, name, options, fits):
    daemon = wsluice(*options, "--to", server(peers.echo).to)
    assert chosen(daemon, name) == name
    chosen(daemon)  # its line, if any, is there before this session's
    daemon.close_clients()
    daemon.wait_for_log("session closed")
    lines = daemon.find_log("subprotocol does not fit the framing")
    assert len(lines) == (0 if fits else 1)
    assert fits or f"subprotocol={name}" in lines[0].string and "wants=" in lines[0].string and "framing" in lines[0].string
