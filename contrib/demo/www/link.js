// SPDX-License-Identifier: MIT
// One card's WebSocket: opens it, and shows its state and how it ended.

const CODES = {
  1000: "ended normally", 1001: "the server goes away", 1002: "protocol error", 1005: "ended", 1006: "connection lost or refused",
  1007: "not UTF-8", 1008: "too slow, or not allowed", 1009: "message too big", 1011: "the backend broke", 1013: "over a limit",
};

export function closeInWords({ code, reason }) {
  if (code > 4300 && code < 4400) return `the program died: ${reason || "signal " + (code - 4300)}`;
  if (code > 4000 && code < 4256) return `the program ended: ${reason || "exit " + (code - 4000)}`;
  return CODES[code] ?? reason;
}

export class Link {
  // on: {open(), text(string), bytes(ArrayBuffer), closed()}, all optional
  constructor(card, on) {
    Object.assign(this, { card, on, ws: null });
    this.pill = document.createElement("button");
    this.pill.type = "button";
    this.pill.className = "pill";
    this.pill.onclick = () => (this.ws ? this.ws.close(1000) : this.connect());
    card.querySelector("h2").after(this.pill);
    this.connect();
  }

  connect() {
    const url = new URL(this.card.dataset.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const ws = (this.ws = new WebSocket(url));
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      this.show("open", "connected", "Click to disconnect");
      this.on.open?.();
    };
    ws.onmessage = ({ data }) => (typeof data === "string" ? this.on.text?.(data) : this.on.bytes?.(data));
    ws.onclose = (event) => {
      this.ws = null;
      this.show("closed", `closed ${event.code}: ${closeInWords(event)} · reconnect`, "Click to connect again");
      this.on.closed?.();
    };
    this.show("busy", "connecting", "");
  }

  show(state, text, hint) {
    this.card.dataset.state = state;
    this.pill.textContent = text;
    this.pill.title = hint;
  }

  // false when there is nobody to send to
  send(data) {
    if (this.ws?.readyState !== WebSocket.OPEN) return false;
    this.ws.send(data);
    return true;
  }
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
