"""A client of `carillon.v1`, written from PROTOCOL.md alone: a second reading of it, and a reference for client authors.

    client = Client(["wss://a.example", "wss://b.example"], "/ws/notifications/", token=fetch_token)
    async for frames in client.events():        # for ever: comes back by itself, resumes, misses nothing
        for frame in frames:
            show(frame)

Several addresses are the nodes of one cluster (or what stands before them). It begins with any of them, so that clients
spread over the nodes, and goes on to the next when a node dies, leaves, loses its place or refuses for now: a cursor is
good at all of them.

`events` gives frames that belong together as a list. The cursor moves on when the caller comes back for more, so that
`client.cursor`, kept somewhere, is always what has really been handled. When the server no longer knows the way from the
cursor to now, `events` gives `{"type": "resumed", "recovered": False, …}` and then the greeting: load afresh what you show.

Standard library only; Python 3.11.
"""

import asyncio
import json
import logging
import random
from collections import deque
from contextlib import aclosing

from websocket import Closed, NotUpgraded, WebSocket

EDITION = "carillon.v1"
BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX = 0.25, 30
# Events that wait for the caller before the socket is left unread, and the server is made to wait in its turn.
BACKLOG_MAX = 256

# Close codes after which coming back with the same request would end the same way.
MEND_THE_CLIENT = {1002, 1003, 1007, 1008, 1009}
DISCONNECTED = 4403
TOKEN_EXPIRED = 4401

# Says when a connection begins and ends, at the level INFO.
log = logging.getLogger(__name__)


class Ended(Exception):
    """The server will not have this client back: disconnected by the application, refused, or a defect of ours."""


class Failed(Exception):
    """A request was answered by an error. `outcome_unknown` may have been done, whatever else has not."""

    def __init__(self, frame):
        super().__init__(f"{frame['code']}: {frame['message']}")
        self.code = frame["code"]


class Client:
    """One endpoint's events, over as many connections as it takes."""

    def __init__(self, addresses, path, token, cursor=None, tls=None, randomness=random):
        """`token()` gives a JWT that is good now; it is asked before each connection. `cursor`: where to go on."""
        self._addresses, self._path, self._token = list(addresses), path, token
        if not self._addresses:
            raise ValueError("the address of a server is needed")
        self.cursor = cursor
        self._tls, self._random = tls, randomness
        self._connection = None
        self._nth, self._failures, self._refusals = self._random.randrange(len(self._addresses)), 0, 0
        # What a supervisor would want to know.
        self.connections, self.resumes, self.lost = 0, 0, 0

    async def events(self):
        """Lists of frames that belong together, in order."""
        while True:
            try:
                self._connection = await self._connect()
                async with aclosing(self._of(self._connection)) as events:
                    async for frames in events:
                        yield frames
            except NotUpgraded as refused:
                await self._rest(self.address, refused, self._pause_after_refusal(refused))
            except (Closed, OSError) as ended:  # a TimeoutError is an OSError
                await self._rest(self.address, ended, self._pause_after_end(ended))
            finally:
                if self._connection:
                    self._connection.abort()
                    self._connection = None

    @property
    def address(self):
        """Where it is connected, or will try next."""
        return self._addresses[self._nth % len(self._addresses)]

    async def request(self, kind, **fields):
        """The reply to a request. Raises `Failed`; and `Closed` when the socket ended first: it may have been done."""
        if self._connection is None:
            raise Closed(1006, "not connected")
        return await self._connection.request(kind, **fields)

    async def refresh(self):
        """A new token on the open socket. Without it the socket closes with 4401, and `events` comes back with one."""
        return await self.request("refresh", token=self._token())

    async def _connect(self):
        credentials = [("Authorization", f"Bearer {self._token()}")]
        socket = await WebSocket.open(self.address + self._path, [EDITION], credentials, self._tls)
        if socket.subprotocol != EDITION:
            socket.abort()
            raise Ended(f"{self.address} does not speak {EDITION}")
        self.connections += 1
        log.info("connected to %s", self.address)
        return Connection(socket)

    async def _of(self, connection):
        """Greets or resumes, then gives what comes."""
        if self.cursor is not None:
            # The first thing said, so that nothing comes between the greeting and the reply. What comes before the
            # reply does not move the cursor: what lies between it and the greeting's `pos` has yet to be made up for.
            self.resumes += 1
            resumed, greeting = await connection.resume(self.cursor)
            if not resumed["recovered"]:
                self.lost += 1
                yield [resumed]
                # Not a step earlier: whoever is cut off while they load afresh must hear of it again.
                self.cursor = resumed.get("pos")
                for frames in greeting:
                    yield frames
        self._failures = self._refusals = 0
        while True:
            frames = await connection.next()
            yield frames
            self.cursor = frames[-1].get("pos", self.cursor)

    async def _rest(self, before, why, seconds):
        log.info("%s: %s; %s in %.1f s", before, str(why) or type(why).__name__, self.address, seconds)
        await asyncio.sleep(seconds)

    def _pause_after_end(self, ended):
        """How long to wait before the next connection, which goes to the next address. Raises if there must be none."""
        code = getattr(ended, "code", 1006)
        if code in MEND_THE_CLIENT or code == DISCONNECTED:
            raise Ended(str(ended)) from ended
        if code == TOKEN_EXPIRED:
            return 0  # the same address, with a new token
        self._nth += 1
        return self._pause(_hint_ms(getattr(ended, "reason", "")) / 1000)

    def _pause_after_refusal(self, refused):
        if refused.status == 429 or refused.status >= 500:  # 502 and 504: a proxy that found no node
            self._nth += 1
            return self._pause(_seconds(refused.headers.get("retry-after")))
        # 403 may be a token that ran out on the way: once more with a new one.
        self._refusals += 1
        if refused.status != 403 or self._refusals > 1:
            raise Ended(str(refused)) from refused
        return 0

    def _pause(self, at_least):
        """Exponential backoff with full jitter, on top of what the server asked for."""
        span = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        return at_least + self._random.uniform(0, span)


class Connection:
    """One socket: replies to whoever asked, everything else in line for `next`."""

    def __init__(self, socket):
        self._socket = socket
        self._line, self._replies, self._last_id = deque(), {}, 0
        self._resuming, self._greeting = None, []
        self._end = None
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def next(self):
        """The next frames that belong together."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._line or self._end)
            if not self._line:
                raise self._end
            self._changed.notify_all()
            return self._line.popleft()

    async def request(self, kind, **fields):
        """The reply."""
        self._last_id += 1
        number = self._last_id
        if kind == "resume":
            self._resuming = number
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        try:
            async with self._changed:
                if self._end:
                    raise self._end
                self._changed.notify_all()
            await self._socket.send(json.dumps({"type": kind, "id": number, **fields}))
            frame = await reply
            if frame is None:
                raise self._end
        finally:
            self._replies.pop(number, None)
        if frame["type"] == "error":
            raise Failed(frame)
        return frame

    async def resume(self, cursor):
        """The reply, and what came before it: the greeting."""
        try:
            resumed = await self.request("resume", after=cursor)
        except Failed:  # `bad_pos`: no cursor at all
            resumed = {"type": "resumed", "recovered": False}
        return resumed, self._greeting

    def abort(self):
        """Lets go of the socket; whoever waits for a reply is told."""
        self._reading.cancel()
        self._socket.abort()
        self._ended(Closed(1006, "let go"))

    async def _read(self):
        try:
            while True:
                message = json.loads(await self._socket.receive())
                async with self._changed:
                    self._take(message if isinstance(message, list) else [message])
                    self._changed.notify_all()
                    # While somebody waits for a reply, the way to it must not be blocked.
                    await self._changed.wait_for(lambda: len(self._line) < BACKLOG_MAX or self._replies)
        except (Closed, ValueError) as error:
            async with self._changed:
                self._ended(error if isinstance(error, Closed) else Closed(1006, f"not JSON: {error}"))
                self._changed.notify_all()

    def _take(self, frames):
        first = frames[0]
        reply = self._replies.get(first.get("id"))
        if reply is None or reply.done():
            self._line.append(frames)
            return
        if first["id"] == self._resuming:
            # Now, before any event after it can join the line.
            self._greeting = list(self._line)
            self._line.clear()
        reply.set_result(first)

    def _ended(self, end):
        self._end = self._end or end
        for reply in self._replies.values():
            if not reply.done():
                reply.set_result(None)


def _seconds(retry_after):
    # It may be a date, which only a proxy would send.
    return int(retry_after) if retry_after and retry_after.isdecimal() else 0


def _hint_ms(reason):
    try:
        return json.loads(reason).get("retry_after_ms", 0)
    except (ValueError, AttributeError):
        return 0
