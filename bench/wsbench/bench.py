# SPDX-License-Identifier: MIT
"""Running workloads: servers started once a group, rounds A B C A B C, medians, goals."""

import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from . import proc
from .load import LoadError, measure


@dataclass
class Plan:
    """How long and how often."""
    full: bool
    seconds: float
    warmup: float
    rounds: int
    plot: str = None  # directory for pictures


QUICK = Plan(False, 0.4, 0.1, 3)
FULL = Plan(True, 1.0, 0.2, 5)


@dataclass
class Table:
    """One Markdown table. rows are lists of texts; raw goes into the JSON."""
    title: str
    columns: list
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    raw: list = field(default_factory=list)
    goals: list = field(default_factory=list)  # (text, met)
    errors: list = field(default_factory=list)  # of ours: wrong bytes, lost messages

    def markdown(self):
        lines = [f"### {self.title}", "", "| " + " | ".join(self.columns) + " |",
                 "|" + "|".join("---" if i == 0 else "--:" for i in range(len(self.columns))) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        if self.goals:
            lines += ["", "Goals: "] + [f"- [{'x' if met else ' '}] {text}" for text, met in self.goals]
        if self.notes:
            lines += [""] + [f"- {n}" for n in self.notes]
        return "\n".join(lines) + "\n"


class Group:
    """
    The servers of one workload group. Use: with Group(...) as g: g.start(key, function), then
    g.case(...) for each line of the table. What cannot be started is noted and left out.
    """

    def __init__(self, plan, title, columns):
        self.plan = plan
        self.table = Table(title, columns)
        self.servers = {}
        self.stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def start(self, key, function, *args, **kwargs):
        """Starts a server; returns it or None."""
        try:
            server = function(*args, **kwargs)
        except proc.StartError as e:
            self.table.notes.append(f"left out: {key}: {e}")
            return None
        self.stack.callback(server.stop)
        self.servers[key] = server
        return server

    def note(self, text):
        self.table.notes.append(text)

    def rounds(self, name, keys, args, seconds=None, rounds=None, warmup=None, storm=False):
        """
        Measures each server of keys in turn, and that several times. Returns {key: [Sample]} with as many
        samples for each; who fails is left out from then on. args: a list, or a function of the key.
        """
        found = {k: [] for k in keys if k in self.servers}
        warmup = self.plan.warmup if warmup is None else warmup
        for n in range(rounds or self.plan.rounds):
            for key in list(found):
                progress(f"{self.table.title}: {name}: round {n + 1}: {key}")
                more = args(key) if callable(args) else args
                try:
                    found[key].append(measure(self.servers[key], ["--warmup", str(warmup), *more],
                                              seconds or self.plan.seconds, storm))
                except (LoadError, ValueError, OSError) as e:
                    self.failed(name, key, e)
                    del found[key]
        self.table.raw += [{"case": name, "server": k, **vars(s)} for k, v in found.items() for s in v]
        return found

    def failed(self, name, key, error):
        self.table.notes.append(f"failed: {key}, {name}: {error}")
        if key.startswith(("wsluice", "floor")):
            self.table.errors.append(f"{self.table.title}: {key}, {name}: {error}")

    def goal(self, what, value, low=None, high=None, unit="", digits=2):
        """A goal with its figure; never a gate."""
        met = (low is None or value >= low) and (high is None or value <= high)
        wanted = f"at least {low:g}" if low is not None else f"at most {high:g}"
        self.table.goals.append((f"{what}: **{value:.{digits}f}{unit}** ({wanted}{unit})", met))
        return met


def progress(text):
    """What happens now, on a terminal's stderr only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)


def median(samples, what):
    """The median of an attribute, or of a function of a sample."""
    get = what if callable(what) else lambda s: getattr(s, what)
    return statistics.median(get(s) for s in samples)


def ratio(found, a, b, what):
    """
    Median over the rounds of what(a) / what(b), the two measured right after each other: steadier on a
    machine with neighbours than the ratio of medians. None if one is missing.
    """
    if not found.get(a) or not found.get(b):
        return None
    get = what if callable(what) else lambda s: getattr(s, what)
    pairs = [get(x) / get(y) for x, y in zip(found[a], found[b]) if get(y) > 0]
    return statistics.median(pairs) if pairs else None


def text_ratio(value):
    return "" if value is None else f"{value:.2f}"


def number(value):
    """Three digits or so, with thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
