// SPDX-License-Identifier: MIT
// node mqtt_round_trip.mjs URL: publish and subscribe with MQTT.js through a WebSocket. Prints one JSON object.
import mqtt from "mqtt";
import { WebSocket } from "ws";

const topic = "wsluice/test";
const payloads = ["first", "Grüße 🚀", "", "x".repeat(200000)];
const received = [];
let socket;
const client = mqtt.connect(process.argv[2], {
  reconnectPeriod: 0,
  connectTimeout: 10000,
  protocolVersion: 5,
  createWebsocket: (url, protocols, options) => (socket = new WebSocket(url, protocols, options.wsOptions)),
});

client.on("error", (error) => {
  console.error(String(error));
  process.exit(1);
});
client.on("message", (_, payload) => {
  received.push(payload.toString());
  if (received.length === payloads.length) finish();
});
await new Promise((resolve) => client.on("connect", resolve));
const granted = await client.subscribeAsync(topic, { qos: 1 });
for (const payload of payloads) await client.publishAsync(topic, payload, { qos: 1 });

async function finish() {
  await client.endAsync();
  const same = received.every((text, i) => text === payloads[i]);
  console.log(JSON.stringify({ subprotocol: socket.protocol, qos: granted[0].qos, count: received.length, same }));
  process.exit(0);
}
