// SPDX-License-Identifier: MIT
// A terminal in the page. It speaks the protocol of ttyd's clients: docs/terminal.md of wsluice.
import "./strict.js";
import { allowCopies, copy } from "./clipboard.js";
import { Find } from "./find.js";
import { Options } from "./options.js";
import { Fingers, KeyBar, hasFingers } from "./touch.js";
import { FitAddon } from "./vendor/addon-fit.mjs";
import { WebLinksAddon } from "./vendor/addon-web-links.mjs";
import { Link, bytes, split, text } from "./vendor/wsluice-client.js";
import { Terminal } from "./vendor/xterm.mjs";
import { setWidths } from "./width.js";

const HIGH = 512 * 1024, LOW = 128 * 1024; // bytes that xterm.js has not shown yet: pause above the one, resume below the other
const PIECE = 32 * 1024; // of a long paste
const INPUT = "0", RESIZE = "1", PAUSE = "2", RESUME = "3"; // to the server
const OUTPUT = "0", TITLE = "1", PREFERENCES = "2"; // from it
const GONE = 4400, TAKEN = 4401, GAP = 4402; // close codes of sessions that outlive a connection
// What a program may have left behind, undone; but nothing that has been shown goes.
const TIDY = "\x1b[?1049l\x1b[!p\x1b[?9;1000;1001;1002;1003;1004;1005;1006;1015;1016;2004;2026l\x1b[?7;25h\x1b[r\x1b[m\x1b(B\x0f\x1b[<99u";

const screen = document.getElementById("screen"), status = document.getElementById("status");
const terminal = new Terminal({ ...Options.initial(), linkHandler: { activate: (event, address) => openLink(address, true) } });
const fit = new FitAddon();
let link = null, options = null, keys = null, find = null;
let session = 0, waiting = 0, paused = false, sending = Promise.resolve();
let isKept = false; // the session outlives its connections
let held = null; // output that waits for the page to be turned
let hasTyped = false, again = null, countDown = 0;

// ---- what the page says

// again: what Enter or a tap does about it, in words behind "Enter"; null: nothing
function show(state, words, what = null) {
  clearInterval(countDown);
  again = what;
  status.dataset.state = state;
  status.textContent = what ? `${words} · ${hasFingers ? "tap" : "Enter"} ${what}` : words;
}

function count(words, delay) {
  const end = Date.now() + delay;
  const tell = () => {
    const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    status.textContent = navigator.onLine === false ? `${words} · no network` : `${words} · next try in ${seconds} s`;
  };
  show("waiting", words);
  again = "tries now";
  tell();
  countDown = setInterval(tell, 250);
}

function note(words) {
  terminal.write(`\r\n\x1b[0;2m[${words}]\x1b[m\r\n`);
}

// Another program begins on an empty screen; what the one before has shown stays above it. What it says meanwhile waits.
function turnPage(words) {
  const { active } = terminal.buffer;
  if (active.baseY + active.cursorY + active.cursorX === 0 && active.type === "normal") return;
  held = [];
  terminal.write(TIDY, () => {
    const { normal } = terminal.buffer, { cols, rows } = terminal, line = `[${words}]`;
    let used = rows;
    while (used > 0 && !normal.getLine(normal.baseY + used - 1)?.translateToString(true)) used--;
    const feeds = Math.min(rows, used + Math.ceil(line.length / cols));
    terminal.write(`\x1b[${Math.max(1, used)};1H${used ? "\r\n" : ""}\x1b[2m${line}\x1b[m\x1b[${rows};1H${"\r\n".repeat(feeds)}\x1b[H`);
    const late = held;
    held = null;
    late.forEach(onOutput);
  });
}

// ---- to the server and from it

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

const hello = () => JSON.stringify({ AuthToken: "", columns: terminal.cols, rows: terminal.rows });

function onOutput(data) {
  if (held) {
    held.push(data);
    return;
  }
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

function onMessage({ data }) {
  const all = bytes(data), command = String.fromCharCode(all[0]), rest = all.subarray(1);
  if (command === OUTPUT) onOutput(rest);
  else if (command === TITLE) setTitle(text(rest));
  else if (command === PREFERENCES) onPreferences(JSON.parse(text(rest)));
}

// The same, where the session is kept.
function onTerminal({ title, preferences }) {
  if (title !== undefined) setTitle(title);
  if (preferences !== undefined) onPreferences(preferences);
}

function onPreferences(given) {
  options.prefer(given);
  if (terminal.options.disableStdin) show("watching", "you are only watching");
}

function setTitle(title) {
  document.title = options.titleFixed ?? title;
}

// ---- the connection

function connect() {
  const url = new URL(screen.dataset.path, location.href), kept = screen.dataset.session;
  url.search = location.search; // it may hold a token
  const resume = kept !== "none" && { hello, replay: true, anew: false, optional: kept !== "kept" };
  link = new Link(url, { protocols: "tty", resume });
  link.on("connecting", () => show("connecting", "connecting"));
  link.on("new", () => onSession(true)).on("resumed", () => onSession(false));
  link.on("terminal", onTerminal);
  link.on("skipped", () => note("some of the program's output was lost here"));
  link.on("open", onOpen).on("message", onMessage).on("close", onClose);
}

function onSession(isNew) {
  isKept = true;
  if (isNew) newSession();
}

function newSession() {
  session++;
  sending = Promise.resolve();
  turnPage(`${new Date().toLocaleTimeString()} · begins anew`);
}

function onOpen() {
  if (!isKept) {
    newSession();
    link.send(hello()).catch(() => {});
  }
  paused = waiting > HIGH;
  if (paused || isKept) send(paused ? PAUSE : RESUME); // of a connection before there may be an order on its way
  show("open", "connected");
  if (window.top === window) terminal.focus(); // in a frame it would take the keys away from the page around it
}

function onClose({ code, words, retryIn }) {
  if (isKept && code === GAP) link.connect(); // for all that the server still has: "skipped" says what is missing
  else if (code === GONE) show("closed", "the session is gone", "begins a new one");
  else if (code === TAKEN) show("closed", "another window has taken over", "takes it back");
  else if (retryIn === null) show("closed", words, "starts it again");
  else if (options.disableReconnect) {
    link.close();
    show("closed", words, "connects again");
  } else count(words, retryIn);
}

function tryAgain() {
  if (again === null || !link) return false;
  link.connect();
  return true;
}

// ---- keys and links

// Copy and paste as in other terminals; Ctrl+C and Ctrl+V belong to the program. False: xterm.js is to leave the key alone.
function onKey(event) {
  const { type, code, ctrlKey, shiftKey } = event, isDown = type === "keydown";
  const isCopy = ctrlKey && ((shiftKey && code === "KeyC") || (!shiftKey && code === "Insert"));
  const isPaste = (ctrlKey && shiftKey && code === "KeyV") || (!ctrlKey && shiftKey && code === "Insert");
  const isFind = ctrlKey && shiftKey && code === "KeyF";
  const step = ctrlKey && shiftKey ? { Equal: 1, NumpadAdd: 1, Minus: -1, NumpadSubtract: -1, Digit0: 0 }[code] : undefined;
  if (isPaste) return false; // the browser pastes by itself
  if (isDown && isCopy) copy(terminal.getSelection());
  else if (isDown && isFind) find.open();
  else if (isDown && step !== undefined) options.fontSize = step === 0 ? null : options.fontSize + step;
  else if (isDown && event.key === "Enter" && !isCopy && !isFind) return !tryAgain();
  const isOurs = isCopy || isFind || step !== undefined;
  if (isOurs) event.preventDefault();
  return !isOurs;
}

// Of an address that is not what is written there (OSC 8) the user hears before.
function openLink(address, isHidden) {
  if (!/^(https?|mailto|ftp):/i.test(address)) return;
  if (isHidden && !confirm(`Open this address?\n\n${address}`)) return;
  window.open(address, "_blank", "noopener,noreferrer");
}

function onBell() {
  screen.classList.remove("bell");
  void screen.offsetWidth; // so that it begins again
  screen.classList.add("bell");
  if (document.hidden && !document.title.startsWith("🔔")) document.title = `🔔 ${document.title}`;
}

// Only while something is lost by it.
function onLeave(event) {
  if (link?.state === "open" && !isKept && hasTyped && !options.disableLeaveAlert) event.preventDefault();
}

// The keyboard of a phone covers part of the page, and not every browser makes the page smaller.
function fitPage() {
  const { visualViewport: view } = window;
  if (view) document.documentElement.style.setProperty("--height", `${Math.round(view.height)}px`);
  fit.fit();
}

// A page of elsewhere could lead your keys into it.
function isFramedByOthers() {
  try {
    return window.top.location.origin !== location.origin;
  } catch {
    return true;
  }
}

function listen() {
  terminal.attachCustomKeyEventHandler(onKey);
  terminal.onData((data) => {
    hasTyped = true;
    send(INPUT, keys.with(data));
  });
  terminal.onBinary((data) => send(INPUT, Uint8Array.from(data, (c) => c.charCodeAt(0)))); // mouse reports
  terminal.onResize(({ cols, rows }) => link.state === "open" && send(RESIZE, JSON.stringify({ columns: cols, rows })));
  terminal.onTitleChange(setTitle);
  terminal.onBell(onBell);
  status.addEventListener("click", tryAgain);
  document.addEventListener("visibilitychange", () => document.hidden || (document.title = document.title.replace(/^🔔 /, "")));
  window.addEventListener("beforeunload", onLeave);
  window.visualViewport?.addEventListener("resize", fitPage);
  new ResizeObserver(() => requestAnimationFrame(() => fit.fit())).observe(screen);
}

function start() {
  setWidths(terminal);
  terminal.loadAddon(fit);
  terminal.loadAddon(new WebLinksAddon((event, address) => openLink(address, false)));
  options = new Options(terminal, location.search, () => terminal.element && fit.fit());
  terminal.open(screen);
  keys = new KeyBar(terminal);
  find = new Find(terminal);
  allowCopies(terminal);
  new Fingers(terminal, options, screen);
  fitPage();
  connect();
  listen();
  window.terminal = terminal; // for the curious, and for tests
}

if (isFramedByOthers()) show("closed", "a terminal does not run inside a page of elsewhere");
else start();
