#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A chat room on plain TCP, lines of text, that knows nothing of the web: try it with `nc 127.0.0.1 PORT`.

Listens on a free port of 127.0.0.1, prints its number, and ends when its standard input does.
"""
import asyncio
import contextlib
import itertools
import signal
import sys

NAMES = "Heron Otter Beaver Pike Newt Kingfisher Dipper Trout Teal Grebe Swan Eel".split()
LINE = 400  # bytes of a line that are passed on
BEHIND = 64 * 1024  # bytes that may wait for somebody who does not read


class Room:
    def __init__(self):
        self.people = {}  # StreamWriter: name
        self.count = itertools.count()

    def tell(self, text, to=None):
        """Says a line to one, or to all."""
        for writer in [to] if to else list(self.people):
            if writer.transport.get_write_buffer_size() > BEHIND:
                writer.transport.abort()
            else:
                writer.write(text.encode() + b"\n")

    def enter(self, writer):
        number = next(self.count)
        again = number // len(NAMES)
        name = NAMES[number % len(NAMES)] + (f" {again + 1}" if again else "")
        self.tell(f"* {name} is here")
        self.people[writer] = name
        others = [other for other in self.people.values() if other != name]
        self.tell(f"* you are {name}; here with you: " + (", ".join(others) or "nobody yet, open a second tab"), writer)
        return name

    async def serve(self, reader, writer):
        name = self.enter(writer)
        with contextlib.suppress(ConnectionError, ValueError):  # ValueError: no end of a line within the limit
            while line := await reader.readline():
                text = line[:LINE].decode(errors="replace").strip()
                if text:
                    self.tell(f"{name}: {text}")
        del self.people[writer]
        self.tell(f"* {name} has left")
        writer.close()


async def main():
    server = await asyncio.start_server(Room().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
asyncio.run(main())
