"""Strangers by the hundred, each of whom sends something that nobody has sent before."""

import asyncio
import contextlib
from asyncio import IncompleteReadError
from collections.abc import Awaitable, Callable

from tests.bad_input.raw import Raw, close_frame
from tests.support.servers import Server

MARK = "Zqxj"
"""Stands in all that they send, and nowhere else."""

AT_ONCE = 16


def _own(number: int) -> str:
    return f"{MARK}{number:06}"


async def _ticket(raw: Raw, own: str) -> None:
    await raw.shake(("Sec-WebSocket-Protocol", f"usher.v1, usher.ticket.{own:A<43}"))
    await raw.end()


async def _token(raw: Raw, own: str) -> None:
    await raw.shake(("Authorization", f"Bearer {own}"), ("User-Agent", own), (f"X-{own}", own))
    await raw.end()


async def _origin(raw: Raw, own: str) -> None:
    await raw.shake(("Origin", f"https://{own}.example"))


async def _protocol(raw: Raw, own: str) -> None:
    await raw.shake(("Sec-WebSocket-Protocol", own))
    await raw.end()


async def _path(raw: Raw, own: str) -> None:
    await raw.shake(("Connection", "close"), path=f"/ws/{own}/?{own}={own}".encode())
    await raw.end()


async def _request(raw: Raw, own: str) -> None:
    head = f"{own.upper()} /api/{own}/?since={own} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    await raw.ask(f"{head}Origin: {own}\r\n\r\n".encode())


async def _frames(raw: Raw, own: str) -> None:
    await raw.shake(("Sec-WebSocket-Protocol", "usher.v1"))
    for said in ({"type": own}, {"type": "ping", own: own}, {"type": "authenticate", "ticket": own}):
        await raw.say(said)
    await raw.end()


async def _close(raw: Raw, own: str) -> None:
    await raw.shake(("Sec-WebSocket-Protocol", "usher.v1"))
    code = 1000 + int(own.removeprefix(MARK)) * 7 % 4000  # any: known, private, reserved or none at all
    await raw.send(close_frame(code, own.encode()))
    await raw.end()


_KINDS: tuple[Callable[[Raw, str], Awaitable[None]], ...] = (
    *(_ticket, _token, _origin, _protocol),
    *(_path, _request, _frames, _close),
)


async def pester(server: Server, many: int) -> None:
    """So many of them, each of the next kind; whatever they are answered is for others to judge."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate, await Raw.dial(server) as raw:
            with contextlib.suppress(IncompleteReadError, ConnectionError, TimeoutError):
                await _KINDS[number % len(_KINDS)](raw, _own(number))

    await asyncio.gather(*(one(number) for number in range(many)))
