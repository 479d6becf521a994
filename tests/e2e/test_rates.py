# SPDX-License-Identifier: MIT
"""How much a client may send in a time. Rates are so slow that only the burst counts, or so fast that the test waits
for what must come; what must not come is proved by what comes instead."""

import json
import re
import struct

import pytest

from lib import peers
from lib.admin import Admin, labels
from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SOON
from lib.wire import BINARY, PING, PONG, TEXT, binary, close_payload, cont, frame, ping, text

JSON = ("--log-format", "json")


@pytest.fixture
def limited(wsluice):
    """limited(OPTION...): the admin door of a daemon with an echo, unless --config or --route is there."""
    def start(*args):
        target = () if any(a in ("--config", "--route", "--to", "--") for a in args) else ("--to", "echo:")
        return Admin(wsluice(*JSON, "--admin", "127.0.0.1:0", *args, *target))
    return start


def held(door, count=1):
    wait_until(lambda: [s["rate_held"] for s in door.sessions()].count(True) == count, f"{count} held clients")


def echoes(client, n):
    """All that comes until nothing does for a moment is not a fact: the ping in front of them is, see each use."""
    return [client.read_message().data for _ in range(n)]


def kick(door, client, session=1):
    """The session is alive enough to be ended; returns the messages that came before."""
    assert door.post(f"/sessions/kick?what={session}") == (200, {"kicked": 1})
    code, reason, messages = client.read_close()
    assert (code, reason) == (1008, "ended by the operator")
    return messages


def test_exactly_the_burst_passes(limited):
    door = limited("--max-message-rate", "1/h:5")
    client = door.daemon.open()
    client.send(b"".join(text(str(i)) for i in range(20)))
    held(door)
    assert [m.data for m in kick(door, client)] == [b"%d" % i for i in range(5)]
    client.close()
    line = json.loads(door.daemon.wait_for_log(r'.*"session closed".*').group(0))
    assert line["rate_holds"] == "1" and line["dropped"] > 0, line
