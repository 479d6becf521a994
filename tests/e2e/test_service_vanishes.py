# SPDX-License-Identifier: MIT
"""Services that vanish without a FIN: the machine lost its power, the cable its plug. In a network of the test's own."""

import contextlib
import os

import pytest

from lib.net import Cable
from lib.setting import BINARY
from lib.tools import JSON, ended
from lib.wire import BINARY as BYTES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")


@pytest.fixture
def cable():
    with Cable() as made:
        yield made


@contextlib.contextmanager
def session(wsluice, cable, tmp_path, *options):
    """A session through the cable: the daemon, its client, the service's socket."""
    with cable.listener() as listener:
        port = listener.getsockname()[1]
        daemon = wsluice(*cable.inside(cable.near, BINARY)[1:], "-l", f"unix:{tmp_path}/door", *JSON, *options,
                         "--to", f"tcp://{cable.FAR}:{port}", binary="nsenter", listen=False)
        client = daemon.open()
        sock, _ = listener.accept()
        with sock:
            client.binary(b"hello")
            assert sock.recv(10) == b"hello"
            yield daemon, client, sock


@pytest.mark.parametrize("typed", [False, True], ids=["idle", "typed-to"])
def test_a_service_that_vanishes_is_1011(wsluice, cable, tmp_path, typed):
    """Idle, it is asked for a sign of life; typed to, its system acknowledges nothing. Our queue is empty both times."""
    with session(wsluice, cable, tmp_path, "--stall-timeout", "2s", "--ping", "0") as (daemon, client, _):
        cable.cut()
        if typed:
            client.binary(b"is anybody there?")
        client.expect_close(1011)
        record = ended(daemon)
        assert record["code"] == 1011 and record["closed_by"] == "backend"


def test_a_service_that_is_back_in_time_has_lost_nothing(wsluice, cable, tmp_path):
    with session(wsluice, cable, tmp_path, "--stall-timeout", "1h") as (_, client, sock):
        cable.cut()
        client.binary(b"is anybody there?")
        cable.mend()
        assert sock.recv(100) == b"is anybody there?"
        sock.sendall(b"yes")
        assert client.read_message() == (BYTES, b"yes")
