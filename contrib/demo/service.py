#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A chat room on plain TCP, lines of text, and a pond on UDP, that know nothing of the web: try `nc 127.0.0.1 PORT`.

Both have the same free port of 127.0.0.1. Prints its number, and ends when its standard input does.
"""
import asyncio
import contextlib
import itertools
import signal
import sys
import time

NAMES = "Heron Otter Beaver Pike Newt Kingfisher Dipper Trout Teal Grebe Swan Eel".split()
LINE = 400  # bytes of a line that are passed on
FLOCK = 100  # ducks on the pond
GONE = 3  # seconds without a word from a duck
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


class Pond(asyncio.DatagramProtocol):
    """Where everybody's duck is. In: x and y, a byte each. Out, ten times a second: for each duck its number, x and y."""

    def __init__(self):
        self.ducks = {}  # address: (when we last heard of it, number, x, y)
        self.count = itertools.count()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if len(data) == 2 and (address in self.ducks or len(self.ducks) < FLOCK):
            number = self.ducks[address][1] if address in self.ducks else next(self.count) % 256
            self.ducks[address] = (time.monotonic(), number, *data)

    async def tell(self):
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            self.ducks = {address: duck for address, duck in self.ducks.items() if now - duck[0] < GONE}
            for address, mine in self.ducks.items():
                others = [duck for other, duck in self.ducks.items() if other != address]
                self.transport.sendto(b"".join(bytes(duck[1:]) for duck in [mine, *others]), address)


async def listen(loop):
    """TCP and UDP on one port: the number of UDP's may be taken, then another."""
    while True:
        server = await asyncio.start_server(Room().serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            _, pond = await loop.create_datagram_endpoint(Pond, ("127.0.0.1", port))
            return server, pond, port
        except OSError:
            server.close()


async def main():
    server, pond, port = await listen(asyncio.get_running_loop())
    ticking = asyncio.create_task(pond.tell())
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
asyncio.run(main())
