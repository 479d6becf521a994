# SPDX-License-Identifier: MIT
"""tests/tools/check-docs finds what it is there for: one fault is planted, the same tree passes without it."""
import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

HELP = """wsluice: for a test

  -l, --listen ADDR            where to listen: PORT, HOST:PORT, [V6]:PORT or unix:PATH; port 0
                               picks one (127.0.0.1:8080)
  -t, --to ADDR                the service
      --console                a page
      --reuse-port             share a port (SO_REUSEPORT)
      --handshake-timeout TIME for a whole head (10s)
  -h, --help                   print this

Examples:
  wsluice --to echo:
"""

HELP_CONFIG = """At the top level:
  ping                         heartbeat. Type: a time (100ms, 25s), 0 to 86400 s. Default:
                               25s.
  user                         whom to become. Type: a text. A reload does not change it.

In an item of listen:
  ping                         another one. Type: a text.
"""

PROGRAM = f"""#!/bin/sh
case "$*" in
--help-config) cat <<'END'
{HELP_CONFIG}END
;;
--help-all) cat <<'END'
{HELP}END
;;
*-f*) echo 'wsluice: --framing ?: no such framing; there are: lines stream' >&2; exit 2 ;;
*) echo 'wsluice: ?: unknown kind of address; write exec:PROGRAM ARG..., tcp://HOST:PORT or echo:' >&2; exit 2 ;;
esac
"""

PAGE = """wsluice(8)

# NAME

wsluice - for a test

# OPTIONS

Some words.

*-l*, *--listen* _ADDR_
	Where to listen. Default:
	*127.0.0.1:8080*.

*-t*, *--to* _ADDR_
	The service.

*--console*
	A page.

*--reuse-port*
	Share a port.

*--handshake-timeout* _TIME_
	For a whole head. Default: *10s*.

*-h*, *--help*
	Print this.

# EXAMPLES

```
wsluice -l 80 \\\\
    --to echo:
```
"""

KEYS = """wsluice.yaml(5)

# NAME

wsluice.yaml - for a test

# TOP LEVEL

*ping*
	Heartbeat. Default:
	*25s*.

*user*
	Whom to become.

# LISTEN

*ping*
	Another one.
"""

PROTOCOL = """wsluice-protocol(7)

# NAME

wsluice-protocol - for *exec:*, *tcp://* and *echo:*

[[ *name*
:[ *is*
|[ *lines*
:[ text
|[ *stream*
:[ binary
"""

README = """# wsluice

    wsluice --reuse-port --to echo:   # a remark

`make check` proves `test_that_is_there`; see [the page](docs/more.md#part) and `src/core/NAME.c`.
[a](docs/wsluice.8.scd) [b](docs/wsluice.yaml.5.scd) [c](docs/wsluice-protocol.7.scd)

```
wsluice -l 8080 --console -- bc --nosuchoption
```
"""

TREE = {
    "build/plain/wsluice": PROGRAM, "docs/wsluice.8.scd": PAGE, "docs/wsluice-protocol.7.scd": PROTOCOL,
    "docs/wsluice.yaml.5.scd": KEYS,
    "README.md": README, "docs/more.md": "`wsluice --to=echo:` and `websocketd --port=80`\n", "src/core/a.c": "",
    "contrib/page/README.md": "`wsluice --to echo:`\n",
    "Makefile": "all check: x\n", "tests/e2e/test_x.py": "def test_that_is_there():\n    pass\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "build/plain/wsluice").chmod(0o755)
    return tmp_path


def check(tree):
    done = subprocess.run([os.path.join(HERE, "check-docs"), str(tree)], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("skipped:")]


def test_docs_good(tree):
    assert check(tree) == (0, [])


@pytest.mark.parametrize("name, old, new, fault", [
    ("docs/wsluice.8.scd", "*--console*\n\tA page.\n", "", "--console is not documented"),
    ("docs/wsluice.8.scd", "*--console*", "*--konsole*", "--konsole is no option"),
    ("docs/wsluice.8.scd", "\tA page.\n", "", "--console has no text"),
    ("docs/wsluice.8.scd", "*10s*", "*5s*", "--handshake-timeout: its default is 10s, not 5s"),
    ("docs/wsluice.8.scd", " Default: *10s*.", "", "--handshake-timeout: its default is 10s, not none"),
    ("docs/wsluice.8.scd", "The service.", "The service. Default: *x*.", "--to: its default is none, not x"),
    ("docs/wsluice.8.scd", "*-t*, ", "", "--to: its letter is t, not none"),
    ("docs/wsluice.8.scd", "_TIME_", "_N_", "--handshake-timeout: its value is TIME, not N"),
    ("docs/wsluice.8.scd", "*-h*, *--help*\n", "*-t*, *--to* _ADDR_\n", "--to stands there twice"),
    ("docs/wsluice.8.scd", "*-h*, *--help*\n", "*-h* *--help*\n", "cannot read this entry"),
    ("docs/wsluice.8.scd", "--to echo:\n", "--two echo:\n", "wsluice has no option --two"),
    ("build/plain/wsluice", "--to ADDR", "--new X\n  -t, --to ADDR", "--new is not documented"),
    ("docs/wsluice-protocol.7.scd", "|[ *stream*", "|[ *strom*", "the table of framings lacks stream"),
    ("docs/wsluice-protocol.7.scd", "*tcp://*", "tcp", "the kind of address tcp:// is not named"),
    ("docs/wsluice.yaml.5.scd", "*user*\n\tWhom to become.\n", "", "user is not documented in TOP LEVEL"),
    ("docs/wsluice.yaml.5.scd", "*user*", "*usr*", "usr in TOP LEVEL is no key"),
    ("docs/wsluice.yaml.5.scd", "# LISTEN", "# ROUTES", "ping is not documented in LISTEN"),
    ("docs/wsluice.yaml.5.scd", "*25s*", "*20s*", "ping in TOP LEVEL: its default is 25s, not 20s"),
    ("docs/wsluice.yaml.5.scd", "\tWhom to become.\n", "", "user has no text"),
    ("README.md", "--console", "--konsole", "wsluice has no option --konsole"),
    ("README.md", "--reuse-port", "--reuse-prt", "wsluice has no option --reuse-prt"),
    ("README.md", "-l 8080", "-x 8080", "wsluice has no option -x"),
    ("README.md", "`make check`", "`make chick`", "make chick: no such target"),
    ("README.md", "test_that_is_there", "test_that_is_not", "there is no test test_that_is_not"),
    ("README.md", "docs/more.md", "docs/less.md", "the link docs/less.md leads nowhere"),
    ("README.md", "src/core/NAME.c", "src/core/a.h", "there is no src/core/a.h"),
    ("README.md", "[a](docs/wsluice.8.scd)", "", "no link leads to docs/wsluice.8.scd"),
    ("docs/more.md", "--to=", "--two=", "wsluice has no option --two"),
    ("contrib/page/README.md", "--to", "--two", "wsluice has no option --two"),
])
def test_docs_fault(tree, name, old, new, fault):
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new))
    status, lines = check(tree)
    assert status == 1 and any(line.startswith(f"{name}: ") or name == "build/plain/wsluice" for line in lines), lines
    assert any(fault in line for line in lines), lines


def test_docs_that_scdoc_cannot_read(tree):
    with open(tree / "docs/wsluice.8.scd", "a") as page:
        page.write("\n\t[[ a table that is indented\n")
    status, lines = check(tree)
    assert status == 1 and lines[0].startswith("docs/wsluice.8.scd: Error at "), lines


def test_docs_without_the_program_is_no_success(tree):
    os.remove(tree / "build/plain/wsluice")
    assert check(tree)[0] == 1
