// SPDX-License-Identifier: MIT
// For fingers: a bar with the keys that their keyboards lack, a long press that selects, two fingers that change the size.
// Scrolling is xterm.js's own.
import { copy, paste } from "./clipboard.js";

const LONG = 450, REPEAT = [400, 60]; // milliseconds: a press that selects; an arrow that is held, its first and further repeats
const MOVED = 10; // pixels that are no press any more
const KEYS = { escape: "\x1b", tab: "\t", up: "A", down: "B", right: "C", left: "D" };
const BORDERS = " ()[]{}<>'\"`,;|│";

export const hasFingers = matchMedia("(pointer: coarse)").matches;

// Keys of the bar. Ctrl and Alt hold for the next key, wherever that comes from.
export class KeyBar {
  #terminal;
  #bar = document.getElementById("keys");
  #held = { ctrl: false, alt: false };
  #timer = 0;

  constructor(terminal) {
    this.#terminal = terminal;
    if (!hasFingers) return;
    this.#bar.hidden = false;
    this.#bar.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // or the keyboard would go
      this.#press(event.target.value, REPEAT[0]);
    });
    for (const type of ["pointerup", "pointercancel", "pointerleave"]) this.#bar.addEventListener(type, () => clearTimeout(this.#timer));
    this.#bar.addEventListener("contextmenu", (event) => event.preventDefault());
    // a screen reader, or a keyboard, clicks without a pointer
    this.#bar.addEventListener("click", (event) => event.detail === 0 && this.#press(event.target.value, 0));
  }

  #press(key, again) {
    if (key in this.#held) this.#hold(key, !this.#held[key]);
    else if (key === "paste") paste(this.#terminal);
    else if (key in KEYS) this.#terminal.input(this.#codes(key));
    clearTimeout(this.#timer);
    if (again && ["up", "down", "left", "right"].includes(key)) this.#timer = setTimeout(() => this.#press(key, REPEAT[1]), again);
  }

  #hold(key, is) {
    this.#held[key] = is;
    this.#bar.querySelector(`[value=${key}]`).ariaPressed = String(is);
  }

  #codes(key) {
    if (KEYS[key].length > 1 || "\x1b\t".includes(KEYS[key])) return KEYS[key];
    const modifiers = 1 + 2 * this.#held.alt + 4 * this.#held.ctrl;
    this.#hold("ctrl", false);
    this.#hold("alt", false);
    if (modifiers > 1) return `\x1b[1;${modifiers}${KEYS[key]}`;
    return (this.#terminal.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[") + KEYS[key];
  }

  // What is typed, with what is held.
  with(data) {
    const { ctrl, alt } = this.#held;
    if (!ctrl && !alt) return data;
    this.#hold("ctrl", false);
    this.#hold("alt", false);
    const first = ctrl && /^[@-_a-z ?]/.test(data) ? String.fromCharCode(data[0] === "?" ? 127 : data.charCodeAt(0) & 31) : data[0];
    return (alt ? "\x1b" : "") + first + data.slice(1);
  }
}

export class Fingers {
  #terminal;
  #options;
  #screen;
  #timer = 0;
  #start = null; // of one finger: {x, y}
  #anchor = null; // of a selection: where it began, [first, last] as cells counted from the buffer's begin
  #pinch = null; // of two fingers: {distance, size}
  #toolbar = document.getElementById("copy");

  constructor(terminal, options, screen) {
    [this.#terminal, this.#options, this.#screen] = [terminal, options, screen];
    const how = { capture: true, passive: false };
    screen.addEventListener("touchstart", (event) => this.#onStart(event), how);
    screen.addEventListener("touchmove", (event) => this.#onMove(event), how);
    for (const type of ["touchend", "touchcancel"]) screen.addEventListener(type, (event) => this.#onEnd(event), how);
    screen.addEventListener("contextmenu", (event) => hasFingers && event.preventDefault());
    terminal.onSelectionChange(() => terminal.hasSelection() || (this.#toolbar.hidden = true));
    this.#toolbar.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#toolbar.addEventListener("click", ({ target: { value } }) => this.#onTool(value));
  }

  async #onTool(value) {
    if (value === "copy") await copy(this.#terminal.getSelection());
    if (value === "paste") await paste(this.#terminal);
    this.#terminal.clearSelection();
    this.#toolbar.hidden = true;
  }

  #onStart(event) {
    const [one, two] = event.touches;
    clearTimeout(this.#timer);
    this.#start = { x: one.clientX, y: one.clientY };
    if (two) {
      this.#pinch = { distance: distance(one, two), size: this.#options.fontSize };
      stop(event);
    } else {
      this.#timer = setTimeout(() => this.#select(), LONG);
    }
  }

  #onMove(event) {
    const [one, two] = event.touches;
    if (this.#pinch && two) {
      this.#options.fontSize = this.#pinch.size * (distance(one, two) / this.#pinch.distance);
      stop(event);
    } else if (this.#anchor) {
      this.#extend(this.#cell(one.clientX, one.clientY));
      stop(event);
    } else if (this.#pinch) {
      stop(event); // one of two fingers has gone
    } else if (Math.hypot(one.clientX - this.#start.x, one.clientY - this.#start.y) > MOVED) {
      clearTimeout(this.#timer);
    }
  }

  #onEnd(event) {
    clearTimeout(this.#timer);
    if (this.#anchor || this.#pinch) stop(event);
    if (this.#anchor) this.#toolbar.hidden = false;
    this.#anchor = null;
    if (!event.touches.length) this.#pinch = null;
  }

  // The cell below a point, counted from the begin of the buffer.
  #cell(x, y) {
    const { cols, rows, buffer } = this.#terminal, box = this.#screen.querySelector(".xterm-screen").getBoundingClientRect();
    const column = Math.min(cols - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * cols)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(((y - box.top) / box.height) * rows)));
    return (buffer.active.viewportY + row) * cols + column;
  }

  // The word below the finger, or the one cell.
  #select() {
    const at = this.#cell(this.#start.x, this.#start.y), { cols, buffer } = this.#terminal;
    const row = Math.floor(at / cols), line = buffer.active.getLine(row);
    const isBorder = (column) => BORDERS.includes(line.getCell(column)?.getChars() || (line.getCell(column)?.getWidth() === 0 ? "x" : " "));
    let first = at % cols, last = first;
    while (!isBorder(at % cols) && first > 0 && !isBorder(first - 1)) first--;
    while (!isBorder(at % cols) && last + 1 < cols && !isBorder(last + 1)) last++;
    this.#anchor = [row * cols + first, row * cols + last];
    navigator.vibrate?.(10);
    this.#toolbar.style.top = `${Math.max(8, this.#start.y - 90)}px`;
    this.#extend(at);
  }

  #extend(to) {
    const { cols } = this.#terminal, first = Math.min(this.#anchor[0], to), last = Math.max(this.#anchor[1], to);
    this.#terminal.select(first % cols, Math.floor(first / cols), last - first + 1);
  }
}

const distance = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
function stop(event) {
  event.preventDefault();
  event.stopPropagation();
}
