# SPDX-License-Identifier: MIT
"""A client with a terminal: it speaks the protocol of the subprotocol tty, or plain bytes, and keeps what it saw."""

import json
import time

from .setting import SOON
from .wire import BINARY, TEXT, Closed, frame


class Terminal:
    """tty=True: the subprotocol tty, with the first message sent; False: plain bytes both ways."""

    def __init__(self, daemon, path="/", *, tty=True, columns=80, rows=24, begin=True, **how):
        self.client = daemon.open(path, **({"protocols": "tty"} if tty else {}), **how)
        self.daemon, self.tty, self.seen, self.other, self.closed = daemon, tty, b"", [], None
        if tty and begin:
            self.begin(columns=columns, rows=rows)

    def begin(self, **said):
        self.order("", {"AuthToken": "", **said})

    def order(self, command, what=None, opcode=TEXT):
        body = "" if what is None else what if isinstance(what, str) else json.dumps(what)
        self.client.send(frame(opcode, command + body))

    def type(self, text, opcode=BINARY):
        data = text.encode() if isinstance(text, str) else text
        self.client.send(frame(opcode, (b"0" if self.tty else b"") + data))

    def resize(self, columns, rows):
        self.order("1", {"columns": columns, "rows": rows})

    def take(self, timeout=SOON):
        """One message; False: the Close came."""
        try:
            message = self.client.read_message(timeout)
        except Closed as end:
            self.closed = end
            return False
        data = message.data
        if not self.tty:
            self.seen += data
            return True
        assert message.opcode == BINARY
        if data[:1] == b"0":
            self.seen += data[1:]
        else:
            self.other.append(data)
        return True

    def until(self, text, timeout=SOON):
        """Waits until the text has been seen; what came up to its end is returned and forgotten."""
        wanted = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + timeout
        while wanted not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not self.take(left):
                raise AssertionError(f"no {wanted!r} in {self.seen[-2000:]!r}, {self.closed}")
        before, _, self.seen = self.seen.partition(wanted)
        return before + wanted

    def to_the_end(self, timeout=SOON):
        """All that comes up to the Close."""
        while self.take(timeout):
            pass
        return self.seen
