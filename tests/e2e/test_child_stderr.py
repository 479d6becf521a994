# SPDX-License-Identifier: MIT
"""What programs say on stderr: in the log, one printable line each, whatever it is."""

import json
import unicodedata

import pytest

from lib.proc import wait_until
from lib.setting import SOON
from lib.tools import JSON, orphans_reaped, py, records, sh, to_the_close
from lib.wire import TEXT


def said(daemon):
    return [r["text"] for r in records(daemon, "stderr")]


def test_stderr_lines_are_tagged_with_the_session(wsluice):
    daemon = wsluice(*JSON, *sh("echo to the log >&2; echo to the client; exit 0"))
    for n in (1, 2):
        assert to_the_close(daemon.open()) == (1000, "exit 0", [(TEXT, b"to the client")])
        record = wait_until(lambda: len(records(daemon, "stderr")) == n and records(daemon, "stderr")[-1], "stderr")
        assert record["text"] == "to the log" and record["id"] == n and record["pid"] > 1


def test_stderr_every_byte_in_json(wsluice):
    """Reversible: from what JSON says, the bytes can be had again."""
    data = bytes(i for i in range(256) if i != 10)
    daemon = wsluice(*JSON, *py(f"import os\nfor i in range(256): os.write(2, b'<' + bytes([i]) + b'>\\n')\nos.write(2, {data!r} + b'\\n')"))
    assert to_the_close(daemon.open())[0] == 1000
    wait_until(lambda: len(said(daemon)) >= 258, lambda: f"258 lines, got {len(said(daemon))}")
    for line in bytes(daemon.raw_log).splitlines():
        assert json.loads(line)["msg"]
        assert all(b >= 0x20 and b != 0x7f for b in line)
    texts = [t.encode("utf-8", "surrogateescape") for t in said(daemon)]
    wanted = [b"<%c>" % i for i in range(256)]
    wanted[10:11] = [b"<", b">"]
    assert texts == [*wanted, data]


def test_stderr_every_byte_in_text(wsluice):
    daemon = wsluice(*py("import os\nfor i in range(256): os.write(2, b'<' + bytes([i]) + b'FORGED>\\n')"))
    assert to_the_close(daemon.open())[0] == 1000
    daemon.wait_for_log("session closed")
    daemon.stop()
    lines = bytes(daemon.raw_log).decode("utf-8").split("\n")
    assert len(daemon.find_log(" stderr ")) == 257
    for line in lines:
        assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in line), repr(line)
        assert "FORGED" not in line or line.startswith("20"), repr(line)


def test_stderr_unicode_that_breaks_lines_or_order(wsluice):
    """U+2028, U+0085, U+202E and the like are printable to no terminal."""
    daemon = wsluice(*sh("printf 'a\\342\\200\\250b\\302\\205c\\342\\200\\256d\\n' >&2; exit 0"))
    to_the_close(daemon.open())
    line = daemon.wait_for_log(" stderr ").string
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in line), repr(line)


def test_stderr_tail_without_newline(wsluice):
    daemon = wsluice(*JSON, *sh("printf 'no newline' >&2; exit 1"))
    assert to_the_close(daemon.open())[0] == 4001
    wait_until(lambda: said(daemon) == ["no newline"], lambda: f"the tail, got {said(daemon)}")


def test_stderr_1_mib_without_newline_never_blocks(wsluice):
    daemon = wsluice(*JSON, *py("import sys\nsys.stderr.write('x' * (1 << 20))\nsys.stderr.flush()\nprint('done')"))
    assert to_the_close(daemon.open()) == (1000, "exit 0", [(TEXT, b"done")])
    daemon.wait_for_log("session closed")
    # The log may drop lines when it is itself slow, and then says so; it must not invent any.
    got = "".join(t.removesuffix("...") for t in said(daemon))
    assert set(got) <= {"x"} and len(got) <= 1 << 20
    assert len(got) == 1 << 20 or daemon.find_log("(?i)dropped|lost"), f"{len(got)} bytes of 1 MiB"


@pytest.mark.parametrize("mode", ["log", "merge", "discard"])
def test_stderr_flood_with_a_blocked_log_never_blocks(wsluice, mode):
    """Nobody reads the daemon's own stderr: programs and sessions go on."""
    daemon = wsluice("--stderr", mode, "--framing", "stream",
                     *py("import os\nfor i in range(3000): os.write(2, b'e' * 1000 + b'\\n')\nos.write(1, b'done')"))
    daemon.stall_log()
    try:
        code, _, messages = to_the_close(daemon.open(), 2 * SOON)
    finally:
        daemon.stall_log(False)
    assert code == 1000
    got = b"".join(m.data for m in messages)
    assert got.endswith(b"done") and len(got) == (3_003_004 if mode == "merge" else 4)


def test_stderr_discard(wsluice):
    daemon = wsluice("--stderr", "discard", *sh("echo unheard >&2; exit 0"))
    assert to_the_close(daemon.open())[2] == []
    daemon.wait_for_log("session closed")
    assert not daemon.find_log("unheard")


def test_stderr_merge_keeps_the_order(wsluice):
    daemon = wsluice("--stderr", "merge", *sh("echo 1; echo 2 >&2; echo 3; echo 4 >&2; exit 0"))
    assert [m.data for m in to_the_close(daemon.open())[2]] == [b"1", b"2", b"3", b"4"]
    assert not daemon.find_log(" stderr ")


def test_stderr_is_logged_while_the_client_does_not_read(orphans_reaped, wsluice):
    daemon = wsluice(*JSON, "--framing", "stream", "--stop-grace", "100ms",
                     *sh("(sleep 0.3; echo still heard >&2) & yes; wait"))
    daemon.open(connect=dict(rcvbuf=4096))
    wait_until(lambda: "still heard" in said(daemon), "stderr beside a blocked stdout")


def test_stderr_of_a_grandchild_after_the_end(orphans_reaped, wsluice):
    """It holds stderr only: the session ends at once, nothing hangs."""
    daemon = wsluice(*sh("sleep 0.4 >&- & exit 0"))
    assert to_the_close(daemon.open(), 2)[0] == 1000
