// SPDX-License-Identifier: MIT
// node page.mjs URL [SWITCH ...]: opens the page in Chromium, waits until it has set window.result, prints that as JSON, with what the
// browser complained about. CHROMIUM names another binary; switches are the browser's.
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", ...process.argv.slice(3)],
});
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const response = await page.goto(process.argv[2], { timeout: 60000 });
  let result = null;
  try {
    const handle = await page.waitForFunction("window.result", null, { timeout: 60000 });
    result = await handle.jsonValue();
  } catch (error) {
    complaints.push(String(error));
  }
  console.log(JSON.stringify({ status: response.status(), type: response.headers()["content-type"], result, complaints }));
} finally {
  await browser.close();
}
