"""What a server tells the application about its own life, where it tells anything (uvicorn does, daphne does not)."""

import asyncio
import contextlib
from typing import Any

from tickets.api import flush_audit, in_thread

from . import drain
from .hub import Hub

FLUSH_SECONDS = 5.0
"""A supervisor kills what takes longer to end; whatever is left then is in the log."""


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """
    ASGI's lifespan protocol: from the start the hub listens (the first socket finds it listening) and SIGTERM drains
    this process; at the end, after the last socket, it leaves the list of connections, and nothing that was audited is
    left unwritten.
    """
    while True:
        message = await receive()
        ends = message["type"] == "lifespan.shutdown"
        if ends:
            await Hub.stop_here()
            with contextlib.suppress(TimeoutError):  # a database that hangs keeps no process from ending
                async with asyncio.timeout(FLUSH_SECONDS):
                    await in_thread(flush_audit)  # what the last did; uvicorn ends by a signal, past `atexit`
        else:
            Hub.here()
            drain.prepare()
        await send({"type": f"{message['type']}.complete"})
        if ends:
            return
