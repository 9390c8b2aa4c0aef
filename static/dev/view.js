// What the page looks like for a given state: functions from values to elements. Text goes in as text, never as HTML.

export const byId = (id) => document.getElementById(id);

/** `element("li", {class: "x"}, child, "text")` */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const time = (at, format = minutes) => (at ? format.format(new Date(at)) : "");
export const exactTime = (at) => time(at, seconds);

const LEVELS = new Set(["info", "success", "warning", "error"]);
const levelClass = (level) => (LEVELS.has(level) ? level : "info");
const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** One notification; `onRead` is called with its id. */
export function note(it, onRead) {
  const unread = !it.is_read;
  const item = element("li", { class: `${levelClass(it.level)}${unread ? " unread" : ""}` },
    element("strong", {}, it.title));
  if (it.message) item.append(element("p", {}, it.message));
  const level = element("b", {}, it.level);
  item.append(element("span", { class: "meta" }, level, ` · ${time(it.created_at)} · #${it.id}`));
  if (unread) {
    const button = element("button", { type: "button", class: "quiet", "aria-label": `Mark read: ${it.title}` }, "Mark read");
    button.addEventListener("click", () => onRead(it.id));
    item.append(button);
  }
  return item;
}

/** Somebody who is online. */
export function person(it, isMe) {
  const name = [it.first_name, it.last_name].filter(Boolean).join(" ") || it.username || `user ${it.user_id}`;
  const label = element("span", {}, name);
  if (isMe) label.append(" ", element("small", {}, "(you)"));
  return element("li", {}, element("span", { class: "face", "aria-hidden": "true" }, name[0].toUpperCase()), label);
}

const FIGURE_NAMES = {
  total_users: "users", active_users: "enabled", staff_users: "staff",
  total_subscriptions: "subscriptions", active_subscriptions: "active", inactive_subscriptions: "inactive",
  total_revenue: "revenue",
};

/** Figures with their names; those that differ from what stood there before are marked. */
export function figures(list, data) {
  const before = new Map([...list.children].map((row) => [row.dataset.key, row.querySelector("dd").textContent]));
  // Known figures first, in their order; the backend may send others.
  const keys = new Set([...Object.keys(FIGURE_NAMES).filter((key) => key in data), ...Object.keys(data)]);
  keys.delete("last_updated");
  const rows = [...keys].map((key) => {
    const value = data[key];
    const changed = before.has(key) && before.get(key) !== text(value);
    const row = element("div", { class: changed ? "changed" : undefined },
      element("dt", {}, FIGURE_NAMES[key] ?? key.replaceAll("_", " ")), element("dd", {}, text(value)));
    row.dataset.key = key;
    return row;
  });
  list.replaceChildren(...rows);
}

/** `a 1 · b 2` */
export const listed = (data) => Object.entries(data).map(([key, value]) => `${key.replaceAll("_", " ")} ${text(value)}`).join(" · ");

/** Two words at the ends of a line. */
export const pair = (left, right) => element("li", {}, element("b", {}, left), element("span", {}, right));

const price = (it) => (it.amount === undefined || it.amount === null ? "" : `${it.amount} ${it.currency ?? ""}`.trim());
export const plan = (it) => pair(it.plan_name, price(it) || it.status);
export const past = (it) => pair(it.plan_name, [it.status, price(it), time(it.created_at)].filter(Boolean).join(" · "));

/** One line of the frame log. */
export function frame(path, direction, content) {
  return element("li", { class: direction },
    element("span", { class: "at" }, exactTime(Date.now())),
    element("span", { class: "where" }, `${direction === "in" ? "←" : "→"} ${path.slice(4, -1)}`),
    element("span", { class: "text" }, content));
}

const TOAST_MS = 6_000;

/** Says something that is not kept. */
export function toast(message, level = "info") {
  const shown = element("p", { class: levelClass(level) }, message);
  byId("toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}
