# SPDX-License-Identifier: MIT
"""Programs on a terminal: what they find there, keys, sizes, both ways of speaking, and how all of it ends."""

import contextlib
import hashlib
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from lib import proc
from lib.daemon import command_line
from lib.proc import process, wait_until
from lib.setting import SCALE, SOON, installed
from lib.terminal import Terminal
from lib.tools import JSON, PYTHON, Peak, ended, orphans_reaped, py, sh, unsent
from lib.wire import BINARY, CLOSE, CONT, PING, TEXT, Closed, close_payload, fragments, frame

BASH = ("--pty", "--", "bash", "--norc", "--noprofile", "-i")
QUICK = ("--stop-grace", "200ms", "--kill-grace", "200ms")
SILENCE = 0.3 * SCALE


def gone(pid, timeout=SOON):
    wait_until(lambda: not process(pid) or process(pid).state == "Z", f"process {pid} to be gone", timeout)


def only_child(daemon):
    return wait_until(lambda: [c for c in daemon.children() if c.state != "Z" and c.command], "a child")[0].pid


def bash(wsluice, *options, **how):
    """A shell that has said its prompt. Its echo of what is typed is told from output by quotes in the words."""
    terminal = Terminal(wsluice(*options, *BASH), **how)
    terminal.type("PS1='r''eady>'\r")
    terminal.until("ready>")
    return terminal


# What a program finds.


FACTS = r"""
import os, json, termios
iflag, oflag, cflag, lflag = termios.tcgetattr(0)[:4]
print(json.dumps({
    "names": [os.ttyname(i) for i in range(3)],
    "leads": os.getsid(0) == os.getpid() == os.tcgetpgrp(0),
    "controls": os.isatty(os.open("/dev/tty", os.O_RDWR)),
    "size": os.get_terminal_size(0),
    "term": os.environ.get("TERM"),
    "open": sorted(int(f) for f in os.listdir("/proc/self/fd"))[:3],
    "echo": bool(lflag & termios.ECHO), "canon": bool(lflag & termios.ICANON), "isig": bool(lflag & termios.ISIG),
    "crnl": bool(oflag & termios.ONLCR), "utf8": bool(iflag & 0o40000)}))
"""


@pytest.mark.parametrize("tty, size", [(True, [100, 30]), (False, [80, 24])])
def test_program_finds_a_login_terminal(wsluice, tty, size):
    """With the protocol the size is right from the very start: nothing has to be resized."""
    terminal = Terminal(wsluice("--pty", *py(FACTS)), tty=tty, columns=100, rows=30)
    facts = json.loads(terminal.to_the_end())
    assert len(set(facts.pop("names"))) == 1
    assert facts == {"leads": True, "controls": True, "size": size, "term": "xterm-256color", "open": [0, 1, 2],
                     "echo": True, "canon": True, "isig": True, "crnl": True, "utf8": True}
    assert (terminal.closed.code, terminal.closed.reason) == (1000, "exit 0")


def test_TERM_can_be_set(wsluice):
    assert Terminal(wsluice("--env", "TERM=vt100", "--pty", *sh("echo $TERM"))).to_the_end() == b"vt100\r\n"


def test_shell_has_job_control(wsluice):
    terminal = bash(wsluice)
    terminal.type("sleep 1000\r")
    terminal.until("sleep 1000")
    wait_until(lambda: "sleep" in foreground(terminal), "sleep in the foreground")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.type("fg\r")
    wait_until(lambda: "sleep" in foreground(terminal), "sleep in the foreground again")
    terminal.type("\x03")
    terminal.until("ready>")
    terminal.type("echo st'a'tus $?\r")
    terminal.until("status 130")
    terminal.type("exit 7\r")
    assert b"job control" not in terminal.to_the_end()
    assert (terminal.closed.code, terminal.closed.reason) == (4007, "exit 7")


def foreground(terminal):
    """Command lines of the programs below the shell that run in the foreground of its terminal."""
    shell = only_child(terminal.daemon)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                state, _, group, session, _, front = stat.read().rpartition(")")[2].split()[:6]
            if int(session) == shell and group == front and int(pid) != shell and state != "T":
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as words:
                    found.append(words.read().replace("\0", " "))
    return " ".join(found)


# Size.


def test_resize_reaches_shell_and_editor(wsluice, tmp_path):
    terminal = bash(wsluice, columns=90, rows=20)
    terminal.type("stty size\r")
    terminal.until("20 90")
    terminal.type(f"vi -u NONE {tmp_path}/text\r")
    terminal.until("~")
    terminal.type(":set lines?\r")
    terminal.until("lines=20")
    terminal.resize(120, 50)
    wait_until(lambda: lines_of_vi(terminal) == 50, "vi to have 50 lines")
    terminal.type("ihello\x1b:wq\r")
    terminal.until("ready>")
    assert (tmp_path / "text").read_text() == "hello\n"
    terminal.type("stty size\r")
    terminal.until("50 120")
    terminal.type("exit\r")
    terminal.to_the_end()
    assert terminal.closed.code == 1000


def lines_of_vi(terminal):
    terminal.type(":set lines?\r")
    terminal.until("lines=")
    while len(terminal.seen) < 2:
        terminal.take()
    return int(terminal.seen[:2])


def test_full_screen_program_redraws_on_resize(wsluice):
    """Nothing else would make it draw: its own interval is far away."""
    terminal = Terminal(wsluice("--pty", "--", "top", "-d", "1000"))
    terminal.until("load average")
    while True:
        try:
            terminal.take(SILENCE)
        except TimeoutError:
            break
    terminal.resize(132, 43)
    terminal.until("load average")
    terminal.type("q")
    terminal.to_the_end()
    assert terminal.closed.code == 1000


def test_a_side_that_is_not_said_stays(orphans_reaped, wsluice):
    terminal = Terminal(wsluice("--pty", *sh("trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done")),
                        columns=0, rows=None)
    terminal.until("24 80\r\n")
    terminal.order("1", {"columns": 132})
    terminal.until("24 132\r\n")
    terminal.order("1", {"rows": 4096, "columns": 1})
    terminal.until("4096 1\r\n")
    terminal.type("\x03")
    terminal.to_the_end()
    assert terminal.closed.code in (4302, 4130)


# The protocol of the subprotocol tty.


def test_title_and_preferences_come_first(wsluice):
    daemon = wsluice("--tty-preferences", '{"fontSize": 16}', "--pty", "--", "/bin/echo", "secret")
    terminal = Terminal(daemon)
    terminal.to_the_end()
    assert terminal.other == [b"1echo", b'2{"fontSize": 16}'] and terminal.seen == b"secret\r\n"


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_in_pieces_of_one_byte(orphans_reaped, wsluice, opcode):
    terminal = Terminal(wsluice("--pty", *sh("stty -echo; stty size; read a; echo =$a=; read b; stty size")), begin=False)
    send = terminal.client.send
    send(fragments(opcode, b'{"columns": 77, "rows": 33}', 1))
    terminal.until("33 77")
    send(frame(opcode, b"", fin=False) + frame(CONT, "0ä".encode()[:2], fin=False) + frame(CONT, "0äb\r".encode()[2:]))
    terminal.until("=äb=")
    send(fragments(opcode, b'1{"columns": 10, "rows": 20}', 1) + frame(opcode, b"0\r") + frame(opcode, b""))
    terminal.until("20 10")


@pytest.mark.parametrize("first, code, reason", [
    ("0ls\r", 1002, "first message"),
    ('1{"columns":80,"rows":24}', 1002, "first message"),
    ("2", 1002, "first message"),
    ("hello", 1002, "first message"),
    ("{", 1002, "JSON object"),
    ('{"columns":80', 1002, "JSON object"),
    ('{"columns":80,"rows":24} x', 1002, "JSON object"),
    ('{"columns":"80","rows":24}', 1002, "from 1 to 4096"),
    ('{"columns":-1,"rows":24}', 1002, "from 1 to 4096"),
    ('{"columns":80,"rows":4097}', 1002, "from 1 to 4096"),
    pytest.param('{"columns":80,"rows":24,"x":"' + "x" * 4096 + '"}', 1009, "4096 bytes", id="long"),
])
def test_wrong_first_messages(wsluice, first, code, reason):
    daemon = wsluice(*JSON, "--pty", "--", "cat")
    terminal = Terminal(daemon, begin=False)
    terminal.order(first)
    with pytest.raises(Closed) as closed:
        terminal.client.read_message()
    assert closed.value.code == code and reason in closed.value.reason
    assert ended(daemon)["address"] == "not started"


@pytest.mark.parametrize("bad, code, reason", [
    ("1", 1002, "JSON object"), ('1[80,24]', 1002, "JSON object"), ('1{"columns":1e9}', 1002, "from 1 to 4096"),
    ("4", 1002, "begins with"), ("\x00", 1002, "begins with"), pytest.param("1" + " " * 5000, 1009, "4096 bytes", id="long"),
])
def test_wrong_orders_end_the_session_behind_what_was_typed(wsluice, bad, code, reason):
    daemon = wsluice(*JSON, *QUICK, "--pty", *sh("stty -echo; read a; echo =$a=; exec sleep 1000"))
    terminal = Terminal(daemon)
    terminal.client.send(frame(TEXT, "0typed\r") + frame(TEXT, bad))
    with pytest.raises(Closed) as closed:
        while True:
            terminal.client.read_message()
    assert closed.value.code == code and reason in closed.value.reason
    assert ended(daemon)["messages_in"] >= 2


def test_second_JSON_means_nothing(wsluice):
    terminal = Terminal(wsluice("--pty", *sh("read a; stty size")), columns=70, rows=20)
    terminal.begin(columns=1, rows=1)
    terminal.type("\r")
    assert b"20 70" in terminal.to_the_end()


def test_nothing_is_started_before_the_first_message(wsluice):
    daemon = wsluice(*JSON, "--pty", "--", "cat")
    terminal = Terminal(daemon, begin=False)
    assert terminal.client.silent(SILENCE) and not daemon.children()
    terminal.client.finish()
    record = ended(daemon)
    assert (record["code"], record["address"], record["messages_out"]) == (1000, "not started", 0)
    Terminal(daemon, begin=False).client.close()
    assert ended(daemon, 2)["code"] == 1006


def test_a_terminal_client_that_says_nothing_is_1008(wsluice):
    """Also one that says something else; one that has begun is held to nothing."""
    daemon = wsluice(*JSON, "--handshake-timeout", "500ms", "--pty", "--", "cat")
    begun = Terminal(daemon)
    begun.take()
    silent, pinging, unfinished = (Terminal(daemon, begin=False).client for _ in range(3))
    unfinished.send(frame(TEXT, '{"columns":80,', fin=False))
    for client in (silent, pinging, unfinished):
        client.send(frame(PING, b"") if client is pinging else b"")
    for client in (silent, pinging, unfinished):
        code, reason, messages = client.read_close()
        assert (code, messages) == (1008, []) and "first message" in reason
        client.send(frame(CLOSE, close_payload(1008)))
        client.close()
    record = ended(daemon, 3)
    assert (record["closed_by"], record["address"]) == ("server", "not started")
    begun.type("still here\r")
    begun.until("still here")


def test_pause_and_resume(wsluice):
    """After '2' nothing comes, so the program waits; after '3' it goes on where it was."""
    daemon = wsluice("--stall-timeout", "200ms", "--pty",
                     *py("n = 0\nwhile n < 60000: print('%07d' % n); n += 1"))
    terminal = Terminal(daemon)
    terminal.until("0001000\r\n")
    terminal.order("2")
    with pytest.raises(TimeoutError):
        while True:
            terminal.take(SILENCE)
    spent = process_cpu(daemon)
    time.sleep(0.5)
    assert process_cpu(daemon) == spent  # longer than stall-timeout: who pauses is no stalled client
    terminal.order("3")
    rest = terminal.to_the_end()
    assert rest == b"".join(b"%07d\r\n" % i for i in range(1001, 60000))


def process_cpu(daemon):
    with open(f"/proc/{only_child(daemon)}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[11:13]


def test_subprotocol_only_where_there_is_a_terminal(wsluice):
    daemon = wsluice("--route", "/exec=exec:cat", "--route", "/pty=pty:cat", "--subprotocol", "chat")
    for path in ("/exec", "/pty"):
        with daemon.connect() as client:
            assert client.upgrade(path, protocols="tty").get("sec-websocket-protocol") is None
    daemon = wsluice("--route", "/exec=exec:cat", "--route", "/pty=pty:cat")
    for path, chosen in (("/exec", None), ("/pty", "tty")):
        with daemon.connect() as client:
            assert client.upgrade(path, protocols="tty").get("sec-websocket-protocol") == chosen


# Plain bytes.


def test_plain_bytes_both_ways(wsluice):
    """In binary frames and as they are, whatever they are; what is typed may come in either type."""
    terminal = Terminal(wsluice("--pty", *sh("stty raw -echo; echo ready; exec cat")), tty=False)
    terminal.until("ready\n")
    every = bytes(range(256))
    terminal.type(every)
    terminal.type("ä", opcode=TEXT)
    assert terminal.until("ä") == every + "ä".encode()
    terminal.client.send(frame(CLOSE, close_payload(1000)))


@pytest.mark.parametrize("typed, echoed", [(b"b\na\n", b"b\r\na\r\n"), (b"b\na", b"b\r\na"), (b"", b"")])
def test_empty_message_is_end_of_input(wsluice, typed, echoed):
    terminal = Terminal(wsluice("--eof-on-empty", "--pty", "--", "sort"), tty=False)
    if typed:
        terminal.type(typed)
    terminal.client.send(frame(BINARY, b""))
    assert terminal.to_the_end() == echoed + b"".join(w + b"\r\n" for w in sorted(typed.split()))
    assert terminal.closed.reason == "exit 0"


def test_end_of_input_is_not_typed_to_a_program_that_takes_every_byte(wsluice):
    daemon = wsluice("--eof-on-empty", "--pty",
                     *sh("stty raw -echo min 0 time 3; echo ready; od -An -tx1"))
    terminal = Terminal(daemon, tty=False)
    terminal.until("ready\n")
    terminal.client.send(frame(BINARY, b"ab") + frame(BINARY, b""))
    assert terminal.to_the_end().split() == [b"61", b"62"]


# Nothing is lost.


def test_last_output_always_arrives(wsluice):
    daemon = wsluice("--pty", *py("import os; os.write(1, b'y' * 30000 + b'last'); os._exit(3)"))
    for i in range(30):
        terminal = Terminal(daemon, tty=i % 2 == 0)
        assert terminal.to_the_end() == b"y" * 30000 + b"last"
        assert terminal.closed.code == 4003
        terminal.client.close()


def test_slow_client_gets_all_that_was_written(wsluice):
    """The program has long exited when it reads on."""
    daemon = wsluice("--pty", *py("import os; os.write(1, b'y' * 300000 + b'last')"))
    terminal = Terminal(daemon, tty=False, connect={"rcvbuf": 4096})
    time.sleep(SILENCE)
    assert terminal.to_the_end() == b"y" * 300000 + b"last"


def flood(terminal, data):
    def run():
        for i in range(0, len(data), 30000):
            terminal.type(data[i : i + 30000])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("modes", ["-echo", "raw -echo"])
def test_flood_of_input_arrives_whole(orphans_reaped, wsluice, modes):
    """Far more at once than a terminal holds (4 KiB): lines to a program that reads lines, and one endless line to one
    that takes bytes."""
    data = b"".join(b"%07d\n" % i for i in range(60000)) if "raw" not in modes else bytes(range(256)) * 2000
    terminal = Terminal(wsluice("--pty", *sh(
        f"stty {modes}; echo ready; sleep 0.2; head -c {len(data)} | md5sum; exec cat >/dev/null")))
    terminal.until("ready")
    thread = flood(terminal, data)
    terminal.until(hashlib.md5(data).hexdigest())
    thread.join(SOON)
    terminal.client.send(frame(CLOSE, close_payload(1000)))


def test_flood_through_echo_and_program_at_once(wsluice):
    """Both directions full at once: what is typed comes back twice, in order each."""
    data = b"".join(b"%07d\n" % i for i in range(20000))
    terminal = Terminal(wsluice("--pty", *sh("stty raw -echo; echo ready; exec cat")), tty=False)
    terminal.until("ready\n")
    thread = flood(terminal, data)
    assert terminal.until("0019999\n") == data
    thread.join(SOON)
    terminal.client.send(frame(CLOSE, close_payload(1000)))


def test_program_that_reads_nothing_is_1011(wsluice):
    daemon = wsluice(*JSON, *QUICK, "--stall-timeout", "500ms", "--pty", *sh("echo ready; exec sleep 1000"), inside=True)
    terminal = Terminal(daemon)
    terminal.until("ready")
    with Peak(daemon) as peak:
        for _ in range(200):
            if not terminal.client.try_send(frame(BINARY, b"0" + b"abc\n" * 8000)):
                break
        record = ended(daemon)
    assert (record["code"], record["exit"]) == (1011, "signal 1")
    peak.check(2048)


def test_client_that_reads_nothing_makes_the_program_wait(wsluice):
    """Memory stays, other sessions go on, and what it missed it gets."""
    daemon = wsluice("--route", "/flood=pty:" + PYTHON + " -c while(1):print(10**999)", "--route", "/cat=pty:cat", inside=True)
    with Peak(daemon) as peak:
        slow = [Terminal(daemon, "/flood", connect={"rcvbuf": 4096}) for _ in range(10)]
        time.sleep(SILENCE)
        other = Terminal(daemon, "/cat")
        other.type("hi\r")
        other.until("hi\r\nhi\r\n")
    peak.check(4096)
    for terminal in slow:
        terminal.client.close()
    other.client.close()


# Ends.


def test_hang_up_is_SIGHUP(orphans_reaped, wsluice, tmp_path):
    """To the shell, which passes it on, and to what runs in the foreground."""
    daemon = wsluice(*JSON, *BASH)
    terminal = Terminal(daemon)
    terminal.type(f"trap 'echo shell >>{tmp_path}/hup; exit' HUP\r")
    terminal.type(f"sh -c 'trap \"echo job >>{tmp_path}/hup; exit\" HUP; echo r\"\"un; while :; do sleep 0.01; done'\r")
    terminal.until("run\r\n")
    terminal.client.close()
    assert ended(daemon)["code"] == 1006
    wait_until(lambda: sorted((tmp_path / "hup").read_text().split()) == ["job", "shell"], "both to be told")


def test_close_of_the_client_is_a_hang_up(wsluice):
    daemon = wsluice(*JSON, "--pty", *sh("echo ready; exec cat"))
    terminal = Terminal(daemon)
    terminal.until("ready")
    terminal.client.finish(1000)
    record = ended(daemon)
    assert (record["code"], record["exit"]) == (1000, "signal 1")


def test_job_that_ignores_everything_is_killed(orphans_reaped, wsluice):
    """It has a process group of its own, and nobody else would end it."""
    terminal = bash(wsluice, *QUICK)
    terminal.type("sh -c 'trap \"\" HUP TERM INT; echo job $$; while :; do sleep 0.05; done'\r")
    terminal.until("\rjob ")
    job = int(terminal.until("\r\n"))
    shell = only_child(terminal.daemon)
    terminal.client.close()
    gone(job)
    gone(shell)


def test_stopped_program_is_ended(wsluice):
    daemon = wsluice(*QUICK, "--pty", *sh("echo ready; exec cat"))
    terminal = Terminal(daemon)
    terminal.until("ready")
    os.kill(only_child(daemon), signal.SIGSTOP)
    terminal.client.close()
    wait_until(lambda: not daemon.children(), "the program to be gone")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_client_that_floods_a_program_that_reads_nothing_and_vanishes(wsluice, how):
    daemon = wsluice(*JSON, *QUICK, "--pty", *sh("echo ready; exec sleep 1000"))
    terminal = Terminal(daemon)
    terminal.until("ready")
    for _ in range(6):
        terminal.client.send(frame(BINARY, b"0" + b"abc\n" * 4000))
        wait_until(lambda: not unsent(terminal.client.sock), "the data to arrive")
    if how == "rst":
        terminal.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        terminal.client.close()
    else:
        terminal.client.sock.shutdown(socket.SHUT_WR)
    record = ended(daemon)
    assert (record["code"], record["closed_by"]) == (1006, "client")
    wait_until(lambda: not daemon.children(), "the program to be gone")


def test_grandchild_that_keeps_the_terminal(orphans_reaped, wsluice):
    """What it writes later is not waited for; what the program itself wrote arrives."""
    daemon = wsluice("--pty", *sh("trap '' HUP; (sleep 1000; echo late) & echo bye; exit 3"))
    terminal = Terminal(daemon)
    assert terminal.to_the_end() == b"bye\r\n" and terminal.closed.code == 4003
    terminal.client.close()
    wait_until(lambda: not daemon.children(), "all to be gone")


def test_grandchild_that_floods_the_terminal(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, "--pty", *sh("trap '' HUP; yes & exit 3"))
    terminal = Terminal(daemon)
    terminal.to_the_end()
    assert terminal.closed.code == 4003
    terminal.client.close()


def test_program_that_leaves_its_terminal(wsluice):
    """As one that closes its stdout and lives: the session ends without its status."""
    daemon = wsluice(*QUICK, "--pty", *sh("echo bye; exec sleep 1000 <&- >&- 2>&-"))
    terminal = Terminal(daemon)
    assert terminal.to_the_end() == b"bye\r\n" and (terminal.closed.code, terminal.closed.reason) == (1000, "")
    terminal.client.close()


def test_kill_9_of_the_program(wsluice):
    daemon = wsluice("--pty", *sh("echo ready; exec cat"))
    terminal = Terminal(daemon)
    terminal.until("ready")
    os.kill(only_child(daemon), signal.SIGKILL)
    terminal.to_the_end()
    assert (terminal.closed.code, terminal.closed.reason) == (4309, "signal SIGKILL")


def test_our_SIGTERM_hangs_up(wsluice):
    daemon = wsluice(*JSON, *BASH)
    terminals = [Terminal(daemon) for _ in range(5)] + [Terminal(daemon, begin=False)]
    for terminal in terminals[:5]:
        terminal.until("$" if os.getuid() else "#")
    daemon.send_signal(signal.SIGTERM)
    for terminal in terminals:
        terminal.to_the_end()
        assert terminal.closed.code == 1001
        terminal.client.close()
    assert daemon.wait() == 0


@pytest.mark.parametrize("tty", [True, False])
def test_program_that_cannot_be_started(wsluice, tmp_path, tty):
    """Plain clients see a status; those that have had their 101 a Close."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    daemon = wsluice("--pty", "--", program)
    program.unlink()
    if not tty:
        with daemon.connect() as client:
            answer = client.upgrade()
        assert answer.status == 502 and b"No such file" in answer.body
        return
    terminal = Terminal(daemon)
    terminal.to_the_end()
    assert terminal.closed.code == 1011 and "No such file" in terminal.closed.reason


# Read only, and recordings.


def test_read_only(orphans_reaped, wsluice):
    daemon = wsluice(*JSON, "--read-only", "--pty",
                     *sh("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done"))
    terminal = Terminal(daemon)
    terminal.until("ready\r\n")
    terminal.type("abc\x03")
    terminal.resize(90, 30)
    assert terminal.until("30 90") == b"30 90"  # no echo either
    terminal.client.finish()
    assert ended(daemon)["dropped"] == 4


def test_read_only_program_on_pipes(wsluice):
    daemon = wsluice(*JSON, "--read-only", *sh("echo ready; exec cat"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"ready")
    client.text("abc")
    assert client.silent(SILENCE)
    client.finish()
    assert ended(daemon)["dropped"] == 4  # with its newline


def test_recording_has_the_sizes(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", tmp_path, "--pty", *sh("stty -echo; echo ready; read a; stty size"))
    terminal = Terminal(daemon, columns=90, rows=20)
    terminal.until("ready")
    terminal.resize(120, 50)
    terminal.type("x\r")
    terminal.to_the_end()
    terminal.client.close()
    ended(daemon)
    [cast] = tmp_path.glob("*.cast")
    header, *events = map(json.loads, cast.read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 90, 20)
    assert header["env"]["TERM"] == "xterm-256color"
    assert ["r", "120x50"] in [e[1:] for e in events] and ["i", "x\r"] in [e[1:] for e in events]
    assert "".join(e[2] for e in events if e[1] == "o") == "ready\r\n50 120\r\n"


# Configuration.


def test_terminals_in_a_file(wsluice, tmp_path):
    config = tmp_path / "wsluice.yaml"
    config.write_text("listen: ['127.0.0.1:0']\nroutes:\n"
                      "  - path: /{who:[a-z]+}\n    pty: [echo, 'hello {who}']\n    tty-preferences: '{}'\n")
    daemon = wsluice("-l", "127.0.0.1:0", "--config", config)
    assert Terminal(daemon, "/bob").to_the_end() == b"hello bob\r\n"


@pytest.mark.parametrize("args, says", [
    (["--pty"], "--pty: a COMMAND is needed"),
    (["--pty", "--to", "echo:"], "--pty: a COMMAND is needed"),
    (["--pty", "--config", "x", "--check"], "--pty and --config"),
    (["--tty-preferences", "[1]", "--pty", "--", "cat"], "tty-preferences is a JSON object"),
    (["--route", "/=pty:"], "a program is needed"),
])
def test_wrong_configurations(args, says):
    ran = command_line(*args)
    assert ran.returncode == 2 and says in ran.stderr


def test_program_that_is_not_there():
    ran = command_line("--pty", "--", "/no/such/program")
    assert ran.returncode == 1 and "no such program" in ran.stderr


# unbuffer: nothing arrives?


@pytest.mark.parametrize("program", [
    ["grep", "a"], ["sed", "s/b/b/"], ["cut", "-c1-3"], ["perl", "-ne", "print $_"],
    [PYTHON, "-c", "import sys\nfor line in sys.stdin: print(line.strip())"]])
def test_unbuffer(wsluice, program):
    """They hold output back on a pipe, and input stays one: its end can be told."""
    daemon = wsluice(*JSON, "--unbuffer", "--eof-on-empty", "--", *program)
    client = daemon.open()
    client.text("abc")
    assert client.read_message() == (TEXT, b"abc")
    client.text("")
    assert client.read_close()[:2] == (1000, "exit 0")


def test_unbuffer_changes_no_byte(wsluice):
    script = ("import sys; w = sys.stdout.buffer.write; w(bytes(range(256)) * 1000); sys.stdout.flush(); "
              "assert sys.stdout.isatty() and not sys.stdin.isatty() and not sys.stderr.isatty(); "
              "assert __import__('os').environ['TERM'] == 'dumb'; sys.exit(5)")
    client = wsluice("--unbuffer", "--framing", "stream", *py(script)).open()
    code, _, messages = client.read_close()
    assert code == 4005 and b"".join(m.data for m in messages) == bytes(range(256)) * 1000


def test_unbuffer_with_stderr(wsluice):
    """Logged by itself, or in its place."""
    script = "import sys; print('out'); print('err', file=sys.stderr); print('end')"
    assert [m.data for m in wsluice("--unbuffer", *py(script)).open().read_close()[2]] == [b"out", b"end"]
    merged = wsluice("--unbuffer", "--stderr", "merge", *py(script)).open().read_close()[2]
    assert [m.data for m in merged] == [b"out", b"err", b"end"]


# ---- a terminal that nobody holds for a moment

CLOSED = "exec <&- >&- 2>&-"


def test_a_terminal_that_is_opened_again_goes_on(wsluice, tmp_path):
    """EIO is no end while the program lives: shells close their terminal, login(1) hangs it up and opens it again. The program
    goes on when we have seen that nobody holds it."""
    go = tmp_path / "go"
    os.mkfifo(go)
    daemon = wsluice("--pty", *sh(f"echo one; {CLOSED}; read x <{go}; exec <>/dev/tty >&0 2>&0; echo two; read x; echo got $x"))
    terminal = Terminal(daemon, tty=False)
    terminal.until(b"one\r\n")
    pid = daemon.children()[0].pid
    wait_until(lambda: not any("pts" in t for t in proc.fds(pid).values()), "the terminal to be closed")
    with open(go, "w") as file:  # opens when the shell reads: its terminal has been closed by then
        file.write("\n")
    terminal.until(b"two\r\n")
    terminal.type("x\n")
    terminal.until(b"got x\r\n")
    terminal.to_the_end()
    assert (terminal.closed.code, terminal.closed.reason) == (1000, "exit 0")


def test_what_is_typed_meanwhile_waits(wsluice, tmp_path):
    """More than the kernel holds of it, too: it is neither lost nor an end, and costs no time of ours."""
    go, size = tmp_path / "go", 40000
    os.mkfifo(go)
    daemon = wsluice("--pty", *sh(f"stty raw -echo; echo one; {CLOSED}; read x <{go}; exec <>/dev/tty >&0 2>&0; echo two; "
                                  f"head -c {size // 2} | wc -c"))
    terminal = Terminal(daemon, tty=False)
    terminal.until(b"one\n")
    pid = daemon.children()[0].pid
    wait_until(lambda: not any("pts" in t for t in proc.fds(pid).values()), "the terminal to be closed")
    terminal.type("x" * size)
    with open(go, "w") as file:
        file.write("\n")
    terminal.until(b"two\n")
    terminal.until(str(size // 2).encode())  # what lay in the kernel when nobody was there may be gone, as with a modem
    terminal.to_the_end()


def test_a_terminal_that_stays_closed_is_1000_though_the_program_lives(wsluice):
    daemon = wsluice("--pty", "--stop-grace", "100ms", *sh(f"echo one; {CLOSED}; exec sleep 1000"))
    terminal = Terminal(daemon, tty=False)
    start = time.monotonic()
    terminal.to_the_end()
    assert terminal.closed.code == 1000 and terminal.seen == b"one\r\n"
    assert time.monotonic() - start > 0.8, "it was given its second"


def test_who_opens_it_for_moments_only_is_heard(wsluice):
    """Never open when we look: what was written says that the program is there, for longer than the second."""
    script = ("import os, time\n"
              "for fd in (0, 1, 2): os.close(fd)\n"
              "end = time.monotonic() + 2.5\n"
              "while time.monotonic() < end:\n"
              "    fd = os.open('/dev/tty', os.O_RDWR); os.write(fd, b'x'); os.close(fd)\n"
              "fd = os.open('/dev/tty', os.O_RDWR); os.write(fd, b'done'); os._exit(5)\n")
    terminal = Terminal(wsluice("--pty", *py(script)), tty=False)
    assert terminal.to_the_end().strip(b"x") == b"done"
    assert terminal.closed.code == 4005


def test_a_status_that_follows_a_closed_terminal_is_told(wsluice):
    daemon = wsluice("--pty", *sh(f"{CLOSED}; sleep 0.1; exit 7"))
    terminal = Terminal(daemon, tty=False)
    terminal.to_the_end()
    assert terminal.closed.code == 4007


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can log somebody in, by login(1)")
def test_login_keeps_its_terminal(wsluice):
    """It hangs its own terminal up, and opens it by its name."""
    daemon = wsluice("--pty", "--", installed("login"), "-f", "root")
    for _ in range(12):
        terminal = Terminal(daemon, tty=False)
        terminal.type("echo a-b | tr ab xy; exit\n")
        terminal.until(b"x-y")
        terminal.to_the_end()
        assert terminal.closed.code == 1000


# ---- what a login sets

LOOK = "echo $HOME $USER $LOGNAME $SHELL $LC_CTYPE"


def environment(daemon, path="/"):
    return Terminal(daemon, path, tty=False).to_the_end().decode().split()


def of_account(name):
    account = pwd.getpwnam(name) if isinstance(name, str) else pwd.getpwuid(name)
    return [account.pw_dir, account.pw_name, account.pw_name, account.pw_shell]


NO_LOCALE = {"LC_ALL": "", "LC_CTYPE": "", "LANG": ""}


def test_a_terminal_finds_what_a_login_sets(wsluice):
    """Of our account, and a character set: without one tmux shows underscores."""
    assert environment(wsluice("--pty", *sh(LOOK), env=NO_LOCALE)) == [*of_account(os.geteuid()), "C.UTF-8"]


@pytest.mark.parametrize("name", ["LC_ALL", "LC_CTYPE", "LANG"])
def test_a_locale_that_is_set_stays(wsluice, name):
    daemon = wsluice("--pty", *sh("env"), env={**NO_LOCALE, name: "POSIX"})
    assert "C.UTF-8" not in " ".join(environment(daemon))


def test_what_a_login_sets_can_be_set(wsluice):
    daemon = wsluice("--pty", "--env", "HOME=/h", "--env", "SHELL=/s", "--env", "LC_CTYPE=x", *sh(LOOK), env=NO_LOCALE)
    assert environment(daemon)[0::3] == ["/h", "/s"] and environment(daemon)[4] == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_login_is_of_the_programs_account(wsluice, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("user: nobody\nroutes: " + json.dumps([
        {"path": "/other", "pty": ["sh", "-c", LOOK], "run-as": "daemon"}, {"path": "/own", "pty": ["sh", "-c", LOOK]}]))
    daemon = wsluice("-c", config, env=NO_LOCALE)
    assert environment(daemon, "/other")[:4] == of_account("daemon")
    assert environment(daemon, "/own")[:4] == of_account("nobody")


def test_programs_on_pipes_have_no_login(wsluice):
    client = wsluice(*sh("env"), env=NO_LOCALE).open()
    said = {m.data.partition(b"=")[0] for m in client.read_close()[2]}
    assert b"PATH" in said and not said & {b"HOME", b"USER", b"LOGNAME", b"SHELL", b"PAGER", b"TERM"}


# ---- unbuffer and pagers

@pytest.mark.parametrize("program", [["git", "log", "--format=%s"], ["sh", "-c", "exec ${MANPAGER:-less} text"], ["sh", "-c", "exec ${PAGER:-less} text"]],
                         ids=["git", "man", "other"])
def test_unbuffer_starts_no_pager(wsluice, tmp_path, program):
    """It would show nothing, or wait for a key that nobody can press."""
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True, capture_output=True)
    subprocess.run(["git", "-C", tmp_path, "config", "core.pager", "less"], check=True)
    for n in range(60):
        subprocess.run(["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", f"line {n}"], check=True, capture_output=True)
    (tmp_path / "text").write_text("".join(f"line {59 - n}\n" for n in range(60)))
    client = wsluice("--unbuffer", "--cwd", tmp_path, "--env", f"HOME={tmp_path}", "--", *program).open()
    assert [m.data.decode() for m in client.read_close()[2]] == [f"line {59 - n}" for n in range(60)]


def test_a_pager_can_be_had_all_the_same(wsluice):
    client = wsluice("--unbuffer", "--env", "PAGER=more", *sh("echo $PAGER $GIT_PAGER $TERM")).open()
    assert [m.data for m in client.read_close()[2]] == [b"more cat dumb"]
