// SPDX-License-Identifier: MIT
// To the clipboard and from it. On plain http of another machine a browser has no navigator.clipboard: then a copy is made by the old
// command, which wants a key or a click, and a paste by a box to paste into.
const MOST = 1 << 20; // characters that a program may put there at once

const pasteBox = document.getElementById("paste"), ask = document.getElementById("ask");

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

function copyByCommand(text) {
  let done = false;
  const put = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData.setData("text/plain", text);
    done = true;
  };
  document.addEventListener("copy", put, { capture: true, once: true });
  document.execCommand("copy");
  document.removeEventListener("copy", put, { capture: true });
  return done;
}

export async function paste(terminal) {
  let text = null;
  try {
    text = await navigator.clipboard.readText();
  } catch {
    text = await askForText();
  }
  if (text) terminal.paste(text);
  terminal.focus();
}

function askForText() {
  const field = pasteBox.querySelector("textarea");
  pasteBox.returnValue = "";
  pasteBox.showModal();
  field.focus();
  return new Promise((resolve) => pasteBox.addEventListener("close", () => {
    resolve(pasteBox.returnValue === "paste" ? field.value : "");
    field.value = "";
  }, { once: true }));
}

// OSC 52: the program asks to put something on the clipboard. The user is asked once; reading is never allowed.
export function allowCopies(terminal) {
  let allowed = null;
  terminal.parser.registerOscHandler(52, (data) => {
    const text = decode(data);
    if (text && allowed !== false) put(text);
    return true;
  });
  async function put(text) {
    const wasAllowed = allowed === true;
    if (wasAllowed && (await copy(text))) return;
    const what = wasAllowed ? "The browser wants a click to copy" : "The program wants to copy";
    allowed = await question(`${what} ${text.length} characters to your clipboard`, "Copy");
    if (allowed) await copy(text);
    terminal.focus();
  }
}

function decode(data) {
  const [, base64] = /^[cps0-7]*;([\w+/=]*)$/.exec(data) ?? [];
  if (!base64 || base64.length > (MOST * 4) / 3) return "";
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  } catch {
    return "";
  }
}

// A question beside the terminal, which goes on. A newer one takes its place, as if it had been denied.
let answer = () => {};
export function question(words, yes) {
  answer(false);
  ask.querySelector("span").textContent = words;
  ask.querySelector("[value=yes]").textContent = yes;
  ask.hidden = false;
  return new Promise((resolve) => {
    answer = (is) => {
      ask.hidden = true;
      answer = () => {};
      resolve(is);
    };
  });
}
ask.addEventListener("click", ({ target }) => target.value && answer(target.value === "yes"));
