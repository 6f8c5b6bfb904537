"""Follow your notifications in a terminal:  python docs/client.py http://127.0.0.1:8000 demo demo

All that a client needs, with nothing but `websockets`: a token, a fresh ticket for every socket, acks, a re-authentication
when the server asks for one, and the position to resume from when the socket closes.
"""

import asyncio
import json
import random
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


class Account:
    def __init__(self, site, username, password):
        self.site = site
        self.tokens = self.call("/api/token/", {"username": username, "password": password})

    def call(self, path, body, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        with urlopen(Request(self.site + path, json.dumps(body).encode(), headers)) as answer:  # noqa: S310
            return json.load(answer)

    def ticket(self):
        try:
            return self.call("/api/tickets/", {}, {"Authorization": "Bearer " + self.tokens["access"]})
        except HTTPError as error:
            if error.code != 401:
                raise
        self.tokens = self.call("/api/token/refresh/", {"refresh": self.tokens["refresh"]})
        return self.call("/api/tickets/", {}, {"Authorization": "Bearer " + self.tokens["access"]})


async def follow(account, show):
    position, tries = "", 0
    while True:
        bye = {"reconnect": True, "retry_after_ms": 0}  # a close without a word: come back
        try:
            ticket = await asyncio.to_thread(account.ticket)
            url = ticket["url"] + (f"?since={position}" if position else "")
            async with connect(url, subprotocols=ticket["protocols"]) as socket:
                async for text in socket:
                    frame = json.loads(text)
                    show(frame)
                    match frame["type"]:
                        case "welcome":
                            epoch, tries = frame["epoch"], 0
                            position = f"{epoch}:{frame['cursor']}"
                        case "notification" if frame["seq"] is not None:
                            position = f"{epoch}:{frame['seq']}"
                            await socket.send(json.dumps({"type": "ack", "seq": frame["seq"]}))
                        case "skipped":
                            position = f"{epoch}:{frame['through']}"
                        case "reset":  # fetch GET /api/notifications/ here; live goes on after the head
                            epoch, position = frame["epoch"], f"{frame['epoch']}:{frame['head']}"
                        case "reauth_required":
                            fresh = await asyncio.to_thread(account.ticket)
                            await socket.send(json.dumps({"type": "reauth", "ticket": fresh["ticket"]}))
                        case "bye":
                            bye = frame
        except (OSError, WebSocketException) as error:
            show({"type": "offline", "because": str(error)})
        if not bye["reconnect"]:
            return
        tries += 1
        await asyncio.sleep(bye["retry_after_ms"] / 1000 + random.uniform(0, min(20, 0.5 * 2**tries)))  # noqa: S311


if __name__ == "__main__":
    asyncio.run(follow(Account(*sys.argv[1:4]), lambda frame: print(json.dumps(frame), flush=True)))
