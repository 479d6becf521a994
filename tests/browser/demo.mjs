// SPDX-License-Identifier: MIT
// Drives pages of ours in Chromium; prints what it saw as JSON.
//   node demo.mjs demo URL PNG [light|dark]   the demo's page; its picture goes to PNG
//   node demo.mjs editor URL PNG              the demo's editor with its language server
//   node demo.mjs console URL                 the console's page on an echo route
//   node demo.mjs flood URL [PNG]             the same, with many messages
import { readFileSync } from "node:fs";

import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--no-first-run"];
const [scene, url, png, scheme = "light"] = process.argv.slice(2);
const faults = []; // errors of scripts and of the content policy, wherever they come from

async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(url);
  return page;
}

// Waits until the element's text matches and returns it.
async function text(page, selector, pattern) {
  await page.waitForFunction(([s, p]) => new RegExp(p).test(document.querySelector(s)?.textContent ?? ""),
    [selector, pattern.source]);
  return (await page.textContent(selector)).trim();
}

async function say(page, card, line) {
  await page.fill(`${card} input`, line);
  await page.press(`${card} input`, "Enter");
}

async function move(page, from, to) {
  await text(page, "#chess .status", /your move/);
  await page.click(`[data-square=${from}]`);
  await page.click(`[data-square=${to}].target`);
  return text(page, "#chess .moves", new RegExp(`${from}${to} [a-h][1-8][a-h][1-8]`));
}

async function demo(context) {
  const seen = {};
  const page = await open(context);
  for (const card of ["calc", "chess", "clock", "echo", "chat", "pond", "cut", "board", "talk"]) await page.waitForSelector(`#${card}[data-state=open]`);
  const isPlayed = () => /^Score: 0/.test(window.terminal?.buffer.active.getLine(0)?.translateToString(true));
  await (await (await page.$("#terminal iframe")).contentFrame()).waitForFunction(isPlayed);

  await say(page, "#calc", "2^64");
  seen.power = await text(page, "#calc .answer:last-child", /\d{20}/);
  await say(page, "#calc", "1/0");
  seen.error = await text(page, "#calc .answer:last-child", /zero/);
  await say(page, "#calc", "<img src=x onerror=alert(1)>");
  seen.markup = await page.evaluate(() => document.querySelectorAll("#calc img").length);
  await say(page, "#calc", "quit");
  seen.quit = await text(page, "#calc .pill", /closed|ended/);
  await page.click("#calc .pill");
  await page.waitForSelector("#calc[data-state=open]");
  await page.evaluate(() => document.querySelector("#calc .lines").replaceChildren()); // a tidy picture
  await page.click("#calc .chips button:nth-child(2)");
  seen.pi = await text(page, "#calc .answer:last-child", /^3\.14/);
  await say(page, "#calc", "2^64");
  seen.again = await text(page, "#calc .answer:last-child", /^18446744073709551616/);

  await text(page, "#chess .status", /your move/);
  await page.click("[data-square=e2]");
  seen.targets = await page.$$eval("#chess .target", (squares) => squares.map((square) => square.dataset.square).sort());
  await page.click("[data-square=e5]"); // no legal move: only unselects
  seen.illegal = await page.textContent("#chess .moves");
  seen.opening = await move(page, "e2", "e4");
  await move(page, "g1", "f3");
  await move(page, "b1", "c3");
  await text(page, "#chess .status", /your move/);
  seen.pieces = await page.$$eval("#chess .board svg", (pieces) => pieces.length);

  seen.echo = await text(page, "#echo .note", /now [\d.]+ ms · [3-9]\d there and back/);
  const first = await text(page, "#clock .big", /^\d\d:\d\d:\d\d$/);
  await page.waitForFunction((t) => document.querySelector("#clock .big").textContent !== t, first);
  seen.clock = [first, await page.textContent("#clock .big")];

  const other = await open(context);
  await text(other, "#chat .lines", /you are .*; here with you/);
  await say(page, "#chat", "hello from the first tab");
  seen.heard = await text(other, "#chat .lines", /\w+: hello from the first tab/);
  await say(other, "#chat", "and hello back");
  seen.chat = await text(page, "#chat .lines", /\w+: and hello back/);

  // shared by both tabs: a chat, a board, a log; and a line that is cut
  await page.click("#talk .chips button:first-child");
  seen.talk = await text(other, "#talk .lines", /hello, all/);
  await other.waitForSelector("#board polyline >> nth=2", { state: "attached" });
  const paper = await page.locator("#board .paper").boundingBox();
  await page.mouse.move(paper.x + 20, paper.y + 20);
  await page.mouse.down();
  await page.mouse.move(paper.x + 60, paper.y + 40, { steps: 4 });
  await page.mouse.up();
  await other.waitForSelector("#board polyline >> nth=3", { state: "attached" });
  const readers = () => page.$$eval("#log .lines", (all) => all.map((one) => one.lastElementChild?.textContent));
  await page.waitForFunction(() => [...document.querySelectorAll("#log .lines")].every((one) => one.childElementCount > 2));
  seen.log = new Set((await readers()).map((line) => /\[\d+\]/.exec(line)[0])).size;
  await text(page, "#cut [data-way=down] .value", /^([5-9]|\d\d+)$/);
  await page.click("#cut button.cut");
  await text(page, "#cut .note", /nothing arrives/);
  const before = await page.$$eval("#cut .value", (all) => all.map((one) => Number(one.textContent)));
  await text(page, "#cut .note", /the same program goes on/);
  await page.waitForFunction((old) => [...document.querySelectorAll("#cut .value")].every((one, i) => Number(one.textContent) > old[i] + 5), before);
  seen.cut = await page.$$eval("#cut .sums", (all) => all.map((one) => one.textContent));

  seen.pond = await text(page, "#pond .note", /: 2 on the pond/);
  await page.click("#pond .water", { position: { x: 8, y: 8 } });
  await other.waitForFunction(() => document.querySelector("#pond .water circle:not(.own)")?.getAttribute("cx") < 40);

  await page.bringToFront();
  await page.evaluate(() => document.activeElement.blur());
  seen.wide = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  await page.screenshot({ path: png, fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  seen.narrow = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

  await page.setViewportSize({ width: 1280, height: 800 });
  const tab = context.waitForEvent("page");
  await page.click("#terminal a");
  await (await tab).waitForFunction(isPlayed);
  seen.game = (await tab).url();
  return seen;
}

async function editor(context) {
  const seen = {};
  const page = await open(context);
  seen.first = await text(page, "#editor .faults", /retrun/);
  await page.screenshot({ path: png });
  await page.click("#editor .faults li:has-text('retrun') button");
  seen.selected = await page.$eval("#editor textarea", (area) => area.value.slice(area.selectionStart, area.selectionEnd));
  await page.keyboard.type("return");
  await page.waitForFunction(() => !document.querySelector("#editor .faults").textContent.includes("retrun"));
  seen.second = await text(page, "#editor .faults", /./);
  await page.fill("#editor textarea", "// größer 漢字 😀\nint main(void) { return 0; }\n");
  seen.clean = await text(page, "#editor .note", /^no complaints$/);
  await page.fill("#editor textarea", "/* 😀 */ int x = <img src=x>;\n");
  seen.third = await text(page, "#editor .faults", /Expected expression/);
  seen.markup = await page.evaluate(() => document.querySelectorAll("#editor img").length);
  await page.click("#editor .faults button");
  seen.offset = await page.$eval("#editor textarea", (area) => area.value.slice(area.selectionStart)[0]);
  return seen;
}

async function consolePage(context) {
  const seen = {};
  const page = await open(context);
  seen.state = await text(page, "#state", /^connected/);
  await page.fill("#text", "<b>hello</b>");
  await page.press("#text", "Enter");
  seen.text = await text(page, "#log .in:last-child .body", /hello/);
  await page.selectOption("#kind", "hex");
  await page.fill("#text", "de ad BEEF 00");
  await page.click("#send");
  seen.hex = await text(page, "#log .in:last-child .body", /^de/);
  seen.size = await page.textContent("#log .in:last-child .size");
  await page.fill("#text", "xyz");
  await page.click("#send");
  seen.refused = await text(page, "#log .bad:last-child .body", /./);
  await page.click("#connect");
  seen.closed = await text(page, "#state", /^closed/);
  await page.fill("#protocols", "chat, binary");
  await page.click("#connect");
  seen.subprotocol = await text(page, "#state", /^connected/);
  await page.evaluate(() => { for (let i = 0; i < 600; i++) { document.getElementById("text").value = "00"; send(); } });
  await page.waitForFunction(() => /\b602 received/.test(document.getElementById("count").textContent));
  seen.lines = await page.evaluate(() => document.getElementById("log").childElementCount);
  return seen;
}

// How often the layout is asked for, while many messages come; what is kept of them; and what is typed.
async function consoleFlood(context) {
  const seen = {};
  await context.addInitScript(() => {
    const how = Object.getOwnPropertyDescriptor(Element.prototype, "scrollHeight");
    window.asked = 0;
    Object.defineProperty(Element.prototype, "scrollHeight", { get() { window.asked++; return how.get.call(this); } });
  });
  const page = await open(context);
  await text(page, "#state", /^connected/);
  const bottom = () => page.evaluate(() => log.scrollHeight - log.scrollTop - log.clientHeight < 5);
  const drawn = () => page.waitForFunction(() => waiting.length === 0);
  await drawn();
  seen.asked = await page.evaluate(() => {
    window.asked = 0;
    for (let i = 0; i < 5000; i++) account("in", `line ${i}`);
    return new Promise((done) => {
      const look = () => (waiting.length ? setTimeout(look, 10) : done(window.asked));
      look();
    });
  });
  await drawn();
  seen.counted = await text(page, "#count", /5,000 received/);
  seen.kept = await page.$$eval("#log .body", (all) => [all.length, all[0].textContent, all.at(-1).textContent]);
  seen.follows = await bottom();
  await page.evaluate(() => { for (let i = 0; i < 5000; i++) ws.send(`echo ${i}`); });
  await text(page, "#log .in:last-child .body", /^echo 4999$/);
  seen.echoed = await page.textContent("#count");
  await page.evaluate(() => { log.scrollTop = 0; });
  await page.evaluate(() => account("in", "while reading above"));
  await drawn();
  seen.stays = !(await bottom());

  await page.selectOption("#kind", "hex");
  await page.fill("#text", "68 c3 a9 0a");
  await page.click("#send");
  seen.hex = await text(page, "#log .in:last-child .body", /^68/);
  await page.selectOption("#view", "text");
  seen.asText = await page.textContent("#log .in:last-child .body");
  await page.selectOption("#view", "auto");
  seen.back = await page.textContent("#log .in:last-child .body");
  await page.selectOption("#kind", "text");
  seen.ends = [];
  for (const label of ["none", "LF", "CR LF", "CR"]) {
    await page.selectOption("#end", { label });
    await page.fill("#text", `end ${label}`);
    await page.press("#text", "Enter");
    await text(page, "#log .in:last-child .body", new RegExp(`^end ${label}[\\r\\n]*$`)); // not the one before, which may begin like it
    seen.ends.push(await page.$eval("#log .in:last-child .body", (one) => JSON.stringify(one.textContent)));
  }
  seen.recalled = [];
  await page.fill("#text", "draft");
  for (const key of ["ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown"]) {
    await page.press("#text", key);
    seen.recalled.push(await page.inputValue("#text"));
  }
  // filter, JSON, a file of all that is kept, and a message that connects
  await page.fill("#filter", "ECHO 499");
  seen.filtered = await page.$$eval("#log .in .body", (all) => [all.length, all.every((one) => one.textContent.startsWith("echo 499"))]);
  await page.evaluate(() => { account("in", "not this"); account("in", 'echo 4999 {"a":1}'); });
  await drawn();
  seen.filteredLater = await page.textContent("#log .in:last-child .body");
  await page.fill("#filter", "");
  await page.evaluate(() => account("in", '{"a":[1]}'));
  await page.selectOption("#view", "json");
  seen.json = await page.textContent("#log .in:last-child .body");
  await page.selectOption("#view", "auto");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  const saved = readFileSync(await file.path(), "utf8").trim().split("\n").map((one) => JSON.parse(one));
  seen.saved = [saved.length > 10000, saved.at(-1).text, saved.find((one) => one.hex)?.hex];
  await page.click("#connect");
  await text(page, "#state", /^closed/);
  await page.fill("#text", "again");
  await page.press("#text", "Enter");
  await text(page, "#log .in:last-child .body", /^again[\r\n]*$/);

  await page.click("#clear");
  seen.cleared = await page.evaluate(() => log.childElementCount);
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    await page.setViewportSize({ width, height });
    (seen.fits ??= []).push(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && log.clientHeight > 100));
  }
  if (png) {
    await page.evaluate(() => { account("out", "hello\n"); account("in", "hello, and a longer line that has to be broken somewhere on a phone\n");
      account("in", new Uint8Array([104, 195, 169, 10]).buffer); show("note", "connected to ws://127.0.0.1"); show("bad", "closed 1006"); });
    await drawn();
    await page.screenshot({ path: png + "-narrow.png" });
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.screenshot({ path: png + "-wide.png" });
  }
  return seen;
}

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: scheme });
  const seen = await ({ demo, editor, console: consolePage, flood: consoleFlood }[scene](context));
  console.log(JSON.stringify({ ...seen, faults }));
} catch (error) {
  console.error(String(error), JSON.stringify(faults));
  process.exitCode = 1;
} finally {
  await browser.close();
}
