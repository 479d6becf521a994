# SPDX-License-Identifier: MIT
"""The examples in contrib/ behind the real HAProxy and nginx: instances die, drain and restart under load, new sessions
always succeed, and no session is cut before its own drain."""

import http.client
import json
import signal
import subprocess

import pytest

from lib import peers
from lib.proc import wait_until
from lib.setting import REPO, SCALE, SOON, installed
from lib.swarm import Swarm
from lib.tools import orphans_reaped  # noqa: F401
from lib.wire import CLOSE, PING, PONG, TEXT, Raw, close_payload, frame

HAPROXY, NGINX = installed("haproxy"), installed("nginx")
THREADS = 6


class Pair:
    """Two instances on ports of their own, that come back on the same ones."""

    def __init__(self, wsluice, kind, delay, *options):
        self._start = wsluice
        self._how = [*options, "--drain-delay", delay, "--trusted-proxies", "127.0.0.1"] + ["--accept-proxy"] * (kind == "haproxy")
        self.ports = {name: (peers.free_port(), peers.free_port()) for name in "ab"}
        self.daemons = {}
        for name in "ab":
            self.start(name)

    def start(self, name):
        port, admin = self.ports[name]
        before = self.daemons.get(name)
        self.daemons[name] = self._start(
            "-l", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", *self._how,
            "--route", "/echo=echo:", "--", "/bin/sh", "-c", f"echo {name}; exec cat")
        if before:  # under load the harness counts clients, too
            self.daemons[name].baseline = before.baseline

    def ready(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name][1], timeout=SOON)
        try:
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            return connection.getresponse().status
        finally:
            connection.close()

    def served(self, name):
        """Sessions that have come and gone there since it was started."""
        return len(self.daemons[name].find_log("session closed"))


def edit(text, *pairs):
    """Replaces each of the words, which must stand there."""
    for old, new in pairs:
        assert old in text, f"the example no longer says {old!r}"
        text = text.replace(old, new)
    return text


def answers(port):
    """The balancer has a server to ask."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)
    try:
        connection.request("GET", "/echo")
        return connection.getresponse().status == 426
    except OSError:
        return False
    finally:
        connection.close()


class KeptPair(Pair):
    """The same with sessions that outlive their connections: a visitor's at /mine, rooms at /room/NAME."""

    def __init__(self, wsluice, folder):
        self._folder = folder
        super().__init__(wsluice, "haproxy", "0")

    def start(self, name):
        port, admin = self.ports[name]
        program = ["/bin/sh", "-c", f"echo {name}; exec cat"]
        config = self._folder / f"{name}.yaml"
        config.write_text(json.dumps({"routes": [
            {"path": "/mine", "session": "token", "exec": program}, {"path": "/echo", "to": "echo:"},
            {"path": "/room/{room:[a-z]+}", "session": "{room}", "exec": program}]}))
        self.daemons[name] = self._start("-c", config, "-l", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", *self._how)


class Balancer:
    """HAProxy or nginx with the example's configuration, but for ports and, so that tests are quick, check intervals."""

    def __init__(self, kind, pair, folder, *edits):
        self.pair = pair
        a, b = pair.ports["a"], pair.ports["b"]
        ports = [("127.0.0.1:8081", f"127.0.0.1:{a[0]}"), ("127.0.0.1:8082", f"127.0.0.1:{b[0]}")]

        def haproxy(port):
            text = (REPO / "contrib/haproxy/haproxy.cfg").read_text()
            text = edit(text, *ports, ("port 9081", f"port {a[1]}"), ("port 9082", f"port {b[1]}"),
                        ("bind :8080", f"bind 127.0.0.1:{port}"), ("inter 1s", "inter 200ms"), *edits)
            (folder / "haproxy.cfg").write_text(text)
            return [HAPROXY, "-db", "-q", "-f", str(folder / "haproxy.cfg")]

        def nginx(port):
            text = (REPO / "contrib/nginx/nginx.conf").read_text()
            temp = "".join(f"{name}_temp_path {folder}/{name};\n"
                           for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            text = edit(text, *ports, ("listen 8080", f"listen 127.0.0.1:{port}"), ("worker_processes auto", "worker_processes 1"),
                        ("http {\n", f"http {{\naccess_log off;\n{temp}"), *edits)
            (folder / "nginx.conf").write_text(text)
            return [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr",
                    "-g", f"daemon off; pid {folder}/pid;"]

        self.program = peers.Program(haproxy if kind == "haproxy" else nginx, answers)
        self.address = ("127.0.0.1", self.program.port)
        self._clients = []

    def open(self):
        """A session with a program that says first on which instance it runs. Returns (client, name)."""
        client = Raw.connect(self.address).open()
        self._clients.append(client)
        opcode, name = client.read_message()
        assert opcode == TEXT
        return client, name.decode()

    def open_on(self, name, n=1):
        """n sessions on that instance. Those on the other stay open, so that the fewest are on this one."""
        found = []
        for _ in range(20 * n):
            client, where = self.open()
            if where == name:
                found.append(client)
                if len(found) == n:
                    return found
        raise AssertionError(f"no session came to {name}")

    def close(self):
        for client in self._clients:
            client.close()
        self.program.close()


@pytest.fixture(params=["haproxy", "nginx"])
def kind(request):
    return request.param


@pytest.fixture
def balanced(kind, wsluice, tmp_path):
    """Two instances behind the balancer, both in use."""
    # two checks of 200 ms, and a reserve; nginx checks nothing, so there is nothing to wait for
    pair = Pair(wsluice, kind, f"{1.5 * SCALE}s" if kind == "haproxy" else "0")
    balancer = Balancer(kind, pair, tmp_path)
    try:
        wait_until(lambda: {balancer.open()[1] for _ in range(4)} == {"a", "b"}, "both to be used", 4 * SOON)
        yield balancer
    finally:
        balancer.close()


def swarm_on(balancer):
    return Swarm(balancer.address, rate=120, threads=THREADS, path="/echo")


def test_kill_9_under_load(balanced, orphans_reaped):
    """What was open on it is lost, of course; everybody who comes is served, at once and afterwards."""
    pair = balanced.pair
    with swarm_on(balanced) as swarm:
        swarm.wait(60)
        pair.daemons["a"].expect_exit = -signal.SIGKILL
        pair.daemons["a"].stop(signal.SIGKILL)
        swarm.wait(100)
        assert balanced.open()[1] == "b"
        pair.start("a")
        wait_until(lambda: pair.served("a") > 3, "it to be used again", 4 * SOON)
        swarm.wait(30)
    swarm.check(least_rate=60, cuts=THREADS)
    assert swarm.away == 0


def test_drain_under_load(balanced, kind):
    """Open sessions are told 1001, through the balancer, and none is cut; with HAProxy readiness turns false first, and
    until it is the time to go everything works."""
    pair = balanced.pair
    long = balanced.open_on("a", 3)
    with swarm_on(balanced) as swarm:
        swarm.wait(60)
        pair.daemons["a"].send_signal(signal.SIGTERM)
        pair.daemons["a"].wait_for_log("stopping")
        if kind == "haproxy":
            assert (pair.ready("a"), pair.ready("b")) == (503, 200)
            for client in long:
                client.text("until the end")
                assert client.read_message() == (TEXT, b"until the end")
        for client in long:
            assert client.read_close(4 * SOON)[0] == 1001
            client.try_send(frame(CLOSE, close_payload(1001)))
        swarm.wait(100)
        assert balanced.open()[1] == "b"
    swarm.check(least_rate=60)
    if kind == "haproxy":
        assert swarm.away == 0, "sessions were still sent to an instance that had said it goes"


def test_rolling_restart_under_load(balanced, orphans_reaped):
    """Both, one after the other. Every long session ends with 1001 and finds a new place at once."""
    pair = balanced.pair
    with swarm_on(balanced) as swarm:
        for name, other in ("ab", "ba"):
            long = balanced.open_on(name)[0]
            old = pair.daemons[name]
            old.send_signal(signal.SIGTERM)
            code, reason, _ = long.read_close(4 * SOON)
            assert code == 1001
            long.try_send(frame(CLOSE, close_payload(1001)))
            long.close()
            again, where = balanced.open()
            assert where == other
            # those that stand on it still and do not answer are not waited for
            for client in balanced._clients:
                if client is not again:
                    client.close()
            assert old.wait(4 * SOON) == 0
            pair.start(name)
            wait_until(lambda: pair.served(name) > 3, f"{name} to be used again", 4 * SOON)
            again.text("not cut")
            assert again.read_message() == (TEXT, b"not cut")
        swarm.wait(30)
    swarm.check(least_rate=60)


def test_heartbeats_pass_and_keep_a_silent_session(kind, wsluice, tmp_path):
    """With limits of 2 s in the balancer, and a ping each second."""
    limits = ([("timeout tunnel 2m", "timeout tunnel 2s")] if kind == "haproxy" else
              [("proxy_read_timeout 2m", "proxy_read_timeout 2s"), ("proxy_send_timeout 2m", "proxy_send_timeout 2s")])
    balancer = Balancer(kind, Pair(wsluice, kind, "0", "--ping", "1s"), tmp_path, *limits)
    try:
        client, _ = balancer.open()
        for _ in range(4):
            got = client.read_frame()
            assert got.opcode == PING, got
            client.send_frame(PONG, got.payload)
        client.text("still here")
        assert client.read_message() == (TEXT, b"still here")
    finally:
        balancer.close()


def test_the_clients_address_is_known(balanced):
    """By the PROXY header from HAProxy, by X-Forwarded-For from nginx; and what a client claims is not believed."""
    client = Raw.connect(balanced.address, source="127.0.0.77").open(headers=[("X-Forwarded-For", "192.0.2.1")])
    _, name = client.read_message()
    client.finish()
    client.close()
    daemon = balanced.pair.daemons[name.decode()]
    daemon.wait_for_log(r"session closed.* client=127\.0\.0\.77\b")


@pytest.mark.parametrize("balance, path, again", [
    ("balance url_param session", "/mine?session={}", "/mine?x=1&session={}&got=0"),
    ("balance uri", "/room/{}?x=1", "/room/{}?y=2"),
])
def test_who_comes_back_finds_the_instance_with_its_session(wsluice, tmp_path, balance, path, again):
    """By its token or its room, whatever else stands in the query."""
    pair = KeptPair(wsluice, tmp_path)
    stick = "balance leastconn", f"{balance}\n    hash-type consistent"
    balancer = Balancer("haproxy", pair, tmp_path, stick)

    def come(path):
        with Raw.connect(balancer.address) as client:
            client.open(path)
            name = client.read_message()[1].decode()
            client.text(name + "!")
            said = client.read_message()[1].decode()
            client.rst()
        return name, said

    try:
        names = [c * 22 for c in "abcdefgh"]
        first = {name: come(path.format(name)) for name in names}
        assert {where for where, _ in first.values()} == {"a", "b"}
        for name in reversed(names):  # of a token 4400 is what the other one would say
            assert come(again.format(name)) == first[name]
    finally:
        balancer.close()
        for daemon in pair.daemons.values():
            daemon.stop()


def test_the_page_of_the_balancer_is_of_the_same_origin(balanced):
    """Its Host arrives with its port; what a client claims about it is not believed."""
    host = f"127.0.0.1:{balanced.address[1]}"

    def status(origin, *more):
        with Raw.connect(balanced.address) as client:
            client.send(client.head("/echo", [("Host", host), ("Origin", origin), *more], drop=("Host",)))
            return client.read_response().status

    assert status(f"http://{host}") == 101
    assert status("http://elsewhere.example") == 403
    assert status("http://elsewhere.example", ("X-Forwarded-Host", "elsewhere.example")) == 403


def test_examples_are_accepted_as_they_stand(kind, tmp_path):
    """By the program's own check, nothing replaced (nginx: but for its temporary folders, which root owns)."""
    if kind == "haproxy":
        argv = [HAPROXY, "-c", "-f", str(REPO / "contrib/haproxy/haproxy.cfg")]
    else:
        argv = [NGINX, "-t", "-p", str(tmp_path), "-e", "stderr", "-g", f"pid {tmp_path}/pid;",
                "-c", str(REPO / "contrib/nginx/nginx.conf")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SOON)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr and "[warn]" not in done.stderr
