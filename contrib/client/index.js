// SPDX-License-Identifier: MIT
// A client for wsluice: one WebSocket that comes back by itself, and helpers for what travels on it. Types: index.d.ts

const BORDER = Symbol("a session ended here"); // among the messages that wait to be read
const CHANNELS = "channels.wsluice"; // the subprotocol with a byte in front of each message, both ways
const RETRY = { first: 500, most: 30_000, stay: 10_000, tries: Infinity, when: (close) => worthRetrying(close) };
const DEFAULTS = { protocols: [], timeout: 15_000, highWater: 1 << 20, queue: 10_000, signal: null };

export class Link extends EventTarget {
  state = "closed"; // or "connecting", "open", "waiting" (for the next try); closed is for good
  openTime = null; // milliseconds from the start of the last successful try to its open
  rtt = null; // and of the last roundTrip()
  dropped = 0; // messages thrown away because nobody read them
  #url;
  #how;
  #retry;
  #ws = null;
  #tries = 0; // in a row without a session that stayed
  #isEnding = false; // close() was called: no further try
  #inputEnded = false;
  #cancelWait = () => {};
  #queue = [];
  #reading = 0; // iterators at work
  #listening = false; // somebody takes "message" events: then nothing is queued
  #wake = () => {};
  #failure = null; // what the iterator is to throw
  #probes = new Map(); // of roundTrip: how to know the answer => how to give up
  #emit = (type, fields) => this.dispatchEvent(Object.assign(new Event(type), fields));

  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#how = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#retry = options.retry === false ? { ...RETRY, tries: 0 } : { ...RETRY, ...options.retry };
    if (!this.#how.WebSocket) throw new TypeError("no WebSocket here: pass { WebSocket }, such as that of the package ws");
    this.#how.signal?.addEventListener("abort", () => this.close(), { once: true });
    if (!this.#how.signal?.aborted) this.connect();
  }

  /** Tries now, if there is no connection: instead of waiting, or again after the end. */
  connect() {
    if (this.state === "open" || this.state === "connecting") return;
    if (this.state === "closed") [this.#tries, this.#isEnding, this.#failure] = [0, false, null];
    this.#cancelWait();
    this.#connect();
  }

  async #connect() {
    this.state = "connecting";
    this.#emit("connecting");
    const start = performance.now();
    const attempt = (this.#ws = { readyState: 0, close() {} }); // until there is a socket
    try {
      const url = new URL(await (typeof this.#url === "function" ? this.#url() : this.#url), globalThis.location?.href);
      url.protocol = url.protocol.replace("http", "ws");
      if (this.#ws === attempt) this.#adopt(new this.#how.WebSocket(url.href, this.#how.protocols), start);
    } catch (error) {
      if (this.#ws === attempt) this.#onClose({ code: 1006, reason: error.message, wasClean: false }, false);
    }
  }

  #adopt(ws, start) {
    let opened = 0;
    const timer = setTimeout(() => ws.close(), this.#how.timeout); // a try that hangs ends as 1006
    this.#ws = ws;
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      if (this.#ws !== ws) return;
      clearTimeout(timer);
      opened = performance.now();
      this.openTime = opened - start;
      this.#inputEnded = false;
      this.state = "open";
      this.#emit("open");
    };
    ws.onmessage = ({ data }) => this.#ws === ws && this.#onMessage(data);
    ws.onerror = () => {}; // a close follows, and says as much
    ws.onclose = (event) => {
      clearTimeout(timer);
      if (this.#ws !== ws) return;
      if (opened && performance.now() - opened >= this.#retry.stay) this.#tries = 0;
      this.#onClose(event, Boolean(opened));
    };
  }

  #onMessage(data) {
    for (const isAnswer of this.#probes.keys()) if (isAnswer(data)) return;
    this.#emit("message", { data });
    if (!this.#listening) this.#enqueue(data);
  }

  #enqueue(item) {
    this.#queue.push(item);
    if (this.#queue.length > this.#how.queue) {
      if (!this.#reading) this.dropped += this.#queue.shift() !== BORDER;
      else {
        this.#failure = new Error(`more than ${this.#how.queue} messages wait to be read`);
        this.close(4999, "reader too slow");
      }
    }
    this.#wake();
  }

  #onClose({ code, reason, wasClean }, opened) {
    this.#ws = null;
    const close = { code, reason, wasClean, opened, words: closeInWords({ code, reason }) };
    const { first, most, tries, when } = this.#retry;
    const isHidden = globalThis.document?.visibilityState === "hidden"; // nobody looks: at the slowest pace
    const pace = isHidden ? most : Math.min(most, first * 2 ** this.#tries);
    const canRetry = !this.#isEnding && this.#tries < tries && when(close);
    // "full jitter": so that those who were cut off together do not come back together
    const retryIn = canRetry ? Math.random() * pace : null;
    if (canRetry) this.#tries++;
    this.state = retryIn === null ? "closed" : "waiting";
    if (!this.#listening && opened) this.#enqueue(BORDER);
    for (const giveUp of [...this.#probes.values()]) giveUp(new Error(`closed: ${close.words}`));
    if (retryIn !== null) this.#wait(retryIn);
    this.#wake();
    this.#emit("close", { ...close, retryIn });
  }

  // The next try comes after a delay, but not without a network; soon when the network or the user is back.
  #wait(delay) {
    const isOffline = () => globalThis.navigator?.onLine === false;
    const go = () => isOffline() || (cancel(), this.#connect());
    const soon = () => {
      if (isOffline() || globalThis.document?.visibilityState === "hidden") return;
      clearTimeout(timer);
      timer = setTimeout(go, Math.random() * this.#retry.first);
    };
    const cancel = (this.#cancelWait = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", soon);
      globalThis.document?.removeEventListener("visibilitychange", soon);
      this.#cancelWait = () => {};
    });
    let timer = setTimeout(go, delay);
    globalThis.addEventListener?.("online", soon);
    globalThis.document?.addEventListener("visibilitychange", soon);
  }

  /** Ends it for good. Something that waits for an answer, or to be sent, fails. */
  close(code = 1000, reason = "") {
    const ws = this.#ws;
    if (this.state === "closed") return;
    this.#cancelWait();
    this.#isEnding = true;
    if (this.state === "open") return ws.close(code, reason); // its close event tells the rest
    this.#onClose({ code, reason, wasClean: true }, false);
    ws?.close();
  }

  /** Hands data to the socket at once; resolves when at most `highWater` bytes wait to leave. */
  async send(data) {
    const ws = this.#ws;
    if (ws?.readyState !== 1) throw new Error(`not connected: ${ws ? "closing" : this.state}`);
    if (this.#inputEnded) throw new Error("end() has been called");
    ws.send(ws.protocol === CHANNELS ? marked(0, data) : data); // that it has left is told by no event
    for (let pause = 4; ws.bufferedAmount > this.#how.highWater; pause = Math.min(2 * pause, 100)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (ws.readyState > 1) throw new Error("the connection ended while this was on its way");
    }
  }

  /** The end of our input, on a route with eof-on-empty: an empty message. Answers still come. */
  async end() {
    await this.send("");
    this.#inputEnded = true;
  }

  /** Sends a signal to the program: on a route with `signals`, where the protocol "channels.wsluice" was asked for. */
  kill(name = "INT") {
    if (this.#ws?.readyState !== 1) throw new Error(`not connected: ${this.state}`);
    if (this.#ws.protocol !== CHANNELS) throw new Error(`no signals here: ask for the protocol ${CHANNELS} on a route with \`signals\``);
    this.#ws.send(marked(3, JSON.stringify({ signal: name })));
  }

  /** Resolves when it is open; rejects when there will be no further try. */
  async ready() {
    while (this.state !== "open") {
      if (this.state === "closed") throw new Error("closed for good");
      await new Promise((resolve) => ["open", "close"].forEach((type) => this.on(type, resolve, { once: true })));
    }
  }

  /** Sends a message; resolves with the milliseconds until its answer. The answer goes to nobody else. */
  roundTrip(data = `round trip ${Math.random()}`, isAnswer = (answer) => answer === data, timeout = 10_000) {
    const start = performance.now();
    return new Promise((resolve, reject) => {
      const end = (error) => {
        clearTimeout(timer);
        this.#probes.delete(probe);
        error ? reject(error) : resolve((this.rtt = performance.now() - start));
      };
      const probe = (answer) => Boolean(isAnswer(answer)) && (end(), true);
      const timer = setTimeout(() => end(new Error(`no answer in ${timeout} ms`)), timeout);
      this.#probes.set(probe, end);
      this.send(data).catch(end);
    });
  }

  /** Types: "connecting", "open", "message" (event.data), "close" (event.code, .words, .retryIn, ...). Returns the link. */
  on(type, ...rest) {
    if (type === "message") [this.#listening, this.#queue] = [true, []];
    super.addEventListener(type, ...rest);
    return this;
  }

  /** for await (const message of link): strings and ArrayBuffers of all sessions, until it is closed for good. */
  async *[Symbol.asyncIterator]() {
    for await (const item of this.#items()) if (item !== BORDER) yield item;
  }

  /** The same as lines, wherever messages begin and end: for services, and framings `stream` and `text`. */
  async *lines() {
    let splitter = new Lines();
    for await (const item of this.#items()) {
      yield* item === BORDER ? splitter.end() : splitter.push(item);
      splitter = item === BORDER ? new Lines() : splitter;
    }
  }

  async *#items() {
    this.#reading++;
    try {
      for (;;) {
        while (this.#queue.length) yield this.#queue.shift();
        if (this.#failure) throw this.#failure;
        if (this.state === "closed") return;
        await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.#reading--;
    }
  }
}

/** Cuts text or bytes, as they come, into lines without their newline or carriage return and newline. */
export class Lines {
  max = 1 << 20; // characters; a line that is longer comes in pieces
  #rest = "";
  #decoder = new TextDecoder();

  push(data) {
    const lines = (this.#rest + (typeof data === "string" ? data : this.#decoder.decode(data, { stream: true }))).split("\n");
    this.#rest = lines.pop();
    if (this.#rest.length > this.max) [this.#rest, lines[lines.length]] = ["", this.#rest];
    return lines.map((line) => line.replace(/\r$/, ""));
  }

  end() {
    const rest = this.#rest + this.#decoder.decode();
    return rest ? [rest] : []; // what came behind the last newline
  }
}

/** Cuts a string or bytes into pieces of at most `size` bytes; a string between characters. */
export function* split(data, size = 64 * 1024) {
  if (size < 4) throw new RangeError("a character may need four bytes");
  const all = bytes(data);
  for (let at = 0, end; at < all.length; at = end) {
    end = Math.min(at + size, all.length);
    if (typeof data === "string") while (end < all.length && (all[end] & 0xc0) === 0x80) end--;
    yield typeof data === "string" ? text(all.subarray(at, end)) : all.subarray(at, end);
  }
}

export const text = (data) => (typeof data === "string" ? data : new TextDecoder("utf-8", { ignoreBOM: true }).decode(data));
export function bytes(data) {
  if (typeof data === "string") return new TextEncoder().encode(data);
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}

function marked(mark, data) {
  if (typeof data === "string") return String.fromCharCode(mark) + data;
  const out = new Uint8Array(data.byteLength + 1);
  out.set([mark]);
  out.set(bytes(data), 1);
  return out;
}

/** Of a route with `stderr: message`, or with the protocol "channels.wsluice": the first byte of a message says where the rest comes from. */
export function channel(data) {
  const mark = typeof data === "string" ? data.charCodeAt(0) : bytes(data)[0];
  if (mark !== 1 && mark !== 2) throw new Error("this message is of no channel: does the route have `stderr: message`?");
  return { from: mark === 1 ? "stdout" : "stderr", data: data.slice(1) };
}

/** How the program ended: {exit: 3}, {signal: 9}, or null when the code is about something else. */
export function programEnd(code) {
  if (code === 1000) return { exit: 0 };
  if (code > 4000 && code <= 4255) return { exit: code - 4000 };
  return code > 4300 && code <= 4364 ? { signal: code - 4300 } : null;
}

const CODES = {
  1000: "ended normally", 1001: "the server stops, or the session was idle", 1002: "protocol error",
  1003: "this kind of message is not accepted", 1005: "ended without a code", 1006: "refused, or the connection was lost",
  1007: "text that is not UTF-8", 1008: "against the rules, or too slow", 1009: "a message was too big",
  1010: "an extension is missing", 1011: "the program or service broke, or took nothing", 1012: "the server restarts",
  1013: "too busy, try again later", 1014: "the program or service could not be reached", 1015: "TLS failed",
};

/** A close event in words. */
export function closeInWords({ code, reason = "" }) {
  const end = programEnd(code);
  if (end?.signal) return `the program was killed: ${reason || `signal ${end.signal}`}`;
  if (end?.exit) return `the program ended: ${reason || `exit ${end.exit}`}`;
  const words = CODES[code] ?? `closed with ${code}`;
  return reason && code !== 1000 ? `${words} (${reason})` : words;
}

/** Whether a new try may go better: not after a normal end, the program's own end, or a fault of ours. */
export const worthRetrying = ({ code }) => [1001, 1006, 1011, 1012, 1013, 1014].includes(code);
