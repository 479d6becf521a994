# SPDX-License-Identifier: MIT
"""A configuration file, from outside: what is said about a bad one, and what a good one serves."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

from lib.daemon import command_line
from lib.setting import BINARY, SOON
from lib.tools import to_the_close
from lib.wire import TEXT

TOP = pathlib.Path(__file__).parents[2]
PLAIN = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")

GOOD = """
# a comment
listen: [ "127.0.0.1:0" ]
ping: 10s
env: { COLOUR: green }
routes:
  - path: /env
    exec: [ env, "-0" ]
    framing: stream
  - path: /say/{word:[a-z-]{1,10}}/{n:[0-9]+}
    exec: [ printf, "%s|", "{word}", "--n={n}", "{{word}}", "" ]
    framing: stream
  - path: /echo
    to: "echo:"
    console: on
  - path: /echo
    to: "echo:"
    match-subprotocol: special
    subprotocol: [ special ]
  - host: "*.example.org"
    path: /echo
    exec: [ echo, wildcard ]
  - host: www.example.org
    path: /echo
    exec: [ echo, exact ]
  - path: /www
    static: WWW
  - path: /www/live
    to: "echo:"
"""


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture
def good(tmp_path):
    www = tmp_path / "www"
    (www / "sub").mkdir(parents=True)
    (www / "index.html").write_text("<p>index")
    (www / "live").mkdir()
    (www / "live" / "page.txt").write_text("beside")
    return write(tmp_path / "good.yaml", GOOD.replace("WWW", str(www)))


@pytest.fixture
def daemon(wsluice, good):
    return wsluice("--config", good)


def get(daemon, path, host=None):
    with daemon.connect() as client:
        headers = [("Host", host)] if host else []
        client.send(client.head(path, headers, drop=PLAIN + (("Host",) if host else ())))
        return client.read_response()


def output(client):
    code, _, messages = to_the_close(client)
    assert code == 1000
    return b"".join(m.data for m in messages)


# A bad one.

def test_all_faults_at_once_and_nothing_else(tmp_path):
    path = write(tmp_path / "bad.yaml", "pign: 1\nroutes:\n  - path: x\n    to: what?\n")
    for option in ("--config", "-c"):
        done = command_line(option, path)
        assert (done.returncode, done.stdout) == (1, "")
        *faults, last = done.stderr.splitlines()
        assert faults == [f"{path}:1:1: unknown key pign; did you mean ping?",
                          f"{path}:3:11: path: x: a path begins with /"]
        assert last.startswith(f"{path}:4:9: to: what?: unknown kind of address; write exec:PROGRAM ARG..., pty:PROGRAM ARG..., tcp://")


def test_check_says_ok(good):
    done = command_line("--check", "-c", good)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{good}: ok (8 routes)\n", "")


def test_check_looks_at_the_world_too(tmp_path):
    """Faults of the file and of the machine, in one list."""
    path = write(tmp_path / "bad.yaml", "ping: x\nadmin: 9\ndns-servers: nobody\nroutes:\n  - exec: [no-such-program-at-all]\n    cwd: /none\n"
                                        "  - {path: /s, static: /none}\n")
    done = command_line("--check", "-c", path)
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == f'{path}:1:7: ping: "x" is not a time (100ms, 25s, 5m, 1h)'
    assert lines[-1] == "dns-servers nobody: write ADDR or ADDR:PORT, commas between"
    assert sorted(line.split(": ", 1)[0] for line in lines[1:-1]) == [f"{path}:5:5", f"{path}:5:5", f"{path}:7:5"]
    for word in ("no-such-program-at-all", "cwd /none", "static /none"):
        assert any(word in line for line in lines), lines


def test_check_goes_on_behind_faults_and_names_no_nothing(tmp_path):
    """Listeners without an address and routes without a path have faults of their own; nothing is said about "(null)"."""
    path = write(tmp_path / "bad.yaml", """accept-proxy: on
listen: [{name: x, tls: {cert: /n, key: /n}}, {address: "", client-cert: require}]
routes:
  - {path: "{", to: "echo:", auth: basic, preamble: "{x}"}
  - {host: "", to: "echo:", record: /nonexistent}
""")
    done = command_line("--check", "-c", path)
    assert done.returncode == 1
    assert [line.replace(f"{path}:", "") for line in done.stderr.splitlines()] == [
        "2:10: listen: an address is needed", "2:57: address: the value is empty", "4:12: path: {: a path begins with /",
        "5:12: host: the value is empty", "5:5: record /nonexistent: No such file or directory"]


def test_check_takes_no_address(wsluice, tmp_path):
    daemon = wsluice("--to", "echo:")
    path = write(tmp_path / "c.yaml", f"listen: {daemon.port}\nroutes: [{{to: 'echo:'}}]\n")
    assert command_line("--check", "-c", path).returncode == 0
    assert command_line("-c", path).returncode == 1


def test_check_of_a_command_line():
    done = command_line("--check", "--to", "echo:")
    assert (done.returncode, done.stdout) == (0, "the command line: ok (1 route)\n")
    assert command_line("--check", "no-such-program-at-all").returncode == 1
    assert command_line("--check", "--to", "what").returncode == 2


@pytest.mark.parametrize("args", [("cat",), ("--to", "echo:"), ("--route", "/=echo:"), ("--static", "/")])
def test_routes_stand_in_the_file(good, args):
    done = command_line("-c", good, *args)
    assert done.returncode == 2 and "routes stand in the file" in done.stderr


# A good one.

def test_programs_get_defaults_and_captures(daemon):
    environment = output(daemon.open("/env/more?x=1")).split(b"\0")
    assert b"COLOUR=green" in environment and b"WSLUICE_ROUTE=/env" in environment
    assert b"SCRIPT_NAME=/env" in environment and b"PATH_INFO=/more" in environment
    assert not [e for e in environment if e.startswith(b"WSLUICE_CAPTURE_")]


def test_captures_become_arguments_and_variables(wsluice, tmp_path):
    path = write(tmp_path / "c.yaml", """
        framing: stream
        routes:
          - { path: "/say/{word:[a-z-]+}/{n:[0-9]+}", exec: [ printf, "%s|", "{word}", "--n={n}", "{{word}}", "" ] }
          - { path: "/env/{some_name:.+}", exec: [ env, "-0" ] }
        """)
    daemon = wsluice("-c", path)
    assert output(daemon.open("/say/hello/42/rest?word=evil")) == b"hello|--n=42|{word}||"
    environment = output(daemon.open("/env/%E2%82%AC%20%3Bx/info")).split(b"\0")
    assert "WSLUICE_CAPTURE_SOME_NAME=€ ;x".encode() in environment
    assert "SCRIPT_NAME=/env/€ ;x".encode() in environment and b"PATH_INFO=/info" in environment


@pytest.mark.parametrize("path", ["/say/-rf/1", "/say/Hello/1", "/say/hello/x",
                                  "/say/" + "a" * 129 + "/1", "/say/a%0Ab/1", "/say/hello", "/nothing"])
def test_what_a_capture_does_not_match_is_not_found(daemon, path):
    client = daemon.connect()
    client.send(client.head(path))
    assert client.read_response().status == 404


@pytest.mark.parametrize("kind", ["exec", "pty"])
@pytest.mark.parametrize("words", [["{f}"], ["a={f}"], ["/var/log/{f}.log"], ["x"]], ids=["alone", "value", "inside", "environment"])
def test_a_captured_word_is_no_option(wsluice, tmp_path, kind, words):
    """Of a program, wherever the word stands: "vim +!id", "curl -F x=@passwd", "less +cmd", or a script's "$WSLUICE_CAPTURE_F"."""
    path = write(tmp_path / "c.yaml", f"""
        framing: stream
        routes:
          - {{ path: "/any/{{f:[^/]+}}", {kind}: {json.dumps(["printf", "%s", *words])} }}
        """)
    daemon = wsluice("-c", path)
    for word in ("-rf", "+!id", "@secret", "-", "+", "@", "%2Drf", "%2B!id", "%40secret"):
        client = daemon.connect()
        client.send(client.head("/any/" + word))
        assert client.read_response().status == 404, word
    output(daemon.open("/any/a-b+c@d"))


@pytest.mark.parametrize("pattern, yes, no", [
    (r"-[a-z]+", "-x", "+x"), (r"\+[0-9]+", "+1", "1"), ("[+][0-9]+", "+1", "1"), ("@.*", "@x", "-x"), (r"-?[0-9]+", "-1", "+1"),
    ("[-+0-9]+", "1", "-1"), ("[+-][0-9]+", None, "+1"), ("-x|[^/]+", "x", "-x"), ("(-x|y)", "y", "-x"), (".*", "x", "@x"),
    ("[[:alpha:]]+", "x", "1"), ("[[:digit:][:alpha:]]+", "1x", "1.x"), ("[^[:alpha:]]+", "1", "x"), ("[[:alpha:]-]+", "a-b", "-a")])
def test_who_wants_an_option_begins_the_pattern_with_it(wsluice, tmp_path, pattern, yes, no):
    path = write(tmp_path / "c.yaml", "framing: stream\nroutes: " + json.dumps(
        [{"path": "/{f:" + pattern + "}", "exec": ["printf", "%s", "{f}"]}]))
    daemon = wsluice("-c", path)
    if yes is not None:
        assert output(daemon.open("/" + yes)) == yes.encode()
    client = daemon.connect()
    client.send(client.head("/" + no))
    assert client.read_response().status == 404


def test_services_take_any_captured_word(wsluice, tmp_path):
    daemon = wsluice("-c", write(tmp_path / "c.yaml", 'routes: [{path: "/{room:[^/]+}", to: "echo:"}]'))
    daemon.open("/@alice").finish()


def test_hosts(daemon):
    def answer(host):
        return output(daemon.open("/echo", [("Host", host)], drop=("Host",)))

    assert answer("a.b.example.org") == b"wildcard"
    assert answer("WWW.Example.ORG:8080") == b"exact"
    assert answer("www.example.org.") == b"exact"
    client = daemon.open("/echo", [("Host", "other")], drop=("Host",))
    client.send_frame(TEXT, b"hello")
    assert client.read_message().data == b"hello"
    client.finish()


def test_subprotocol_narrows(daemon):
    def accepted(offers):
        client = daemon.connect()
        client.send(client.head("/echo", [("Sec-WebSocket-Protocol", offers)]))
        response = client.read_response()
        assert response.status == 101
        return response.get("Sec-WebSocket-Protocol")

    assert accepted("other, special") == "special"
    assert accepted("other") == "other"


def test_files_below_a_path(daemon):
    assert get(daemon, "/www/").body == b"<p>index"
    assert get(daemon, "/www").status == 301
    assert get(daemon, "/www/sub").status == 301
    assert get(daemon, "/www/live/page.txt").body == b"beside"  # the route below has no files of its own
    assert get(daemon, "/www/live/none.txt").status == 426
    assert get(daemon, "/index.html").status == 404
    assert get(daemon, "/wwwindex.html").status == 404
    daemon.open("/www/live").finish()


def test_console_of_one_route(daemon):
    assert b"console" in get(daemon, "/echo").body
    assert get(daemon, "/env").status == 426


def test_the_command_line_is_stronger(good):
    dumped = yaml.safe_load(command_line("--dump-config", "-c", good, "--ping", "3s", "-l", "127.0.0.1:1").stdout)
    assert dumped["ping"] == "3s" and dumped["listen"] == [{"address": "127.0.0.1:1"}]


@pytest.mark.parametrize("args, listeners", [((), 1), (("-l", "1", "-l", "unix:x"), 2)], ids=["none", "command line"])
def test_what_the_top_level_says_of_listeners_holds_for_those_not_in_the_file(tmp_path, args, listeners):
    """Without `listen` there, and with --listen: where that stands is no reason to let anybody in."""
    top = ["accept-proxy: on", "client-cert: require", "client-ca: ca", "reuse-port: on", "mode: 0600"]
    said = [line.replace("client", "tls-client").replace("mode", "unix-mode") for line in top]
    path = write(tmp_path / "c.yaml", "\n".join(said) + "\nroutes: [{to: 'echo:'}]\n")
    plain = yaml.safe_load(command_line("--dump-config", "-c", path, *args).stdout)["listen"]
    assert [set(item) for item in plain] == [{"address"}] * listeners  # that is: as the top level has it


def test_include_of_a_folder(wsluice, tmp_path):
    folder = tmp_path / "conf.d"
    folder.mkdir()
    write(folder / "20-b.yaml", "routes: [{path: /b, to: 'echo:'}]")
    write(folder / "10-a.yaml", "ping: 9s\nroutes: [{path: /a, to: 'echo:'}]")
    write(folder / "README", "not: a: config")
    path = write(tmp_path / "main.yaml", "include: [conf.d/*.yaml]\n")
    daemon = wsluice("-c", path, cwd="/")
    daemon.open("/a").finish()
    daemon.open("/b").finish()


def test_a_listener_has_a_name(wsluice, tmp_path):
    path = write(tmp_path / "c.yaml", "listen: [{address: '127.0.0.1:0', name: inside}]\nroutes: [{to: 'echo:'}]\n")
    daemon = wsluice("-c", path)
    # the harness listens on one more address, and the command line is stronger
    daemon.wait_for_log(r"listening on ws://127\.0\.0\.1:\d+/$")
    launched = subprocess.Popen([BINARY, "-c", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert re.search(r"listening on ws://127\.0\.0\.1:\d+/ as inside$", launched.stderr.readline())
    finally:
        launched.terminate()
        launched.communicate(timeout=10)
    assert launched.returncode == 0


# Back to text.

def test_dump_reads_back_to_the_same(good, tmp_path):
    first = command_line("--dump-config", "-c", good)
    assert first.returncode == 0 and first.stderr == ""
    second = command_line("--dump-config", "-c", write(tmp_path / "dump.yaml", first.stdout))
    assert second.stdout == first.stdout


def test_a_command_line_becomes_a_file(wsluice, tmp_path):
    args = ("--origin", "any", "-r", "/e=echo:", "--", "printf", "{print}%s", "é\"\\'")
    dump = command_line("--dump-config", "-l", "127.0.0.1:0", *args).stdout
    daemon = wsluice("-c", write(tmp_path / "dump.yaml", dump))
    assert output(daemon.open("/")) == "{print}é\"\\'".encode()
    daemon.open("/e", origin="http://elsewhere.example").finish()


def test_help_config_has_every_key():
    done = command_line("--help-config")
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 100
    keys = set(re.findall(r"^  ([a-z][\w-]*)\s", done.stdout, re.M))
    schema = json.loads(command_line("--dump-schema").stdout)
    told = set(schema["properties"])
    for part in schema["definitions"].values():
        told |= set(part["properties"])
    assert keys == told and len(keys) > 40


# The schema.

@pytest.fixture(scope="module")
def validator():
    schema = json.loads((TOP / "contrib" / "wsluice.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_published_schema_is_current():
    published = (TOP / "contrib" / "wsluice.schema.json").read_text()
    assert command_line("--dump-schema").stdout == published, "run: make schema"


def test_schema_accepts_what_we_accept(validator, good):
    validator.validate(yaml.safe_load(GOOD))
    validator.validate(yaml.safe_load(command_line("--dump-config", "-c", good).stdout))
    for path in [*TOP.glob("contrib/**/*.yaml"), *TOP.glob("docs/**/*.yaml")]:
        for content in yaml.safe_load_all(path.read_text()):  # manifests have several documents
            if isinstance(content, dict) and "routes" in content:
                validator.validate(content)


@pytest.mark.parametrize("text", [
    "pign: 1", "routes: [{}]", "routes: [{to: 'echo:', user: x}]", "ping: 1 s", "ping: -1", "log-level: loud",
    "listen: [{name: x}]", "listen: [{address: 1, tls: {cert: x}}]", "routes: [{exec: cat}]", "routes: [{exec: []}]",
    "unix-mode: '999'", "console: maybe", "include: [[x]]", "- 1",
])
def test_schema_refuses_what_we_refuse(validator, tmp_path, text):
    assert not validator.is_valid(yaml.safe_load(text))
    assert command_line("--check", "-c", write(tmp_path / "c.yaml", text)).returncode == 1


def test_the_example_is_right():
    done = command_line("--check", "-c", TOP / "contrib" / "wsluice.yaml")
    assert done.returncode == 0, done.stderr


# What it costs.

def test_thousands_of_routes(wsluice, tmp_path):
    """Loaded soon, and found."""
    routes = [{"path": f"/r{i}", "to": "echo:"} for i in range(3000)]
    path = write(tmp_path / "many.json", json.dumps({"listen": ["127.0.0.1:0"], "routes": routes}))
    daemon = wsluice("-c", path)
    daemon.open("/r2999/x").finish()
    daemon.open("/r0").finish()


def test_a_list_of_thousands_takes_no_memory_to_speak_of(tmp_path):
    networks = ", ".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(20000))
    path = write(tmp_path / "c.yaml", f"trusted-proxies: [{networks}]\nroutes: [{{to: 'echo:'}}]\n")
    # measured by a small process: what a large one has begins with that one's own
    measure = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", measure, BINARY, "--check", "-c", path], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0 and int(done.stdout) < 300 << 10, done  # KiB; it was 1.5 GiB


def test_a_file_of_somebody_else_is_only_read(good):
    """--check needs no more than to read: nothing is left behind, nothing is listening."""
    before = sorted(os.listdir(good.parent))
    done = subprocess.run([BINARY, "--check", "-c", good.name], cwd=good.parent, capture_output=True, text=True)
    assert done.stdout == "good.yaml: ok (8 routes)\n"
    assert sorted(os.listdir(good.parent)) == before
