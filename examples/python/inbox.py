"""Follows a user's notifications at any of several nodes, and loses none when one of them dies.

    python3 examples/python/inbox.py --token "$(carillon token --dev --user 1)" ws://127.0.0.1:8001 ws://127.0.0.1:8002

Kill the node that it is connected to: it goes on at another, from where it was. Standard library only; Python 3.11.
"""

import argparse
import asyncio
import logging

from carillon_v1 import Client, Ended


async def follow(addresses, token):
    client = Client(addresses, "/ws/notifications/", token=lambda: token)
    async for frames in client.events():
        for frame in frames:
            if frame["type"] == "new_notification":
                print(f"#{frame['data']['id']} {frame['data']['title']}: {frame['data']['message']}", flush=True)
            elif frame["type"] == "unread_count":
                print(f"{frame['count']} unread", flush=True)
            elif frame["type"] == "resumed":
                # A real client would ask for what it shows: client.request("request_notifications").
                print("the way from where we were to now is not known any more: some were missed", flush=True)


def main():
    arguments = argparse.ArgumentParser(description="Follows a user's notifications at any of several nodes.")
    arguments.add_argument("addresses", nargs="+", metavar="ADDRESS", help="ws://host:port or wss://host")
    arguments.add_argument("--token", required=True, help="a JWT: carillon token --user 1")
    given = arguments.parse_args()
    logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    try:
        asyncio.run(follow(given.addresses, given.token))
    except Ended as ended:
        raise SystemExit(f"the server does not want us back: {ended}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
