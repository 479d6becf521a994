// SPDX-License-Identifier: MIT
// A terminal in the page. It speaks the protocol of ttyd's clients: docs/terminal.md of wsluice.
import "./strict.js";
import { FitAddon } from "./vendor/addon-fit.mjs";
import { Link, bytes, split, text } from "./vendor/wsluice-client.js";
import { Terminal } from "./vendor/xterm.mjs";

const HIGH = 512 * 1024, LOW = 128 * 1024; // bytes that xterm.js has not shown yet: pause above the one, resume below the other
const PIECE = 32 * 1024; // of a long paste
const INPUT = "0", RESIZE = "1", PAUSE = "2", RESUME = "3"; // to the server
const OUTPUT = "0", TITLE = "1", PREFERENCES = "2"; // from it
const SETTINGS = ["cursorBlink", "cursorStyle", "disableStdin", "fontFamily", "fontSize", "fontWeight", "letterSpacing", "lineHeight",
  "macOptionIsMeta", "minimumContrastRatio", "screenReaderMode", "scrollback", "tabStopWidth", "theme"];

const screen = document.getElementById("screen"), status = document.getElementById("status");
const terminal = new Terminal({
  cursorBlink: true, scrollback: 10_000, fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace', fontSize: 15,
  theme: { background: "#10181e", foreground: "#dbe6ec", cursor: "#47c1dd", selectionBackground: "#2f6f86" },
});
const fit = new FitAddon();
let link = null, session = 0, waiting = 0, paused = false, sending = Promise.resolve();

function show(state, words) {
  status.dataset.state = state;
  status.textContent = words;
}

// One after the other. What cannot be sent is dropped: it was meant for a program that is gone.
function send(command, data = "") {
  const mine = session;
  sending = sending.then(async () => {
    for (const piece of data.length > PIECE ? split(data, PIECE) : [data]) {
      if (mine === session) await link.send(message(command, piece));
    }
  }).catch(() => {});
}

function message(command, data) {
  const payload = bytes(data), whole = new Uint8Array(1 + payload.length);
  whole[0] = command.charCodeAt(0);
  whole.set(payload, 1);
  return whole;
}

function onOutput(data) {
  waiting += data.length;
  terminal.write(data, () => {
    waiting -= data.length;
    if (paused && waiting < LOW) pause(false);
  });
  if (!paused && waiting > HIGH) pause(true);
}

function pause(yes) {
  paused = yes;
  send(yes ? PAUSE : RESUME);
}

// What the server's owner wants of the terminal (tty-preferences). ttyd knows more of them; those are not ours.
function onPreferences(given) {
  for (const name of SETTINGS) if (name in given) terminal.options[name] = given[name];
  terminal.options.cursorBlink &&= !terminal.options.disableStdin;
  if (terminal.options.disableStdin) show("watching", "you are only watching");
  fit.fit();
}

function onMessage({ data }) {
  const all = bytes(data), command = String.fromCharCode(all[0]), rest = all.subarray(1);
  if (command === OUTPUT) onOutput(rest);
  else if (command === TITLE) document.title = text(rest);
  else if (command === PREFERENCES) onPreferences(JSON.parse(text(rest)));
}

function onOpen() {
  session++;
  paused = false;
  sending = Promise.resolve();
  terminal.reset(); // another program, or another run of it
  link.send(JSON.stringify({ AuthToken: "", columns: terminal.cols, rows: terminal.rows })).catch(() => {});
  if (waiting > HIGH) pause(true);
  show("open", "connected");
  terminal.focus();
}

function onClose({ words, retryIn }) {
  if (retryIn === null) show("closed", `${words} · Enter starts it again`);
  else show("waiting", `${words} · next try in ${Math.ceil(retryIn / 1000)} s`);
}

function connect() {
  const url = new URL(screen.dataset.path, location.href);
  url.search = location.search; // it may hold a token
  link = new Link(url, { protocols: "tty" });
  link.on("connecting", () => show("connecting", "connecting"));
  link.on("open", onOpen).on("message", onMessage).on("close", onClose);
}

// Copy and paste as in other terminals; Ctrl+C and Ctrl+V belong to the program. False: xterm.js is to leave the key alone.
function onKey(event) {
  const { type, code, ctrlKey, shiftKey } = event;
  const isCopy = ctrlKey && ((shiftKey && code === "KeyC") || (!shiftKey && code === "Insert"));
  const isPaste = (ctrlKey && shiftKey && code === "KeyV") || (!ctrlKey && shiftKey && code === "Insert");
  if (isCopy && type === "keydown") {
    event.preventDefault();
    document.execCommand("copy"); // works on plain http too, where there is no navigator.clipboard
  }
  if (link.state === "closed" && type === "keydown" && event.key === "Enter") {
    link.connect();
    return false;
  }
  return !isCopy && !isPaste; // the browser pastes by itself
}

// A page of elsewhere could lead your keys into it.
function isFramedByOthers() {
  try {
    return window.top.location.origin !== location.origin;
  } catch {
    return true;
  }
}

if (isFramedByOthers()) {
  show("closed", "a terminal does not run inside a page of elsewhere");
} else {
  terminal.loadAddon(fit);
  terminal.open(screen);
  fit.fit();
  connect();
  terminal.attachCustomKeyEventHandler(onKey);
  terminal.onData((data) => send(INPUT, data));
  terminal.onBinary((data) => send(INPUT, Uint8Array.from(data, (c) => c.charCodeAt(0)))); // mouse reports
  terminal.onResize(({ cols, rows }) => link.state === "open" && send(RESIZE, JSON.stringify({ columns: cols, rows })));
  terminal.onTitleChange((title) => (document.title = title));
  new ResizeObserver(() => requestAnimationFrame(() => fit.fit())).observe(screen);
  window.terminal = terminal; // for the curious, and for tests
}
