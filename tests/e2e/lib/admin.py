# SPDX-License-Identifier: MIT
"""The admin door of a daemon, over HTTP; its metrics read by a parser that is not ours."""

import contextlib
import http.client
import json
import re
import socket

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from .proc import wait_until
from .setting import SOON

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Admin:
    """The admin address of a daemon, as its log names it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.url = daemon.wait_for_log(r"admin on (\S+?)\"?(,|$|\})").group(1)
        self.unix = self.url.startswith("unix:")
        self.address = self.url[5:] if self.unix else re.match(r"http://(.*):(\d+)/$", self.url).groups()

    @property
    def ctl(self):
        """The address as `ctl --admin` takes it."""
        return self.url if self.unix else ":".join(self.address)

    def connection(self, timeout=SOON):
        if self.unix:
            return UnixConnection(self.address, timeout)
        return http.client.HTTPConnection(self.address[0].strip("[]"), int(self.address[1]), timeout=timeout)

    def ask(self, method, path, headers=None, timeout=SOON):
        """(status, headers, body)"""
        with contextlib.closing(self.connection(timeout)) as connection:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, headers=None):
        status, _, body = self.ask("GET", path, headers)
        assert status == 200, (status, body)
        return body

    def json(self, path):
        return json.loads(self.get(path))

    def post(self, path):
        status, _, body = self.ask("POST", path)
        return status, json.loads(body)

    def sessions(self):
        answer = self.json("/sessions")
        assert answer["total"] == len(answer["sessions"])
        return answer["sessions"]

    def metrics(self, accept=None):
        """{(sample name, sorted labels): value}, each format read by its own parser."""
        status, headers, body = self.ask("GET", "/metrics", {"Accept": accept} if accept else {})
        assert status == 200
        text = body.decode()
        if accept == OPENMETRICS:
            assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
            families = list(openmetrics.text_string_to_metric_families(text))
        else:
            assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            families = list(text_string_to_metric_families(text))
        result = {}
        for family in families:
            assert family.type != "unknown" and family.documentation, family.name
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                assert key not in result, f"twice: {key}"
                result[key] = sample.value
        return result


def labels(name, **more):
    return (name, *sorted(more.items()))


def hold(door, count=1):
    """So many clients are over a rate."""
    wait_until(lambda: [s["rate_held"] for s in door.sessions()].count(True) == count, f"{count} held clients")


def until_kicked(door, client, session=1):
    """Ends the session by order, which shows that it was alive, and returns what came before: all that ever will."""
    assert door.post(f"/sessions/kick?what={session}") == (200, {"kicked": 1})
    code, reason, messages = client.read_close()
    assert (code, reason) == (1008, "ended by the operator")
    return [m.data for m in messages]
