# SPDX-License-Identifier: MIT
"""Terminals in sessions that outlive a connection: who comes is shown what others see, questions have one answer, and the size is that of who typed last."""

import json
import select
import time

import pyte
import pytest

from lib.proc import wait_until
from lib.setting import installed
from lib.terminal import Terminal
from lib.tools import JSON, py, records

SHARED = (*JSON, "--stop-grace", "200ms", "--kill-grace", "200ms", "--session", "shared", "--env", "LANG=C.UTF-8", "--env", "TERM=xterm-256color")
RESET = b"\x1bc"


class Screen(pyte.Screen):
    """pyte takes `CSI > 4 m` and its kind for colours, and what is erased has more than the colour behind it."""

    def select_graphic_rendition(self, *attrs, private=False):
        if not private:
            super().select_graphic_rendition(*attrs)

    def erased(self, how, args):
        attrs = self.cursor.attrs
        self.cursor.attrs = self.default_char._replace(bg=attrs.bg)
        how(*args)
        self.cursor.attrs = attrs

    def erase_in_line(self, how=0, private=False):
        self.erased(super().erase_in_line, (how, private))

    def erase_in_display(self, how=0, *args, **_):
        self.erased(super().erase_in_display, (how, *args))

    def erase_characters(self, count=None):
        self.erased(super().erase_characters, (count,))


class Viewer(Terminal):
    """A client that keeps all it was shown, and can say what is on its screen."""

    def __init__(self, *args, columns=80, rows=24, **how):
        self.columns, self.rows, self.all = columns, rows, bytearray()
        super().__init__(*args, columns=columns, rows=rows, **how)

    def take(self, timeout=None):
        before = len(self.seen)
        more = super().take(*([] if timeout is None else [timeout]))
        self.all += self.seen[before:]
        return more

    def screen(self):
        screen = Screen(self.columns, self.rows)
        pyte.ByteStream(screen).feed(bytes(self.all))
        return screen


def visible(char):
    """What one sees of it: a blank has no colour but that behind it."""
    if char.data == " " and not (char.reverse or char.underscore or char.strikethrough):
        return (" ", char.bg)
    return char


def modes(screen):
    """pyte has mouse modes set beside each other; in terminals the later one takes the earlier one's place."""
    mouse = [mode << 5 for mode in (1000, 1002, 1003) if mode << 5 in screen.mode]
    return screen.mode - set(mouse[:-1])


def shows(viewer):
    screen = viewer.screen()
    cells = [[visible(screen.buffer[y][x]) for x in range(screen.columns)] for y in range(screen.lines)]
    return {"cells": cells, "cursor": (min(screen.cursor.x, screen.columns - 1), screen.cursor.y, screen.cursor.hidden),
            "modes": modes(screen), "title": screen.title}


def picture(viewer):
    """What a newcomer is sent first, after title and preferences."""
    while not viewer.all:
        assert viewer.take(), viewer.closed
    assert viewer.all.startswith(RESET)


@pytest.fixture
def kept(wsluice):
    all_of_them = []

    def start(*args, **how):
        all_of_them.append(wsluice(*args, inside=True, **how))
        return all_of_them[-1]
    yield start
    for daemon in all_of_them:
        daemon.close_clients()
        daemon.stop()


def still(daemon):
    """Nothing is on its way."""
    def unmoved():
        before = daemon.inside.turns
        time.sleep(0.2)
        return daemon.inside.turns - before <= 2
    wait_until(unmoved, "the loop to have nothing to do")


def has_input(viewer):
    return bool(viewer.client.pending or select.select([viewer.client.sock], [], [], 0)[0])


def drain(viewer):
    while has_input(viewer):
        viewer.take()


PROGRAMS = {
    "vim": (["vim", "-u", "NONE", "-c", "syntax on", "-c", "set number hlsearch mouse=a title", "{file}"],
            b"line 0", ["\x06", "/is\r", "Vjj", "\x1b", ":set nu?\r"], b"  number"),
    "htop": (["htop", "-d", "100"], b"F10", ["t", "j", "j"], b"F10"),
    "top": (["top", "-d", "100"], b"COMMAND", ["1"], b"COMMAND"),
    "less": (["less", "-N", "{file}"], b"line 0", [" ", " ", "/of\r"], b"of"),
    "wide": (["sh", "-c", "printf '\\033]0;%s\\007%s\\n' 'Titel \u65e5' '\u65e5\u672c\u8a9e|e\u0301|\uac00|\U0001f600x|\u0e01\u0e33|'; "
              "printf '\\033[4;70H\u65e5\u672c\u8a9e wraps\\033[?1000;1006;2004;1004h\\033[?1h\\033=\\033[2 q\\033[7m end'; cat"], b"end", [], b"end"),
    "shell": (["bash", "--norc"], b"bash-", ["PS1='> '\r", "ls -l --color=always /usr /etc\r", "printf '\\e[31mred\\e[0m\\n'; seq 40\r", "echo 'e''nd'"], b"echo"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_comes_is_shown_what_the_others_see(kept, tmp_path, name):
    argv, begin, keys, mark = PROGRAMS[name]
    argv = [installed(argv[0]), *(arg.format(file=tmp_path / "text") if arg == "{file}" else arg for arg in argv[1:])]
    (tmp_path / "text").write_text("".join(f"line {i} of \u65e5\u672c, is it?\tint main(void) {{ return {i}; }}\n" for i in range(300)))
    daemon = kept(*SHARED, "--pty", "--", *argv)
    first = Viewer(daemon, columns=100, rows=30)
    while begin not in first.all:
        first.take()
    for key in keys:
        still(daemon)
        first.type(key)
    still(daemon)
    drain(first)
    assert mark in first.all
    late = Viewer(daemon, columns=100, rows=30)
    picture(late)
    still(daemon)
    drain(first)  # what draws by itself has gone to both
    drain(late)
    before, after = shows(first), shows(late)
    for what in before:
        assert after[what] == before[what], what
    first.type("\x1b[A" if name == "shell" else "j")  # both go on alike
    still(daemon)
    drain(first)
    drain(late)
    assert shows(late)["cells"] == shows(first)["cells"]


ASKS = (r"import os, sys, termios, tty, select" "\n"
        r"tty.setraw(0)" "\n"
        r"os.write(1, b'ready')" "\n"
        r"os.read(0, 1)" "\n"
        r"os.write(1, b'\r\nab\x1b[c\x1b[>c\x1b[6n\xe2\x82\xac\x1b[6n\x1b]11;?\x07\x1b[?1049$p\x1b[18t\x1bP$qm\x1b\\\x1b[>q.')" "\n"
        r"got = b''" "\n"
        r"while not got.endswith(b')\x1b\\'): got += os.read(0, 4096)" "\n"
        r"more = select.select([0], [], [], 0.5)[0]" "\n"
        r"os.write(1, repr((got, more)).encode() + b'END')" "\n"
        r"os.read(0, 1)" "\n")


def test_questions_have_one_answer_however_many_look_on(kept):
    daemon = kept(*SHARED, "--tty-preferences", '{"theme": {"background": "#123"}}', "--pty", "--", *py(ASKS)[1:])
    viewers = [Viewer(daemon, columns=90, rows=20)]
    viewers[0].until("ready")
    viewers += [Viewer(daemon, columns=90, rows=20), Viewer(daemon, tty=False)]
    for viewer in viewers[1:]:
        viewer.until("ready")
    viewers[0].type("x")
    answers = (b"\x1b[?1;2c\x1b[>0;276;0c\x1b[2;3R\x1b[2;4R\x1b]11;rgb:1111/2222/3333\x07\x1b[?1049;2$y\x1b[8;20;90t"
               b"\x1bP1$r0m\x1b\\\x1bP>|wsluice(")
    for viewer in viewers:
        text = viewer.until("END")
        assert text[text.index(b"\r\n"):].startswith(b"\r\nab\xe2\x82\xac.(")
        got, more = eval(text[text.index(b"("):-3])
        assert got.startswith(answers) and not more


def test_a_session_of_one_connection_asks_its_client(kept):
    daemon = kept(*JSON, "--stop-grace", "200ms", "--kill-grace", "200ms", "--pty", "--", "sh", "-c", r"printf 'a\033[c\033[6nb'; cat")
    assert Terminal(daemon).until("b").startswith(b"a\x1b[c\x1b[6nb")


def test_who_asks_and_never_reads_is_answered_no_more(kept):
    daemon = kept(*SHARED, "--pty", "--", *py(r"import os, tty; tty.setraw(0)" "\n"
                                            r"for i in range(3000): os.write(1, b'\x1b[c' * 20)" "\n"
                                            r"os.write(1, b'END'); os.read(0, 1)")[1:])
    Viewer(daemon).until("END")
    daemon.close_clients()
    daemon.stop()
    assert records(daemon)[0]["dropped"] > 100_000


SIZES = (r"import os, signal" "\n"
         r"show = lambda *_: os.write(1, ('<%dx%d>' % os.get_terminal_size(0)).encode())" "\n"
         r"signal.signal(signal.SIGWINCH, show)" "\n"
         r"show()" "\n"
         r"while os.read(0, 100): os.write(1, b'typed')" "\n")


def test_the_size_is_that_of_who_typed_last(kept):
    daemon = kept(*SHARED, "--pty", "--", *py(SIZES)[1:])
    one = Viewer(daemon, columns=90, rows=20)
    one.until("<90x20>")
    two = Viewer(daemon, columns=120, rows=40)
    two.until("<90x20>")
    three = Viewer(daemon, tty=False)
    three.until("<90x20>")
    two.type("x\r")
    one.until("<120x40>")
    three.type("y\r")  # it has no size of its own
    one.resize(91, 21)  # nor does one that has not typed since
    one.type("z\r")
    two.until("<91x21>")
    two.resize(50, 10)
    two.type("x\r")
    one.until("<50x10>")
    two.client.close()
    one.until("<91x21>")
    assert b"<" not in one.seen


def test_nobody_waits_for_a_size_that_was_never_told(kept):
    daemon = kept(*SHARED, "--pty", "--", *py(SIZES)[1:])
    silent = Terminal(daemon, begin=False)
    silent.client.close()
    wait_until(lambda: records(daemon, "client left"), "it to leave")
    assert Viewer(daemon, tty=False).until(">") == b"<80x24>"


def test_ttys_own_messages_come_first_and_to_newcomers_too(kept):
    daemon = kept(*SHARED, "--tty-preferences", '{"fontSize": 9}', "--pty", "--", "sh", "-c", "echo hello; cat")
    first = Viewer(daemon)
    first.until("hello")
    late = Viewer(daemon, begin=False)
    still(daemon)
    assert not has_input(late)
    late.begin(columns=80, rows=24)
    late.until("hello")
    assert late.other == first.other == [b"1sh", b'2{"fontSize": 9}']


def test_without_room_for_a_picture_all_that_is_kept_is_sent_again(kept):
    daemon = kept(*SHARED, "--max-replay", "64K", "--replay", "16K", "--pty", "--", *py(SIZES.replace("show()\n", "os.write(1, b'\\x1b[?2004hbegin'); show()\n"))[1:])
    one = Viewer(daemon, columns=200, rows=60)
    one.until("<200x60>")
    late = Viewer(daemon, columns=200, rows=60)
    late.until("<200x60>")
    assert late.all == RESET + b"\x1b[?2004hbegin<200x60>" == RESET + one.all
    for _ in range(6):
        one.type("x" * 4000 + "\r")  # echoed
        one.until("typed" * 40)
    later = Viewer(daemon, columns=200, rows=60)
    later.until("typed")
    assert later.all.startswith(RESET + b"\x1b[?2004h") and b"begin" not in later.all
    one.until("<200x60>")  # the program is made to draw


def test_a_picture_goes_where_it_becomes_too_large(kept):
    """At max-replay; who comes then is sent what the ring has."""
    daemon = kept(*SHARED, "--max-replay", "64K", "--replay", "16K", "--pty", "--", *py(SIZES)[1:])
    one = Viewer(daemon)
    one.until("<80x24>")
    late = Viewer(daemon)
    picture(late)
    assert b"\x1b[1;1H<80x24>" in late.all
    one.resize(300, 70)
    one.until("<300x70>")
    wait_until(lambda: records(daemon, "no picture of the terminal is kept: who comes is sent what the ring has"), "the picture to go")
    later = Viewer(daemon, columns=300, rows=70)
    later.until("<300x70>")
    assert later.all == RESET + b"<80x24><300x70>"


def about(client):
    message = client.read_message()
    assert message.data[:1] == b"\x03", message
    return json.loads(message.data[1:])


def test_a_picture_counts_as_the_newest_message(kept):
    daemon = kept(*SHARED, "--pty", "--", "sh", "-c", "stty raw -echo; echo one; while read x; do echo \"$x\"; done")
    first = Viewer(daemon, tty=False)
    first.until("one")
    for word in ("two", "three"):
        first.type(word + "\n")
        first.until(word)
    late = daemon.open("/?resume=page1")
    begin = about(late)
    assert begin["session"] == "resumed" and begin["next"] > 2
    shown = late.read_message().data
    assert shown[:3] == b"\x01" + RESET and b"one" in shown and b"three" in shown
    first.type("four\n")
    first.until("four")
    assert b"four" in late.read_message().data
    late.rst()
    again = daemon.open(f"/?resume=page1&got={begin['next']}:{begin['id']}")  # all but the last one
    assert about(again)["next"] == begin["next"] + 1
    assert again.read_message().data.startswith(b"\x01four")


FLOOD = (r"import os, tty; tty.setraw(0); os.write(1, b'ready'); os.read(0, 1)" "\n"
         r"for i in range(0, 60000, 30): os.write(1, b''.join(b'line %d %s\r\n' % (n, b'.' * 90) for n in range(i, i + 30)))" "\n"
         r"os.write(1, b'\x1b]0;flooded\x07END'); os.read(0, 1)" "\n")


def to_the_end_of_the_flood(viewer):
    while b"END" not in viewer.all[-200:]:
        assert viewer.take(), viewer.closed
        viewer.seen = b""


def test_who_looks_on_too_slowly_is_shown_the_end(kept):
    """The fastest sets the pace; what the other has missed is a picture, and no reason to send it away."""
    daemon = kept(*SHARED, "--replay", "16K", "--pty", "--", *py(FLOOD)[1:])
    fast = Viewer(daemon, columns=120)
    fast.until("ready")
    slow = Viewer(daemon, columns=120, connect={"rcvbuf": 4096})
    slow.until("ready")
    fast.type("x")
    to_the_end_of_the_flood(fast)
    assert RESET not in fast.all and fast.all.count(b"line ") == 60000
    slow.all.clear()
    to_the_end_of_the_flood(slow)
    assert slow.all.count(RESET) >= 1 and slow.all.count(b"line ") < 60000
    del slow.all[:slow.all.rindex(RESET)]
    shown = [line.rstrip() for line in slow.screen().display]
    assert shown == [f"line {i} " + "." * 90 for i in range(60000 - 23, 60000)] + ["END"]
    assert slow.screen().title == "flooded"
