// SPDX-License-Identifier: MIT
// A small client of the Language Server Protocol: one file, its diagnostics, and where they are.
// One WebSocket message is one LSP message; framing `lsp` puts the headers around it for the server.
import { connect, tell } from "./link.js";

const FILE = "file:///tmp/wsluice-demo/example.c"; // never written: the server is told its text
const PAUSE = 200; // ms without a key before the text is sent
const KINDS = ["", "error", "warning", "information", "hint"];

const card = document.getElementById("editor");
const area = card.querySelector("textarea");
const note = card.querySelector(".note");
const list = card.querySelector(".faults");

let ready = false; // the server has answered `initialize`
let version = 0, timer = 0;

const notify = (method, params) => tell(link, JSON.stringify({ jsonrpc: "2.0", method, params }));

function opened() {
  tell(link, JSON.stringify({
    jsonrpc: "2.0", id: 1, method: "initialize",
    params: { processId: null, rootUri: null, capabilities: { textDocument: { publishDiagnostics: {} } } },
  }));
}

function initialized(server) {
  ready = true;
  note.textContent = `${server?.name ?? "the server"} is reading`;
  notify("initialized", {});
  notify("textDocument/didOpen", { textDocument: { uri: FILE, languageId: "c", version: ++version, text: area.value } });
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (ready) notify("textDocument/didChange", { textDocument: { uri: FILE, version: ++version }, contentChanges: [{ text: area.value }] });
  }, PAUSE);
}

// Where a position of the server is in the text: it counts lines, and UTF-16 units as strings here do.
function offset({ line, character }) {
  const before = area.value.split("\n").slice(0, line);
  return before.reduce((sum, text) => sum + text.length + 1, 0) + character;
}

function show({ diagnostics, version: of }) {
  if (of !== undefined && of !== version) return; // of a text that has changed since
  note.textContent = diagnostics.length === 0 ? "no complaints" : `${diagnostics.length} to look at`;
  list.replaceChildren(...diagnostics.map(({ range, severity, message }) => {
    const item = document.createElement("li"), button = document.createElement("button");
    item.className = KINDS[severity] ?? "";
    button.type = "button";
    button.textContent = `${range.start.line + 1}:${range.start.character + 1} ${message}`;
    button.onclick = () => {
      area.focus();
      area.setSelectionRange(offset(range.start), offset(range.end));
    };
    item.append(button);
    return item;
  }));
}

function heard(text) {
  const message = JSON.parse(text);
  if (message.id === 1 && message.result) initialized(message.result.serverInfo);
  else if (message.method === "textDocument/publishDiagnostics" && message.params.uri === FILE) show(message.params);
  else if (message.method && message.id !== undefined) // it asks for something we do not have
    tell(link, JSON.stringify({ jsonrpc: "2.0", id: message.id, error: { code: -32601, message: "not here" } }));
}

const link = connect(card, {
  open: opened,
  text: heard,
  closed: () => {
    note.textContent = ready ? "clangd has gone" : "no clangd here: install the package clangd, then start the demo again";
    ready = false;
  },
});
area.addEventListener("input", changed);
area.addEventListener("keydown", (event) => {
  if (event.key !== "Tab" || event.shiftKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  area.setRangeText("    ", area.selectionStart, area.selectionEnd, "end");
  changed();
});
