# SPDX-License-Identifier: MIT
"""Framing hub (docs/sessions.md): one program, many clients, each known by a number; who hears what, and that nobody speaks as another."""

import json
import os
import re

import pytest
from test_auth import basic, hashed, write

from lib.daemon import command_line
from lib.proc import wait_until
from lib.tools import JSON, py, records
from lib.wire import BINARY, TEXT, frame

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HUB = (*JSON, "--session", "shared", "--framing", "hub")

# Says to the first client all that it hears of others, quoted; what the first says is a line of its own.
ORDERS = ("import os\n"
          "boss, left = None, b''\n"
          "while True:\n"
          "    data = os.read(0, 65536)\n"
          "    if not data: break\n"
          "    left += data\n"
          "    *lines, left = left.split(b'\\n')\n"
          "    for line in lines:\n"
          "        first, _, rest = line.partition(b' ')\n"
          "        if first == b'+' and boss is None: boss = rest.split()[0]\n"
          "        if first == boss: os.write(1, rest.replace(b'|', b'\\n') + b'\\n')\n"
          "        else: os.write(1, boss + b' ' + repr(line).encode() + b'\\n')\n")


@pytest.fixture
def hub(wsluice):
    """A daemon whose program does what its first client says, and tells it what it hears; and that client."""
    all_of_them = []

    def start(*args, program=None):
        daemon = wsluice(*HUB, *args, *(program or py(ORDERS)))
        all_of_them.append(daemon)
        boss = daemon.open("/")
        if program is None:
            assert heard(boss) == "+ 1 127.0.0.1 -"
        return daemon, boss
    yield start
    for daemon in all_of_them:
        daemon.close_clients()
        if daemon.alive():
            daemon.stop()


def said(client):
    return client.read_message()[1].decode()


def heard(boss):
    """The next line the program was given."""
    line = said(boss)
    assert re.fullmatch(r"b(['\"]).*\1", line), line
    return line[2:-1]


def joined(daemon, boss, n, **how):
    client = daemon.open("/", **how)
    assert heard(boss) == f"+ {n} 127.0.0.1 -"
    return client


def test_who_comes_speaks_and_leaves(hub):
    daemon, boss = hub()
    second = joined(daemon, boss, 2)
    second.text("hello")
    assert heard(boss) == "2 hello"
    third = joined(daemon, boss, 3)
    third.text("")
    assert heard(boss) == "3 "
    second.finish()
    assert heard(boss) == "- 2"
    third.rst()
    assert heard(boss) == "- 3"
    joined(daemon, boss, 4).text("numbers are not used again")
    assert heard(boss) == "4 numbers are not used again"


@pytest.mark.parametrize("text", ["a\n1 b", "a\n- 1", "\n+ 9 x y", "a\r1 b", "a\r\n1 b", "\n", "a\n\n1 b\n"])
@pytest.mark.parametrize("how", ["whole", "fragments", "bytes", "page"])
def test_nobody_speaks_as_another(hub, text, how):
    daemon, boss = hub()
    client = daemon.open("/?resume=a" if how == "page" else "/")
    assert heard(boss) == "+ 2 127.0.0.1 -"
    if how == "whole":
        client.text(text)
    elif how == "page":
        client.send(frame(TEXT, b"\0" + text.encode()))
    elif how == "fragments":
        client.send(b"".join(frame(TEXT if i == 0 else 0, c.encode(), fin=i == len(text) - 1) for i, c in enumerate(text)))
    else:
        client.send(frame(TEXT, text.encode()), chop=1)
    client.send(frame(TEXT, (b"\0" if how == "page" else b"") + b"end"))
    lines = []
    while "2 end" not in lines:
        lines.append(heard(boss))
    assert lines == [f"2 {line}" for line in re.split("\r\n|\r|\n", text.removesuffix("\r"))] + ["2 end"]


def test_whom_a_line_is_for(hub):
    daemon, boss = hub()
    b, c = joined(daemon, boss, 2), joined(daemon, boss, 3)
    boss.text("2 to two|3 to three|2,3 to both|3,2,3,99 once|!2 not two|!2,3 nobody but one|* all|99 nobody|* end")
    assert [said(b) for _ in range(5)] == ["to two", "to both", "once", "all", "end"]
    assert [said(c) for _ in range(6)] == ["to three", "to both", "once", "not two", "all", "end"]
    assert [said(boss) for _ in range(4)] == ["not two", "nobody but one", "all", "end"]


def test_a_newcomer_gets_what_was_for_all_only(hub):
    daemon, boss = hub()
    b = joined(daemon, boss, 2)
    boss.text("* first|2 secret|3 to a number that is not there yet|!1 to those who are there|* last")
    assert [said(b) for _ in range(4)] == ["first", "secret", "to those who are there", "last"]
    assert [said(boss) for _ in range(2)] == ["first", "last"]
    c = joined(daemon, boss, 3)
    assert [said(c) for _ in range(2)] == ["first", "last"]
    boss.text("3 now")
    assert said(c) == "now"


def test_the_program_closes_one_behind_what_it_said(hub):
    daemon, boss = hub()
    b, c = joined(daemon, boss, 2), joined(daemon, boss, 3)
    boss.text("2 bye|- 2|* for those who stay|2 too late")
    assert said(b) == "bye"
    assert b.read_close() == (1000, "closed by the program", [])
    assert [said(c), said(boss)] == ["for those who stay"] * 2
    b.try_send(frame(TEXT, b"still here"))
    c.text("ok")
    assert sorted(heard(boss) for _ in range(2)) == ["- 2", "3 ok"]


def test_who_is_closed_is_heard_no_more(hub):
    daemon, boss = hub()
    b = joined(daemon, boss, 2)
    boss.text("- 2|1 done")
    assert said(boss) == "done"
    b.read_close()
    b.try_send(frame(TEXT, b"x") * 3)
    b.close()
    joined_line = []
    c = daemon.open("/")
    while "+ 3 127.0.0.1 -" not in joined_line:
        line = said(boss)
        joined_line.append(line[2:-1] if line.startswith("b'") else line)
    assert not [line for line in joined_line if line.startswith("2 ")]
    c.close()


def test_text_only(hub):
    daemon, boss = hub()
    b = joined(daemon, boss, 2)
    b.send_frame(BINARY, b"x")
    assert b.read_close()[0] == 1003
    assert heard(boss) == "- 2"


def test_lines_without_an_address_are_logged_once_in_a_while(hub):
    daemon, boss = hub()
    boss.text("|".join(["hello"] * 50 + ["1 end"]))
    assert said(boss) == "end"
    daemon.wait_for_log("begins with no address was dropped")
    found = records(daemon, "framing hub: a line that begins with no address was dropped")
    assert [(r["line"], r["dropped"]) for r in found] == [("hello", 1)]


def test_the_program_hears_who_a_user_is(wsluice, tmp_path):
    users = write(tmp_path / "users", f"ann lee:{hashed('x')}\n-:{hashed('x')}\n")
    daemon = wsluice(*HUB, "--auth", "basic", "--auth-file", users, *py(ORDERS))
    boss = daemon.open("/", [basic("ann lee", "x")])
    assert heard(boss) == "+ 1 127.0.0.1 ann%20lee"
    other = daemon.open("/", [basic("-", "x")])
    assert heard(boss) == "+ 2 127.0.0.1 %2D"
    other.close()
    boss.close()
    daemon.stop()


def test_who_comes_back_is_new(hub):
    daemon, boss = hub()
    boss.text("* a")
    assert said(boss) == "a"
    assert daemon.open("/?got=1").read_close()[0] == 4400


def test_one_that_does_not_read_stops_nobody(hub):
    """The others get all lines, it jumps ahead by whole ones, and nothing for others is told to it."""
    script = ("import os\n"
              "while b'go' not in os.read(0, 99): pass\n"
              "for n in range(20000): os.write(1, b'* %05d %s\\n!2 other\\n' % (n, b'x' * 500))\n"
              "while os.read(0, 99): pass\n")
    daemon, reader = hub("--replay", "64K", program=py(script))
    stuck = daemon.open("/?resume=a", connect={"rcvbuf": 4096})
    stuck.read_message()
    reader.text("go")
    for n in range(20000):
        assert said(reader)[:5] == "%05d" % n
        assert said(reader) == "other"
    last, skipped = -1, 0
    while last < 19999:
        data = stuck.read_message()[1]
        if data[:1] == b"\3":
            skipped += json.loads(data[1:]).get("skipped", 0)
        else:
            assert data[1:] != b"other" and int(data[1:6]) > last
            last = int(data[1:6])
    assert skipped > 0


def test_a_program_that_does_not_read_is_told_of_few(wsluice, tmp_path):
    """Else who comes and goes would fill our memory: lines about it cannot wait for the program."""
    name = "%" * 250
    users = write(tmp_path / "users", f"{name}:{hashed('x')}\n")
    daemon = wsluice(*HUB, "--auth", "basic", "--auth-file", users, *py("import time\ntime.sleep(300)"))
    clients = [daemon.open("/", [basic(name, "x")]) for _ in range(260)]
    assert clients[-1].read_close()[0] == 1013
    daemon.close_clients()
    daemon.stop()


@pytest.mark.parametrize("words, says", [
    (["--framing", "hub", "--", "cat"], "for session shared, and for rooms"),
    (["--framing", "hub", "--session", "token", "--", "cat"], "for session shared, and for rooms"),
    (["--framing", "hub", "--session", "shared", "--pty", "--", "cat"], "not with pty"),
    (["--framing", "hub", "--session", "shared", "--partial-lines", "1s", "--", "cat"], "partial-lines"),
    (["--framing", "hub", "--session", "shared", "--frames", "binary", "--", "cat"], "cannot be binary"),
])
def test_what_cannot_be_is_told_at_the_start(words, says):
    done = command_line("--check", *words)
    assert done.returncode != 0 and says in done.stderr, done.stderr


# ---- the programs in contrib

def awk(name):
    return ["--", "mawk", "-W", "interactive", "-f", os.path.join(TOP, "contrib", "programs", name)]


def test_the_chat(hub):
    daemon, a = hub(program=awk("chat.awk"))
    assert said(a) == "- guest1 is here"
    b = daemon.open("/")
    assert [said(b) for _ in range(2)] == ["- guest1 is here", "- guest2 is here"]
    c = daemon.open("/")
    assert [said(c) for _ in range(3)][-1] == "- guest3 is here"
    a.text("/nick ann")
    a.text("hello\n2 not me")
    want = ["- guest1 is now ann", "ann: hello", "ann: 2 not me"]
    assert [said(c) for _ in range(3)] == want
    assert [said(b) for _ in range(4)] == ["- guest3 is here", *want]
    c.text("/who")
    assert sorted(said(c) for _ in range(3)) == ["- ann", "- guest2", "- guest3"]
    b.text("/bye")
    assert b.read_close()[:2] == (1000, "closed by the program")
    assert said(c) == "- guest2 has left"
    c.rst()
    while said(a) != "- guest3 has left":
        pass


def test_the_board(hub):
    daemon, a = hub(program=awk("board.awk"))
    assert said(a) == "here 1"
    a.text("3 1,2 3,4")
    assert said(a) == "3 1,2 3,4"
    a.text("<script>")
    assert said(a) == "what is that?"
    b = daemon.open("/")
    assert [said(b) for _ in range(3)] == ["here 1", "3 1,2 3,4", "here 2"]
    b.text("clear")
    assert [said(a) for _ in range(2)] == ["here 2", "clear"]
