// SPDX-License-Identifier: MIT
// node auth_cookie.mjs URL TOKEN NAME PASSWORD: the terminal page behind a token in its address, at URL/token/, and behind a password,
// at URL/basic/; then in a browser that has nothing but the cookie. Prints what it saw as JSON.
import { chromium } from "playwright-core";

const [base, token, username, password] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"] });

// What the page got: statuses other than 200, and whether its WebSocket brought a prompt.
async function visit(context, path) {
  const page = await context.newPage(), refused = [];
  page.setDefaultTimeout(60_000);
  page.on("response", (response) => response.status() >= 400 && !response.url().endsWith("/favicon.ico") && refused.push(response.status()));
  try {
    // without a password for Basic the browser shows no page at all
    await page.goto(base + path).catch((error) => { if (!/ERR_INVALID_AUTH_CREDENTIALS/.test(error)) throw error; });
    if (refused.length === 0) {
      await page.waitForFunction(() => {
        const rows = window.terminal?.buffer.active;
        return rows?.getLine(0)?.translateToString(true).startsWith("$");
      });
    }
    if (refused.length > 0) return { refused };
    return { refused, script: await page.evaluate(() => document.cookie) };
  } finally {
    await page.close();
  }
}

async function cookies(context) {
  return (await context.cookies()).map(({ name, path, httpOnly, secure, sameSite }) => ({ name, path, httpOnly, secure, sameSite }));
}

const seen = {};
try {
  const tokens = await browser.newContext();
  seen.token = await visit(tokens, `/token/?token=${token}`);
  seen.tokenCookie = await cookies(tokens);
  seen.without = await visit(await browser.newContext(), "/token/");

  const basic = await browser.newContext({ httpCredentials: { username, password } });
  seen.basic = await visit(basic, "/basic/");
  seen.basicCookie = await cookies(basic);
  // as on iOS: the password stays away, the cookie comes
  const bare = await browser.newContext();
  await bare.addCookies(await basic.cookies());
  seen.bare = await visit(bare, "/basic/");
  seen.elsewhere = await visit(bare, "/other/");
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
