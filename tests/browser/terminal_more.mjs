// SPDX-License-Identifier: MIT
// node terminal_more.mjs PART URL FOLDER: contrib/terminal in Chromium, one of the parts below. URL/shell/ is a bash whose prompt is
// "$ ", in FOLDER; /kept/, /short/ and /small/ are such in kept sessions: as usual; gone at once; with a small ring. Prints what it saw as JSON.
import { existsSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";

import { browser, clear, lines, open, ready, run, see, seen, status, until } from "./terminal_lib.mjs";

const [part, base, folder] = process.argv.slice(2);
const permissions = ["clipboard-read", "clipboard-write"];
const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());
const cell = (page, row, column) => page.evaluate(([y, x]) => window.terminal.buffer.active.getLine(y).getCell(x).getChars(), [row, column]);
const typed = (page) => page.evaluate(() => (window.terminal.onData((data) => (window.typed ??= []).push(data)), null));

// ---- on a desk

async function desk() {
  const context = await browser.newContext({ viewport: { width: 900, height: 560 }, colorScheme: "dark", permissions });
  const page = await open(context, base + "/shell/");
  await ready(page);

  await run(page, "printf '\ud83c\udf89\ud83c\udf89\ud83c\udf89x\ud83e\udee0y\u6f22z\\n'");
  await until(page, /x🫠y漢z\n\$/);
  seen.widths = [await cell(page, 1, 6), await cell(page, 1, 9), await cell(page, 1, 12)];

  const copies = (text) => run(page, `printf '\\e]52;c;${Buffer.from(text).toString("base64")}\\a'`);
  await copies("first");
  await page.waitForSelector("#ask");
  seen.asked = await page.textContent("#ask span");
  await page.click("#ask [value=yes]");
  await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text === "first"));
  await copies("second");
  await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text === "second"));
  seen.askedAgain = await page.isVisible("#ask");
  await run(page, "printf '\\e]52;c;?\\a'; read -t 0.3 -n 1 x; echo \"[$x]\""); // it would have to answer with what is there
  await until(page, /\n\[\]\n/);

  await run(page, "printf '\\a'");
  await page.waitForSelector("#screen.bell");

  await clear(page);
  await run(page, "echo at https://example.org/there now");
  await until(page, /\nat https/);
  await context.route("https://example.org/**", (route) => route.fulfill({ body: "there" }));
  const opened = context.waitForEvent("page");
  const box = await page.locator(".xterm-screen").boundingBox(), [rows, cols] = await page.evaluate(() => [window.terminal.rows, window.terminal.cols]);
  await page.mouse.move(box.x + (box.width / cols) * 8, box.y + (box.height / rows) * 1.5);
  await page.mouse.click(box.x + (box.width / cols) * 9, box.y + (box.height / rows) * 1.5, { delay: 50 });
  const other = await opened;
  await other.waitForURL("https://example.org/there");
  seen.opener = await other.evaluate(() => window.opener);
  await other.close();

  await run(page, "seq 300");
  await until(page, /\n300\n\$/);
  await page.keyboard.press("Control+Shift+F");
  await page.keyboard.type("123");
  await page.waitForFunction(() => /^\d+ of \d+$/.test(document.querySelector("#find span").textContent));
  seen.found = [await page.textContent("#find span"), await page.evaluate(() => window.terminal.getSelection())];
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement.classList.contains("xterm-helper-textarea"));

  const size = await page.evaluate(() => window.terminal.options.fontSize);
  await page.keyboard.press("Control+Shift+Equal");
  await page.keyboard.press("Control+Shift+Equal");
  const other2 = await open(context, base + "/shell/");
  seen.larger = (await other2.evaluate(() => window.terminal.options.fontSize)) - size;
  await other2.close();
  const asked = await open(context, base + "/shell/?fontSize=22&theme=light&titleFixed=mine&disableStdin=true&cursorStyle=bar");
  await ready(asked);
  await run(asked, "printf '\\e]2;other\\a'; echo $((6*7))");
  await until(asked, /\n42\n/);
  seen.options = await asked.evaluate(() => [window.terminal.options.fontSize, window.terminal.options.cursorStyle, document.title,
    document.documentElement.dataset.theme]);
  await asked.close();
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");

  const asks = async () => { // whether the page wants to be left
    const dialog = new Promise((resolve) => page.once("dialog", (it) => it.dismiss().then(() => resolve(it.type()))));
    await page.close({ runBeforeUnload: true });
    return Promise.race([dialog, page.waitForEvent("close").then(() => "no")]);
  };
  seen.leave = [await asks()];
  await run(page, "exit");
  await status(page, /Enter starts it again/);
  await page.keyboard.press("Enter");
  await ready(page);
  seen.kept = (await lines(page, true)).filter((line) => /^299$|begins anew|^\$$/.test(line)).map((line) => line.replace(/.*·/, ""));
  await run(page, "exit");
  await status(page, /Enter starts it again/);
  seen.leave.push(await asks());
}

// ---- by fingers

async function fingers() {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "light", permissions });
  const page = await open(context, base + "/shell/");
  const devtools = await context.newCDPSession(page), touch = (type, ...points) =>
    devtools.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  const swipe = (from, to) => devtools.send("Input.synthesizeScrollGesture",
    { x: 150, y: from, yDistance: to - from, speed: 1200, gestureSourceType: "touch", preventFling: true });
  await ready(page);
  await run(page, "seq 200");
  await until(page, /\n200\n\$/);
  await swipe(200, 600);
  await page.waitForFunction(() => window.terminal.buffer.active.viewportY < window.terminal.buffer.active.baseY - 10);

  // full screens get arrows, or the wheel where they ask for a mouse
  await typed(page);
  const swiped = async (modes) => {
    await page.evaluate((text) => new Promise((resolve) => window.terminal.write(text, resolve)), modes);
    await page.evaluate(() => (window.typed = []));
    await swipe(200, 500);
    await page.waitForFunction(() => window.typed.length > 5);
    return page.evaluate(() => [...new Set(window.typed.map((data) => data.replace(/\d+;\d+M$/, "")))]);
  };
  seen.full = [await swiped("\x1b[?1049h"), await swiped("\x1b[?1000h\x1b[?1006h")];
  await page.evaluate(() => window.terminal.write("\x1b[?1000l\x1b[?1006l\x1b[?1049l"));

  // the bar
  const tap = (key) => page.tap(`#keys [value=${key}]`);
  await page.evaluate(() => (window.typed = []));
  for (const key of ["escape", "tab", "up", "ctrl", "left", "alt", "right"]) await tap(key);
  seen.bar = await page.evaluate(() => window.typed.join(" "));
  await page.keyboard.press("Control+c");
  await run(page, "clear; cat");
  await until(page, /^\n/);
  await run(page, "some words-here");
  await until(page, /^some words-here\nsome/);
  await tap("ctrl");
  seen.held = await page.getAttribute("#keys [value=ctrl]", "aria-pressed");
  await page.keyboard.type("d");
  await until(page, /\n\$\n/);

  // a long press is a word; moved on it is more; then it is copied
  const box = await page.locator(".xterm-screen").boundingBox(), [rows, cols] = await page.evaluate(() => [window.terminal.rows, window.terminal.cols]);
  const at = (row, column) => [box.x + (box.width / cols) * (column + 0.5), box.y + (box.height / rows) * (row + 0.5)];
  await touch("touchStart", at(0, 7));
  await page.waitForFunction(() => window.terminal.getSelection() !== "");
  seen.word = await page.evaluate(() => window.terminal.getSelection());
  await touch("touchMove", at(1, 3));
  await touch("touchEnd");
  await page.tap("#copy [value=copy]");
  await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text.endsWith("some")));
  seen.copied = await clipboard(page);
  await tap("paste");
  await until(page, /\$ words-here/);

  const size = await page.evaluate(() => window.terminal.options.fontSize);
  await touch("touchStart", [150, 300], [250, 300]);
  for (let i = 1; i <= 5; i++) await touch("touchMove", [150 - 10 * i, 300], [250 + 10 * i, 300]);
  await touch("touchEnd");
  seen.pinched = (await page.evaluate(() => window.terminal.options.fontSize)) / size;

  await page.keyboard.press("Control+c");
  await run(page, "exit 3");
  seen.ended = await status(page, /ended/);
  await page.tap("#status");
  await ready(page);
}

// ---- sessions that outlive their connection, through something that can be cut

const sockets = new Set();
let isCut = false;
const middle = createServer((near) => {
  if (isCut) return near.destroy();
  const far = connect(Number(new URL(base).port), "127.0.0.1");
  for (const one of [near, far]) one.on("error", () => {}).on("close", () => (near.destroy(), far.destroy()));
  sockets.add(near);
  near.pipe(far).pipe(near);
});
function cut(stays) {
  isCut = stays;
  for (const socket of sockets) socket.destroy();
  sockets.clear();
}
const open_ = (page) => page.waitForSelector("#status[data-state=open]", { state: "attached" });
async function fact(is) {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function sessions() {
  await new Promise((resolve) => middle.listen(0, "127.0.0.1", resolve));
  const through = `http://127.0.0.1:${middle.address().port}`;
  const context = await browser.newContext({ viewport: { width: 900, height: 560 } });
  const page = await open(context, through + "/kept/");
  await ready(page);
  seen.told = await page.evaluate(() => [window.terminal.options.fontSize, document.title]);
  await run(page, "x=kept; echo one");
  await until(page, /\none\n\$/);
  cut(true);
  await status(page, /next try/);
  await page.keyboard.type("echo in between $x"); // Enter would be for the page now
  isCut = false;
  await page.evaluate(() => document.getElementById("status").click());
  await open_(page);
  await page.keyboard.press("Enter");
  await until(page, /\nin between kept\n\$/);
  seen.afterCut = (await lines(page)).filter(Boolean);
  await page.reload();
  await until(page, /\nin between kept\n\$/);
  seen.afterReload = (await lines(page)).filter(Boolean);
  await run(page, "echo $x again");
  await until(page, /\nkept again\n/);

  // another connection takes over, and gives it back
  await page.evaluate(() => {
    const key = Object.keys(sessionStorage).find((name) => name.startsWith("wsluice")), { token } = JSON.parse(sessionStorage[key]);
    window.other = new WebSocket(location.href.replace("http", "ws"), [`session.wsluice.${token}`, "tty"]);
    return new Promise((resolve) => (window.other.onopen = resolve));
  });
  seen.taken = await status(page, /taken/);
  await page.click("#status");
  await open_(page);
  await clear(page);
  await run(page, "echo $x and back");
  await until(page, /\nkept and back\n/);
  await run(page, "exit");
  await status(page, /starts it again/);
  await page.close();

  const short = await open(context, through + "/short/");
  await ready(short);
  await run(short, "echo before");
  await until(short, /\nbefore\n/);
  cut(false);
  seen.gone = await status(short, /gone/);
  await short.keyboard.press("Enter");
  await ready(short);
  seen.above = (await lines(short, true)).includes("before");
  await short.close();

  const small = await open(context, through + "/small/");
  await ready(small);
  await run(small, "until [ -e go ]; do sleep 0.02; done; seq -f %0100.0f 2000; touch done");
  await until(small, /touch done\n/);
  cut(true);
  writeFileSync(`${folder}/go`, "");
  await fact(() => existsSync(`${folder}/done`));
  isCut = false;
  await small.evaluate(() => document.getElementById("status").click());
  await small.waitForFunction(() => document.getElementById("status").dataset.state === "open");
  const told = async () => (seen.gap = (await lines(small, true)).filter((line) => line.startsWith("[some"))).length > 0;
  while (!(await told())) await new Promise((resolve) => setTimeout(resolve, 50));
  await clear(small);
  await run(small, "echo and on");
  await until(small, /\nand on\n/);
  await run(small, "exit");
  await status(small, /starts it again/);
  middle.close();
}

await see({ desk, fingers, sessions }[part]);
