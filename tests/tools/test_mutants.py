# SPDX-License-Identifier: MIT
"""tests/tools/mutants plants what it says, and counts only what a fault has done."""
import importlib.machinery
import importlib.util
import os

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def mutants():
    loader = importlib.machinery.SourceFileLoader("mutants", os.path.join(HERE, "mutants"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
    loader.exec_module(module)
    return module


SOURCE = """#define MOST 8 /* MOST == 8 */
/* n > 0 && n < 3
 * n == 2 */
int f(struct s *s, int n)
{
    const char *text = "n == 1 && n";

    if (n == 1 && !s->ready) {
        s->text = text;
        call(s, n);
    }
    return waitpid(n, NULL, 0) > 0);
}
"""


def test_faults_are_planted_in_code_alone(mutants, tmp_path):
    path = tmp_path / "a.c"
    path.write_text(SOURCE)
    faults = list(mutants.faults_of(path, "a.c"))
    assert {f.line for f in faults} == {0, 7, 8, 9, 11}
    after = {f.after.strip() for f in faults}
    assert {"#define MOST 9 /* MOST == 8 */", "if (n != 1 && !s->ready) {", "if (n == 1 || !s->ready) {", "if (n == 1 && s->ready) {",
            "if (1 || (n == 1 && !s->ready)) {", "if (0 && (n == 1 && !s->ready)) {", "if (0) s->text = text;",
            "if (0) call(s, n);"} <= after
    assert not any(f.name == "constant changed" for f in faults if f.line == 11), "no process has that number"


def test_the_same_seed_gives_the_same_faults(mutants, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.c").write_text(SOURCE)
    first, again, other = (list(mutants.choose(seed, "", tmp_path)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == len(set(first)) and set(first) == set(other), "each once"


def test_an_end_to_end_test_counts_when_only_the_fault_makes_it_fail(mutants, monkeypatch, capsys):
    fails = {"mutant": {"e2e/a.py::ill", "e2e/a.py::sees"}, "healthy": {"e2e/a.py::ill"}}

    def pytest_(what, limit, binary=None, leave=()):
        names = ["e2e/a.py::ill", "e2e/a.py::well", "e2e/a.py::sees"] if what == ["tests/e2e/a.py"] else what
        failed = [n for n in names if n in fails["healthy" if binary else "mutant"] and n not in leave]
        return (1, failed[0]) if failed else (0, None)

    monkeypatch.setattr(mutants, "pytest", pytest_)
    errors = mutants.Errors()
    assert mutants.notice(["tests/e2e/a.py"], errors, 60) == "a.py::sees"
    assert errors.names == ["e2e/a.py::ill"] and "e2e/a.py::ill fails on the healthy copy" in capsys.readouterr().out
    fails["mutant"] = fails["healthy"]
    assert mutants.notice(["tests/e2e/a.py"], errors, 60) is None


def test_one_that_fails_now_and_then_does_not_count(mutants, monkeypatch):
    results = iter([(1, "e2e/a.py::flaky"), (0, None), (0, None), (0, None)])  # with the fault, without, with it again; all others
    monkeypatch.setattr(mutants, "pytest", lambda *_, **__: next(results))
    assert mutants.notice(["tests/e2e/a.py"], mutants.Errors(), 60) is None


def test_a_unit_test_counts_when_only_the_fault_makes_it_fail(mutants, monkeypatch):
    fails = {mutants.MUTANT: {"ill", "sees"}, mutants.HEALTHY: {"ill"}}
    monkeypatch.setattr(mutants, "failures", lambda binary, limit=0: set(fails[binary.parent.parent]))
    units = mutants.Units.__new__(mutants.Units)
    units.errors, units.broken, units.seconds = mutants.Errors(), {"test_a": set()}, {"test_a": 1}
    assert units.notice(["test_a"]) == "test_a: sees"
    assert units.errors.names == ["test_a: ill"]
    fails[mutants.MUTANT] = {"ill"}
    assert units.notice(["test_a"]) is None


def test_lines_are_found_again(mutants):
    reach = mutants.Reach.__new__(mutants.Reach)
    reach.moved = {}
    reach.known = {"tests": [["e2e/test_a.py::one", 1], ["e2e/test_b.py::two", 2], ["e2e/test_b.py::three", 30]],
                   "files": {"a.c": {"text": "one\ntwo\nthree\nfour", "lines": {"1": [0], "2": [1, 2, 0]}}}}
    now = "new\none\ntwo\nthree\nadded\nfour"
    assert reach.tests("a.c", now, 2, [], 60) == ["e2e/test_a.py::one"]
    assert reach.tests("a.c", now, 4, [], 10) == ["e2e/test_a.py::one", "e2e/test_b.py::two"], "as long as there is time"
    assert reach.tests("a.c", now, 4, ["tests/e2e/test_b.py"], 2) == ["e2e/test_b.py::two"], "those of the map first"
    assert reach.tests("a.c", now, 1, [], 60) == [], "nothing reaches it"
    assert reach.tests("b.c", now, 1, [], 60) is None, "nothing is known of it"
