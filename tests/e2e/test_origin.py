# SPDX-License-Identifier: MIT
"""Who may connect from a web page: a table of Origin headers.

HOST is the Host header's value, the listener's own address unless given.
"""

import pytest

from lib.daemon import command_line
from lib.judge import accepted, refused

ROUTE = "/echo"


@pytest.fixture(scope="module")
def module_daemon(wsluice_module):
    return wsluice_module("--route", f"{ROUTE}=echo:")


@pytest.fixture
def daemon(shared, module_daemon):
    return shared(module_daemon)


SAME = "http://{host}"
ORIGINS = [
    # id, origins sent, accepted, Host (None: our own)
    ("none", [], True, None),
    ("same", [SAME], True, None),
    ("same-by-name", ["http://chess.example:8080"], True, "chess.example:8080"),
    ("same-by-name-default-port", ["http://chess.example"], True, "chess.example"),
    ("same-host-in-capitals", ["http://chess.example:8080"], True, "Chess.EXAMPLE:8080"),
    ("same-ipv6", ["http://[::1]:8080"], True, "[::1]:8080"),
    ("same-punycode", ["http://xn--bcher-kva.example"], True, "xn--bcher-kva.example"),
    ("other", ["http://evil.example"], False, None),
    ("other-scheme-and-host", ["https://evil.example"], False, None),
    ("null", ["null"], False, None),
    ("null-for-host-null", ["null"], False, "null"),
    ("empty", [""], False, None),
    ("no-port", ["http://127.0.0.1"], False, None),
    ("other-port", ["http://127.0.0.1:1"], False, None),
    ("port-longer", [SAME + "0"], False, None),
    ("port-shorter", ["http://chess.example:808"], False, "chess.example:8080"),
    ("prefix", [SAME + ".evil.example"], False, None),
    ("prefix-by-name", ["http://chess.example.evil.example"], False, "chess.example"),
    ("suffix", ["http://evil{host}"], False, None),
    ("suffix-by-name", ["http://evil-chess.example"], False, "chess.example"),
    ("subdomain", ["http://www.chess.example"], False, "chess.example"),
    ("parent-domain", ["http://example"], False, "chess.example"),
    ("userinfo-before-evil", [SAME + "@evil.example"], False, None),
    ("userinfo-before-ours", ["http://evil.example@{host}"], False, None),
    ("path-holds-ours", ["http://evil.example/{host}"], False, None),
    ("query-holds-ours", ["http://evil.example?{host}"], False, None),
    ("fragment-holds-ours", ["http://evil.example#{host}"], False, None),
    ("backslash", [SAME + "\\@evil.example"], False, None),
    ("no-scheme", ["{host}"], False, None),
    ("scheme-only", ["http://"], False, None),
    ("file", ["file://"], False, None),
    ("extension", ["chrome-extension://abcdefghijklmnop"], False, None),
    ("scheme-of-ours-unknown", ["gopher://{host}"], False, None),
    ("list-same-first", [SAME + " http://evil.example"], False, None),
    ("list-comma", [SAME + ", http://evil.example"], False, None),
    ("two-headers-same-first", [SAME, "http://evil.example"], False, None),
    ("two-headers-same-last", ["http://evil.example", SAME], False, None),
    ("two-headers-same-both", [SAME, SAME], False, None),
    ("punycode-lookalike", ["http://xn--bchr-kva.example"], False, "xn--bcher-kva.example"),
    ("raw-unicode", [b"http://b\xc3\xbccher.example".decode("latin-1")], False, "xn--bcher-kva.example"),
    ("trailing-dot", ["http://chess.example."], False, "chess.example"),
    ("nbsp", [SAME + "\xa0"], False, None),
]


def ask_from(daemon, origins, host=None, path=ROUTE):
    """A request with these Origin headers, {host} in them filled in."""
    client = daemon.connect()
    client.host = host or client.host
    client.send(client.head(path, [("Origin", o.replace("{host}", client.host)) for o in origins]))
    return client


@pytest.mark.parametrize("origins, good, host", [pytest.param(*row[1:], id=row[0]) for row in ORIGINS])
def test_origin_by_default_the_same(daemon, origins, good, host):
    client = ask_from(daemon, origins, host)
    if good:
        accepted(client)
    else:
        refused(client, *((403,) if len(origins) == 1 else (400, 403)))


LIST = "https://chess.example,http://localhost:3000,null"
LISTED = [
    ("none", [], True),
    ("first", ["https://chess.example"], True),
    ("second", ["http://localhost:3000"], True),
    ("null-listed", ["null"], True),
    ("other-scheme", ["http://chess.example"], False),
    ("other-port", ["https://chess.example:8443"], False),
    ("no-port", ["http://localhost"], False),
    ("port-longer", ["http://localhost:30000"], False),
    ("prefix", ["https://chess.example.evil.example"], False),
    ("shorter", ["https://chess.exampl"], False),
    ("suffix", ["https://evilchess.example"], False),
    ("subdomain", ["https://www.chess.example"], False),
    ("userinfo", ["https://chess.example@evil.example"], False),
    ("null-longer", ["nullify"], False),
    ("the-list-itself", [LIST], False),
    ("empty", [""], False),
    ("two-headers", ["https://chess.example", "https://evil.example"], False),
]


@pytest.fixture(scope="module")
def listing_daemon(wsluice_module):
    return wsluice_module("--origin", LIST, "--route", f"{ROUTE}=echo:")


@pytest.mark.parametrize("origins, good", [pytest.param(*row[1:], id=row[0]) for row in LISTED])
def test_origin_from_a_list(shared, listing_daemon, origins, good):
    client = ask_from(shared(listing_daemon), origins)
    if good:
        accepted(client)
    else:
        refused(client, *((403,) if len(origins) == 1 else (400, 403)))


PATTERNS = "https://*.chess.example,http://*.chess.example:3000"


@pytest.mark.parametrize("origin, good", [
    ("https://www.chess.example", True), ("https://a.b.Chess.Example", True), ("http://www.chess.example:3000", True),
    ("https://chess.example", False), ("http://www.chess.example", False), ("https://www.chess.example:8443", False),
    ("https://wwwchess.example", False), ("https://www.chess.example.evil.example", False), ("https://evil.example/.chess.example", False),
    ("https://evil@www.chess.example", False), ("https://*.chess.example", False), ("https://.chess.example", False),
    ("https://127.0.0.1:{port}", False), ("http://{host}", False), ("null", False),
])
def test_origin_by_pattern(wsluice, origin, good):
    client = ask_from(wsluice("--origin", PATTERNS, "--route", f"{ROUTE}=echo:"), [origin.replace("{port}", "1")])
    accepted(client) if good else refused(client, 403)


@pytest.mark.parametrize("origin", ["https://*", "https://*.example", "https://*.", "https://a.*.example", "https://*x.chess.example"])
def test_origin_pattern_as_written(origin):
    done = command_line("--check", "--origin", origin, "--to", "echo:")
    assert done.returncode == 2 and origin in done.stderr and "https://*.example.org" in done.stderr


def test_origin_any(wsluice):
    daemon = wsluice("--origin", "any", "--to", "echo:")
    for origin in ("http://evil.example", "null", "https://127.0.0.1", "file://", "moz-extension://x"):
        accepted(ask_from(daemon, [origin]))


def test_websocketd_origin_is_checked_for_programs_too(wsluice):
    """websocketd takes any Origin by default: every page on the web could run a user's programs."""
    daemon = wsluice("--", "cat")
    refused(ask_from(daemon, ["http://evil.example"]), 403)
    assert not daemon.children(), "the program was started for a request that was refused"
