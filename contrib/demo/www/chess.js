// SPDX-License-Identifier: MIT
// The page knows no rule of chess: the engine tells the position ("d") and the legal moves ("go perft 1"), in its own words.
import { connect, tell } from "./link.js";

const NAMES = { p: "pawn", n: "knight", b: "bishop", r: "rook", q: "queen", k: "king" };
// A piece as shapes on 45 by 45: bodies, then lines on them.
const BASE = "M11 35h23v4.5H11z";
const SHAPES = {
  p: ["M22.5 9a6 6 0 0 1 4 10.5h2V22h-3c.5 5 3 9 6 13h-18c3-4 5.5-8 6-13h-3v-2.5h2A6 6 0 0 1 22.5 9z", ""],
  n: ["M13 35c0-9 8.5-10 8.5-15-4 1-6.5 5-9.5 4.5-2.5-.5-3.5-3-2.5-4.5 2.5-4 4.5-8 8.5-10l.5-4 4 3c8 1 11.5 9 10.5 26z", "M17.5 15.200h.1"],
  b: ["M22.5 6a3 3 0 0 1 2 5.200c5 3.300 8 8.800 5.5 13.800l-3.5 2.5L28.5 35h-12l2-7.5L15 25c-2.5-5 .5-10.5 5.5-13.800A3 3 0 0 1 22.5 6z", "M22.5 15v7M19 18.5h7"],
  r: ["M12 9h5v3.5h3.5V9h4v3.5H28V9h5v8l-3.5 3v11l3 4h-20l3-4V20L12 17z", "M16 20.5h13"],
  q: ["M22.5 7.5l4 11 6-9-1 11 5.5-6L33 31l1 4H11l1-4-4-16.5 5.5 6-1-11 6 9z", "M12.5 30.5h20"],
  k: ["M21 4.5h3V8h3.5v3H24v3.5c1.5 1.5 2 4 1.5 6.5C29 15.5 38 16.5 37.5 24c-.3 4-4 7-4.5 11H12c-.5-4-4.200-7-4.5-11C7 16.5 16 15.5 19.5 21c-.5-2.5 0-5 1.5-6.5V11h-3.5V8H21z", "M12.5 30.5h20M22.5 21v9"],
};

const element = document.getElementById("chess");
const board = element.querySelector(".board"), status = element.querySelector(".status"), level = element.querySelector(".level");
const squares = new Map();
let moves = [], asked = null, position = null, chosen = null, thinking = false, restart = false;

function svg(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
function drawPiece(letter) {
  const [body, lines] = SHAPES[letter.toLowerCase()];
  const picture = svg("svg", { viewBox: "0 0 45 45", class: letter === letter.toLowerCase() ? "black" : "white" });
  picture.append(svg("path", { d: body }), svg("path", { d: BASE }), svg("path", { d: lines, class: "detail" }));
  return picture;
}

for (let i = 0; i < 64; i++) {
  const name = "abcdefgh"[i % 8] + (8 - (i >> 3)), square = document.createElement("button");
  square.type = "button";
  square.className = ((i % 8) + (i >> 3)) % 2 ? "dark" : "light";
  square.dataset.square = name;
  square.tabIndex = name === "e2" ? 0 : -1;
  square.onclick = () => click(name);
  square.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 }[event.key];
    const next = step && board.children[i + step];
    if (!next || (step * step === 1 && (i >> 3) !== ((i + step) >> 3))) return;
    event.preventDefault();
    square.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  squares.set(name, square);
  board.append(square);
}

function draw() {
  const rows = position.fen.split(" ")[0].replace(/\d/g, (n) => " ".repeat(n)).split("/").join("");
  const last = moves.at(-1) ?? "";
  [...squares].forEach(([name, square], i) => {
    const piece = rows[i].trim();
    square.replaceChildren(...(piece ? [drawPiece(piece)] : []));
    const colour = piece === piece.toLowerCase() ? "black" : "white";
    square.setAttribute("aria-label", name + (piece && ` ${colour} ${NAMES[piece.toLowerCase()]}`));
    square.classList.toggle("last", last.slice(0, 2) === name || last.slice(2, 4) === name);
    square.classList.toggle("check", position.check && piece === (position.white ? "K" : "k"));
    square.classList.toggle("chosen", name === chosen);
    square.classList.toggle("target", Boolean(chosen) && position.legal.some((move) => move.startsWith(chosen + name)));
  });
  const pairs = moves.map((move, i) => (i % 2 ? move : `${i / 2 + 1}. ${move}`));
  element.querySelector(".moves").textContent = pairs.join(" ");
  element.querySelector(".moves").scrollLeft = 1e6;
}

function click(name) {
  if (!position?.white || thinking) return;
  const move = chosen && position.legal.find((legal) => legal.startsWith(chosen + name)); // of promotions the first
  const queen = move && position.legal.find((legal) => legal === chosen + name + "q");
  if (move) {
    play(queen ?? move);
    return;
  }
  chosen = position.legal.some((legal) => legal.startsWith(name)) ? name : null;
  draw();
}

function play(move) {
  chosen = null;
  moves.push(move);
  look();
}

// Asks for the position after all moves so far; the answer ends with "Nodes searched".
function look() {
  asked = { legal: [], fen: "", check: false };
  position = null;
  tell(link, "position startpos moves " + moves.join(" "));
  tell(link, "d");
  tell(link, "go perft 1");
}

function seen() {
  position = asked;
  asked = null;
  position.white = position.fen.split(" ")[1] === "w";
  draw();
  if (position.legal.length === 0) {
    status.textContent = !position.check ? "a draw: no move is left" : position.white ? "mate: Stockfish has won" : "mate: you have won!";
  } else if (position.white) {
    const hint = moves.length ? "your move" : "your move: click a piece";
    status.textContent = (position.check ? "check! " : "") + hint;
  } else {
    thinking = true;
    tell(link, `setoption name Skill Level value ${level.value}`);
    tell(link, "go movetime 600");
    status.textContent = "Stockfish thinks";
  }
}

function newGame() {
  restart = thinking; // its answer to the old game must come first
  if (restart || asked) return;
  moves = [];
  chosen = null;
  tell(link, "ucinewgame");
  look();
}

function onLine(line) {
  const legal = /^([a-h][1-8][a-h][1-8][nbrq]?): 1$/.exec(line);
  const info = /^info depth (\d+) .*score cp (-?\d+)/.exec(line);
  const best = /^bestmove ([a-h][1-8][a-h][1-8][nbrq]?)/.exec(line);
  if (line === "uciok") newGame();
  else if (asked && line.startsWith("Fen: ")) asked.fen = line.slice(5);
  else if (asked && line.startsWith("Checkers:")) asked.check = line.trim() !== "Checkers:";
  else if (asked && legal) asked.legal.push(legal[1]);
  else if (asked && line.startsWith("Nodes searched")) seen();
  else if (thinking && info) status.textContent = `thinking: depth ${info[1]}, you are at ${(-info[2] / 100).toFixed(1)}`;
  else if (thinking && best) {
    thinking = false;
    if (restart) newGame();
    else play(best[1]);
  }
}

const link = connect(element, {
  open: () => {
    thinking = restart = false;
    tell(link, "uci");
  },
  text: onLine,
  closed: () => {
    position = asked = null;
    status.textContent = "the engine is gone";
  },
});
element.querySelector(".again").onclick = newGame;
