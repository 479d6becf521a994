# SPDX-License-Identifier: MIT
"""When memory runs out: the server stays, sessions that stand go on, and who is turned away is counted."""

import json
import mmap
import struct
import subprocess

import pytest

from lib import peers
from lib.admin import Admin, labels
from lib.deflate import Deflated, agreed
from lib.proc import wait_until
from lib.setting import BINARY, SOON
from lib.tls import Certificate
from lib.tls import client as tls_client
from lib.wire import BINARY as BINARY_FRAME
from lib.wire import CLOSE, TEXT, Closed, Ended, close_payload, frame

pytestmark = pytest.mark.plain("sanitizers have their own malloc and want all of the address space")

# Fails one call, when it is told to: {armed, countdown, failed} lie in a file that the test maps too.
FAILING = r"""
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static volatile int *order;
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAILING");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsetenv("FAILING"); /* programs are left alone */
    unsetenv("LD_PRELOAD");
    order = p == MAP_FAILED ? NULL : p;
}
static int fails(void)
{
    if (order == NULL || !order[0] || --order[1] != 0)
        return 0;
    order[2]++;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return fails() ? NULL : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
"""


class Failing:
    """The allocator of a daemon, one call of which fails."""

    def __init__(self, folder):
        source, self.library, self.path = folder / "failing.c", folder / "failing.so", folder / "order"
        source.write_text(FAILING)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.order = mmap.mmap(file.fileno(), 4096)
        self.environment = {"LD_PRELOAD": str(self.library), "FAILING": str(self.path)}

    def arm(self, nth):
        self.order[0:12] = struct.pack("iii", 0, nth, 0)
        self.order[0:4] = struct.pack("i", 1)

    def disarm(self):
        """True when there was a call that failed."""
        self.order[0:4] = struct.pack("i", 0)
        return struct.unpack("iii", self.order[0:12])[2] > 0


@pytest.fixture
def failing(tmp_path):
    return Failing(tmp_path)


def talk(client, opcode):
    """A session from its handshake to its end; what became of it in one word."""
    response = client.upgrade("/", [("Sec-WebSocket-Extensions", "permessage-deflate")])
    if response.status != 101:
        assert response.status == 503, response
        return "refused"
    if response.get("Sec-WebSocket-Extensions"):
        client = Deflated(client, agreed(response))
        client.send(b"word" * 500)
        assert client.read()
        client = client.raw
    else:
        client.text(b"word" * 500)
        assert client.read_message().opcode == opcode
    client.finish()
    return "served"


def try_it(connect, opcode):
    try:
        client = connect()
    except OSError:
        return "not connected"
    try:
        return talk(client, opcode)
    except TimeoutError:
        raise
    except Exception:  # an end, a Close 1011, or a reset: all are answers
        return "ended"
    finally:
        client.close()


KINDS = ["echo", "program", "service", "TLS", "compression", "a hook"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_allocation_may_fail(wsluice, server, tmp_path, failing, kind):
    """From accept to the end of a session, one call after the other: nobody waits in vain, the server stays, and the
    next client is served. Where it is the event loop's call, nobody notices."""
    opcode, args = TEXT, ["--to", "echo:"]
    if kind == "program":
        args = ["--", "cat"]
    elif kind == "service":
        args, opcode = ["--to", f"tcp://127.0.0.1:{server(peers.echo).port}"], BINARY_FRAME
    elif kind == "compression":
        args = ["--compression", "on", "--", "cat"]
    elif kind == "a hook":
        (tmp_path / "hook").write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / "hook").chmod(0o755)
        args = ["--auth", "hook", "--auth-hook", str(tmp_path / "hook"), "--to", "echo:"]
    if kind == "TLS":
        certificate = Certificate(tmp_path, "localhost")
        args = ["--tls-cert", certificate.cert, "--tls-key", certificate.key, *args]
    daemon = wsluice("--handshake-timeout", "5s", *args, env=failing.environment)

    def over_tls():
        return tls_client(daemon.address, certificate)

    connect = over_tls if kind == "TLS" else daemon.connect
    assert try_it(connect, opcode) == "served"
    results, failed, nth = [], True, 0
    while failed:
        nth += 1
        failing.arm(nth)
        results.append(try_it(connect, opcode))
        failed = failing.disarm()
        assert daemon.alive(), f"call {nth}\n{daemon.tail()}"
        if nth % 10 == 0 or not failed:
            assert try_it(connect, opcode) == "served", f"after call {nth}\n{daemon.tail()}"
    assert nth > 5 and results[-1] == "served"
    assert {"ended", "refused"} & set(results)


def page(daemon, path, n=None):
    """A client that counts, of a room of its own, behind its first message; `again` is its query to come back with."""
    client = daemon.connect(timeout=10)
    response = client.upgrade(f"{path}&resume=p" + (f"&got={n}" if n else ""),
                              [("Sec-WebSocket-Extensions", "permessage-deflate")])
    if response.status != 101:
        assert response.status in (500, 503) and b"emory" in response.body, response
        client.close()
        raise Closed(503, "refused")
    client = Deflated(client, agreed(response)) if response.get("Sec-WebSocket-Extensions") else client
    about = said_to(client)
    assert about[:1] == b"\3"
    return client, json.loads(about[1:])


def said_to(client):
    return client.read()[1] if isinstance(client, Deflated) else client.read_message()[1]


def ask(client, word, answer):
    if isinstance(client, Deflated):
        client.send(b"\0" + word, TEXT)
    else:
        client.send(frame(TEXT, b"\0" + word))
    while not said_to(client).endswith(answer):
        pass


def story(daemon, path, hub):
    """A session is begun, left, come back to, and shared or taken over; each message is answered, or its client's end told."""
    raw = lambda c: c.raw if isinstance(c, Deflated) else c  # noqa: E731
    first, begin = page(daemon, path)
    ask(first, b"one" * 50, b"one" * 50)
    raw(first).rst()
    second, again = page(daemon, path, None if hub else f"1:{begin['id']}")
    assert again["id"] == begin["id"], "quietly another session"
    ask(second, b"two" * 50, b"two" * 50)
    other = daemon.connect(timeout=10)
    if other.upgrade(path).status == 101:
        assert other.read_message()[1]
    other.send_frame(CLOSE, close_payload(1000))
    other.close()
    raw(second).try_send(frame(CLOSE, close_payload(1000)))
    raw(second).rst()


@pytest.mark.parametrize("kind", ["token", "hub"])
def test_each_allocation_of_a_session_that_outlives_its_connections_may_fail(wsluice, tmp_path, failing, kind):
    """Nobody waits in vain, and nobody gets quietly a session that ends with the connection."""
    config = tmp_path / "wsluice.yaml"
    program = ["sed", "-u", "s/^/* /"]
    how = {"token": {"session": "token"}, "hub": {"session": "{r}", "framing": "hub"}}[kind]
    config.write_text(json.dumps({"compression": "on", "detach": "100ms", "routes": [
        {"path": "/{r:[a-z0-9]+}", **how, "exec": program if kind == "hub" else ["cat"]}]}))
    daemon = wsluice("-c", config, env=failing.environment)

    def tell(nth):
        try:
            story(daemon, f"/r{nth}?session={nth:022d}", kind == "hub")
            return "served"
        except (Closed, Ended, OSError) as e:
            assert not isinstance(e, TimeoutError), f"call {nth}: {daemon.tail()}"
            return "ended"
    assert tell(0) == "served"
    results, failed, nth = [], True, 0
    while failed:
        nth += 1
        failing.arm(nth)
        results.append(tell(nth))
        failed = failing.disarm()
        assert daemon.alive(), f"call {nth}\n{daemon.tail()}"
        if nth % 20 == 0 or not failed:
            assert tell(1000 + nth) == "served", f"after call {nth}\n{daemon.tail()}"
    assert nth > 30 and results[-1] == "served" and "ended" in results


@pytest.fixture
def narrow(wsluice, tmp_path):
    """narrow(KIB, ARG...): a daemon that has so much address space beyond what it begins with."""

    def start(kib, *args):
        size = wsluice("--to", "echo:")
        kib += int(next(line for line in open(f"/proc/{size.pid}/status") if line.startswith("VmPeak")).split()[1])
        script = tmp_path / "narrow"
        script.write_text(f'#!/bin/sh\nulimit -v {kib}\nexec {BINARY} "$@"\n')
        script.chmod(0o755)
        return wsluice("--admin", "127.0.0.1:0", "--max-per-address", "0", "--max-sessions", "100000", *args,
                       binary=str(script))

    return start


def test_out_of_memory_is_no_end(narrow):
    """Accepting pauses; all sessions live on, with all their messages at once; the operator is answered; and when some
    leave, others come."""
    daemon = narrow(700, "--to", "echo:")
    door = Admin(daemon)
    sessions, refused = [], 0
    while refused == 0:
        client = daemon.connect(timeout=1)
        try:
            refused += client.upgrade().status != 101
        except Exception:
            refused += 1
        else:
            sessions.append(client)
        assert len(sessions) < 20000
    assert len(sessions) > 100
    assert door.metrics()[labels("wsluice_accept_pauses_total")] >= 1
    daemon.wait_for_log("cannot accept connections.*reason=\"Cannot allocate memory\"")
    for client in sessions:
        client.text(b"w" * 2000)
    for client in sessions:
        assert client.read_message().data == b"w" * 2000
    for _ in range(50):
        sessions.pop().finish()
    fresh = daemon.open()
    fresh.text(b"new")
    assert fresh.read_message().data == b"new"
    assert door.ask("GET", "/metrics")[0] == 200


def test_a_crowd_that_writes_and_never_reads_ends_itself_only(narrow):
    """Queues take the memory; those that get none end with a line in the log, and are counted."""
    daemon = narrow(2000, "--ping", "0s", "--to", "echo:")
    door = Admin(daemon)
    good = daemon.open()
    crowd = [daemon.open(connect=dict(rcvbuf=4096, timeout=1)) for _ in range(100)]
    for client in crowd:
        client.sock.setblocking(False)
        try:
            for _ in range(200):
                client.sock.send(frame(BINARY_FRAME, b"x" * 60000))
        except OSError:
            pass
    daemon.wait_for_log("out of memory for=")
    for client in crowd:
        client.rst()
    wait_until(lambda: door.ask("GET", "/metrics")[0] == 200, "memory for the operator")
    assert door.metrics()[labels("wsluice_out_of_memory_total")] > 0
    good.text(b"fine")
    assert good.read_message(timeout=SOON).data == b"fine"


def test_programs_get_the_address_space_of_the_start(narrow):
    daemon = narrow(4000, "--", "sh", "-c", "ulimit -Sv; ulimit -Hv")
    client = daemon.open()
    soft, hard = (client.read_message().data for _ in range(2))
    assert soft == hard
