// SPDX-License-Identifier: MIT
// node client_page.mjs URL: contrib/client in a page in Chromium. The page's folder has index.js; routes are /cat, /echo, /sort, /3
// and /once, which ends at once. Prints what it saw as JSON.
import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"] });
const faults = [];
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(process.argv[2]);

  const seen = await page.evaluate(async () => {
    const { Link, bytes } = (window.client = await import("./index.js"));
    window.next = (link, type) => new Promise((resolve) => link.on(type, resolve, { once: true }));
    const seen = {};

    const cat = new Link("cat"); // relative to the page
    cat.ready().then(() => cat.send("2^64 🚀"));
    for await (const line of cat) {
      seen.cat = line;
      cat.close();
    }

    const sort = new Link("sort");
    await sort.ready();
    ["b", "a"].forEach((line) => sort.send(line));
    await sort.end();
    seen.sort = [];
    for await (const line of sort) seen.sort.push(line);

    seen.exit = (await next(new Link("3"), "close")).words;
    seen.refused = await (async () => {
      const { code, words, opened } = await next(new Link("nowhere", { retry: false }), "close");
      return [code, words, opened];
    })();

    const echo = new Link("echo", { highWater: 1 << 16 });
    await echo.ready();
    seen.rtt = await echo.roundTrip();
    let sent = 0;
    const writer = (async () => {
      for (; sent < 200; sent++) await echo.send(new Uint8Array(50_000).fill(sent)); // 10 MB, never much of it waiting
    })();
    let got = 0;
    for await (const message of echo) {
      if (message.byteLength !== 50_000 || bytes(message)[7] !== got % 256) throw new Error(`message ${got}`);
      if (++got < 200) continue;
      await writer;
      echo.close();
    }
    seen.echo = [sent, got];
    return seen;
  });

  // no try without a network, and one soon when it is back
  await page.evaluate(() => {
    window.tries = 0;
    window.once = new client.Link("once", { retry: { first: 10, most: 20, when: () => true } });
    once.on("connecting", () => tries++);
  });
  await page.waitForFunction(() => tries > 2);
  await context.setOffline(true);
  await page.waitForFunction(() => !navigator.onLine && once.state === "waiting");
  seen.offline = await page.evaluate(() => {
    const before = tries;
    return new Promise((resolve) => setTimeout(() => resolve(tries - before), 200));
  });
  await context.setOffline(false);
  seen.online = await page.evaluate(() => next(once, "open").then(() => once.close()).then(() => "open again"));

  // a hidden page takes its time, and tries soon when somebody looks at it
  Object.assign(seen, await page.evaluate(async () => {
    const show = (state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    };
    Math.random = () => 0.5;
    show("hidden");
    const link = new client.Link("once", { retry: { first: 10, most: 1e6, when: () => true } });
    const { retryIn } = await next(link, "close");
    show("visible");
    await next(link, "open");
    link.close();
    return { hidden: retryIn, visible: "open again" };
  }));
  console.log(JSON.stringify({ ...seen, faults }));
} catch (error) {
  console.error(String(error), JSON.stringify(faults));
  process.exitCode = 1;
} finally {
  await browser.close();
}
