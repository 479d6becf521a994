# SPDX-License-Identifier: MIT
"""permessage-deflate (RFC 7692) for a wire.Raw, by Python's zlib: compresses as told, and judges what comes."""

import zlib

from . import wire

TAIL = b"\x00\x00\xff\xff"
RSV1 = 4
OFFER = "permessage-deflate"
BROWSERS = "permessage-deflate; client_max_window_bits"


def compress(data, *, level=6, bits=15, stream=None, flush=zlib.Z_SYNC_FLUSH):
    """The payload for data; stream: a zlib.compressobj that remembers."""
    stream = stream or zlib.compressobj(level, zlib.DEFLATED, -bits)
    packed = stream.compress(data) + stream.flush(flush)
    if flush == zlib.Z_FINISH:
        return packed + b"\x00"  # RFC 7692, section 7.2.3.4
    assert packed.endswith(TAIL)
    return packed[:-4]


def bomb(size):
    """Zeroes, at about 1030:1, as the payload of one message."""
    return compress(bytes(size), level=9)


def agreed(response):
    """The parameters of the answer as a dict; None when there is no compression."""
    value = response.get("sec-websocket-extensions")
    if value is None:
        return None
    name, *params = [part.strip() for part in value.split(";")]
    assert name == "permessage-deflate", value
    assert len({p.partition("=")[0] for p in params}) == len(params), f"a parameter twice: {value}"
    return {p.partition("=")[0]: int(p.partition("=")[2]) if "=" in p else True for p in params}


class Deflated:
    """An open WebSocket with compression."""

    def __init__(self, raw, params):
        self.raw, self.params = raw, params
        raw.rsv_allowed = RSV1
        self.bits_in = params.get("server_max_window_bits", 15)
        self.bits_out = params.get("client_max_window_bits", 15)
        self.keeps_in = "server_no_context_takeover" not in params
        self.keeps_out = "client_no_context_takeover" not in params
        self.inflate = self.deflate = None
        self.last_packed = 0  # payload bytes of the last message read

    def pack(self, data, level=6):
        if self.deflate is None or not self.keeps_out:
            self.deflate = zlib.compressobj(level, zlib.DEFLATED, -max(9, self.bits_out))
        return compress(data, stream=self.deflate)

    def frames(self, opcode, payload, cuts=()):
        """A compressed message as frames, cut at these places."""
        places = [0, *cuts, len(payload)]
        pieces = [payload[a:b] for a, b in zip(places, places[1:])]
        return b"".join(wire.frame(wire.CONT if i else opcode, piece, fin=i == len(pieces) - 1, rsv=0 if i else RSV1)
                        for i, piece in enumerate(pieces))

    def send(self, data, opcode=None, cuts=()):
        text = isinstance(data, str)
        data = data.encode() if text else data
        opcode = opcode or (wire.TEXT if text else wire.BINARY)
        self.raw.send(self.frames(opcode, self.pack(data), cuts))

    def read(self, timeout=None):
        """The next message as (opcode, bytes, was compressed)."""
        opcode, packed, parts = None, False, []
        while True:
            got = self.raw.read_frame(timeout)
            if got.opcode == wire.CLOSE:
                raise wire.Closed(got.code, got.reason)
            if got.opcode >= 8:
                continue
            if opcode is None:
                opcode, packed = got.opcode, bool(got.rsv)
            else:
                assert got.opcode == wire.CONT and not got.rsv, got
            parts.append(got.payload)
            if got.fin:
                break
        data = b"".join(parts)
        self.last_packed = len(data)
        if packed:
            data = self.unpack(data)
        if opcode == wire.TEXT:
            data.decode()
        return opcode, data, packed

    def unpack(self, payload):
        if self.inflate is None or not self.keeps_in:
            self.inflate = zlib.decompressobj(-self.bits_in)
        data = self.inflate.decompress(payload + TAIL)
        assert not self.inflate.unconsumed_tail and not self.inflate.eof
        return data


def opened(server, path="/", offer=BROWSERS, **how):
    """An open WebSocket with compression agreed on."""
    raw = server.connect(**how)
    response = raw.upgrade(path, [("Sec-WebSocket-Extensions", offer)])
    assert response.status == 101, response
    params = agreed(response)
    assert params is not None, "no compression agreed on"
    return Deflated(raw, params)
