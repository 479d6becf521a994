// SPDX-License-Identifier: MIT
// What can be said about the terminal: by the server's owner (tty-preferences), by the page's address, and by the user, who makes the
// font larger. Names are those of xterm.js and of ttyd.
const NUMBERS = ["fontSize", "letterSpacing", "lineHeight", "minimumContrastRatio", "scrollback", "tabStopWidth"];
const FLAGS = ["cursorBlink", "disableStdin", "macOptionIsMeta", "screenReaderMode"];
const WORDS = ["cursorStyle", "fontFamily", "fontWeight"];
const OURS = ["disableLeaveAlert", "disableReconnect", "titleFixed"]; // of ttyd's page, and of this one
const FONT_SIZE = { least: 6, most: 48, usual: 15, key: "wsluice terminal fontSize" };

const DARK = { background: "#10181e", foreground: "#dbe6ec", cursor: "#47c1dd", selectionBackground: "#2f6f86" };
const LIGHT = {
  background: "#fbfcfd", foreground: "#1b2730", cursor: "#0b7285", cursorAccent: "#fbfcfd", selectionBackground: "#b9dfe8",
  black: "#1b2730", red: "#b3261e", green: "#0b6b33", yellow: "#7a5600", blue: "#1d4fb4", magenta: "#8a2a9c", cyan: "#0b6472", white: "#6a7781",
  brightBlack: "#57646e", brightRed: "#c9342b", brightGreen: "#167c40", brightYellow: "#8a6300", brightBlue: "#2862cf",
  brightMagenta: "#9d3ab0", brightCyan: "#0e7585", brightWhite: "#87939c",
};
const prefersLight = matchMedia("(prefers-color-scheme: light)");

export class Options {
  titleFixed = null;
  disableLeaveAlert = false;
  disableReconnect = false;
  #terminal;
  #onChange;
  #given = {}; // by the server's owner
  #asked = {}; // by the page's address

  // onChange: cells have another size now
  constructor(terminal, query, onChange) {
    this.#terminal = terminal;
    this.#onChange = onChange;
    for (const [name, text] of new URLSearchParams(query)) {
      if (NUMBERS.includes(name)) this.#asked[name] = Number(text);
      else if (FLAGS.includes(name) || name.startsWith("disable")) this.#asked[name] = text !== "false" && text !== "0";
      else if (WORDS.includes(name) || name === "titleFixed" || name === "theme") this.#asked[name] = text;
    }
    delete this.#asked.disableStdin; // not for an address to say
    prefersLight.addEventListener("change", () => this.#paint());
    this.#apply();
  }

  static initial() {
    return { allowProposedApi: true, cursorBlink: true, scrollback: 10_000, fontSize: FONT_SIZE.usual,
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace' };
  }

  prefer(given) {
    this.#given = given;
    this.#apply();
  }

  #apply() {
    const all = { ...this.#given, ...this.#stored, ...this.#asked };
    for (const name of [...NUMBERS, ...FLAGS, ...WORDS]) if (name in all) this.#set(name, all[name]);
    for (const name of OURS) if (name in all) this[name] = all[name];
    this.#terminal.options.cursorBlink &&= !this.#terminal.options.disableStdin;
    this.#paint();
    this.#onChange();
  }

  #set(name, value) {
    try {
      this.#terminal.options[name] = name === "fontSize" ? fitting(value) : value;
    } catch {
      // a value that xterm.js knows better
    }
  }

  // The address chooses between ours only: colours of its own could hide what is on the screen.
  #paint() {
    const wanted = this.#asked.theme ?? this.#given.theme, own = wanted !== null && typeof wanted === "object";
    const isLight = own ? isBright(wanted.background) : wanted === "light" || (wanted !== "dark" && prefersLight.matches);
    const theme = own ? { ...(isLight ? LIGHT : DARK), ...wanted } : isLight ? LIGHT : DARK;
    this.#terminal.options.theme = theme;
    if (!("minimumContrastRatio" in { ...this.#given, ...this.#asked })) this.#terminal.options.minimumContrastRatio = isLight ? 4.5 : 1;
    document.documentElement.dataset.theme = isLight ? "light" : "dark";
    document.documentElement.style.setProperty("--back", theme.background);
  }

  get #stored() {
    try {
      const size = Number(localStorage.getItem(FONT_SIZE.key));
      return size ? { fontSize: size } : {};
    } catch {
      return {}; // the user wants no storage
    }
  }

  get fontSize() {
    return this.#terminal.options.fontSize;
  }

  // The user's own choice, for all terminals of this origin. null: what it would be without.
  set fontSize(size) {
    const wanted = size === null ? this.#asked.fontSize ?? this.#given.fontSize ?? FONT_SIZE.usual : size;
    this.#terminal.options.fontSize = fitting(wanted);
    try {
      if (size === null) localStorage.removeItem(FONT_SIZE.key);
      else localStorage.setItem(FONT_SIZE.key, fitting(size));
    } catch {
      // then for this time only
    }
    this.#onChange();
  }
}

const fitting = (size) => Math.min(FONT_SIZE.most, Math.max(FONT_SIZE.least, Math.round(size) || FONT_SIZE.usual));

function isBright(colour) {
  const [, r, g, b] = /^#(..)(..)(..)/.exec(colour ?? "")?.map((two) => parseInt(two, 16)) ?? [0, 0, 0, 0];
  return 0.3 * r + 0.6 * g + 0.1 * b > 128;
}
