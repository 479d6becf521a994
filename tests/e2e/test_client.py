# SPDX-License-Identifier: MIT
"""contrib/client: the library for pages and node, with a real wsluice; and what npm would publish of it."""

import json
import re
import shutil
import subprocess

import pytest

from lib import peers
from lib.setting import BINARY, BROWSER, PAGE_ONLY, REPO, SOON

CLIENT = REPO / "contrib" / "client"
PAGE = '<!doctype html><meta charset="utf-8"><title>client</title><link rel="icon" href="data:,">'


def test_library_in_node():
    """The tests are in tests/browser/client.test.mjs; each starts a wsluice of its own."""
    out = peers.node("client.test.mjs", timeout=5 * SOON, env={"WSLUICE": BINARY})
    assert re.search(r"^# pass [1-9]\d*$", out, re.M) and "# fail 0\n" in out, out


@pytest.mark.plain(PAGE_ONLY)
def test_library_in_chromium(wsluice, tmp_path):
    shutil.copy(CLIENT / "index.js", tmp_path)
    (tmp_path / "index.html").write_text(PAGE)
    daemon = wsluice("--static", tmp_path, "--eof-on-empty", "--route", "/cat=exec:cat", "--route", "/sort=exec:sort",
                     "--route", "/3=exec:sh -c exit${IFS}3", "--route", "/once=exec:true", "--route", "/echo=echo:")
    seen = json.loads(peers.node("client_page.mjs", daemon.url.replace("ws:", "http:") + "/"))
    assert seen.pop("rtt") > 0
    assert seen == {
        "cat": "2^64 🚀", "sort": ["a", "b"], "exit": "the program ended: exit 3", "echo": [200, 200],
        "refused": [1006, "refused, or the connection was lost", False],
        "offline": 0, "online": "open again", "hidden": 500_000, "visible": "open again", "faults": []}


def test_resume_in_node():
    """tests/browser/resume.test.mjs: numbered floods both ways through a network that cuts; each starts a wsluice of its own."""
    out = peers.node("resume.test.mjs", timeout=12 * SOON, env={"WSLUICE": BINARY})
    assert re.search(r"^# pass [1-9]\d*$", out, re.M) and "# fail 0\n" in out, out


@pytest.mark.plain(PAGE_ONLY)
def test_resume_in_chromium(wsluice, tmp_path):
    """Offline, reloaded, left and come back to, duplicated: each message once, and each page a session of its own."""
    shutil.copy(CLIENT / "index.js", tmp_path)
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "other.html").write_text(PAGE)
    config = tmp_path / "resume.yaml"
    config.write_text(json.dumps({"routes": [
        {"path": "/", "static": str(tmp_path)},
        {"path": "/flood", "session": "token", "exec": ["python3", str(BROWSER / "flood.py"), "2"]}]}))
    daemon = wsluice("-c", config)
    seen = json.loads(peers.node("resume_page.mjs", daemon.url.replace("ws:", "http:") + "/", timeout=8 * SOON))
    assert not seen["faults"]
    assert seen["first"] == "new" and seen["offline"] == {"wrong": [], "equal": True}
    assert seen["reload"] == {"told": "resumed", "wrong": [], "equal": True}
    assert seen["back"] == {"told": "resumed", "wrong": [], "equal": True}
    assert seen["twin"] == {"told": "new", "wrong": [], "equal": True}
    assert seen["ours"] == ["open", []]
    assert seen["asleep"] == "waiting" and seen["awake"] == {"told": "resumed", "wrong": [], "equal": True}
    daemon.close_clients()
    daemon.stop()


@pytest.mark.plain("no build is asked")
def test_package_is_what_it_says():
    done = subprocess.run(["npm", "pack", "--dry-run", "--json", "--ignore-scripts"], cwd=CLIENT, capture_output=True, text=True,
                          timeout=4 * SOON, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line and not line.startswith(("npm notice", "npm warn Unknown"))]
    packed = json.loads(done.stdout)[0]
    assert sorted(f["path"] for f in packed["files"]) == ["LICENSE", "README.md", "index.d.ts", "index.js", "package.json"]
    about = json.loads((CLIENT / "package.json").read_text())
    assert not {"dependencies", "peerDependencies", "scripts"} & about.keys()
    assert re.search(rf"^VERSION = {re.escape(about['version'])}$", (REPO / "Makefile").read_text(), re.M)
    assert (CLIENT / "LICENSE").read_text() == (REPO / "LICENSE").read_text()
    assert len((CLIENT / "index.js").read_text().splitlines()) < 700


@pytest.mark.plain("no build is asked")
def test_it_is_installed_from_its_folder(tmp_path):
    """As its README says; nothing is asked of a registry, where the name is not ours."""
    done = subprocess.run(["npm", "install", "--offline", "--no-audit", "--no-fund", CLIENT], cwd=tmp_path, capture_output=True,
                          text=True, timeout=8 * SOON, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    (tmp_path / "a.mjs").write_text('import { closeInWords } from "wsluice-client";\nconsole.log(typeof closeInWords);\n')
    done = subprocess.run(["node", "a.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=4 * SOON)
    assert done.stdout == "function\n"


def test_no_document_takes_a_name_of_ours_from_a_registry():
    for path in [*REPO.glob("*.md"), *REPO.glob("docs/*"), *REPO.glob("contrib/**/*.md")]:
        if path.suffix in (".md", ".scd") and "node_modules" not in path.parts:
            found = re.findall(r"(?:npm (?:install|i|add|ci)|npx|yarn add|pnpm add|pip install|unpkg\.com/|jsdelivr\.net/npm/)\s*@?wsluice\S*", path.read_text())
            assert not found, f"{path}: {found}"


@pytest.mark.plain("no build is asked")
def test_types_fit_the_library(tmp_path):
    """The compiler accepts the README's examples and refuses what is wrong; names are those of the module."""
    types, code = ((CLIENT / name).read_text() for name in ("index.d.ts", "index.js"))
    names = re.compile(r"^export (?:class|function\*?|const) (\w+)", re.M)
    assert set(names.findall(types)) == set(names.findall(code))
    shown = "\n".join(f"{{\n{part}\n}}" if "import" not in part else part
                      for part in re.findall(r"^```js\n(.*?)^```", (CLIENT / "README.md").read_text(), re.M | re.S))
    wrong = 'new Link(3);\nawait link.send({});\nlink.on("opened", () => {});\nlink.state = "open";\n'
    (tmp_path / "ws.d.ts").write_text('declare module "ws" { export const WebSocket: unknown; }\n')
    (tmp_path / "good.ts").write_text(shown + "\nexport {};\n")
    (tmp_path / "bad.ts").write_text('import { Link } from "wsluice-client";\nconst link = new Link("/");\n' + wrong)
    options = {"target": "es2022", "module": "es2022", "moduleResolution": "bundler", "strict": True, "noEmit": True, "types": [],
               "lib": ["es2022", "dom", "dom.iterable"], "paths": {"wsluice-client": [str(CLIENT / "index.d.ts")]}}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts"]}))
    done = subprocess.run(["node", BROWSER / "node_modules/typescript/bin/tsc", "-p", tmp_path, "--pretty", "false"], text=True,
                          capture_output=True, timeout=8 * SOON, stdin=subprocess.DEVNULL)
    faults = re.findall(r"(\w+)\.ts\((\d+),", done.stdout)
    assert sorted(set(faults)) == [("bad", str(n)) for n in (3, 4, 5, 6)], done.stdout
