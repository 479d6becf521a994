// SPDX-License-Identifier: MIT
// A client for wsluice: one WebSocket that comes back by itself, and helpers for what travels on it. Types: index.d.ts

const BORDER = Symbol("a session ended here"); // among the messages that wait to be read
const CHANNELS = "channels.wsluice"; // the subprotocol with a byte in front of each message, both ways
const RETRY = { first: 500, most: 30_000, stay: 10_000, tries: Infinity, when: (close) => worthRetrying(close) };
const RESUME = { token: null, inQuery: false, replay: false, anew: true, optional: false, hello: null, limit: 16 << 20, alive: 10_000 };
const GONE = 4400, GAP = 4402, LEFT = 4999; // close codes of sessions that outlive a connection; the last is ours
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
  #kept = null; // with `resume`: what there is to know of a session that outlives its connections
  #openTimer = 0;
  #isAsleep = false; // the page has been left, and may be come back to
  #emit = (type, fields) => this.dispatchEvent(Object.assign(new Event(type), fields));

  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#how = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#retry = options.retry === false ? { ...RETRY, tries: 0 } : { ...RETRY, ...options.retry };
    if (!this.#how.WebSocket) throw new TypeError("no WebSocket here: pass { WebSocket }, such as that of the package ws");
    if (this.#how.resume) this.#kept = new Kept(this.#how.resume === true ? {} : this.#how.resume, globalThis.crypto);
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
      let { protocols } = this.#how;
      if (this.#kept) {
        await this.#kept.claim(url);
        protocols = this.#kept.address(url, protocols);
        this.#kept.watchPage(this.#leave, this.#comeBack);
      }
      if (this.#ws === attempt) this.#adopt(new this.#how.WebSocket(url.href, protocols), start);
    } catch (error) {
      if (this.#ws === attempt) this.#onClose({ code: 1006, reason: error.message, wasClean: false }, false);
    }
  }

  #adopt(ws, start) {
    let opened = 0;
    const giveUp = () => (opened ? this.#lost() : ws.close()); // a try that hangs ends as 1006
    const timer = (this.#openTimer = setTimeout(giveUp, this.#how.timeout));
    this.#ws = ws;
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      if (this.#ws !== ws) return;
      opened = performance.now();
      this.openTime = opened - start;
      if (this.#kept) return; // open when the server has said what became of the session
      clearTimeout(timer);
      this.#inputEnded = false;
      this.state = "open";
      this.#emit("open");
    };
    ws.onmessage = ({ data }) => this.#ws === ws && (this.#kept ? this.#onKeptMessage(data) : this.#onMessage(data));
    ws.onerror = () => {}; // a close follows, and says as much
    ws.onclose = (event) => {
      clearTimeout(timer);
      if (this.#ws !== ws) return;
      if (opened && performance.now() - opened >= this.#retry.stay) this.#tries = 0;
      this.#onClose(event, Boolean(opened));
    };
  }

  #onMessage(data, from) {
    for (const isAnswer of this.#probes.keys()) if (isAnswer(data)) return;
    this.#emit("message", { data, from });
    if (!this.#listening) this.#enqueue(data);
  }

  // ---- a session that outlives its connections: docs/sessions.md of wsluice

  #onKeptMessage(data) {
    const kept = this.#kept, mark = markOf(data);
    kept.heard = true;
    if (mark === 3) return this.#onAbout(JSON.parse(text(data).slice(1)));
    if (this.state !== "open") return this.#lost(GONE, "the server keeps no sessions here");
    if (mark !== 1 && mark !== 2) return; // no other kind is known here
    kept.count(sizeOf(data), this.#say);
    const isWhole = [].concat(this.#how.protocols).includes(CHANNELS);
    this.#onMessage(isWhole ? data : data.slice(1), mark === 1 ? "stdout" : "stderr");
  }

  #onAbout(about) {
    const kept = this.#kept;
    if (about.session) this.#onSession(about);
    else if ("got" in about) kept.arrived(about.got);
    else if ("skipped" in about) this.#skipped(about.skipped);
    else if ("clients" in about) this.#emit("clients", { clients: about.clients });
    else if ("title" in about || "preferences" in about) this.#emit("terminal", about);
  }

  #skipped(count) {
    this.#kept.skip(count);
    this.#emit("skipped", { count });
  }

  #onSession({ session, id, next, got }) {
    const kept = this.#kept, before = kept.last, isNew = session === "new" || next <= before;
    const unsent = isNew && before !== null ? kept.drop() : 0;
    if (isNew) this.#inputEnded = false;
    if (isNew && before !== null && !this.#listening) this.#enqueue(BORDER);
    const missed = isNew ? 0 : next - 1 - (before ?? next - 1);
    clearTimeout(this.#openTimer);
    kept.begin(id, next, got);
    this.state = "open";
    if (missed > 0) this.#emit("skipped", { count: missed });
    const resent = kept.sendAll(kept.how.hello?.(), (data) => this.#ws.send(data));
    this.#emit(isNew ? "new" : "resumed", { next, ...(isNew ? { dropped: unsent } : { resent }) });
    kept.watch(this.#say, () => this.#lost());
    this.#emit("open");
  }

  #say = (about) => this.#ws?.readyState === 1 && this.#ws.send(marked(3, JSON.stringify(about)));

  // Nothing was heard though we asked: a browser would notice only after minutes.
  #lost(code = 1006, reason = "no answer") {
    const ws = this.#ws;
    clearTimeout(this.#openTimer);
    this.#ws = null;
    ws?.close(LEFT, reason);
    this.#onClose({ code, reason, wasClean: false }, this.state === "open");
  }

  // The page goes, perhaps into the back and forward cache: there it must hold neither a socket nor a lock.
  #leave = () => {
    this.#kept.save();
    this.#kept.release();
    this.#isAsleep = this.state !== "closed";
    if (!this.#isAsleep) return;
    this.#cancelWait();
    const ws = this.#ws;
    clearTimeout(this.#openTimer);
    this.#ws = null;
    this.#kept.rest();
    this.state = "waiting";
    ws?.close(LEFT, "the page was left");
  };

  #comeBack = () => {
    if (this.#isAsleep && this.state === "waiting") this.#connect();
    this.#isAsleep = false;
  };

  // What a close means for the session. Returns when to try again, in ms, where that is other than usual; null: never.
  #afterClose({ code, opened }) {
    const kept = this.#kept, asked = kept.asked;
    kept.rest();
    if (code === GONE && !asked && kept.how.optional && !this.#isEnding) {
      kept.end();
      this.#kept = null; // a route that keeps nothing: as if `resume` had not been asked for
      return 0;
    }
    if (code === GONE || code === GAP) {
      kept.got = null;
      return kept.how.anew && asked && !this.#isEnding ? 0 : null;
    }
    if (opened && (code === 1000 || code === 1005 || programEnd(code))) kept.end();
    return undefined;
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
    const isKept = Boolean(this.#kept), told = isKept ? this.#afterClose(close) : undefined;
    const canRetry = told === 0 || (told === undefined && !this.#isEnding && this.#tries < tries && when(close));
    // "full jitter": so that those who were cut off together do not come back together
    const retryIn = canRetry ? told ?? Math.random() * pace : null;
    if (canRetry) this.#tries++;
    this.state = retryIn === null ? "closed" : "waiting";
    if (!this.#listening && opened && !isKept) this.#enqueue(BORDER);
    if (retryIn === null) this.#kept?.release();
    if (retryIn === null || !isKept) for (const giveUp of [...this.#probes.values()]) giveUp(new Error(`closed: ${close.words}`));
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
    if (this.#kept) return this.#keep(data);
    const ws = this.#ws;
    if (ws?.readyState !== 1) throw new Error(`not connected: ${ws ? "closing" : this.state}`);
    if (this.#inputEnded) throw new Error("end() has been called");
    ws.send(ws.protocol === CHANNELS ? marked(0, data) : data); // that it has left is told by no event
    for (let pause = 4; ws.bufferedAmount > this.#how.highWater; pause = Math.min(2 * pause, 100)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (ws.readyState > 1) throw new Error("the connection ended while this was on its way");
    }
  }

  // It stays until the server says that it has arrived, and is sent again where it has not.
  async #keep(data) {
    const kept = this.#kept;
    if (this.state === "closed") throw new Error("not connected: closed");
    if (this.#inputEnded) throw new Error("end() has been called");
    const message = kept.push(marked(0, data));
    if (this.state === "open") this.#ws.send(message);
    for (let pause = 4; kept.isFull || this.#ws?.bufferedAmount > this.#how.highWater; pause = Math.min(2 * pause, 100)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.state === "closed") throw new Error("the session ended while this was on its way");
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
    if (this.#ws.protocol !== CHANNELS && !this.#kept) throw new Error(`no signals here: ask for the protocol ${CHANNELS} on a route with \`signals\``);
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

// What a page keeps of a session that outlives its connections: who it is, how far it has got, what has not arrived.
class Kept {
  static #used = new Set(); // storage keys of links at work in this page
  got = null; // messages that have arrived here; null: whatever the server has is wanted
  last = null; // the same, of the session there was; null: there was none
  asked = false; // the last try wanted a session that must be there
  heard = false; // something came since the last look
  #acknowledged = null; // of our messages; null: the server knows
  #waiting = []; // our messages behind those
  #bytes = 0;
  #unsaid = 0; // bytes that came since we said how far we are
  #timers = {};
  #key = null;
  #unlock = null;
  #isAlone = false; // nobody could have a copy, or nobody can tell
  #patience = 1;
  #unwatch = () => {};

  constructor(how, crypto) {
    this.how = { ...RESUME, ...how };
    if (!crypto?.getRandomValues) throw new TypeError("no crypto.getRandomValues here, which `resume` needs");
    const { token } = this.how;
    if (token !== null && !/^[\w-]{22,128}$/.test(token)) throw new TypeError("a token has 22 to 128 letters, digits, _ and -");
  }

  get isFull() {
    return this.#bytes > this.how.limit / 2;
  }

  // Makes sure that the token is ours: found in the tab's storage, and of no other tab, since a duplicated one has a copy.
  async claim({ origin, pathname }) {
    if (this.#key === null) this.#find(origin + pathname);
    else if (this.#unlock || this.#isAlone) return;
    if (this.how.token) return;
    this.#isAlone = !globalThis.navigator?.locks || !this.#storage;
    if (this.#isAlone || (await this.#lock())) return;
    this.forget();
    await this.#lock();
  }

  #find(place) {
    let n = 0;
    while (Kept.#used.has(`wsluice ${place} ${n}`)) n++;
    Kept.#used.add((this.#key = `wsluice ${place} ${n}`));
    const found = JSON.parse(this.#storage?.getItem(this.#key) ?? "null");
    if (!found || (this.how.token && found.token !== this.how.token)) return this.forget();
    Object.assign(this, { token: found.token, sender: found.sender, id: found.id });
    this.last = this.how.replay ? null : found.got;
    this.got = this.last;
  }

  get #storage() {
    try {
      return globalThis.document ? globalThis.sessionStorage : null;
    } catch {
      return null; // the user wants none
    }
  }

  // A page that was just left may still hold it for a moment.
  #lock() {
    const name = `wsluice ${this.token}`, patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), 1000);
    return new Promise((resolve) => {
      const held = () => {
        clearTimeout(timer);
        resolve(true);
        return new Promise((release) => (this.#unlock = release));
      };
      navigator.locks.request(name, { signal: patience.signal }, held).catch(() => resolve(false));
    });
  }

  // Another session, of another token if that is ours to make.
  forget() {
    this.token = this.how.token ?? random();
    this.sender = random();
    this.got = this.#acknowledged = null;
    this.save();
  }

  release() {
    this.#unlock?.();
    this.#unlock = null;
  }

  // The session is over; the next one may have the same token.
  end() {
    this.got = this.last = this.#acknowledged = null;
    this.drop();
    this.save();
    this.release();
    this.#unwatch();
    Kept.#used.delete(this.#key);
    if (this.#storage) this.#key = null;
  }

  address(url, protocols) {
    this.asked = this.got !== null;
    const of = this.id ? `:${this.id}` : ""; // no other session that has begun since
    const words = [`resume=${this.sender}`, this.asked && `got=${this.got}${of}`, this.how.inQuery && `session=${this.token}`];
    url.search += (url.search ? "&" : "?") + words.filter(Boolean).join("&");
    const others = [].concat(protocols);
    return [`session.wsluice.${this.token}`, ...(others.length ? others : ["wsluice"])];
  }

  watchPage(leave, comeBack) {
    this.#unwatch();
    if (!globalThis.document) return;
    const show = ({ persisted }) => persisted && comeBack();
    globalThis.addEventListener("pagehide", leave);
    globalThis.addEventListener("pageshow", show);
    this.#unwatch = () => ["pagehide", "pageshow"].forEach((type, i) => globalThis.removeEventListener(type, [leave, show][i]));
  }

  save() {
    clearTimeout(this.#timers.save);
    this.#timers.save = null;
    const { token, sender, got, id } = this;
    try {
      if (this.#key !== null) this.#storage?.setItem(this.#key, JSON.stringify({ token, sender, got, id }));
    } catch {
      // no room: then a reload begins anew
    }
  }

  // ---- what comes

  begin(id, next, acknowledged) {
    this.id = id;
    this.got = this.last = next - 1;
    if (this.#acknowledged !== null) this.arrived(acknowledged);
    this.#acknowledged = acknowledged;
    this.save();
  }

  // One more. At most half of the server's ring may be unsaid; what the ring takes for a message counts, too.
  count(size, say) {
    this.last = ++this.got;
    this.#patience = 1;
    this.#timers.save ??= setTimeout(() => this.save(), 200);
    this.#unsaid += size + 32;
    if (this.#unsaid > 8192) this.#sayGot(say);
    else this.#timers.got ??= setTimeout(() => this.#sayGot(say), 100);
  }

  #sayGot(say) {
    clearTimeout(this.#timers.got);
    this.#timers.got = null;
    this.#unsaid = 0;
    say({ got: this.got });
  }

  skip(count) {
    this.last = this.got += count;
  }

  // ---- what goes

  push(message) {
    const size = sizeOf(message);
    if (this.#bytes + size > this.how.limit && this.#waiting.length)
      throw new Error(`more than ${this.how.limit} bytes have not arrived: wait for send()`);
    this.#bytes += size;
    this.#waiting.push(message);
    return message;
  }

  arrived(count) {
    if (this.#acknowledged === null || count <= this.#acknowledged) return;
    for (const gone of this.#waiting.splice(0, count - this.#acknowledged)) this.#bytes -= sizeOf(gone);
    this.#acknowledged = count;
    this.#patience = 1;
  }

  drop() {
    const count = this.#waiting.length;
    [this.#waiting, this.#bytes] = [[], 0];
    return count;
  }

  // On a connection that has just begun: its first message, if there is one, then what has not arrived. It counts like all.
  #hello = null;
  sendAll(hello, send) {
    this.#waiting = this.#waiting.filter((message) => message !== this.#hello);
    const count = this.#waiting.length;
    this.#hello = hello === undefined ? null : marked(0, hello);
    if (this.#hello !== null) this.#waiting.unshift(this.#hello);
    this.#bytes = this.#waiting.reduce((sum, message) => sum + sizeOf(message), 0);
    this.#waiting.forEach(send);
    return count;
  }

  // ---- whether the link lives: no page can send a ping, or see one

  watch(say, onDead) {
    const { alive } = this.how;
    let isAsked = false;
    this.rest();
    this.#timers.ask = setInterval(() => this.#waiting.length && say({ got: this.got }), 1100); // what has arrived of it?
    if (alive) this.#timers.watch = setInterval(() => {
      if (this.heard) isAsked = false;
      else if (isAsked) return (this.#patience = Math.min(2 * this.#patience, 8)), onDead(); // it may be that the backend takes nothing
      else isAsked = say({ got: this.got }) !== false;
      this.heard = false;
    }, alive * this.#patience);
  }

  rest() {
    for (const name of ["ask", "watch", "got"]) clearTimeout(this.#timers[name]);
    this.#timers.got = null;
  }
}

const random = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24)))).replace(/\+/g, "-").replace(/\//g, "_");
const sizeOf = (data) => data.length ?? data.byteLength;
const markOf = (data) => (typeof data === "string" ? data.charCodeAt(0) : bytes(data)[0]);

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
  4400: "there is no such session", 4401: "taken over by another connection", 4402: "messages were lost that the server does not keep any more",
  4413: "no room for another session",
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
export const worthRetrying = ({ code }) => [1001, 1006, 1011, 1012, 1013, 1014, 4413].includes(code);
