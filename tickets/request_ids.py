"""A name for each request, that its lines in the log have and its answer tells."""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from tickets import network, tracing
from tickets.conf import conf

HEADER: Final = b"x-request-id"

WELL_FORMED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,39}")
"""A UUID, nginx' `$request_id`, and the like. Nothing that could break a line or be markup; and too short for a ticket
or a token that somebody sends in the wrong header."""

Scope = MutableMapping[str, Any]


class RequestIds:
    """
    ASGI middleware, outermost: binds the id of a request or handshake, and answers it as `X-Request-ID`.

    A well-formed one is taken from a trusted proxy, whose own log has it; anybody else's is made here. (The answer to a
    handshake is the server's own; there `welcome.connection` is what to ask for.)
    """

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        name = request_id(scope)
        tracing.begin(request=name)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        header = (HEADER, name.encode())

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        return await self.app(scope, receive, answer)


def request_id(scope: Scope) -> str:
    sent = network.header_values(scope["headers"], HEADER)
    if len(sent) == 1 and WELL_FORMED.fullmatch(sent[0]) and _from_a_trusted_proxy(scope):
        return sent[0]
    return secrets.token_hex(16)


def _from_a_trusted_proxy(scope: Scope) -> bool:
    client = scope.get("client")
    peer = client[0] if client else None
    address = network.parse_address(peer) if peer else None
    return not (peer and address is None) and network.proxies(tuple(conf.TRUSTED_PROXIES)).trust(address)
