// The development page: opens every endpoint of one demo user and shows what comes in.

import { asCurl, calls, send } from "./backend.js";
import * as view from "./view.js";

const { byId } = view;
const NOTES_SHOWN = 50;
const FRAMES_SHOWN = 200;
const HISTORY_SHOWN = 5;

const as = new URLSearchParams(location.search).get("as") ?? "alice";
let session = await signIn();

const state = { notes: [], unread: 0, people: new Map(), dashboard: {}, frames: 0 };
const client = new WebSocketClient({ token, onFrame: log });

document.title = `${session.username} · Carillon`;
for (const link of document.querySelectorAll(".who a")) {
  if (link.textContent === session.username) link.setAttribute("aria-current", "page");
}

watchNotifications(open("/ws/notifications/"));
watchPresence(open("/ws/presence/"));
watchDashboard(open("/ws/dashboard/"));
watchSubscriptions(open("/ws/subscriptions/"));
if (session.is_staff) {
  byId("admin").hidden = false;
  watchAdmin(open("/ws/dashboard/admin/"), open("/ws/subscriptions/admin/"));
}
actAsBackend();

/** Who we are, and a token that says so; asked again until the server answers. */
async function signIn() {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(`/dev/session?as=${encodeURIComponent(as)}`);
      if (response.ok) return await response.json();
      byId("health-text").textContent = (await response.json()).error.message;
    } catch {
      byId("health-text").textContent = "The server does not answer. Trying again…";
    }
    await new Promise((resolve) => setTimeout(resolve, WebSocketClient.backoffMs(attempt)));
  }
}

async function token({ expired }) {
  if (expired) session = await signIn();
  return session.token;
}

function open(path) {
  const wait = view.element("small");
  const item = view.element("li", {}, view.element("span", { class: "dot" }), path.slice(4, -1).replace("/", " "), wait);
  byId("endpoints").append(item);
  return client.connect(path).onState(({ state: now, attempt, retryInMs, code, reason }) => {
    item.className = now;
    item.title = [now, code, reason].filter(Boolean).join(" ");
    wait.textContent = now === "waiting" ? `try ${attempt + 1} in ${(retryInMs / 1000).toFixed(1)} s` : "";
    showHealth();
  });
}

/** One sentence over all connections, counted down while they wait. */
function showHealth() {
  const items = [...byId("endpoints").children];
  const count = (name) => items.filter((item) => item.className === name).length;
  const all = items.length;
  let [name, says] = ["connecting", `Connecting: ${count("open")} of ${all}`];
  if (count("open") === all) [name, says] = ["open", "Connected"];
  else if (count("waiting") > 0) [name, says] = ["waiting", "Connection lost. Trying again by itself…"];
  else if (count("closed") > 0) [name, says] = ["closed", "Closed by the server; it asked not to come back."];
  byId("health").className = `health ${name}`;
  if (byId("health-text").textContent !== says) byId("health-text").textContent = says;
  byId("retry").hidden = name !== "waiting";
}

/** For people who hear the page. */
function announce(text) {
  byId("announce").textContent = text;
}

function watchNotifications(socket) {
  const draw = () => {
    byId("notes").replaceChildren(...state.notes.map((it) => view.note(it, markRead)));
    byId("notes-empty").hidden = state.notes.length > 0;
    byId("unread").textContent = state.unread || "";
    byId("unread").setAttribute("aria-label", `${state.unread} unread`);
    byId("read-all").disabled = state.unread === 0;
    document.title = `${state.unread > 0 ? `(${state.unread}) ` : ""}${session.username} · Carillon`;
  };
  const markRead = (id) => socket.send("mark_as_read", { notification_id: id });
  const setRead = (is) => {
    for (const it of state.notes) if (is(it)) it.is_read = true;
    draw();
  };
  const recount = () => socket.send("request_unread_count");
  socket
    .on("connection_established", () => socket.send("request_notifications"))
    .on("notifications_list", ({ data }) => { state.notes = data; draw(); })
    .on("unread_count", ({ count }) => { state.unread = count; draw(); })
    .on("new_notification", ({ data }) => {
      state.notes = [data, ...state.notes.filter((it) => it.id !== data.id)].slice(0, NOTES_SHOWN);
      announce(`New notification: ${data.title}. ${data.message}`);
      draw();
    })
    .on("notification_marked_read", ({ notification_id: id }) => { setRead((it) => it.id === id); recount(); })
    .on("all_notifications_marked_read", () => { setRead(() => true); recount(); })
    // Read in another tab.
    .on("notification_read", ({ data }) => setRead((it) => data.all || it.id === data.id))
    .on("notification", ({ message, level }) => view.toast(message, level))
    .on("error", ({ message }) => view.toast(message, "error"));
  byId("read-all").addEventListener("click", () => {
    socket.send("mark_all_as_read");
    // The button goes out of use under the finger: focus stays in the list.
    byId("inbox").focus();
  });
  draw();
}

function watchPresence(socket) {
  const draw = () => {
    const people = [...state.people.values()].sort((a, b) => a.username.localeCompare(b.username));
    byId("people").replaceChildren(...people.map((it) => view.person(it, it.user_id === session.user_id)));
    byId("people-empty").hidden = people.length > 0;
    byId("people-empty").textContent = socket.status.state === "open" ? "Nobody." : "Not known while the connection is down.";
    byId("online-count").textContent = people.length || "";
  };
  socket
    .on("online_users", ({ data }) => { state.people = new Map(data.map((it) => [it.user_id, it])); draw(); })
    .on("user_online", ({ data }) => {
      if (data.user_id !== session.user_id) announce(`${data.username} is online`);
      state.people.set(data.user_id, data);
      draw();
    })
    .on("user_offline", ({ data }) => {
      announce(`${data.username} is offline`);
      state.people.delete(data.user_id);
      draw();
    })
    // Nobody can be seen from here while the line is down.
    .onState(({ state: now }) => { if (now === "waiting") { state.people.clear(); draw(); } });
}

function watchDashboard(socket) {
  socket
    .on("connection_established", () => socket.send("request_dashboard_update"))
    .on("dashboard_update", ({ data }) => {
      Object.assign(state.dashboard, data);
      view.figures(byId("figures"), state.dashboard);
      // An answer says when; a live update comes as the backend sent it, and it comes now.
      const at = "last_updated" in data ? data.last_updated : Date.now();
      byId("figures-updated").textContent = at ? `updated ${view.exactTime(at)}` : "never updated";
    })
    .on("notification", ({ message, level }) => view.toast(message, level));
}

function watchSubscriptions(socket) {
  const ask = () => {
    socket.send("request_subscription_status");
    socket.send("request_subscription_history");
  };
  socket
    .on("connection_established", ask)
    .on("subscription_status", ({ data }) => {
      byId("plans").replaceChildren(...data.active_subscriptions.map(view.plan));
      byId("plans-empty").hidden = data.active_subscriptions.length > 0;
      byId("active-count").textContent = data.total_active_count || "";
    })
    .on("subscription_history", ({ data }) => {
      byId("history").replaceChildren(...data.slice(0, HISTORY_SHOWN).map(view.past));
    })
    .on("subscription_status_update", ask)
    .on("payment_confirmation", ({ data }) => view.toast(`Payment received: ${data.amount} ${data.currency}`, "success"))
    .on("subscription_expiry_warning", ({ data }) => view.toast(`${data.plan_name} runs out soon`, "warning"));
}

function watchAdmin(dashboard, subscriptions) {
  const stats = {};
  const show = ({ data }) => view.figures(byId("stats"), Object.assign(stats, data));
  const alert = ({ type, data }) => {
    byId("alerts").prepend(view.pair(type.replaceAll("_", " "), view.listed(data)));
    while (byId("alerts").children.length > HISTORY_SHOWN) byId("alerts").lastChild.remove();
  };
  dashboard
    .on("admin_connection_established", () => dashboard.send("request_system_stats"))
    .on("system_stats", show)
    .on("system_update", show)
    .on("notification", ({ message, level }) => view.toast(message, level));
  subscriptions
    .on("admin_connection_established", () => subscriptions.send("request_subscription_stats"))
    .on("subscription_stats", show)
    .on("new_subscription_alert", alert)
    .on("subscription_cancellation_alert", alert);
}

function actAsBackend() {
  const form = byId("send");
  // Sending to the other window shows more than sending to oneself.
  form.elements.user_id.value = session.username === "alice" ? "2" : "1";
  const notification = () => {
    const { user_id: user, title, message, level } = Object.fromEntries(new FormData(form));
    return ["/notifications", { user_id: Number(user), title, message, level }];
  };
  const preview = () => { byId("call").textContent = asCurl(notification(), session.api_key); };
  const make = async (call) => {
    byId("call").textContent = asCurl(call, session.api_key);
    const { ok, text } = await send(call, session.api_key);
    byId("answer").className = ok ? "answer" : "answer failed";
    byId("answer").textContent = text;
  };
  form.addEventListener("input", preview);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    make(notification());
  });
  for (const button of document.querySelectorAll("[data-call]")) {
    button.addEventListener("click", () => make(calls[button.dataset.call](form.elements.user_id.value)));
  }
  byId("retry").addEventListener("click", () => client.retryNow());
  preview();
}

function log(path, direction, content) {
  state.frames += 1;
  byId("frame-count").textContent = state.frames;
  const list = byId("frames");
  list.prepend(view.frame(path, direction, content));
  if (list.children.length > FRAMES_SHOWN) list.lastChild.remove();
}
