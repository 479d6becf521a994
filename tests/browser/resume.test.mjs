// SPDX-License-Identifier: MIT
// contrib/client with `resume`, against a real wsluice (WSLUICE names it), through a network that cuts:  node --test resume.test.mjs
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { WebSocket } from "ws";
import { Link, closeInWords, text, worthRetrying } from "../../contrib/client/index.js";
import { serve } from "./serve.mjs";

const FAST = { first: 5, most: 20, stay: 60_000 };
const FLOOD = fileURLToPath(new URL("flood.py", import.meta.url));

// A network between. Each connection gets the next of `ways`: how it dies, and after how many bytes of the server's.
async function network(t, port, ways) {
  const sockets = new Set();
  const relay = net.createServer((near) => {
    const { how, after } = ways[relay.count++] ?? { how: "lives" };
    const far = net.connect(port, "127.0.0.1");
    let seen = 0, dead = false;
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
    const die = () => {
      dead = true;
      if (how === "reset") [near, far].forEach((socket) => socket.resetAndDestroy());
      else if (how === "fin") [near, far].forEach((socket) => socket.end());
      else if (how === "half") near.destroy(); // the server learns nothing
    }; // "hole": all stay open, nothing passes any more, and both sides are read
    far.on("data", (data) => {
      if (dead) return;
      const whole = how === "lives" || (seen += data.length) < after;
      const part = whole ? data : data.subarray(0, data.length - (seen - after)); // in the middle of a frame, too
      if (how === "delay" || relay.delay) setTimeout(() => near.write(part), 3);
      else near.write(part);
      if (!whole && how !== "delay") die();
    });
    near.on("data", (data) => dead || far.write(data));
    near.on("close", () => how !== "half" && how !== "hole" && far.destroy());
    far.on("close", () => how !== "hole" && near.destroy());
  });
  relay.count = 0;
  relay.cut = () => sockets.forEach((socket) => socket.destroy());
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => (relay.cut(), relay.close()));
  relay.url = `ws://127.0.0.1:${relay.address().port}/`;
  return relay;
}

function link(t, url, options) {
  const made = new Link(url, { WebSocket, retry: FAST, resume: true, ...options });
  t.after(() => made.close());
  return made;
}

const event = (of, type) => new Promise((resolve) => of.on(type, resolve, { once: true }));

// flood.py numbers its own lines ("n 1", "n 2" ...) and answers each of ours with "e LINE".
async function flood(made, relay, count, connections) {
  const seen = { n: 0, e: 0 }, faults = [];
  const done = new Promise((resolve) => {
    made.on("message", ({ data }) => {
      const [kind, number] = data.split(" ");
      if (Number(number) !== ++seen[kind]) faults.push(`${data} after ${seen[kind] - 1}`);
      if (seen.e >= count && relay.count >= connections) resolve();
    });
    made.on("close", ({ retryIn, words }) => retryIn === null && (faults.push(words), resolve()));
  });
  const sender = (async () => {
    for (let sent = 1; sent <= count; sent++) {
      await made.send(String(sent));
      while (sent > (count * relay.count) / connections) await new Promise((resolve) => setTimeout(resolve, 2)); // some on each
    }
  })();
  await done;
  if (!faults.length) await sender;
  return { ...seen, faults };
}

for (const compression of ["off", "on"]) {
  test(`numbered floods both ways through a network that cuts: nothing lost, nothing twice; compression ${compression}`, async (t) => {
    const { port } = await serve(t, "--session", "token", "--compression", compression, "--", "python3", FLOOD);
    let dice = 7;
    const random = () => (dice = (dice * 48271) % 2147483647) / 2147483647;
    const ways = Array.from({ length: 20 }, (_, i) => ({ how: ["reset", "fin", "half", "hole", "reset"][i % 5], after: 300 + Math.floor(random() * 60_000) }));
    const relay = await network(t, port, ways);
    const made = link(t, relay.url, { resume: { alive: 200 } });
    const got = await flood(made, relay, 2000, ways.length + 1);
    assert.deepEqual(got.faults, []);
    assert.equal(got.e, 2000);
    assert.ok(got.n > 0 && relay.count > ways.length);
  });
}

test("delays, and what was sent before the first connection", async (t) => {
  const { port } = await serve(t, "--session", "token", "--", "cat");
  const relay = await network(t, port, [{ how: "delay", after: 1e9 }]);
  const made = link(t, relay.url);
  const begun = event(made, "new");
  made.send("early");
  assert.equal((await made[Symbol.asyncIterator]().next()).value, "early");
  assert.deepEqual([(await begun).next, (await begun).dropped], [1, 0]);
});

test("the program is the same after a cut, and what it said meanwhile is there", async (t) => {
  const { port } = await serve(t, "--session", "token", "--", "sh", "-c", "i=0; while read x; do i=$((i+1)); echo $i $x; done");
  const relay = await network(t, port, []);
  const made = link(t, relay.url, { protocols: [] }), messages = made[Symbol.asyncIterator]();
  await made.ready();
  made.send("a");
  assert.equal((await messages.next()).value, "1 a");
  const resumed = event(made, "resumed"), lost = event(made, "close");
  relay.cut();
  await lost;
  made.send("b");
  assert.equal((await messages.next()).value, "2 b");
  assert.deepEqual([(await resumed).next, (await resumed).resent], [2, 1]);
});

test("taken over: told, never tried again by itself, taken back when asked", async (t) => {
  const { url } = await serve(t, "--session", "token", "--", "cat");
  const token = "A_-z".repeat(6);
  const first = link(t, url, { resume: { token } });
  await event(first, "new");
  const taken = event(first, "close");
  const second = link(t, url, { resume: { token, inQuery: true } });
  const joined = event(second, "resumed");
  const { code, words, retryIn } = await taken;
  assert.deepEqual([code, retryIn, first.state], [4401, null, "closed"]);
  assert.match(words, /^taken over by another connection/);
  await joined;
  const lost = event(second, "close"), back = event(first, "resumed");
  first.connect();
  assert.equal((await lost).code, 4401);
  await back;
});

test("a session that is gone: told, then a new one, or the end", async (t) => {
  for (const anew of [true, false]) {
    const { port, gone } = await serve(t, "--session", "token", "--detach", "1ms", "--", "cat");
    const relay = await network(t, port, []);
    const made = link(t, relay.url, { resume: { anew }, retry: { first: 1e6, most: 1e6 } });
    await event(made, "new");
    const codes = [];
    made.on("close", (close) => {
      codes.push([close.code, close.retryIn === null]);
      if (close.code === 1006) made.send("never arrives");
    });
    const again = anew ? event(made, "new") : new Promise((resolve) => made.on("close", ({ retryIn }) => retryIn === null && resolve({ dropped: 1 })));
    relay.cut();
    await gone;
    made.connect();
    const { dropped } = await again;
    assert.equal(dropped, 1);
    const last = codes.at(-1);
    assert.deepEqual(last, [4400, !anew]);
    made.close();
  }
});

test("messages that are missing are told, and what is there is shown", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "wsluice-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { port } = await serve(t, "--session", "token", "--replay", "64K", "--cwd", folder, "--pty", "--", "sh", "-c",
    "stty -echo; echo first; until [ -e go ]; do sleep 0.02; done; seq 100000; touch done; read x");
  const relay = await network(t, port, []);
  const made = link(t, relay.url, { retry: { first: 1e6, most: 1e6 } });
  const seen = [], codes = [];
  await new Promise((resolve) => made.on("message", ({ data }) => resolve(seen.push(text(data)))));
  const lost = event(made, "close");
  relay.cut();
  await lost;
  writeFileSync(join(folder, "go"), "");
  while (!existsSync(join(folder, "done"))) await new Promise((resolve) => setTimeout(resolve, 20));
  made.on("close", ({ code }) => codes.push(code));
  const skipped = event(made, "skipped"), resumed = event(made, "resumed");
  made.connect();
  assert.ok((await skipped).count > 0);
  assert.equal((await resumed).next, (await skipped).count + 2);
  while (!seen.at(-1).includes("100000")) await event(made, "message");
  assert.deepEqual(codes, [4402]);
});

test("a route that keeps nothing", async (t) => {
  const { url } = await serve(t, "--", "cat");
  const { code, retryIn } = await event(link(t, url), "close");
  assert.deepEqual([code, retryIn], [4400, null]);
  const plain = link(t, url, { resume: { optional: true } });
  await plain.ready();
  await plain.send("as it is");
  assert.equal((await plain[Symbol.asyncIterator]().next()).value, "as it is");
});

test("what has not arrived is bounded", async (t) => {
  const { url } = await serve(t, "--session", "token", "--", "cat");
  const made = link(t, url, { resume: { limit: 100 } });
  const first = made.send("x".repeat(150)); // one may be longer
  await assert.rejects(made.send("y"), /more than 100 bytes have not arrived/);
  await first; // resolves when the server has told that it is there
  await made.send("y");
});

test("stderr, signals, and the close codes in words", async (t) => {
  const { url } = await serve(t, "--session", "token", "--stderr", "message", "--signals", "TERM", "--", "sh", "-c", "echo one; echo two >&2; sleep 100");
  const made = link(t, url), got = new Map();
  await new Promise((resolve) => made.on("message", ({ data, from }) => got.set(from, data).size === 2 && resolve()));
  assert.deepEqual([got.get("stdout"), got.get("stderr")], ["one", "two"]);
  const closed = event(made, "close");
  made.kill("TERM");
  assert.equal((await closed).code, 4315);
  assert.equal(closeInWords({ code: 4401 }), "taken over by another connection");
  assert.deepEqual([4400, 4401, 4402, 4413].filter((code) => worthRetrying({ code })), [4413]);
});

test("a token that is none", () => {
  assert.throws(() => new Link("ws://127.0.0.1:9/", { WebSocket, resume: { token: "short" } }), /22 to 128/);
});
