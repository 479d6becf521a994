# SPDX-License-Identifier: MIT
"""Framings with the programs they are for: a language server, an MCP server, a native messaging host, find and xargs."""

import json
import sys

from lib.setting import REPO, SOON
from lib.tools import PYTHON, to_the_close
from lib.wire import BINARY, TEXT, frame

PROGRAMS = REPO / "contrib" / "programs"


class Rpc:
    """JSON-RPC 2.0, one message a WebSocket message."""

    def __init__(self, client):
        self.client, self.count, self.heard = client, 0, []

    def notify(self, method, params):
        self.client.text(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def read(self, wanted):
        """The next message that wanted() is true of; others are kept in .heard."""
        while True:
            opcode, data = self.client.read_message()
            message = json.loads(data)
            assert opcode == TEXT and message["jsonrpc"] == "2.0"
            if wanted(message):
                return message
            self.heard.append(message)

    def ask(self, method, params):
        self.count += 1
        number = self.count
        self.client.text(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return self.read(lambda m: m.get("id") == number and "method" not in m)

    def diagnostics(self, version):
        return self.read(lambda m: m.get("method") == "textDocument/publishDiagnostics"
                         and m["params"].get("version") == version)["params"]["diagnostics"]


def test_clangd_over_lsp(wsluice, tmp_path):
    """initialize, didOpen, diagnostics, a repair, a large text, shutdown and exit."""
    daemon = wsluice("--framing", "lsp", "--max-message", "16M", "--cwd", tmp_path, "--env", f"HOME={tmp_path}",
                     "--", "clangd", "--log=error", "--background-index=false", "-j=2")
    rpc = Rpc(daemon.open(connect=dict(timeout=4 * SOON)))
    answer = rpc.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert answer["result"]["serverInfo"]["name"] == "clangd" and answer["result"]["capabilities"]["hoverProvider"]
    rpc.notify("initialized", {})
    document = {"uri": f"file://{tmp_path}/example.c"}
    text = "// größer 漢字 😀\nint main(void)\n{\n    retrun 0;\n}\n"
    rpc.notify("textDocument/didOpen", {"textDocument": {**document, "languageId": "c", "version": 1, "text": text}})
    (fault,) = rpc.diagnostics(1)
    assert "retrun" in fault["message"] and fault["range"]["start"] == {"line": 3, "character": 4}

    text = text.replace("retrun", "return") + "".join(f"int number_{i};\n" for i in range(4000))
    rpc.notify("textDocument/didChange", {"textDocument": {**document, "version": 2}, "contentChanges": [{"text": text}]})
    assert rpc.diagnostics(2) == []
    symbols = rpc.ask("textDocument/documentSymbol", {"textDocument": document})["result"]
    assert len(symbols) == 4001 and {"main", "number_3999"} <= {s["name"] for s in symbols}
    hover = rpc.ask("textDocument/hover", {"textDocument": document, "position": {"line": 1, "character": 5}})
    assert "main" in json.dumps(hover["result"])

    assert rpc.ask("shutdown", None)["result"] is None
    rpc.notify("exit", None)
    assert to_the_close(rpc.client, 4 * SOON) == (1000, "exit 0", [])


def test_mcp_over_lines(wsluice):
    rpc = Rpc(wsluice("--", PROGRAMS / "mcp_server.py").open())
    answer = rpc.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                    "clientInfo": {"name": "test", "version": "0"}})
    assert answer["result"]["protocolVersion"] == "2025-06-18" and "tools" in answer["result"]["capabilities"]
    rpc.notify("notifications/initialized", {})
    assert [tool["name"] for tool in rpc.ask("tools/list", {})["result"]["tools"]] == ["add"]
    result = rpc.ask("tools/call", {"name": "add", "arguments": {"a": 40, "b": 2}})["result"]
    assert result == {"content": [{"type": "text", "text": "42"}]}
    assert rpc.ask("tools/call", {"name": "add", "arguments": {"a": "x"}})["result"]["isError"]
    assert rpc.ask("nonsense", {})["error"]["code"] == -32601
    rpc.client.text("{")
    assert rpc.read(lambda m: m["id"] is None)["error"]["code"] == -32700
    assert rpc.heard == []
    rpc.client.finish()


def test_native_messaging_host(wsluice):
    """What browsers start for extensions: lengths are in the machine's order."""
    framing = "len32le" if sys.byteorder == "little" else "len32"
    client = wsluice("--framing", framing, "--frames", "text", "--", PROGRAMS / "native_host.py").open()
    for word in ("hello", "größer 漢字 😀", "", "x" * 200_000):
        client.text(json.dumps(word))
        opcode, data = client.read_message()
        assert opcode == TEXT and json.loads(data) == {"heard": word, "letters": len(word)}
    client.finish()


def test_find_and_xargs_over_nul(wsluice, tmp_path):
    """Names of files may hold newlines."""
    names = ["plain", "with blank", "with\nnewline", "ünd"]
    for name in names:
        (tmp_path / name).touch()
    code, _, messages = to_the_close(wsluice("--framing", "nul", "--", "find", tmp_path, "-type", "f", "-print0").open())
    assert code == 1000 and sorted(messages) == sorted((TEXT, str(tmp_path / n).encode()) for n in names)
    client = wsluice("--framing", "nul", "--eof-on-empty", "--", "xargs", "-0", "-n1", "printf", "<%s>\\0").open()
    client.send(b"".join(frame(TEXT, n) for n in names) + frame(TEXT))
    code, _, messages = to_the_close(client)
    assert code == 1000 and [m.data.decode() for m in messages] == [f"<{n}>" for n in names]


PROTOCOL = (REPO / "docs" / "wsluice-protocol.7.scd").read_text()


def test_the_program_in_the_manual(wsluice):
    """The one for `tagged` does what it says."""
    program = PROTOCOL.split("In Python:\n\n```\n")[1].split("```")[0]
    client = wsluice("--framing", "tagged", "--eof-on-empty", "--", PYTHON, "-c", program).open()
    messages = [(TEXT, b"text"), (BINARY, b"\xff"), (TEXT, b"x" * 100_000)]
    client.send(b"".join(frame(*m) for m in messages) + frame(TEXT))
    assert to_the_close(client) == (1000, "exit 0", messages)
