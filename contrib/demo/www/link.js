// SPDX-License-Identifier: MIT
// One card's connection: shows its state and how it ended.
import { Link } from "./client/index.js";

// on: {open(), text(string), bytes(ArrayBuffer), closed()}, all optional. how: options of the link
export function connect(card, on, how = {}) {
  const pill = document.createElement("button");
  pill.type = "button";
  pill.className = "pill";
  pill.onclick = () => (link.state === "open" ? link.close() : link.connect());
  card.querySelector("h2").after(pill);
  const show = (state, text, hint) => {
    card.dataset.state = state;
    pill.textContent = text;
    pill.title = hint;
  };

  const link = new Link(card.dataset.path, how);
  link.on("connecting", () => show("busy", "connecting", ""));
  link.on("open", () => {
    show("open", "connected", "Click to disconnect");
    on.open?.();
  });
  link.on("message", ({ data }) => (typeof data === "string" ? on.text?.(data) : on.bytes?.(data)));
  link.on("close", ({ code, words, retryIn }) => {
    if (retryIn === null && code === 1000) show("ended", `${words} · again`, "Click to connect again");
    else if (retryIn === null) show("closed", `closed ${code}: ${words} · reconnect`, "Click to connect again");
    else show("closed", `${words} · next try in ${Math.ceil(retryIn / 1000)} s`, "Click to try now");
    on.closed?.();
  });
  show("busy", "connecting", "");
  return link;
}

// Sends, if there is somebody to send to. What becomes of the connection is shown by its card.
export function tell(link, message) {
  if (link.state !== "open") return false;
  link.send(message).catch(() => {});
  return true;
}

// Adds a line to a list, as text whatever it holds, and forgets old ones.
export function addLine(list, text, kind) {
  const item = document.createElement("li");
  item.textContent = text;
  if (kind) item.className = kind;
  list.append(item);
  while (list.childElementCount > 200) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}
