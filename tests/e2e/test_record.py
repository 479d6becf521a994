# SPDX-License-Identifier: MIT
"""Recordings of sessions (docs/recording.md): asciicast v2 of text, JSON lines of everything else."""

import base64
import fcntl
import json
import os
import random
import re
import resource
import stat
import subprocess
import termios

import pytest

from lib import peers
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SOON
from lib.tools import JSON, ended, py, records, sh, to_the_close
from lib.wire import BINARY, TEXT, cont, fragments, frame


def files(folder, session=1):
    """The files of a session in the order of their parts; all that is there must be recordings."""
    found = {}
    for name in os.listdir(folder):
        match = re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-(\d+)(?:-([2-9]|[1-9]\d+))?\.(cast|jsonl)", name)
        assert match, name
        if int(match[1]) == session:
            found[int(match[2] or 1)] = folder / name
    for path in found.values():
        mode = os.stat(path)
        assert stat.S_ISREG(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o600
    return [found[part] for part in sorted(found)]


def read_cast(path):
    """The header and the events, checked by what the description of asciicast v2 demands."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    header, *events = map(json.loads, lines)
    assert header["version"] == 2
    assert all(isinstance(header[k], int) and header[k] > 0 for k in ("width", "height", "timestamp"))
    assert all(isinstance(v, str) for v in header["env"].values())
    before = 0
    for event in events:
        time, kind, text = event
        assert isinstance(time, (int, float)) and time >= before
        assert kind in ("i", "o") and isinstance(text, str) and text
        text.encode("utf-8")  # no lone surrogates
        before = time
    return header, events


def said(events, kind):
    return "".join(text for _, k, text in events if k == kind)


def read_lines(path):
    lines = path.read_bytes().decode("ascii").split("\n")
    assert lines.pop() == ""
    header, *events = map(json.loads, lines)
    assert header["format"] == "wsluice-recording" and header["version"] == 1
    before = 0
    for event in events:
        assert set(event) == {"time", "dir", "type", "end", "data"}
        assert event["time"] >= before and event["dir"] in ("in", "out")
        before = event["time"]
    return header, events


def messages(events, way):
    """Whole messages of one direction: [(opcode, bytes)]."""
    result, parts = [], []
    for event in events:
        if event["dir"] != way:
            continue
        parts.append(base64.b64decode(event["data"], validate=True))
        if event["end"]:
            result.append(({"text": TEXT, "binary": BINARY}[event["type"]], b"".join(parts)))
            parts = []
    assert not parts
    return result


def test_lines_become_an_asciicast(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", tmp_path, *py(
        "import sys\nfor line in sys.stdin:\n print('got', line.strip(), '\\x1b[1m\\u20ac\\x1b[0m', flush=True)"))
    client = daemon.open("/a%22b")
    for text in ("one", "zw\u00f6lf", 'quote " and \\ and \t'):
        client.text(text)
        assert client.read_message().data.decode().startswith("got")
    client.finish()
    record = ended(daemon)
    path, = files(tmp_path)
    header, events = read_cast(path)
    assert path.suffix == ".cast"
    assert said(events, "i") == 'one\nzw\u00f6lf\nquote " and \\ and \t\n'
    assert said(events, "o") == "".join(
        f"got {t} \x1b[1m\u20ac\x1b[0m\r\n" for t in ("one", "zw\u00f6lf", 'quote " and \\ and'))
    assert record["client"] in header["title"] and '/a"b' in header["title"]
    assert header["env"]["WSLUICE_ROUTE"] == "/"
    assert events[-1][0] <= record["duration"] + 0.1


def test_asciinema_plays_it(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", tmp_path, *sh("printf 'a\\nb \\342\\202\\254'; exit 0"))
    to_the_close(daemon.open())
    ended(daemon)
    path, = files(tmp_path)
    controller, terminal = os.openpty()  # it insists on a terminal of its own
    try:
        played = subprocess.run(
            ["asciinema", "cat", path], stdin=terminal, capture_output=True, timeout=4 * SOON, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
                 "ASCIINEMA_CONFIG_HOME": str(tmp_path / ".config")})
    finally:
        os.close(controller)
        os.close(terminal)
    assert played.returncode == 0, played.stderr
    assert played.stdout == "a\r\nb \u20ac".encode()


def test_text_cut_inside_characters(wsluice, tmp_path):
    """Each byte of the output is read by itself; the recording has whole characters only."""
    text = "a\u00e4\u20ac\U0001f600" * 20
    daemon = wsluice(*JSON, "--record", tmp_path, "-f", "text", *py(
        f"import os, time\nfor b in {text.encode()!r}: os.write(1, bytes([b])); time.sleep(0.001)"))
    client = daemon.open()
    to_the_close(client)
    ended(daemon)
    _, events = read_cast(files(tmp_path)[0])
    assert said(events, "o") == text and len(events) > 10


@pytest.mark.parametrize("what", ["both", "output"])
def test_binary_round_trip_is_rebuilt(wsluice, tmp_path, what):
    data = random.Random(7).randbytes(300_000)
    daemon = wsluice(*JSON, "--record", tmp_path, "--record-what", what, "-f", "stream", "--", "cat")
    client = daemon.open("/path")
    pieces = [data[:1], data[1:200], data[200:70_000], data[70_000:]]
    sender = client.stream([frame(BINARY, p) for p in pieces])
    got = b""
    while len(got) < len(data):
        got += client.read_message().data
    sender.join()
    client.finish()
    assert got == data
    record = ended(daemon)
    path, = files(tmp_path)
    header, events = read_lines(path)
    assert path.suffix == ".jsonl" and header["session"] == 1 and header["part"] == 1
    assert header["client"] == record["client"] and header["path"] == "/path" and header["framing"] == "stream"
    assert b"".join(m for _, m in messages(events, "out")) == data
    assert len(messages(events, "out")) == record["messages_out"]
    sent = messages(events, "in")
    assert sent == ([(BINARY, p) for p in pieces] if what == "both" else [])


@pytest.mark.parametrize("what", ["both", "output"])
def test_echo_keeps_types_and_borders(wsluice, tmp_path, what):
    daemon = wsluice(*JSON, "--record", tmp_path, "--record-what", what, "--to", "echo:")
    client = daemon.open()
    sent = [(TEXT, b""), (BINARY, bytes(range(256))), (TEXT, "\u20ac".encode()), (BINARY, b"x" * 100_000)]
    for opcode, data in sent:
        client.send(frame(opcode, data))
        assert client.read_message() == (opcode, data)
    client.send(fragments(TEXT, b"in seven pieces", 2) + frame(BINARY, b"", fin=False) + cont(b""))
    for one in ((TEXT, b"in seven pieces"), (BINARY, b"")):
        assert client.read_message() == one
        sent.append(one)
    client.finish()
    ended(daemon)
    _, events = read_lines(files(tmp_path)[0])
    assert messages(events, "out") == sent
    assert messages(events, "in") == (sent if what == "both" else [])


def test_output_only_leaves_input_out(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", tmp_path, "--record-what", "output", *sh("read x; echo hello; exit 0"))
    client = daemon.open()
    client.text("a secret")
    to_the_close(client)
    ended(daemon)
    path, = files(tmp_path)
    _, events = read_cast(path)
    assert said(events, "o") == "hello\r\n" and b"secret" not in path.read_bytes()


def test_caps_and_rotation(wsluice, tmp_path):
    """Every file is whole by itself, and the oldest go."""
    lines = 40_000
    daemon = wsluice(*JSON, "--record", tmp_path, "--record-max", "64K", "--record-files", "3",
                     *py(f"for i in range({lines}): print('line', i)"))
    code, _, got = to_the_close(daemon.open(), 4 * SOON)
    assert code == 1000 and len(got) == lines
    ended(daemon)
    parts = files(tmp_path)
    assert len(parts) == 3
    numbers = [int(re.search(r"Z-1-(\d+)\.cast", p.name)[1]) for p in parts]
    assert numbers == list(range(numbers[0], numbers[0] + 3)) and numbers[0] >= 3
    text = ""
    for part in parts:
        assert os.path.getsize(part) <= 64 * 1024
        header, events = read_cast(part)
        assert events
        text += said(events, "o")
    whole = "".join(f"line {i}\r\n" for i in range(lines))
    assert whole.endswith(text) and len(text) > 100_000


def test_rotation_keeps_all_when_told(wsluice, tmp_path):
    data = random.Random(8).randbytes(400_000)
    daemon = wsluice(*JSON, "--record", tmp_path, "--record-max", "64K", "--record-files", "0", "-f", "stream",
                     "--", "cat")
    client = daemon.open()
    sender = client.stream([frame(BINARY, data)])
    got = b""
    while len(got) < len(data):
        got += client.read_message().data
    sender.join()
    client.finish()
    ended(daemon)
    parts = files(tmp_path)
    assert len(parts) > 12
    everything = []
    for number, part in enumerate(parts, 1):
        header, events = read_lines(part)
        assert header["part"] == number
        everything += events
    for way in ("in", "out"):
        assert b"".join(m for _, m in messages(everything, way)) == data


def test_full_disk_ends_the_recording_only(wsluice, tmp_path):
    """A limit on file sizes stands for the disk: the write fails in the middle, as on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        daemon = wsluice(*JSON, "--record", tmp_path, "-f", "text", "--", "cat")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    data = b"0123456789abcdef" * 20_000
    client = daemon.open()
    sender = client.stream([frame(TEXT, data)])
    got = b""
    while len(got) < len(data):
        got += client.read_message().data
    sender.join()
    client.text("still there")
    assert client.read_message().data == b"still there"
    client.finish()
    ended(daemon)
    assert got == data
    stopped, = records(daemon, "recording stopped")
    path, = files(tmp_path)
    assert stopped["id"] == 1 and stopped["file"] == str(path) and "large" in stopped["reason"]
    _, events = read_cast(path)  # whole lines only
    assert 50_000 < os.path.getsize(path) <= 100_000
    assert data.decode().startswith(said(events, "o"))
    # the next one has a file of its own
    client = daemon.open()
    client.text("next")
    client.read_message()
    client.finish()
    ended(daemon, 2)
    assert said(read_cast(files(tmp_path, 2)[0])[1], "o") == "next"


def test_a_crash_loses_a_second_at_most(wsluice, server, tmp_path):
    daemon = wsluice("--record", tmp_path, "-f", "lines", "--to", server(peers.echo).to)
    client = daemon.open()
    client.text("kept")
    client.read_message()
    path = wait_until(lambda: files(tmp_path), "the file")[0]
    wait_until(lambda: path.stat().st_size, "the first write")
    daemon.expect_exit = -9
    daemon.send_signal(9)
    daemon.wait()
    assert said(read_cast(path)[1], "o") == "kept\r\n"


def test_sessions_without_a_byte_leave_no_file(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", tmp_path, "--", "cat")
    daemon.open().finish()
    ended(daemon)
    assert os.listdir(tmp_path) == []


def test_off_by_default_and_undone_by_off(wsluice, tmp_path):
    daemon = wsluice(*JSON, "--record", "off", "--", "cat", cwd=tmp_path)
    client = daemon.open()
    client.text("x")
    client.read_message()
    client.finish()
    ended(daemon)
    assert os.listdir(tmp_path) == []


def test_directory_goes_away(wsluice, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    daemon = wsluice(*JSON, "--record", folder, "--", "cat")
    folder.rmdir()
    client = daemon.open()
    client.text("x")
    assert client.read_message().data == b"x"
    client.finish()
    ended(daemon)
    stopped, = records(daemon, "recording stopped")
    assert "No such file" in stopped["reason"]


@pytest.mark.parametrize("kind, why", [("none", "No such file"), ("file", "Not a directory")])
def test_bad_directory_is_told_at_the_start(tmp_path, kind, why):
    path = tmp_path / "r"
    if kind == "file":
        path.touch()
    done = command_line("-l", "127.0.0.1:0", "--record", path, "--to", "echo:")
    assert done.returncode == 1
    assert re.fullmatch(rf"wsluice: record {path}: {why}.*\n", done.stderr), done.stderr


def test_unwritable_directory_is_told_at_the_start(unprivileged):
    path = unprivileged.folder / "records"
    path.mkdir()
    path.chmod(0o555)
    done = unprivileged("-l", "127.0.0.1:0", "--record", path, "--to", "echo:")
    assert done.returncode == 1 and "Permission denied" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_directory_must_suit_the_account(tmp_path):
    """Root could write there, but it is not root who will."""
    done = command_line("-l", "127.0.0.1:0", "--user", "nobody", "--record", tmp_path, "--to", "echo:")
    assert done.returncode == 1 and "Permission denied" in done.stderr


def test_descriptors_come_back(wsluice, tmp_path):
    """finish() of the daemon compares its sockets and pipes; here its files."""
    daemon = wsluice(*JSON, "--record", tmp_path, "--to", "echo:")
    for n in range(20):
        client = daemon.open()
        client.text("x")
        client.read_message()
        client.finish() if n % 2 else client.rst()
    ended(daemon, 20)
    assert len(os.listdir(tmp_path)) == 20
    assert not [t for t in daemon.fds().values() if str(tmp_path) in t]
