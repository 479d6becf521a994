# SPDX-License-Identifier: MIT
"""Sessions that outlive their connections and are shared (docs/sessions.md): who finds which, what is replayed, what ends them."""

import json
import random
import re
import threading
import time

import pytest

from lib.daemon import command_line
from lib.proc import wait_until
from lib.tools import JSON, py, records, sh, to_the_close
from lib.wire import BINARY, CLOSE, TEXT, close_payload, frame

TOKEN = "A-zero_9" * 4
OTHER = "B" * 22
COUNTS = "i=0; while read x; do i=$((i+1)); echo \"$i $x\"; [ \"$x\" = quit ] && exit 7; done"
NUMBERED = ("import os, select, sys\n"
            "n, left = 0, b''\n"
            "os.set_blocking(1, True)\n"
            "while True:\n"
            "    n += 1\n"
            "    out = b'n %d\\n' % n\n"
            "    if select.select([0], [], [], 0)[0]:\n"
            "        data = os.read(0, 65536)\n"
            "        if not data: break\n"
            "        left += data\n"
            "        *lines, left = left.split(b'\\n')\n"
            "        for line in lines: out += b'e ' + line + b'\\n'\n"
            "    os.write(1, out)\n")


@pytest.fixture
def kept(wsluice):
    """A daemon that is stopped at the end: its sessions stay when their clients have gone."""
    all_of_them = []

    def start(*args, **how):
        all_of_them.append(wsluice(*args, **how))
        return all_of_them[-1]
    yield start
    for daemon in all_of_them:
        daemon.close_clients()
        if daemon.alive():
            daemon.stop()


def at(token=TOKEN, **more):
    return "/?" + "&".join([f"session={token}"] + [f"{k}={v}" for k, v in more.items()])


def texts(client, n):
    return [client.read_message()[1].decode() for _ in range(n)]


def cut(client):
    client.rst()


def sessions(daemon):
    return records(daemon)


def still(daemon):
    """The loop has nothing to do any more: its program waits, and so does whoever is to read."""
    def unmoved():
        before = daemon.inside.turns
        time.sleep(0.2)
        return daemon.inside.turns - before <= 2
    wait_until(unmoved, "the loop to have nothing to do")


def left(daemon, n=1):
    wait_until(lambda: len(records(daemon, "client left")) >= n, lambda: f"client {n} to leave\n{daemon.tail()}")


# ---- a visitor's own

def test_a_session_survives_its_connection_and_nothing_is_lost_or_told_twice(kept):
    daemon = kept(*JSON, "--session", "token", *sh(COUNTS))
    first = daemon.open(at())
    first.text("a")
    assert texts(first, 1) == ["1 a"]
    first.text("b")
    assert texts(first, 1) == ["2 b"]
    cut(first)
    again = daemon.open(at(got=1))
    assert texts(again, 1) == ["2 b"]
    again.text("c")
    assert texts(again, 1) == ["3 c"]
    assert not sessions(daemon)


@pytest.mark.parametrize("how", ["by offer", "by query"])
def test_the_token_is_for_us_alone(kept, how):
    """Neither the program nor the log gets to see it."""
    daemon = kept("--log-query", "--session", "token", *sh("env; read x"))
    if how == "by query":
        client = daemon.open(f"/?a=1&session={TOKEN}&b=2")
    else:
        client = daemon.open("/?a=1&b=2", protocols=f"session.wsluice.{TOKEN}, wsluice")
    seen = []
    while not seen or not seen[-1].startswith("WSLUICE_ROUTE"):
        seen += texts(client, 1)
    assert "QUERY_STRING=a=1&b=2" in seen
    assert TOKEN not in "\n".join(seen)
    client.send_frame(CLOSE, close_payload(1000))
    client.read_to_end()
    daemon.wait_for_log("session closed")
    assert TOKEN not in "\n".join(daemon.log)


def test_an_offer_with_a_token_is_answered_with_wsluice(kept):
    for more in ((), ("--subprotocol", "other")):
        client = kept("--session", "token", *more, *sh(COUNTS)).connect()
        answer = client.upgrade("/", protocols=f"session.wsluice.{TOKEN}, wsluice")
        assert (answer.status, answer.get("Sec-WebSocket-Protocol")) == (101, "wsluice")


def test_without_a_token_a_session_is_its_connection(kept):
    daemon = kept(*JSON, "--session", "token", *sh(COUNTS))
    cut(daemon.open("/"))
    wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())


@pytest.mark.parametrize("path, code", [
    (at(OTHER, got=0), 4400),  # no such session: never silently a new program
    ("/?got=3", 4400),
    (at(got=99), 4402),
])
def test_what_is_not_there(kept, path, code):
    daemon = kept("--session", "token", *sh(COUNTS))
    daemon.open(at()).text("x")
    assert daemon.open(path).read_close()[0] == code


@pytest.mark.parametrize("query", ["session=short", f"session={'x' * 129}", f"session={'x' * 30}%2f", "session=" + TOKEN + "&got=x",
                                   f"session={TOKEN}&got=-1", f"session={TOKEN}&resume=", f"session={TOKEN}&resume={'p' * 65}"])
def test_what_cannot_be_read_is_400(kept, query):
    client = kept("--session", "token", *sh(COUNTS)).connect()
    assert client.upgrade(f"/?{query}").status == 400


def test_a_newcomer_takes_over(kept):
    daemon = kept("--session", "token", *sh(COUNTS))
    first = daemon.open(at())
    first.text("a")
    assert texts(first, 1) == ["1 a"]
    second = daemon.open(at())
    assert texts(second, 1) == ["1 a"]
    assert first.read_close()[0] == 4401
    first.try_send(frame(TEXT, b"too late"))
    second.text("b")
    assert texts(second, 1) == ["2 b"]


def test_another_origin_is_another_visitor(kept):
    daemon = kept("--origin", "any", "--session", "token", *sh(COUNTS))
    first = daemon.open(at(), origin="http://one.example")
    first.text("a")
    assert texts(first, 1) == ["1 a"]
    assert daemon.open(at(got=0), origin="http://two.example").read_close()[0] == 4400
    assert texts(daemon.open(at(got=0), origin="http://one.example"), 1) == ["1 a"]


@pytest.mark.parametrize("code, ends", [(1000, True), (None, True), (1001, False), (1008, False), (4999, False)])
def test_which_close_ends_it(kept, code, ends):
    daemon = kept(*JSON, "--session", "token", *sh(COUNTS))
    client = daemon.open(at())
    client.text("a")
    assert texts(client, 1) == ["1 a"]
    client.send_frame(CLOSE, close_payload(code))
    client.read_to_end()
    left(daemon)
    again = daemon.open(at(got=0))
    if ends:
        assert again.read_close()[0] == 4400
        wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())
    else:
        assert texts(again, 1) == ["1 a"]


def test_nobody_comes_back(kept):
    daemon = kept(*JSON, "--session", "token", "--detach", "0.1s", *sh(COUNTS))
    cut(daemon.open(at()))
    wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())
    assert sessions(daemon)[0]["reason"] == "nobody came back"
    assert daemon.open(at(got=0)).read_close()[0] == 4400


def test_an_exit_meanwhile_is_told(kept):
    daemon = kept(*JSON, "--session", "token", *sh("read x; echo bye; exit 3"))
    client = daemon.open(at())
    client.text("go")
    cut(client)
    left(daemon)
    wait_until(lambda: not daemon.children(), "the program to end")
    assert to_the_close(daemon.open(at(got=0)))[:2] == (4003, "exit 3")
    wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())
    assert daemon.open(at(got=0)).read_close()[0] == 4400


def test_while_nobody_is_there_the_program_waits_when_the_ring_is_full(kept):
    daemon = kept(*JSON, "--session", "token", "--replay", "64K", *py(NUMBERED))
    cut(daemon.open(at()))
    left(daemon)
    client = daemon.open(at(got=0))
    for n in range(1, 5000):
        assert texts(client, 1) == [f"n {n}"]


def test_a_full_ring_that_nobody_reads_costs_no_turns(wsluice):
    daemon = wsluice(*JSON, "--session", "token", "--replay", "64K", "--detach", "1h", *py(NUMBERED), inside=True)
    cut(daemon.open(at()))
    left(daemon)
    still(daemon)
    with daemon.inside.turns_at_most(100):  # some a second; a loop that goes round makes thousands
        time.sleep(1)
    daemon.close_clients()
    daemon.stop()


def test_a_client_that_does_not_read_costs_no_turns(wsluice):
    daemon = wsluice(*JSON, "--session", "token", "--stall-timeout", "1h", "--pong-timeout", "0.1s", *py(NUMBERED), inside=True)
    daemon.open(at(), connect={"rcvbuf": 4096})
    still(daemon)
    with daemon.inside.turns_at_most(100):
        time.sleep(1)
    daemon.close_clients()
    daemon.stop()


# ---- exactly once, both ways

class Page:
    """As the client library: counts what it gets, and sends again what has not arrived."""

    def __init__(self, daemon, resumes):
        self.daemon, self.resumes = daemon, resumes
        self.got, self.made = 0, []
        self.client = None

    def connect(self):
        more = {"resume": "page-1"} if self.resumes else {}
        if self.client is not None:
            more["got"] = self.got
        self.client = self.daemon.open(at(**more))
        if self.resumes:
            begin = self.about(self.client.read_message()[1])
            assert begin["next"] == self.got + 1
            assert begin["got"] <= len(self.made)
            for n in self.made[begin["got"]:]:
                self.client.send(frame(TEXT, b"\0%d" % n))

    @staticmethod
    def about(data):
        assert data[:1] == b"\3"
        told = json.loads(data[1:])
        told.pop("id", None)
        return told

    def say(self):
        self.made.append(len(self.made) + 1)
        self.client.send(frame(TEXT, b"\0%d" % self.made[-1]))

    def read(self):
        """The next line of the program."""
        while True:
            data = self.client.read_message()[1]
            if self.resumes and data[:1] == b"\3":
                self.about(data)
                continue
            self.got += 1
            return (data[1:] if self.resumes else data).decode()


@pytest.mark.parametrize("compression", ["off", "on", "takeover"])
@pytest.mark.parametrize("resumes", [True, False])
def test_cuts_under_a_flood_both_ways(kept, resumes, compression):
    """Each line once and in order, whatever the link does, plain clients too; what a page sends likewise when it counts."""
    dice = random.Random(7)
    daemon = kept(*JSON, "--session", "token", "--replay", "128K", "--compression", compression, *py(NUMBERED))
    page, lines, echoes, dead = Page(daemon, resumes), 0, 0, []
    for _ in range(25):
        page.connect()
        for _ in range(dice.randrange(2000)):
            if resumes and dice.random() < 0.05:
                page.say()
            kind, n = page.read().split()
            if kind == "n":
                lines += 1
                assert int(n) == lines
            else:
                echoes += 1
                assert int(n) == echoes
        how = dice.randrange(4)
        if how == 0:
            page.client.rst()
        elif how == 1:
            page.client.close()
        elif how == 2:
            page.client.try_send(frame(CLOSE, close_payload(1001)))
            page.client.close()
        else:
            dead.append(page.client)  # a black hole: it stays open, and nobody reads it
    page.connect()
    while resumes and echoes < len(page.made):
        kind, n = page.read().split()
        lines += kind == "n"
        echoes += kind == "e"
        assert int(n) == (lines if kind == "n" else echoes)
    for client in dead:
        client.rst()
    assert not sessions(daemon)


@pytest.mark.parametrize("framing", ["stream", "text", "len32", "netstring"])
def test_half_a_message_never_counts(kept, framing):
    """A message that was cut in two is not in the backend, and is not counted; sent again it is there once."""
    daemon = kept(*JSON, "--session", "token", "--framing", framing, "--", "cat")
    client = daemon.open(at(resume="p"))
    assert Page.about(client.read_message()[1]) == {"session": "new", "next": 1, "got": 0}
    client.send(frame(BINARY, b"\0whole") + frame(BINARY, b"\0ha", fin=False))
    assert client.read_message()[1] == b"\1whole"
    cut(client)
    again = daemon.open(at(resume="p", got=1))
    assert Page.about(again.read_message()[1]) == {"session": "resumed", "next": 2, "got": 1}
    again.send(frame(BINARY, b"\0half"))
    assert again.read_message()[1] == b"\1half"


def test_a_page_is_told_what_has_arrived_of_it(kept):
    client = kept("--session", "token", "--", "cat").open(at(resume="p"))
    client.read_message()
    seen = 0
    while seen < 3:  # one report a second at most: the second message makes it known
        client.send(frame(TEXT, b"\0x"))
        data = client.read_message()[1]
        if data[:1] == b"\3":
            seen = json.loads(data[1:])["got"]


def ask(client, done):
    while not done.wait(0.1):  # one report a second at most
        client.send(frame(TEXT, b'\3{"got":0}'))


def test_a_page_that_asks_is_told_though_nothing_is_new(kept):
    """A page has no pings: so it learns that the link lives."""
    client = kept("--session", "token", "--", "cat").open(at(resume="p"))
    client.read_message()
    for _ in range(2):
        asking = threading.Event()
        asker = threading.Thread(target=ask, args=(client, asking))
        asker.start()
        assert Page.about(client.read_message()[1]) == {"got": 0}
        asking.set()
        asker.join()


@pytest.mark.parametrize("args, query, protocols", [([], "", True), (["--session", "token"], "?resume=p", False)])
def test_nothing_is_kept_for_such_a_client(kept, args, query, protocols):
    """It is told, and no program gets what such a page sends: a byte in front that it does not expect."""
    daemon = kept(*args, *sh(COUNTS))
    client = daemon.open("/" + query, protocols=f"session.wsluice.{TOKEN}, wsluice" if protocols else None)
    assert client.read_close()[0] == 4400
    assert not daemon.children()


def test_echo_is_no_deadlock(kept):
    """A client that only sends first, as much as it can, and reads afterwards, with `cat` behind: its pongs cannot be seen."""
    daemon = kept("--session", "token", "--replay", "64K", "--", "cat")
    client = daemon.open(at())
    line, count = b"x" * 1000, 4000
    client.stream(frame(TEXT, line) for _ in range(count))
    for _ in range(count):
        assert client.read_message()[1] == line


# ---- shared

def test_all_see_and_write_one_program(kept):
    daemon = kept(*JSON, "--session", "shared", *sh(COUNTS))
    a, b = daemon.open("/"), daemon.open("/")
    a.text("from a")
    assert texts(a, 1) == texts(b, 1) == ["1 from a"]
    b.text("from b")
    assert texts(a, 1) == texts(b, 1) == ["2 from b"]
    late = daemon.open("/")
    assert texts(late, 2) == ["1 from a", "2 from b"]
    a.finish()
    b.rst()
    late.text("quit")
    assert to_the_close(late)[:2] == (4007, "exit 7")
    wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())


def test_who_comes_after_the_end_begins_anew(kept):
    daemon = kept("--session", "shared", *sh(COUNTS))
    client = daemon.open("/")
    client.text("quit")
    assert client.read_close()[0] == 4007
    again = daemon.open("/")
    again.text("a")
    assert texts(again, 1) == ["1 a"]


def test_rooms_are_apart(kept, tmp_path):
    path = tmp_path / "wsluice.yaml"
    path.write_text("routes:\n  - path: /room/{room:[a-z]+}\n    session: 'r-{room}'\n"
                    "    exec: [sh, -c, 'echo $WSLUICE_CAPTURE_ROOM {room} $REMOTE_ADDR$QUERY_STRING; cat']\n")
    daemon = kept("-c", path)
    red, blue, rouge = daemon.open("/room/red?x"), daemon.open("/room/blue"), daemon.open("/room/red")
    assert texts(red, 1) == texts(rouge, 1) == ["red red"]
    assert texts(blue, 1) == ["blue blue"]
    red.text("hi")
    assert texts(red, 1) == texts(rouge, 1) == ["hi"]
    blue.text("ho")
    assert texts(blue, 1) == ["ho"]


def test_nothing_of_a_client_in_the_environment_of_all(kept):
    daemon = kept("--session", "shared", *sh("env; read x"))
    client = daemon.open("/?q=1", {"X-Secret": "mine", "Cookie": "a=b"}.items())
    seen = []
    while not any(line.startswith("WSLUICE_ROUTE") for line in seen):
        seen += texts(client, 1)
    names = {line.split("=")[0] for line in seen}
    assert not [n for n in names if re.match("REMOTE|HTTP_|SSL|QUERY|PATH_INFO|SCRIPT|SERVER_(NAME|PORT)|REQUEST|WSLUICE_(PROXY|SUB)", n)]
    assert {"WSLUICE_ROUTE", "UNIQUE_ID"} <= names


def test_one_that_does_not_read_stops_nobody_and_misses_whole_messages(kept):
    script = ("import os\n"
              "os.read(0, 9)\n"
              "for n in range(30000): os.write(1, b'%05d %s\\n' % (n, b'x' * 500))\n"
              "os.read(0, 9)\n")
    daemon = kept(*JSON, "--session", "shared", "--replay", "64K", *py(script))
    stuck = daemon.open("/?resume=a", connect={"rcvbuf": 4096})
    stuck.read_message()
    reader = daemon.open("/")
    reader.text("go")
    for n in range(30000):
        assert reader.read_message()[1][:5] == b"%05d" % n
    seen, skipped = 0, 0
    while seen + skipped < 30000:
        data = stuck.read_message()[1]
        if data[:1] == b"\3":
            skipped += json.loads(data[1:]).get("skipped", 0)
        else:
            assert data[1:6] == b"%05d" % (seen + skipped)
            seen += 1
    assert skipped > 0


def test_a_lone_viewer_loses_nothing(kept):
    """It is the fastest there is: the program waits for it."""
    daemon = kept("--session", "shared", "--replay", "64K", *py(NUMBERED))
    client = daemon.open("/", connect={"rcvbuf": 4096})
    for n in range(1, 20000):
        assert texts(client, 1) == [f"n {n}"]


# ---- what holds

def test_a_detached_session_counts(kept):
    daemon = kept(*JSON, "--session", "token", "--max-sessions", "1", *sh(COUNTS))
    cut(daemon.open(at()))
    left(daemon)
    assert daemon.connect(source="127.0.0.2").upgrade(at(OTHER)).status == 503
    again = daemon.open(at())
    again.text("a")
    assert texts(again, 1) == ["1 a"]


def test_an_address_over_its_limit_loses_its_own_oldest(kept):
    """Those that nobody is at, and never another's."""
    daemon = kept(*JSON, "--session", "token", "--max-per-address", "2", *sh(COUNTS))
    for n, token in enumerate((TOKEN, OTHER)):
        cut(daemon.open(at(token)))
        left(daemon, n + 1)
    daemon.open(at("C" * 22)).text("a")
    wait_until(lambda: sessions(daemon), lambda: "the oldest to end\n" + daemon.tail())
    assert daemon.open(at(got=0)).read_close()[0] == 4400
    assert texts(daemon.open(at("C" * 22, got=0)), 1) == ["1 a"]


def test_no_room_for_another_ring(kept):
    daemon = kept("--session", "token", "--replay", "64K", "--max-replay", "100K", *py(NUMBERED))
    client = daemon.open(at())
    for n in range(1, 4000):
        assert texts(client, 1) == [f"n {n}"]
    assert daemon.open(at(OTHER)).read_close()[0] == 4413


def test_kick_and_stop_end_it(kept, tmp_path):
    door = f"unix:{tmp_path}/admin"
    daemon = kept(*JSON, "--admin", door, "--session", "token", *sh(COUNTS))
    cut(daemon.open(at()))
    left(daemon)
    assert "detached" in command_line("ctl", "--admin", door, "sessions").stdout
    assert command_line("ctl", "--admin", door, "kick", "1").returncode == 0
    wait_until(lambda: sessions(daemon), lambda: "the session to end\n" + daemon.tail())
    cut(daemon.open(at()))
    left(daemon, 2)
    daemon.stop()
    assert len(sessions(daemon)) == 2


def test_a_backend_that_cannot_be_opened(kept):
    daemon = kept("--session", "token", "--to", "tcp://127.0.0.1:9")
    assert daemon.connect().upgrade(at()).status == 502
    daemon = kept("--session", "token", "--errors", "close", "--to", "tcp://127.0.0.1:9")
    assert daemon.open(at()).read_close()[0] == 1014


@pytest.mark.parametrize("words, says", [
    (["--session", "nobody", "--", "cat"], "there are connection, token, user, shared"),
    (["--session", "{x}", "--", "cat"], "{x}: the path captures nothing of that name"),
    (["--session", "user", "--", "cat"], "it needs auth"),
    (["--session", "token", "--to", "echo:"], "the echo keeps nothing"),
    (["--session", "token", "--to", "udp://127.0.0.1:9"], "not with udp://"),
    (["--session", "token", "--reuse-port", "--", "cat"], "not with reuse-port"),
    (["--session", "shared", "--eof-on-empty", "--", "cat"], "eof-on-empty"),
    (["--session", "shared", "--proxy-protocol", "v1", "--to", "tcp://127.0.0.1:9"], "proxy-protocol"),
    (["--session", "shared", "--route", "/{a:x}=exec:cat"], "use all captures"),
])
def test_what_cannot_be_is_told_at_the_start(words, says):
    done = command_line("--check", *words)
    assert done.returncode != 0 and says in done.stderr, done.stderr


def test_a_reader_that_is_gone_without_a_word_does_not_keep_the_pace(kept):
    """Its queue never moves: after stall-timeout it is no reader any more, and the program goes on."""
    daemon = kept(*JSON, "--session", "shared", "--stall-timeout", "0.3s", *py(NUMBERED))
    daemon.open("/", connect={"rcvbuf": 4096})
    left(daemon)
    assert records(daemon, "client left")[0]["code"] in (1008, 1006)  # the system may say so first (TCP_USER_TIMEOUT)
    assert daemon.open("/").read_message()
