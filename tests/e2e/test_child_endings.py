# SPDX-License-Identifier: MIT
"""How sessions with programs end, whoever ends them, and programs that do not end well."""

import os
import random
import signal
import threading
import time

import pytest

from lib import proc
from lib.proc import process, wait_until
from lib.setting import SANITIZED, SOON
from lib.tools import JSON, Peak, ended, fill, hold_back, orphans_reaped, records, sh, to_the_close
from lib.wire import BINARY, CLOSE, Ended, PING, PONG, TEXT, close_payload, frame

QUICK = ("--stop-grace", "200ms", "--kill-grace", "200ms")
STUBBORN = "trap '' TERM; exec sleep 1000"  # what is ignored stays ignored over exec


def the_child(daemon, n=1):
    """The pid of the only program, when it runs what it was told to."""
    def found():
        return [c for c in daemon.children() if c.state != "Z" and c.command]
    return wait_until(lambda: len(found()) == n and found(), f"{n} child(ren)")[0].pid


def gone(pid, timeout=SOON):
    wait_until(lambda: not process(pid), f"process {pid} to be gone", timeout)


# The client ends it.

def test_client_close_is_eof_for_the_program(wsluice):
    """It may still do its work: here it writes what it had read to a file, after the client has gone."""
    daemon = wsluice(*JSON, *sh("cat >/dev/null; exit 7"))
    client = daemon.open()
    assert client.finish(1000, b"bye") == ""
    record = ended(daemon)
    assert (record["code"], record["closed_by"], record["exit"]) == (1000, "client", "7") and record["reason"] == "bye"


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999, None])
def test_client_close_is_echoed(wsluice, code):
    daemon = wsluice("--", "cat")
    client = daemon.open()
    client.send(frame(CLOSE, close_payload(code)))
    client.expect_close(code, answer=False)


def test_client_close_behind_data_that_is_all_delivered(wsluice, tmp_path):
    daemon = wsluice("--framing", "stream", *sh(f"cat > {tmp_path}/got"))
    data = os.urandom(3_000_000)
    client = daemon.open()
    client.send(b"".join(frame(BINARY, data[i : i + 50_000]) for i in range(0, len(data), 50_000)))
    client.finish()
    daemon.settle()
    assert (tmp_path / "got").read_bytes() == data


@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_client_gone_without_a_close_is_1006_in_the_log(wsluice, how):
    daemon = wsluice(*JSON, "--", "cat")
    client = daemon.open()
    client.text("x")
    client.read_message()
    {"fin": client.half_close, "rst": client.rst, "close": client.close}[how]()
    record = ended(daemon)
    assert (record["code"], record["closed_by"], record["exit"]) == (1006, "client", "0")
    if how == "fin":
        assert client.read_to_end()[0] == b"", "1006 is never sent (RFC 6455, section 7.4.1)"


TELLS_TERM = """trap 'echo SIGTERM came >&2' TERM; echo reading >&2; cat >/dev/null; echo end of input >&2
while :; do sleep 0.05; done"""


@pytest.mark.parametrize("how", ["close frame", "fin", "rst"])
def test_client_gone_starts_the_ladder(wsluice, how):
    """EOF, then SIGTERM after stop-grace, then SIGKILL after kill-grace."""
    daemon = wsluice(*JSON, "--stop-grace", "30s", "--kill-grace", "40s", *sh(TELLS_TERM), frozen=True)
    inside, client = daemon.inside, daemon.open()
    daemon.wait_for_log("reading")
    if how == "close frame":
        client.finish()  # at this very time: the client does not wait for the program
    else:
        {"fin": client.half_close, "rst": client.rst}[how]()
    daemon.wait_for_log("end of input")
    inside.advance(29.9)
    assert not daemon.find_log("SIGTERM came")
    inside.advance(0.2)
    daemon.wait_for_log("SIGTERM came")
    inside.advance(39.7)
    assert not records(daemon), "killed too early"
    inside.advance(0.3)
    record = ended(daemon)
    assert record["exit"] == "signal 9"


def test_a_program_that_heeds_term_is_not_killed(wsluice):
    daemon = wsluice(*JSON, "--stop-grace", "100ms", "--kill-grace", "60s",
                     *sh("trap 'exit 5' TERM; while :; do read x || sleep 0.01; done"))
    daemon.open().finish()
    assert ended(daemon)["exit"] == "5"


def test_stop_grace_0_is_sigterm_at_once(wsluice):
    daemon = wsluice(*JSON, "--stop-grace", "0", "--kill-grace", "1h", "--", "sleep", "1000")
    daemon.open().finish()
    assert ended(daemon)["exit"] == "signal 15"


def test_client_that_never_answers_our_close(wsluice):
    daemon = wsluice(*JSON, "--close-timeout", "30s", "--ping", "0", *sh("exit 0"), frozen=True)
    client = daemon.open()
    assert client.read_close()[0] == 1000
    assert daemon.inside.until(lambda: not client.silent(0.001), 31, step=0.25) > 29.7
    assert client.read_to_end()[0] == b""
    assert ended(daemon)["code"] == 1000


# The program ends it.

@pytest.mark.parametrize("status, code", [(0, 1000), (1, 4001), (3, 4003), (127, 4127), (255, 4255)])
def test_exit_status_is_the_close_code(wsluice, status, code):
    daemon = wsluice(*JSON, *sh(f"echo out; exit {status}"))
    assert to_the_close(daemon.open()) == (code, f"exit {status}", [(TEXT, b"out")])
    record = ended(daemon)
    assert (record["code"], record["closed_by"], record["exit"]) == (code, "backend", str(status))


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "PIPE", "HUP", "USR1"])
def test_signal_is_the_close_code(wsluice, name):
    number = getattr(signal, "SIG" + name)
    daemon = wsluice(*sh(f"ulimit -c 0; printf tail; kill -{name} $$; sleep 5"))
    assert to_the_close(daemon.open()) == (4300 + number, f"signal SIG{name}", [(TEXT, b"tail")])


def test_realtime_signal_has_a_reason_too(wsluice):
    code, reason, _ = to_the_close(wsluice(*sh("kill -40 $$; sleep 5")).open())
    assert code == 4340 and "40" in reason


def test_all_output_before_the_close(wsluice):
    """3 MB written as fast as can be, and exit at once: a slow reader gets all, then the Close."""
    data = b"0123456789abcde\n" * 190_000
    daemon = wsluice("--framing", "stream", *sh("yes 0123456789abcde | head -n 190000; exit 3"))
    client = daemon.open(connect=dict(rcvbuf=8192))
    time.sleep(0.3)  # everything fills up; the program is long done or blocked
    code, _, messages = to_the_close(client)
    assert code == 4003 and b"".join(m.data for m in messages) == data


def test_last_line_of_1000_quick_exits(wsluice):
    daemon = wsluice("--", "/bin/echo", "last words")
    wrong = []

    def run(n):
        for _ in range(n):
            got = to_the_close(daemon.open())
            if got != (1000, "exit 0", [(TEXT, b"last words")]):
                wrong.append(got)

    threads = [threading.Thread(target=run, args=(75 if SANITIZED else 250,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_program_closes_only_stdout_and_lives(wsluice, tmp_path):
    """Nothing more will come: Close 1000. Until then what the client sends still arrives."""
    daemon = wsluice(*JSON, *sh(f"echo end; exec >&-; exec cat > {tmp_path}/in"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"end")
    client.text("late")
    assert to_the_close(client) == (1000, "", [])
    assert ended(daemon)["exit"] == "0"
    assert (tmp_path / "in").read_bytes() == b"late\n"


def test_program_closes_stdout_and_exits_soon_tells_its_status(wsluice):
    daemon = wsluice(*sh("echo end; exec >&-; sleep 0.2; exit 9"))
    assert to_the_close(daemon.open()) == (4009, "exit 9", [(TEXT, b"end")])


def test_program_closes_only_stdin_and_lives(wsluice):
    """What the client sends is lost and counted; the output goes on, and the client's data does not block it."""
    daemon = wsluice(*JSON, *sh("exec <&-; echo deaf; sleep 0.5; echo still here; exit 0"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"deaf")
    for _ in range(100):
        client.text("x" * 10_000)
    assert to_the_close(client) == (1000, "exit 0", [(TEXT, b"still here")])
    assert ended(daemon)["dropped"] > 900_000


def test_program_closes_both_and_lives(wsluice):
    daemon = wsluice(*QUICK, *JSON, *sh("exec <&- >&-; exec sleep 1000"))
    assert to_the_close(daemon.open()) == (1000, "", [])
    assert ended(daemon)["exit"] == "signal 15"


def test_program_closes_all_three_and_lives(wsluice):
    daemon = wsluice(*QUICK, *JSON, *sh("exec <&- >&- 2>&-; exec sleep 1000"))
    assert to_the_close(daemon.open()) == (1000, "", [])
    assert ended(daemon)["exit"] == "signal 15"


def test_stopped_program_is_ended(wsluice):
    """SIGTERM alone would wait for ever in a stopped process."""
    daemon = wsluice(*JSON, "--stop-grace", "100ms", "--kill-grace", "60s", "--", "cat")
    client = daemon.open()
    pid = the_child(daemon)
    os.kill(pid, signal.SIGSTOP)
    client.rst()
    gone(pid)
    assert ended(daemon)["exit"] in ("0", "signal 15")


def test_stopped_program_that_ignores_term_is_killed(wsluice):
    daemon = wsluice(*JSON, *QUICK, *sh("trap '' TERM; kill -STOP $$; exec sleep 1000"))
    daemon.open().finish()
    assert ended(daemon)["exit"] == "signal 9"


# Grandchildren.

def test_grandchild_that_holds_stdout(orphans_reaped, wsluice):
    """The program has exited: its output is delivered, the Close follows within about a second, the grandchild ends."""
    daemon = wsluice(*sh("sleep 1000 & echo out; exit 4"), frozen=True)
    client = daemon.open()
    assert client.read_message() == (TEXT, b"out")
    wait_until(lambda: not [c for c in daemon.children() if c.name == "sh"], "the program to have ended")
    daemon.inside.advance(1.2)
    assert to_the_close(client)[:2] == (4004, "exit 4")
    daemon.inside.thaw()
    daemon.settle()


def test_grandchild_that_holds_stdout_and_goes_on_writing(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, *sh("(while echo noise; do sleep 0.05; done) & echo out; exit 0"))
    client = daemon.open()
    code, _, messages = to_the_close(client)
    assert code == 1000 and (TEXT, b"out") in messages
    daemon.settle()


def test_grandchild_that_floods_stdout_does_not_keep_the_session(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, "--framing", "stream", *sh("yes flood & echo out; exit 0"))
    assert to_the_close(daemon.open())[0] == 1000
    daemon.settle()


@pytest.mark.parametrize("cause", ["client", "exit"])
def test_grandchildren_that_ignore_term_are_killed(orphans_reaped, wsluice, cause):
    end = "wait" if cause == "client" else "exit 0"
    daemon = wsluice(*QUICK, *sh(f"({STUBBORN}) & ({STUBBORN}) & echo started; {end}"))
    client = daemon.open()
    assert client.read_message() == (TEXT, b"started")
    if cause == "client":
        client.rst()
    else:
        to_the_close(client)
    daemon.settle()


def test_grandchild_with_all_descriptors_closed_ends_too(orphans_reaped, wsluice):
    """Nobody holds a pipe, so nothing would be noticed but for the process group."""
    daemon = wsluice(*QUICK, *sh("sleep 1000 <&- >&- 2>&- & exit 0"))
    assert to_the_close(daemon.open())[0] == 1000
    wait_until(lambda: not proc.orphans(), "the grandchild to end")


# Programs that read nothing, or write without end.

NO_READER = ["--", "sleep", "1000"]


@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_program_that_reads_nothing_and_the_client_vanishes(wsluice, how):
    """Its data is held back, so no end is read from its socket: the end must be noticed all the same."""
    daemon = wsluice(*JSON, *QUICK, "--stall-timeout", "1h", "--framing", "stream", *NO_READER)
    client = daemon.open()
    pid = the_child(daemon)
    hold_back(client)
    {"fin": client.half_close, "rst": client.rst, "close": client.close}[how]()
    gone(pid)
    record = ended(daemon)
    assert (record["code"], record["closed_by"]) == (1006, "client") and record["dropped"] > 0


def test_program_that_reads_nothing_while_the_client_floods_and_is_reset(wsluice):
    daemon = wsluice(*JSON, *QUICK, "--stall-timeout", "1h", "--framing", "stream", *NO_READER, inside=True)
    client = daemon.open(connect=dict(sndbuf=65536))
    pid = the_child(daemon)
    with Peak(daemon) as peak:
        fill(client)
        client.rst()
        gone(pid)
    peak.check(3072)
    assert ended(daemon)["code"] == 1006


@pytest.mark.parametrize("how", ["fin", "close", "silence"])
def test_program_that_reads_nothing_while_the_client_floods_and_its_end_cannot_be_seen(wsluice, how):
    """Its FIN waits behind what our full window keeps out. Then stall-timeout is the bound."""
    daemon = wsluice(*JSON, *QUICK, "--stall-timeout", "1s", "--framing", "stream", *NO_READER)
    client = daemon.open(connect=dict(sndbuf=65536))
    pid = the_child(daemon)
    fill(client)
    {"fin": client.half_close, "close": client.close, "silence": lambda: None}[how]()
    gone(pid)
    assert ended(daemon)["code"] in (1011, 1006)


def test_program_that_reads_nothing_is_1011_after_stall_timeout(wsluice):
    daemon = wsluice(*JSON, *QUICK, "--stall-timeout", "700ms", "--framing", "stream", *NO_READER)
    client = daemon.open(connect=dict(sndbuf=65536))
    fill(client)
    client.try_send(b"")
    assert client.read_frame().code == 1011
    record = ended(daemon)
    assert (record["code"], record["closed_by"]) == (1011, "server")
    assert record["duration"] > 0.7


def test_flooding_program_lets_the_others_live(wsluice):
    """One session at full speed to a client that reads as fast as it can."""
    daemon = wsluice("--framing", "stream", "--route", "/flood=exec:/bin/cat /dev/zero", "--route", "/echo=exec:/bin/cat", inside=True)
    flood, other = daemon.open("/flood"), daemon.open("/echo")
    stop, count = threading.Event(), [0]

    def drink():
        while not stop.is_set():
            count[0] += len(flood.sock.recv(1 << 18))

    thread = threading.Thread(target=drink)
    thread.start()
    try:
        with Peak(daemon) as peak:
            echoes = 0
            while echoes < 100 or count[0] < 10 << 20:  # both get on
                other.binary(b"ping")
                assert other.read_message().data == b"ping"
                echoes += 1
    finally:
        stop.set()
        thread.join()
    peak.check(3072)


# kill -9 of the program at every state.

def kill_states(rng, daemon):
    """One session brought to some state; yields nothing, but returns (client, pid)."""
    client = daemon.open(connect=dict(rcvbuf=4096, sndbuf=32768))
    children = {c.pid for c in daemon.children()}
    state = rng.randrange(7)
    if state == 1:  # a message under way
        client.text("x" * rng.randrange(3000))
    elif state == 2:  # echoed
        client.text("hello")
        client.read_message()
    elif state == 3:  # part of a frame
        client.send(frame(TEXT, "x" * 1000)[: rng.randrange(1, 1000)])
    elif state == 4:  # both directions full, as the client does not read
        client.sock.settimeout(0.02)
        try:
            for _ in range(20):
                client.sock.sendall(frame(TEXT, "y" * 60_000))
        except TimeoutError:
            pass
        client.sock.settimeout(SOON)
    elif state == 5:  # we have closed, it has not ended yet
        client.send(frame(CLOSE, close_payload(1000)))
    elif state == 6:  # a fragment is held
        client.send(frame(TEXT, "part", fin=False))
    return client, children, state


def test_kill_9_of_the_program_at_every_state(wsluice):
    daemon = wsluice(*JSON, *QUICK, "--max-per-address", "0", "--close-timeout", "2s", "--", "cat")
    rng = random.Random(13)
    for i in range(70 if SANITIZED else 150):
        client, children, state = kill_states(rng, daemon)
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            code, _, _ = client.read_close()
            wanted = {1000, 4309} if state == 5 else {4309}
            assert code in wanted, f"state {state}: Close {code}"
            client.try_send(frame(CLOSE, close_payload(code)))
        except Ended:
            assert state in (3, 4, 5), f"state {state}: no Close"
        client.close()
    daemon.settle()
    client = daemon.open()
    client.text("fine")
    assert client.read_message() == (TEXT, b"fine")


def test_kill_9_while_it_starts(wsluice):
    """The moment of death is anywhere between vfork and its first read."""
    daemon = wsluice("--max-per-address", "0", *sh("kill -9 $$"))
    for _ in range(50 if SANITIZED else 200):
        assert to_the_close(daemon.open())[:2] == (4309, "signal SIGKILL")


# Limits and refusals that concern programs.

def test_errors_close_is_101_and_1014(wsluice, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    daemon = wsluice("--errors", "close", "--", program)
    program.unlink()
    client = daemon.open()
    code, reason, messages = to_the_close(client)
    assert code == 1014 and "No such file" in reason and not messages


def test_session_ended_frees_its_place(wsluice):
    daemon = wsluice("--max-sessions", "1", *sh("exit 0"))
    for _ in range(20):
        to_the_close(daemon.open())
        wait_until(lambda: not daemon.children(), "the end of the program")


def test_ping_is_answered_while_the_program_does_nothing(wsluice):
    client = wsluice(*NO_READER).open()
    client.send_frame(PING, b"alive?")
    assert client.read_frame().payload == b"alive?"


def test_idle_timeout_is_1001(wsluice):
    """Heartbeats do not count as data."""
    daemon = wsluice(*JSON, *QUICK, "--ping", "20s", "--idle-timeout", "90s", *NO_READER, frozen=True)
    client = daemon.open()
    for _ in range(3):
        daemon.inside.advance(22)
        found = client.read_frame()
        assert found.opcode == PING
        client.send_frame(PONG, found.payload)
        daemon.inside.settle()
    daemon.inside.advance(23.8)
    assert client.read_frame().opcode == PING and client.silent(0.05)
    daemon.inside.advance(0.4)
    daemon.inside.thaw()
    assert to_the_close(client)[:2] == (1001, "idle")
    assert ended(daemon)["code"] == 1001
