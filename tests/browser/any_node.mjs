// A page with the client that the server brings and the addresses of three nodes: whichever is killed, it comes back at
// another. And what it makes of the codes of closes. Run by `make test-browser`, which sets up playwright-core.
//
//   node any_node.mjs CARILLON_BINARY WEBSOCKET_CLIENT_JS [--chromium PATH]

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options, positionals: [binary, client] } = parseArgs({
  allowPositionals: true,
  options: { chromium: { type: "string", default: "/usr/bin/chromium" } },
});
assert(binary && client, "name the server's binary and the client's file");
const PATIENCE_MS = 20_000;

const dir = await mkdtemp(join(tmpdir(), "carillon-any-node-"));
const token = execFileSync(binary, ["token", "--dev", "--user", "1"]).toString().trim();
const ports = await freePorts(6);
const bases = ports.slice(0, 3).map((port) => `http://127.0.0.1:${port}`);
const nodes = await Promise.all([0, 1, 2].map(start));
const browser = await chromium.launch({
  executablePath: options.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`${bases[0]}/healthz`); // any page of this machine
  await page.addScriptTag({ path: client });
  await obeys(page);
  await ridesOut(page);
  console.log("ok: a page with three addresses");
} finally {
  await browser.close();
  await Promise.all(nodes.map(stop));
  await rm(dir, { recursive: true, force: true });
}

/** Where it goes, and when, after each kind of close: with sockets that are none. */
async function obeys(page) {
  const cases = {
    dead: { code: 1006, text: "" },
    drain: { code: 1012, text: '{"code":"drain","retry_after_ms":1500}' },
    "lost place": { code: 4410, text: '{"code":"lost_place"}' },
    expired: { code: 1008, text: '{"code":"token_expired"}' },
    disconnected: { code: 4403, text: '{"code":"disconnected"}' },
  };
  const came = await page.evaluate((table) => {
    const real = window.WebSocket;
    const made = [];
    window.WebSocket = class { constructor(url) { made.push([url.host, this]); } close() {} };
    const after = async ({ code, text }) => {
      made.length = 0;
      const client = new WebSocketClient({ token: () => "a", addresses: ["http://a.example", "http://b.example"] });
      const connection = client.connect("/ws/dashboard/");
      await new Promise((resolve) => setTimeout(resolve));
      const [[first, socket]] = made;
      socket.onclose({ code, reason: text });
      const { state, retryInMs } = connection.status;
      connection.retryNow();
      await new Promise((resolve) => setTimeout(resolve));
      client.close();
      return { state, retryInMs, moved: made.length > 1 && made[1][0] !== first };
    };
    return (async () => {
      const found = {};
      for (const [name, close] of Object.entries(table)) found[name] = await after(close);
      window.WebSocket = real;
      return found;
    })();
  }, cases);
  for (const [name, state, moved, least] of [
    ["dead", "waiting", true, 250], ["drain", "waiting", true, 1500], ["lost place", "waiting", true, 250],
    ["expired", "waiting", false, 250], ["disconnected", "closed", false, undefined],
  ]) {
    assert.equal(came[name].state, state, name);
    assert.equal(came[name].moved, moved, name);
    assert(least === undefined || (came[name].retryInMs >= least && came[name].retryInMs < least + 500), `${name}: ${came[name].retryInMs}`);
  }
  console.log("  closes are obeyed");
}

async function ridesOut(page) {
  await page.evaluate(({ addresses, jwt }) => {
    const urls = [];
    const real = window.WebSocket;
    window.WebSocket = class extends real { constructor(url, protocols) { super(url, protocols); urls.push(url.host); } };
    window.urls = urls;
    window.shown = new Set();
    const notifications = new WebSocketClient({ token: jwt, addresses }).connect("/ws/notifications/");
    notifications.on("connection_established", () => notifications.send("request_notifications"));
    notifications.on("notifications_list", ({ data }) => data.forEach(({ title }) => window.shown.add(title)));
    notifications.on("new_notification", ({ data }) => window.shown.add(data.title));
    notifications.onState(({ state }) => { window.state = state; });
  }, { addresses: bases, jwt: token });
  for (let nth = 0; nth < 3; nth += 1) {
    await page.waitForFunction(() => window.state === "open");
    const at = await page.evaluate(() => window.urls.at(-1));
    const lost = bases.findIndex((base) => base.endsWith(at));
    await stop(nodes[lost]);
    await notify(bases[(lost + 1) % 3], `after loss ${nth}`);
    await page.waitForFunction((title) => window.shown.has(title), `after loss ${nth}`);
    assert.notEqual(await page.evaluate(() => window.urls.at(-1)), at);
    nodes[lost] = await start(lost);
    console.log(`  node ${lost + 1} was lost`);
  }
}

/** Stores a notification; again with its key until somebody leads. */
async function notify(base, title) {
  const body = JSON.stringify({ user_id: 1, title, message: "m" });
  const headers = { Authorization: "Bearer dev", "Content-Type": "application/json", "Idempotency-Key": title.replaceAll(" ", "-") };
  for (;;) {
    const { status } = await fetch(`${base}/api/v1/notifications`, { method: "POST", headers, body });
    if (status === 201) return;
    assert.equal(status, 503);
  }
}

async function start(n) {
  const env = {
    ...process.env, CARILLON_SERVER__NODE_ID: String(n + 1), CARILLON_CLUSTER__LISTEN: `127.0.0.1:${ports[3 + n]}`,
    CARILLON_CLUSTER__PEERS: [0, 1, 2].map((peer) => `${peer + 1}=127.0.0.1:${ports[3 + peer]}`).join(","),
    CARILLON_CLUSTER__SECRET: "a secret for tests, of 32 bytes or more",
  };
  const child = spawn(binary, ["serve", "--dev", "--listen", `127.0.0.1:${ports[n]}`, "--data-dir", join(dir, String(n))], {
    env, stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => { if (String(text).includes("is ready")) resolve(); });
    child.once("exit", (code) => reject(new Error(`node ${n + 1} ended with ${code}`)));
  });
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

async function freePorts(count) {
  // All at once, so that they differ.
  const probes = await Promise.all(Array.from({ length: count }, () => new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => resolve(probe));
  })));
  const free = probes.map((probe) => probe.address().port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return free;
}
