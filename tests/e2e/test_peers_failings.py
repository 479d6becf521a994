# SPDX-License-Identifier: MIT
"""What websocketd, ttyd and websockify get wrong, measured on them: each a test named after what it protects."""

import os
import socket
import threading
import time

import pytest

from lib import peers
from lib.proc import process, wait_until
from lib.setting import SANITIZED, SOON
from lib.tools import JSON, Peak, ended, fill, hold_back, orphans_reaped, py, records, sh, to_the_close
from lib.wire import BINARY, PING, PONG, TEXT, Ended, Raw, close_payload, fragments, frame

QUICK = ("--stop-grace", "200ms", "--kill-grace", "200ms")

# websocketd.


def test_unterminated_last_line_arrives(wsluice):
    daemon = wsluice(*sh("printf 'first\\nlast without newline'; exit 0"))
    assert to_the_close(daemon.open()) == (1000, "exit 0", [(TEXT, b"first"), (TEXT, b"last without newline")])


def test_prompt_without_newline_shows_with_partial_lines(wsluice):
    client = wsluice("--partial-lines", "100ms", *sh("printf 'login: '; read name; echo hello $name")).open()
    assert client.read_message() == (TEXT, b"login: ")
    client.text("bob")
    assert client.read_message() == (TEXT, b"hello bob")


@pytest.mark.parametrize("script, code, reason", [("exit 0", 1000, "exit 0"), ("exit 1", 4001, "exit 1"),
                                                  ("kill -9 $$", 4309, "signal SIGKILL")])
def test_close_tells_exit_status(wsluice, script, code, reason):
    assert to_the_close(wsluice(*sh(script)).open()) == (code, reason, [])


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65536, 300_000])
def test_stderr_line_over_4096_does_not_block(wsluice, size):
    daemon = wsluice(*py(f"import sys\nprint('e' * {size}, file=sys.stderr)\nprint('went on')"))
    assert to_the_close(daemon.open()) == (1000, "exit 0", [(TEXT, b"went on")])


def test_grandchildren_end_too(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, *sh("sleep 1001 & sleep 1002 & echo $!; wait"))
    client = daemon.open()
    grandchild = int(client.read_message().data)
    assert process(grandchild)
    client.rst()
    wait_until(lambda: not process(grandchild), "the grandchild to end")


@pytest.mark.parametrize("ping", ["0", "25s"])
def test_child_that_reads_nothing_is_reaped(wsluice, ping):
    """When its client has vanished, pings or not."""
    daemon = wsluice(*QUICK, "--ping", ping, "--framing", "stream", "--", "sleep", "1000")
    client = daemon.open()
    hold_back(client)
    assert len(daemon.children()) == 1
    client.rst()
    wait_until(lambda: not daemon.children(), "the program to be reaped")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example"])
def test_foreign_origin_refused(wsluice, origin):
    daemon = wsluice("--", "cat")
    assert daemon.connect().upgrade(origin=origin).status == 403
    assert not daemon.children()


def test_proxy_header_never_HTTP_PROXY(wsluice):
    daemon = wsluice("--framing", "stream", "--", "env")
    for name in ("Proxy", "proxy", "PROXY"):
        _, _, messages = to_the_close(daemon.open(headers=[(name, "http://evil.example")]))
        output = b"".join(m.data for m in messages)
        assert b"GATEWAY_INTERFACE" in output and b"HTTP_PROXY" not in output.upper() and b"evil" not in output


def test_invalid_utf8_is_replaced(wsluice):
    """A text frame that is not UTF-8 makes browsers end the connection."""
    messages = to_the_close(wsluice(*sh("printf 'caf\\351\\nok\\n'; exit 0")).open())[2]
    assert [m.data.decode() for m in messages] == ["caf\ufffd", "ok"]


def test_200_MB_without_newline_memory_flat(orphans_reaped, wsluice):
    daemon = wsluice(*JSON, *QUICK, *sh("head -c 200000000 /dev/zero | tr '\\0' x"), inside=True)
    client = daemon.open()
    with Peak(daemon) as peak:
        code, _, messages = to_the_close(client)
    assert code == 1009 and not messages
    peak.check(5 * 1024)  # a message of 1 MiB, twice while it grows
    assert ended(daemon)["code"] == 1009


def test_200_MB_through_a_stream_memory_flat(wsluice):
    total = 50_000_000 if SANITIZED else 200_000_000
    daemon = wsluice("--framing", "stream", *sh(f"head -c {total} /dev/zero"), inside=True)
    client = daemon.open()
    got = 0
    with Peak(daemon) as peak:
        while True:
            found = client.read_frame()
            if found.opcode != BINARY:
                break
            got += len(found.payload)
    assert got == total and found.code == 1000
    peak.check(3072)


def test_1MB_of_short_lines_through_cat(wsluice):
    """All sent before anything is read; websocketd 0.4.1 gives 0 of 16,001 lines."""
    client = wsluice("--", "cat").open()
    lines = [b"%05d " % i + b"x" * 57 for i in range(16_001)]
    client.send(b"".join(frame(TEXT, line) for line in lines))
    assert [client.read_message().data for _ in lines] == lines


def test_300kB_binary_echo_through_cat_stream(wsluice):
    client = wsluice("--framing", "stream", "--", "cat").open()
    data, got = os.urandom(300_000), b""
    client.binary(data)
    while len(got) < len(data):
        got += client.read_message().data
    assert got == data


def test_1MiB_binary_echo_through_a_service(wsluice, server):
    client = wsluice("--to", server(peers.echo).to).open()
    data, got = os.urandom(1 << 20), b""
    client.binary(data)
    while len(got) < len(data):
        got += client.read_message().data
    assert got == data


# ttyd, where it concerns pipes.

def test_fast_exit_output_arrives(wsluice):
    daemon = wsluice(*sh("echo hi; exit 0"))
    for _ in range(100 if SANITIZED else 300):
        assert to_the_close(daemon.open()) == (1000, "exit 0", [(TEXT, b"hi")])


def test_50_MiB_to_a_child_that_does_not_read_memory_flat(wsluice):
    daemon = wsluice(*QUICK, "--framing", "stream", "--", "sleep", "1000", inside=True)
    client = daemon.open(connect=dict(sndbuf=65536))
    with Peak(daemon) as peak:
        assert fill(client, limit=50 << 20) < 20 << 20
    peak.check(3072)
    client.rst()


def test_unfinished_fragmented_message_memory_flat(wsluice):
    """100 MiB of it: 1009 where it is assembled."""
    daemon = wsluice(*QUICK, "--", "cat", inside=True)
    client = daemon.open()
    with Peak(daemon) as peak:
        client.try_send(frame(TEXT, "x", fin=False))
        for _ in range(100):
            if not client.try_send(frame(0, b"x" * (1 << 20), fin=False)):
                break
    peak.check(5 * 1024)
    daemon.wait_for_log("code=1009")


def test_pause_of_a_slow_client_stops_the_program(wsluice):
    """A client that reads nothing holds the program up, and not its output in our memory."""
    daemon = wsluice(*QUICK, "--framing", "stream", "--", "cat", "/dev/zero", inside=True)
    daemon.open(connect=dict(rcvbuf=4096))
    pid = wait_until(daemon.children, "the program")[0].pid

    def written():
        with open(f"/proc/{pid}/io") as file:
            return int(dict(line.split(": ") for line in file.read().splitlines())["wchar"])

    with Peak(daemon) as peak:
        time.sleep(0.4)
        before = written()
        time.sleep(0.3)
        assert written() == before
    peak.check(3072)


def test_child_that_ignores_signals_does_not_outlive_us(orphans_reaped, wsluice):
    daemon = wsluice(*QUICK, "--close-timeout", "300ms", *sh("trap '' HUP TERM INT; exec sleep 1000"))
    client = daemon.open()
    time.sleep(0.1)
    assert daemon.stop() == 0  # finish() finds it if it is left behind
    assert client.read_close()[0] == 1001


# websockify.

def test_memory_of_a_session(wsluice, server):
    """28.9 MB with a process for each; here less than two KiB in one process."""
    daemon = wsluice("--max-per-address", "0", "--to", server(peers.hold).to, inside=True)
    daemon.open()
    with Peak(daemon) as peak:
        for _ in range(200):
            daemon.open()
    peak.check(200 * 2)
    assert not daemon.children()


def test_client_that_stops_reading_is_still_heard(wsluice, server):
    """It freezes only its own direction: what it sends arrives, pings too."""
    service = server(peers.hold)
    daemon = wsluice("--to", service.to)
    client = daemon.open(connect=dict(rcvbuf=4096))
    sock = service.wait_accepted()
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(b"y" * 65536)
    sock.settimeout(SOON)
    time.sleep(0.1)
    for word in (b"one", b"two", b"three"):
        client.send(frame(PING) + frame(BINARY, word))
        assert sock.recv(100) == word


def test_pongs_are_checked(wsluice, server):
    """11 unanswered pings, and its session was still open."""
    client = wsluice("--ping", "200ms", "--pong-timeout", "300ms", "--to", server(peers.hold).to).open()
    seen = 0
    with pytest.raises(Ended):
        while True:
            seen += client.read_frame().opcode == PING
    assert seen == 1


def test_target_fin_keeps_client_data_flowing(wsluice, server):
    """The service has said all it has to say; what the client still sends until it reads our Close arrives."""
    def half(sock):
        sock.sendall(b"header")
        sock.shutdown(socket.SHUT_WR)

    service = server(half)
    client = wsluice("--to", service.to).open()
    sock = service.wait_accepted()
    assert client.read_message() == (BINARY, b"header")
    client.send(b"".join(frame(BINARY, b"%04d" % i) for i in range(1000)))
    assert client.read_frame().code == 1000
    client.send(frame(8, close_payload(1000)))
    got = b""
    sock.settimeout(SOON)
    while data := sock.recv(65536):
        got += data
    assert got == b"".join(b"%04d" % i for i in range(1000))


def test_text_frames_accepted_for_services(wsluice, server):
    client = wsluice("--to", server(peers.echo).to).open()
    client.send(fragments(TEXT, "ein grüner Text".encode(), 4))
    got = b""
    while len(got) < len("ein grüner Text".encode()):
        message = client.read_message()
        assert message.opcode == BINARY
        got += message.data
    assert got.decode() == "ein grüner Text"


def test_unknown_path_is_an_http_status(wsluice, server):
    """And not a connection that just ends."""
    daemon = wsluice("--route", f"/known={server(peers.echo).to}")
    response = daemon.connect().upgrade("/unknown")
    assert response.status == 404 and response.body


def test_unread_target_memory_flat(wsluice, server):
    """Ten clients that flood a backend that never reads: 2.1 GB in 8 seconds."""
    daemon = wsluice("--to", server(peers.hold).to, inside=True)
    piece, until, total = frame(BINARY, b"f" * 65000), time.monotonic() + 2, []

    def flood():
        with Raw.connect(daemon.address) as client:
            client.open()
            client.sock.settimeout(0.2)
            sent = 0
            while time.monotonic() < until:
                try:
                    sent += client.sock.send(piece)
                except TimeoutError:
                    pass
            total.append(sent)
            client.rst()

    with Peak(daemon) as peak:
        threads = [threading.Thread(target=flood) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(total) == 10
    peak.check(10 * 100 + 3072)


def test_idle_sessions_are_not_cut(wsluice):
    """493 of its 1,000 were. Here each answers its pings, and all are there in the end."""
    n = 200 if SANITIZED else 600
    daemon = wsluice(*JSON, "--ping", "800ms", "--pong-timeout", "5s", "--max-per-address", "0", "--to", "echo:")
    clients = [daemon.open() for _ in range(n)]
    for client in clients:
        found = client.read_frame()
        assert found.opcode == PING
        client.send(frame(PONG, found.payload))
    for client in clients:
        client.text("still here")
    for client in clients:
        assert client.read_message() == (TEXT, b"still here")
    assert not records(daemon)
