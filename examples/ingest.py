"""Many calls over one connection: a client for `GET /api/v1/ingest` that survives restarts, and a small race.

    pip install websockets
    python3 examples/ingest.py [URL] [API_KEY] [COUNT]

URL may be several, with commas between them: whenever a connection ends, the next one goes to the next node.

Each call gets its own answer, in order. Calls are sent on without waiting for answers, which is what makes it fast: those
under way together share the server's waits for its disk. Whatever was not answered when a connection ends is sent again
on the next one with the same idempotency key, so it happens once.
"""

import asyncio
import collections
import json
import random
import sys
import time
import uuid

import websockets

#: Calls under way; the server's own window is 1,024.
WINDOW = 1000


class Ingest:
    """`async with Ingest(url, key) as ingest: answer = await ingest.call("send_notification", {...})`"""

    def __init__(self, url, key):
        self.urls, self.key = collections.deque(url.split(",")), key
        self.waiting = collections.deque()  # not sent yet: (line, future)
        self.under_way = collections.deque()  # sent, in the order in which answers come
        self.room = asyncio.Semaphore(WINDOW)
        self.wake = asyncio.Event()
        self.closing = False

    async def __aenter__(self):
        self.task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self.closing = True
        self.wake.set()
        await self.task

    async def call(self, name, args):
        """The answer's body; raises RuntimeError with the server's own words when the call was refused."""
        answer = await (await self.start(name, args))
        if answer["status"] >= 400:
            raise RuntimeError(answer["body"]["error"]["message"])
        return answer["body"]

    async def start(self, name, args):
        """Waits for room in the window, not for the answer: that is the future's."""
        await self.room.acquire()
        line = json.dumps({"call": name, "args": args, "idempotency_key": uuid.uuid4().hex})
        answered = asyncio.get_running_loop().create_future()
        self.waiting.append((line, answered))
        self.wake.set()
        return answered

    async def _run(self):
        pause = 0.1
        while not (self.closing and not self.waiting and not self.under_way):
            try:
                headers = {"Authorization": f"Bearer {self.key}"}
                async with websockets.connect(self.urls[0], additional_headers=headers, max_size=None) as socket:
                    pause = 0.1
                    sender = asyncio.create_task(self._send(socket))
                    try:
                        await self._receive(socket)
                    finally:
                        sender.cancel()
            except websockets.exceptions.InvalidStatus as refused:
                if refused.response.status_code in (401, 403):
                    self._give_up(refused)
                    return
            except websockets.exceptions.ConnectionClosed as closed:
                hint = closed.rcvd and closed.rcvd.code == 1012 and json.loads(closed.rcvd.reason)
                pause = hint["retry_after_ms"] / 1000 if hint else pause
            except OSError:
                pass
            self.urls.rotate(-1)
            # Unanswered calls come first again, in their order, before those that were never sent.
            self.waiting.extendleft(reversed(self.under_way))
            self.under_way.clear()
            if not self.closing or self.waiting:
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, 5)

    def _give_up(self, why):
        for _, answered in [*self.under_way, *self.waiting]:
            answered.set_exception(why)
        self.under_way.clear()
        self.waiting.clear()

    async def _send(self, socket):
        while True:
            lines = []
            while self.waiting and len(lines) < 200:
                self.under_way.append(self.waiting.popleft())
                lines.append(self.under_way[-1][0])
            if lines:
                await socket.send("\n".join(lines))
            elif self.closing and not self.under_way:
                return await socket.close()
            else:
                self.wake.clear()
                await self.wake.wait()

    async def _receive(self, socket):
        async for message in socket:
            for line in message.splitlines():
                answer = json.loads(line)
                if answer["status"] == 503:
                    # Never happened, or nobody knows: again, with the same key, on a new connection.
                    return
                _, answered = self.under_way.popleft()
                self.room.release()
                if not answered.done():
                    answered.set_result(answer)
            if self.closing:
                self.wake.set()


async def main(url="ws://127.0.0.1:8000/api/v1/ingest", key="dev", count="20000"):
    begun = time.monotonic()
    async with Ingest(url, key) as ingest:
        answers = []
        for nth in range(int(count)):
            args = {"user_id": nth % 3 + 1, "title": f"Order {nth}", "message": "It is on its way."}
            answers.append(await ingest.start("send_notification", args))
        refused = [answer for answer in await asyncio.gather(*answers) if answer["status"] >= 400]
    seconds = time.monotonic() - begun
    print(f"{count} calls in {seconds:.1f} s, {int(count) / seconds:,.0f} a second, {len(refused)} refused")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
