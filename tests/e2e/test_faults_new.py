# SPDX-License-Identifier: MIT
"""Faults where several features meet: found by attacks with random clients, programs and services."""

import pytest

from lib import peers
from lib.terminal import Terminal
from lib.tools import JSON, ended, fill, orphans_reaped, py
from lib.wire import PONG, ping


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_reset_of_a_service_we_write_to_is_1011(wsluice, server, tmp_path, kind):
    """The system tells of a RST once. A write hears it first, and reading then finds a plain end."""
    service = server(peers.hold, **({"path": tmp_path / "s"} if kind == "unix" else {}))
    daemon = wsluice(*JSON, "--to", service.to)
    for n in range(1, 4):
        client = daemon.open()
        sock = service.wait_accepted(n)
        fill(client)
        peers.reset(sock)
        code, reason, _ = client.read_close()
        assert code == 1011 and "reset" in reason
        client.close()
        record = ended(daemon, n)
        assert record["closed_by"] == "backend" and record["dropped"] > 0


@pytest.mark.parametrize("script, code", [
    pytest.param("import os, time\nif os.fork() == 0: time.sleep(1000)\nos._exit(3)", 4003, id="hung up"),
    pytest.param("import os, time\nfor fd in 0, 1, 2: os.close(fd)\ntime.sleep(1000)", 1000, id="closed"),
])
def test_typing_into_a_terminal_that_was_hung_up_is_lost(orphans_reaped, wsluice, script, code):
    """A full terminal without a program takes nothing ever again, and epoll says all the time that it is ready: what is
    typed must not wait for that, and we must not spin."""
    terminal = Terminal(wsluice("--stop-grace", "200ms", "--kill-grace", "200ms", "--pty", *py(script)))
    terminal.order("2")
    for _ in range(20):
        terminal.type(b"typed\n" * 10000)
    terminal.client.send(ping(b"all of it"))
    while terminal.client.read_frame().opcode != PONG:
        pass
    terminal.order("3")
    terminal.to_the_end()
    assert terminal.closed.code == code
