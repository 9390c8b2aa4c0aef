"""Follows endpoints until each has shown an end, and prints what was shown: a program for tests and for trying out.

Reads a JSON object from standard input:

    {"addresses": ["ws://…"], "seed": 1, "until": "text of the last event",
     "clients": [{"path": "/ws/notifications/", "token": "…", "marks": "beginning of titles to mark as read"}]}

and prints a line of JSON for each client: its durable events as lists of frames, and how it came to them.
`{"ready": true}` is printed once all have been greeted.
"""

import asyncio
import json
import random
import sys
from contextlib import aclosing

import carillon_v1
from carillon_v1 import Client, Failed
from websocket import Closed

# A server under test is back in no time, and so are we.
carillon_v1.BACKOFF_SECONDS_FIRST, carillon_v1.BACKOFF_SECONDS_MAX = 0.02, 0.2


class Follower:
    """One client, and what it was shown."""

    def __init__(self, number, task, one):
        self.client = Client(task["addresses"], one["path"], lambda: one["token"],
                             randomness=random.Random(f"{task['seed']}/{number}"))
        self.until, self.marks = task["until"], one.get("marks")
        self.events, self.confirmed, self.refused = [], [], []
        self.greeted = asyncio.Event()
        self.wanted, self.marking = set(), set()

    async def follow(self):
        async with aclosing(self.client.events()) as events:
            async for frames in events:
                self.greeted.set()
                if "pos" not in frames[-1] or is_greeting(frames):
                    continue
                self.events.append(frames)
                for frame in frames:
                    self.mark(frame)
                if self.until in json.dumps(frames):
                    break
        return {"events": self.events, "confirmed": self.confirmed, "refused": self.refused,
                "connections": self.client.connections, "resumes": self.client.resumes, "lost": self.client.lost}

    def mark(self, frame):
        """Marks as read what is to be marked; again, as long as neither the reply nor the event has come."""
        data = frame.get("data")
        if self.marks is None or not isinstance(data, dict):
            return
        if frame["type"] == "new_notification" and data["title"].startswith(self.marks):
            self.wanted.add(data["id"])
        if frame["type"] == "notification_read":
            self.wanted.discard(data.get("id"))
        for number in self.wanted - self.marking:
            self.marking.add(number)
            asyncio.create_task(self.ask(number))

    async def ask(self, number):
        try:
            await self.client.request("mark_as_read", notification_id=number)
            self.confirmed.append(number)
            self.wanted.discard(number)
        except Failed as failed:
            self.refused.append(failed.code)
        except Closed:
            pass
        finally:
            self.marking.discard(number)


def is_greeting(frames):
    return len(frames) == 1 and frames[0]["type"] in (
        "connection_established", "admin_connection_established", "online_users", "user_online", "unread_count")


async def main():
    task = json.load(sys.stdin)
    followers = [Follower(number, task, one) for number, one in enumerate(task["clients"])]
    async with asyncio.TaskGroup() as group:
        following = [group.create_task(follower.follow()) for follower in followers]
        for follower in followers:
            await follower.greeted.wait()
        print(json.dumps({"ready": True}), flush=True)
    for one in following:
        print(json.dumps(one.result()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
