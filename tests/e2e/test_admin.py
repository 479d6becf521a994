# SPDX-License-Identifier: MIT
"""The admin door: health, metrics judged by a real parser, live sessions and orders; and who may not use it."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from lib import peers, proc
from lib.admin import OPENMETRICS, Admin, labels
from lib.daemon import command_line
from lib.proc import process, wait_until
from lib.setting import BINARY as PROGRAM, REPO, SCALE, SOON
from lib.tools import JSON, Peak, ended, records
from lib.wire import BINARY, CLOSE, PING, TEXT, Raw, close_payload, frame


@pytest.fixture
def admin(wsluice):
    """admin(ARG, ...): a daemon with an admin door on a loopback port; returns its Admin."""
    return lambda *args, **how: Admin(wsluice("--admin", "127.0.0.1:0", *args, **how))


# Where it is.

def test_unix_socket_is_ours_alone(wsluice, tmp_path):
    path = tmp_path / "admin.sock"
    door = Admin(wsluice("--admin", f"unix:{path}", "--to", "echo:"))
    assert door.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert door.get("/healthz") == b"ok\n"
    door.daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0", "localhost:0", "127.1.2.3:0", "[::1]:0"])
def test_loopback_addresses(wsluice, address):
    door = Admin(wsluice("--admin", address, "--to", "echo:"))
    host = door.address[0]
    assert host.startswith("127.") or host == "[::1]"
    assert door.get("/healthz") == b"ok\n"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:9000", "example.invalid:1", "unix:", "", "x", "127.0.0.1"])
def test_anything_else_is_refused_at_start(address):
    done = command_line("-l", "127.0.0.1:0", "--admin", address, "--to", "echo:")
    assert done.returncode in (1, 2) and "admin" in done.stderr, done
    assert len(done.stderr.splitlines()) == 1


def test_without_the_option_there_is_no_door(wsluice):
    daemon = wsluice("--to", "echo:")
    assert not daemon.find_log("admin on")
    assert len([t for t in daemon.fds().values() if t.startswith("socket:")]) <= 2  # the listener; perhaps stderr


# Who may use which door.

PAGES = ("/healthz", "/readyz", "/metrics", "/sessions", "/sessions/1", "/stats", "/log-level", "/reload", "/drain",
         "/sessions/kick?what=1")
NO_UPGRADE = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_public_door_answers_none_of_it(admin, page, method):
    door = admin("--route", "/echo=echo:")
    with door.daemon.connect() as client:
        client.send(client.head(page, method=method, drop=NO_UPGRADE))
        answer = client.read_response()
    assert answer.status == 404 and b"wsluice_" not in answer.body
    assert door.daemon.alive() and not door.json("/stats")["draining"]


def test_the_admin_door_opens_no_session_and_serves_no_file(admin, tmp_path):
    (tmp_path / "page.txt").write_text("page")
    door = admin("--static", tmp_path, "--console", "--route", "/echo=echo:")
    with Raw.connect((door.address[0], int(door.address[1]))) as client:
        assert client.upgrade("/echo").status == 404
    for path in ("/page.txt", "/echo", "/nowhere", "/sessions/", "/sessions/x", "/sessions/99", "/metrics/"):
        assert door.ask("GET", path)[0] == 404, path
    for path in ("//metrics", "/%2Fmetrics", "/./metrics", "/sessions//1", "/sessions%2f1"):
        assert door.ask("GET", path)[0] == 400, path


def test_pages_of_a_browser_are_refused(admin):
    door = admin("--to", "echo:")
    for origin in ("http://evil.example", "null", "http://127.0.0.1", f"http://127.0.0.1:{door.address[1]}"):
        for method, path in (("POST", "/drain"), ("GET", "/sessions"), ("GET", "/healthz")):
            assert door.ask(method, path, {"Origin": origin})[0] == 403, (origin, path)
    assert door.ask("GET", "/sessions", {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert door.ask("GET", "/sessions", {"Sec-Fetch-Site": "none"})[0] == 200
    assert not door.json("/stats")["draining"]


@pytest.mark.parametrize("host, status", [
    ("evil.example", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example:80", 403), ("192.168.0.1", 403),
    ("[2001:db8::1]", 403), ("0.0.0.0", 403), ("localhost", 200), ("LOCALHOST:1", 200), ("127.9.9.9", 200), ("[::1]:80", 200),
])
def test_a_name_that_is_made_to_mean_us_is_refused(admin, host, status):
    assert admin("--to", "echo:").ask("GET", "/stats", {"Host": host})[0] == status


def test_a_health_check_by_1_0_needs_no_host(admin):
    """HAProxy's `option httpchk GET /readyz`; browsers always name a host."""
    door = admin("--to", "echo:")
    for version, status in ((b"1.0", b"200"), (b"1.1", b"400")):
        with socket.create_connection((door.address[0], int(door.address[1]))) as sock:
            sock.sendall(b"GET /readyz HTTP/%s\r\n\r\n" % version)
            assert sock.makefile("rb").readline().split()[1] == status


def test_a_unix_socket_takes_any_host_but_no_page(wsluice, tmp_path):
    door = Admin(wsluice("--admin", f"unix:{tmp_path}/a", "--to", "echo:"))
    assert door.ask("GET", "/stats", {"Host": "whatever.example"})[0] == 200
    assert door.ask("GET", "/stats", {"Origin": "http://localhost"})[0] == 403


def test_methods(admin):
    door = admin("--to", "echo:")
    for path in ("/healthz", "/readyz", "/metrics", "/sessions", "/stats"):
        status, headers, _ = door.ask("POST", path)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        status, headers, body = door.ask("HEAD", path)
        assert (status, body) == (200, b"")
    for path in ("/reload", "/drain", "/sessions/kick"):
        status, headers, _ = door.ask("GET", path)
        assert (status, headers["Allow"]) == (405, "POST")
    assert not door.json("/stats")["draining"]


def test_one_connection_serves_many_requests(admin):
    door = admin("--to", "echo:")
    with contextlib.closing(door.connection()) as connection:
        for path in ("/metrics", "/sessions", "/stats", "/healthz", "/metrics") * 5:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
        own = connection.sock.getsockname()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        assert connection.sock.getsockname() == own, "it was closed in between"


# Health.

def test_health_is_quiet_in_the_log(admin):
    door = admin("--to", "echo:")
    before = door.daemon.mark()
    for path in ("/healthz", "/readyz", "/metrics", "/stats", "/sessions"):
        door.get(path)
    door.post("/log-level?level=info")  # its line comes behind all of theirs
    door.daemon.wait_for_log("log-level", since=before)
    assert len(door.daemon.log[before:]) == 1, door.daemon.log[before:]


def test_ready_until_draining(admin):
    door = admin("--drain-timeout", "20s", "--close-timeout", "19s", "--to", "echo:")
    assert door.get("/readyz") == b"ready\n"
    client = door.daemon.open()
    status, answer = door.post("/drain")
    assert (status, answer) == (202, {"draining": 1})
    status, _, body = door.ask("GET", "/readyz")
    assert (status, body) == (503, b"draining\n")
    assert door.get("/healthz") == b"ok\n"
    assert door.metrics()[("wsluice_draining",)] == 1
    assert client.read_close()[0] == 1001
    client.send(frame(CLOSE, close_payload(1001)))
    assert door.daemon.wait() == 0


def test_ready_only_with_its_service(wsluice, tmp_path):
    """Asked for a service, it connects there: refused, silent (a full backlog), gone again, no such route."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(8)]
    for one in waiting:  # nobody accepts: soon the system answers nobody either
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    with socket.create_server(("127.0.0.1", 0)) as there, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "service"))
        (tmp_path / "wsluice.yaml").write_text(f"""
listen: 127.0.0.1:0
admin: 127.0.0.1:0
connect-timeout: 300ms
routes:
  - {{ path: /there, to: "tcp://127.0.0.1:{there.getsockname()[1]}" }}
  - {{ path: /full, to: "tcp://127.0.0.1:{full.getsockname()[1]}" }}
  - {{ path: /unix, to: "unix:{tmp_path}/service" }}
  - {{ path: /program, exec: [cat] }}
  - {{ path: /echo, to: "echo:" }}
  - {{ path: /datagrams, to: "udp://127.0.0.1:9" }}
""")
        door = Admin(wsluice("--config", tmp_path / "wsluice.yaml", listen=None))
        for path in ("/there", "/program", "/echo", "/datagrams"):
            assert door.ask("GET", f"/readyz?backend={path}")[::2] == (200, b"ready\n")
        there.accept()[0].close()
        status, _, said = door.ask("GET", "/readyz?backend=/unix")
        assert status == 503 and said.startswith(b"not ready: /unix: ") and b"refused" in said
        status, _, said = door.ask("GET", "/readyz?backend=/full")
        assert status == 503 and said.startswith(b"not ready: /full: ") and b"timed out" in said
        assert door.ask("GET", "/readyz?backend=all")[0] == 503
        assert door.ask("GET", "/readyz?backend=/nowhere")[0] == 404
        assert door.ask("GET", "/readyz?backend=%zz")[0] == 400
        unix.listen()
        assert door.ask("GET", "/readyz?backend=/unix")[0] == 200
        assert door.get("/readyz") == b"ready\n"
    assert door.ask("GET", "/readyz?backend=/there")[0] == 503
    with Raw.connect((door.address[0], int(door.address[1]))) as leaving:  # one who does not wait
        leaving.send(b"GET /readyz?backend=/full HTTP/1.1\r\nHost: localhost\r\n\r\n")
        leaving.rst()
    door.daemon.settle()
    for one in (*waiting, full):
        one.close()


def test_sigterm_turns_readiness_too(admin):
    door = admin("--drain-timeout", "20s", "--close-timeout", "19s", "--to", "echo:")
    client = door.daemon.open()
    door.daemon.send_signal(signal.SIGTERM)
    client.read_close()
    assert door.ask("GET", "/readyz")[0] == 503
    client.send(frame(CLOSE, close_payload(1001)))
    assert door.daemon.wait() == 0


def test_an_idle_admin_connection_does_not_hold_the_end_up(admin):
    door = admin("--drain-timeout", "1h", "--handshake-timeout", "1h", "--to", "echo:")
    with contextlib.closing(door.connection()) as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        assert door.daemon.stop() == 0


# Metrics.

@pytest.mark.parametrize("accept", [None, OPENMETRICS], ids=["text", "openmetrics"])
def test_counters_after_known_traffic(admin, server, accept):
    """Each number once, told apart by route, right to the byte."""
    service = server(peers.echo)
    door = admin("--route", "/echo=echo:", "--route", "/cat=exec:cat", "--route", f"/tcp={service.to}",
                 "--route", "/broken=tcp://127.0.0.1:1")
    daemon = door.daemon
    for path, back in (("/echo", TEXT), ("/cat", TEXT), ("/tcp", BINARY)):
        client = daemon.open(path)
        for payload in ("a", "bb", "ccc"):
            client.text(payload)
            assert client.read_message().opcode == back
        client.finish(1000)
    daemon.open("/echo")  # stays
    gone = daemon.open("/cat")
    gone.rst()
    assert daemon.connect().upgrade("/broken").status == 502
    assert daemon.connect().upgrade("/nowhere").status == 404
    wait_until(lambda: len(daemon.find_log("session closed")) == 4, "4 sessions to end")

    m = door.metrics(accept)

    def value(name, path, **more):
        kind = {"/echo": "echo", "/cat": "exec", "/tcp": "tcp", "/broken": "tcp"}[path]
        return m[labels(name, route=path, backend=kind, **more)]

    for path, opened, active in (("/echo", 2, 1), ("/cat", 2, 0), ("/tcp", 1, 0), ("/broken", 0, 0)):
        assert value("wsluice_sessions_opened_total", path) == opened
        assert value("wsluice_sessions_active", path) == active
        assert value("wsluice_session_duration_seconds_count", path) == opened - active
        assert value("wsluice_backend_open_failures_total", path) == (path == "/broken")
        traffic = 3 if path != "/broken" else 0
        for direction in ("in", "out"):
            assert value("wsluice_messages_total", path, direction=direction) == traffic, (path, direction)
            assert value("wsluice_payload_bytes_total", path, direction=direction) == 2 * traffic
        closed = value("wsluice_sessions_closed_total", path, **{"class": "normal", "by": "client"})
        assert closed == (path != "/broken")
        assert value("wsluice_backend_open_seconds_count", path) == {"/cat": 2, "/tcp": 1}.get(path, 0)
    assert value("wsluice_sessions_closed_total", "/cat", **{"class": "abnormal", "by": "client"}) == 1
    assert m[labels("wsluice_requests_refused_total", status="502")] == 1
    assert m[labels("wsluice_requests_refused_total", status="404")] == 1
    assert m[labels("wsluice_requests_refused_total", status="400")] == 0
    assert m[("wsluice_sessions",)] == 1
    assert m[labels("wsluice_config_reloads_total", result="ok")] == 0
    assert m[("wsluice_config_last_reload_successful",)] == 1


def test_ends_by_class(admin):
    door = admin("--route", "/e=echo:", "--route", "/x=exec:false", "--route", "/k=exec:sh /dev/stdin",
                 "--idle-timeout", "0", "--max-message", "1000")
    daemon = door.daemon
    with daemon.open("/x") as client:
        assert client.read_close()[0] == 4001
        client.send(frame(CLOSE, close_payload(4001)))
    with daemon.open("/k") as client:
        client.text("kill -9 $$")
        assert client.read_close()[0] == 4309
        client.send(frame(CLOSE, close_payload(4309)))
    with daemon.open("/e") as client:
        client.send(frame(TEXT, b"\xff"))
        assert client.read_close()[0] == 1007
    with daemon.open("/e") as client:
        client.finish(4001)  # by a client it is no exit status
    with daemon.open("/e") as client:
        client.finish(None)
    wait_until(lambda: len(daemon.find_log("session closed")) == 5, "5 sessions to end")
    m = door.metrics()
    seen = {(dict(k[1:])["class"], dict(k[1:])["by"]): v for k, v in m.items()
            if k[0] == "wsluice_sessions_closed_total" and v}
    assert seen == {("exit", "backend"): 1, ("signal", "backend"): 1, ("protocol", "server"): 1,
                    ("application", "client"): 1, ("no_status", "client"): 1}


def test_heartbeat_and_round_trip(admin):
    door = admin("--ping", "30s", "--pong-timeout", "20s", "--to", "echo:", frozen=True)
    client, inside = door.daemon.open(), door.daemon.inside
    for n in (1, 2, 3):
        inside.advance(34)
        got = client.read_frame()
        assert got.opcode == PING
        inside.advance(0.25)
        client.send_frame(0xA, got.payload)
        wait_until(lambda: door.metrics()[labels("wsluice_round_trip_seconds_count", route="/", backend="echo")] == n, "the pong")
    inside.advance(34)
    inside.advance(20)
    wait_until(lambda: door.metrics().get(labels("wsluice_heartbeat_losses_total", route="/", backend="echo")) == 1,
               "the silent client to be lost")
    m = door.metrics()
    of = {"route": "/", "backend": "echo"}
    assert m[labels("wsluice_round_trip_seconds_count", **of)] == 3
    assert m[labels("wsluice_pings_total", **of)] == 4
    assert abs(m[labels("wsluice_round_trip_seconds_sum", **of)] - 0.75) < 0.01
    buckets = sorted((float(dict(k[1:])["le"]), v) for k, v in m.items() if k[0] == "wsluice_round_trip_seconds_bucket")
    assert [v for _, v in buckets] == sorted(v for _, v in buckets) and buckets[-1] == (float("inf"), 3)


def test_stalls_and_drops_by_side(admin, server):
    """A service that reads nothing holds the client back, and at the end what it did not read is dropped."""
    release = threading.Event()
    service = server(lambda sock: release.wait(30))
    door = admin("--route", f"/s={service.to}", "--stall-timeout", "500ms")
    of = {"route": "/s", "backend": "tcp"}
    client = door.daemon.open("/s")
    piece = frame(BINARY, bytes(60000))
    client.sock.settimeout(0.5 * SCALE)
    with contextlib.suppress(TimeoutError, OSError):
        while True:
            client.sock.sendall(piece)
    wait_until(lambda: door.daemon.find_log("session closed"), "the stall to end it")
    release.set()
    m = door.metrics()
    assert m[labels("wsluice_stalls_total", side="backend", **of)] >= 1
    assert m[labels("wsluice_stalls_total", side="client", **of)] == 0
    assert m[labels("wsluice_dropped_bytes_total", **of)] > 0
    # of a service the system may say so first (TCP_USER_TIMEOUT)
    assert sum(m.get(labels("wsluice_sessions_closed_total", **{"class": "error", "by": by}, **of), 0) for by in ("server", "backend")) == 1


def test_process_and_loop_figures(admin):
    before = time.time()
    door = admin("--to", "echo:")
    pid = door.daemon.pid
    wait_until(lambda: door.metrics()[("wsluice_loop_lag_seconds_count",)] >= 2, "two seconds of the loop")
    m = door.metrics()
    assert abs(m[("process_open_fds",)] - len(os.listdir(f"/proc/{pid}/fd"))) <= 2
    assert abs(m[("process_resident_memory_bytes",)] / 1024 - proc.rss_kib(pid)) < 4096  # the same figure, a moment later
    assert before - 1 <= m[("process_start_time_seconds",)] <= time.time()
    assert 0 < m[("process_cpu_seconds_total",)] <= door.daemon.cpu_seconds() + 0.02  # which goes on growing
    assert m[("wsluice_connections",)] == 1
    assert m[labels("wsluice_build_info", version=command_line("--version").stdout.split()[1])] == 1


def test_a_blocked_loop_is_seen(admin):
    """SIGSTOP for half a second is one long turn, or a late second, whatever the loop does just then."""
    door = admin("--to", "echo:")
    wait_until(lambda: door.metrics()[("wsluice_loop_lag_seconds_count",)] >= 1, "a second")
    low = labels("wsluice_loop_lag_seconds_bucket", le="0.25")

    def late():
        door.daemon.send_signal(signal.SIGSTOP)
        time.sleep(1.6)
        door.daemon.send_signal(signal.SIGCONT)
        m = door.metrics()
        return m[("wsluice_loop_lag_seconds_count",)] - m[low] or m[("wsluice_loop_longest_turn_seconds",)] > 0.25

    wait_until(late, "the halt to be measured")


def test_routes_with_odd_paths(admin):
    door = admin("--route", '/a"b=echo:', "--route", "/back\\slash=echo:", "--route", "/\u00e9=echo:")
    for accept in (None, OPENMETRICS):
        paths = {dict(k[1:])["route"] for k in door.metrics(accept) if k[0] == "wsluice_sessions_opened_total"}
        assert paths == {'/a"b', "/back\\slash", "/\u00e9"}


def test_label_values_are_bounded(admin):
    """However many routes and paths, the number of series stays in bounds."""
    door = admin(*[a for i in range(400) for a in ("--route", f"/r{i}=echo:")])
    for i in (0, 1, 399):
        door.daemon.open(f"/r{i}").finish()
    door.daemon.open("/r5/some/path/below?with=query").finish()
    opened = {k: v for k, v in door.metrics(OPENMETRICS).items() if k[0] == "wsluice_sessions_opened_total"}
    assert len(opened) == 257 and sum(opened.values()) == 4
    assert opened[labels("wsluice_sessions_opened_total", route="(other)", backend="any")] == 1
    assert opened[labels("wsluice_sessions_opened_total", route="/r5", backend="echo")] == 1


def test_which_format_is_chosen(admin):
    door = admin("--to", "echo:")
    om, text = "application/openmetrics-text; version=1.0.0; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"
    for accept, kind in ((None, text), ("*/*", text), ("text/plain", text), ("application/openmetrics-text", om),
                         ("text/plain;q=0.2, Application/OpenMetrics-Text; version=1.0.0", om),
                         ("application/openmetrics-text;q=0, text/plain", text)):
        _, headers, body = door.ask("GET", "/metrics", {"Accept": accept} if accept else {})
        assert headers["Content-Type"] == kind, accept
        assert body.endswith(b"# EOF\n") == (kind == om)


def names(door):
    """Of all metrics, a histogram's without what is behind its name in samples."""
    samples = {k[0] for k in door.metrics()}
    histograms = {n.removesuffix("_bucket") for n in samples if n.endswith("_bucket")}
    return samples - {h + end for h in histograms for end in ("_bucket", "_count", "_sum")} | histograms


def all_names(admin):
    """Some are there only for routes of a kind."""
    return (names(admin("--to", "echo:", "--route", "/datagrams=udp://127.0.0.1:9")) |
            names(admin("--to", "tcp://127.0.0.1:9", "--session", "shared")))


def test_the_manual_tells_every_metric(admin):
    told = re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram)", (REPO / "docs" / "operating.md").read_text(), re.M)
    there = all_names(admin)
    assert len(told) == len(set(told)) and set(told) == there


def test_the_dashboard_asks_for_what_is_there(admin):
    dashboard = json.loads((REPO / "contrib" / "grafana" / "wsluice.json").read_text())
    asked = " ".join(t["expr"] for p in dashboard["panels"] for t in p.get("targets", ()))
    used = {re.sub("_bucket$", "", n) for n in re.findall(r"\b(?:wsluice|process)_\w+", asked)}
    there = all_names(admin)
    assert used <= there, used - there
    assert there - used <= {"wsluice_build_info", "wsluice_pings_total", "process_virtual_memory_bytes",
                            "process_start_time_seconds", "wsluice_recordings_failed_total", "wsluice_config_last_reload_success_timestamp_seconds"}
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(ids) == len(set(ids))


# Sessions.

def test_a_session_as_it_is_listed(admin):
    door = admin("--route", "/cat=exec:cat", "--subprotocol", "chat", "--ping", "20ms")
    client = door.daemon.open("/cat/x%22y%ff", protocols="chat")
    client.text("hello")
    client.read_message()

    def measured():
        with contextlib.suppress(TimeoutError):
            client.read_message(0.02)
        return door.sessions()[0]["rtt_ms"] is not None

    wait_until(measured, "a round trip")
    one, = door.sessions()
    pid = door.daemon.children()[0].pid
    host, port = client.sock.getsockname()
    expected = {"id": 1, "state": "open", "client": f"{host}:{port}", "path": '/cat/x"y\ufffd', "route": "/cat", "backend": "exec",
                "address": f"pid {pid}", "subprotocol": "chat", "user": "", "messages_in": 1, "messages_out": 1, "bytes_in": 5,
                "bytes_out": 5, "dropped": 0, "queued_client": 0, "queued_backend": 0, "client_paused": False,
                "backend_paused": False, "stalls_client": 0, "stalls_backend": 0, "rate_held": False, "rate_holds": 0, "compression": "",
                "compressed_in_plain": 0, "compressed_in_wire": 0, "compressed_out_plain": 0, "compressed_out_wire": 0}
    assert {k: one[k] for k in expected} == expected
    assert 0 <= one["idle"] <= one["age"] < 60 and 0 < one["rtt_ms"] < 5000
    assert set(one) == set(expected) | {"age", "idle", "rtt_ms", "user"}
    assert {k: v for k, v in door.json("/sessions/1").items() if k in expected} == expected
    client.close()  # at 20 ms a ping may stand between two Closes


def test_a_stuck_session_shows_its_queue(admin, server):
    release = threading.Event()
    service = server(lambda sock: release.wait(30))
    door = admin("--to", service.to)
    client = door.daemon.open()
    client.sock.settimeout(0.5 * SCALE)
    with contextlib.suppress(TimeoutError):
        while True:
            client.sock.send(frame(BINARY, bytes(60000)))
    one, = door.sessions()
    assert one["queued_backend"] > 0 and one["client_paused"] and not one["backend_paused"]
    assert one["queued_client"] == 0 and one["stalls_backend"] == 1
    release.set()


def test_kick_by_id(admin):
    door = admin(*JSON, "--stop-grace", "100ms", "--kill-grace", "100ms", "--route", "/=exec:sleep 1000")
    first, second = door.daemon.open(), door.daemon.open()
    doomed = int(door.json("/sessions/1")["address"].split()[1])
    assert {c.pid for c in door.daemon.children()} > {doomed}
    assert door.post("/sessions/kick?what=1&reason=too%20loud+%c3%a9") == (200, {"kicked": 1})
    assert first.expect_close(1008) == "too loud \u00e9"
    wait_until(lambda: not process(doomed), "the program to be gone")
    record = ended(door.daemon)
    assert (record["id"], record["code"], record["closed_by"]) == (1, 1008, "server")
    assert record["reason"] == "too loud \u00e9" and record["exit"] == "signal 15"
    assert [s["id"] for s in door.sessions()] == [2]
    assert door.post("/sessions/kick?what=1")[0] == 404
    m = door.metrics()
    assert m[labels("wsluice_sessions_closed_total", route="/", backend="exec", by="server", **{"class": "policy"})] == 1
    second.close()


def test_kick_by_address(admin):
    door = admin("--max-per-address", "0", "--to", "echo:")
    here = [door.daemon.open() for _ in range(130)]
    there = [door.daemon.open(connect={"source": "127.0.0.9"}) for _ in range(3)]
    port = there[0].sock.getsockname()[1]
    assert door.post(f"/sessions/kick?what=127.0.0.9:{port}") == (200, {"kicked": 1})
    assert there[0].expect_close(1008) == "ended by the operator"
    assert door.post("/sessions/kick?what=127.0.0.1") == (200, {"kicked": 130})
    for client in here:
        client.expect_close(1008)
    wait_until(lambda: len(door.sessions()) == 2, "the kicked to be gone")
    for client in there[1:]:
        client.text("still here")
        assert client.read_message().data == b"still here"
    assert door.post("/sessions/kick?what=127.0.0.2") == (200, {"kicked": 0})


def test_kick_over_ipv6_and_unix(admin, tmp_path):
    door = admin("-l", "[::1]:0", "-l", f"unix:{tmp_path}/s", "--to", "echo:")
    six = [a for a in door.daemon.addresses if isinstance(a, tuple)][0]
    local = [a for a in door.daemon.addresses if isinstance(a, str)][0]
    for what, address in (("::1", six), ("[::1]", six), ("0:0:0:0:0:0:0:1", six), ("unix", local)):
        client = door.daemon.open(address=address)
        assert door.post(f"/sessions/kick?what={what}") == (200, {"kicked": 1}), what
        client.expect_close(1008)


@pytest.mark.parametrize("query", ["", "?what=", "?what=0", "?what=x", "?what=-1", "?what=1.2.3", "?what=127.0.0.1:99999",
                                   "?what=%zz", "?what=1%00", "?what=1&reason=%0a", "?what=99999999999999999999",
                                   "?what=example.org", "?reason=x"])
def test_kick_of_nonsense(admin, query):
    door = admin("--to", "echo:")
    client = door.daemon.open()
    status, answer = door.post(f"/sessions/kick{query}")
    assert status == 400 and answer["error"]
    client.text("x")
    client.read_message()


def test_kick_of_a_client_that_does_not_listen(admin):
    """Its queue is full, so the Close cannot reach it; it is ended all the same."""
    door = admin("--to", "exec:yes")
    client = door.daemon.open(connect={"rcvbuf": 4096})
    wait_until(lambda: door.sessions()[0]["queued_client"] > 0, "the client to be slow")
    assert door.post("/sessions/kick?what=1") == (200, {"kicked": 1})
    wait_until(lambda: not door.sessions(), "it to be gone")
    client.close()


def test_the_second_kick_does_not_wait(admin):
    door = admin("--close-timeout", "1h", "--to", "echo:")
    client = door.daemon.open()
    assert door.post("/sessions/kick?what=1") == (200, {"kicked": 1})
    assert client.read_close()[0] == 1008
    assert door.sessions()[0]["state"] == "closing"
    assert door.post("/sessions/kick?what=1") == (200, {"kicked": 1})
    assert door.sessions() == []
    client.read_to_end()


def test_kick_while_the_backend_is_being_opened(admin):
    with socket.socket() as full:  # a backlog of one that is used up: connecting takes for ever
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        door = admin("--connect-timeout", "30s", "--to", f"tcp://127.0.0.1:{port}")
        client = door.daemon.connect()
        client.send(client.head())
        wait_until(lambda: [s["state"] for s in door.sessions()] == ["opening"], "the session to wait")
        assert door.post("/sessions/kick?what=1&reason=no") == (200, {"kicked": 1})
        assert client.read_response().status == 503
        assert door.sessions() == []
        for filler in fillers:
            filler.close()


def test_two_thousand_sessions_are_listed(admin):
    """All of them, in pieces; sessions that come and go meanwhile neither break it nor wait for it."""
    door = admin("--max-per-address", "0", "--to", "echo:", inside=True)
    clients = [door.daemon.open() for _ in range(2000)]
    live = door.daemon.open()
    echoes, stop = [0], threading.Event()

    def talk():
        while not stop.is_set():
            live.text("x")
            live.read_message()
            echoes[0] += 1

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        for _ in range(3):
            listed = door.sessions()
            assert len(listed) == 2001 and len({s["id"] for s in listed}) == 2001
    finally:
        stop.set()
        thread.join()
    turns = door.daemon.inside.turns
    door.sessions()
    assert door.daemon.inside.turns - turns >= 20, "the listing holds others up: it is not made in pieces"
    assert echoes[0] > 0

    churn = threading.Thread(target=lambda: [c.close() for c in clients[:1500]])
    churn.start()
    for _ in range(5):
        ids = [s["id"] for s in door.sessions()]
        assert ids == sorted(set(ids), reverse=True)
        assert set(range(1502, 2002)) <= set(ids), "one that did not end is missing"
    churn.join()
    wait_until(lambda: len(door.sessions()) == 501, "1,500 to be gone")


def test_a_reader_that_stops_reading_the_list(admin):
    """It takes no memory for what it does not read, and is dropped by stall-timeout and nothing else, or with the daemon."""
    door = admin("--max-per-address", "0", "--stall-timeout", "700ms", "--handshake-timeout", "1h", "--ping", "0", "--to", "echo:",
                 frozen=True)
    for _ in range(800):
        door.daemon.open("/" + "p" * 8000)
    assert len(door.get("/sessions")) > 6 << 20, "this may fit into the system's buffers: then nobody stalls"
    slow = Raw.connect((door.address[0], int(door.address[1])), rcvbuf=2048)
    with Peak(door.daemon) as peak:
        slow.send(b"GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert door.get("/healthz"), "others are answered meanwhile"
        door.daemon.inside.advance(0.69)
        assert door.json("/stats")["connections"] == 802, "dropped too early"
        # what reached its system between two looks counts as life: a look or two more
        door.daemon.inside.until(lambda: door.json("/stats")["connections"] == 801, 60, step=0.7)
    peak.check(2048)  # a piece of it, twice while it grows; the list has six times that
    door.daemon.inside.thaw()
    slow.close()
    slow = Raw.connect((door.address[0], int(door.address[1])), rcvbuf=2048)
    slow.send(b"GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n")
    door.get("/healthz")
    door.daemon.send_signal(signal.SIGTERM)
    door.daemon.wait_for_log("stopping")
    door.daemon.send_signal(signal.SIGTERM)  # at once: the half-read answer is cut
    assert door.daemon.wait() == 0
    slow.close()


def test_readers_that_vanish(admin):
    door = admin("--max-per-address", "0", "--to", "echo:")
    for _ in range(300):
        door.daemon.open()
    for i in range(40):
        reader = Raw.connect((door.address[0], int(door.address[1])), rcvbuf=2048)
        reader.send(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"metrics" if i % 2 else b"sessions"))
        if i % 4 > 1:
            reader.read_until(b"\r\n\r\n")
        reader.rst()
    wait_until(lambda: door.json("/stats")["connections"] == 301, "the readers to be gone")


# Orders.

def test_log_level(admin):
    door = admin("--to", "echo:")
    assert door.json("/log-level") == {"level": "info"}
    assert door.post("/log-level?level=error") == (200, {"level": "error"})
    before = door.daemon.mark()
    door.daemon.open().finish()
    assert door.post("/log-level?level=info") == (200, {"level": "info"})
    door.daemon.open().finish()
    door.daemon.wait_for_log("session closed.*id=2", since=before)
    assert not door.daemon.find_log("session closed.*id=1")
    for wrong in ("", "?level=", "?level=loud", "?level=INFO"):
        assert door.post(f"/log-level{wrong}")[0] == 400


def test_reload_that_cannot_be_done(admin, tmp_path):
    """A program has vanished meanwhile: the old configuration stays, and the counter tells."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    door = admin("-r", f"/=exec:{program}", "-r", "/echo=echo:")
    program.unlink()
    status, answer = door.post("/reload")
    assert status == 409 and str(program) in answer["error"]
    m = door.metrics()
    assert m[labels("wsluice_config_reloads_total", result="failed")] == 1
    assert m[("wsluice_config_last_reload_successful",)] == 0
    assert door.daemon.open("/echo").finish() == ""


def test_orders_are_logged(admin):
    door = admin(*JSON, "--to", "echo:")
    door.daemon.open()
    door.post("/sessions/kick?what=1")
    door.post("/log-level?level=debug")
    wait_until(lambda: len(records(door.daemon, "admin")) == 2, "two lines")
    assert [(r["order"], r["what"], r["count"]) for r in records(door.daemon, "admin")] == [
        ("kick", "1", 1), ("log-level", "debug", 1)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process an /etc/hosts of its own")
@pytest.mark.parametrize("hosts, status, says", [("127.0.0.1 localhost", 0, "admin on http://127.0.0.1:"),
                                                 ("0.0.0.0 localhost", 1, "admin localhost:0: it is not a loopback address here"),
                                                 ("192.0.2.1 localhost", 1, "cannot listen on localhost:0")])
def test_a_name_that_is_not_loopback_opens_no_door(tmp_path, hosts, status, says):
    """What the name means is looked at, too: who may write /etc/hosts by mistake must not open us to the network."""
    (tmp_path / "hosts").write_text(hosts + "\n")
    process = subprocess.Popen(["unshare", "--mount", "/bin/sh", "-c", f"mount --bind {tmp_path}/hosts /etc/hosts && exec "
                                f"{PROGRAM} -l 127.0.0.1:0 --admin localhost:0 --to echo:"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = ""
    while line := process.stderr.readline():
        log += line
        if "admin on" in line:
            process.terminate()
    process.stderr.close()
    assert process.wait(SOON) == status, log
    assert says in log
