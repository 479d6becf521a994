# SPDX-License-Identifier: MIT
"""A WebSocket client that does exactly as it is told, right or wrong, on a plain socket."""

import base64
import collections
import dataclasses
import hashlib
import os
import socket
import struct
import threading
import time

from .setting import SOON

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NAMES = {CONT: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455, section 1.3
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Ended(Exception):
    """The server ended the TCP connection where more was expected; .reset tells a RST from a FIN."""

    def __init__(self, reset):
        super().__init__("connection reset" if reset else "connection closed")
        self.reset = reset


class Closed(Exception):
    """A Close frame came where a message was expected."""

    def __init__(self, code, reason):
        super().__init__(f"Close {code} {reason!r}")
        self.code, self.reason = code, reason


class Broken(AssertionError):
    """The server broke the protocol."""


def apply_mask(data, key):
    """XOR of data with the repeated 4-byte key; as one big number, because that is fast in Python."""
    n = len(data)
    if n == 0:
        return b""
    pad = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(n, "little")


def header(opcode, length, *, fin=True, rsv=0, mask=True, form=None):
    """A frame header. mask: True (random key), False (none) or 4 bytes; form: 7, 16 or 64 bits of length, however
    wrong; None: the shortest. length may be a lie. Returns (header, key or None)."""
    key = os.urandom(4) if mask is True else (mask or None)
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    bit = 0x80 if key else 0
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if form == 7:
        head = bytes((first, bit | length))
    elif form == 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    return head + (key or b""), key


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=True, form=None):
    """One frame, ready to send."""
    if isinstance(payload, str):
        payload = payload.encode()
    head, key = header(opcode, len(payload), fin=fin, rsv=rsv, mask=mask, form=form)
    return head + (apply_mask(payload, key) if key else payload)


def text(payload="", **how):
    return frame(TEXT, payload, **how)


def binary(payload=b"", **how):
    return frame(BINARY, payload, **how)


def cont(payload=b"", **how):
    return frame(CONT, payload, **how)


def ping(payload=b"", **how):
    return frame(PING, payload, **how)


def fragments(opcode, payload, size):
    """A message cut into frames of `size` bytes, ready to send."""
    pieces = [payload[i : i + size] for i in range(0, len(payload), size)] or [b""]
    return b"".join(
        frame(opcode if i == 0 else CONT, piece, fin=i == len(pieces) - 1) for i, piece in enumerate(pieces))


def close_payload(code=None, reason=b""):
    if isinstance(reason, str):
        reason = reason.encode()
    return b"" if code is None else struct.pack("!H", code) + reason


def close(code=None, reason=b""):
    return frame(CLOSE, close_payload(code, reason))


def accept_value(key=KEY):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


@dataclasses.dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    def __repr__(self):
        shown = self.payload if len(self.payload) <= 40 else self.payload[:40] + b"..."
        name = NAMES.get(self.opcode, self.opcode)
        return f"<{name}{'' if self.fin else ' unfinished'} {len(self.payload)} {shown!r}>"

    @property
    def code(self):
        """Of a Close frame: its code, None if it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    @property
    def reason(self):
        return self.payload[2:].decode()


Message = collections.namedtuple("Message", "opcode data")


@dataclasses.dataclass
class Response:
    status: int
    phrase: str
    fields: list  # (name in lower case, value), in order
    body: bytes = b""
    ended: bool = False  # the server ended the connection behind it
    reset: bool = False  # ... with a RST

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]

    def get(self, name, default=None):
        """The value of a field that may stand there once at most."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands there {len(values)} times: {values}"
        return values[0] if values else default

    def tokens(self, name):
        """The members of a list field, in lower case."""
        return [t.strip().lower() for v in self.all(name) for t in v.split(",") if t.strip()]


def parse_response(head):
    lines = head.decode("latin-1").split("\r\n")
    version, status, phrase = (lines[0].split(" ", 2) + [""])[:3]
    if version != "HTTP/1.1" or not status.isdigit():
        raise Broken(f"not an HTTP/1.1 status line: {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or any(c < " " and c != "\t" for c in line):
            raise Broken(f"bad header line in the answer: {line!r}")
        fields.append((name.lower(), value.strip()))
    return Response(int(status), phrase, fields)


class Raw:
    """A client connection. Reading waits at most `timeout` seconds for each thing it is asked for."""

    def __init__(self, sock, timeout=SOON, host="localhost"):
        self.sock, self.timeout, self.host = sock, timeout, host
        self.pending = bytearray()  # received and not yet looked at
        self.pongs = []  # payloads of pongs that came while a message was awaited
        self.pings = []
        self.rsv_allowed = 0  # bits that an extension was agreed on for, on data frames

    @classmethod
    def connect(cls, address, *, timeout=SOON, rcvbuf=None, sndbuf=None, source=None):
        """address: a path of a Unix socket, or (host, port) with host a numeric address."""
        if isinstance(address, (str, os.PathLike)):
            family, host = socket.AF_UNIX, "localhost"
        else:
            v6 = ":" in address[0]
            family = socket.AF_INET6 if v6 else socket.AF_INET
            host = f"[{address[0]}]:{address[1]}" if v6 else f"{address[0]}:{address[1]}"
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if rcvbuf is not None:  # before connecting: the window is agreed on then
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            if sndbuf is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
            if source is not None:
                sock.bind((source, 0))
            sock.settimeout(timeout)
            sock.connect(address)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return cls(sock, timeout, host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Bytes.

    def send(self, data, chop=None, pause=0.0):
        """Sends all of data, in pieces of `chop` bytes if given."""
        self.sock.settimeout(self.timeout)
        if chop is None:
            self.sock.sendall(data)
            return
        for i in range(0, len(data), chop):
            self.sock.sendall(data[i : i + chop])
            if pause:
                time.sleep(pause)

    def try_send(self, data, chop=None, pause=0.0):
        """The same; False if the server has ended the connection meanwhile."""
        try:
            self.send(data, chop, pause)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing more came in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            raise Ended(True) from None
        except BrokenPipeError:
            raise Ended(True) from None
        if not data:
            raise Ended(False)
        self.pending += data

    def read_exact(self, n, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.pending) < n:
            self._receive(deadline)
        data = bytes(self.pending[:n])
        del self.pending[:n]
        return data

    def read_until(self, mark, limit=65536, timeout=None):
        """Up to and without the mark."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while mark not in self.pending:
            if len(self.pending) > limit:
                raise Broken(f"no {mark!r} within {limit} bytes")
            self._receive(deadline)
        data, _, rest = bytes(self.pending).partition(mark)
        self.pending = bytearray(rest)
        return data

    def read_to_end(self, timeout=None):
        """Whatever comes until the server ends the connection. Returns (bytes, was reset)."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            try:
                self._receive(deadline)
            except Ended as end:
                data, self.pending = bytes(self.pending), bytearray()
                return data, end.reset

    def silent(self, seconds):
        """True if nothing at all, no end either, comes for that long."""
        try:
            self._receive(time.monotonic() + seconds)
        except TimeoutError:
            return not self.pending
        except Ended:
            pass
        return False

    # The handshake.

    def head(self, path="/", headers=(), *, method="GET", version="HTTP/1.1", drop=(), key=KEY, origin=None,
             protocols=None):
        """A request head, right by default. `headers` are put behind the usual ones, which `drop` can omit."""
        fields = [("Host", self.host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                  ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
        if origin is not None:
            fields.append(("Origin", origin))
        if protocols is not None:
            fields.append(("Sec-WebSocket-Protocol", protocols))
        dropped = {name.lower() for name in drop}
        fields = [f for f in fields if f[0].lower() not in dropped] + list(headers)
        out = bytearray()
        for part in (method, " ", path, " ", version, "\r\n"):
            out += _bytes(part)
        for name, value in fields:
            out += _bytes(name) + b": " + _bytes(value) + b"\r\n"
        return bytes(out + b"\r\n")

    def read_response(self, timeout=None, bodiless=False):
        """Reads an answer. Behind one that says `Connection: close` also the end of the connection.
        bodiless: it is the answer to HEAD, whose Content-Length speaks of a body that does not come."""
        response = parse_response(self.read_until(b"\r\n\r\n", timeout=timeout))
        if response.status == 101:
            return response
        length = "0" if bodiless else response.get("content-length")
        if length is not None:
            response.body = self.read_exact(int(length), timeout)
        if "close" in response.tokens("connection"):
            rest, response.reset = self.read_to_end(timeout)
            if length is not None and rest:
                raise Broken(f"bytes behind the answer's body: {rest[:80]!r}")
            response.body += rest
            response.ended = True
        return response

    def upgrade(self, path="/", headers=(), *, pipelined=b"", **how):
        """Asks for a WebSocket; returns the answer, whatever it is."""
        self.send(self.head(path, headers, **how) + pipelined)
        return self.read_response()

    def open(self, path="/", headers=(), **how):
        """The same, but anything else than a proper 101 is a failure. Returns self."""
        response = self.upgrade(path, headers, **how)
        assert response.status == 101, f"{response.status} {response.phrase}: {response.body!r}"
        assert response.get("sec-websocket-accept") == accept_value(how.get("key", KEY))
        assert response.get("upgrade").lower() == "websocket" and response.tokens("connection") == ["upgrade"]
        return self

    # Frames and messages.

    def send_frame(self, opcode, payload=b"", **how):
        self.send(frame(opcode, payload, **how))

    def text(self, payload):
        self.send(frame(TEXT, payload))

    def binary(self, payload):
        self.send(frame(BINARY, payload))

    def read_frame(self, timeout=None):
        """The next frame, checked for what every frame of a server must be."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)

        def left():
            return max(0.001, deadline - time.monotonic())

        first, second = self.read_exact(2, left())
        fin, rsv, opcode, length = bool(first & 0x80), first >> 4 & 7, first & 15, second & 127
        if second & 0x80:
            raise Broken("a masked frame from the server")
        if rsv & ~(self.rsv_allowed if opcode in (TEXT, BINARY) else 0) or opcode not in NAMES:
            raise Broken(f"reserved bits or opcode from the server: {first:#04x}")
        if opcode >= 8 and (not fin or length > 125):
            raise Broken("a control frame too long or fragmented from the server")
        if length == 126:
            length, = struct.unpack("!H", self.read_exact(2, left()))
            least = 126
        elif length == 127:
            length, = struct.unpack("!Q", self.read_exact(8, left()))
            least = 65536
        else:
            least = 0
        if length < least:
            raise Broken(f"length {length} not in its shortest form")
        return Frame(opcode, self.read_exact(length, left()), fin, rsv)

    def read_message(self, timeout=None):
        """The next whole message as (opcode, bytes). Pings are answered; a Close raises Closed."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        opcode, parts = None, []
        while True:
            got = self.read_frame(max(0.001, deadline - time.monotonic()))
            if got.opcode == PING:
                self.pings.append(got.payload)
                self.try_send(frame(PONG, got.payload))
            elif got.opcode == PONG:
                self.pongs.append(got.payload)
            elif got.opcode == CLOSE:
                raise Closed(got.code, got.reason)
            elif (got.opcode == CONT) != (opcode is not None):
                raise Broken(f"{got} out of place")
            else:
                opcode = opcode or got.opcode
                parts.append(got.payload)
                if got.fin:
                    data = b"".join(parts)
                    if opcode == TEXT:
                        data.decode()
                    return Message(opcode, data)

    def read_close(self, timeout=None):
        """Reads messages (returned as a list) until the Close. Returns (code, reason, messages)."""
        messages = []
        while True:
            try:
                messages.append(self.read_message(timeout))
            except Closed as closed:
                return closed.code, closed.reason, messages

    def expect_close(self, code, timeout=None, answer=True):
        """The next frame is a Close with this code (None: empty); then, our answer given, the connection ends.
        Returns the reason."""
        got = self.read_frame(timeout)
        assert got.opcode == CLOSE, f"expected Close {code}, got {got}"
        assert got.code == code, f"expected Close {code}, got {got.code} {got.reason!r}"
        if answer:
            self.try_send(frame(CLOSE, got.payload[:2]))
        rest, _ = self.read_to_end(timeout)
        self.close()  # the server waits for that, politely, for a while
        assert rest == b"", f"bytes behind the Close: {rest[:80]!r}"
        return got.reason

    def finish(self, code=1000, reason=b"", timeout=None):
        """Our Close, the server's, the end of the connection."""
        self.send(frame(CLOSE, close_payload(code, reason)))
        return self.expect_close(code, timeout, answer=False)

    # Whole conversations.

    def exchange(self, sent, expected, end=None, chop=None):
        """Sends the frames (one by one, or all in pieces of `chop` bytes) and judges what comes back and how it ends.

        expected: (opcode, payload) in order. end: None for peace, else the Close code that must follow.
        """
        if chop:
            self.try_send(b"".join(sent), chop)
        else:
            for one in sent:
                if not self.try_send(one):
                    break
        for opcode, payload in expected:
            got = self.read_frame()
            payload = payload.encode() if isinstance(payload, str) else payload
            assert got.fin and (got.opcode, got.payload) == (opcode, payload), \
                f"{got} instead of {Frame(opcode, payload)}"
        if end is None:
            self.finish()
        else:
            self.expect_close(end)

    def stream(self, pieces):
        """Sends in a thread, so that an echo that starts early does not stop us both."""
        def run():
            for piece in pieces:
                if not self.try_send(piece):
                    return

        self.sock.settimeout(self.timeout)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    # Ends.

    def half_close(self):
        """FIN: nothing more comes from us, but we still listen."""
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self):
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")
