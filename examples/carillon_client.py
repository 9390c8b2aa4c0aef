"""Carillon from Python, with nothing but the standard library.

The functions have the names and arguments of the old Django helpers, so a backend changes one import:

    from carillon_client import Carillon
    carillon = Carillon("http://127.0.0.1:8000", "dev")
    carillon.send_notification(1, "Hello", "It works", level="success")

Of a cluster it takes a list of addresses: `Carillon(["http://10.0.0.1:8000", "http://10.0.0.2:8000"], key)`. It begins with
any of them, and goes on to the next when one does not answer or refuses for now.

Each call is one HTTP request on a connection that is kept. A durable call that fails in a way that may pass (no answer,
429, 503) is made again with the same Idempotency-Key, so a retry never creates anything twice. A call that is not stored
(broadcast, multicast) is made again only when the server says that it never happened.

A connection that the server has closed meanwhile is opened again before anything is written to it. After a `fork()` each
process opens connections of its own, so a client may be made before a server forks its workers.

`Decimal`, dates, times, `UUID` and Django's lazy strings are sent as Django's own JSON encoder has them. NaN and infinite numbers
are no JSON: they raise `ValueError`, which names the place.

A client is for one thread; make one for each.
"""

import collections
import datetime
import decimal
import http.client
import json
import math
import os
import random
import select
import time
import urllib.parse
import uuid

_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 5.0


class CarillonError(Exception):
    """What the server refused, and why. `code` and `field` are for programs, the text is for people."""

    def __init__(self, status, code, message, field=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.field = status, code, message, field


class Carillon:
    """One server, or the nodes of a cluster, and one API key; `url` without a path, or a list of such."""

    def __init__(self, url, api_key, timeout=10.0):
        urls = [url] if isinstance(url, str) else url
        self._connections = collections.deque(_connection(one, timeout) for one in urls)
        self._process = os.getpid()
        if not self._connections:
            raise ValueError("the address of a server is needed")
        # So that backends which start together spread over the nodes.
        self._connections.rotate(random.randrange(len(self._connections)))
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def send_notification(self, user_id, title, message, level="info", data=None):
        """Stores a notification and shows it on every connection of the user. Answers it, with its id."""
        body = {"user_id": user_id, "title": title, "message": message, "level": level}
        if data is not None:
            body["data"] = data
        return self._durable("/notifications", body)

    def send_dashboard_update(self, user_id, data):
        """Stores the user's latest dashboard figures and shows them."""
        return self._durable(f"/users/{_part(user_id)}/dashboard", {"data": data})

    def send_subscription_update(self, user_id, subscription_data):
        """Stores a subscription (a row of its history, too) and shows it."""
        return self._durable(f"/users/{_part(user_id)}/subscriptions", {"data": subscription_data})

    def send_payment_confirmation(self, user_id, payment_data):
        """Stores a payment and shows it."""
        return self._durable(f"/users/{_part(user_id)}/payments", {"data": payment_data})

    def send_subscription_expiry_warning(self, user_id, subscription_data):
        """Warns of a subscription that runs out."""
        return self._durable(f"/users/{_part(user_id)}/expiry-warnings", {"data": subscription_data})

    def send_admin_dashboard_update(self, data):
        """Shows figures to all staff."""
        return self._durable("/admin/dashboard", {"data": data})

    def send_admin_subscription_alert(self, alert_type, data):
        """Keeps an alert and shows it to all staff; `new_subscription` or `subscription_cancellation`."""
        return self._durable("/admin/alerts", {"alert_type": alert_type, "data": data})

    def broadcast_system_message(self, message, level="info", target_groups=None):
        """Shows a message to groups (by default both groups of staff); nothing is stored."""
        body = {"message": message, "level": level}
        if target_groups is not None:
            body["groups"] = list(target_groups)
        return self._call("POST", "/broadcasts", body)

    def send_to_multiple_users(self, user_ids, message_data, message_type="notification_message"):
        """Shows one event to many users (at most 1,000); nothing is stored."""
        body = {"user_ids": list(user_ids), "type": message_type, "message_data": message_data}
        return self._call("POST", "/multicast", body)

    def unread_count(self, user_id):
        """How many notifications the user has not read."""
        return self._call("GET", f"/users/{_part(user_id)}/notifications/unread-count")["count"]

    def close(self):
        """Closes what is open; the next call opens it again."""
        for connection in self._connections:
            connection.close()

    def _durable(self, path, body):
        return self._call("POST", path, body, idempotency_key=str(uuid.uuid4()))

    def _call(self, method, path, body=None, idempotency_key=None):
        headers = dict(self._headers)
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        payload = None if body is None else _encode(body)
        may_repeat = idempotency_key is not None or method == "GET"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(method, "/api/v1" + path, payload, headers)
            except (OSError, http.client.HTTPException):
                # The answer is lost, so it may have happened.
                self._connections[0].close()
                self._connections.rotate(-1)
                if not may_repeat or attempt == _ATTEMPTS:
                    raise
                time.sleep(_wait(attempt, 0.0))
            except _Later as later:
                self._connections.rotate(-1)
                happened_perhaps = later.error.code == "outcome_unknown"
                if attempt == _ATTEMPTS or (happened_perhaps and not may_repeat):
                    raise later.error from None
                time.sleep(_wait(attempt, later.seconds))

    def _once(self, method, path, payload, headers):
        if self._process != os.getpid():
            # Another process answers what is asked on the connections that were open before the fork.
            self._process = os.getpid()
            self.close()
        connection = self._connections[0]
        if _is_stale(connection):
            connection.close()
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        text = response.read()
        if 200 <= response.status < 300:
            return json.loads(text) if text else None
        error = _error(response.status, text)
        if response.status in (429, 503):
            raise _Later(error, float(response.headers.get("Retry-After") or 0))
        raise error


class _Later(Exception):
    """Refused for now."""

    def __init__(self, error, seconds):
        super().__init__(str(error))
        self.error, self.seconds = error, seconds


def _connection(url, timeout):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError(f"{url!r} is no server: write http://host:port or https://host")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=timeout)


def _is_stale(connection):
    """Whether there is something to read before anything was asked: the end, most likely."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _encode(body):
    try:
        return json.dumps(body, default=_plain, allow_nan=False).encode()
    except ValueError:
        place = _not_a_number(body, "")
        if place is None:
            raise
        raise ValueError(f"{place} is NaN or infinite, which JSON cannot say: send null or a string") from None


def _not_a_number(value, place):
    """Where a NaN or an infinite number stands in what is to be sent; `None` if there is none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    if isinstance(value, dict):
        parts = ((f"{place}.{key}" if place else str(key), part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        parts = ((f"{place}[{index}]", part) for index, part in enumerate(value))
    else:
        return None
    return next((found for name, part in parts if (found := _not_a_number(part, name)) is not None), None)


def _plain(value):
    """What JSON has no form for, as Django's encoder writes it."""
    if isinstance(value, datetime.datetime):
        text = value.isoformat()
        if value.microsecond:
            text = text[:23] + text[26:]
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        if value.utcoffset() is not None:
            raise ValueError("a time with a time zone has no JSON form: send a datetime")
        return value.isoformat(timespec="milliseconds") if value.microsecond else value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)) or type(value).__name__ == "__proxy__":
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _part(user_id):
    return urllib.parse.quote(str(user_id), safe="")


def _wait(attempt, asked_seconds):
    """Doubles each time, the upper half left to chance; never less than the server asked for."""
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
    return asked_seconds + longest * random.uniform(0.5, 1.0)


def _error(status, text):
    try:
        error = json.loads(text)["error"]
        return CarillonError(status, error["code"], error["message"], error.get("field"))
    except (ValueError, KeyError, TypeError):
        # Not from Carillon: a proxy, most likely.
        return CarillonError(status, "unexpected", text[:200].decode(errors="replace"))
