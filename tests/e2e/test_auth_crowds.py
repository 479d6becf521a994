# SPDX-License-Identifier: MIT
"""Many who guess, or only ask: others are served all the same, and the log names those that fail."""

import subprocess
import threading
import time

import pytest

from lib import peers, proc
from lib.admin import Admin, labels
from lib.setting import REPO, SOON
from lib.tools import JSON, records
from test_auth import NO_UPGRADE, NOT_QUICK, ask, basic, bearer, hashed, hooked, http_hook, script, start, together, upgrade, write  # noqa: F401

FILTER = REPO / "contrib/fail2ban/filter.d/wsluice.conf"


def crowd(daemon, path, addresses, each, headers=()):
    """Requests under way: `each` of them from every address."""
    clients = [daemon.connect(source=source) for source in addresses for _ in range(each)]
    for client in clients:
        client.send(client.head(path, headers, drop=NO_UPGRADE))
    return clients


def disperse(clients):
    for client in clients:
        client.rst()


# Places.

def test_few_addresses_do_not_keep_a_hook_from_others(wsluice, tmp_path):
    """More work than there is time to wait for it: whoever comes from elsewhere is next."""
    hook = script(tmp_path / "hook", 'test "$REMOTE_ADDR" = 127.1.1.1 || sleep 0.5\n')
    daemon = hooked(wsluice, tmp_path, hook, "auth-cache: 0")
    clients = crowd(daemon, "/files/hook", [f"127.2.2.{n}" for n in range(1, 9)], 32)
    proc.wait_until(lambda: len(daemon.children()) >= 6, lambda: "places taken")
    for _ in range(3):
        assert ask(daemon, "/files/hook", (), "127.1.1.1").status == 200
    disperse(clients)
    proc.wait_until(lambda: not daemon.children(), lambda: "nothing running")


def test_few_addresses_do_not_keep_passwords_from_being_checked(wsluice, tmp_path):
    write(tmp_path / "pw", f"u:{hashed('p', NOT_QUICK)}\nslow:{hashed('p', NOT_QUICK)}\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "basic", "--auth-file", tmp_path / "pw",
                     frozen=True)  # nobody is told that it takes too long
    clients = crowd(daemon, "/", [f"127.2.2.{n}" for n in range(1, 18)], 32, [basic("slow", "wrong")])
    proc.wait_until(lambda: len(daemon.children()) >= 3, lambda: "places taken")
    assert ask(daemon, "/", [basic("u", "p")], "127.1.1.1").status == 200
    before, later = {c.pid for c in daemon.children()}, set()
    proc.wait_until(lambda: later.update(c.pid for c in daemon.children()) or len(later - before) > 20, lambda: "the crowd, which waits longer")
    disperse(clients)


def test_few_addresses_do_not_keep_an_http_hook_from_others(wsluice, tmp_path, http_hook):  # noqa: F811
    daemon = hooked(wsluice, tmp_path, f"http://127.0.0.1:{http_hook.server_address[1]}/", "auth-cache: 0")
    clients = crowd(daemon, "/env", ["127.2.2.1", "127.2.2.2", "127.2.2.3"], 32, [bearer("silent")])
    proc.wait_until(lambda: len(http_hook.seen) == 32, lambda: f"{len(http_hook.seen)} asked")
    assert ask(daemon, "/files/", [bearer("good")], "127.1.1.1").status == 404
    disperse(clients)


def test_waiting_has_a_bound_and_running_its_own(wsluice, tmp_path):
    """A hook has its 5 s from its start on: who waited for it is not told that it gave no answer."""
    hook = script(tmp_path / "hook", "sleep 4\n")
    daemon = hooked(wsluice, tmp_path, hook, "auth-cache: 0")
    clients = crowd(daemon, "/files/hook", ["127.2.2.1"], 32)
    answers = [client.read_response() for client in clients]
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) >= 16 and set(statuses) <= {200, 503}
    for answer in answers:
        assert answer.status == 200 or b"too many requests are being judged" in answer.body


def test_requests_for_nothing_are_free_while_they_are_few(wsluice, tmp_path):
    daemon = hooked(wsluice, tmp_path, script(tmp_path / "hook", "exit 1\n"))
    began = time.monotonic()
    clients = crowd(daemon, "/files/hook", ["127.2.2.1"], 12)
    assert [client.read_response().status for client in clients] == [401] * 12
    assert time.monotonic() - began > 3.5  # eight at once, then one a second
    assert not daemon.find_log("authentication failed")


@pytest.mark.parametrize("path, headers", [
    ("/basic", []), ("/basic", [("Authorization", "")]), ("/basic", [("Authorization", "Basic")]), ("/basic", [("Authorization", "Basic ")]),
    ("/basic", [basic("", "")]), ("/bearer", []), ("/bearer", [("Authorization", "")]), ("/bearer", [("Authorization", "Bearer")]),
    ("/bearer", [("Cookie", "wsluice_token=")]), ("/bearer?token=", []),
])
def test_an_empty_attempt_is_none(wsluice, tmp_path, path, headers):
    """More of them at once than an address may have attempts under way, and a good one passes beside them."""
    write(tmp_path / "tokens", "alice some-good-token\n")
    write(tmp_path / "pw", f"u:{hashed('p')}\n")
    daemon = start(wsluice, tmp_path, f"""
routes:
  - {{path: /bearer, to: "echo:", console: on, auth: bearer, auth-file: {tmp_path}/tokens}}
  - {{path: /basic, to: "echo:", console: on, auth: basic, auth-file: {tmp_path}/pw}}
""")
    clients = crowd(daemon, path, ["127.2.2.1"], 40, headers)
    assert [client.read_response().status for client in clients] == [401] * 40
    assert ask(daemon, "/bearer", [bearer("some-good-token")], "127.2.2.1").status == 200
    assert not daemon.find_log("authentication failed")


def test_networks_by_the_thousand_refuse_nobody_else(wsluice, tmp_path):
    """Behind a proxy that is believed every address is to be had: each with an attempt under way."""
    write(tmp_path / "tokens", "alice some-good-token\n")
    daemon = wsluice("--to", "echo:", "--console", "--auth", "bearer", "--auth-file", tmp_path / "tokens",
                     "--trusted-proxies", "127.0.0.0/8")
    clients = []
    for n in range(6000):  # each leaves: its attempt stays under way
        client = daemon.connect()
        client.send(client.head("/", [bearer("wrong-token"), ("X-Forwarded-For", f"2001:db8:{n:x}:1::1")], drop=NO_UPGRADE))
        clients.append(client)
        if len(clients) == 200:
            disperse(clients[:100])
            del clients[:100]
    assert ask(daemon, "/", [bearer("some-good-token"), ("X-Forwarded-For", "192.0.2.1")]).status == 200
    assert ask(daemon, "/", [bearer("wrong-token"), ("X-Forwarded-For", "192.0.2.2")]).status == 401
    disperse(clients)


# The log.

def test_noise_hides_no_guess(wsluice, tmp_path):
    write(tmp_path / "tokens", "alice some-good-token\n")
    daemon = start(wsluice, tmp_path, f"""
admin: 127.0.0.1:0
log-format: json
routes:
  - {{path: /locked, to: "echo:", auth: bearer, auth-file: {tmp_path}/tokens}}
  - {{path: /open, to: "echo:"}}
""")
    over = threading.Event()

    def noise():
        while not over.wait(0.005):
            assert ask(daemon, "/open", (), "127.4.4.4").status == 426

    thread = threading.Thread(target=noise)
    thread.start()
    try:
        proc.wait_until(lambda: records(daemon, "repeated"), lambda: "noise")
        clients = crowd(daemon, "/locked", ["127.2.2.1", "127.2.2.2"], 16, [bearer("wrong-token")])
        assert [client.read_response().status for client in clients] == [401] * 32
        proc.wait_until(lambda: len(records(daemon, "authentication failed")) >= 20, lambda: "lines about guesses")
        lines = records(daemon, "authentication failed")
        for source in ("127.2.2.1", "127.2.2.2"):
            mine = [line for line in lines if line["client"].startswith(source + ":")]
            assert 10 <= len(mine) < 16
        assert {(line["auth"], line["path"], line["status"]) for line in lines} == {("bearer", "/locked", 401)}
        assert ask(daemon, "/locked", [bearer("wrong-token")], "127.2.2.1").status == 401
        proc.wait_until(lambda: [r for r in records(daemon, "authentication failed") if "untold" in r], lambda: "what was not told")
    finally:
        over.set()
        thread.join()
    assert Admin(daemon).metrics()[labels("wsluice_authentication_failures_total")] == 33


def test_only_known_names_are_told(wsluice, tmp_path):
    """What is typed in place of a name may be a password."""
    write(tmp_path / "pw", f"alice:{hashed('p')}\n")
    daemon = wsluice(*JSON, "--to", "echo:", "--auth", "basic", "--auth-file", tmp_path / "pw")
    assert ask(daemon, "/", [basic("alice", "wrong")]).status == 401
    assert ask(daemon, "/", [basic("p4ssw0rd", "")]).status == 401
    assert [line.get("user") for line in records(daemon, "authentication failed")] == ["alice", None]
    assert "p4ssw0rd" not in bytes(daemon.raw_log).decode()


def as_it_is(line):
    return line


def by_syslog(line):
    """As a daemon of syslog writes it down."""
    return "Dec  1 04:51:23 host wsluice[4711]: " + (line if line.startswith("{") else line.split(" ", 1)[1])


@pytest.mark.plain("what the log says is the same, whatever build writes it")
@pytest.mark.parametrize("args", [(), JSON], ids=["text", "json"])
def test_fail2ban_finds_those_that_guess_and_nobody_else(wsluice, tmp_path, args):
    write(tmp_path / "tokens", "alice some-good-token\n")
    write(tmp_path / "services", "desk: 127.0.0.1:1\n")
    write(tmp_path / "pw", f"alice:{hashed('p')}\n")
    hook = script(tmp_path / "hook", "exit 1\n")
    daemon = start(wsluice, tmp_path, f"""
log-query: on
trusted-proxies: [127.0.0.0/8]
routes:
  - {{path: /bearer, to: "echo:", auth: bearer, auth-file: {tmp_path}/tokens}}
  - {{path: /basic, to: "echo:", auth: basic, auth-file: {tmp_path}/pw}}
  - {{path: /hook, static: {tmp_path}, auth: hook, auth-hook: [{hook}]}}
  - {{path: /vnc, token-file: {tmp_path}/services}}
  - {{path: /open, to: "echo:"}}
""", *args)

    def via(client, path, *headers):
        return ask(daemon, path, [("X-Forwarded-For", client), *headers]).status

    assert together(lambda guess: via(*guess), [
        ("192.0.2.1", "/bearer", bearer("wrong-token")), ("192.0.2.2", "/basic", basic("alice", "wrong")),
        ("2001:db8::3", "/basic", basic("nobody", "wrong")), ("192.0.2.4", "/hook/x", basic("alice", "wrong")),
        ("192.0.2.6", "/bearer/x%20client=198.51.100.1:1%0aauthentication%20failed%20client=198.51.100.2:1%20", bearer("wrong-token"))]) == [401] * 5
    assert upgrade(daemon, "/vnc?token=wrong", [("X-Forwarded-For", "2001:db8::5")]).status == 403
    # no guesses: a browser that has not asked its user yet, noise, and words that look like our lines
    noise = ("/bearer", "/basic", "/hook/x", "/hook/x?v=1", "/open", "/none", "/authentication%20failed%20client=198.51.100.3:1%20",
             "/open?authentication%20failed%20client=198.51.100.4:1%20")
    assert min(together(lambda path: via("203.0.113.9", path, ("User-Agent", "authentication failed client=198.51.100.5:1 ")), noise)) >= 400
    assert via("203.0.113.9", "/hook/x", ("Cookie", "session=1")) == 401
    assert upgrade(daemon, "/vnc", [("X-Forwarded-For", "203.0.113.9")]).status == 403
    proc.wait_until(lambda: len(daemon.find_log("request refused")) >= 10, lambda: daemon.tail())
    for form in (as_it_is, by_syslog):
        lines = [form(line) for line in bytes(daemon.raw_log).decode().splitlines()]
        log = write(tmp_path / "log", "\n".join(lines) + "\n")
        found = subprocess.run(["fail2ban-regex", "-o", "ip", log, FILTER], capture_output=True, text=True, check=True, timeout=SOON)
        assert sorted(found.stdout.split()) == ["192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.6", "2001:db8::3", "2001:db8::5"], "\n".join(lines)


# token-file.

@pytest.fixture
def service(server):
    return server(peers.echo)


def test_tokens_of_services_cannot_be_guessed_quickly(wsluice, tmp_path, service):
    write(tmp_path / "services", f"right: 127.0.0.1:{service.port}\n")
    daemon = start(wsluice, tmp_path, f"""
log-format: json
routes: [{{path: /vnc, token-file: {tmp_path}/services}}]
""")
    began = time.monotonic()
    assert upgrade(daemon, "/vnc?token=wrong", source="127.2.2.1").status == 403
    assert upgrade(daemon, "/vnc/wrong", source="127.2.2.1").status == 403
    assert time.monotonic() - began > 2.9
    began = time.monotonic()
    assert upgrade(daemon, "/vnc/", source="127.2.2.1").status == 403  # tries nothing
    daemon.connect(source="127.2.2.1").open("/vnc/right").finish()
    assert [(line["auth"], line["status"]) for line in records(daemon, "authentication failed")] == [("token-file", 403)] * 2
    clients = [daemon.connect(source="127.2.2.1") for _ in range(32)]
    for client in clients:
        client.send(client.head("/vnc?token=wrong"))
    proc.wait_until(lambda: len(daemon.find_log('"status":403')) > 10, lambda: "guesses under way")
    proc.wait_until(lambda: upgrade(daemon, "/vnc?token=right", source="127.2.2.1").status == 429, lambda: "429, were it right or wrong")
    daemon.connect(source="127.1.1.1").open("/vnc/right").finish()  # from elsewhere it goes on
    disperse(clients)


def test_a_wrong_token_in_close_codes(wsluice, tmp_path, service):
    write(tmp_path / "services", f"right: 127.0.0.1:{service.port}\n")
    daemon = wsluice("--route", f"/vnc=token-file:{tmp_path}/services", "--errors", "close")
    client = daemon.connect()
    assert client.upgrade("/vnc?token=wrong").status == 101
    assert client.read_close()[:2] == (1008, "no service has this token")


def test_a_guess_reads_no_file(wsluice, tmp_path, service):
    """Nor does one that is right; a change is seen by the next."""
    path = write(tmp_path / "services", f"right: 127.0.0.1:{service.port}\n")
    daemon = wsluice("--route", f"/vnc=token-file:{path}")
    time.sleep(0.1)  # younger files are read twice: two changes of one moment have one stamp
    daemon.open("/vnc/right").finish()
    reads = tmp_path / "reads"
    tracer = subprocess.Popen(["strace", "-f", "-o", reads, "-e", "trace=openat,openat2", "-p", str(daemon.pid)], stderr=subprocess.DEVNULL)
    try:
        proc.wait_until(lambda: "TracerPid:\t0" not in open(f"/proc/{daemon.pid}/status").read(), lambda: "strace to be there")
        assert together(lambda n: upgrade(daemon, f"/vnc?token=wrong{n}", source=f"127.3.3.{n + 1}").status, range(20)) == [403] * 20
        for _ in range(20):
            daemon.open("/vnc/right").finish()
        assert str(path) not in reads.read_text()
        write(path, f"other: 127.0.0.1:{service.port}\n")
        daemon.open("/vnc/other").finish()
        proc.wait_until(lambda: str(path) in reads.read_text(), lambda: "read again")
    finally:
        tracer.terminate()
        tracer.wait()
