#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A native messaging host as browsers start them for extensions: JSON behind four bytes of length, in the machine's order.

    wsluice --framing len32le --frames text -- contrib/programs/native_host.py

(`len32` where the most significant byte comes first.) It returns what it hears, with the number of its letters.
"""
import json
import struct
import sys

while head := sys.stdin.buffer.read(4):
    size, = struct.unpack("=I", head)
    message = json.loads(sys.stdin.buffer.read(size))
    reply = json.dumps({"heard": message, "letters": len(message)}, ensure_ascii=False).encode()
    sys.stdout.buffer.write(struct.pack("=I", len(reply)) + reply)
    sys.stdout.buffer.flush()
