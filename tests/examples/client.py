"""What the backend's client must do beyond sending: run by tests/examples.rs, with the server's address."""

import datetime
import decimal
import os
import select
import sys
import uuid

sys.path.insert(0, sys.argv[1])
from carillon_client import Carillon  # noqa: E402

URL = sys.argv[2]


def idle():
    """The server closes a connection that is not used; the next call is made once, on another."""
    client = Carillon(URL, "dev")
    first = client.broadcast_system_message("one")
    poll = select.poll()
    poll.register(client._connections[0].sock, select.POLLIN)
    assert poll.poll(120_000), "the server never closed it"
    assert client.broadcast_system_message("two") == first


def fork():
    """Workers that were forked with an open connection get their own answers."""
    client = Carillon(URL, "dev")
    client.unread_count(1)
    workers = []
    for user in ("forked-1", "forked-2"):
        pid = os.fork()
        if pid == 0:
            try:
                made = [client.send_notification(user, str(nth), "") for nth in range(40)]
                right = all(one["user_id"] == user and one["title"] == str(nth) for nth, one in enumerate(made))
                os._exit(0 if right else 1)
            except BaseException as error:
                print(error, file=sys.stderr)
                os._exit(2)
        workers.append((user, pid))
    for user, pid in workers:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, user
        assert client.unread_count(user) == 40, user


def values():
    client = Carillon(URL, "dev")
    zone = datetime.timezone.utc
    data = {
        "amount": decimal.Decimal("19.90"),
        "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, zone),
        "day": datetime.date(2026, 1, 2),
        "id": uuid.UUID(int=7),
    }
    shown = client.send_notification(1, "values", "", data=data)["data"]
    assert shown == {
        "amount": "19.90",
        "at": "2026-01-02T03:04:05.678Z",
        "day": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000007",
    }, shown
    for wrong, place in [({"revenue": float("nan")}, "data.revenue"), ({"rows": [1.0, float("inf")]}, "data.rows[1]")]:
        try:
            client.send_dashboard_update(1, wrong)
        except ValueError as error:
            assert str(error).startswith(place + " is NaN"), error
        else:
            raise AssertionError("it was sent")


{"idle": idle, "fork": fork, "values": values}[sys.argv[3]]()
