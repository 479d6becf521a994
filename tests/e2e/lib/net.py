# SPDX-License-Identifier: MIT
"""A network of the test's own: two network namespaces with a cable between them."""

import ctypes
import os
import socket
import subprocess
import threading

from . import proc
from .setting import SOON

_CLONE_NEWNET = 0x40000000


def _nobody():
    """A process that does nothing but keep a network namespace."""
    kept = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL, preexec_fn=proc.die_with_parent)
    proc.started.add(kept.pid)
    ours = os.readlink("/proc/self/ns/net")
    proc.wait_until(lambda: os.readlink(f"/proc/{kept.pid}/ns/net") != ours or kept.poll() is not None, "a network namespace")
    assert kept.poll() is None, "no network namespace could be made"
    return kept


class Cable:
    """`near` and `far` are the pids of processes in the two namespaces, NEAR and FAR the addresses there. Needs root."""

    NEAR, FAR = "192.0.2.1", "192.0.2.2"

    def __enter__(self):
        self._kept = []
        try:
            self._kept += [_nobody(), _nobody()]
            self.near, self.far = (kept.pid for kept in self._kept)
            subprocess.run(["ip", "link", "add", "cable", "netns", str(self.near), "type", "veth", "peer", "name", "cable", "netns",
                            str(self.far)], check=True, timeout=SOON)
            for pid, address in (self.near, self.NEAR), (self.far, self.FAR):
                self._ip(pid, "address", "add", f"{address}/24", "dev", "cable")
                self._ip(pid, "link", "set", "lo", "up")
                self._ip(pid, "link", "set", "cable", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for kept in self._kept:
            kept.kill()
            kept.wait()
            proc.started.discard(kept.pid)

    def inside(self, pid, *command):
        """The command line that runs one in the namespace of pid."""
        return ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command]

    def _ip(self, pid, *words):
        subprocess.run(self.inside(pid, "ip", *words), check=True, timeout=SOON)

    def cut(self):
        """Nothing comes through any more, and nobody is told."""
        self._ip(self.far, "link", "set", "cable", "down")

    def mend(self):
        self._ip(self.far, "link", "set", "cable", "up")

    def listener(self):
        """A listening socket at the far end, on a port of the system's choice."""
        made = []

        def make():  # the namespace is the thread's, and the socket stays in it
            with open(f"/proc/{self.far}/ns/net") as there:
                assert ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            sock = socket.create_server((self.FAR, 0))
            sock.settimeout(SOON)
            made.append(sock)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]
