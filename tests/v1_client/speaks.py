"""Says one of each thing that a client can say, and checks what comes back: a program for tests.

Standard input: {"url": "http://…", "token": "…", "staff": "…", "short": "a token that runs out in seconds"}
"""

import asyncio
import json
import sys
import urllib.request
from contextlib import aclosing

from carillon_v1 import Client, Ended, Failed

REQUESTS = {
    "/ws/notifications/": ["request_notifications", "request_unread_count", "mark_all_as_read"],
    "/ws/presence/": [],
    "/ws/dashboard/": ["request_dashboard_update"],
    "/ws/subscriptions/": ["request_subscription_status", "request_subscription_history"],
    "/ws/dashboard/admin/": ["request_system_stats"],
    "/ws/subscriptions/admin/": ["request_subscription_stats"],
}


class Speaker:
    def __init__(self, task):
        self.task, self.address = task, task["url"].replace("http", "ws", 1)

    def client(self, path, *tokens, cursor=None):
        """A client whose nth connection has the nth token, and the last one from then on."""
        left = list(tokens)
        return Client([self.address], path, lambda: left.pop(0) if len(left) > 1 else left[0], cursor=cursor)

    async def call(self, path, body):
        """One call of the server API."""
        request = urllib.request.Request(self.task["url"] + "/api/v1" + path, json.dumps(body).encode(),
                                         {"Authorization": "Bearer dev", "Content-Type": "application/json"})
        await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())

    async def every_request_has_its_reply(self):
        for path, kinds in REQUESTS.items():
            client = self.client(path, self.task["staff"])
            async with aclosing(client.events()) as events:
                first = await anext(events)
                assert first[0]["type"].endswith("connection_established") or path == "/ws/presence/", first
                # All at once: replies find whoever asked by their id.
                asked = [client.request(kind) for kind in kinds] + [client.request("heartbeat", timestamp=[path])]
                replies = await asyncio.gather(*asked)
                assert replies[-1]["type"] == "heartbeat_response" and replies[-1]["timestamp"] == [path], replies
                assert all("pos" not in reply for reply in replies), replies
                for kind, fields, code in [("no_such_type", {}, "unknown_type"), ("refresh", {"token": 1}, "bad_token"),
                                           ("refresh", {"token": self.task["token"]}, "bad_token"),
                                           ("resume", {"after": 1}, "bad_pos")]:
                    try:
                        raise AssertionError(await client.request(kind, **fields))
                    except Failed as failed:
                        assert failed.code == code, (path, failed)
                assert "expires_at" in await client.refresh()

    async def a_cursor_of_nowhere_is_told(self):
        client = self.client("/ws/notifications/", self.task["token"], cursor="nowhere")
        async with aclosing(client.events()) as events:
            lost, greeting, count = [await anext(events) for _ in range(3)]
        assert lost[0]["type"] == "resumed" and not lost[0]["recovered"], lost
        assert greeting[0]["type"] == "connection_established" and count[0]["type"] == "unread_count", (greeting, count)
        assert (client.lost, client.cursor) == (1, lost[0]["pos"]), client.cursor

    async def a_token_that_runs_out_costs_nothing(self):
        client = self.client("/ws/dashboard/", self.task["short"], self.task["token"])
        async with aclosing(client.events()) as events:
            await anext(events)
            shown = asyncio.create_task(self.numbers(events))
            sent = 0
            while client.connections < 2:
                await self.call("/users/1/dashboard", {"data": {"n": sent}})
                sent += 1
                await asyncio.sleep(0.02)
            await self.call("/users/1/dashboard", {"data": {"n": -1}})
            assert await shown == list(range(sent)), await shown
        assert (client.connections, client.resumes, client.lost) == (2, 1, 0), vars(client)

    @staticmethod
    async def numbers(events):
        """What is shown before -1."""
        numbers = []
        async for frames in events:
            numbers += [frame["data"]["n"] for frame in frames]
            if numbers[-1] == -1:
                return numbers[:-1]

    async def who_is_disconnected_stays_away(self):
        client = self.client("/ws/dashboard/", self.task["token"])
        try:
            async for _ in client.events():
                await self.call("/users/1/disconnect", {})
        except Ended as ended:
            assert "4403" in str(ended), ended

    async def who_is_not_let_in_is_told(self):
        client = self.client("/ws/dashboard/admin/", self.task["token"])
        try:
            async for frames in client.events():
                raise AssertionError(frames)
        except Ended as ended:
            assert "403" in str(ended), ended


async def main():
    speaker = Speaker(json.load(sys.stdin))
    await speaker.every_request_has_its_reply()
    await speaker.a_cursor_of_nowhere_is_told()
    await speaker.a_token_that_runs_out_costs_nothing()
    await speaker.who_is_not_let_in_is_told()
    await speaker.who_is_disconnected_stays_away()
    print(json.dumps({"spoken": True}))


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(), 60))
