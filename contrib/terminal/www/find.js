// SPDX-License-Identifier: MIT
// Search in what is on the screen and above it: Ctrl+Shift+F.
import { SearchAddon } from "./vendor/addon-search.mjs";

const MARKS = { matchBackground: "#8a6300", matchOverviewRuler: "#c99a2e", activeMatchBackground: "#c2410c", activeMatchColorOverviewRuler: "#f97316" };

export class Find {
  #terminal;
  #addon = new SearchAddon();
  #form = document.getElementById("find");
  #input = this.#form.querySelector("input");

  constructor(terminal) {
    const count = this.#form.querySelector("span");
    this.#terminal = terminal;
    terminal.loadAddon(this.#addon);
    this.#addon.onDidChangeResults(({ resultIndex, resultCount }) => {
      count.textContent = !this.#input.value ? "" : resultCount ? `${resultIndex + 1 || "…"} of ${resultCount}` : "nowhere";
    });
    this.#input.addEventListener("input", () => this.#go(true, { incremental: true }));
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("click", ({ target: { value } }) => {
      if (value === "close") this.close();
      else if (value === "next" || value === "previous") this.#go(value === "next");
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      else if (event.key === "Enter") this.#go(!event.shiftKey);
      else return;
      event.preventDefault();
    });
  }

  #go(isForward, how = {}) {
    const options = { ...how, decorations: MARKS }, text = this.#input.value;
    if (!text) this.#addon.clearDecorations();
    else if (isForward) this.#addon.findNext(text, options);
    else this.#addon.findPrevious(text, options);
  }

  open() {
    const selected = this.#terminal.getSelection();
    if (selected && !selected.includes("\n")) this.#input.value = selected;
    this.#form.hidden = false;
    this.#input.focus();
    this.#input.select();
    if (this.#input.value) this.#go(false);
  }

  close() {
    this.#addon.clearDecorations();
    this.#form.hidden = true;
    this.#terminal.focus();
  }
}
