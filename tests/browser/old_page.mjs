// A page of the old stack in a real browser: plain `new WebSocket(url)`, no subprotocol, the token in a cookie or in
// `?token=`, a heartbeat on every endpoint. Run by `make test-browser`, which sets up playwright-core.
//
//   node old_page.mjs CARILLON_BINARY [--chromium PATH]

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options, positionals: [binary] } = parseArgs({
  allowPositionals: true,
  options: { chromium: { type: "string", default: "/usr/bin/chromium" } },
});
assert(binary, "name the server's binary");

const GREETINGS = {
  "/ws/dashboard/": ["connection_established"],
  "/ws/dashboard/admin/": ["admin_connection_established"],
  "/ws/subscriptions/": ["connection_established"],
  "/ws/subscriptions/admin/": ["admin_connection_established"],
  "/ws/notifications/": ["connection_established", "unread_count"],
  "/ws/presence/": ["online_users", "user_online"],
};

const dir = await mkdtemp(join(tmpdir(), "carillon-old-page-"));
const token = execFileSync(binary, ["token", "--dev", "--staff", "--user", "3", "--username", "root"]).toString().trim();
const server = spawn(binary, ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", join(dir, "data")], {
  stdio: ["ignore", "pipe", "inherit"],
});
const base = await new Promise((resolve, reject) => {
  server.stdout.on("data", (text) => { const at = /http:\/\/[0-9.:]+/.exec(text); if (at) resolve(at[0]); });
  server.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
});
const browser = await chromium.launch({
  executablePath: options.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  await run();
  console.log("ok: a page of the old stack, as it is");
} finally {
  await browser.close();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGKILL");
  await ended;
  await rm(dir, { recursive: true, force: true });
}

async function run() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${base}/healthz`); // any page of this host
  const refused = await page.evaluate(talk, { path: "/ws/dashboard/", query: "", wanted: 1 });
  assert.deepEqual(refused, { failed: true }, "without a token");

  for (const [way, query] of [["query", `?token=${token}`], ["cookie", ""]]) {
    if (way === "cookie") await context.addCookies([{ name: "carillon_token", value: token, url: base }]);
    for (const [path, greeting] of Object.entries(GREETINGS)) {
      const isAnswered = path === "/ws/dashboard/";
      const wanted = greeting.length + (isAnswered ? 1 : 0);
      const { frames, protocol, code } = await page.evaluate(talk, { path, query, wanted });
      const types = frames.map((frame) => frame.type);
      assert.deepEqual(types, isAnswered ? [...greeting, "heartbeat_response"] : greeting, `${path} by ${way}`);
      assert.equal(protocol, "", "nothing was offered, nothing is selected");
      assert.equal(code, 1000, "closed as the page asked");
    }
    console.log(`  six sockets by ${way}`);
  }
}

/** In the page: opens a socket, beats, closes once `wanted` frames have come and the beat cannot be answered any more. */
function talk({ path, query, wanted }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}${path}${query}`);
    const frames = [];
    socket.onopen = () => socket.send(JSON.stringify({ type: "heartbeat", timestamp: Date.now() }));
    socket.onmessage = (event) => {
      frames.push(JSON.parse(event.data));
      if (frames.length === wanted) socket.close(1000);
    };
    socket.onclose = (event) => {
      resolve(frames.length ? { frames, protocol: socket.protocol, code: event.code } : { failed: true });
    };
  });
}
