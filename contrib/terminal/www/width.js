// SPDX-License-Identifier: MIT
// How many columns a character takes: as in Unicode 15, character by character, as programs count by wcwidth(). xterm.js knows
// Unicode 6; its add-on knows 11; below is what has become wide since.
import { Unicode11Addon } from "./vendor/addon-unicode11.mjs";

const WIDE = [[0x4dc0, 0x4dff], [0x16fe4, 0x16fe4], [0x16ff0, 0x16ff1], [0x17000, 0x18cd5], [0x18d00, 0x18d08], [0x1aff0, 0x1affe],
  [0x1b000, 0x1b2fb], [0x1f6d5, 0x1f6d7], [0x1f6dc, 0x1f6df], [0x1f6fa, 0x1f6fc], [0x1f7e0, 0x1f7eb], [0x1f7f0, 0x1f7f0],
  [0x1f90c, 0x1f93a], [0x1f93c, 0x1f945], [0x1f947, 0x1f9ff], [0x1fa70, 0x1fa7c], [0x1fa80, 0x1fa88], [0x1fa90, 0x1fabd],
  [0x1fabf, 0x1fac5], [0x1face, 0x1fadb], [0x1fae0, 0x1fae8], [0x1faf0, 0x1faf8]];

export function setWidths(terminal) {
  let older;
  new Unicode11Addon().activate({ unicode: { register: (provider) => (older = provider) } });
  const newer = Object.create(older, {
    version: { value: "15" },
    wcwidth: { value: (code) => (WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : older.wcwidth(code)) },
  });
  terminal.unicode.register(newer);
  terminal.unicode.activeVersion = newer.version;
}
