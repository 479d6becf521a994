# SPDX-License-Identifier: MIT
"""Framings that keep borders: what goes through them and back, byte by byte; limits; what breaks them; `tagged`."""

import re
import socket
import struct
import subprocess

import pytest

from lib import peers
from lib.admin import Admin
from lib.daemon import command_line
from lib.proc import wait_until, written_kib
from lib.setting import REPO
from lib.tools import JSON, Peak, ended, py, records, sh, to_the_close
from lib.wire import BINARY, TEXT, fragments, frame

PACK = {
    "lines": lambda data, _: data + b"\n",
    "crlf": lambda data, _: data + b"\r\n",
    "nul": lambda data, _: data + b"\0",
    "len32": lambda data, _: struct.pack(">I", len(data)) + data,
    "len32le": lambda data, _: struct.pack("<I", len(data)) + data,
    "netstring": lambda data, _: b"%d:%b," % (len(data), data),
    "lsp": lambda data, _: b"Content-Length: %d\r\n\r\n%b" % (len(data), data),
    "tagged": lambda data, opcode: struct.pack(">BI", opcode, len(data)) + data,
}
OUT = {"lines": TEXT, "crlf": TEXT, "nul": TEXT, "len32": BINARY, "len32le": BINARY, "netstring": BINARY, "lsp": TEXT}
STDERR, END = 3, 4  # types of `tagged`


def record(kind, data=b""):
    return PACK["tagged"](data, kind)


def came(framing, opcode):
    """The type of the frame that a message comes back in."""
    return OUT.get(framing, opcode)


def writes(data, framing, *options, then=""):
    """Options for a daemon with a program that writes data in one go."""
    return ["--framing", framing, *options, *py(f"import sys, time\nsys.stdout.buffer.write({data!r})\n"
                                                f"sys.stdout.flush()\n{then}")]


# There and back.

@pytest.mark.parametrize("framing", PACK)
def test_all_sizes_through_cat(wsluice, framing):
    client = wsluice("--framing", framing, "--", "cat").open()
    sizes = [0, 1, 2, 9, 10, 11, 99, 100, 101, 125, 126, 127, 0, 0, 999, 1000, 4095, 4096, 4097, 9999, 10000, 65535,
             65536, 65537, 3, 0]
    messages = [(TEXT if i % 2 else BINARY, bytes(97 + (i + k) % 26 for k in range(n))) for i, n in enumerate(sizes)]
    client.stream([b"".join(frame(*m) for m in messages)]).join()
    for opcode, data in messages:
        assert client.read_message() == (came(framing, opcode), data)
    client.send(fragments(TEXT, b"in fragments" * 1000, 997) + fragments(BINARY, b"x" * 300_000, 65536))
    assert client.read_message() == (came(framing, TEXT), b"in fragments" * 1000)
    assert client.read_message() == (came(framing, BINARY), b"x" * 300_000)


@pytest.mark.parametrize("framing", PACK)
def test_bytes_that_a_program_reads(wsluice, framing):
    """And eof-on-empty in every framing: the program's input ends, its answer comes."""
    client = wsluice("--framing", framing, "--eof-on-empty", "--stderr", "message",
                     *py("import sys; sys.stderr.write(sys.stdin.buffer.read().hex())")).open()
    client.send(frame(TEXT, "a") + frame(BINARY, b"b\xff") + frame(TEXT, "d" * 300) + frame(TEXT) + frame(TEXT, "late"))
    code, _, messages = to_the_close(client)
    want = b"".join(PACK[framing](*m) for m in ((b"a", TEXT), (b"b\xff", BINARY), (b"d" * 300, TEXT)))
    want += record(END) if framing == "tagged" else b""
    assert code == 1000 and bytes.fromhex("".join(m.data[1:].decode() for m in messages)) == want


@pytest.mark.parametrize("framing", PACK)
def test_written_byte_by_byte(wsluice, framing):
    messages = [(TEXT, b""), (BINARY, b"one"), (TEXT, "ünd two".encode()), (TEXT, b"")]
    data = b"".join(PACK[framing](d, o) for o, d in messages)
    daemon = wsluice("--framing", framing, *py(f"import os, time\nfor b in {data!r}: os.write(1, bytes([b])); time.sleep(.001)"))
    code, _, got = to_the_close(daemon.open())
    assert code == 1000 and got == [(came(framing, o), d) for o, d in messages]


@pytest.mark.parametrize("framing", PACK)
def test_thousands_of_small_messages(wsluice, framing):
    """Those of one read are gathered and leave in few writes; none may touch its neighbour."""
    words = [b"%d" % i * (i % 5) for i in range(2000)]
    daemon = wsluice(*JSON, *writes(b"".join(PACK[framing](w, TEXT) for w in words), framing))
    code, _, got = to_the_close(daemon.open())
    assert code == 1000 and [m.data for m in got] == words
    assert ended(daemon)["messages_out"] == 2000


def test_many_small_messages_leave_in_few_writes(wsluice, tmp_path):
    """What came of one read is one write, however many messages that is."""
    data = b"".join(PACK["tagged"](b"%d" % i, TEXT) for i in range(4000))
    trace = tmp_path / "trace"
    daemon = wsluice(*writes(data, "tagged"))
    strace = subprocess.Popen(["strace", "-qq", "-p", str(daemon.pid), "-e", "trace=sendto,write,writev,sendmsg", "-o", trace],
                              stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: "TracerPid:\t0" not in open(f"/proc/{daemon.pid}/status").read(), "strace to be there")
        assert len(to_the_close(daemon.open())[2]) == 4000
    finally:
        strace.terminate()
        strace.wait()
    assert len(trace.read_text().splitlines()) < 40


# Limits.

@pytest.mark.parametrize("framing", ["len32", "len32le", "netstring", "lsp", "tagged"])
@pytest.mark.parametrize("size", [1001, 0xFFFFFFFF])
def test_an_announced_length_is_judged_at_once(wsluice, framing, size):
    """Of the message not a byte has come, and none will."""
    head = {"len32": struct.pack(">I", size), "len32le": struct.pack("<I", size), "netstring": b"%d:" % size,
            "lsp": b"Content-Length: %d\r\n\r\n" % size, "tagged": struct.pack(">BI", 2, size)}[framing]
    daemon = wsluice("--max-message", "1000", *writes(PACK[framing](b"x" * 1000, TEXT) + head, framing, then="sys.stdin.read()"))
    code, reason, messages = to_the_close(daemon.open())
    assert (code, [m.data for m in messages]) == (1009, [b"x" * 1000]) and "max-message" in reason


def test_an_announced_length_costs_no_memory(wsluice):
    """Eight programs announce 64 MiB each, and send a little of it."""
    daemon = wsluice("--max-message", "100M", *writes(struct.pack(">I", 64 << 20) + b"x" * 1000, "len32",
                                                      then="sys.stderr.write('written\\n'); sys.stderr.flush(); sys.stdin.read()"))
    clients = [daemon.open() for _ in range(8)]
    wait_until(lambda: len(daemon.find_log("written")) == 8, "all to have written")
    # its addresses are taken, half a gigabyte of them, and no page of it that is not written to (2 MiB each where pages are huge)
    assert wait_until(lambda: written_kib(daemon.pid, 64 << 10), "room for a message to be there") < 8 * (4 << 10)
    for client in clients:
        client.finish()


@pytest.mark.parametrize("framing", PACK)
def test_max_message_of_the_client(wsluice, framing):
    client = wsluice("--max-message", "1000", "--framing", framing, "--", "cat").open()
    client.text(b"x" * 1000)
    assert client.read_message().data == b"x" * 1000
    client.text(b"x" * 1001)
    client.expect_close(1009)


def test_max_message_nul_has_no_end(wsluice):
    daemon = wsluice("--max-message", "1000", *writes(b"y" * 1000 + b"\0" + b"x" * 1001, "nul", then="sys.stdin.read()"))
    code, _, messages = to_the_close(daemon.open())
    assert code == 1009 and messages == [(TEXT, b"y" * 1000)]


# What breaks a framing is named; what came before is delivered.

BROKEN = {
    "netstring-garbage": ("netstring", b"garbage", "does not begin with its length"),
    "netstring-comma": ("netstring", b"3:abc;", "no comma behind a netstring"),
    "netstring-zero": ("netstring", b"03:abc,", "begins with 0"),
    "lsp-print": ("lsp", b"debug: x\nstarting up\n", "a line that is no header"),
    "lsp-no-length": ("lsp", b"Content-Type: x\r\n\r\n", "a header without Content-Length"),
    "lsp-no-number": ("lsp", b"Content-Length: many\r\n\r\n", "Content-Length is no number"),
    "lsp-endless": ("lsp", b"X: " + b"x" * 5000, "4096 bytes"),
    "tagged-type": ("tagged", b"\7\0\0\0\0", "unknown type"),
    "tagged-text": ("tagged", b"plain text\n", "unknown type"),
    "tagged-end": ("tagged", record(END, b"x"), "end record"),
}


@pytest.mark.parametrize("framing, data, why", BROKEN.values(), ids=BROKEN)
def test_broken_is_1011_with_the_reason(wsluice, framing, data, why):
    daemon = wsluice(*JSON, *writes(PACK[framing](b"good", TEXT) + data, framing, then="sys.stdin.read()"))
    code, reason, messages = to_the_close(daemon.open())
    assert (code, [m.data for m in messages]) == (1011, [b"good"])
    assert reason.startswith("the backend broke its framing: ") and why in reason
    assert why in ended(daemon)["reason"]


@pytest.mark.parametrize("framing", ["len32", "netstring", "lsp", "tagged"])
@pytest.mark.parametrize("left", [1, 4, 7, None])
def test_a_message_torn_by_the_end_is_not_passed_on(wsluice, framing, left):
    """1011 tells of it, unless the exit status tells already that all is not well."""
    whole = PACK[framing](b"whole", TEXT)
    data = whole + (whole[:-1] if left is None else whole[:left])
    code, reason, messages = to_the_close(wsluice(*writes(data, framing)).open())
    assert (code, reason) == (1011, "the backend ended inside a message") and [m.data for m in messages] == [b"whole"]
    code, reason, messages = to_the_close(wsluice(*writes(data, framing, then="sys.exit(3)")).open())
    assert (code, reason) == (4003, "exit 3") and [m.data for m in messages] == [b"whole"]


def test_a_service_that_ends_inside_a_message(wsluice, server):
    def half(connection):
        connection.sendall(b"\0\0\0\5hello\0\0\0\5hel")
        connection.shutdown(socket.SHUT_WR)

    client = wsluice("--framing", "len32", "--frames", "text", "--to", server(half).to).open()
    assert to_the_close(client) == (1011, "the backend ended inside a message", [(TEXT, b"hello")])


def test_nul_delivers_an_unterminated_end(wsluice):
    assert to_the_close(wsluice(*writes(b"one\0two\n\0three", "nul")).open())[2] == [
        (TEXT, b"one"), (TEXT, b"two\n"), (TEXT, b"three")]


def test_partial_lines_do_not_cut_records(wsluice):
    daemon = wsluice("--framing", "netstring", "--partial-lines", "20ms", *py("import os, time\nos.write(1, b'5:he'); time.sleep(.2); os.write(1, b'llo,')"))
    assert to_the_close(daemon.open())[2] == [(BINARY, b"hello")]


# Refused when the configuration is read.

@pytest.mark.parametrize("args, why", [
    (("--framing", "tagged", "--frames", "text"), "frames cannot be text or binary"),
    (("--framing", "tagged", "--stderr", "merge"), "stderr cannot be merge"),
    (("--framing", "lsp", "--stderr", "merge"), "stderr cannot be merge"),
    (("--framing", "len16",), "there are: lines crlf stream text nul len32 len32le netstring lsp tagged"),
])
def test_what_cannot_go_together(args, why):
    done = command_line(*args, "--", "cat")
    assert done.returncode == 2 and why in done.stderr, done


@pytest.mark.parametrize("where", ["--help-all", "--help-config", "docs/wsluice.8.scd", "docs/wsluice.yaml.5.scd"])
def test_every_framing_is_named_where_one_chooses(where):
    names = command_line("-f", "?", "--", "cat").stderr.partition("there are: ")[2].split()
    assert len(names) > 8
    text = command_line(where).stdout if where[0] == "-" else (REPO / where).read_text()
    words = re.split(r"[^a-z0-9]+", text[text.index("become bytes and back") :][:250])
    assert set(names) <= set(words)


def test_merge_goes_with_lines_and_services():
    for args in (("--framing", "nul", "--", "cat"), ("--framing", "tagged", "--to", "tcp://127.0.0.1:1")):
        assert command_line("--check", "--stderr", "merge", *args).returncode == 0


# tagged.

def test_tagged_keeps_types_of_the_program(wsluice):
    data = record(TEXT, "ä".encode()) + record(BINARY, b"\xff") + record(TEXT) + record(BINARY) + record(TEXT, b"b\xffd")
    assert to_the_close(wsluice(*writes(data, "tagged")).open())[2] == [
        (TEXT, "ä".encode()), (BINARY, b"\xff"), (TEXT, b""), (BINARY, b""), (TEXT, "b\ufffdd".encode())]
    assert to_the_close(wsluice(*writes(data, "tagged", "--invalid-utf8", "binary")).open())[2][-1] == (BINARY, b"b\xffd")
    code, reason, messages = to_the_close(wsluice(*writes(data, "tagged", "--invalid-utf8", "close")).open())
    assert code == 1011 and "UTF-8" in reason and len(messages) == 4


SAYS_ALL = "import sys; sys.stderr.write(sys.stdin.buffer.read().hex())"


@pytest.mark.parametrize("how, end", [("close", record(END)), ("fin", b""), ("rst", b"")])
def test_tagged_tells_an_orderly_end_from_a_lost_client(wsluice, how, end):
    daemon = wsluice(*JSON, "--framing", "tagged", *py(SAYS_ALL))
    client = daemon.open()
    client.text("last")
    if how == "close":
        client.finish()
    elif how == "fin":
        client.half_close()
        client.read_to_end()
    else:
        client.rst()
    assert ended(daemon)["exit"] == "0"
    said = bytes.fromhex("".join(r["text"] for r in records(daemon, "stderr")))
    assert said == record(TEXT, b"last") + end or (how == "rst" and said == b"")  # a RST may overtake the message


def test_tagged_has_no_end_record_when_we_end_it(wsluice):
    daemon = wsluice(*JSON, "--framing", "tagged", "--idle-timeout", "100ms", *py(SAYS_ALL))
    assert to_the_close(daemon.open())[0] == 1001
    ended(daemon)
    assert records(daemon, "stderr") == []


def test_tagged_end_of_the_program(wsluice):
    """Nothing behind it counts; its exit status still does, if it comes soon."""
    data = record(TEXT, b"all") + record(END) + record(TEXT, b"more")
    daemon = wsluice(*JSON, *writes(data, "tagged", then="time.sleep(.1); sys.stdout.write('still'); sys.exit(5)"))
    code, _, messages = to_the_close(daemon.open())
    assert (code, messages) == (4005, [(TEXT, b"all")])
    assert ended(daemon)["dropped"] == len(record(TEXT, b"more")) + len("still")
    client = wsluice(*writes(data, "tagged", then="sys.stdin.read()")).open()
    assert to_the_close(client)[::2] == (1000, [(TEXT, b"all")])


def test_tagged_end_of_a_service(wsluice, server):
    service = server(peers.echo)
    client = wsluice("--framing", "tagged", "--eof-on-empty", "--to", service.to).open()
    client.send(frame(BINARY, b"all of it") + frame(TEXT, "and text") + frame(BINARY))
    assert to_the_close(client) == (1000, "", [(BINARY, b"all of it"), (TEXT, b"and text")])


@pytest.mark.parametrize("mode, messages, logged", [
    ("log", [(TEXT, b"1"), (TEXT, b"2")], ["one", "two", "x" * 4096, "x" * 904]),
    ("discard", [(TEXT, b"1"), (TEXT, b"2")], []),
    ("message", [(TEXT, b"\x011"), (TEXT, b"\x02one\ntwo\n"), (TEXT, b"\x02" + b"x" * 5000), (TEXT, b"\x012")], []),
])
def test_tagged_stderr_goes_the_way_of_stderr(wsluice, mode, messages, logged):
    data = record(TEXT, b"1") + record(STDERR, b"one\ntwo\n") + record(STDERR, b"x" * 5000) + record(TEXT, b"2")
    daemon = wsluice(*JSON, *writes(data, "tagged", "--stderr", mode))
    assert to_the_close(daemon.open())[2] == messages
    ended(daemon)
    assert [r["text"].removesuffix("...") for r in records(daemon, "stderr")] == logged


# stderr: message.

def test_stderr_message_marks_every_message(wsluice):
    daemon = wsluice("--stderr", "message", *sh("echo out; echo err >&2; echo; echo >&2; printf 'b\\377d\\n' >&2"
                                                "; printf 'last words' >&2; printf 'last line'; exit 3"))
    code, _, messages = to_the_close(daemon.open())
    assert code == 4003
    assert [m.data for m in messages if m.data[:1] == b"\1"] == [b"\1out", b"\1", b"\1last line"]
    assert [m.data for m in messages if m.data[:1] == b"\2"] == [b"\2err", b"\2", b"\2b\xef\xbf\xbdd", b"\2last words"]
    assert len(messages) == 7 and not daemon.find_log("last words")


@pytest.mark.parametrize("framing, opcode", [("stream", BINARY), ("text", TEXT), ("len32", BINARY), ("tagged", TEXT)])
def test_stderr_message_in_frames_of_the_route(wsluice, framing, opcode):
    data = {"len32": b"\0\0\0\2ok", "tagged": record(TEXT, b"ok")}.get(framing, b"ok")
    daemon = wsluice(*writes(data, framing, "--stderr", "message", then="sys.stderr.write('bad\\n')"))
    assert sorted(to_the_close(daemon.open())[2]) == [(opcode, b"\1ok"), (opcode, b"\2bad")]


def test_stderr_message_characters_stay_whole(wsluice):
    """`text` cuts output between characters, and long lines of stderr are cut so too."""
    word = "漢字"
    daemon = wsluice("--framing", "text", "--stderr", "message", *py(f"""
import os, time
for b in {word.encode()!r}: os.write(1, bytes([b])); time.sleep(.01)
os.write(2, {('x' + word * 5000).encode()!r})"""))
    messages = [m.data.decode() for m in to_the_close(daemon.open())[2]]
    assert "".join(m[1:] for m in messages if m[0] == "\1") == word
    lines = [m[1:] for m in messages if m[0] == "\2"]
    assert "".join(lines) == "x" + word * 5000 and max(len(line.encode()) for line in lines) <= 4096


def test_stderr_message_lines_around_the_longest(wsluice):
    """Cut by the reads at any place: no line too many, none too few."""
    daemon = wsluice("--stderr", "message", *py("""
import os, time
for n in (4095, 4096, 4097, 8192, 8193):
    for cut in (1, 4095, 4096, n):
        os.write(2, b'x' * cut if cut < n else b''); time.sleep(.005); os.write(2, b'x' * (n - cut if cut < n else n) + b'\\n')"""))
    want = [w for n in (4095, 4096, 4097, 8192, 8193) for _ in range(4)
            for w in [4096] * ((n - 1) // 4096) + [(n - 1) % 4096 + 1]]
    assert [len(m.data) - 1 for m in to_the_close(daemon.open())[2]] == want


def test_stderr_message_all_of_it_before_the_close(wsluice):
    """However the program ends, and however much it says at the last moment."""
    daemon = wsluice("--stderr", "message", *py("""
import os, signal
os.write(2, b''.join(b'%d\\n' % i for i in range(9000)))
os.write(1, b'out\\n')
os.kill(os.getpid(), signal.SIGKILL)"""))
    for _ in range(5):
        code, _, messages = to_the_close(daemon.open())
        assert code == 4309
        assert [m.data for m in messages if m.data != b"\1out"] == [b"\2%d" % i for i in range(9000)]
        assert (TEXT, b"\1out") in messages


def held(daemon):
    """Waits until a program is not read any more, for its client reads nothing."""
    door = Admin(daemon)
    wait_until(lambda: any(s["backend_paused"] for s in door.sessions()), "the program to be held")


def test_stderr_message_waits_for_a_slow_client(wsluice):
    """Bounded: the program is held, nobody else; nothing is lost."""
    daemon = wsluice("--stderr", "message", "--admin", "127.0.0.1:0", *py("""
import os
for i in range(20000): os.write(2, b'%05d' % i + b'e' * 994 + b'\\n')"""), inside=True)
    slow = daemon.open(connect=dict(rcvbuf=4096))
    with Peak(daemon) as peak:
        held(daemon)
        daemon.open().finish()
    peak.check(4 << 10)
    code, _, messages = to_the_close(slow, 30)
    assert code == 1000 and [m.data[1:6] for m in messages] == [b"%05d" % i for i in range(20000)]


def test_stderr_message_flood_of_empty_lines_is_bounded(wsluice):
    daemon = wsluice("--stderr", "message", "--stop-grace", "50ms", "--admin", "127.0.0.1:0",
                     *py("import os\nwhile True: os.write(2, b'\\n' * 60000)"), inside=True)
    with Peak(daemon) as peak:
        client = daemon.open(connect=dict(rcvbuf=4096))
        held(daemon)
        client.rst()
        daemon.wait_for_log("session closed")
    peak.check(4 << 10)


def test_stderr_message_of_a_service_changes_nothing(wsluice, server):
    client = wsluice("--stderr", "message", "--to", server(peers.echo).to).open()
    client.binary(b"plain")
    assert client.read_message() == (BINARY, b"plain")
    client = wsluice("--stderr", "message", "--to", "echo:").open()
    client.text("plain")
    assert client.read_message() == (TEXT, b"plain")


def test_stderr_message_is_recorded(wsluice, tmp_path):
    daemon = wsluice("--stderr", "message", "--framing", "stream", "--record", tmp_path, *sh("echo bad >&2; exit 0"))
    to_the_close(daemon.open())
    daemon.wait_for_log("session closed")
    (file,) = tmp_path.glob("*.jsonl")
    assert "AmJhZA==" in file.read_text()  # \2bad
    daemon = wsluice("--stderr", "message", "--record", tmp_path, *sh("echo bad >&2; exit 0"))
    to_the_close(daemon.open())
    daemon.wait_for_log("session closed")
    (file,) = tmp_path.glob("*.cast")
    assert '"bad\\r\\n"' in file.read_text()
