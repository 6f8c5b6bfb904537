"""Follow your notifications in a terminal:  python docs/client.py http://127.0.0.1:8000 demo demo

To read before writing a client in another language; for Python there is `notifications/client`, which does more. All
that one needs, with nothing but `websockets`: a token, a fresh ticket for every socket, acks, a new ticket when the
server asks to re-authenticate, and the position to resume from when the socket closes.
"""

import asyncio
import json
import random
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from websockets import WebSocketException, connect


class Account:
    def __init__(self, site, username, password):
        self.site = site
        self.tokens = self.post("/api/token/", {"username": username, "password": password})

    def post(self, path, body, token=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        with urlopen(Request(self.site + path, json.dumps(body).encode(), headers)) as answer:
            return json.load(answer)

    def ticket(self):
        try:
            return self.post("/api/tickets/", {}, self.tokens["access"])
        except HTTPError as error:
            if error.code != 401:
                raise
        self.tokens = self.post("/api/token/refresh/", {"refresh": self.tokens["refresh"]})
        return self.post("/api/tickets/", {}, self.tokens["access"])


async def follow_once(account, position, show):
    ticket = await asyncio.to_thread(account.ticket)
    url = ticket["url"] + (f"?since={position['epoch']}:{position['seq']}" if position else "")
    bye = {"reconnect": True, "retry_after_ms": 0}  # a close without a word means: come back
    async with connect(url, subprotocols=ticket["protocols"]) as socket:
        async for frame in (json.loads(text) async for text in socket):
            show(frame)
            match frame:
                case {"type": "welcome", "epoch": epoch, "cursor": seq} | {
                    "type": "reset",
                    "epoch": epoch,
                    "head": seq,
                }:
                    position.update(epoch=epoch, seq=seq)  # after a reset GET /api/notifications/ has what was missed
                case {"type": "notification", "seq": int(seq)}:
                    position["seq"] = seq
                    await socket.send(json.dumps({"type": "ack", "seq": seq}))
                case {"type": "skipped", "through": seq}:
                    position["seq"] = seq
                case {"type": "reauth_required"}:
                    fresh = await asyncio.to_thread(account.ticket)
                    await socket.send(json.dumps({"type": "reauth", "ticket": fresh["ticket"]}))
                case {"type": "bye"}:
                    bye = frame
    return bye


async def follow(account, show):
    position, bye = {}, {"reconnect": True}
    while bye["reconnect"]:
        try:
            bye = await follow_once(account, position, show)
        except (OSError, WebSocketException) as error:
            show({"type": "offline", "because": str(error)})
        await asyncio.sleep(bye.get("retry_after_ms", 0) / 1000 + random.uniform(0.1, 2))


if __name__ == "__main__":
    asyncio.run(follow(Account(*sys.argv[1:4]), lambda frame: print(json.dumps(frame), flush=True)))
