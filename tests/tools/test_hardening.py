# SPDX-License-Identifier: MIT
"""What the Makefile adds to harden the program is in the program, and is asked of each compiler first."""
import os
import platform
import re
import shutil
import signal
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FLAGS = f"{TOP}/contrib/hardening-flags"
BINARY = f"{TOP}/build/plain/wsluice"
BRANCHES = {"x86_64": "-fcf-protection=full", "aarch64": "-mbranch-protection=standard"}.get(platform.machine())


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def test_the_binary_is_hardened():
    assert re.search(r"Type: +DYN", said("readelf", "-hW", BINARY))
    segments = said("readelf", "-lW", BINARY)
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK .* RW  ", segments), "an executable stack"
    assert not re.search(r"^ +LOAD .* RWE ", segments, re.M), "memory to write and to run"
    dynamic = said("readelf", "-dW", BINARY)
    assert re.search(r"FLAGS_1.* NOW\b.* PIE\b", dynamic) and not re.search(r"RPATH|RUNPATH|TEXTREL", dynamic)
    imported = said("readelf", "--dyn-syms", "-W", BINARY)
    assert "__stack_chk_fail" in imported, "no stack protector"
    assert re.search(r"UND __\w+_chk\b", imported), "no _FORTIFY_SOURCE"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks at instructions of x86-64")
def test_every_function_that_can_be_jumped_to_says_so_and_large_frames_are_probed():
    code = said("objdump", "-d", "--no-show-raw-insn", BINARY)
    functions = dict(re.findall(r"^[0-9a-f]+ <(\w+)>:\n((?:.+\n)+)", code, re.M))
    for name in ("main", "worker_run"):
        assert functions[name].splitlines()[0].endswith("endbr64"), functions[name][:200]
    page_and_more = r"(?:sub +\$|lea +-)0x(?:[2-9a-f][0-9a-f]{3}|[0-9a-f]{5,7})(?:,|\(%rsp\),)%(?:rsp|r11)$"
    large = {name: body for name, body in functions.items() if re.search(page_and_more, body, re.M)}
    assert large, "no function of the program has a frame of many pages: look for another proof"
    for name, body in large.items():
        assert re.search(r"\bor[ql] +\$0x0,", body), f"{name} jumps over the guard page:\n{body[:400]}"


def test_every_file_was_compiled_with_all_that_the_compiler_can():
    with open(f"{TOP}/build/plain/.flags") as file:
        built = file.read().split()
    for flag in said(FLAGS, built[0], "-O2").split():
        assert flag in built, f"{flag} was not used: {' '.join(built)}"
    told = re.findall(r"GNU C\d* .*", said("readelf", "-p", ".debug_str", BINARY))
    for producer in told:  # one for each set of options; clang keeps no options
        for flag in ("-fstack-protector-strong", *(f for f in built if f.startswith(("-fstack-clash", "-fcf", "-ftrivial")))):
            assert flag in producer, f"compiled without {flag}: {producer}"


# What gcc and clang of Debian can: nothing is lost without being noticed.
@pytest.mark.parametrize("compiler, wanted", [
    ("gcc", {"-D_FORTIFY_SOURCE=3", "-fstack-clash-protection", BRANCHES, "-ftrivial-auto-var-init=zero"}),
    ("clang", {"-D_FORTIFY_SOURCE=3", "-fstack-clash-protection", BRANCHES}),
])
def test_what_a_compiler_can_is_found_out(compiler, wanted):
    found = said(FLAGS, compiler, "-O2").split()
    assert wanted - {None} <= set(found), found
    assert {"x86_64": "-mbranch-protection=standard", "aarch64": "-fcf-protection=full"}.get(platform.machine()) not in found


def test_another_target_gets_its_own():
    found = said(FLAGS, "clang", "-O2", "--target=aarch64-linux-gnu").split()
    assert "-mbranch-protection=standard" in found and "-fcf-protection=full" not in found


@pytest.mark.parametrize("flag", ["-D_FORTIFY_SOURCE=3", "-fstack-clash-protection", BRANCHES, "-ftrivial-auto-var-init=zero"])
def test_what_a_compiler_refuses_is_left_out(tmp_path, flag):
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\ncase \" $* \" in *' {flag} '*) exit 1 ;; esac\nexec {shutil.which('gcc')} \"$@\"\n")
    compiler.chmod(0o755)
    all_of_them, found = said(FLAGS, "gcc", "-O2").split(), said(FLAGS, str(compiler), "-O2").split()
    assert flag in all_of_them and flag not in found
    assert len(found) == len(all_of_them) - (flag != "-D_FORTIFY_SOURCE=3")
    assert ("-D_FORTIFY_SOURCE=2" in found) == (flag == "-D_FORTIFY_SOURCE=3")
    line = next(line for line in said("make", "-n", "-B", "-C", TOP, "V=1", f"CC={compiler}", "build/plain/obj/base/addr.o")
                .splitlines() if line.startswith(str(compiler)))
    assert flag not in line.split() and set(found) <= set(line.split())


def test_without_when_asked():
    line = said("make", "-n", "-B", "-C", TOP, "V=1", "HARDEN=", "build/plain/obj/base/addr.o")
    assert "-fstack-protector-strong" in line and not re.search("_FORTIFY_SOURCE|clash|cf-prot|trivial", line)


def compiled(tmp_path, source):
    (tmp_path / "x.c").write_text(source)
    flags = said(FLAGS, "gcc", "-O2").split()
    subprocess.run(["gcc", "-O2", "-w", *flags, "-o", tmp_path / "x", tmp_path / "x.c"], check=True)
    return subprocess.run([tmp_path / "x", "24"], capture_output=True).returncode


def test_what_was_not_set_is_zero(tmp_path):
    assert compiled(tmp_path, """
        #include <string.h>
        __attribute__((noinline)) void dirt(void) { volatile char d[512]; for (int i = 0; i < 512; i++) d[i] = 7; }
        __attribute__((noinline)) int sum(void) { volatile char d[512]; int n = 0; for (int i = 0; i < 512; i++) n |= d[i]; return n; }
        int main(void) { dirt(); return sum(); }""") == 0


def test_an_overflow_of_a_size_known_only_then_is_stopped(tmp_path):
    """Level 3 and not 2: the size of the object is no constant."""
    assert compiled(tmp_path, """
        #include <stdlib.h>
        #include <string.h>
        int main(int argc, char **argv) {
            size_t n = strtoul(argv[1], 0, 10);
            char *p = malloc(n);
            memset(p, 1, n + 8);
            return p[argc] != 1; }""") == -signal.SIGABRT
