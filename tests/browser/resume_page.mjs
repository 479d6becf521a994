// SPDX-License-Identifier: MIT
// node resume_page.mjs URL: contrib/client with `resume` in a page in Chromium. The page's folder has index.js and other.html; /flood is
// flood.py with `session: token`. Prints what it saw as JSON.
import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"] });
const faults = [], seen = {};

// What the page has got is kept beside what the library keeps, message by message: the next number must be the next one.
async function start(page) {
  await page.evaluate(async () => {
    const { Link } = await import("./index.js");
    const last = JSON.parse(sessionStorage.last ?? '{"n":0,"e":0,"sent":0}');
    Object.assign(window, { last, wrong: [], told: [] });
    window.link = new Link("flood", { resume: { alive: 300 }, retry: { first: 20, most: 100 } });
    link.on("message", ({ data }) => {
      const [kind, number] = data.split(" ");
      if (Number(number) !== ++last[kind]) wrong.push(`${data} after ${last[kind] - 1}`);
      sessionStorage.last = JSON.stringify(last);
    });
    for (const type of ["new", "resumed", "skipped"]) link.on(type, () => told.push(type));
    window.say = async (count) => {
      for (let i = 0; i < count; i++) link.send(String(++last.sent));
      while (last.e < last.sent) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await link.ready();
  });
}

const state = (page) => page.evaluate(() => ({ told, wrong, equal: last.e === last.sent }));
const grows = (page) => page.evaluate(() => last.n).then((n) => page.waitForFunction((before) => last.n > before, n));

try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(process.argv[2]);
  await start(page);
  await page.evaluate(() => say(100));
  for (let i = 0; i < 3; i++) { // without a network, and what is said meanwhile
    await context.setOffline(true);
    await page.evaluate(() => void (window.saying = say(50)));
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
    await context.setOffline(false);
    await page.evaluate(() => saying);
  }
  seen.offline = await state(page);
  seen.first = seen.offline.told[0];
  delete seen.offline.told;

  await grows(page);
  await page.reload();
  await start(page);
  await grows(page);
  await page.evaluate(() => say(10));
  seen.reload = await state(page);
  seen.reload.told = seen.reload.told[0]; // once more when the machine is so busy that an answer came late

  await page.goto(process.argv[2] + "other.html");
  await page.goBack();
  seen.fromCache = await page.evaluate(() => "link" in window);
  if (!seen.fromCache) await start(page);
  await grows(page);
  await page.evaluate(() => say(10));
  seen.back = await state(page);
  seen.back.told = seen.back.told.at(-1);

  // a page that the browser made of ours has a copy of its storage, and so of its token
  const [twin] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => void window.open(location.href))]);
  await twin.waitForLoadState();
  await twin.evaluate(() => delete sessionStorage.last);
  await start(twin);
  await grows(twin);
  seen.twin = await state(twin);
  seen.twin.told = seen.twin.told[0];
  await grows(page);
  seen.ours = await page.evaluate(() => [link.state, wrong]);

  // it is killed, and comes back with its storage
  const storage = await page.evaluate(() => Object.entries({ ...sessionStorage }));
  await page.evaluate(() => { window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })); });
  seen.asleep = await page.evaluate(() => link.state);
  await page.evaluate(() => { window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })); });
  await grows(page);
  seen.awake = await state(page);
  seen.awake.told = seen.awake.told.at(-1);
  seen.keys = storage.map(([key]) => key.replace(/ws:\/\/[^/]*/, "")).sort();
  console.log(JSON.stringify({ ...seen, faults }));
} catch (error) {
  console.error(String(error), JSON.stringify(seen), JSON.stringify(faults));
  process.exitCode = 1;
} finally {
  await browser.close();
}
