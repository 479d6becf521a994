# SPDX-License-Identifier: MIT
"""--static and --console: files below one directory and never beside it, whatever is asked for and whoever renames."""

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import threading
import time
import urllib.parse

import pytest

from lib import peers, proc
from lib.daemon import command_line
from lib.setting import PAGE_ONLY, SOON
from lib.wire import Ended

NO_UPGRADE = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
SECRET = b"SECRET: this stands beside the directory"
MIB = 1 << 20


def ask(client, path="/", headers=(), method="GET", bodiless=False):
    """A plain request on an open connection."""
    client.send(client.head(path, headers, method=method, drop=NO_UPGRADE))
    return client.read_response(bodiless=bodiless or method == "HEAD")


def get(daemon, path="/", headers=(), method="GET", bodiless=False):
    with daemon.connect() as client:
        return ask(client, path, headers, method, bodiless)


def open_files(daemon, below):
    return [target for target in daemon.fds().values() if target.startswith(f"{below}/")]


@pytest.fixture
def tree(tmp_path):
    """root/ is served; secret.txt beside it must never be."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (root / "index.html").write_bytes(b"<p>index")
    (root / "public.txt").write_bytes(b"public")
    (root / "sub" / "index.html").write_bytes(b"<p>sub")
    return root


@pytest.fixture
def daemon(wsluice, tree):
    """A daemon that serves the tree; no file of it is left open at the end."""
    started = wsluice("--static", tree, "--route", "/echo=echo:", "--log-level", "debug", inside=True)
    yield started
    started.close_clients()
    if started.alive():
        proc.wait_until(lambda: not open_files(started, tree), lambda: f"files closed: {open_files(started, tree)}")


# Never outside.

DOTS = ("..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "%u002e%u002e", "..%ff", "....", "..;", "%2e%2e%20")
SLASHES = ("/", "%2f", "%5c", "\\", "//", "/./", "%252f", "%c0%af", "/%2e/")
STARTS = ("/", "/sub/", "//")


def ways_out():
    """Paths that mean secret.txt, or a file of the system, to a server that decodes carelessly."""
    for start, dots, slash in itertools.product(STARTS, DOTS, SLASHES):
        climbs = start.count("/", 1) + 1
        yield start + (dots + slash) * climbs + "secret.txt"
        yield start + (dots + slash) * 9 + "etc/passwd"
    yield from ("/secret.txt", "/../secret.txt", "/sub/../../secret.txt", "/public.txt/../../secret.txt", "/..", "/../", "/%2e%2e",
                "/public.txt%00.html", "/%00", "/etc/passwd", "//etc/passwd", "/%2fetc%2fpasswd", "/proc/self/environ",
                "/sub//../..//secret.txt", "/sub/deep/../../../secret.txt", "/~root", "/C:\\secret.txt", "/.%2e%2fsecret.txt")


def test_two_hundred_ways_out(daemon, tree):
    paths = list(dict.fromkeys(ways_out()))
    assert len(paths) > 200
    assert get(daemon, "/public.txt").body == b"public"
    assert get(daemon, "/su%62/%64eep/%2e%2e%2f").status == 400
    for path in paths:
        answer = get(daemon, path)
        assert answer.status in (400, 404), f"{path}: {answer.status} {answer.body[:80]!r}"
        assert SECRET not in answer.body and b"root:" not in answer.body, path
        assert str(tree).encode() not in answer.body, f"{path}: names the directory"
    assert get(daemon, "/public.txt").body == b"public"


@pytest.mark.parametrize("target, status", [
    ("public.txt", 200), ("sub/../public.txt", 200), ("./sub/deep/../index.html", 200),
    ("../secret.txt", 404), ("sub/../../secret.txt", 404), ("/etc/passwd", 404), ("ROOT/public.txt", 404),
    ("/proc/self/cwd", 404), ("/dev/zero", 404), ("link", 404), ("nowhere", 404)])
def test_symlink(daemon, tree, target, status):
    (tree / "link").symlink_to(target.replace("ROOT", str(tree)))
    assert get(daemon, "/link").status == status


def test_symlink_to_a_directory_outside(daemon, tree):
    (tree / "out").symlink_to("..")
    (tree / "in").symlink_to("sub")
    (tree / "sub" / "up").symlink_to("../..")
    assert get(daemon, "/in/").body == b"<p>sub"
    assert get(daemon, "/sub/up/root/public.txt").status == 404  # left the directory on its way, though it came back
    for path in ("/out/secret.txt", "/out", "/out/", "/sub/up/secret.txt", "/in/up/secret.txt"):
        assert get(daemon, path).status == 404, path


def flip(stop, *steps):
    """Renames to and fro, as fast as it goes, until told to stop."""
    for old, new in itertools.cycle(steps):
        if stop.is_set():
            return
        os.rename(old, new)


def test_renamer_cannot_lead_outside(daemon, tree, tmp_path):
    """b moves out of the tree and back, and with it what `up` in it means; `turn` is a file, then a link outside."""
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "up").symlink_to("../../secret.txt")
    (tree / "secret.txt").write_bytes(b"harmless")
    (tmp_path / "x").mkdir()
    (tree / "turn").write_bytes(b"harmless")
    (tree / "link").symlink_to("../secret.txt")
    stop = threading.Event()
    a, x, turn, link, spare = tree / "a/b", tmp_path / "x/b", tree / "turn", tree / "link", tree / "spare"
    threads = [threading.Thread(target=flip, args=(stop, (a, x), (x, a))),
               threading.Thread(target=flip, args=(stop, (turn, spare), (link, turn), (turn, link), (spare, turn)))]
    for thread in threads:
        thread.start()
    seen, end = {}, time.monotonic() + 1
    try:
        while time.monotonic() < end or len(seen) < 4:
            for path in ("/a/b/up", "/turn"):
                answer = get(daemon, path)
                assert SECRET not in answer.body, path
                assert answer.status in (404, 503) or (answer.status, answer.body) == (200, b"harmless")
                seen[path, answer.status] = seen.get((path, answer.status), 0) + 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for path in ("/a/b/up", "/turn"):
        assert seen.get((path, 200)) and seen.get((path, 404)), f"there was no race: {seen}"


def test_dot_files_are_nobody_s(daemon, tree):
    for path in (".htpasswd", ".git/config", "sub/.env", ".well-known/acme", "sub/.well-knownx", "a.b"):
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).write_bytes(b"x")
    for path in ("/.htpasswd", "/.git/config", "/.git", "/sub/.env", "/sub/.well-knownx", "/%2egit/config", "/..."):
        assert get(daemon, path).status == 404, path
    assert get(daemon, "/.well-known/acme").body == b"x"
    assert get(daemon, "/a.b").body == b"x"


def test_only_regular_files(daemon, tree):
    """A FIFO has no writer and would block its opener, and all sessions with it."""
    os.mkfifo(tree / "fifo")
    (tree / "index").mkdir()
    os.mkfifo(tree / "index" / "index.html")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tree / "sock"))
        for path in ("/fifo", "/sock", "/index/", "/fifo/", "/public.txt/", "/public.txt/x"):
            assert get(daemon, path).status == 404, path  # who blocks in open() never answers
    assert not open_files(daemon, tree)


# Directories.

def test_directories(daemon, tree):
    assert get(daemon, "/").body == b"<p>index"
    assert get(daemon, "/sub/").body == b"<p>sub"
    assert get(daemon, "/sub/deep/").status == 404
    answer = get(daemon, "/sub?a=1&b=%22/x?")
    assert (answer.status, answer.get("location")) == (301, "sub/?a=1&b=%22/x?")
    assert get(daemon, "/sub").get("location") == "sub/"
    assert get(daemon, "/sub?").get("location") == "sub/?"
    assert get(daemon, "/sub", method="HEAD").body == b""


@pytest.mark.parametrize("name, path, location", [
    ("example.org", "/%65xample.org", "%65xample.org/"),
    ("\\example.org", "/%5cexample.org", "%5cexample.org/"),
    ("a:b", "/a:b", "./a:b/"),
    ("http:", "/http:", "./http:/"),
    ("a:b", "/a%3ab", "a%3ab/"),
    ("a\r\nSet-Cookie: x=1", "/a%0d%0aSet-Cookie:%20x=1", "./a%0d%0aSet-Cookie:%20x=1/"),
    ("a b\"<>#?%\x7f", "/a%20b%22%3c%3e%23%3f%25%7f", "a%20b%22%3c%3e%23%3f%25%7f/"),
    ("\u00e9\u4e2d", "/%c3%a9%e4%b8%ad", "%c3%a9%e4%b8%ad/"),
    ("sub/x", "/sub/x", "x/")])
@pytest.mark.parametrize("prefix", ["", "/cut/off/in/front"])
def test_redirect_stays_here(daemon, tree, name, path, location, prefix):
    """Where a browser goes then, also behind a proxy that cuts a prefix off, is the same path with a slash."""
    (tree / name).mkdir()
    answer = get(daemon, path)
    assert (answer.status, answer.get("location")) == (301, location)
    assert answer.get("set-cookie") is None
    seen = "http://here.example" + prefix + path
    assert urllib.parse.urljoin(seen, location) == seen + "/"


def test_no_path_is_read_as_another_host(daemon, tree):
    (tree / "example.org").mkdir()
    for path in ("//example.org", "///%65xample.org", "/%2Fexample.org", "/sub//", "/sub//deep"):
        answer = get(daemon, path)
        assert (answer.status, answer.get("location")) == (400, None), path


def test_redirect_too_long(daemon, tree):
    deep = "/".join(["d" * 250] * 12)
    (tree / deep).mkdir(parents=True)
    assert get(daemon, f"/{deep}").get("location") == "d" * 250 + "/"
    assert get(daemon, f"/{deep}/").status == 404
    assert get(daemon, "/sub?" + "q" * 9000).status == 414
    assert get(daemon, "/" + "/".join(["d" * 250] * 30)).status == 404  # longer than any path of the system


# What is answered.

def test_types(daemon, tree):
    for name, kind in {"a.html": "text/html; charset=utf-8", "a.JS": "text/javascript; charset=utf-8", "a.b.css": "text/css; charset=utf-8",
                       "a.mjs": "text/javascript; charset=utf-8", "a.txt": "text/plain; charset=utf-8", "a.png": "image/png",
                       "a.svg": "image/svg+xml; charset=utf-8", "a.json": "application/json", "a.wasm": "application/wasm",
                       "a.zip": "application/zip", "a.avif": "image/avif", "a.unknown": "application/octet-stream",
                       "html": "application/octet-stream", "a.": "application/octet-stream"}.items():
        (tree / name).write_bytes(b"x")
        answer = get(daemon, "/" + name)
        assert (answer.status, answer.get("content-type"), answer.get("x-content-type-options")) == (200, kind, "nosniff"), name
    assert get(daemon, "/").get("content-type") == "text/html; charset=utf-8"


@pytest.mark.parametrize("origins, framers", [
    ((), "'self'"), (("any",), None), (("https://a.example", "null", "http://[::1]:8080"), "'self' https://a.example http://[::1]:8080"),
    (("https://*.a.example",), "'self' https://*.a.example"),
    (("https://a.example;script-src", "https://b.example"), "'self' https://b.example"),
    ([f"https://{'x' * 200}{i}.example" for i in range(9)], "as many as fit")])
def test_who_may_show_files_in_a_frame(wsluice, tree, origins, framers):
    """A page of a terminal in a frame of another site would be typed into by whoever that site wants."""
    daemon = wsluice("--static", tree, *(["--origin", ",".join(origins)] if origins else []))
    policy = get(daemon, "/index.html").get("content-security-policy")
    if framers == "as many as fit":
        assert policy.startswith("frame-ancestors 'self' https://xxx") and policy.endswith("5.example")
    else:
        assert policy == (framers and f"frame-ancestors {framers}")


def test_only_get_and_head(daemon):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = get(daemon, "/public.txt", method=method)
        assert (answer.status, answer.get("allow")) == (405, "GET, HEAD, OPTIONS"), method
    answer = get(daemon, "/public.txt", [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")], "OPTIONS")
    assert (answer.status, answer.get("allow"), answer.get("access-control-allow-origin")) == (204, "GET, HEAD, OPTIONS", None)


def test_not_modified(daemon, tree):
    first = get(daemon, "/public.txt")
    tag, date = first.get("etag"), first.get("last-modified")
    assert re.fullmatch(r'"[^"]+"', tag) and first.get("cache-control") == "no-cache"
    assert date == time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(os.stat(tree / "public.txt").st_mtime))
    hits = [tag, "W/" + tag, f'"a", {tag}', f'"a",W/{tag} , "b"', "*"]
    for value in hits:
        answer = get(daemon, "/public.txt", [("If-None-Match", value)], bodiless=True)
        assert (answer.status, answer.get("content-length"), answer.get("etag")) == (304, "6", tag), value
    two = [("If-None-Match", '"a"'), ("if-none-match", tag)]
    assert get(daemon, "/public.txt", two, bodiless=True).status == 304
    for value in ('"a"', "", tag.strip('"'), tag[:-2] + '"', '"a", "b"'):
        assert get(daemon, "/public.txt", [("If-None-Match", value)]).body == b"public", value
    assert get(daemon, "/public.txt", [("If-Modified-Since", date)], bodiless=True).status == 304
    assert get(daemon, "/public.txt", [("If-Modified-Since", "Mon, 01 Jan 1990 00:00:00 GMT")]).status == 200
    assert get(daemon, "/public.txt", [("If-None-Match", '"a"'), ("If-Modified-Since", date)]).status == 200
    (tree / "public.txt").write_bytes(b"PUBLIC")
    os.utime(tree / "public.txt", ns=(0, 10**18 + 1))
    answer = get(daemon, "/public.txt", [("If-None-Match", tag)])
    assert (answer.status, answer.body) == (200, b"PUBLIC") and answer.get("etag") != tag


# Parts of a file (RFC 9110, section 14).

@pytest.mark.parametrize("asked, got, place", [
    ("bytes=0-0", b"p", "0-0/6"), ("bytes=0-5", b"public", "0-5/6"), ("bytes=2-3", b"bl", "2-3/6"), ("bytes=3-", b"lic", "3-5/6"),
    ("bytes=3-99", b"lic", "3-5/6"), ("bytes=5-18446744073709551616", b"c", "5-5/6"), ("Bytes= 1-2 ", b"ub", "1-2/6"),
    ("bytes=-2", b"ic", "4-5/6"), ("bytes=-6", b"public", "0-5/6"), ("bytes=-999999999999999999999", b"public", "0-5/6")])
def test_part_of_a_file(daemon, asked, got, place):
    answer = get(daemon, "/public.txt", [("Range", asked)])
    assert (answer.status, answer.body, answer.get("content-range")) == (206, got, f"bytes {place}")
    assert answer.get("content-length") == str(len(got)) and answer.get("accept-ranges") == "bytes"
    assert answer.get("etag") == get(daemon, "/public.txt").get("etag")


@pytest.mark.parametrize("asked", ["bytes=6-", "bytes=6-7", "bytes=18446744073709551616-", "bytes=-0"])
def test_part_behind_the_end(daemon, asked):
    answer = get(daemon, "/public.txt", [("Range", asked)])
    assert (answer.status, answer.get("content-range")) == (416, "bytes */6")


@pytest.mark.parametrize("asked", [
    "bytes=0-1,3-4", "bytes=0-0, -1", "bytes=", "bytes=-", "bytes=2-1", "bytes=x-3", "bytes=1-x", "bytes=--1", "bytes=1--2", "bytes=+1-2",
    "bytes 0-1", "lines=0-1", "0-1", "bytes=1", "bytes=1-2-3", "bytes=0x1-2"])
def test_all_where_no_single_part_is_asked_for(daemon, asked):
    answer = get(daemon, "/public.txt", [("Range", asked)])
    assert (answer.status, answer.body, answer.get("content-range")) == (200, b"public", None)


def test_all_for_head_two_fields_and_an_empty_file(daemon, tree):
    one = ("Range", "bytes=0-1")
    assert get(daemon, "/public.txt", [one], "HEAD").status == 200
    assert get(daemon, "/public.txt", [one, one]).body == b"public"
    (tree / "empty").write_bytes(b"")
    assert get(daemon, "/empty", [("Range", "bytes=0-")]).status == 200


def test_part_only_of_what_the_client_has(daemon, tree):
    whole = get(daemon, "/public.txt")
    tag, date = whole.get("etag"), whole.get("last-modified")
    part = ("Range", "bytes=1-2")
    for value in (tag, date):
        assert get(daemon, "/public.txt", [part, ("If-Range", value)]).status == 206, value
    for value in ("W/" + tag, '"a"', "*", "", "Mon, 01 Jan 1990 00:00:00 GMT", tag.strip('"')):
        assert get(daemon, "/public.txt", [part, ("If-Range", value)]).body == b"public", value
    assert get(daemon, "/public.txt", [part, ("If-None-Match", tag)], bodiless=True).status == 304
    (tree / "public.txt").write_bytes(b"PUBLIC, and more")
    assert get(daemon, "/public.txt", [part, ("If-Range", tag)]).body == b"PUBLIC, and more"


def test_part_of_a_large_file(daemon, tree):
    """As a film is asked for: many parts on one connection, each where it belongs; and the end of what is larger than 4 GiB."""
    data = random.Random(3).randbytes(3 * MIB + 17)
    (tree / "film.mp4").write_bytes(data)
    with daemon.connect() as client:
        got = b""
        while len(got) < len(data):
            answer = ask(client, "/film.mp4", [("Range", f"bytes={len(got)}-{len(got) + 700_000}")])
            assert answer.status == 206 and answer.get("content-type") == "video/mp4"
            got += answer.body
        assert got == data
        sparse(tree / "huge.bin", 6 << 30, [(6 << 30) - 4])
        answer = ask(client, "/huge.bin", [("Range", "bytes=-8")])
        assert (answer.status, answer.body) == (206, b"\0\0\0\0mark")
        assert answer.get("content-range") == f"bytes {(6 << 30) - 8}-{(6 << 30) - 1}/{6 << 30}"


# Files that lie there compressed.

@pytest.fixture
def packed(tree):
    """app.js with both forms beside it, one.css with one, and an index."""
    for name in ("app.js", "one.css", "index.html"):
        (tree / name).write_bytes(b"plain " + name.encode())
        (tree / (name + ".gz")).write_bytes(gzip.compress(b"plain " + name.encode()))
    (tree / "app.js.br").write_bytes(b"brotli")
    return tree


@pytest.mark.parametrize("accepts, app, css", [
    (None, None, None), ("", None, None), ("identity", None, None), ("gzip", "gzip", "gzip"), ("br", "br", None), ("gzip, br", "br", "gzip"),
    ("GZIP", "gzip", "gzip"), ("gzip, deflate, br, zstd", "br", "gzip"), ("br;q=0.5, gzip;q=0.8", "gzip", "gzip"),
    ("br;q=0, gzip", "gzip", "gzip"), ("*", "br", "gzip"), ("br;q=0,*", "gzip", "gzip"), ("gzip;q=0, *;q=0.3", "br", None),
    ("*;q=0", None, None), ("gzip;q=0.000", None, None), ("gzip ; q=0.001 , identity;q=1", None, None), ("gzip;q=2", None, None),
    ("gzip;q=", None, None), ("gzip;q=x", None, None), ("identity;q=0.5, gzip;q=0.6", "gzip", "gzip"), ("x-gzipx, brx", None, None),
    ("gzip;level=9", "gzip", "gzip")])
def test_form_that_the_client_accepts(daemon, packed, accepts, app, css):
    for name, coding in (("app.js", app), ("one.css", css)):
        answer = get(daemon, "/" + name, [("Accept-Encoding", accepts)] if accepts is not None else [])
        assert (answer.status, answer.get("content-encoding"), answer.get("vary")) == (200, coding, "Accept-Encoding"), name
        assert answer.get("content-type") == get(daemon, "/" + name).get("content-type")
        plain = b"plain " + name.encode()
        assert {None: lambda b: b, "gzip": gzip.decompress, "br": lambda b: plain * (b == b"brotli")}[coding](answer.body) == plain


def test_forms_are_told_apart(daemon, packed):
    """Each has a tag of its own, for caches and for parts."""
    answers = {c: get(daemon, "/app.js", [("Accept-Encoding", c)]) for c in ("identity", "gzip", "br")}
    tags = {c: a.get("etag") for c, a in answers.items()}
    assert len(set(tags.values())) == 3
    for coding, tag in tags.items():
        accept = ("Accept-Encoding", coding)
        assert get(daemon, "/app.js", [accept, ("If-None-Match", tag)], bodiless=True).status == 304
        other = tags["gzip" if coding == "br" else "br"]
        assert get(daemon, "/app.js", [accept, ("If-None-Match", other)]).status == 200
        part = get(daemon, "/app.js", [accept, ("Range", "bytes=1-3"), ("If-Range", tag)])
        assert (part.status, part.body) == (206, answers[coding].body[1:4])
        assert part.get("content-encoding") == (coding if coding != "identity" else None)
        assert get(daemon, "/app.js", [accept, ("Range", "bytes=1-3"), ("If-Range", other)]).status == 200
    assert get(daemon, "/", [("Accept-Encoding", "gzip")]).get("content-encoding") == "gzip"


def test_forms_that_do_not_count(daemon, packed, tmp_path):
    """Older than the file, no regular file, outside, hidden, without the file itself, or what was asked for by its own name."""
    accept = [("Accept-Encoding", "gzip, br")]
    os.utime(packed / "app.js.br", (1, 1))
    (packed / "one.css.br").symlink_to("../../secret.txt")
    assert get(daemon, "/app.js", accept).get("content-encoding") == "gzip"
    os.remove(packed / "app.js.gz")
    os.mkfifo(packed / "app.js.gz")
    answer = get(daemon, "/app.js", accept)
    assert (answer.get("content-encoding"), answer.get("vary"), answer.body) == (None, None, b"plain app.js")
    assert get(daemon, "/one.css", accept).get("content-encoding") == "gzip"
    (packed / "gone.js.gz").write_bytes(b"x")
    assert get(daemon, "/gone.js", accept).status == 404
    (packed / "one.css.gz.gz").write_bytes(b"x")
    answer = get(daemon, "/one.css.gz", accept)
    assert answer.get("content-encoding") is None and gzip.decompress(answer.body) == b"plain one.css"
    now = os.stat(packed / "app.js").st_mtime_ns
    (packed / "app.js.br").write_bytes(b"of the same second")
    os.utime(packed / "app.js.br", ns=(now, now // 10**9 * 10**9))
    assert get(daemon, "/app.js", accept).body == b"of the same second"


# Fields that the operator adds.

def test_fields_of_the_operator(wsluice, tree, tmp_path):
    """Emscripten's threads want these two; each route has its own."""
    config = tmp_path / "wsluice.yaml"
    config.write_text(f"""
headers: {{Referrer-Policy: no-referrer}}
routes:
  - path: /
    static: {tree}
  - path: /threads
    static: {tree}
    headers:
      Cross-Origin-Opener-Policy: same-origin
      Cross-Origin-Embedder-Policy: require-corp
      Cache-Control: "public, max-age=31536000, immutable"
""")
    daemon = wsluice("--config", config)
    answer = get(daemon, "/public.txt")
    assert (answer.get("referrer-policy"), answer.get("cache-control")) == ("no-referrer", "no-cache")
    tag = answer.get("etag")
    cases = [("/threads/public.txt", [], 200), ("/threads/public.txt", [("Range", "bytes=0-1")], 206), ("/threads/sub", [], 301),
             ("/threads/public.txt", [("If-None-Match", tag)], 304)]
    for path, fields, status in cases:
        answer = get(daemon, path, fields, bodiless=status == 304)
        assert answer.status == status and answer.get("referrer-policy") is None
        assert answer.all("cross-origin-opener-policy") == ["same-origin"]
        assert answer.all("cross-origin-embedder-policy") == ["require-corp"]
        assert answer.all("cache-control") == ["public, max-age=31536000, immutable"]
    assert get(daemon, "/threads/nothing").get("cross-origin-opener-policy") is None


@pytest.mark.parametrize("pair, why", [
    ("Content-Length=5", "wsluice says this field itself"), ("etag=x", "wsluice says this field itself"),
    ("sec-websocket-accept=x", "wsluice says this field itself"), ("TRANSFER-ENCODING=chunked", "wsluice says this field itself"),
    ("A B=x", "no name of a header field"), ("A:=x", "no name of a header field"), ("X=a\r\nSet-Cookie: b", "printable ASCII"),
    ("X=caf\u00e9", "printable ASCII"), ("X= a", "no blank"), ("X=", "no blank"), ("X", "NAME=VALUE"),
    ("X=" + "y" * 8192, "8 KiB"), ("Content-Type=a/b", "wsluice says this field itself")])
def test_fields_that_may_not_be(pair, why):
    done = command_line("--static", ".", "--headers", pair)
    assert done.returncode == 2 and why in done.stderr and "headers" in done.stderr


def test_fields_as_large_as_they_may_be(wsluice, tree):
    """Beside all that we say ourselves, and as many origins as fit."""
    value = "y" * (8192 - len("X: \r\n"))
    origins = ",".join(f"https://{'x' * 200}{i}.example" for i in range(9))
    daemon = wsluice("--static", tree, "--headers", f"X={value}", "--origin", origins)
    (tree / "public.txt.gz").write_bytes(gzip.compress(b"public"))
    answer = get(daemon, "/public.txt", [("Range", "bytes=1-2"), ("Accept-Encoding", "gzip")])
    assert answer.status == 206 and answer.get("x") == value and answer.get("content-encoding") == "gzip"


def test_many_requests_on_one_connection(daemon, tree):
    """Each answer ends where it says, bodiless ones too: else the next would be garbled."""
    (tree / "empty.css").write_bytes(b"")
    (tree / "big.bin").write_bytes(random.Random(1).randbytes(700_001))
    digest = hashlib.sha256((tree / "big.bin").read_bytes()).digest()
    with daemon.connect() as client:
        tag = ask(client, "/public.txt").get("etag")
        for _ in range(20):
            assert ask(client, "/public.txt").body == b"public"
            answer = ask(client, "/big.bin", method="HEAD")
            assert (answer.status, answer.get("content-length")) == (200, "700001")
            answer = ask(client, "/empty.css")
            assert (answer.status, answer.get("content-length"), answer.body) == (200, "0", b"")
            assert ask(client, "/public.txt", [("If-None-Match", tag)], bodiless=True).status == 304
            assert ask(client, "/sub").status == 301
            assert hashlib.sha256(ask(client, "/big.bin").body).digest() == digest
        client.open("/echo").text("and a WebSocket at last")
        assert client.read_message().data == b"and a WebSocket at last"


def test_head_of_what_is_not_there(daemon):
    with daemon.connect() as client:
        answer = ask(client, "/nothing", method="HEAD")
        assert answer.status == 404 and int(answer.get("content-length")) > 0 and answer.body == b""


def test_connection_close(daemon):
    answer = get(daemon, "/public.txt", [("Connection", "close")])
    assert answer.body == b"public" and answer.ended


def test_refusals_are_logged_in_one_line(daemon):
    mark = daemon.mark()
    get(daemon, "/no%0asuch%20thing")
    line = daemon.wait_for_log(r"status=404", since=mark).string
    assert 'path="/no\\nsuch thing"' in line and "method=GET" in line


# Big files and slow or vanishing clients.

def sparse(path, size, marks=()):
    with open(path, "wb") as file:
        file.truncate(size)
        for offset in marks:
            os.pwrite(file.fileno(), b"mark", offset)


def begin(daemon, path, rcvbuf=16384):
    """A client that has read the head of an answer; returns it and the length."""
    client = daemon.connect(rcvbuf=rcvbuf)
    client.send(client.head(path, drop=NO_UPGRADE))
    return client, int(re.search(rb"Content-Length: (\d+)", client.read_until(b"\r\n\r\n")).group(1))


def test_huge_file_and_slow_reader_take_no_memory(daemon, tree):
    size, read, mark = 6 << 30, 64 * MIB, 40 * MIB + 4711
    sparse(tree / "huge.bin", size, [mark])
    get(daemon, "/public.txt")
    daemon.inside.forget_peak()
    before = daemon.inside.kib()
    client, length = begin(daemon, "/huge.bin")
    assert length == size
    got = bytearray()
    while len(got) < read:
        got += client.read_exact(MIB)
        if len(got) < 4 * MIB:
            time.sleep(0.1)  # slow at first: the daemon is far ahead now, if it lets itself be
        assert get(daemon, "/public.txt").body == b"public"  # and others are served meanwhile
    grown = daemon.inside.peak / 1024 - before
    assert grown < 1024, f"{grown} KiB more"
    assert got.find(b"mark") == mark and len(got.strip(b"\0")) == 4
    client.rst()
    proc.wait_until(lambda: not open_files(daemon, tree), "the file to be closed")


def test_whole_file_through_a_slow_reader(daemon, tree):
    data = random.Random(2).randbytes(3 * MIB + 17)
    (tree / "data.bin").write_bytes(data)
    client, length = begin(daemon, "/data.bin", rcvbuf=4096)
    got = b""
    while len(got) < length:
        got += client.read_exact(min(100_000, length - len(got)))
        time.sleep(0.005)
    assert got == data
    assert ask(client, "/public.txt").body == b"public"


def unread(daemon, path):
    """How much of an open file the daemon has still to read; 0 when it has closed it."""
    with contextlib.suppress(FileNotFoundError, StopIteration):
        number = next(number for number, target in daemon.fds().items() if target == str(path))
        with open(f"/proc/{daemon.pid}/fdinfo/{number}") as info:
            return os.stat(path).st_size - int(info.readline().split()[1])
    return 0


def test_end_of_a_file_is_not_cut_by_the_next_deadline(wsluice, tree):
    """Only when the last piece has left does the time for the next request begin. Of many sizes, some leave a last piece
    that the system does not take at once."""
    daemon = wsluice("--static", tree, "--handshake-timeout", "0.2")
    waiting = []
    for i in range(32):
        sparse(tree / f"{i}.bin", 5 * MIB + i * 30_000)
        client, left = begin(daemon, f"/{i}.bin", rcvbuf=65536)
        while unread(daemon, tree / f"{i}.bin"):
            left -= len(client.read_exact(32 * 1024))
        waiting.append((client, left))
    time.sleep(0.5)  # longer than the deadline
    for client, left in waiting:
        assert len(client.read_exact(left)) == left


def test_reader_that_stops_is_dropped(wsluice, tree):
    sparse(tree / "huge.bin", 1 << 30)
    daemon = wsluice("--static", tree, "--stall-timeout", "0.3")
    client, _ = begin(daemon, "/huge.bin")
    daemon.wait_for_log("file cut short.*the client takes nothing")
    proc.wait_until(lambda: not open_files(daemon, tree), "the file to be closed")
    assert len(client.read_to_end()[0]) < 64 * MIB


def test_slow_reader_is_no_stalled_one(wsluice, tree):
    sparse(tree / "some.bin", 24 * MIB)
    daemon = wsluice("--static", tree, "--stall-timeout", "10s", frozen=True)
    client, left = begin(daemon, "/some.bin")
    while left:
        left -= len(client.read_exact(min(left, MIB)))
        daemon.inside.advance(8)  # longer than the limit in all, never at a time
    assert not daemon.find_log("file cut short")


def test_file_that_shrinks(daemon, tree):
    """The rest cannot be sent, and the client must not take what it got for the whole."""
    sparse(tree / "shrinks.bin", 512 * MIB)
    client, length = begin(daemon, "/shrinks.bin")
    client.read_exact(MIB)
    os.truncate(tree / "shrinks.bin", MIB)
    rest, _ = client.read_to_end()
    assert MIB + len(rest) < length
    daemon.wait_for_log("file cut short.*shorter")


def test_file_that_grows(daemon, tree):
    sparse(tree / "grows.bin", 32 * MIB)
    client, length = begin(daemon, "/grows.bin")
    client.read_exact(MIB)
    os.truncate(tree / "grows.bin", 64 * MIB)
    client.read_exact(length - MIB)
    assert ask(client, "/public.txt").body == b"public"


def test_clients_that_vanish_halfway(daemon, tree):
    sparse(tree / "huge.bin", 1 << 30)
    for i in range(30):
        client, _ = begin(daemon, "/huge.bin")
        client.rst() if i % 2 else client.close()
    proc.wait_until(lambda: not open_files(daemon, tree), "the files to be closed")


def test_half_closed_client_gets_all(daemon, tree):
    sparse(tree / "some.bin", 8 * MIB)
    client, length = begin(daemon, "/some.bin")
    client.half_close()
    assert len(client.read_exact(length)) == length


@pytest.mark.parametrize("signals", [1, 2])
def test_stop_in_the_middle_of_a_file(wsluice, tree, signals):
    sparse(tree / "huge.bin", 1 << 30)
    daemon = wsluice("--static", tree, "--drain-timeout", "0.3" if signals == 1 else "60")
    client, _ = begin(daemon, "/huge.bin")
    daemon.send_signal(signal.SIGTERM)
    if signals == 2:
        daemon.wait_for_log("stopping")
        daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    client.close()


# At the start.

@pytest.mark.parametrize("directory", ["missing", "root/public.txt", "loop"])
def test_directory_that_cannot_be_served(tree, directory):
    (tree.parent / "loop").symlink_to("loop")
    done = command_line("-l", "127.0.0.1:0", "--static", tree.parent / directory)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"wsluice: .*\bstatic\b.*\n", done.stderr) and str(tree.parent / directory) in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be denied something")
def test_directory_that_may_not_be_read(tree):
    import subprocess

    from lib.setting import BINARY

    private = tree.parent / "private"
    private.mkdir(mode=0o700)
    os.chmod(tree.parent, 0o755)
    done = subprocess.run([BINARY, "-l", "127.0.0.1:0", "--static", str(private)], capture_output=True, text=True, user=65534,
                          group=65534, extra_groups=[], timeout=SOON, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and re.fullmatch(r"wsluice: .*\bstatic\b.*denied.*\n", done.stderr), done.stderr


# Who answers.

def test_route_without_a_file_says_that_it_speaks_websocket(daemon, tree):
    assert get(daemon, "/echo").status == 426
    (tree / "echo").write_bytes(b"a file")
    assert get(daemon, "/echo").body == b"a file"
    daemon.open("/echo").finish()


def test_route_for_everything_does_not_hide_a_missing_file(wsluice, tree):
    daemon = wsluice("--static", tree, "--to", "echo:")
    assert get(daemon, "/favicon.ico").status == 404
    assert get(daemon, "/").body == b"<p>index"
    daemon.open("/").finish()


@pytest.fixture
def with_console(wsluice, tree):
    return wsluice("--static", tree, "--console", "--route", "/echo=echo:", "--route", "/sub=echo:", "--route", "/x=echo:")


def test_console_page(with_console):
    """A page with scripts of its own and no others, that needs nothing from anywhere."""
    nonces = set()
    for _ in range(3):
        answer = get(with_console, "/echo?a=b")
        assert (answer.status, answer.get("content-type")) == (200, "text/html; charset=utf-8")
        assert answer.get("cache-control") == "no-store"
        policy = dict(rule.split(" ", 1) for rule in answer.get("content-security-policy").split("; "))
        nonce = re.fullmatch(r"'nonce-([0-9a-f]{32})'", policy["script-src"]).group(1)
        assert policy == {"default-src": "'none'", "script-src": f"'nonce-{nonce}'", "style-src": f"'nonce-{nonce}'",
                          "connect-src": "'self' ws: wss:", "base-uri": "'none'", "form-action": "'none'",
                          "frame-ancestors": "'none'"}
        page = answer.body.decode()
        assert page.count(nonce) == 2 and "NONCE" not in page
        for tag in re.findall(r"<(?:script|style)[^>]*>", page):
            assert f'nonce="{nonce}"' in tag
        assert not re.search(r"\b(src|href|action|on[a-z]+)\s*=\s*[\"']|https?:/|@import|innerHTML|eval\(", page)
        nonces.add(nonce)
    assert len(nonces) == 3
    head = get(with_console, "/echo", method="HEAD")
    assert head.status == 200 and int(head.get("content-length")) == len(page.encode())


def test_file_wins_over_console(with_console, tree):
    assert b"wsluice console" in get(with_console, "/x").body
    assert b"wsluice console" in get(with_console, "/x/y").body
    (tree / "x").write_bytes(b"a file")
    assert get(with_console, "/x").body == b"a file"
    assert get(with_console, "/sub").status == 301
    assert get(with_console, "/sub/").body == b"<p>sub"
    assert b"wsluice console" in get(with_console, "/sub/deep").body  # nothing to show in that directory
    assert get(with_console, "/none").status == 404
    assert get(with_console, "/echo", method="POST").status == 405
    with_console.open("/echo").finish()


def test_console_is_off_by_default(daemon):
    assert b"console" not in get(daemon, "/echo").body


@pytest.mark.plain(PAGE_ONLY)
def test_console_in_a_browser(with_console):
    """Under its own content policy: a violation would be an error in `faults`."""
    host, port = with_console.address
    seen = json.loads(peers.node("demo.mjs", "console", f"http://{host}:{port}/echo"))
    assert seen == {
        "state": "connected", "text": "<b>hello</b>", "hex": "de ad be ef 00", "size": "5 B",
        "refused": "not sent: bytes are pairs of hex digits, such as 68 65 6c 6c 6f", "closed": "closed 1000: ended normally",
        "subprotocol": "connected, subprotocol binary", "lines": 1000, "faults": []}


@pytest.mark.plain(PAGE_ONLY)
def test_console_takes_thousands_of_messages(with_console):
    """It asks for the layout once a frame, not once a message, and keeps the last thousand lines."""
    host, port = with_console.address
    seen = json.loads(peers.node("demo.mjs", "flood", f"http://{host}:{port}/echo"))
    assert 0 < seen.pop("asked") <= 4
    assert "5,000 received" in seen.pop("counted") and "10,000 received" in seen.pop("echoed")
    assert seen == {
        "kept": [1000, "line 4000", "line 4999"], "follows": True, "stays": True, "hex": "68 c3 a9 0a", "asText": "h\u00e9\n",
        "back": "68 c3 a9 0a", "ends": ['"end none"', '"end LF\\n"', '"end CR LF\\r\\n"', '"end CR\\r"'],
        "recalled": ["end CR", "end CR LF", "end CR", "draft", "draft"], "filtered": [11, True], "filteredLater": 'echo 4999 {"a":1}',
        "json": '{\n  "a": [\n    1\n  ]\n}', "saved": [True, '{"a":[1]}', "68 c3 a9 0a"], "cleared": 0, "fits": [True, True], "faults": []}


def test_vanished_client_is_no_error(daemon):
    """The connection ends in the middle of a request's head."""
    client = daemon.connect()
    client.send(b"GET /public.txt HTTP/1.1\r\nHost: x\r\n")
    client.half_close()
    with pytest.raises(Ended):
        client.read_exact(1)


def test_no_descriptor_left_for_a_file(daemon):
    """The connection got the last one: that is 503, and not that there is no such file. With one free it is sent."""
    with daemon.connect() as client:
        assert ask(client, "/public.txt").status == 200
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        free = next(n for n in itertools.count() if n not in daemon.fds())
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        answer = ask(client, "/public.txt")
        assert answer.status == 503 and answer.get("retry-after") == "1"
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
    assert get(daemon, "/public.txt").body == b"public"
