// SPDX-License-Identifier: MIT
// node terminal_picture.mjs URL PATH...: full screens in sessions that outlive a page, in Chromium. Each PATH is opened, its keys are pressed,
// then the page is reloaded: cell by cell, with cursor, modes and title, it must come to show the same. Prints what differs as JSON.
import { browser, open, see, seen, until } from "./terminal_lib.mjs";

const [base, ...paths] = process.argv.slice(2);
const KEYS = { vim: [/line 1 /, "Control+f", "/", "i", "s", "Enter", "V", "j", "j"], wide: [/end/], less: [/line 1 /, "Space", "/", "o", "f", "Enter"] };

const picture = (page) => page.evaluate(() => {
  const { terminal } = window, { active } = terminal.buffer, rows = [];
  for (let y = 0; y < terminal.rows; y++) {
    const line = active.getLine(active.baseY + y), row = [];
    for (let x = 0; x < terminal.cols; x++) {
      const cell = line.getCell(x), marks = [cell.isBold(), cell.isDim(), cell.isItalic(), cell.isUnderline(), cell.isInverse(), cell.isStrikethrough()];
      const isBlank = !cell.getChars().trim() && cell.getWidth() === 1 && !(marks[3] || marks[4] || marks[5]);
      const back = [cell.getBgColorMode(), cell.getBgColor()];
      row.push(isBlank ? ["", ...back].join() : [cell.getChars(), cell.getWidth(), cell.getFgColorMode(), cell.getFgColor(), ...back, ...marks.map(Number)].join());
    }
    rows.push(row);
  }
  return { rows, type: active.type, cursor: [active.cursorX, active.cursorY], modes: JSON.stringify(terminal.modes), title: document.title, size: [terminal.cols, terminal.rows] };
});

// The same twice in a row: nothing is on its way.
async function quiet(page) {
  for (let before = "", now; ; before = now) {
    now = JSON.stringify(await picture(page));
    if (now === before) return JSON.parse(now);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

function differences(a, b) {
  const found = Object.keys(a).filter((name) => name !== "rows" && String(a[name]) !== String(b[name])).map((name) => `${name}: ${a[name]} ${b[name]}`);
  a.rows.forEach((row, y) => row.forEach((cell, x) => cell !== b.rows[y]?.[x] && found.push(`${y};${x}: ${cell} | ${b.rows[y]?.[x]}`)));
  return found;
}

await see(async () => {
  for (const path of paths) {
    const page = await open(await browser.newContext({ viewport: { width: 900, height: 560 } }), `${base}/${path}/`);
    const [begin, ...keys] = KEYS[path];
    await until(page, begin);
    for (const key of keys) await page.keyboard.press(key);
    const before = await quiet(page), deadline = Date.now() + 10_000;
    await page.reload();
    do {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen[path] = await page.evaluate(() => Boolean(window.terminal)) ? differences(before, await picture(page)) : ["no page"];
    } while (seen[path].length && Date.now() < deadline);
    seen[path] = [before.type, ...seen[path].slice(0, 5)];
    await page.close();
  }
});
