// SPDX-License-Identifier: MIT
// What tests of contrib/terminal in Chromium share: a browser, and looks at the terminal's cells.
import { chromium } from "playwright-core";

export const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"] });
export const faults = [], seen = {};

export async function open(context, address) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && !/^WebSocket connection to/.test(message.text()) && faults.push(message.text()));
  page.orders = { 2: 0, 3: 0 };
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => {
    const command = typeof payload === "string" ? payload[0] : String.fromCharCode(payload[0]);
    if (command in page.orders) page.orders[command]++;
  }));
  await page.goto(address);
  return page;
}

// Lines of the screen as they are now; with the cursor's last. All: with what has been scrolled away.
export const lines = (page, all = false) => page.evaluate((whole) => {
  const { active } = window.terminal.buffer, rows = [];
  for (let y = whole ? 0 : active.baseY; y < active.baseY + window.terminal.rows; y++)
    rows.push(active.getLine(y)?.translateToString(true).trimEnd() ?? "");
  return rows;
}, all);

export async function until(page, pattern, what = pattern) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const rows = await lines(page), found = pattern.exec(rows.join("\n"));
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`never seen: ${what}; the screen:\n${rows.join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

export const ready = (page) => until(page, /(^|\n)\$\n*$/, "a prompt");
export const status = (page, pattern) => page.waitForFunction((p) => new RegExp(p).test(document.getElementById("status").textContent),
  pattern.source).then(() => page.textContent("#status"));

export async function run(page, command) {
  await page.keyboard.type(command);
  await page.keyboard.press("Enter");
}
export async function clear(page) {
  await page.keyboard.press("Control+l");
  await until(page, /^\$\n*$/, "nothing but a prompt");
}

// Runs it, prints what was seen, and ends the browser.
export async function see(what) {
  try {
    await what();
    console.log(JSON.stringify({ ...seen, faults }));
  } catch (error) {
    console.error(String(error), JSON.stringify(seen), JSON.stringify(faults));
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
  process.exit(); // whatever still listens
}
