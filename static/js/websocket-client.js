// A small client for Carillon's sockets: no dependencies, one file, a classic script or an import.
//
//   const client = new WebSocketClient({ token });           // or without a token: the page's cookie speaks
//   const notifications = client.connect("/ws/notifications/");
//   notifications.on("new_notification", (frame) => show(frame.data));
//   notifications.onState((status) => console.log(status.state));
//   notifications.send("mark_as_read", { notification_id: 7 });
//
// What it promises: a connection that breaks comes back by itself, later and later and never all at once; a server
// that says "come back in 800 ms" is obeyed; a server that says "don't come back" is obeyed too. With the `addresses` of
// several nodes of a cluster it comes back at the next one, so it rides out the loss of any.
// What it is not: a queue. `send` on a closed connection returns false and forgets, since what matters is kept by the
// server: ask for it again in the handler of the first frame, which runs after every reconnect.
"use strict";

(() => {
  const HEARTBEAT_MS = 30_000;
  const BACKOFF_FIRST_MS = 500;
  const BACKOFF_MAX_MS = 30_000;
  /** A host that lost its power answers nothing at all, and a browser would wait for minutes. */
  const OPENING_MS = 15_000;
  /** A connection that lived this long was a good one: the next failure starts to count from one again. */
  const SETTLED_MS = 10_000;
  /** 1008: the page itself misbehaves; 4403: the application ended it. Trying again would change nothing. */
  const FINAL_CODES = new Set([1008, 4403]);
  /** In the reason of a close, whatever its code: a new token helps. */
  const TOKEN_EXPIRED = "token_expired";

  /**
   * How long to wait before attempt `attempt` (from 1): doubles up to a maximum, with the upper half left to chance,
   * so that clients which lost the same server do not come back in step. Never less than the server's hint.
   */
  function backoffMs(attempt, hintMs = 0, random = Math.random()) {
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt - 1, 16));
    const waited = ceiling * (0.5 + 0.5 * random);
    return Math.round(hintMs > 0 ? hintMs + (waited % BACKOFF_FIRST_MS) : waited);
  }

  /** `{code, retryAfterMs}` of a close reason, which is short JSON; a reason of any other shape says nothing. */
  function readReason(text) {
    try {
      const reason = JSON.parse(text);
      const hint = Number(reason.retry_after_ms);
      return { code: String(reason.code ?? ""), retryAfterMs: hint > 0 ? hint : 0 };
    } catch {
      return { code: "", retryAfterMs: 0 };
    }
  }

  /** One endpoint. Made by `WebSocketClient.connect`. */
  class Connection {
    #options;
    #socket = null;
    #attempt = 0;
    /** Which address is meant, counted on and on. It begins anywhere, so that pages spread over the nodes. */
    #nth = Math.floor(Math.random() * 1_000);
    #timers = { opening: 0, retry: 0, heartbeat: 0, settled: 0 };
    #handlers = new Map();
    #stateHandlers = new Set();
    #stopped = false;
    /** What to tell the token function: the last token was refused as expired. */
    #expired = false;
    #status = { state: "connecting", attempt: 0 };

    constructor(path, options) {
      this.path = path;
      this.#options = options;
      this.#open();
    }

    /** `{state: "connecting" | "open" | "waiting" | "closed", attempt, retryInMs?, code?, reason?}` */
    get status() {
      return this.#status;
    }

    /** Calls `handler(frame)` for each frame of a type; the type "*" stands for all. Returns the connection. */
    on(type, handler) {
      if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
      this.#handlers.get(type).add(handler);
      return this;
    }

    /** Takes a handler away again. */
    off(type, handler) {
      this.#handlers.get(type)?.delete(handler);
      return this;
    }

    /** Calls `handler(status)` now and whenever the connection's state changes. Returns the connection. */
    onState(handler) {
      this.#stateHandlers.add(handler);
      handler(this.#status);
      return this;
    }

    /** Sends `{type, ...fields}`. False when the connection is not open: nothing is kept for later. */
    send(type, fields = {}) {
      if (this.#socket?.readyState !== WebSocket.OPEN) return false;
      const text = JSON.stringify({ type, ...fields });
      this.#socket.send(text);
      this.#options.onFrame?.(this.path, "out", text);
      return true;
    }

    /** Ends a wait: tries now. */
    retryNow() {
      if (this.#status.state === "waiting") this.#open();
    }

    /** Closes for good. */
    close() {
      this.#stopped = true;
      this.#clearTimers();
      this.#socket?.close(1000);
      this.#enter({ state: "closed", attempt: 0, code: 1000, reason: "" });
    }

    async #open() {
      this.#clearTimers();
      this.#attempt += 1;
      this.#enter({ state: "connecting", attempt: this.#attempt });
      let protocols;
      try {
        protocols = await this.#protocols();
      } catch {
        // The token could not be had: most likely the server is away, so it is like a connection that failed.
        if (!this.#stopped) this.#wait(1006, "no_token", 0);
        return;
      }
      if (this.#stopped) return;
      const url = new URL(this.path, this.#address());
      url.protocol = url.protocol.replace("http", "ws");
      const socket = new WebSocket(url, protocols);
      this.#socket = socket;
      this.#timers.opening = setTimeout(() => socket.close(), OPENING_MS);
      socket.onopen = () => this.#opened();
      socket.onmessage = (event) => this.#received(event.data);
      socket.onclose = (event) => {
        if (socket === this.#socket) this.#closed(event);
      };
    }

    #address() {
      const { addresses, base } = this.#options;
      return addresses?.length ? addresses[this.#nth % addresses.length] : base ?? window.location.href;
    }

    /** A browser cannot set headers, so the token travels as a subprotocol, where no log writes it down. */
    async #protocols() {
      const { token } = this.#options;
      if (token === undefined) return [];
      const jwt = typeof token === "function" ? await token({ expired: this.#expired }) : token;
      this.#expired = false;
      return ["carillon.v0", `carillon.token.${jwt}`];
    }

    #opened() {
      clearTimeout(this.#timers.opening);
      const beat = () => this.send("heartbeat", { timestamp: Date.now() });
      this.#timers.heartbeat = setInterval(beat, this.#options.heartbeatMs ?? HEARTBEAT_MS);
      this.#timers.settled = setTimeout(() => (this.#attempt = 0), SETTLED_MS);
      this.#enter({ state: "open", attempt: this.#attempt });
    }

    #received(text) {
      this.#options.onFrame?.(this.path, "in", text);
      let frame;
      try {
        frame = JSON.parse(text);
      } catch {
        return;
      }
      for (const type of [frame.type, "*"]) {
        for (const handler of this.#handlers.get(type) ?? []) handler(frame);
      }
    }

    #closed({ code, reason: text }) {
      this.#clearTimers();
      if (this.#stopped) return;
      const reason = readReason(text);
      const fixedToken = typeof this.#options.token === "string";
      const expired = reason.code === TOKEN_EXPIRED;
      if (expired ? fixedToken : FINAL_CODES.has(code)) {
        this.#stopped = true;
        this.#enter({ state: "closed", attempt: this.#attempt, code, reason: reason.code });
        return;
      }
      this.#expired = expired;
      // Dead, leaving, out of its place: another node may be well. When the token ran out, it is not the node.
      if (!expired) this.#nth += 1;
      this.#wait(code, reason.code, reason.retryAfterMs);
    }

    #wait(code, reason, hintMs) {
      const retryInMs = backoffMs(Math.max(1, this.#attempt), hintMs);
      this.#timers.retry = setTimeout(() => this.#open(), retryInMs);
      this.#enter({ state: "waiting", attempt: this.#attempt, retryInMs, code, reason });
    }

    #enter(status) {
      this.#status = status;
      for (const handler of this.#stateHandlers) handler(status);
    }

    #clearTimers() {
      clearTimeout(this.#timers.opening);
      clearTimeout(this.#timers.retry);
      clearTimeout(this.#timers.settled);
      clearInterval(this.#timers.heartbeat);
    }
  }

  /**
   * Connections of one page. Options, all optional:
   * `token` a JWT, or a function that returns (a promise of) one, called before each attempt with `{expired}`;
   * `base` where the server is, if not where the page came from; `heartbeatMs`;
   * `addresses` of nodes that are equally good: `["https://a.example.org", "https://b.example.org"]`; cookies go to their
   * own host alone, so with these there should be a `token`;
   * `onFrame(path, "in" | "out", text)` sees every frame as it crosses the wire, for logs.
   */
  class WebSocketClient {
    #options;
    #connections = new Map();

    constructor(options = {}) {
      this.#options = options;
      // A laptop that wakes up should not wait out a backoff of half a minute.
      window.addEventListener("online", () => this.retryNow());
    }

    /** The connection to an endpoint: the same one when asked again, unless it was closed. */
    connect(path) {
      const known = this.#connections.get(path);
      if (known && known.status.state !== "closed") return known;
      const connection = new Connection(path, this.#options);
      this.#connections.set(path, connection);
      return connection;
    }

    /** Every connection that waits tries now. */
    retryNow() {
      for (const connection of this.#connections.values()) connection.retryNow();
    }

    /** Closes everything for good. */
    close() {
      for (const connection of this.#connections.values()) connection.close();
    }
  }

  WebSocketClient.backoffMs = backoffMs;
  WebSocketClient.readReason = readReason;
  globalThis.WebSocketClient = WebSocketClient;
})();
