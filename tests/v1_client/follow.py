"""Follows endpoints until each has shown an end, and prints what was shown: a program for tests and for trying out.

Reads a JSON object from standard input:

    {"addresses": ["ws://…"], "seed": 1, "until": "text of the last event",
     "clients": [{"path": "/ws/notifications/", "token": "…"}]}

and prints a line of JSON for each client: its durable events as lists of frames, and how it came to them.
`{"ready": true}` is printed once all have been greeted.
"""

import asyncio
import json
import random
import sys
from contextlib import aclosing

import carillon_v1
from carillon_v1 import Client

# A server under test is back in no time, and so are we.
carillon_v1.BACKOFF_SECONDS_FIRST, carillon_v1.BACKOFF_SECONDS_MAX = 0.02, 0.2


class Follower:
    """One client, and what it was shown."""

    def __init__(self, number, task, one):
        self.client = Client(task["addresses"], one["path"], lambda: one["token"],
                             randomness=random.Random(f"{task['seed']}/{number}"))
        self.until, self.events = task["until"], []
        self.greeted = asyncio.Event()

    async def follow(self):
        async with aclosing(self.client.events()) as events:
            async for frames in events:
                self.greeted.set()
                if "pos" not in frames[-1] or is_greeting(frames):
                    continue
                self.events.append(frames)
                if self.until in json.dumps(frames):
                    break
        return {"events": self.events, "connections": self.client.connections, "resumes": self.client.resumes, "lost": self.client.lost}


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
