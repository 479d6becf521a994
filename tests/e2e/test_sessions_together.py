# SPDX-License-Identifier: MIT
"""Sessions with several clients of several kinds: each gets every message in its own form, and nobody goes on in another session."""

import json
import threading

import pytest

from lib.deflate import BROWSERS, opened
from lib.proc import wait_until
from lib.tools import JSON, py, records, sh
from lib.wire import BINARY, CLOSE, PING, TEXT, close_payload, frame

TOKEN = "A-zero_9" * 4
LINES = ("import sys\n"
         "for line in sys.stdin:\n"
         "    for n in range(int(line)):\n"
         "        sys.stdout.write('%d %s\\n' % (n, 'x' * (n * 37 % 300)))\n"
         "    sys.stdout.flush()\n")


@pytest.fixture
def kept(wsluice):
    all_of_them = []

    def start(*args, **how):
        all_of_them.append(wsluice(*JSON, *args, **how))
        return all_of_them[-1]
    yield start
    for daemon in all_of_them:
        daemon.close_clients()
        daemon.stop()


def about(client):
    data = client.read_message()[1]
    assert data[:1] == b"\3", data
    return json.loads(data[1:])


def test_each_gets_all_in_its_own_form(kept):
    """Plain, compressed with one window and another, with channel bytes, with a window of its own: what is framed once for
many is right for each of them."""
    daemon = kept("--session", "shared", "--compression", "takeover", "--compression-min", "64", *py(LINES))
    plain = [daemon.open("/") for _ in range(3)]
    alone = BROWSERS + "; server_no_context_takeover"
    packed = [opened(daemon, "/", offer) for offer in (alone, alone, alone + "; server_max_window_bits=9", BROWSERS)]
    paged = [daemon.open("/?resume=" + name) for name in "ab"]
    both = opened(daemon, "/?resume=c", alone)
    assert [about(page)["session"] for page in paged] == ["resumed"] * 2 and both.read()[1][:1] == b"\3"
    for n in (1, 40, 3000):
        plain[0].text(str(n))
        for i in range(n):
            line = b"%d %s" % (i, b"x" * (i * 37 % 300))
            for client in plain:
                assert client.read_message()[1] == line
            for client in packed:
                opcode, data, was_packed = client.read()
                assert (opcode, data) == (TEXT, line) and was_packed == (len(line) >= 64)
            for page in paged:
                assert page.read_message()[1] == b"\1" + line
            assert both.read()[1] == b"\1" + line
    sent = 3041
    plain[0].send_frame(CLOSE, close_payload(1001))
    wait_until(lambda: records(daemon, "client left"), "it to leave")
    assert records(daemon, "client left")[0]["messages_out"] == sent


def test_who_counts_goes_on_in_the_same_session_only(kept):
    """Of a session of many somebody else may have begun the next one: a page has its ID."""
    daemon = kept("--session", "shared", *sh("while read x; do [ $x = end ] && exit 3; echo $x; done"))
    page = daemon.open("/?resume=p")
    begin = about(page)
    assert begin["session"] == "new" and len(begin["id"]) == 16
    page.send(frame(TEXT, b"\0one"))
    assert page.read_message()[1] == b"\1one"
    page.rst()
    again = daemon.open(f"/?resume=p&got=1:{begin['id']}")
    assert about(again) == {"session": "resumed", "id": begin["id"], "next": 2, "got": 1}
    again.send(frame(TEXT, b"\0end"))
    assert again.read_close()[0] == 4003
    again.close()
    wait_until(lambda: records(daemon), "the session to end")
    other = daemon.open("/")
    for word in ("a", "b", "c"):
        other.text(word)
        assert other.read_message()[1] == word.encode()
    for got in (f"1:{begin['id']}", "1", "3"):
        assert daemon.open(f"/?resume=p&got={got}").read_close()[0] == 4400
    fresh = about(daemon.open("/?resume=p"))
    assert (fresh["session"], fresh["next"], fresh["got"]) == ("resumed", 1, 0) and fresh["id"] != begin["id"]


@pytest.mark.parametrize("got", ["1:", "1:abc", "1:0123456789abcdeX", ":0123456789abcdef", "1:0123456789abcdef0"])
def test_what_is_no_place_in_a_session_is_400(kept, got):
    assert kept("--session", "shared", *sh("read x")).connect().upgrade(f"/?got={got}").status == 400


def test_with_join_write_nobody_of_a_visitor_loses_anything(kept):
    """Two devices of one user: the one that reads slowly misses nothing either."""
    daemon = kept("--session", "token", "--join", "write", "--replay", "16K", "--stall-timeout", "1h", *py(LINES))
    slow = daemon.open(f"/?session={TOKEN}", connect={"rcvbuf": 4096})
    fast = daemon.open(f"/?session={TOKEN}")
    fast.text("20000")
    last = {slow: -1, fast: -1}

    def read(client):
        n = int(client.read_message()[1].split()[0])
        assert n == last[client] + 1
        last[client] = n
    with pytest.raises(TimeoutError):  # it waits for the other
        while last[fast] < 19999:
            fast.timeout = 0.5
            read(fast)
    fast.timeout = slow.timeout

    def read_all(client):
        while last[client] < 19999:
            read(client)
    other = threading.Thread(target=read_all, args=[slow])
    other.start()
    read_all(fast)
    other.join()
    assert last == {slow: 19999, fast: 19999}


def test_a_page_with_a_terminal_is_told_its_title_beside_the_output(kept):
    daemon = kept("--session", "token", "--pty", "--tty-preferences", '{"fontSize": 20}', "--", "sh", "-c", "read x; echo it is $x; read y")
    page = daemon.open(f"/?session={TOKEN}&resume=p", protocols="tty")
    assert about(page)["next"] == 1
    page.send(frame(BINARY, b'\0{"columns":80,"rows":24}'))
    assert about(page) == {"title": "sh"}
    assert about(page) == {"preferences": {"fontSize": 20}}
    page.send(frame(BINARY, b"\0" + b"0so\r"))
    seen = b""
    while b"it is so" not in seen:
        data = page.read_message()[1]
        assert data[:2] == b"\x010"
        seen += data[2:]


def test_a_bearer_without_a_name_is_somebody(kept, tmp_path):
    """Who has another's token for a session, and a credential of his own, finds nothing."""
    path = tmp_path / "tokens"
    path.write_text("the-first-token\nthe-second-token\nalice the-third-token\n")
    path.chmod(0o600)
    daemon = kept("--auth", "bearer", "--auth-file", path, "--session", "token", *sh("echo hi; read x"))

    def come(credential, **more):
        query = "&".join([f"session={TOKEN}"] + [f"{k}={v}" for k, v in more.items()])
        return daemon.open(f"/?{query}", [("Authorization", f"Bearer {credential}")])
    assert come("the-first-token").read_message()[1] == b"hi"
    for other in ("the-second-token", "the-third-token"):
        assert come(other, got=0).read_close()[0] == 4400
    assert come("the-first-token", got=0).read_message()[1] == b"hi"
    assert not records(daemon)


def test_who_comes_back_to_a_hub_is_new_also_as_a_page(kept):
    daemon = kept("--session", "shared", "--framing", "hub", *py("import sys\nfor l in sys.stdin: print('*', l, end='', flush=True)"))
    page = daemon.open("/?resume=p")
    assert about(page)["session"] == "new"
    page.send(frame(TEXT, b"\0hello"))
    assert [page.read_message()[1][:4] for _ in range(2)] == [b"\1+ 1", b"\0011 h"]
    page.rst()
    again = about(daemon.open("/?resume=p"))
    assert (again["session"], again["got"]) == ("new", 0)


@pytest.mark.parametrize("who", ["nobody", "a proxy"])
def test_pings_that_nobody_or_another_answers(kept, who):
    """Where nobody answers, the program is held for pong-timeout at most, and the log says so once. Where a proxy does in the
page's stead, what it had not handed on when the link died is a gap that is told: never twice, never skipped silently."""
    daemon = kept("--session", "token", "--replay", "16K", "--max-replay", "64K", "--pong-timeout", "200ms", "--ping", "1h", *py(LINES))
    client = daemon.open(f"/?session={TOKEN}")
    client.text("3000")
    if who == "nobody":
        for n in range(3000):
            while True:
                got = client.read_frame()
                if got.opcode != PING:
                    break
            assert int(got.payload.split()[0]) == n
        said = daemon.find_log("no pong tells what has arrived")
        assert len(said) == 1
    else:  # it takes all, answers all pings, and the page has had ten
        page = [client.read_message()[1] for _ in range(3000)][:10]
        assert int(page[-1].split()[0]) == 9
        client.rst()
        wait_until(lambda: records(daemon, "client left"), "it to leave")
        assert daemon.open(f"/?session={TOKEN}&got=10").read_close()[0] == 4402
    assert not records(daemon)
