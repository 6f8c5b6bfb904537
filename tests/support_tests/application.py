"""The least that a Server can run: healthy, and on a socket welcomes, notifies `?n=` times, echoes, and closes."""

import asyncio
import json
from urllib.parse import parse_qs


async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200 if scope["path"] == "/healthz" else 404})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await receive()
        query = parse_qs(scope["query_string"].decode())
        if "refuse" in query:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "subprotocol": "usher.v1"})
        await _talk(query, receive, send)


async def _talk(query, receive, send):
    async def say(**frame):
        await send({"type": "websocket.send", "text": json.dumps(frame)})

    await say(type="welcome", user={"id": 1}, epoch="e", cursor=0, headers=sorted(query))
    for seq in range(1, int(query.get("n", ["0"])[0]) + 1):
        await say(type="notification", stream="u.1", seq=seq, id=str(seq))
        await asyncio.sleep(0)
    while (event := await receive())["type"] == "websocket.receive":
        frame = json.loads(event["text"])
        if frame["type"] == "close":
            await send({"type": "websocket.close", "code": frame["code"]})
            return
        await say(type="echo", frame=frame)
