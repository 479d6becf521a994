// SPDX-License-Identifier: MIT
// contrib/client against a real wsluice (WSLUICE names it):  node --test client.test.mjs
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import { WebSocket } from "ws";
import { serve } from "./serve.mjs";
import * as client from "../../contrib/client/index.js";

const { Link, Lines, bytes, channel, closeInWords, programEnd, split, text, worthRetrying } = client;
const FAST = { first: 5, most: 20, stay: 60_000 };

// A network between: cut() breaks what goes through it, and while `up` is false it refuses all.
async function wire(t, port) {
  const sockets = new Set();
  const relay = net.createServer((near) => {
    relay.count++;
    if (!relay.up) return near.destroy();
    const far = net.connect(port, "127.0.0.1");
    for (const [a, b] of [[near, far], [far, near]]) {
      sockets.add(a);
      a.on("error", () => b.destroy()).on("close", () => b.destroy()).pipe(b);
    }
  });
  Object.assign(relay, { up: true, count: 0, cut: () => sockets.forEach((socket) => socket.destroy()) });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => (relay.cut(), relay.close()));
  relay.url = `http://127.0.0.1:${relay.address().port}/`; // the library makes ws: of it
  return relay;
}

function link(t, url, options) {
  const made = new Link(url, { WebSocket, retry: false, ...options });
  t.after(() => made.close());
  return made;
}

const event = (of, type) => new Promise((resolve) => of.on(type, resolve, { once: true }));

async function all(items) {
  const got = [];
  for await (const item of items) got.push(item);
  return got;
}

test("messages come back with their type, and the end in words", async (t) => {
  const { url } = await serve(t, "--route", "/echo=echo:", "--", "cat");
  const echo = link(t, url + "echo");
  assert.equal(echo.state, "connecting");
  await echo.ready();
  assert.ok(echo.openTime > 0);
  const sent = ["Grüße 🚀", "", new Uint8Array([0, 1, 255]).buffer];
  for (const message of sent) await echo.send(message);
  const got = [];
  for await (const message of echo) {
    got.push(message);
    if (got.length === sent.length) echo.close();
  }
  assert.deepEqual(got, sent);
  assert.equal(echo.state, "closed");
  const lines = link(t, url);
  await lines.ready();
  lines.send("one\ntwo");
  const closed = event(lines, "close");
  const iterator = lines[Symbol.asyncIterator]();
  assert.deepEqual([(await iterator.next()).value, (await iterator.next()).value], ["one", "two"]);
  lines.close();
  assert.equal((await closed).words, "ended normally");
  assert.equal((await iterator.next()).done, true);
});

test("nothing that came before the reader is lost", async (t) => {
  const { url } = await serve(t, "--", "seq", "500");
  const seq = link(t, url);
  await event(seq, "close");
  assert.deepEqual(await all(seq), Array.from({ length: 500 }, (_, i) => String(i + 1)));
});

test("exit status and signal", async (t) => {
  const { url } = await serve(t, "--route", "/3=exec:false", "--", "sh", "-c", "kill -9 $$");
  const failed = await event(link(t, url + "3"), "close");
  assert.deepEqual([failed.code, failed.words, failed.retryIn], [4001, "the program ended: exit 1", null]);
  const killed = await event(link(t, url), "close");
  assert.deepEqual([programEnd(killed.code), killed.words], [{ signal: 9 }, "the program was killed: signal SIGKILL"]);
});

test("half-close: the answer of sort comes after the end of its input", async (t) => {
  const { url } = await serve(t, "--eof-on-empty", "--", "sort");
  const sort = link(t, url);
  await sort.ready();
  for (const word of ["pear", "apple", "fig"]) sort.send(word);
  await sort.end();
  await assert.rejects(sort.send("too late"), /end\(\) has been called/);
  assert.deepEqual(await all(sort), ["apple", "fig", "pear"]);
});

test("round trip", async (t) => {
  const { url } = await serve(t, "--stop-grace", "10ms", "--route", "/null=exec:sleep 60", "--to", "echo:");
  const echo = link(t, url);
  await echo.ready();
  const got = [];
  echo.on("message", ({ data }) => got.push(data));
  const first = await echo.roundTrip();
  assert.ok(first > 0 && first === echo.rtt);
  await Promise.all([echo.roundTrip(), echo.roundTrip(), echo.send("between"), echo.roundTrip()]);
  assert.deepEqual(got, ["between"], "answers go to nobody else");
  const silent = link(t, url + "null");
  await silent.ready();
  await assert.rejects(silent.roundTrip("?", undefined, 20), /no answer in 20 ms/);
  const cut = assert.rejects(silent.roundTrip(), /closed: ended normally/);
  silent.close();
  await cut;
});

test("comes back after a loss, later and later; messages of all sessions, lines of each", async (t) => {
  const relay = await wire(t, (await serve(t, "--framing", "text", "--", "printf", "a\\nb")).port);
  const printf = link(t, relay.url, { retry: { ...FAST, when: ({ code }) => code === 1000 || worthRetrying({ code }) } });
  const lines = printf.lines();
  for (const expected of ["a", "b", "a", "b"]) assert.equal((await lines.next()).value, expected);
  relay.up = false;
  const delays = [];
  await new Promise((resolve) => printf.on("close", ({ code, opened, retryIn }) => {
    if (code === 1006) assert.equal(opened, false);
    delays.push(retryIn);
    if (delays.length > 6) resolve();
  }));
  assert.ok(delays.every((ms) => ms >= 0 && ms <= FAST.most), String(delays));
  relay.up = true;
  await printf.ready();
  assert.equal((await lines.next()).value, "a");
  printf.close();
  assert.equal(printf.state === "open" ? (await event(printf, "close")).retryIn : null, null);
});

test("full jitter doubles up to its most, and starts again after a session that stayed", async (t) => {
  const relay = await wire(t, (await serve(t, "--to", "echo:")).port);
  t.mock.method(Math, "random", () => 0.5);
  const echo = link(t, relay.url, { retry: { first: 8, most: 50, stay: 100 } });
  const delays = [];
  echo.on("close", ({ retryIn }) => delays.push(retryIn));
  await echo.ready();
  relay.up = false;
  relay.cut();
  while (delays.length < 5) await event(echo, "close");
  relay.up = true;
  assert.deepEqual(delays.slice(0, 5), [4, 8, 16, 25, 25]);
  await echo.ready();
  await new Promise((resolve) => setTimeout(resolve, 110)); // it stays
  delays.length = 0;
  relay.cut();
  await event(echo, "close");
  assert.equal(delays[0], 4);
});

test("does not come back where that is pointless, or when told not to", async (t) => {
  const { url, port } = await serve(t, "--max-message", "100", "--", "cat");
  const cat = link(t, url, { retry: FAST });
  await cat.ready();
  cat.send("x".repeat(101)).catch(() => {});
  const big = await event(cat, "close");
  assert.deepEqual([big.code, big.retryIn, cat.state], [1009, null, "closed"]);
  await assert.rejects(cat.ready(), /closed for good/);
  cat.connect();
  await cat.ready();
  cat.send("again");
  assert.equal((await cat[Symbol.asyncIterator]().next()).value, "again");
  const relay = await wire(t, port);
  relay.up = false;
  const nobody = link(t, relay.url, { retry: { ...FAST, tries: 2 } });
  const closes = [];
  while (nobody.state !== "closed") closes.push((await event(nobody, "close")).retryIn === null);
  assert.deepEqual(closes, [false, false, true]);
  assert.equal(relay.count, 3);
});

test("an AbortSignal ends it: before, while it connects, waits, or is open", async (t) => {
  const { url, port } = await serve(t, "--to", "echo:");
  const relay = await wire(t, port);
  relay.up = false;
  const gone = link(t, url, { signal: AbortSignal.abort() });
  assert.equal(gone.state, "closed");
  assert.deepEqual(await all(gone), []);
  for (const target of [url, relay.url]) {
    for (const when of ["connecting", "open", "waiting"]) {
      const abort = new AbortController();
      const one = link(t, target, { signal: abort.signal, retry: { first: 1e6, most: 1e6 } });
      if (when !== "connecting") await event(one, target === url ? "open" : "close");
      const ended = event(one, "close");
      abort.abort();
      assert.deepEqual([(await ended).retryIn, one.state], [null, "closed"]);
      assert.deepEqual(await all(one), []);
      await assert.rejects(one.send("x"), /not connected: closed/);
    }
  }
});

test("send() waits while too much is on its way", async (t) => {
  const { url } = await serve(t, "--framing", "stream", "--", "sleep", "60"); // reads nothing
  let socket;
  class Watched extends WebSocket {
    constructor(...args) {
      super(...args);
      socket = this;
    }
  }
  const slow = link(t, url, { WebSocket: Watched, highWater: 100_000 });
  await slow.ready();
  const piece = new Uint8Array(50_000).fill(120);
  let sent = 0, most = 0;
  for (;;) { // until it waits
    const waits = await Promise.race([slow.send(piece).then(() => false), new Promise((resolve) => setTimeout(resolve, 300, true))]);
    sent++;
    most = Math.max(most, socket.bufferedAmount);
    const before = socket.bufferedAmount; // a busy machine is slow, too; but then it goes on
    if (waits) await new Promise((resolve) => setTimeout(resolve, 300));
    if (waits && before > 100_000 && socket.bufferedAmount === before) break;
    assert.ok(sent < 4000, "200 MB went where nobody reads");
  }
  assert.ok(most <= 100_000 + piece.length + 100, `${most} bytes waited`);
  const lost = assert.rejects(slow.send(piece), /ended while this was on its way/);
  socket.terminate();
  await lost;
});

test("a reader that is too slow is told; without one the oldest messages go", async (t) => {
  const { url } = await serve(t, "--", "seq", "2000");
  const unread = link(t, url, { queue: 100 });
  await event(unread, "close");
  assert.equal(unread.dropped, 1901); // a place is for the mark at the end
  assert.equal((await all(unread)).at(-1), "2000");
  const slow = link(t, url, { queue: 100 });
  await assert.rejects(async () => {
    for await (const message of slow) {
      assert.ok(message);
      if (slow.state !== "closed") await event(slow, "close");
    }
  }, /more than 100 messages wait/);
});

test("an address may come from a function, and may be wrong", async (t) => {
  const { url } = await serve(t, "--to", "echo:");
  let asked = 0;
  const echo = link(t, async () => `${url}?token=${++asked}`, { retry: FAST });
  await echo.ready();
  assert.equal(asked, 1);
  assert.match((await event(link(t, "no address"), "close")).words, /^refused, or the connection was lost \(.*URL/);
  assert.throws(() => new Link(url, { WebSocket: undefined }), globalThis.WebSocket ? undefined : /no WebSocket here/);
});

test("a try that hangs is given up", async (t) => {
  const deaf = net.createServer(() => {});
  deaf.listen(0, "127.0.0.1");
  await once(deaf, "listening");
  t.after(() => deaf.close());
  const closed = await event(link(t, `ws://127.0.0.1:${deaf.address().port}/`, { timeout: 30 }), "close");
  assert.deepEqual([closed.code, closed.opened], [1006, false]);
});

test("lines, at every split", () => {
  const whole = bytes("häß\r\nzwei\n\n🚀 last");
  for (let a = 0; a <= whole.length; a++) {
    for (let b = a; b <= whole.length; b++) {
      const lines = new Lines();
      const got = [whole.slice(0, a), whole.slice(a, b).buffer, whole.slice(b)].flatMap((part) => lines.push(part));
      assert.deepEqual([...got, ...lines.end()], ["häß", "zwei", "", "🚀 last"], `${a} ${b}`);
    }
  }
});

test("a line without an end does not fill the memory", () => {
  const lines = Object.assign(new Lines(), { max: 10 });
  assert.deepEqual([lines.push("0123456789"), lines.push("ab"), lines.push("c\nd"), lines.end()], [[], ["0123456789ab"], ["c"], ["d"]]);
});

test("pieces", () => {
  const words = "ä🚀b".repeat(50);
  for (const size of [4, 5, 6, 7, 100]) {
    const parts = [...split(words, size)];
    assert.equal(parts.join(""), words);
    assert.ok(parts.every((part) => part && bytes(part).length <= size));
  }
  assert.deepEqual([...split(new Uint8Array([1, 2, 3, 4, 5]).buffer, 4)].map((part) => [...part]), [[1, 2, 3, 4], [5]]);
  assert.deepEqual([...split("")], []);
  assert.throws(() => [...split("x", 3)], RangeError);
  assert.equal(text(bytes("\ufeffä")), "\ufeffä");
});

test("signals to the program", async (t) => {
  const { url } = await serve(t, "--signals", "INT", "--eof-on-empty", "--", "cat");
  const open = async (protocols) => {
    const made = link(t, url, { protocols });
    await made.ready();
    return made;
  };
  const stays = await open("channels.wsluice");
  const messages = stays[Symbol.asyncIterator]();
  for (const data of ["héllo", "", new TextEncoder().encode("bytes"), new TextEncoder().encode("buffer").buffer].filter((d) => d !== "")) {
    await stays.send(data);
    assert.deepEqual(channel((await messages.next()).value), { from: "stdout", data: text(data) });
  }
  const closed = new Promise((resolve) => stays.on("close", resolve));
  stays.kill("INT");
  assert.deepEqual(programEnd((await closed).code), { signal: 2 });
  assert.throws(() => stays.kill("INT"), /not connected: closed/);

  const ends = await open("channels.wsluice"); // the end of input is the empty message behind the byte
  await ends.end();
  assert.deepEqual(await all(ends), []);

  const refused = await open("channels.wsluice");
  const why = new Promise((resolve) => refused.on("close", resolve));
  refused.kill("KILL");
  assert.match((await why).words, /not allowed/);

  const plain = await open([]);
  assert.throws(() => plain.kill(), /ask for the protocol channels.wsluice/);
});

test("channels", async (t) => {
  const { url } = await serve(t, "--stderr", "message", "--", "sh", "-c", "echo says; echo complains >&2");
  const got = (await all(link(t, url))).map(channel).sort((a, b) => (a.from < b.from ? -1 : 1));
  assert.deepEqual(got, [{ from: "stderr", data: "complains" }, { from: "stdout", data: "says" }]);
  assert.deepEqual(channel("\u0001out"), { from: "stdout", data: "out" });
  assert.deepEqual(channel("\u0002"), { from: "stderr", data: "" });
  const { from, data } = channel(new Uint8Array([2, 7, 8]).buffer);
  assert.deepEqual([from, [...new Uint8Array(data)]], ["stderr", [7, 8]]);
  assert.throws(() => channel("plain"), /no channel/);
  assert.throws(() => channel(new ArrayBuffer(0)), /no channel/);
});

test("codes in words, and which are worth a try", () => {
  assert.equal(closeInWords({ code: 4003, reason: "exit 3" }), "the program ended: exit 3");
  assert.equal(closeInWords({ code: 4255 }), "the program ended: exit 255");
  assert.equal(closeInWords({ code: 4315 }), "the program was killed: signal 15");
  assert.equal(closeInWords({ code: 1011, reason: "connection reset" }), "the program or service broke, or took nothing (connection reset)");
  assert.equal(closeInWords({ code: 4256 }), "closed with 4256");
  assert.deepEqual([1000, 4000, 4001, 4255, 4256, 4301, 4364, 4365].map(programEnd),
    [{ exit: 0 }, null, { exit: 1 }, { exit: 255 }, null, { signal: 1 }, { signal: 64 }, null]);
  const again = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 4001, 4309];
  assert.deepEqual(again.filter((code) => worthRetrying({ code })), [1001, 1006, 1011, 1012, 1013, 1014]);
});
