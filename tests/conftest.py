# SPDX-License-Identifier: MIT
"""What holds for every test here: none runs without end, none leaves .pyc files beside the sources."""
import signal
import sys

import pytest

sys.dont_write_bytecode = True
LIMIT = 60


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Ends a test, with its fixtures, after LIMIT seconds or those of @pytest.mark.limit(seconds)."""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT

    def ring(*_):
        signal.alarm(20)  # for the fixtures that now clean up
        pytest.fail(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
