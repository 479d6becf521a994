// SPDX-License-Identifier: MIT
// node terminal.mjs URL FOLDER: contrib/terminal in Chromium. URL/shell/ is a bash whose prompt is "$ ", URL/watch/ a clock nobody
// can write to. Prints what it saw as JSON; pictures go to FOLDER.
import { browser, clear, lines, open, ready, run, see, seen, status, until } from "./terminal_lib.mjs";

const [base, folder] = process.argv.slice(2);
const size = (page) => page.evaluate(() => [window.terminal.rows, window.terminal.cols].join(" "));
const shot = (page, name) => page.screenshot({ path: `${folder}/terminal-${name}.png` });

async function settled(page, before) { // a resize has reached the terminal, and its size the program
  await page.waitForFunction((old) => [window.terminal.rows, window.terminal.cols].join(" ") !== old, before);
  return size(page);
}

async function shell(page) {
  await ready(page);
  await run(page, "echo $((6*7)) $TERM; stty size");
  seen.answer = (await until(page, /\n(42 .*)\n(\d+ \d+)\n/))[1];
  seen.size = [(await until(page, /\n(\d+ \d+)\n/))[1], await size(page)];
  await page.setViewportSize({ width: 700, height: 420 });
  const smaller = await settled(page, seen.size[1]);
  await clear(page);
  await run(page, "stty size");
  seen.resized = [(await until(page, /\n(\d+ \d+)\n/))[1], smaller];
  await clear(page);
  await run(page, "printf '\\e[38;2;250;10;20mC%s\\e[0m \\e[4mU\\e[0m \u00fc\ud83d\ude80\\n' OLOUR");
  await until(page, /COLOUR U ü🚀/);
  seen.colour = await (await page.waitForFunction(() => { // it is drawn a little later
    const span = [...document.querySelectorAll(".xterm-rows span")].find((one) => one.textContent.startsWith("COLOUR"));
    return span && getComputedStyle(span).color;
  })).jsonValue();
  await page.setViewportSize({ width: 900, height: 560 });
  await settled(page, smaller);
  await clear(page);
}

async function fullScreen(page) {
  await run(page, "vi -u NONE poem.txt");
  await until(page, /\n~\n~\n/);
  await page.keyboard.type("iin the vi ");
  const before = await size(page);
  await page.setViewportSize({ width: 760, height: 480 }); // in the middle of it
  const rows = Number((await settled(page, before)).split(" ")[0]);
  await until(page, new RegExp(`^in the vi *\\n(~\\n){${rows - 2}}`), "vi in its new size");
  seen.vi = await page.evaluate(() => window.terminal.buffer.active.type);
  await page.keyboard.press("Escape");
  await run(page, ":wq");
  await ready(page);
  await run(page, "cat poem.txt");
  await until(page, /\nin the vi\s*\n/);
  await page.setViewportSize({ width: 900, height: 560 });
  await settled(page, `${rows}`);
  await clear(page);

  await run(page, "htop -d 5");
  await until(page, /PID.*USER/);
  await until(page, /F10/);
  await shot(page, "htop");
  await page.keyboard.press("q");
  await ready(page);

  await clear(page);
  await run(page, "/usr/games/tetris-bsd");
  await until(page, /Score: 0[^]*j - left/);
  for (const key of "jjjj   lll  kj ") { // each dropped piece scores
    await page.keyboard.press(key);
    await page.waitForTimeout(30);
  }
  await until(page, /Score: [1-9]/);
  await shot(page, "game");
  await page.keyboard.press("q");
  await until(page, /press RETURN|score|\$ $/i);
  await page.keyboard.press("Enter");
  await ready(page);
  await clear(page);
}

async function copyAndPaste(page) {
  await page.evaluate(() => navigator.clipboard.writeText("echo pasted | tr a-z A-Z"));
  await page.keyboard.press("Control+Shift+V");
  await until(page, /echo pasted/);
  await page.keyboard.press("Enter");
  await until(page, /\nPASTED\n/);
  await page.evaluate(() => window.terminal.select(5, 0, 0) ?? window.terminal.selectLines(1, 1));
  const line = await page.evaluate(() => window.terminal.getSelection());
  await page.keyboard.press("Control+Shift+C");
  await page.waitForFunction((text) => navigator.clipboard.readText().then((now) => now === text), line);
  seen.copied = line.trim();
  await clear(page);
  // more than the terminal takes at once, and slowly read: 300,000 bytes in lines, all of them counted
  await run(page, "stty -echo; echo ready; cut -c1-99 | wc");
  await until(page, /\nready\n/); // bash has left its bracketed paste
  await page.evaluate(() => window.terminal.paste(`${"x".repeat(59)}\n`.repeat(5000)));
  await page.keyboard.press("Control+d");
  await until(page, /5000 +5000 +300000/);
  await run(page, "stty echo");
  await clear(page);
}

async function flood(page) {
  const before = { ...page.orders };
  await run(page, "seq 400000; echo the end");
  await until(page, /\n399999\n400000\nthe end\n/);
  seen.paused = [page.orders[2] > before[2], page.orders[2] - before[2] === page.orders[3] - before[3]];
  await run(page, "yes");
  await until(page, /^y\ny\ny/m);
  await page.keyboard.press("Control+c");
  await ready(page);
  await clear(page);
}

async function endings(page) {
  await run(page, "exit 3");
  seen.ended = await status(page, /ended/);
  await shot(page, "ended");
  await page.keyboard.press("Enter");
  await ready(page);
  seen.again = (await lines(page)).filter(Boolean).length;
  await run(page, "kill -9 $$");
  seen.killed = await status(page, /killed/);
}

await see(async () => {
  const context = await browser.newContext({ viewport: { width: 900, height: 560 }, colorScheme: "dark", permissions: ["clipboard-read", "clipboard-write"] });
  const page = await open(context, base + "/shell/");
  await shell(page);
  seen.title = await page.title();
  await fullScreen(page);
  await copyAndPaste(page);
  await flood(page);
  await endings(page);

  const lost = await context.newPage();
  let cut;
  await lost.routeWebSocket(/shell/, (socket) => {
    socket.connectToServer();
    cut = () => socket.close({ code: 1001, reason: "shutdown" });
  });
  await lost.goto(base + "/shell/");
  await ready(lost);
  await run(lost, "x=kept; echo typed");
  await until(lost, /\ntyped\n/);
  await lost.evaluate(() => (Math.random = () => 0.9)); // time to read the words
  await cut();
  seen.lost = await status(lost, /next try/);
  await lost.waitForSelector("#status[data-state=open]", { state: "attached" });
  await ready(lost);
  await run(lost, "echo ${x-anew}");
  await until(lost, /\nanew\n/);
  await lost.close();

  const watch = await open(context, base + "/watch/");
  seen.watching = await status(watch, /watching/);
  await watch.keyboard.type("hello");
  await watch.keyboard.press("Control+c");
  const first = (await until(watch, /^(\d\d:\d\d:\d\d)\n/))[1];
  await until(watch, new RegExp(`^${first}\\n\\d\\d:\\d\\d:\\d\\d\\n`));
  seen.typed = (await lines(watch)).some((row) => /hello|\^C/.test(row));
  await shot(watch, "watch");

  // in a frame: of a page of ours it runs, of one of elsewhere it does not, even where the header of ours is missing
  const framed = await context.newPage();
  await framed.route("**/frame", (route) => route.fulfill({ contentType: "text/html", body: "<iframe></iframe>" }));
  await framed.route("**/watch/", async (route) => route.fulfill({ body: await (await route.fetch()).body(), contentType: "text/html" }));
  seen.framed = [];
  for (const [of, path] of [[base, "/shell/"], [base.replace("127.0.0.1", "localhost"), "/watch/"]]) {
    await framed.goto(of + "/frame");
    await framed.evaluate((src) => (document.querySelector("iframe").src = src), base + path);
    const inside = await (await framed.waitForSelector("iframe")).contentFrame();
    await inside.waitForFunction(() => ["open", "closed"].includes(document.getElementById("status")?.dataset.state));
    const status = inside.locator("#status");
    seen.framed.push((await status.getAttribute("data-state")) === "open" ? "open" : await status.textContent());
  }
});
