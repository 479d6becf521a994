// SPDX-License-Identifier: MIT
import { Lines, Link } from "./client/index.js";
import { addLine, connect, tell } from "./link.js";

const card = (id) => document.getElementById(id);

// Calls say(text) for what the card's form is given.
function onSay(element, say) {
  const input = element.querySelector("input");
  element.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim() && say(input.value.trim())) input.value = "";
  };
}

// The calculator: a line to bc, its lines back.
{
  const element = card("calc"), lines = element.querySelector(".lines");
  const link = connect(element, { text: (line) => addLine(lines, line, "answer"), open: () => lines.firstChild || say("6*7") });
  const say = (text) => tell(link, text) && (addLine(lines, text, "question"), true);
  onSay(element, say);
  for (const chip of element.querySelectorAll(".chips button")) chip.onclick = () => say(chip.textContent);
}

// The clock: nothing to send, a line arrives each second.
{
  const element = card("clock"), time = element.querySelector(".big"), note = element.querySelector(".note");
  let count = 0;
  connect(element, {
    open: () => (count = 0),
    text: (line) => {
      time.textContent = line;
      note.textContent = `line ${++count}: pushed, nobody asked`;
    },
  });
}

// The echo: the next message leaves a little after the last one came back.
{
  const KEEP = 60, PAUSE = 200, WARM = 3; // the first ones measure how the page loads
  const element = card("echo"), [line, area] = ["polyline", "polygon"].map((name) => element.querySelector(name));
  let times = [], count = 0;
  const draw = () => {
    const top = Math.max(1, ...times) * 1.15;
    const points = times.map((ms, i) => `${((KEEP - times.length + i) * 240) / (KEEP - 1)},${(48 - (ms * 46) / top).toFixed(1)}`);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", [`${((KEEP - times.length) * 240) / (KEEP - 1)},48`, ...points, "240,48"].join(" "));
  };
  const measure = async () => {
    try {
      while (link.state === "open") {
        const ms = await link.roundTrip();
        if (++count > WARM) times = [...times, ms].slice(-KEEP);
        const median = [...times].sort((a, b) => a - b)[times.length >> 1] ?? ms;
        element.querySelector(".value").textContent = median.toFixed(1);
        element.querySelector(".note").textContent = `now ${ms.toFixed(1)} ms · ${count} there and back`;
        draw();
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    } catch {
      // closed in between; the next open measures again
    }
  };
  const link = connect(element, { open: measure });
}

// The chat: a TCP service sends bytes; where a line ends is ours to see.
{
  const element = card("chat"), lines = element.querySelector(".lines");
  let splitter;
  const link = connect(element, {
    open: () => (splitter = new Lines()),
    bytes: (buffer) => {
      for (const line of splitter.push(buffer)) addLine(lines, line, line.startsWith("* ") ? "event" : "");
    },
  });
  onSay(element, (text) => tell(link, text + "\n"));
}

// The pond: a UDP service. A message is a datagram: where our duck is, and back where all of them are.
{
  const element = card("pond"), water = element.querySelector(".water"), note = element.querySelector(".note");
  const here = [40 + Math.random() * 175, 20 + Math.random() * 60];
  let count = 0, timer = 0;
  const swim = () => tell(link, Uint8Array.from(here));
  const duck = (number, x, y, own) => {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: own ? 6 : 4.5, fill: `hsl(${(number * 137) % 360} 65% 50%)` }))
      dot.setAttribute(name, value);
    if (own) dot.setAttribute("class", "own");
    return dot;
  };
  water.onclick = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(water.getScreenCTM().inverse());
    here[0] = Math.max(0, Math.min(255, at.x));
    here[1] = Math.max(0, Math.min(100, at.y));
    swim();
  };
  const link = connect(element, {
    open: () => ((count = 0), swim(), (timer = setInterval(swim, 1000))), // else the service forgets us
    closed: () => clearInterval(timer),
    bytes: (buffer) => {
      const all = new Uint8Array(buffer), ducks = [];
      for (let i = 0; i + 2 < all.length; i += 3) ducks.unshift(duck(all[i], all[i + 1], all[i + 2], i === 0));
      water.replaceChildren(...ducks);
      note.textContent = `datagram ${++count}: ${ducks.length} on the pond, click to swim`;
    },
  });
}

// What else is there is told by a program.
for await (const offers of new Link("offers")) {
  for (const one of document.querySelectorAll("[data-offer]")) {
    one.hidden = !offers.split(" ").includes(one.dataset.offer);
    const frame = one.querySelector("iframe");
    if (frame && !one.hidden) frame.src = frame.dataset.src;
  }
}
