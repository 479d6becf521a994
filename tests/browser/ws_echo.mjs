// SPDX-License-Identifier: MIT
// node ws_echo.mjs URL [SUBPROTOCOL ...]: echo, ping and close with the client of the package ws. Prints one JSON object.
import { WebSocket } from "ws";

const [url, ...protocols] = process.argv.slice(2);
const socket = new WebSocket(url, protocols, { handshakeTimeout: 10000 });
const result = { protocol: null, extensions: null, messages: [], pongs: [] };
const sent = [
  ["text", "Grüße, κόσμε! 🚀"],
  ["text", ""],
  ["binary", Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  ["binary", Buffer.alloc(300000, 0xa5)],
  ["text", "x".repeat(70000)],
];

socket.on("error", (error) => {
  console.error(String(error));
  process.exit(1);
});
socket.on("open", () => {
  result.protocol = socket.protocol;
  result.extensions = socket.extensions;
  socket.ping("are you there?");
  for (const [, data] of sent) socket.send(data);
  socket.send("in ", { fin: false });
  socket.send("three ", { fin: false });
  socket.send("fragments", { fin: true });
});
socket.on("pong", (data) => result.pongs.push(data.toString()));
socket.on("message", (data, isBinary) => {
  const expected = sent[result.messages.length] ?? ["text", "in three fragments"];
  const same = isBinary === (expected[0] === "binary") && Buffer.from(expected[1]).equals(data);
  result.messages.push(same ? "same" : `${isBinary ? "binary" : "text"} of ${data.length} bytes instead of ${expected[0]}`);
  if (result.messages.length === sent.length + 1) socket.close(4321, "enough");
});
socket.on("close", (code) => {
  console.log(JSON.stringify({ ...result, code }));
});
