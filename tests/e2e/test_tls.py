# SPDX-License-Identifier: MIT
"""TLS listeners: the wire as over TCP, certificates by name, what is refused, and starts that must not happen."""

import contextlib
import os
import ssl
import subprocess

import pytest

from lib.daemon import command_line
from lib.proc import wait_until
from lib.setting import SCALE, SOON
from lib.tls import Certificate, client
from lib.wire import BINARY, TEXT, Ended, Raw, binary, fragments, ping, text


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.fixture
def secure(wsluice, cert):
    return lambda *args: wsluice("--tls-cert", cert.cert, "--tls-key", cert.key, *args)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_echo_of_all_sizes(secure, cert, version):
    daemon = secure("--to", "echo:")
    with client(daemon.address, cert, low=version, high=version).open() as c:
        messages = [b"s" * size for size in (0, 1, 125, 126, 16383, 16384, 16385, 65535, 65536, 1000000)]
        c.exchange([binary(m) for m in messages], [(BINARY, m) for m in messages])


def test_records_of_one_byte(secure, cert):
    daemon = secure("--to", "echo:")
    with client(daemon.address, cert) as c:
        c.send(c.head(), chop=1)
        assert c.read_response().status == 101
        c.send(text("bit by bit") + ping(b"p") + fragments(BINARY, b"abc" * 50, 7), chop=1)
        assert c.read_message() == (TEXT, b"bit by bit")
        assert c.read_message() == (BINARY, b"abc" * 50)
        assert c.pongs == [b"p"]
        c.finish()


def test_a_message_costs_one_read(secure, cert, tmp_path):
    """A record that came whole leaves nothing to ask the socket for; epoll tells of the next."""
    daemon = secure("--to", "echo:")
    trace = tmp_path / "trace"
    with client(daemon.address, cert).open() as c:
        strace = subprocess.Popen(["strace", "-qq", "-p", str(daemon.pid), "-e", "trace=read,recvfrom", "-o", trace],
                                  stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: "TracerPid:\t0" not in open(f"/proc/{daemon.pid}/status").read(), "strace to be there")
            for _ in range(50):
                c.send(text("ping"))
                assert c.read_message() == (TEXT, b"ping")
        finally:
            strace.terminate()
            strace.wait()
    assert 50 <= len(trace.read_text().splitlines()) < 60


def test_many_frames_in_one_record(secure, cert):
    """epoll tells of the socket, not of what lies inside OpenSSL: all of it must be answered without another byte."""
    daemon = secure("--to", "echo:")
    with client(daemon.address, cert).open() as c:
        c.send(b"".join(binary(b"%06d" % i) for i in range(5000)))
        for i in range(5000):
            assert c.read_message() == (BINARY, b"%06d" % i)
        c.finish()


def test_both_directions_full(secure, cert):
    """8 MiB through cat with 1 MiB under way: nothing lost, nothing stuck."""
    daemon = secure("--framing", "stream", "--", "cat")
    total, sent, got = (8 << 20), 0, bytearray()
    with client(daemon.address, cert).open() as c:
        pieces = [bytes([i & 255]) * 65536 for i in range(total // 65536)]
        for piece in pieces:
            c.send(binary(piece))
            sent += len(piece)
            while sent - len(got) > 1 << 20:
                got += c.read_message()[1]
        while len(got) < total:
            got += c.read_message()[1]
        assert bytes(got) == b"".join(pieces)
        c.finish()


def test_the_program_knows(secure, cert):
    daemon = secure("--", "sh", "-c", "echo $HTTPS")
    with client(daemon.address, cert).open() as c:
        assert c.read_message() == (TEXT, b"on")


def test_same_origin_means_https(secure, cert):
    daemon = secure("--to", "echo:")
    host = f"localhost:{daemon.port}"
    for origin, status in ((f"https://{host}", 101), (f"http://{host}.evil", 403), ("https://localhost", 403)):
        with client(daemon.address, cert) as c:
            c.host = host
            assert c.upgrade(origin=origin).status == status


def test_plain_http_is_told(secure):
    daemon = secure("--to", "echo:")
    with Raw.connect(daemon.address) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = c.read_response()
        assert answer.status == 400 and b"https://" in answer.body


@pytest.mark.parametrize("junk", [b"\x00" * 200, b"\x16\x03\x01\xff\xff" + b"\x00" * 200, os.urandom(300), b"\x16"],
                         ids=["zeroes", "lying-length", "random", "one-byte"])
def test_junk_ends_the_connection_only(secure, cert, junk):
    daemon = secure("--handshake-timeout", "1s", "--to", "echo:")
    with Raw.connect(daemon.address) as c:
        c.try_send(junk)
        try:
            c.read_to_end(timeout=SOON)
        except Ended:
            pass
    with client(daemon.address, cert).open() as c:
        c.exchange([text("still here")], [(TEXT, b"still here")])


def test_cut_at_every_byte_of_the_client_hello(secure, cert):
    """FIN and RST inside the handshake leave nothing behind: finish() counts descriptors."""
    daemon = secure("--handshake-timeout", "5s", "--to", "echo:")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = ssl.create_default_context(cafile=cert.cert).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    hello = outgoing.read()
    for at in range(0, len(hello) + 1, 7):
        with Raw.connect(daemon.address) as c:
            c.send(hello[:at])
            if at % 2:
                c.rst()


def test_old_versions_are_refused(secure, cert):
    daemon = secure("--to", "echo:")
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", "-tls1_1", "-cipher",
                           "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=SOON)
    assert done.returncode != 0
    daemon.settle()


def test_alpn(secure, cert):
    daemon = secure("--to", "echo:")
    with client(daemon.address, cert, alpn=["h2", "http/1.1"]).open() as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        c.finish()
    with pytest.raises(ssl.SSLError):
        client(daemon.address, cert, alpn=["h2"])


def test_session_resumes_by_ticket(secure, cert):
    daemon = secure("--to", "echo:")
    for flag, says in (("-sess_out", "New"), ("-sess_in", "Reused")):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", "-tls1_2", flag,
                               cert.cert + ".sess"], stdin=subprocess.DEVNULL, capture_output=True, timeout=SOON)
        assert says.encode() + b"," in done.stdout


def test_handshakes_in_a_storm_leave_sessions_their_pace(secure, cert):
    daemon = secure("--max-per-address", "0", "--to", "echo:")
    with client(daemon.address, cert).open() as good:
        storm = [Raw.connect(daemon.address) for _ in range(int(100 / SCALE))]
        context = ssl.create_default_context(cafile=cert.cert)
        for c in storm:
            c.sock.settimeout(0)
            c.sock = context.wrap_socket(c.sock, server_hostname="localhost", do_handshake_on_connect=False)
            with contextlib.suppress(ssl.SSLWantReadError):  # the first ones may even get through
                c.sock.do_handshake()
        good.exchange([text("me too")], [(TEXT, b"me too")])
        for c in storm:
            c.close()


@pytest.mark.parametrize("spoil, says", [
    ("missing", "No such file"),
    ("mismatch", "fit"),
    ("not-pem", "PEM"),
    ("open-key", "chmod o-r"),
    ("expired", "expired"),
    ("key-missing", "--tls-key"),
])
def test_a_bad_certificate_stops_the_start(tmp_path, spoil, says):
    own = Certificate(tmp_path, "localhost")
    args = ["--tls-cert", own.cert, "--tls-key", own.key]
    if spoil == "missing":
        os.unlink(own.key)
    elif spoil == "mismatch":
        args[3] = Certificate(tmp_path, "localhost", stem="other").key
    elif spoil == "not-pem":
        open(own.cert, "w").write("hello\n")
    elif spoil == "open-key":
        os.chmod(own.key, 0o644)
    elif spoil == "expired":
        subprocess.run(["openssl", "x509", "-in", own.cert, "-signkey", own.key, "-days", "-1", "-out", own.cert + "2"],
                       check=True, capture_output=True)
        args[1] = own.cert + "2"
    elif spoil == "key-missing":
        args = args[:2]
    done = command_line("-l", "127.0.0.1:0", *args, "--to", "echo:")
    assert done.returncode == 1
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
