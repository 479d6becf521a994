# SPDX-License-Identifier: MIT
"""Which binary is tested, and how patient the tests are with it."""

import os
import pathlib

REPO = pathlib.Path(__file__).resolve().parents[3]
BROWSER = REPO / "tests" / "browser"
BINARY = os.path.abspath(os.environ.get("WSLUICE") or REPO / "build" / "plain" / "wsluice")


def _sanitized():
    try:
        return b"__asan_init" in pathlib.Path(BINARY).read_bytes()
    except OSError:
        return False


SANITIZED = _sanitized()

# Every wait is bounded by a multiple of this: a sanitizer makes the daemon a few times slower.
SCALE = float(os.environ.get("WSLUICE_TEST_SCALE") or (3 if SANITIZED else 1))

# How long something may take that should happen at once.
SOON = 8 * SCALE
