"""
A process that is told to end says goodbye first: SIGTERM comes here before the server acts on it.

Servers cut or close all sockets at once, and all those clients would come back at once. So: `readyz` says 503 and no
new socket is let in; every socket hears `bye` 4400, spread over a few seconds, and comes back elsewhere, each at its
own moment; when the last one is closed, or after `DRAIN_SECONDS`, the server's own handler is called. A second SIGTERM
calls it at once. SIGINT (Ctrl-C) is not touched.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ..conf import conf
from .hub import Hub

logger = logging.getLogger("notifications.hub")

GOODBYES_PER_SECOND: Final = 100
"""How many are sent away a second while there is time: what the processes that take them in hardly notice."""

SPREAD: Final = 0.8
"""The part of the drain in which everybody is sent away; the rest is theirs to close the socket in."""

SLOT_SECONDS: Final = 0.1

RETRY_SECONDS: Final = (0.1, 1.0)
"""When a client is asked to come back; anywhere in between, so that a slot's clients are not one crowd."""

_drain: "Drain | None" = None


def draining() -> bool:
    """Whether this process was told to end: it takes no new sockets."""
    return _drain is not None and _drain.began


def prepare() -> None:
    """Have SIGTERM drain this process. Called on its event loop once the server runs, by whatever is called first."""
    global _drain
    loop = asyncio.get_running_loop()
    if _drain is None or _drain.loop is not loop:
        _drain = Drain(loop)
        _drain.listen()


class Drain:
    """One process's end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.began = False
        self._server: Any = signal.SIG_DFL
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Stand between the signal and the server."""
        with contextlib.suppress(ValueError):  # not on the main thread: whoever runs this loop has signals of its own
            self._server = signal.signal(signal.SIGTERM, self._on_signal)
            if isinstance(getattr(self._server, "__self__", None), Drain):  # of an earlier loop, which is gone
                self._server = self._server.__self__._server

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.loop.is_closed():
            self._pass_on(number, frame)
        elif self.began:
            self.loop.call_soon_threadsafe(self._at_once, number, frame)
        else:
            self.began = True
            self.loop.call_soon_threadsafe(self._start, number, frame)

    def _start(self, number: int, frame: FrameType | None) -> None:
        self._task = self.loop.create_task(self._run())
        self._task.add_done_callback(lambda _done: self._pass_on(number, frame))

    def _at_once(self, number: int, frame: FrameType | None) -> None:
        logger.info("Told to end for the second time: at once.")
        if self._task is not None and not self._task.done():
            self._task.cancel()
        else:
            self._pass_on(number, frame)
        if _is_uvicorn(self._server):  # which waits for open connections unless it hears an interrupt after the first
            self.loop.call_soon(self._server, signal.SIGINT, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if callable(self._server):
            self._server(number, frame)
        elif self._server == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    async def _run(self) -> None:
        hub = Hub.here()
        logger.info("Told to end: %d sockets are sent away.", hub.sockets)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(conf.DRAIN_SECONDS):
                await send_away(hub)
        logger.info("Drained; %d sockets are left to the server.", hub.sockets)


async def send_away(hub: Hub) -> None:
    """Say goodbye to every socket, in slots, and wait until they are closed."""
    seconds = min(hub.sockets / GOODBYES_PER_SECOND, SPREAD * conf.DRAIN_SECONDS)
    slots = max(1, round(seconds / SLOT_SECONDS))
    while hub.sockets:
        # Also those that were let in and are only welcomed now.
        welcomed = hub.welcomed()
        for socket in random.sample(welcomed, min(len(welcomed), -(-len(welcomed) // slots))):
            socket.go_away(random.uniform(*RETRY_SECONDS))  # noqa: S311 (a jitter, no secret)
        slots = max(1, slots - 1)
        await asyncio.sleep(SLOT_SECONDS)


def _is_uvicorn(handler: Callable[..., Any] | Any) -> bool:
    return type(getattr(handler, "__self__", None)).__module__.startswith("uvicorn.")
