# SPDX-License-Identifier: MIT
"""Proves in a few seconds that the benchmark runs, verifies bytes, and notices when they are wrong. No times."""

import json
import re
import subprocess
import sys

from . import fan, proc
from . import servers as S
from .load import LoadError, measure, tool

SECONDS = 0.05
PATIENCE = 10  # for loads that end by themselves


class Skip(Exception):
    pass


def run_load(server, *args):
    s = measure(server, list(args), PATIENCE if "--count" in args else SECONDS)
    assert s.messages > 0, "no messages"
    return s


def refuses(server, expected, *args):
    """The load generator must find fault, and with that."""
    try:
        measure(server, list(args), SECONDS)
    except LoadError as e:
        assert re.search(expected, str(e)), f"expected `{expected}`, got `{e}`"
        return
    raise AssertionError(f"went unnoticed: {expected}")


ECHO = [("64 B",), ("1 KiB on 50", "--size", "1024", "--conns", "50"),
        ("64 KiB, 4 in flight", "--size", "65536", "--depth", "4", "--kind", "binary"),
        ("32 in flight on 20", "--conns", "20", "--depth", "32"), ("open loop", "--rate", "500", "--conns", "5")]
BORDERS = [(name + ", borders", *args, "--borders") for name, *args in ECHO]
TEXT = [("text, UTF-8", "--text", "--kind", "utf8", "--size", "1000", "--borders"),
        ("1 MiB", "--size", "1048576", "--count", "3"),
        *[(f"{n} B", "--size", str(n), "--count", "50", "--borders") for n in (1, 125, 126, 65535, 65536)]]
STORM = ("storm", "--mode", "storm", "--conns", "4")
SHAKE = ("handshakes", *STORM[1:], "--handshake")
SPOIL = ["stdbuf", "-o0", "tr", "0-9", "1-90"]
IDLE = ("idle", "--mode", "idle", "--conns", "100", "--touch")


class Smoke:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, function, *args):
        try:
            function(*args)
        except Skip as e:
            self.skipped += 1
            print(f"skip {name}: {e}")
        except (LoadError, proc.StartError, AssertionError, OSError, EOFError, TimeoutError, ValueError) as e:
            self.failed += 1
            print(f"FAIL {name}: {e}")
        else:
            self.passed += 1

    def server(self, name, make, loads, then=None):
        """Starts a server and runs loads, each (name, argument...), against it."""
        try:
            server = make()
        except proc.StartError as e:
            for load in loads:
                self.check(f"{name}: {load[0]}", self._missing, e)
            return
        try:
            for load, *args in loads:
                if args[:2] == ["--mode", "idle"]:
                    self.check(f"{name}: {load}", measure, server, args, SECONDS)
                else:
                    self.check(f"{name}: {load}", run_load, server, *args)
            if then:
                then(server)
        finally:
            server.stop()

    @staticmethod
    def _missing(error):
        if "is not built" in str(error) or "not installed" in str(error):
            raise Skip(str(error))
        raise error


def floors(s):
    backend = S.floor_echo()
    port = backend.port
    flood = ("flood", "--mode", "flood", "--size", "81", "--newline", "--count", "20000")
    program = [tool("prog_lines"), "80", "20000"]
    try:
        s.server("floor echo", S.floor_echo, [*ECHO, STORM, IDLE])
        s.server("floor ws echo", S.floor_ws_echo, [*BORDERS, *TEXT, STORM, IDLE])
        s.server("floor ssl", S.floor_ssl, [*ECHO, STORM, SHAKE, IDLE])
        for name, make in (("bridge", S.floor_bridge), ("relay", S.floor_relay)):
            s.server(f"floor {name}", lambda make=make: make(port), [*ECHO[:4], STORM])
        for name, make in (("pipe bridge", S.floor_pipe), ("pipe relay", S.floor_relay_pipe)):
            s.server(f"floor {name}", lambda make=make: make("cat"), [*ECHO[:3], STORM])
            s.server(f"floor {name}, lines", lambda make=make: unpadded(make(*program)), [flood])
    finally:
        backend.stop()


def unpadded(server):
    server.load_args.clear()
    return server


def held():
    """Built by the top Makefile, as it is made of src/."""
    r = subprocess.run([tool("held"), str(SECONDS), "1", tool("prog_hello")], capture_output=True, timeout=20,
                       check=True)
    found = json.loads(r.stdout)
    assert found["ours_us"]["count"] == found["bare_us"]["count"] > 0


def spawn_floor():
    r = subprocess.run([tool("floor_spawn"), "4", str(SECONDS), tool("prog_hello")], capture_output=True, timeout=20,
                       check=True)
    assert json.loads(r.stdout)["messages"] > 0


def notices(s):
    """A benchmark that believes anything proves nothing: servers that lie must be found out."""
    for name, expected, make, *args in (
            ("a changed byte", "wrong bytes", lambda: S.floor_pipe(*SPOIL),
             "--size", "1000"),
            ("lost bytes", "hung up|missing", lambda: S.floor_pipe("head", "-c", "300"), "--depth", "20"),
            ("doubled bytes", "more came back|wrong bytes", lambda: S.floor_pipe("tee", "/dev/stdout")),
            ("no handshake", "handshake refused", as_websocket),
            ("no TLS", "TLS: ", as_tls),
            ("no TLS behind a handshake alone", "TLS: ", as_tls, *SHAKE[1:])):
        server = make()
        try:
            s.check(f"notices {name}", refuses, server, expected, *args)
        finally:
            server.stop()


def as_websocket():
    """A server that answers a handshake with what it was asked."""
    server = unpadded(S.floor_echo())
    server.tcp = False
    return server


def as_tls():
    """A server that answers a TLS hello with itself."""
    server = S.floor_echo()
    server.load_args.append("--tls")
    return server


def ours(s):
    backend = S.floor_echo()
    hello = tool("prog_hello")
    lines = [tool("prog_lines"), "80", "20000"]
    try:
        s.server("wsluice echo:", lambda: S.wsluice("--to", "echo:"), [*BORDERS, *TEXT, STORM, IDLE])
        s.server("wsluice wss", lambda: S.wsluice_tls("--to", "echo:"), [*BORDERS, *TEXT, STORM, SHAKE, IDLE])
        s.server("wsluice wss to tr", lambda: S.wsluice_tls("-f", "stream", command=SPOIL), [],
                 lambda server: s.check("notices a changed byte over TLS", refuses, server, "wrong bytes", "--size",
                                        "1000"))
        s.server("wsluice tcp:", lambda: S.wsluice("--to", f"tcp://127.0.0.1:{backend.port}"), [*ECHO, STORM, IDLE])
        s.server("wsluice cat, stream", lambda: S.wsluice("-f", "stream", command=["cat"]), [*ECHO[:4], STORM],
                 lambda server: s.check("notices merged messages", refuses, server, "not exactly one", "--borders",
                                        "--depth", "32"))
        s.server("wsluice cat, lines", lambda: S.wsluice(command=["cat"], text=True),
                 [*[b for b in BORDERS if "--kind" not in b], STORM])
        s.server("wsluice lines", lambda: S.wsluice(command=lines, text=True),
                 [("flood", "--mode", "flood", "--size", "80", "--count", "20000", "--borders")])
        s.server("wsluice hello", lambda: S.wsluice(command=[hello], text=True), [(*STORM, "--expect", "hello")])
    finally:
        backend.stop()


def main():
    s = Smoke()
    floors(s)
    s.check("floor spawn", spawn_floor)
    s.check("held", held)
    notices(s)
    ours(s)
    fan.smoke(s)
    print(f"{s.passed} passed, {s.failed} failed, {s.skipped} skipped")
    sys.exit(1 if s.failed else 0)
