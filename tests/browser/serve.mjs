// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

// A wsluice for this test; it must end well when the test has ended.
export async function serve(t, ...args) {
  const log = [];
  const daemon = spawn(process.env.WSLUICE, ["-l", "127.0.0.1:0", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(async () => {
    if (daemon.exitCode === null) daemon.kill();
    const [status] = daemon.exitCode === null ? await once(daemon, "exit") : [daemon.exitCode];
    assert.equal(status, 0, log.join("\n"));
    assert.doesNotMatch(log.join("\n"), /Sanitizer|runtime error/);
  });
  const lines = createInterface(daemon.stderr);
  let over;
  const gone = new Promise((resolve) => (over = resolve)); // the first session that has ended
  const port = await new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      log.push(line);
      const found = /listening on ws:\/\/127.0.0.1:(\d+)/.exec(line);
      if (found) resolve(Number(found[1]));
      if (/ session closed /.test(line)) over();
    });
    lines.on("close", () => reject(new Error(log.join("\n"))));
  });
  return { port, url: `ws://127.0.0.1:${port}/`, daemon, log, gone };
}
