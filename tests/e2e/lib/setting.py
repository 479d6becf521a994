# SPDX-License-Identifier: MIT
"""Which binary is tested, with which programs of others, and how patient the tests are with it."""

import os
import pathlib
import shutil

REPO = pathlib.Path(__file__).resolve().parents[3]
BROWSER = REPO / "tests" / "browser"
BINARY = os.path.abspath(os.environ.get("WSLUICE") or REPO / "build" / "plain" / "wsluice")


def installed(name):
    """The path of a program that `make check` installs; servers are not on every user's PATH. Without it a test fails."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    assert path, f"{name} is missing: contrib/install-deps.sh test"
    return path


def _sanitized():
    try:
        return b"__asan_init" in pathlib.Path(BINARY).read_bytes()
    except OSError:
        return False


SANITIZED = _sanitized()

# A sanitizer makes the daemon a few times slower. For lengths of loads and delays that tests choose, not for verdicts.
SCALE = 3 if SANITIZED else 1

# Seconds after which what should have happened at once is given up. It is so long because a test judges the daemon and not
# the machine: what must not have to wait for something waits for an hour when it does.
SOON = 60

# Of what only the plain build is asked (see the mark `plain`): a browser takes more of the processor than all that it asks.
PAGE_ONLY = "what a page does in a browser is the same with any build, and its requests are sent to each without one"
