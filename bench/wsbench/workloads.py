# SPDX-License-Identifier: MIT
"""The workloads: each a function of a plan that returns a table (see bench/README.md for what they mean)."""

import statistics

from . import servers as S
from .bench import Group, median, number, ratio, text_ratio
from .load import tool

COLUMNS = ["case", "server", "messages/s", "CPU us/message", "children us", "p50 us", "p99 us", "CPU to floor",
           "p50 to floor"]


def rows(g, name, found, floor):
    """A line for each server, with ratios to the floor."""
    for key, samples in found.items():
        if not samples:
            continue
        children = median(samples, "cost_children")
        g.table.rows.append([
            name, g.servers[key].label, number(median(samples, "rate")), number(median(samples, "cost")),
            number(children) if children > 0.05 else "", number(median(samples, lambda s: s.latency["p50"])),
            number(median(samples, lambda s: s.latency["p99"])),
            "" if key == floor else text_ratio(ratio(found, key, floor, "cost")),
            "" if key == floor else text_ratio(ratio(found, key, floor, lambda s: s.latency["p50"]))])


def goal(g, what, value, **bounds):
    if value is not None:
        g.goal(what, value, **bounds)


def shape(size, conns, depth=1):
    return ["--size", str(size), "--conns", str(conns), "--depth", str(depth)]


def cases(plan, quick, sizes=(64, 256, 1024), conns=(1, 50, 500)):
    return [(s, n) for s in sizes for n in conns] if plan.full else quick


def case_name(size, conns):
    return f"{size} B, {conns} conn."


def echo(plan):
    """Echo of small messages, `echo:`, against a raw epoll echo."""
    with Group(plan, "Echo inside the server (`echo:`)", COLUMNS) as g:
        g.start("wsluice", S.wsluice, "--to", "echo:", label="wsluice echo:")
        g.start("floor", S.floor_echo)
        g.start("floor-ws", S.floor_ws_echo)
        for size, conns in cases(plan, [(64, 1), (64, 50), (64, 500), (1024, 50)]):
            keys = ["wsluice", "floor"] + (["floor-ws"] if plan.full else [])
            name = case_name(size, conns)
            found = g.rounds(name, keys, shape(size, conns))
            rows(g, name, found, "floor")
            goal(g, f"{name}: messages per CPU second, to the epoll echo", ratio(found, "floor", "wsluice", "cost"),
                 low=0.90)
    return g.table


def wss(plan):
    """The same over TLS 1.3, against bare SSL_read and SSL_write."""
    with Group(plan, "Echo over TLS (wss)", COLUMNS) as g:
        g.start("wsluice", S.wsluice_tls, "--to", "echo:", label="wsluice echo:, wss")
        g.start("floor", S.floor_ssl)
        for size, conns in cases(plan, [(64, 1), (64, 50), (1024, 50)], sizes=(64, 1024), conns=(1, 50, 500)):
            name = case_name(size, conns)
            found = g.rounds(name, ["wsluice", "floor"], shape(size, conns))
            rows(g, name, found, "floor")
            goal(g, f"{name}: messages per CPU second, to SSL_read and SSL_write",
                 ratio(found, "floor", "wsluice", "cost"), low=0.90)
    return g.table


def tcp(plan):
    """The same through a bridge to a TCP echo."""
    with Group(plan, "Bridge to a TCP echo", COLUMNS) as g:
        backend = g.start("direct", S.floor_echo, label="no bridge at all")
        framed = g.start("framed", S.floor_ws_echo)
        port = backend.port
        g.start("wsluice", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        g.start("floor", S.floor_bridge, port)
        g.start("haproxy", S.haproxy, framed.port)
        g.start("lighttpd", S.lighttpd, port)
        if plan.full:
            g.start("haproxy-tcp", S.haproxy, port, mode="tcp")
            g.start("nginx", S.nginx, port)
            g.start("socat", S.socat, port)
            g.start("websockify", S.websockify, port)
        peers = [k for k in g.servers if k not in ("direct", "framed", "wsluice", "floor")]
        for size, conns in cases(plan, [(64, 1), (64, 50), (64, 500), (1024, 50)], sizes=(64, 1024)):
            name = case_name(size, conns)
            with_peers = conns == 50 and (plan.full or size == 64)
            found = g.rounds(name, ["wsluice", "floor"] + (peers + ["direct"] if with_peers else []),
                             shape(size, conns))
            rows(g, name, found, "floor")
            goal(g, f"{name}: CPU to the bare bridge", ratio(found, "wsluice", "floor", "cost"), high=1.10)
            goal(g, f"{name}: CPU to HAProxy's tunnel", ratio(found, "wsluice", "haproxy", "cost"), high=0.75)
            goal(g, f"{name}: CPU to lighttpd", ratio(found, "wsluice", "lighttpd", "cost"), high=1.0)
    return g.table


def cat(plan):
    """To `cat`, one process per connection: as a stream and line by line."""
    with Group(plan, "Bridge to `cat`", COLUMNS) as g:
        g.start("wsluice", S.wsluice, "-f", "stream", command=["cat"], label="wsluice stream")
        g.start("floor", S.floor_pipe, "cat")
        g.start("websocketd", S.websocketd, "cat", binary=True)
        g.start("wsluice-lines", S.wsluice, command=["cat"], text=True, label="wsluice lines")
        g.start("websocketd-lines", S.websocketd, "cat", label="websocketd lines")
        for size, conns in cases(plan, [(64, 1), (64, 50)], sizes=(64, 1024), conns=(1, 50, 200)):
            name = case_name(size, conns)
            lines = ["wsluice-lines", "websocketd-lines"] if conns == 50 else []
            found = g.rounds(name, ["wsluice", "floor", "websocketd", *lines], shape(size, conns))
            rows(g, name, found, "floor")
            goal(g, f"{name}: CPU without cat's to the bare pipe bridge", ratio(found, "wsluice", "floor", "cost"),
                 high=1.15)
            goal(g, f"{name}: CPU without cat's to websocketd", ratio(found, "wsluice", "websocketd", "cost"),
                 high=0.5)
    return g.table


def lines(plan):
    """80-byte lines from a program to the client."""
    columns = ["case", "server", "MB/s", "lines/s", "CPU ns/line", "children ns", "CPU to floor"]
    with Group(plan, "80-byte lines from a program to the client", columns) as g:
        program = [tool("prog_lines"), "80"]
        g.start("wsluice", S.wsluice, command=program, text=True, label="wsluice lines")
        g.start("websocketd", S.websocketd, *program)
        g.start("floor", S.floor_pipe, *program)

        def args(key):
            if key == "floor":
                return ["--mode", "flood", "--size", "81", "--newline"]
            return ["--mode", "flood", "--size", "80", "--borders"]
        g.servers.get("floor") and g.servers["floor"].load_args.clear()  # nothing goes up: no frames to pad
        found = g.rounds("80 B", ["wsluice", "websocketd", "floor"], args)
        for key, samples in found.items():
            if samples:
                g.table.rows.append(["80 B lines", g.servers[key].label, number(median(samples, "megabytes")),
                                     number(median(samples, "rate")), number(median(samples, "cost") * 1e3),
                                     number(median(samples, "cost_children") * 1e3),
                                     text_ratio(ratio(found, key, "floor", "cost"))])
        goal(g, "throughput to websocketd", ratio(found, "wsluice", "websocketd", "megabytes"), low=20)
    return g.table


def bulk(plan):
    """64 KiB both ways at once."""
    columns = ["case", "server", "MB/s each way", "CPU ms/MB", "children ms/MB", "MB/s to floor", "CPU to floor"]
    size = 65536
    with Group(plan, "64 KiB messages both ways at once, stream", columns) as g:
        port = g.start("service", S.floor_echo).port
        g.start("wsluice tcp", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", "-f", "stream", label="wsluice")
        g.start("floor tcp", S.floor_relay, port)
        g.start("bridge tcp", S.floor_bridge, port)
        g.start("wsluice cat", S.wsluice, "-f", "stream", command=["cat"], label="wsluice")
        g.start("floor cat", S.floor_relay_pipe, "cat")
        g.start("bridge cat", S.floor_pipe, "cat")
        for kind in ("tcp", "cat"):
            for conns in (1, 8) if plan.full else (4,):
                name = f"{kind}, {conns} conn."
                floor = f"floor {kind}"
                found = g.rounds(name, [f"wsluice {kind}", floor, f"bridge {kind}"],
                                 [*shape(size, conns, 4), "--kind", "binary"])
                for key, samples in found.items():
                    if samples:
                        g.table.rows.append([
                            name, g.servers[key].label, number(median(samples, "megabytes")),
                            number(median(samples, lambda s: s.cpu_own / s.bytes * 1e9)),
                            number(median(samples, lambda s: s.cpu_children / s.bytes * 1e9)),
                            text_ratio(ratio(found, key, floor, "megabytes")),
                            text_ratio(ratio(found, key, floor, "cost"))])
                key = f"wsluice {kind}"
                goal(g, f"{name}: bytes per CPU second to recv+write", ratio(found, floor, key, "cost"), low=0.93)
                goal(g, f"{name}: MB/s to the bare bridge, which has one thread too",
                     ratio(found, key, f"bridge {kind}", "megabytes"), low=0.93)
    return g.table


def utf8(plan):
    """What checking UTF-8 costs: the same bytes in text and in binary frames."""
    with Group(plan, "Text with its UTF-8 check, 1 KiB", COLUMNS[:7] + ["CPU to binary"]) as g:
        for key in ("wsluice text", "wsluice binary"):
            g.start(key, S.wsluice, "--to", "echo:", label=key)
        for kind in ("json", "ascii", "utf8") if plan.full else ("json",):
            def args(key, kind=kind):
                return [*shape(1024, 50), "--kind", kind, "--borders", *(["--text"] if key.endswith("text") else [])]
            found = g.rounds(kind, ["wsluice text", "wsluice binary"], args, rounds=plan.rounds + 2)
            for key, samples in found.items():
                if samples:
                    g.table.rows.append([kind, key, number(median(samples, "rate")), number(median(samples, "cost")),
                                         "", number(median(samples, lambda s: s.latency["p50"])),
                                         number(median(samples, lambda s: s.latency["p99"])),
                                         text_ratio(ratio(found, key, "wsluice binary", "cost"))])
            if kind == "json":
                goal(g, f"{kind}: messages per CPU second, to the same without",
                     ratio(found, "wsluice binary", "wsluice text", "cost"), low=0.97)
    return g.table


def inflight(plan):
    """32 messages in flight on each of 50 connections."""
    with Group(plan, "32 messages of 64 B in flight on each of 50 connections", COLUMNS[:7]) as g:
        port = g.start("direct", S.floor_echo, label="no bridge at all").port
        g.start("wsluice", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        g.start("haproxy", S.haproxy, port, mode="tcp")
        if plan.full:
            g.start("nginx", S.nginx, port)
            g.start("floor", S.floor_bridge, port)
            g.start("lighttpd", S.lighttpd, port)
            g.start("socat", S.socat, port)
            g.start("websockify", S.websockify, port)
        service = list(g.servers)
        g.start("wsluice stream", S.wsluice, "-f", "stream", command=["cat"], label="wsluice cat, stream")
        g.start("websocketd stream", S.websocketd, "cat", binary=True)
        g.start("wsluice lines", S.wsluice, command=["cat"], text=True, label="wsluice cat, lines")
        g.start("websocketd lines", S.websocketd, "cat")
        programs = [k for k in g.servers if k not in service]
        for name, keys in (("to a TCP echo", service), ("to cat", programs)):
            found = g.rounds(name, keys, shape(64, 50, 32))
            for key, samples in found.items():
                if samples:
                    g.table.rows.append([name, g.servers[key].label, number(median(samples, "rate")),
                                         number(median(samples, "cost")), number(median(samples, "cost_children")),
                                         number(median(samples, lambda s: s.latency["p50"])),
                                         number(median(samples, lambda s: s.latency["p99"]))])
            goal(g, "messages per second to HAProxy's TCP relay", ratio(found, "wsluice", "haproxy", "rate"), low=0.85)
            for kind in ("stream", "lines"):
                goal(g, f"cat, {kind}: messages per second to websocketd",
                     ratio(found, f"wsluice {kind}", f"websocketd {kind}", "rate"), low=5)
    return g.table


def latency(plan):
    """Open loop at half of what can be carried: the wait of each message counts from when it was due."""
    columns = ["case", "server", "offered/s", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "CPU %"]
    with Group(plan, "Latency at half load, 50 connections to a TCP echo", columns) as g:
        port = g.start("service", S.floor_echo).port
        g.start("wsluice", S.wsluice, "--to", f"tcp://127.0.0.1:{port}", label="wsluice tcp:")
        g.start("floor", S.floor_bridge, port)
        found = g.rounds("capacity", ["wsluice", "floor"], shape(64, 50), rounds=1)
        rates = [median(v, "rate") for v in found.values() if v]
        if not rates:
            return g.table
        rate = min(rates) / 2
        found = g.rounds("half load", ["wsluice", "floor"], [*shape(64, 50), "--rate", f"{rate:.0f}"],
                         seconds=plan.seconds * (4 if plan.full else 2.5), rounds=plan.rounds + 2)
        for key, samples in found.items():
            if samples:
                g.table.rows.append(
                    ["64 B", g.servers[key].label, number(rate)] +
                    [number(median(samples, lambda s, p=p: s.latency[p])) for p in ("p50", "p90", "p99", "p999", "max")] +
                    [number(median(samples, lambda s: s.cpu_own / s.seconds * 100))])
        goal(g, "p50 to the bare bridge", ratio(found, "wsluice", "floor", lambda s: s.latency["p50"]), high=1.1)
        goal(g, "p99 to the bare bridge", ratio(found, "wsluice", "floor", lambda s: s.latency["p99"]), high=1.5)
    return g.table


def reuseport(plan):
    """Two processes on one port. The load generator's own CPU time is not theirs: see bench/README.md."""
    columns = ["case", "messages/s", "CPU us/message", "busiest process's share", "capacity, messages/s"]
    with Group(plan, "Several processes on one port (SO_REUSEPORT), 64 B echo", columns) as g:
        first = g.start("wsluice 1", S.wsluice, "--to", "echo:")
        second = g.start("wsluice 2a", S.wsluice, "--reuse-port", "--to", "echo:")
        third = second and g.start("wsluice 2b", S.wsluice, "--reuse-port", "--to", "echo:", port=second.port)
        if not (first and third):
            return g.table
        return _reuseport(plan, g, second, third)


def _reuseport(plan, g, first, second):
    """
    Capacity is worked out from CPU time, for the load generator needs a core itself: what a process could
    do with a core of its own, times two, less what the busier one of the two has more than half of the work.
    """
    first.also = [second.pid]
    found = g.rounds("one or two", ["wsluice 1", "wsluice 2a"], shape(64, 500))
    one, two = found.get("wsluice 1"), found.get("wsluice 2a")
    if not one or not two:
        return g.table
    cost1, cost2 = median(one, "cost"), median(two, "cost")
    share = median(two, lambda s: max(s.each) / sum(s.each))
    g.table.rows.append(["1 process", number(median(one, "rate")), number(cost1), "1.00", number(1e6 / cost1)])
    g.table.rows.append(["2 processes", number(median(two, "rate")), number(cost2), f"{share:.2f}",
                         number(1e6 / cost2 / share)])
    goal(g, "capacity of two to one",
         statistics.median(a.cost / b.cost * sum(b.each) / max(b.each) for a, b in zip(one, two)), low=1.8)
    return g.table
