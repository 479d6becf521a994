# SPDX-License-Identifier: MIT
"""What an operator sees of sessions that outlive their connections: ctl, metrics, recordings, the log."""

import base64
import json

import pytest

from lib.admin import Admin
from lib.daemon import command_line
from lib.proc import wait_until
from lib.tools import JSON, ended, records, sh
from lib.wire import BINARY, CLOSE, close_payload, frame

TOKEN = "A-zero_9" * 4


@pytest.fixture
def seen(wsluice):
    """A daemon with an admin address, its ctl and what it counts."""
    class Seen:
        def __init__(self, *args):
            self.daemon = wsluice(*JSON, "--admin", "127.0.0.1:0", *args)
            self.admin = Admin(self.daemon)

        def ctl(self, *words):
            return command_line("ctl", "--admin", self.admin.ctl, *words)

        def count(self, name, **labels):
            return sum(v for (n, *of), v in self.admin.metrics().items()
                       if n == name and labels.items() <= dict(of).items())

        def left(self, n):
            wait_until(lambda: len(records(self.daemon, "client left")) >= n, f"client {n} to leave")
    started = []

    def start(*args):
        started.append(Seen(*args))
        return started[-1]
    yield start
    for each in started:
        each.daemon.close_clients()
        each.daemon.stop()


def read(client, n):
    return [client.read_message()[1].decode() for _ in range(n)]


def test_what_is_shown_and_counted_of_a_token(seen):
    """Who came and how, what was replayed; a session without a client says since when, and no token is anywhere."""
    it = seen("--session", "token", *sh("while read x; do echo $x; done"))
    first = it.daemon.open(f"/?session={TOKEN}")
    first.text("seven b")
    assert read(first, 1) == ["seven b"]
    second = it.daemon.open(f"/?session={TOKEN}")
    assert read(second, 1) == ["seven b"]
    first.close()
    assert it.count("wsluice_session_clients") == 1 and it.count("wsluice_sessions_detached") == 0
    second.rst()
    it.left(2)
    for wrong, code in (("got=9", 4402), ("got=9&x=1", 4402)):
        assert it.daemon.open(f"/?session={TOKEN}&{wrong}").read_close()[0] == code
    assert it.daemon.open(f"/?session={'B' * 22}&got=1").read_close()[0] == 4400
    assert it.count("wsluice_session_clients") == 0 and it.count("wsluice_sessions_detached") == 1
    assert it.count("wsluice_session_replayed_bytes_total") == len("seven b")
    for result, n in {"new": 1, "took_over": 1, "joined": 0, "gap": 2, "not_there": 1, "no_room": 0, "busy": 0, "failed": 0}.items():
        assert it.count("wsluice_session_attaches_total", result=result) == n, result
    assert 0 < it.count("wsluice_replay_memory_bytes") < it.count("wsluice_replay_memory_limit_bytes") == 256 << 20
    lines = it.ctl("sessions").stdout
    key = json.loads(it.ctl("--json", "show", "1").stdout)["key"]
    assert len(key) == 8 and f"token {key}" in lines and "detached " in lines and TOKEN not in lines
    third = it.daemon.open(f"/?session={TOKEN}&got=1")
    third.text("eight")
    assert read(third, 1) == ["eight"]
    assert "detached" not in it.ctl("sessions").stdout
    joined, left = records(it.daemon, "client joined"), records(it.daemon, "client left")
    assert [(r["number"], r["how"], r["next"]) for r in joined] == [(1, "new", 1), (2, "took_over", 1), (3, "joined", 2)]
    assert [(r["number"], r["code"]) for r in left] == [(1, 4401), (2, 1006)]
    assert TOKEN not in "\n".join(it.daemon.log)
    assert it.ctl("kick", "1").returncode == 0
    assert third.read_close()[0] == 1008
    third.close()
    ended(it.daemon)
    assert it.count("wsluice_session_clients") == 0 and it.count("wsluice_sessions_detached") == 0


def script(folder):
    path = folder / "program"
    path.write_text("#!/bin/sh\nread x; echo $x; read y\n")
    path.chmod(0o700)
    return path


def test_one_client_of_many_is_kicked(seen, tmp_path):
    it = seen("--session", "{room}", "--route", f"/r/{{room:[a-z]+}}=exec:{script(tmp_path)}")
    clients = [it.daemon.open("/r/lobby") for _ in range(3)]
    shown = it.ctl("show", "1").stdout
    assert "room lobby" in it.ctl("sessions").stdout and "clients               3" in shown
    assert [line.split()[0] for line in shown.splitlines() if "127.0.0.1:" in line and "client" not in line] == ["3", "2", "1"]
    for wrong in ("1/4", "2/1"):
        assert it.ctl("kick", wrong).returncode == 1
    assert it.ctl("kick", "1/2", "enough").returncode == 0
    assert clients[1].read_close()[:2] == (1008, "enough")
    clients[2].text("all the same")
    assert read(clients[0], 1) == read(clients[2], 1) == ["all the same"]
    assert it.count("wsluice_session_clients") == 2


def test_who_misses_messages_is_counted(seen):
    it = seen("--session", "shared", "--replay", "4K", "--stall-timeout", "1h", "--read-only",
              *sh("sleep 0.3; i=0; while [ $i -lt 4000 ]; do i=$((i+1)); printf '%01000d\\n' $i; done; read y"))
    slow, fast = it.daemon.open("/", connect={"rcvbuf": 4096}), it.daemon.open("/")
    assert int(read(fast, 4000)[-1]) == 4000
    while int(read(slow, 1)[0]) != 4000:
        pass
    skipped = it.count("wsluice_session_skipped_messages_total")
    assert 0 < skipped == json.loads(it.ctl("--json", "show", "1").stdout)["newest_clients"][1]["skipped"]


def until(client, text):
    """Reads until this was said, in whatever pieces."""
    seen = b""
    while text not in seen:
        seen += client.read_message()[1]


@pytest.mark.parametrize("how, record", [(["--framing", "text"], "cast"), (["--frames", "binary"], "jsonl")])
def test_one_recording_of_all_and_nothing_of_two_mixed(seen, tmp_path, how, record):
    it = seen("--session", "shared", "--record", tmp_path, *how, "--", "cat")
    first = it.daemon.open("/")
    first.send(frame(BINARY, b"on", fin=False))  # half a message, while another speaks
    second = it.daemon.open("/")
    second.send(frame(BINARY, b"two"))
    until(second, b"two")
    first.send(frame(0, b"e\xe2"))  # whole, but it ends in the beginning of a character
    until(second, b"one")
    second.send(frame(BINARY, b"\x82\xac."))
    until(second, b".")
    second.rst()
    it.left(1)
    first.send_frame(CLOSE, close_payload(1001))
    it.left(2)
    assert it.ctl("kick", "1").returncode == 0
    ended(it.daemon)
    path, = tmp_path.iterdir()
    assert path.suffix == "." + record
    events = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    if record == "cast":
        told = [(kind, text) for _, kind, text in events if kind != "o"]
        marks, said = [t.split()[:2] for k, t in told if k == "m"], [t for k, t in told if k == "i"]
        assert "".join(said) == "twoone\ufffd\ufffd\ufffd."
    else:
        marks = [[e["event"], str(e["number"])] for e in events if "event" in e]
        said = [(e["number"], base64.b64decode(e["data"])) for e in events if e.get("dir") == "in"]
        assert said == [(2, b"two"), (1, b"one\xe2"), (2, b"\x82\xac.")]
    assert marks == [["joined", "1"], ["joined", "2"], ["left", "2"], ["left", "1"]]
