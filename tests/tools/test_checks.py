# SPDX-License-Identifier: MIT
"""The checks of `make lint` and the counting of tests/run-all find what they are there for.

Each test plants one fault in a small tree of its own; the same tree passes without it.
"""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: MIT */\n"
BUILD = "build/plain/obj"

GOOD = {
    "src/base/a.h": LICENCE + """#ifndef BASE_A_H
#define BASE_A_H
#include <stddef.h>
extern const char *const a_names[2];
int a_count(size_t n);
#endif
""",
    # constant data with pointers lands in .data.rel.ro, which is no fault
    "src/base/a.c": LICENCE + """#include "base/a.h"

const char *const a_names[2] = {"one", "two"};

int a_count(size_t n)
{
    return n > 2 ? 2 : (int)n;
}
""",
    "src/io/b.h": LICENCE + """#ifndef IO_B_H
#define IO_B_H
#include <ev.h>

#include "base/a.h"
struct b {
    ev_timer timer;
};
#endif
""",
    "src/proto/p.h": LICENCE + "#ifndef P_H\n#define P_H\ntypedef int p_int;\n#endif\n",
    "src/core/c.h": LICENCE + '#ifndef C_H\n#define C_H\n#include "io/b.h"\n#include "proto/p.h"\n#endif\n',
    "src/io/child/e.h": LICENCE + '#ifndef E_H\n#define E_H\n#include "io/b.h"\n#endif\n',
    "src/core/client/d.h": LICENCE + '#ifndef D_H\n#define D_H\n#include "core/c.h"\n#endif\n',
    "src/core/session/s.h": LICENCE + '#ifndef S_H\n#define S_H\n#include "core/client/d.h"\n#endif\n',
    "src/http/f.h": LICENCE + '#ifndef F_H\n#define F_H\n#include "core/c.h"\n#endif\n',
    "src/backend/k.h": LICENCE + "#ifndef K_H\n#define K_H\n#endif\n",
    "src/conf/y.h": LICENCE + '#ifndef Y_H\n#define Y_H\n#include "base/a.h"\n#endif\n',
    "src/server/kinds.h": LICENCE + '#ifndef T_H\n#define T_H\n#include "backend/k.h"\n#include "http/f.h"\n#endif\n',
    "src/kinds.h": LICENCE + "#ifndef KINDS_H\n#define KINDS_H\n#endif\n",
    "contrib/go.sh": "#!/bin/sh\n# SPDX-License-Identifier: MIT\necho \"$1\"\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copy(os.path.join(HERE, "../../.clang-format"), tmp_path)
    return tmp_path


def check(name, tree, **env):
    """The exit status and the output of one check on a tree."""
    done = subprocess.run([os.path.join(HERE, "check-" + name), str(tree)], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | env)
    return done.returncode, done.stdout


def passes(name, tree, **env):
    assert check(name, tree, **env) == (0, "")


def fails(name, tree, *words, **env):
    """The check exits 1 and has all these words in one line."""
    status, output = check(name, tree, **env)
    assert status == 1, output
    assert any(all(word in line for word in words) for line in output.splitlines()), output


def add(tree, name, text):
    with open(tree / name, "a", encoding="utf-8") as f:
        f.write(text)
    return open(tree / name, encoding="utf-8").read().count("\n")


# ---- layers

@pytest.mark.parametrize("path, include, words", [
    ("src/base/a.h", '"io/b.h"', "base/ may not include io/"),          # upwards
    ("src/proto/p.h", '"io/b.h"', "proto/ may not include io/"),        # siblings
    ("src/io/b.h", '"proto/p.h"', "io/ may not include proto/"),
    ("src/core/c.h", '"http/f.h"', "core/ may not include http/"),
    ("src/core/c.h", '"core/client/d.h"', "core/ may not include core/client/"),     # into a folder of it
    ("src/core/client/d.h", '"core/session/s.h"', "core/client/ may not include core/session/"),
    ("src/io/b.h", '"io/child/e.h"', "io/ may not include io/child/"),
    ("src/http/f.h", '"backend/k.h"', "http/ may not include backend/"),
    ("src/backend/k.h", '"http/f.h"', "backend/ may not include http/"),
    ("src/backend/k.h", '"core/session/s.h"', "backend/ may not include core/session/"),
    ("src/backend/k.h", '"kinds.h"', "backend/ may not include src/"),
    ("src/conf/y.h", '"io/b.h"', "conf/ may not include io/"),
    ("src/base/a.h", "<io/b.h>", "base/ may not include io/"),          # angles do not hide it
    ("src/base/a.h", '"../io/b.h"', "base/ may not include io/"),       # nor does a way around
    ("src/core/c.h", "<ev.h>", "<ev.h> has one door"),
    ("src/io/b.h", "<llhttp.h>", "<llhttp.h> has one door"),
    ("src/core/c.h", "<openssl/sha.h>", "<openssl/sha.h> has one door"),
    ("src/core/c.h", "<sys/capability.h>", "<sys/capability.h> has one door"),
    ("src/core/c.h", "<ares.h>", "<ares.h> has one door"),
    ("src/core/c.h", '"core/gone.h"', "is not below src/"),
    ("src/core/c.h", "HEADER", "an include by macro"),
])
def test_layers(tree, path, include, words):
    passes("layers", tree)
    line = add(tree, path, f"#include {include}\n")
    fails("layers", tree, f"{path}:{line}: ", words)


def test_layers_new_folder(tree):
    (tree / "src/misc").mkdir()
    add(tree, "src/misc/m.h", LICENCE)
    fails("layers", tree, "src/misc/m.h:1: ", "has no place in ORDER")
    (tree / "src/misc/m.h").unlink()
    (tree / "src/core/misc").mkdir()
    add(tree, "src/core/misc/m.h", LICENCE)
    fails("layers", tree, "src/core/misc/m.h:1: ", "has no place in ORDER")


def test_layers_of_nothing(tmp_path):
    assert check("layers", tmp_path)[0] == 1


def drawn(svg):
    """Its folders and arrows."""
    return set(re.findall(r"<title>(\S+ includes \S+)</title>|font-weight=\"bold\">([^<]+)<", svg))


def test_the_picture_is_of_these_folders():
    """`make picture` mends it."""
    top = os.path.join(HERE, "../..")
    now = subprocess.run([os.path.join(HERE, "draw-layers"), top], check=True, text=True, stdout=subprocess.PIPE).stdout
    with open(os.path.join(top, "docs/architecture.svg"), encoding="utf-8") as svg:
        assert drawn(svg.read()) == drawn(now)
    assert ("io includes base", "") in drawn(now)


def test_no_picture_of_a_circle(tree):
    add(tree, "src/core/c.h", '#include "core/client/d.h"\n')
    done = subprocess.run([os.path.join(HERE, "draw-layers"), str(tree)], text=True, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "circle" in done.stderr and "core/client" in done.stderr


# ---- globals

def compile_all(tree):
    for folder, _, names in os.walk(tree / "src"):
        for name in names:
            if name.endswith(".c"):
                source = os.path.relpath(os.path.join(folder, name), tree)
                obj = tree / BUILD / (source[len("src/"):-1] + "o")
                obj.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cc", "-g", "-O2", "-fPIE", "-Isrc", "-c", source, "-o", obj],
                               cwd=tree, check=True)


@pytest.mark.parametrize("code, words", [
    ("int a_seen;", ["a_seen", ".bss"]),
    ("int a_seen = 1;", ["a_seen", ".data"]),
    ("static int seen = 1;\nint a_see(void);\nint a_see(void) { return seen++; }", ["seen", ".data"]),
    ("int a_see(void);\nint a_see(void)\n{\n    static int seen;\n    return seen++;\n}", ["seen", ".bss"]),
    ("_Thread_local int a_seen;", ["a_seen", ".tbss"]),
    ("_Thread_local int a_seen = 1;", ["a_seen", ".tdata"]),
    ("__attribute__((visibility(\"hidden\"))) int a_seen;", ["a_seen", ".bss"]),
    ("__attribute__((common)) int a_seen;", ["a_seen", "COM"]),
    # the array is writable although the strings are not
    ("const char *a_words[] = {\"x\"};", ["a_words", ".data"]),
])
def test_globals(tree, code, words):
    compile_all(tree)
    passes("globals", tree)
    line = add(tree, "src/base/a.c", "") + 1
    add(tree, "src/base/a.c", code + "\n")
    compile_all(tree)
    fails("globals", tree, "src/base/a.c:", "make it const", *words)
    if "\n" not in code and "common" not in code:
        fails("globals", tree, f"src/base/a.c:{line}: ")


def test_globals_needs_every_object(tree):
    compile_all(tree)
    add(tree, "src/io/b.c", LICENCE + "int b_seen;\n")
    fails("globals", tree, "src/io/b.c:1: ", "not built")


# ---- headers

@pytest.mark.parametrize("path, text", [
    ("src/base/n.h", LICENCE + "size_t n_size(void);\n"),              # needs <stddef.h>
    ("src/base/n.h", LICENCE + "struct n {\n    int n;\n};\n"),        # has no guard
    ("src/base/n.h", LICENCE + "#ifndef N_H\n#define N_H\nint n_size();\n#endif\n"),  # warns
])
def test_headers(tree, path, text):
    flags = {"FLAGS": "-std=gnu11 -Isrc -Wall -Wstrict-prototypes -DWSLUICE_VERSION=\\\"1\\\""}
    passes("headers", tree, **flags)
    add(tree, path, text)
    fails("headers", tree, f"{path}:1: ", "does not compile alone", **flags)


# ---- names

@pytest.mark.parametrize("text", [
    "static void {}(void)\n{{\n}}\n",
    "static inline const char *{}(const struct n *n, void (*done)(int n),\n                   int m)\n{{\n}}\n",
    "__attribute__((cold)) static bool {}(void)\n{{\n}}\n",
])
def test_names(tree, text):
    passes("names", tree)
    add(tree, "src/io/n.c", LICENCE + text.format("n_read"))
    add(tree, "src/core/n.c", LICENCE + text.format("read_n") + "\nint m(void)\n{\n    if (a_count(1))\n        n_read();\n}\n")
    passes("names", tree)
    add(tree, "src/core/n.c", LICENCE + text.format("n_read"))
    fails("names", tree, "src/io/n.c:2: n_read is a function in src/core/n.c:")


# ---- licence lines

@pytest.mark.parametrize("path, text", [
    ("src/base/n.h", "\n" + LICENCE),
    ("src/base/n.c", "// SPDX-License-Identifier: MIT\n"),
    ("tests/e2e/test_n.py", '"""A test."""\n'),
    ("contrib/n", "#!/bin/sh\necho\n"),
    ("contrib/demo/n.html", "<!doctype html>\n<html>\n"),
    ("bench/n.c", "int main(void);\n"),
    ("Makefile", "all:\n"),
])
def test_spdx(tree, path, text):
    passes("spdx", tree)
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    add(tree, path, text)
    fails("spdx", tree, f"{path}:1: ")


# ---- format, shell

def test_format(tree):
    status, output = check("format", tree)
    if output.startswith("skipped"):
        pytest.skip(output)
    assert (status, output) == (0, "")
    add(tree, "src/base/a.c", "int  a_size( void );\n")
    fails("format", tree, "src/base/a.c:10: ", "make format")


def test_shell(tree):
    status, output = check("shell", tree)
    if output.startswith("skipped"):
        pytest.skip(output)
    assert (status, output) == (0, "")
    add(tree, "contrib/go.sh", "cd nowhere\n")
    fails("shell", tree, "contrib/go.sh:4:")


# ---- run-all: how it counts

@pytest.fixture
def run_all():
    loader = importlib.machinery.SourceFileLoader("run_all", os.path.join(HERE, "../run-all"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_all", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("output, status, counts", [
    ("1..2\nok 1 - a\nok 2 - b\n", 0, (2, 0, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n", 1, (1, 1, 0)),
    ("1..2\nok 1 - a\nnot ok 2 # SKIP b\n", 0, (1, 0, 1)),
    ("1..2\nok 1 - a\n", 139, (1, 1, 0)),                 # died in the second
    ("", 139, (0, 1, 0)),                                 # died before all
    ("", 0, (0, 1, 0)),                                   # says nothing
    ("1..1\nok 1 - a\n", 99, (1, 1, 0)),                  # a leak found at exit
    ("1..1\nok 1 - a\n1..1\nok 1 - b\n", 0, (2, 0, 0)),   # two groups
])
def test_counting_tap(run_all, output, status, counts):
    part = run_all.Part("x", [], None, 1)
    run_all.count_tap(part, output, status)
    assert (part.passed, part.failed, part.skipped) == counts


@pytest.mark.parametrize("code, counts", [
    ("def test_a(): pass\n", (1, 0, 0)),
    ("import pytest\ndef test_a(): assert 0\ndef test_b(): pytest.skip('why')\n", (0, 1, 1)),
    ("import nothing_of_this_name\n", (0, 1, 0)),
    ("", (0, 1, 0)),                                      # no tests at all
    ("import os\ndef test_a(): os._exit(0)\n", (0, 1, 0)),  # dies and claims success
])
def test_counting_pytest(run_all, tmp_path, monkeypatch, code, counts):
    monkeypatch.setattr(run_all, "LOGS", str(tmp_path))
    (tmp_path / "test_n.py").write_text(code)
    part = run_all.Part("n", [], None, 1)
    command = run_all.pytest("n", str(tmp_path)) + ["-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    run_all.count_pytest(part, done.stdout, done.returncode)
    assert (part.passed, part.failed, part.skipped) == counts, done.stdout


def small_project(tmp_path, part):
    """A copy of run-all whose parts are replaced by one."""
    with open(os.path.join(HERE, "../run-all"), encoding="utf-8") as f:
        text = f.read()
    assert text.count("if __name__ ==") == 1
    (tmp_path / "tests").mkdir(exist_ok=True)
    (tmp_path / "tests/run-all").write_text(
        text.replace("if __name__ ==", f"def parts():\n    {part}\n\n\nif __name__ =="))
    return subprocess.run(["/usr/bin/python3", tmp_path / "tests/run-all"], text=True, timeout=290,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("part, last, words", [
    ('yield Part("x", [["true"]], count_one, 9)', "1 passed, 0 failed, 0 skipped", "ok"),
    ('yield Part("x", [["echo", "skipped: no tool"]], count_one, 9)', "0 passed, 0 failed, 1 skipped", "no tool"),
    ('yield Part("x", [["false"]], count_one, 9)', "0 passed, 1 failed, 0 skipped", "FAIL"),
    ('yield Part("x", [["sleep", "99"]], count_one, 1)', "0 passed, 1 failed, 0 skipped", "killed"),
    ('yield Part("x", [], count_one, 1)', "0 passed, 1 failed, 0 skipped", "no tests"),
    ('yield Part("x", [["false"]], count_one, 9); yield Part("y", [["true"]], count_one, 9, ["x"])',
     "0 passed, 2 failed, 0 skipped", "not run, because x failed"),
    # a sanitizer's report counts even when the program's status was lost
    ('yield Part("x", [["sh", "-c", "echo bad >$PWD/build/check/sanitizer/x.1"]], count_one, 9)',
     "1 passed, 1 failed, 0 skipped", "sanitizer report"),
    # the time of the processor that all below it has taken, by kind
    ('yield Part("x-1", [["sh", "-c", "(ulimit -t 1; while :; do :; done); :"]], count_one, 300, kind="x")',
     "1 passed, 0 failed, 0 skipped", "s, 1 s of the processor)\n"),
    # a process that nobody ended
    ('yield Part("x", [["sh", "-c", "setsid sleep 97 >/dev/null 2>&1 &"]], count_one, 9)',
     "1 passed, 1 failed, 0 skipped", "sleep 97"),
])
def test_run_all(tmp_path, part, last, words):
    done = small_project(tmp_path, part)
    assert done.stdout.splitlines()[-1] == last, done.stdout
    assert words in done.stdout
    assert done.returncode == (0 if ", 0 failed," in last else 1)


def test_a_file_for_the_other_build_has_no_tests(run_all, tmp_path, monkeypatch):
    """Which is no fault, other than a file in which none is found (above)."""
    monkeypatch.setattr(run_all, "LOGS", str(tmp_path))
    (tmp_path / "test_n.py").write_text("def test_a(): pass\n")
    part = run_all.Part("n", [], None, 1)
    done = subprocess.run([*run_all.pytest("n", str(tmp_path)), "-p", "no:cacheprovider", "-k", "other"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 5
    run_all.count_pytest(part, done.stdout, done.returncode)
    assert (part.passed, part.failed, part.skipped) == (0, 0, 0), done.stdout


def test_parts_that_compile_are_one_at_a_time_beside_others(run_all):
    make, test = (run_all.Part(name, [command], None, 1) for name, command in (("m", [*run_all.MAKE, "all"]), ("t", ["true"])))
    assert run_all.has_room(make, [test] * run_all.SLOTS) and run_all.has_room(test, [make] + [test] * (run_all.SLOTS - 1))
    plain, asan, other = (run_all.Part(name, [], None, 1, apart=apart) for name, apart in (("p", "tls"), ("a", "tls"), ("o", "cli")))
    assert run_all.has_room(plain, [other, test, make]) and not run_all.has_room(asan, [plain])
    assert not run_all.has_room(make, [make]) and not run_all.has_room(test, [test] * run_all.SLOTS)


def test_every_file_of_the_end_to_end_tests_is_a_part_of_each_build(run_all, monkeypatch):
    monkeypatch.chdir(os.path.join(HERE, "../.."))
    names = {part.name for part in run_all.parts()}
    files = [name[len("test_"):-len(".py")] for name in os.listdir("tests/e2e") if re.fullmatch(r"test_\w+\.py", name)]
    assert files and {f"e2e-{mode}-{file}" for mode in ("plain", "asan") for file in files} <= names
    assert {part.name for part in run_all.needed(["e2e-asan"])} == {f"e2e-asan-{file}" for file in files} | {"build-plain", "build-asan"}
    assert not {part.name for part in run_all.needed([])} & {f"e2e-cov-{file}" for file in files}, "coverage is no part of a check"
    assert set(run_all.LONG) <= set(files) | names, "a long one that is gone"
