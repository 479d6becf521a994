# SPDX-License-Identifier: MIT
"""What the stand-ins share: complaining, finding wsluice, and becoming it."""

import os
import shlex
import shutil
import socket
import subprocess
import sys

NAME = os.path.basename(sys.argv[0])
USAGE = 2  # exit status when the command line is wrong, or asks for what wsluice does not do


def say(text):
    print(f"{NAME}: {text}", file=sys.stderr)


def refuse(text):
    say(text)
    sys.exit(USAGE)


def wsluice():
    """The program: $WSLUICE, or the one on PATH, or the one built in this tree."""
    built = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../build/plain/wsluice")
    found = shutil.which(os.environ.get("WSLUICE") or "wsluice")
    if not found and not os.environ.get("WSLUICE") and os.access(built, os.X_OK):
        found = os.path.normpath(built)
    return found or refuse(f"{os.environ.get('WSLUICE', 'wsluice')} is not there; install it, or name it in the variable WSLUICE")


def port_of(text, what):
    """A port number, from a text that may be anything."""
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    return refuse(f"{what} must be a port number, not '{text}'")


def extra_options():
    """Options of wsluice that neither of the two had, from the variable WSLUICE_OPTIONS."""
    try:
        return shlex.split(os.environ.get("WSLUICE_OPTIONS", ""))
    except ValueError as error:
        return refuse(f"the variable WSLUICE_OPTIONS cannot be read: {error}")


def become(options, command=(), only_print=False, daemon=False):
    """Runs wsluice with these options in our place. only_print: shows the command line instead. daemon: in the background."""
    options = [*options, *extra_options()]
    words = [*options, "--", *command] if command else options
    if only_print:
        print(shlex.join(["wsluice", *words]))
        sys.exit(0)
    program = wsluice()
    if daemon:
        start_daemon(program, words)
    sys.stderr.flush()
    os.execv(program, [program, *words])


def start_daemon(program, words):
    """Starts it in a session of its own. Exits 0 once it serves, which it says as to systemd (sd_notify); else with its
    complaints. A log on standard error ends there: nobody reads it any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind("")  # a free name in the abstract namespace
        ready.settimeout(0.05)
        started = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   start_new_session=True,
                                   env={**os.environ, "NOTIFY_SOCKET": "@" + ready.getsockname()[1:].decode()})
        while started.poll() is None:
            try:
                if b"READY=1" in ready.recv(4096):
                    os._exit(0)  # without waiting for the child
            except TimeoutError:
                pass
    sys.stderr.write(started.stderr.read().decode(errors="replace"))
    sys.exit(started.returncode if started.returncode > 0 else 1)
