# SPDX-License-Identifier: MIT
"""What a client sends ends up in the log: printable, one line an event, valid JSON."""

import json
import unicodedata

import pytest

from lib.wire import Ended, Raw

ROUTE = "/echo"
MARK = "Forged-Line"


def speak_every_byte(daemon):
    """Every byte 0-255 in path, header value, Origin and the reason of a Close, each followed by MARK."""
    for i in range(256):
        nasty = f"{chr(i)}{MARK}"
        for path, headers in ((ROUTE + "/" + nasty, []), (ROUTE, [("User-Agent", nasty)]),
                              (ROUTE, [("Origin", "http://x" + nasty)]), ("/none" + nasty, [])):
            with Raw.connect(daemon.address) as client:
                client.send(client.head(path, headers))
                client.half_close()
                try:
                    client.read_response()
                except Ended:
                    pass
        client = daemon.open(ROUTE)
        client.finish(1000, nasty.encode("utf-8"))
        client.close()


def check_printable(daemon):
    assert daemon.raw_log.endswith(b"\n")
    for line in bytes(daemon.raw_log).split(b"\n"):
        text = line.decode("utf-8")  # must be valid
        assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text), f"unprintable in the log: {line!r}"
        assert not text.startswith(MARK), f"a client forged a line: {text!r}"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_log_text_cannot_be_forged(wsluice, level):
    daemon = wsluice("--log-level", level, "--route", f"{ROUTE}=echo:")
    speak_every_byte(daemon)
    daemon.stop()
    check_printable(daemon)
    assert daemon.wait_for_log(MARK), "the log does not show what clients sent: this test proves nothing"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_log_json_cannot_be_forged(wsluice, level):
    daemon = wsluice("--log-level", level, "--log-format", "json", "--route", f"{ROUTE}=echo:")
    speak_every_byte(daemon)
    daemon.stop()
    check_printable(daemon)
    records = [json.loads(line) for line in daemon.log]
    assert all(isinstance(r, dict) for r in records)
    assert all({"time", "level", "msg"} <= set(r) for r in records)
    assert any(MARK in line for line in daemon.log), "the log does not show what clients sent"
