// Two windows of a real browser on the development page: what one sends the other sees, and a server that is killed and
// started again has lost nothing. Run by `make test-browser`, which sets up playwright-core.
//
//   node two_windows.mjs CARILLON_BINARY [--chromium PATH] [--screenshot FILE]

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options, positionals: [binary] } = parseArgs({
  allowPositionals: true,
  options: { chromium: { type: "string", default: "/usr/bin/chromium" }, screenshot: { type: "string" } },
});
assert(binary, "name the server's binary");

const BROWSER_FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** Much longer than anything takes; only a failure waits this long. */
const PATIENCE_MS = 20_000;
/** Shorter than the default, so that the test need not wait for it. */
const GRACE_SECONDS = 1;

/** The titles in the list, newest first. */
const titles = (page, wanted) => settles(page, "#notes strong", wanted);
const unread = (page, wanted) => settles(page, "#unread", [wanted]);
const online = (page, wanted) => settles(page, "#people li span:last-child", wanted);

const dir = await mkdtemp(join(tmpdir(), "carillon-browser-"));
const port = await freePort();
const base = `http://127.0.0.1:${port}`;
let server = await start();
const browser = await chromium.launch({ executablePath: options.chromium, args: BROWSER_FLAGS });
try {
  await run();
  console.log("ok: two windows, a kill, and nothing lost");
} finally {
  await browser.close();
  await stop("SIGTERM");
  await rm(dir, { recursive: true, force: true });
}

async function run() {
  const alice = await open("alice");
  await step("alone, alice sees herself", () => online(alice, ["Alice Archer (you)"]));
  const bob = await open("bob");
  await step("alice sees bob come", () => online(alice, ["Alice Archer (you)", "Bob"]));

  await step("what alice sends, bob sees", async () => {
    await notify(alice, { to: "bob", level: "success", title: "Payment received", message: "29.00 EUR for Team." });
    await notify(alice, { to: "bob", level: "warning", title: "Storage almost full", message: "92 % of 10 GB are in use." });
    await titles(bob, ["Storage almost full", "Payment received"]);
    await unread(bob, "2");
    await notify(bob, { to: "alice", level: "info", title: "Bob mentioned you", message: "in “Quarterly figures”." });
    await notify(bob, { to: "alice", level: "error", title: "Import failed", message: "Row 1,204 has no date." });
    await titles(alice, ["Import failed", "Bob mentioned you"]);
  });

  await step("a second tab hears what the first has read", async () => {
    const second = await open("bob", bob.context());
    await unread(second, "2");
    await bob.getByRole("button", { name: "Mark read: Payment received" }).click();
    await unread(bob, "1");
    await unread(second, "1");
    await second.close();
  });

  await step("figures and subscriptions move", async () => {
    await alice.getByRole("button", { name: "Update dashboard" }).click();
    await bob.waitForFunction(() => document.getElementById("figures-updated").textContent.startsWith("updated"));
    for (let times = 0; times < 3; times += 1) await press(alice, "Change subscription");
    await bob.locator("#history li").nth(2).waitFor();
  });

  if (options.screenshot) {
    await press(bob, "Update dashboard");
    await press(bob, "Change subscription");
    await press(bob, "Change subscription");
    await screenshot([alice, bob]);
  }
  const figures = await bob.locator("#figures").innerText();

  await step("the pages say that the server is gone, and come back by themselves", async () => {
    await stop("SIGKILL");
    await health(bob, "Connection lost");
    server = await start();
    await health(alice, "Connected");
    await health(bob, "Connected");
  });

  await step("everything is still there", async () => {
    await titles(bob, ["Storage almost full", "Payment received"]);
    await unread(bob, "1");
    assert.equal(await bob.locator("#figures").innerText(), figures);
    await online(bob, ["Alice Archer", "Bob (you)"]);
    const fresh = await open("bob", bob.context());
    await titles(fresh, ["Storage almost full", "Payment received"]);
    await unread(fresh, "1");
    assert.equal(await fresh.locator("#figures").innerText(), figures);
    await fresh.close();
  });

  await step("what is sent after the restart arrives, too", async () => {
    await notify(alice, { to: "bob", level: "info", title: "Still here", message: "After a kill." });
    await titles(bob, ["Still here", "Storage almost full", "Payment received"]);
  });

  await step("a server that drains asks them to come back, and they do", async () => {
    assert.equal(await stop("SIGTERM"), 0);
    await health(bob, "Connection lost");
    server = await start();
    await health(alice, "Connected");
    await health(bob, "Connected");
    await titles(bob, ["Still here", "Storage almost full", "Payment received"]);
  });

  await step("a window that the app disconnects stays away", async () => {
    const root = await open("root");
    await fetch(`${base}/api/v1/users/3/disconnect`, { method: "POST", headers: { Authorization: "Bearer dev" } });
    await health(root, "Closed by the server");
    await root.close();
  });

  await step("alice sees bob go, once the grace time is over", async () => {
    await bob.close();
    await online(alice, ["Alice Archer (you)"]);
  });
}

async function step(name, work) {
  try {
    await work();
    console.log(`  ${name}`);
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    throw error;
  }
}

async function open(as, context) {
  const page = await (context ?? await browser.newContext({ viewport: { width: 660, height: 960 } })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => { throw error; });
  await page.goto(`${base}/?as=${as}`);
  await health(page, "Connected");
  return page;
}

function settles(page, selector, wanted) {
  return page.waitForFunction(
    ([css, expected]) => JSON.stringify([...document.querySelectorAll(css)].map((it) => it.textContent)) === expected,
    [selector, JSON.stringify(wanted)],
  );
}

function health(page, wanted) {
  return page.waitForFunction(
    (expected) => document.getElementById("health-text").textContent.startsWith(expected), wanted,
  );
}

async function notify(page, { to, level, title, message }) {
  await page.getByRole("combobox", { name: "To" }).selectOption(to);
  await page.getByRole("combobox", { name: "Level" }).selectOption(level);
  await page.getByRole("textbox", { name: "Title" }).fill(title);
  await page.getByRole("textbox", { name: "Message" }).fill(message);
  await press(page, "Send notification");
}

/** Presses a button that makes a call, and waits for the answer. */
async function press(page, name) {
  await page.evaluate(() => { document.getElementById("answer").textContent = ""; });
  await page.getByRole("button", { name }).click();
  await page.waitForFunction(() => document.getElementById("answer").textContent !== "");
  assert.match(await page.locator("#answer").innerText(), /^20[12] /);
}

/** Both windows side by side. */
async function screenshot(pages) {
  // Messages that pass are out of the picture.
  for (const page of pages) await page.waitForFunction(() => document.getElementById("toasts").children.length === 0);
  for (const page of pages) await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  for (const page of pages) await page.mouse.move(0, 0);
  const images = await Promise.all(pages.map((page) => page.screenshot()));
  const sheet = await browser.newPage({ viewport: { width: 1368, height: 992 } });
  const frames = images.map((image) => `<img src="data:image/png;base64,${image.toString("base64")}">`);
  await sheet.setContent(`<style>
    body { margin: 0; padding: 16px; display: flex; gap: 16px; background: #cfc8bb; }
    img { border-radius: 10px; box-shadow: 0 4px 18px rgb(0 0 0 / 25%); }
  </style>${frames.join("")}`);
  await sheet.screenshot({ path: options.screenshot });
  await sheet.close();
}

async function start() {
  const child = spawn(binary, ["serve", "--dev", "--listen", `127.0.0.1:${port}`, "--data-dir", join(dir, "data")], {
    env: { ...process.env, CARILLON_PRESENCE__GRACE_SECONDS: String(GRACE_SECONDS) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => { if (String(text).includes("is ready")) resolve(); });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return child;
}

/** Ends the server; answers its exit code, `null` after a kill. */
async function stop(signal) {
  if (server.exitCode !== null || server.signalCode !== null) return server.exitCode;
  const ended = new Promise((resolve) => server.once("exit", (code) => resolve(code)));
  server.kill(signal);
  return await ended;
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port: free } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return free;
}
