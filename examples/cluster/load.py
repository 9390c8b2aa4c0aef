"""A backend that stores notifications at any of the nodes, one after the other: what an outage looks like from outside."""

import itertools
import threading
import time
import uuid

PAUSE_SECONDS = 0.1
# bob, one of the users of `serve --dev`.
USER = 2


class Load:
    """Writes while it is switched on. `state` says how it goes."""

    def __init__(self, cluster):
        self._nodes = cluster.nodes
        self._on, self._is_over = threading.Event(), threading.Event()
        self._answered, self._gap, self._since = 0, 0.0, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def switch(self, is_on):
        if is_on:
            self._gap, self._since = 0.0, time.monotonic()
            self._on.set()
        else:
            self._on.clear()

    def state(self):
        """`waiting`: seconds since the last answer; `gap`: the longest time without one since it was switched on."""
        waiting = time.monotonic() - self._since if self._on.is_set() else 0.0
        return {"is_on": self._on.is_set(), "answered": self._answered, "waiting": waiting, "gap": max(self._gap, waiting)}

    def stop(self):
        self._is_over.set()
        self._on.set()
        self._thread.join()

    def _run(self):
        nodes = itertools.cycle(self._nodes)
        while self._on.wait() and not self._is_over.wait(PAUSE_SECONDS):
            # The same key until it is answered: however often it is asked for, it happens once.
            key = uuid.uuid4().hex
            body = {"user_id": USER, "title": f"Number {self._answered + 1}", "message": "Stored by a majority."}
            while not self._stored(next(nodes), body, key):
                if self._is_over.wait(PAUSE_SECONDS):
                    return
            now = time.monotonic()
            self._answered, self._gap, self._since = self._answered + 1, max(self._gap, now - self._since), now

    @staticmethod
    def _stored(node, body, key):
        try:
            return node.ask("POST", "/api/v1/notifications", body, {"Idempotency-Key": key})[0] == 201
        except OSError:
            return False
