// The page's other half: calls that a backend would make, with the key that works in development mode only.

const USERS = { 1: "alice", 2: "bob", 3: "root" };
const PLANS = ["Basic", "Pro", "Team"];

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const between = (low, high) => low + Math.floor(Math.random() * (high - low + 1));

/** Each button's call: from the chosen user's id to `[path, body]`. */
export const calls = {
  dashboard: (user) => [`/users/${user}/dashboard`, {
    data: {
      total_subscriptions: between(3, 9),
      active_subscriptions: between(1, 3),
      total_revenue: `${between(100, 999)}.${between(10, 99)}`,
    },
  }],
  subscription: (user) => [`/users/${user}/subscriptions`, {
    data: {
      plan_name: pick(PLANS),
      status: pick(["active", "active", "cancelled"]),
      amount: `${between(5, 49)}.00`,
      currency: "EUR",
    },
  }],
  payment: (user) => [`/users/${user}/payments`, {
    data: { amount: `${between(5, 49)}.00`, currency: "EUR", reference: `R-${between(1000, 9999)}` },
  }],
  broadcast: () => ["/broadcasts", {
    message: "Maintenance tonight at ten.",
    level: "warning",
    groups: Object.keys(USERS).map((id) => `dashboard_user_${id}`),
  }],
  admin: () => ["/admin/dashboard", { data: { queue_length: between(0, 40), workers: between(2, 8) } }],
  alert: (user) => ["/admin/alerts", {
    alert_type: "new_subscription",
    data: { user_id: Number(user), plan_name: pick(PLANS) },
  }],
};

/** A call as a person would make it. */
export function asCurl([path, body], key) {
  const json = JSON.stringify(body).replaceAll("'", "'\\''");
  return [
    `curl ${location.origin}/api/v1${path} \\`,
    `  -H 'Authorization: Bearer ${key}' \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '${json}'`,
  ].join("\n");
}

/** Makes the call: `{ok, text}`, a sentence for people. */
export async function send([path, body], key) {
  try {
    const response = await fetch(`/api/v1${path}`, {
      method: "POST",
      headers: {
        "Authorization": `Bearer ${key}`,
        "Content-Type": "application/json",
        // What a backend should do: a retry after a lost answer then creates nothing twice.
        "Idempotency-Key": crypto.randomUUID(),
      },
      body: JSON.stringify(body),
    });
    const answer = await response.text();
    return { ok: response.ok, text: `${response.status} ${answer}` };
  } catch {
    return { ok: false, text: "No answer: the server is away." };
  }
}
