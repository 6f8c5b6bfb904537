"""The only file that knows Channels' consumers: pours ASGI events into a `Socket`, decides only accept or 403."""

import logging
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer

from tickets.api import ORIGIN_REFUSED, SCOPE_KEY, Admission, audit, socket_place, spoken, tracing

from .. import figures
from ..conf import conf
from ..wire import protocols
from ..wire.closing import CloseCode
from ..wire.codec import Codec
from . import drain, extension
from .hub import Hub
from .socket import Socket

logger = logging.getLogger("notifications.socket")


class NotificationConsumer(AsyncConsumer):
    """
    One per socket.

    It names a layer that is not configured and so gets no channel: the hub hears for everybody. It reads the server's
    events itself instead of through Channels' dispatch, which makes a task of each and hops through a thread to clean
    up database connections (100-250 µs an event): nothing here touches a database.
    """

    channel_layer_alias = "usher-has-no-channel-per-socket"

    socket: Socket | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # by keyword: daphne calls it so
        self.scope = scope
        self.base_send = send
        self.say_text = extension.take(scope)
        client_code: int | None = None
        try:
            while True:
                # Nothing that a peer sends may end this in an exception: that would be a 1011 to it.
                message = await receive()
                match message["type"]:
                    case "websocket.receive":
                        self._receive(message)
                    case "websocket.connect":
                        await self._connect()
                    case "websocket.disconnect":
                        client_code = message.get("code")
                        return
        finally:  # also when the server cancels us without a disconnect
            if self.socket is not None:
                self.socket.release(client_code)

    async def _connect(self) -> None:
        admission: Admission = self.scope[SCOPE_KEY]
        hub = Hub.here()
        drain.prepare()
        if drain.draining():
            figures.HANDSHAKES_REFUSED.add("draining")
            await self._come_elsewhere()
            return
        if not admission.origin_ok:
            audit(ORIGIN_REFUSED, ok=False, address=admission.address, origin=admission.origin)
        why = hub.refusal(admission.address) if admission.origin_ok else "origin"
        if why:
            figures.HANDSHAKES_REFUSED.add(why)
            await self.base_send({"type": "websocket.close"})  # before accept: a bare 403
            return
        place = socket_place(self.scope) or ""
        chosen = protocols.choose(admission.subprotocols, spoken=spoken(), place=place)
        # Who offers nothing that is spoken here is told so in the first of what is.
        answered, codec = chosen or (None, protocols.first(spoken(), place=place))
        codec.carried(admission.carrier)
        # Before anything is awaited: it takes its place among the sockets that were just counted.
        self.socket = Socket(
            hub=hub, codec=codec, send=self.base_send, address=admission.address, say_text=self.say_text
        )
        tracing.bind(connection=self.socket.connection.name)
        # Accepted even if it will be refused: only then can a browser read why.
        await self.base_send({"type": "websocket.accept", "subprotocol": answered})
        refusal = _refusal(admission, codec if chosen else None)
        if refusal:
            self.socket.reject(refusal)
        else:
            since = _since(self.scope["query_string"])
            self.socket.connect(ticket=admission.ticket, token=admission.token, since=since)

    async def _come_elsewhere(self) -> None:
        """Where the server can say so, 503: a proxy in front hands the handshake to the next process, unseen."""
        if "websocket.http.response" in self.scope.get("extensions", {}):
            headers = [(b"retry-after", b"1"), (b"content-length", b"0")]
            await self.base_send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
            await self.base_send({"type": "websocket.http.response.body", "body": b""})
        else:
            await self.base_send({"type": "websocket.close"})

    def _receive(self, message: dict[str, Any]) -> None:
        if self.socket is None:
            return
        text = message.get("text")
        try:
            self.socket.receive(message.get("bytes") or b"" if text is None else text)
        except Exception:
            logger.exception("a frame could not be handled")
            self.socket.fail()


def _refusal(admission: Admission, codec: Codec | None) -> CloseCode | None:
    """`codec`: of the protocol that was agreed on, None if none was."""
    if admission.problem in ("two_tickets", "malformed", "no_token"):
        return CloseCode.TICKET_REFUSED
    if admission.problem or codec is None or (conf.AUTHENTICATE_EACH_MESSAGE and not codec.manner.vouches):
        return CloseCode.PROTOCOL_ERROR
    return None


def _since(query_string: bytes) -> str | None:
    try:
        values = parse_qs(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=20).get("since")
    except ValueError:  # more fields than an honest client sends: what it asks for is no position
        return ""
    return values[-1] if values else None
