// Asks for the state of all nodes again and again and shows it. Elements are made once and then changed, so that whoever
// is on a button with the keyboard stays there.

import { byId, element, exactTime, toast } from "/static/dev/view.js";

const ASK_EVERY_MS = 700;
const EVENTS_SHOWN = 100;
const NUMBERS = ["none", "one", "two", "three", "four", "five"];
const token = document.querySelector("meta[name=watch-token]").content;

/** By number: a node's elements, and what was last said of it. */
const cards = new Map();
let leaderBefore;

byId("load-switch").addEventListener("click", ({ currentTarget }) => {
  post("/load", { is_on: currentTarget.getAttribute("aria-pressed") !== "true" });
});
for (;;) {
  await refresh();
  await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
}

async function refresh() {
  let state;
  try {
    state = await (await fetch("/nodes")).json();
  } catch {
    summary("closed", "The script that serves this page has ended. Start it again: examples/cluster/run.py");
    for (const { buttons } of cards.values()) Object.values(buttons).forEach((button) => { button.disabled = true; });
    return;
  }
  const leader = leaderOf(state.nodes);
  const members = membersAsSeenBy(state.nodes.find((node) => node.number === leader) ?? state.nodes.find((node) => node.cluster));
  const electing = isElecting(state.nodes);
  for (const node of state.nodes) show(node, members.get(node.number), { leads: node.number === leader, electing });
  if (leader !== leaderBefore) {
    happened(leader ? `Node ${leader} leads` : "Nobody leads");
    leaderBefore = leader;
  }
  summarise(state.nodes, leader);
  showLoad(state.load);
}

/** The one that says so itself, in the latest term: a leader that was paused may still think that it leads. */
function leaderOf(nodes) {
  const leading = nodes.filter(({ stats, ready }) => stats?.node.is_leader && ready === "ready");
  leading.sort((one, other) => other.stats.node.term - one.stats.node.term);
  return leading[0]?.number;
}

function membersAsSeenBy(node) {
  return new Map((node?.cluster?.members ?? []).map((member) => [member.id, member]));
}

/** No node has a leader, and enough of them answer to elect one: that takes a second or two. */
function isElecting(nodes) {
  const answering = nodes.filter(({ process, ready }) => process === "runs" && ["ready", "no_quorum"].includes(ready));
  return answering.length > nodes.length / 2 && answering.every(({ ready }) => ready === "no_quorum");
}

/** One word for how a node is, and a sentence. */
function conditionOf({ process, ready, exit_code: code }, electing) {
  if (process === "paused") return ["paused", "paused: it holds its connections and does nothing"];
  if (process === "ended") return ["ended", code < 0 ? "killed" : `ended with exit code ${code}: see its log`];
  if (ready === "ready") return ["ready", "ready"];
  const noQuorum = electing ? "electing: reads only" : "no majority: reads only";
  return ["unsure", { no_quorum: noQuorum, starting: "starting", draining: "leaving" }[ready] ?? "does not answer"];
}

function show(node, member, { leads, electing }) {
  const card = cards.get(node.number) ?? make(node);
  const [name, sentence] = conditionOf(node, electing);
  if (card.sentence !== undefined && card.sentence !== sentence) happened(`Node ${node.number}: ${sentence}`);
  card.sentence = sentence;
  card.root.className = `card node ${name}`;
  card.leads.hidden = !leads;
  write(card.state, sentence);
  const { stats, cluster } = node;
  write(card.figures.role, member?.role ?? "–");
  write(card.figures.applied, count(stats?.log.applied_index ?? member?.applied_index));
  write(card.figures.lag, count(member?.lag));
  write(card.figures.sessions, count(cluster?.node.sessions));
  write(card.figures.term, count(stats?.node.term));
  write(card.figures.uptime, stats ? duration(stats.uptime_seconds) : "–");
  const { start, kill, pause } = card.buttons;
  const ended = node.process === "ended";
  write(pause, node.process === "paused" ? "Go on" : "Pause");
  enable([[pause, !ended], [start, ended], [kill, !ended]]);
}

/** A disabled button loses the keyboard: it goes to the first of the same node that can be used, so not to the one that kills. */
function enable(buttons) {
  const held = buttons.find(([button, usable]) => button === document.activeElement && !usable);
  for (const [button, usable] of buttons) button.disabled = !usable;
  if (held) buttons.find(([, usable]) => usable)[0].focus();
}

function make(node) {
  const { number, address } = node;
  const figures = Object.fromEntries(["role", "applied", "lag", "sessions", "term", "uptime"].map((name) => [name, element("dd")]));
  const list = element("dl", { class: "figures" },
    ...Object.entries(figures).map(([name, value]) => element("div", {}, element("dt", {}, name === "applied" ? "log applied" : name), value)));
  const button = (label, action) => {
    const made = element("button", { type: "button", class: "quiet", "aria-describedby": `node-${number}` }, label);
    made.addEventListener("click", () => post("/do", { number, action: action() }));
    return made;
  };
  const pause = button("Pause", () => (pause.textContent === "Pause" ? "pause" : "resume"));
  const buttons = { start: button("Start", () => "start"), kill: button("Kill -9", () => "kill"), pause };
  const leads = element("span", { class: "leads" }, "leads");
  const state = element("p", { class: "state" });
  const link = (as) => element("a", { href: `http://${address}/?as=${as}`, target: "_blank", rel: "noreferrer" }, as);
  const root = element("section", { class: "card node", "aria-labelledby": `node-${number}` },
    element("header", {}, element("h2", { id: `node-${number}` }, `Node ${number}`), leads),
    state, list,
    element("p", { class: "foot" }, `${address}: open it as `, link("alice"), " or ", link("bob")),
    element("div", { class: "buttons" }, buttons.kill, buttons.pause, buttons.start));
  byId("nodes").append(root);
  const card = { root, leads, state, figures, buttons, sentence: undefined };
  cards.set(number, card);
  return card;
}

/** What it means for whoever calls. */
function summarise(nodes, leader) {
  const all = nodes.length;
  const majority = Math.floor(all / 2) + 1;
  const there = nodes.filter((node) => conditionOf(node)[0] === "ready").length;
  const ready = there === all ? `All ${NUMBERS[all]} nodes are ready` : `Of ${NUMBERS[all]} nodes ${NUMBERS[there]} ${there > 1 ? "are" : "is"} ready`;
  const spare = there - majority;
  if (isElecting(nodes)) {
    summary("connecting", "The nodes that are left elect a leader. Durable calls wait for it; what is connected stays connected.");
  } else if (spare < 0) {
    summary("closed", `${ready}: no majority. Durable calls are refused; what is connected stays connected.`);
  } else if (!leader) {
    summary("connecting", `${ready}, and nobody leads just now: durable calls wait for an election.`);
  } else {
    const may = spare === 0 ? "none may be lost now" : `any ${NUMBERS[spare]} may be lost`;
    summary(there === all ? "open" : "connecting", `${ready}, node ${leader} leads. Everything works, and ${may}.`);
  }
}

function summary(name, text) {
  byId("health").className = `health ${name}`;
  write(byId("health-text"), text);
}

function showLoad({ is_on: isOn, answered, waiting, gap }) {
  byId("load-switch").setAttribute("aria-pressed", String(isOn));
  write(byId("load-switch"), isOn ? "Stop writing" : "Write all the time");
  write(byId("load-answered"), count(answered));
  write(byId("load-waiting"), isOn ? `${waiting.toFixed(1)} s` : "–");
  write(byId("load-gap"), gap ? `${gap.toFixed(1)} s` : "–");
}

async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json", "X-Watch-Token": token }, body: JSON.stringify(body),
    });
    if (!response.ok) toast((await response.json()).error, "error");
  } catch {
    toast("The script that serves this page does not answer.", "error");
  }
  await refresh();
}

function happened(text) {
  byId("events-empty").hidden = true;
  byId("events").prepend(element("li", {}, element("span", {}, exactTime(Date.now())), text));
  while (byId("events").children.length > EVENTS_SHOWN) byId("events").lastElementChild.remove();
}

/** Only what differs: a screen reader reads what was written again. */
function write(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function count(value) {
  return value === undefined || value === null ? "–" : value.toLocaleString("en");
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
