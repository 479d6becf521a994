# SPDX-License-Identifier: MIT
"""Faults where several features meet: found by attacks with random clients, programs and services."""

import pytest

from lib import peers
from lib.tools import JSON, ended, fill, to_the_close


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
