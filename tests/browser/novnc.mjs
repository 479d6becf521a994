// SPDX-License-Identifier: MIT
// node novnc.mjs URL PNG: opens noVNC's page in Chromium, waits for the desktop, clicks on it at 60,60 and types a letter there.
// Prints colours seen in the canvas as JSON; a picture of the page goes to PNG.
import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"] });
try {
  const page = await browser.newPage({ viewport: { width: 700, height: 520 } });
  page.setDefaultTimeout(60_000);
  await page.goto(process.argv[2]);
  const pixel = (x, y) => page.evaluate(([x, y]) => {
    const canvas = document.querySelector("canvas");
    return canvas?.width > 300 ? [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3) : null;
  }, [x, y]);
  await page.waitForFunction(() => {
    const canvas = document.querySelector("canvas");
    return canvas?.width > 300 && canvas.getContext("2d").getImageData(400, 300, 1, 1).data.slice(0, 3).some((part) => part > 0);
  });
  const size = await page.evaluate(() => [document.querySelector("canvas").width, document.querySelector("canvas").height]);
  const colours = [await pixel(400, 300), await pixel(...size.map((edge) => edge - 1))];
  const canvas = await page.locator("canvas").first().boundingBox();
  const scale = canvas.width / size[0];
  await page.mouse.move(canvas.x + 60 * scale, canvas.y + 60 * scale);
  await page.mouse.down();
  await page.mouse.up();
  await page.keyboard.press("w");
  await page.screenshot({ path: process.argv[3] });
  console.log(JSON.stringify({ size, colours }));
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
} finally {
  await browser.close();
}
