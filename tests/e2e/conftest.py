# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests.

Run as `WSLUICE=build/plain/wsluice /usr/bin/python3 -m pytest tests/e2e`. A sanitizer build is recognised.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from lib import proc
from lib.daemon import Wsluice
from lib.peers import Server, Udp
from lib.setting import BINARY, SANITIZED, SOON

# Seconds: the last resort for a test that waits for ever in spite of all. No test is judged by it: a busy machine may need
# many times what an idle one does.
WATCHDOG = 300


def pytest_configure(config):
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"{BINARY} is not there: build it, or name the binary in the variable WSLUICE")
    proc.become_subreaper()


def pytest_report_header(config):
    return f"wsluice: {BINARY}{' (sanitizers)' if SANITIZED else ''}"


def limit_of(item):
    """Seconds that a test may take: those of its mark `limit`, or WATCHDOG."""
    mark = item.get_closest_marker("limit")
    return int(mark.args[0]) if mark else WATCHDOG


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    limit = limit_of(item)

    def bark(*_):
        raise AssertionError(f"the test did not end within {limit} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(limit)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pytest_collection_modifyitems(config, items):
    """Of the sanitizer build, what is marked `plain` is not asked: make check asks the plain build."""
    others = [item for item in items if SANITIZED and item.get_closest_marker("plain")]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _finish_all(started):
    """Ends everything, also when some of it did not end well."""
    wrong = []
    for thing in reversed(started):
        try:
            thing.finish() if isinstance(thing, Wsluice) else thing.close()
        except AssertionError as error:
            wrong.append(str(error))
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def _factory(kind):
    started = []

    def start(*args, **how):
        thing = kind(*args, **how)
        started.append(thing)
        return thing

    yield start
    _finish_all(started)


@pytest.fixture
def wsluice():
    """wsluice(ARG, ...) starts a daemon for this test and returns it, listening."""
    yield from _factory(Wsluice)


@pytest.fixture(scope="module")
def wsluice_module():
    """The same for daemons that all tests of a module share."""
    yield from _factory(Wsluice)


@pytest.fixture
def server():
    """server(peers.echo, ...) starts a server for the daemon to connect to."""
    yield from _factory(Server)


@pytest.fixture
def udp():
    """udp() opens the socket of a UDP server on 127.0.0.1."""
    yield from _factory(Udp)


@pytest.fixture
def unprivileged():
    """unprivileged(ARG, ...) runs the binary to its end, as a user for whom the modes of files hold: root becomes nobody.
    .folder is one that such a user can reach, and not write to."""
    with tempfile.TemporaryDirectory(prefix="wsluice-") as folder:
        os.chmod(folder, 0o755)
        binary = shutil.copy(BINARY, folder)
        who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}

        def run(*args):
            return subprocess.run([binary, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SOON,
                                  cwd="/", **who)

        run.folder = pathlib.Path(folder)
        yield run


@pytest.fixture
def shared(request):
    """shared(DAEMON): use a daemon of the module in this test; it must still be well afterwards."""
    used = []

    def use(daemon):
        daemon.check()
        used.append(daemon)
        return daemon

    yield use
    for daemon in used:
        daemon.close_clients()
        daemon.check()
