# SPDX-License-Identifier: MIT
"""Sessions that outlive their connections, used in the worst order: nothing ends the server, is left over, or is another's."""

import signal
import socket

import pytest

from lib.admin import Admin
from lib.daemon import command_line
from lib.proc import wait_until
from lib.tools import JSON, py, records, sh, to_the_close
from lib.wire import BINARY, CLOSE, TEXT, close_payload, frame
from test_sessions import COUNTS, NUMBERED, OTHER, TOKEN, Page, at, cut, kept, left, sessions, texts  # noqa: F401

EARLY = frame(CLOSE, close_payload(1000))


def over(daemon, n=1):
    wait_until(lambda: len(sessions(daemon)) >= n, lambda: f"session {n} to end\n{daemon.tail()}")
    return sessions(daemon)


@pytest.mark.parametrize("status", [0, 3])
def test_a_close_right_behind_the_handshake_at_a_session_that_has_ended(kept, status):
    """It is read inside the upgrade, and the session is over before that returns."""
    daemon = kept(*JSON, "--session", "token", *sh(f"read x; exit {status}"))
    client = daemon.open(at())
    client.text("go")
    cut(client)
    left(daemon)
    wait_until(lambda: not daemon.children(), "the program to end")
    again = daemon.connect()
    again.send(again.head(at(got=0)) + EARLY)
    again.read_to_end()
    over(daemon)
    assert daemon.alive()


def reload(daemon):
    since = daemon.mark()
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_log('"msg":"reloaded"', since=since)


def slow_service():
    """A service that is being connected to: its queue is full."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=0)
    fill = [socket.socket() for _ in range(4)]
    for s in fill:
        s.setblocking(False)
        s.connect_ex(sock.getsockname())
    return sock, fill


@pytest.mark.parametrize("how", ["takeover", "same page"])
def test_taken_over_while_the_service_is_being_opened(kept, how):
    """Who was there first gets its answer, too, and all are served or told."""
    sock, fill = slow_service()
    words = [] if how == "takeover" else ["--join", "write"]
    daemon = kept(*JSON, "--admin", "127.0.0.1:0", "--session", "token", *words, "--to", f"tcp://127.0.0.1:{sock.getsockname()[1]}")
    door, first, second = Admin(daemon), daemon.connect(), daemon.connect()
    first.send(first.head(at(resume="p")))
    wait_until(lambda: [s["state"] for s in door.sessions()] == ["opening"], "the session to wait")
    second.send(second.head(at(resume="p")))
    assert first.read_response().status == 101
    assert first.read_close()[0] == 4401
    second.rst()
    for s in [*fill, sock]:
        s.close()
    assert daemon.alive()


def test_a_program_that_has_closed_its_output_is_ended(kept):
    """It goes on without a word and nobody is there: nothing else would end it."""
    script = "import os, signal\nos.write(1, b'x\\n')\nos.read(0, 9)\nos.close(1)\nos.close(2)\nwhile True: signal.pause()"
    daemon = kept(*JSON, "--session", "token", *py(script))
    client = daemon.open(at())
    client.read_message()
    client.text("go")
    assert client.read_close()[0] == 1000
    client.try_send(EARLY)
    client.read_to_end()
    over(daemon)
    wait_until(lambda: not daemon.children(), "the program to be ended")


def test_a_program_that_closes_its_output_while_nobody_is_there_is_ended(kept):
    script = "import os, signal\nos.read(0, 9)\nos.close(1)\nos.close(2)\nwhile True: signal.pause()"
    daemon = kept(*JSON, "--session", "token", *py(script))
    client = daemon.open(at())
    client.text("go")
    cut(client)
    wait_until(lambda: not daemon.children(), "the program to be ended")


@pytest.mark.parametrize("how", ["stop", "kick"])
def test_an_end_that_waits_to_be_told_holds_up_no_stop(kept, tmp_path, how):
    daemon = kept(*JSON, "--admin", f"unix:{tmp_path}/admin", "--session", "token", *sh("read x; exit 3"))
    client = daemon.open(at())
    client.text("go")
    cut(client)
    left(daemon)
    wait_until(lambda: not daemon.children(), "the program to end")
    if how == "kick":
        assert command_line("ctl", "--admin", f"unix:{tmp_path}/admin", "kick", "1").returncode == 0
    else:
        daemon.send_signal(signal.SIGTERM)
    over(daemon)


def test_who_is_sent_away_makes_no_room_for_more(kept):
    """A detached session gives its place to who comes to it, and has it back when that one may not stay."""
    daemon = kept(*JSON, "--session", "token", "--max-sessions", "1", *sh(COUNTS))
    cut(daemon.open(at()))
    left(daemon)
    assert daemon.open(at(got=99)).read_close()[0] == 4402
    assert daemon.connect(source="127.0.0.2").upgrade(at(OTHER)).status == 503
    assert daemon.open(at(got=0))


def test_who_takes_over_has_the_place_of_the_other(kept):
    """A link that nobody knows to be dead does not keep its own visitor out."""
    daemon = kept("--session", "token", "--max-sessions", "1", "--max-per-address", "1", *sh(COUNTS))
    for n in range(1, 5):
        client = daemon.open(at())
        client.text("x")
        assert texts(client, n)[-1] == f"{n} x"
        assert daemon.connect(source="127.0.0.2").upgrade(at(OTHER)).status == 503


def test_another_program_after_a_reload_is_another_session(kept, tmp_path):
    """What a client agreed on with the new route does not fit the old program."""
    path = tmp_path / "wsluice.yaml"
    path.write_text("session: token\nroutes:\n  - {path: /, exec: [cat]}\n")
    daemon = kept(*JSON, "-c", path)
    first = daemon.open(at())
    path.write_text("session: token\nroutes:\n  - {path: /, pty: [cat]}\n")
    reload(daemon)
    client = daemon.connect()
    assert client.upgrade(at(), protocols="tty").get("Sec-WebSocket-Protocol") == "tty"
    client.send(frame(BINARY, b'{"columns":80,"rows":24}') + frame(BINARY, b"0word\n") + frame(BINARY, b'1{"columns":90,"rows":30}'))
    seen = b""
    while b"word\r\n" not in seen:
        seen += client.read_message()[1]
    first.text("old")
    assert texts(first, 1) == ["old"]


def test_settings_of_a_session_outlive_a_reload(kept, tmp_path):
    """Who comes to it gets what it began with, also when the route is gone and comes back."""
    path = tmp_path / "wsluice.yaml"
    text = "session: token\nroutes:\n  - {path: /, exec: [cat], read-only: %s}\n  - {path: /other, exec: [cat]}\n"
    path.write_text(text % "false")
    daemon = kept(*JSON, "-c", path)
    cut(daemon.open(at()))
    left(daemon)
    path.write_text("routes:\n  - {path: /other, exec: [cat]}\n")
    reload(daemon)
    assert daemon.connect().upgrade(at()).status == 404
    path.write_text(text % "true")
    reload(daemon)
    client = daemon.open(at(got=0))
    client.text("still")
    assert texts(client, 1) == ["still"]


def test_the_end_of_the_input_is_the_end_for_all_its_clients(kept):
    daemon = kept(*JSON, "--session", "token", "--eof-on-empty",
                  *py("import os\nwhile os.read(0, 99): pass\nos.write(1, b'eof\\n')\nimport signal\nwhile True: signal.pause()"))
    first = daemon.open(at())
    first.text(b"")
    assert texts(first, 1) == ["eof"]
    cut(first)
    left(daemon)
    again = daemon.open(at())
    again.text("more")
    again.text(b"")
    assert texts(again, 1) == ["eof"]
    again.send(EARLY)
    again.read_to_end()
    over(daemon)


def test_kick_of_an_address_is_of_the_clients_from_there(kept, tmp_path):
    door = f"unix:{tmp_path}/admin"
    daemon = kept(*JSON, "--admin", door, "--session", "shared", *sh(COUNTS))
    first, second = daemon.open("/"), daemon.open("/", connect={"source": "127.0.0.2"})
    for address in ("127.0.0.3", "127.0.0.2"):
        command_line("ctl", "--admin", door, "kick", address)
    assert second.read_close()[0] == 1008
    first.text("a")
    assert texts(first, 1) == ["1 a"]
    third = daemon.open("/", connect={"source": "127.0.0.2"})
    command_line("ctl", "--admin", door, "kick", "127.0.0.1")
    assert first.read_close()[0] == 1008
    third.text("b")
    assert texts(third, 2) == ["1 a", "2 b"]
    assert not sessions(daemon)


def test_a_ban_is_of_whoever_is_banned(kept, tmp_path):
    """Not of who happened to come first."""
    bans = tmp_path / "bans"
    bans.write_text("")
    daemon = kept(*JSON, "--ban-file", bans, "--session", "shared", *sh(COUNTS))
    first, second = daemon.open("/", connect={"source": "127.0.0.2"}), daemon.open("/")
    bans.write_text("127.0.0.2\n")
    reload(daemon)
    assert first.read_close()[0] == 1008
    second.text("a")
    assert texts(second, 1) == ["1 a"]


def test_all_rings_together_stay_within_max_replay(kept):
    """Sessions that were small when they came do not grow beyond it either."""
    daemon = kept(*JSON, "--admin", "127.0.0.1:0", "--session", "token", "--replay", "256K", "--max-replay", "512K",
                  *py("import os\nos.read(0, 9)\nwhile True: os.write(1, b'%s\\n' % (b'x' * 999))"))
    clients = [daemon.open(at(c * 22)) for c in "abcdefghijkl"]
    for client in clients:
        client.text("go")
    for client in clients:
        for _ in range(2000):
            client.read_message()
    rings = [s["replay"] for s in Admin(daemon).sessions()]
    assert len(rings) == 12 and max(rings) < 192 << 10, rings  # one read of 64 KiB, in blocks twice that


def test_a_page_hears_of_its_last_message(kept):
    """Without another event: it may forget what it kept to send again."""
    client = kept("--session", "token", *sh("cat >/dev/null")).open(at(resume="p"))
    client.read_message()
    client.send(b"".join(frame(TEXT, b"\0x") for _ in range(5)))
    seen = 0
    while seen < 5:
        seen = Page.about(client.read_message()[1])["got"]


@pytest.mark.parametrize("size", [10, 3000, 100_000, 1_000_000])
def test_messages_larger_than_the_ring(kept, size):
    script = f"import os\nos.read(0, 9)\nfor n in range(30): os.write(1, b'%d ' % n + b'x' * {size} + b'\\n')\nos.read(0, 9)"
    daemon = kept(*JSON, "--session", "token", "--replay", "4K", *py(script))
    client = daemon.open(at())
    client.text("go")
    for n in range(10):
        assert client.read_message()[1].split()[0] == b"%d" % n
    cut(client)
    left(daemon)
    again = daemon.open(at(got=10))
    for n in range(10, 30):
        assert again.read_message()[1].split()[0] == b"%d" % n


def test_kill_9_of_a_program_that_nobody_looks_at(kept):
    daemon = kept(*JSON, "--session", "token", *sh("read x; echo last; kill -9 $$"))
    client = daemon.open(at())
    client.text("go")
    cut(client)
    left(daemon)
    wait_until(lambda: not daemon.children(), "the program to end")
    again = daemon.open(at(got=0))
    assert again.read_message()[1] == b"last"
    assert to_the_close(again)[:2] == (4309, "signal SIGKILL")


def test_a_storm_of_takeovers(kept):
    """Each gets all, one stays, and no place is lost or kept."""
    daemon = kept(*JSON, "--session", "token", *sh(COUNTS))
    first = daemon.open(at())
    first.text("a")
    clients = [daemon.open(at()) for _ in range(100)]
    for client in clients[:-1]:
        assert client.read_close()[0] == 4401
        client.rst()
    assert texts(clients[-1], 1) == ["1 a"]
    clients[-1].send(EARLY)
    clients[-1].read_to_end()
    over(daemon)
