// SPDX-License-Identifier: MIT
// What sessions can do that outlive a connection, and that are shared.
import { Link, worthRetrying } from "./client/index.js";
import { addLine, connect, tell } from "./link.js";

const card = (id) => document.getElementById(id);

// Two counters over a line that can be cut: what was on its way is thrown away, both ways, and for a while there is no line.
{
  const element = card("cut"), AWAY = 1500, CUT = 4998; // milliseconds; the code of a Close of ours
  const [up, down] = ["up", "down"].map((way) => element.querySelector(`[data-way=${way}]`)), note = element.querySelector(".note");
  let socket = null, cutUntil = 0, cuts = 0, sent = null, last = 0, lost = 0, twice = 0;
  class Line extends WebSocket {
    constructor(...how) {
      if (Date.now() < cutUntil) throw new Error("the line is cut");
      super(...how);
      socket = this;
    }
  }
  const show = (row, count, missing, again) => {
    row.querySelector(".value").textContent = count;
    row.querySelector(".sums").textContent = `lost ${missing}, twice ${again}`;
  };
  const onLine = (line) => {
    const [way, ...numbers] = line.split(" "), [n] = numbers.map(Number);
    if (way === "up") return show(up, ...numbers);
    if (n <= last) twice++;
    else lost += n - last - 1;
    last = Math.max(last, n);
    show(down, last, lost, twice);
  };
  const retry = { first: 400, when: (close) => close.code === CUT || worthRetrying(close) };
  const link = connect(element, { text: onLine }, { resume: { replay: false }, retry, WebSocket: Line });
  link.on("new", () => ([sent, last, lost, twice] = [0, 0, 0, 0]));
  link.on("resumed", () => cuts && (note.textContent = `cut ${cuts}×: the same program goes on`));
  setInterval(() => link.state !== "closed" && sent !== null && link.send(String(++sent)).catch(() => {}), 200);
  element.querySelector("button.cut").onclick = () => {
    if (link.state !== "open") return;
    cutUntil = Date.now() + AWAY;
    note.textContent = `cut ${++cuts}×: nothing arrives`;
    socket.onmessage = null;
    socket.send = () => {};
    socket.close(CUT);
    socket.onclose({ code: CUT, reason: "cut", wasClean: false });
  };
}

// One process, two readers: as two windows would be.
for (const element of document.querySelectorAll("#log .half")) {
  const lines = element.querySelector(".lines");
  connect(element, { text: (line) => addLine(lines, line) });
}

// A chat in awk: the program knows its clients apart.
{
  const element = card("talk"), lines = element.querySelector(".lines"), input = element.querySelector("input");
  const link = connect(element, { text: (line) => addLine(lines, line, line.startsWith("- ") ? "event" : "") });
  const say = (text) => tell(link, text);
  element.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim() && say(input.value.trim())) input.value = "";
  };
  for (const chip of element.querySelectorAll(".chips button")) chip.onclick = () => say(chip.textContent);
}

// A drawing board in awk. A stroke is a colour and points; who comes gets all that was drawn.
{
  const element = card("board"), paper = element.querySelector("svg"), note = element.querySelector(".note");
  const WIDTH = 400, HEIGHT = 200, MOST = 120; // points of a stroke
  const EXAMPLE = ["4 150,60 150,66", "4 240,60 240,66", "2 130,110 150,135 180,148 210,148 240,135 260,110"];
  const colour = Math.floor(Math.random() * 8);
  let stroke = [], line = null, count = 0;
  const draw = (hue, points) => {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    shape.setAttribute("points", points);
    shape.setAttribute("stroke", `hsl(${hue * 45} 75% 45%)`);
    paper.append(shape);
    return shape;
  };
  const at = (event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(paper.getScreenCTM().inverse());
    return `${Math.round(Math.min(WIDTH, Math.max(0, x)))},${Math.round(Math.min(HEIGHT, Math.max(0, y)))}`;
  };
  const onLine = (text) => {
    const [first, ...rest] = text.split(" ");
    if (first === "here") {
      note.textContent = `${rest[0]} at the board: draw, others see it`;
      if (count === 0 && rest[0] === "1") for (const example of EXAMPLE) tell(link, example);
    } else if (first === "clear") {
      paper.replaceChildren();
    } else if (/^\d$/.test(first)) {
      count++;
      draw(first, rest.join(" "));
    }
  };
  const end = () => {
    if (stroke.length > 1) tell(link, `${colour} ${stroke.join(" ")}`);
    line?.remove(); // it comes back
    [stroke, line] = [[], null];
  };
  paper.onpointerdown = (event) => {
    paper.setPointerCapture(event.pointerId);
    stroke = [at(event)];
    line = draw(colour, stroke[0]);
  };
  paper.onpointermove = (event) => {
    if (!line || stroke.at(-1) === at(event)) return;
    stroke.push(at(event));
    line.setAttribute("points", stroke.join(" "));
    if (stroke.length >= MOST) {
      const last = stroke.at(-1);
      end();
      stroke = [last];
      line = draw(colour, last);
    }
  };
  paper.onpointerup = paper.onpointercancel = end;
  element.querySelector("button.clear").onclick = () => tell(link, "clear");
  const link = connect(element, { text: onLine, open: () => ((count = 0), paper.replaceChildren()) });
}
