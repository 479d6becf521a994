# SPDX-License-Identifier: MIT
"""Workloads about sessions rather than messages: starting, holding, and how cost grows with their number."""

import json
import os
import statistics
import subprocess
import time

from . import plot, proc
from . import servers as S
from .bench import Group, median, number, progress, ratio, text_ratio
from .load import Load, LoadError, tool
from .workloads import goal, shape

JOBS = 8  # programs being started at once


def _spawn_floor(seconds, jobs):
    """The bare vfork+exec loop; its result as read."""
    p = proc.start([tool("floor_spawn"), str(jobs), str(seconds), tool("prog_hello")], "floor_spawn",
                   stdout=subprocess.PIPE)
    try:
        return json.loads(proc.Lines(p.stdout).next(seconds + 20))
    finally:
        proc.stop(p)


def spawn(plan):
    """Connect, first byte of a program, close."""
    columns = ["server", "programs/s", "CPU us each", "with the programs us", "p50 ms", "p99 ms",
               "per CPU second to floor", "programs/s to floor"]
    with Group(plan, f"Connect, first line of a program, close ({JOBS} at once)", columns) as g:
        hello = tool("prog_hello")
        g.start("wsluice", S.wsluice, command=[hello], text=True, label="wsluice lines")
        g.start("websocketd", S.websocketd, hello)
        g.start("floor", S.floor_pipe, hello, label="floor: libev pipe bridge, plain TCP")
        args = ["--mode", "storm", "--conns", str(JOBS), "--expect", "hello"]
        bare, found = [], {"wsluice": [], "websocketd": [], "floor": []}
        for n in range(plan.rounds):
            progress(f"{g.table.title}: round {n + 1}: floor")
            bare.append(_spawn_floor(plan.seconds, JOBS))
            for key, samples in g.rounds("storm", list(found), args, rounds=1, storm=True).items():
                found[key] += samples
        _spawn_rows(g, bare, found)
        if "wsluice" in g.servers:
            _spawn_held(plan, g)
    return g.table


def _spawn_rows(g, bare, found):
    def bare_cost(b):
        return (b["cpu_self"] + b["cpu_children"]) / b["messages"] * 1e6
    cost = statistics.median(bare_cost(b) for b in bare)
    rate = statistics.median(b["messages"] / b["seconds"] for b in bare)
    own = statistics.median(b["cpu_self"] / b["messages"] * 1e6 for b in bare)
    g.table.rows.append(["floor: vfork+exec, no network", number(rate), number(own), number(cost), "", "", "", ""])
    per_cpu = {}
    for key, samples in found.items():
        if not samples:
            continue
        pairs = list(zip(bare, samples))
        per_cpu[key] = statistics.median(bare_cost(b) / s.cost_all for b, s in pairs)
        g.table.rows.append([
            g.servers[key].label, number(median(samples, "rate")), number(median(samples, "cost")),
            number(median(samples, "cost_all")), number(median(samples, lambda s: s.latency["p50"] / 1e3)),
            number(median(samples, lambda s: s.latency["p99"] / 1e3)), text_ratio(per_cpu[key]),
            text_ratio(statistics.median(s.rate / (b["messages"] / b["seconds"]) for b, s in pairs))])
    goal(g, "programs per CPU second, to bare vfork+exec", per_cpu.get("wsluice"), low=0.8)
    goal(g, "programs per second, to websocketd", ratio(found, "wsluice", "websocketd", "rate"), low=2)
    if found["websocketd"]:
        reach = statistics.median(b["messages"] / b["seconds"] / s.rate for b, s in zip(bare, found["websocketd"]))
        g.note(f"the bare vfork+exec, which has no network to serve, starts {reach:.2f} times as many programs a second "
               "as websocketd: what a server here cannot get beyond")


# MiB touched, and descriptors open: a start shall cost the same however large the process. Judged is what it has touched.
HELD = "16,512,16/9000"


def _spawn_held(plan, g):
    """How long a start holds the loop: the server's own function, timed inside a process like it."""
    held = tool("held")
    if not os.path.exists(held):
        g.note("the time a start holds the loop: left out (make build/bench/held)")
        return
    progress(f"{g.table.title}: the loop held")
    seconds = plan.seconds * plan.rounds
    p = proc.start([held, str(seconds), HELD, tool("prog_hello")], "held", stdout=subprocess.PIPE)
    try:
        lines = proc.Lines(p.stdout)
        found = [json.loads(lines.next(seconds + 20)) for _ in HELD.split(",")]
    finally:
        proc.stop(p)
    for f in found[:2]:
        g.goal(f"the loop held by a start, median, {f['touched_mib']} MiB touched", f["ours_us"]["p50"], high=150,
               unit=" us", digits=0)
    for f in found:
        g.note(f"held by a start with {f['touched_mib']} MiB touched, {f['descriptors']} descriptors open: p10, p50, p99 "
               f"{_spread(f['ours_us'])} us over {f['ours_us']['count']}; a bare vfork+exec in the same process "
               f"{_spread(f['bare_us'])} us")


def _spread(hist):
    return ", ".join(f"{hist[key]:.0f}" for key in ("p10", "p50", "p99"))


def handshake(plan):
    """Full TLS handshakes with an ECDSA P-256 key: alone, and with all of a short session behind them."""
    columns = ["case", "server", "connections/s", "CPU us each", "p50 ms", "p99 ms", "CPU to floor"]
    with Group(plan, f"TLS 1.3 handshakes, ECDSA P-256, none resumed ({JOBS} at once)", columns) as g:
        g.start("wsluice", S.wsluice_tls, "--to", "echo:", label="wsluice echo:, wss")
        g.start("floor", S.floor_ssl, label="floor: SSL_accept")
        storm = ["--mode", "storm", "--conns", str(JOBS)]
        for name, args in (("handshake, close", [*storm, "--handshake"]),
                           ("handshake, upgrade, 64 B echo, close", storm)):
            found = g.rounds(name, ["wsluice", "floor"], args, storm=True)
            for key, samples in found.items():
                if samples:
                    g.table.rows.append([
                        name, g.servers[key].label, number(median(samples, "rate")), number(median(samples, "cost")),
                        number(median(samples, lambda s: s.latency["p50"] / 1e3)),
                        number(median(samples, lambda s: s.latency["p99"] / 1e3)),
                        "" if key == "floor" else text_ratio(ratio(found, key, "floor", "cost"))])
            if "--handshake" in args:
                goal(g, "handshakes per CPU second, to SSL_accept", ratio(found, "floor", "wsluice", "cost"), low=0.90)
    return g.table


# -- idle sessions ------------------------------------------------------------------------------------------------

class Crowd:
    """Idle sessions held open by a load generator of their own."""

    def __init__(self, server, count, seconds=300, touch=True):
        self.load = Load(server, ["--mode", "idle", "--conns", str(count), *(["--touch"] if touch else [])], seconds)
        self.load.begin()

    def stop(self):
        proc.stop(self.load.process)


def _memory_points(server, counts):
    """[(sessions, memory of ours, kernel slab)]: adds sessions step by step."""
    points, crowds, total = [], [], 0
    try:
        for count in counts:
            if count > total:
                crowds.append(Crowd(server, count - total))
                total = count
            points.append((total, proc.memory(server.pid), proc.kernel_slab()))
    finally:
        for c in crowds:
            c.stop()
    return points


def idle(plan):
    """Memory of an idle session that carried a message before."""
    counts = (500, 8500) if plan.full else (250, 2250)
    columns = ["server", "private B/session", "RSS B/session", "kernel slab B/session (both ends)", "RSS MiB at the end"]
    with Group(plan, f"Memory of an idle session (slope from {counts[0]} to {counts[1]}, after one echo each)",
               columns) as g:
        port = g.start("service", S.floor_echo).port
        framed = g.start("framed", S.floor_ws_echo)
        g.start("wsluice echo", S.wsluice, "--to", "echo:", label="wsluice echo:")
        g.start("wsluice tcp", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        g.start("wsluice cat", S.wsluice, "-f", "stream", command=["cat"], label="wsluice cat, stream")
        g.start("wsluice wss", S.wsluice_tls, "--to", "echo:", label="wsluice echo:, wss")
        g.start("floor ssl", S.floor_ssl, label="floor: TLS echo, OpenSSL's own")
        g.start("haproxy", S.haproxy, framed.port)
        if plan.full:
            g.start("lighttpd", S.lighttpd, port)
            g.start("websocketd lines", S.websocketd, "cat")
            g.start("websocketd", S.websocketd, "cat", binary=True)
        for key in [k for k in g.servers if k not in ("service", "framed")]:
            _idle_row(g, key, IDLE_COUNTS.get(key, counts))
    return g.table


# A process for each session: fewer. Of 400 sessions a page more or less is 10 bytes of each, so ours are some more.
IDLE_COUNTS = {"wsluice cat": (100, 900), "websocketd lines": (50, 450), "websocketd": (50, 450)}

IDLE_GOALS = {"wsluice echo": ("echo:", 512), "wsluice tcp": ("tcp:", 1024), "wsluice cat": ("cat", 1024),
              "wsluice wss": ("wss", 14500)}


def _idle_row(g, key, counts):
    server = g.servers[key]
    progress(f"{g.table.title}: {key}")
    try:
        (n1, m1, k1), (n2, m2, k2) = _memory_points(server, counts)
    except (LoadError, OSError) as e:
        g.failed("idle", key, e)
        return
    each = {k: (m2[k] - m1[k]) / (n2 - n1) for k in m1}
    slab = "" if "cat" in key or "websocketd" in key else number((k2 - k1) / (n2 - n1))
    g.table.rows.append([server.label + ("" if counts[1] > 1000 else f" ({counts[0]} to {counts[1]})"),
                         number(each["private"]), number(each["rss"]), slab, number(m2["rss"] / 2**20)])
    g.table.raw.append({"server": key, "counts": counts, "memory": [m1, m2], "slab": [k1, k2]})
    if key in IDLE_GOALS:
        what, most = IDLE_GOALS[key]
        g.goal(f"private bytes a session, {what}", each["private"], high=most, unit=" B", digits=0)


def many(plan):
    """Nine thousand sessions to a service, heartbeats on."""
    ping, seconds = ("25s", 55) if plan.full else ("10s", 11)
    columns = ["server", "sessions", "CPU % of a core", "probe p50 us", "probe p99 us", "probe max us"]
    with Group(plan, f"9,000 idle sessions to a TCP service, heartbeat every {ping}", columns) as g:
        port = g.start("service", S.floor_echo).port
        server = g.start("wsluice", S.wsluice, "--ping", ping, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        bridge = g.start("floor", S.floor_bridge, port, label="floor: libev bridge without sessions, same seconds")
        if not server:
            return g.table
        progress(g.table.title)
        try:
            _many_run(g, server, bridge, seconds)
        except LoadError as e:
            g.failed("many", "wsluice", e)
    return g.table


def _many_run(g, server, bridge, seconds):
    """The crowd idles; one probe a server sends 200 messages a second meanwhile."""
    crowd = Load(server, ["--mode", "idle", "--conns", "9000", "--touch"], seconds)
    probes = [Load(s, ["--rate", "200"], seconds - 0.5) for s in (server, bridge)]
    runs = [crowd, *probes]
    try:
        for r in runs:
            r.begin()
        before = proc.cpu(server.pid)[0]
        started = time.monotonic()
        for r in runs:
            r.go()
        for r in [*probes, crowd]:
            r.end()
        load = (proc.cpu(server.pid)[0] - before) / (time.monotonic() - started) * 100
        results = [r.result() for r in runs]
    finally:
        for r in runs:
            proc.stop(r.process)
    for s, n, use, r in ((server, "9,000", f"{load:.2f}", results[1]), (bridge, "1", "", results[2])):
        latency = r["latency_us"]
        g.table.rows.append([s.label, n, use, *(number(latency[k]) for k in ("p50", "p99", "max"))])
    g.table.raw.append({"cpu_percent": load, "results": results})
    g.note(f"{results[0]['pings']:,} pings answered in {results[0]['seconds']:.0f} s; the CPU time has that of the "
           "probe's 200 messages a second in it")
    g.goal("CPU of a core", load, high=3, unit=" %")
    beyond = (results[1]["latency_us"]["max"] - results[2]["latency_us"]["max"]) / 1e3
    g.goal("longest wait of a probe beyond the bare bridge's (no turn of the loop may take longer)", max(beyond, 0.0),
           high=5, unit=" ms", digits=1)


# -- growth -------------------------------------------------------------------------------------------------------

def growth(plan):
    """Cost as work grows; with --plot a picture of each."""
    columns = ["what", "at", "server", "value", "wsluice to it"]
    with Group(plan, "Cost as work grows", columns) as g:
        port = g.start("floor echo", S.floor_echo, label="floor: epoll echo").port
        framed = g.start("framed", S.floor_ws_echo)
        g.start("wsluice echo", S.wsluice, "--to", "echo:", "--max-message", "2M", label="wsluice echo:")
        g.start("wsluice tcp", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        g.start("floor bridge", S.floor_bridge, port)
        g.start("haproxy", S.haproxy, framed.port)
        g.start("lighttpd", S.lighttpd, port)
        echoes = ["wsluice echo", "floor echo"]
        pictures = [
            ("connections", "Echo of 64 B messages", "connections, each with one message in flight", COST,
             _growth_of(g, "64 B echo, connections", (1, 10, 100, 1000, 5000), echoes, lambda n: shape(64, n))),
            ("bridge", "64 B messages to a TCP echo and back", "connections, each with one message in flight", COST,
             _growth_of(g, "64 B to a TCP echo, connections", (1, 10, 100, 1000),
                        ["wsluice tcp", "floor bridge", "haproxy", "lighttpd"], lambda n: shape(64, n))),
            ("size", "Echo on 4 connections", "bytes of a message", COST,
             _growth_of(g, "echo on 4 connections, bytes", (64, 1024, 16384, 65536, 262144, 1048576), echoes,
                        lambda n: shape(n, 4))),
            ("memory", "Idle sessions that carried a message each", "sessions", "private memory, MiB",
             _growth_of_memory(g, (1, 500, 1000, 2000, 4000), port, framed.port))]
    if plan.plot:
        for name, title, x, y, lines in pictures:
            plot.write(os.path.join(plan.plot, f"performance-{name}.svg"), title, x, y, lines, log=name != "memory")
    return g.table


COST = "CPU time of the server, µs per message"


def _growth_of(g, what, points, keys, args):
    """Measures keys, of which the first is ours, at each point and adds the rows; {label: [(point, cost)]}."""
    lines = {}
    for n in points:
        found = g.rounds(f"{what}: {n}", keys, args(n))
        for key, samples in found.items():
            if samples:
                cost = median(samples, "cost")
                lines.setdefault(g.servers[key].label, []).append((n, cost))
                g.table.rows.append([f"{what}, us", f"{n:,}", g.servers[key].label, number(cost),
                                     "" if key == keys[0] else text_ratio(ratio(found, keys[0], key, "cost"))])
    return lines


def _growth_of_memory(g, counts, port, framed):
    """The same of memory. Servers of its own: the heaps of the others have been large."""
    lines = {}
    for label, make in (("wsluice echo:", lambda: S.wsluice("--to", "echo:")),
                        ("wsluice tcp:", lambda: S.wsluice("--to", f"tcp://127.0.0.1:{port}")),
                        ("haproxy tunnel", lambda: S.haproxy(framed)), ("lighttpd mod_wstunnel", lambda: S.lighttpd(port))):
        progress(f"{g.table.title}: memory: {label}")
        server = g.start(f"{label} idle", make)
        try:
            points = _memory_points(server, counts) if server else []
        except (LoadError, OSError) as e:
            g.failed("memory", label, e)
            continue
        for n, memory, _ in points:
            lines.setdefault(label, []).append((n, memory["private"] / 2**20))
            g.table.rows.append(["idle sessions, MiB", f"{n:,}", label, f"{lines[label][-1][1]:.2f}", ""])
    return lines
