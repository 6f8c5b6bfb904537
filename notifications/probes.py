"""What the doctor finds out by asking: the channel layer, Redis, what the process may open, and a site that is up.

Each probe yields what is (text) and what is wrong (a check message), and raises nothing on whatever it meets.
"""

import resource
import secrets
import ssl
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from django.core import checks

from tickets.doctor import Found, server_hole

from .conf import conf
from .live import ears
from .wire.closing import CloseCode
from .wire.native import NativeCodec

PATIENCE: Final = 2.0
SLOW: Final = 0.2
"""Seconds after which publishers give up on the layer, see `fanout.PATIENCE`."""

SPARE_DESCRIPTORS: Final = 200
"""What a process opens besides sockets: requests, connections to database and Redis, files."""

STRANGE: Final = "https://doctor.invalid"
"""An Origin that no site lists: the name is reserved (RFC 2606)."""


def _error(number: int, message: str, hint: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"notifications.E{number:03}")


def _warning(number: int, message: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(message, hint=hint, id=f"notifications.W{number:03}")


def layer() -> Iterator[Found]:
    if ears.is_in_memory():
        yield "layer: in memory, for this process alone"
    redis = ears.redis_layer()
    if redis is None:
        return
    for server in redis.servers:
        try:
            kind, version = redis.version(server, patience=PATIENCE)
            message = {"type": "doctor", "word": secrets.token_hex(8)}
            took = redis.round_trip(server, f"usher.doctor.{secrets.token_hex(8)}", message, patience=PATIENCE)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is not heard)
            hint = "Look whether it runs and REDIS_URL is right: host, port, password, number."
            yield _error(12, f"Nothing goes through the channel layer: {type(error).__name__}.", hint)
            continue
        yield f"layer: {kind} {version}, there and back in {took * 1000:.1f} ms"
        if took > SLOW:
            hint = "Bring Redis nearer, or see what keeps it: SLOWLOG GET."
            yield _warning(12, f"The channel layer takes {took:.2f} s there and back.", hint)
        if fixed := server_hole(kind, version):
            yield _warning(13, f"{kind} {version} has CVE-2025-49844.", f"Upgrade it to {fixed} or newer.")


def descriptors() -> Iterator[Found]:
    may, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
    sockets = conf.SOCKETS_PER_PROCESS
    yield f"descriptors: {may}, as far as whoever runs this is concerned"
    if isinstance(sockets, int) and may != resource.RLIM_INFINITY and may < sockets + SPARE_DESCRIPTORS:
        hint = "LimitNOFILE=65536 in the unit, as shipped (here: ulimit -n); or a smaller SOCKETS_PER_PROCESS."
        yield _warning(11, f"{sockets} sockets are let in, and a process may open {may} descriptors.", hint)


# A site that is up --------------------------------------------------------------------------------------------------


def site(url: str) -> Iterator[Found]:
    """As a stranger sees it: where things are, that nobody is let in without a ticket, nor from a foreign page."""
    try:
        where = _well_known(url)
    except Exception as error:  # noqa: BLE001 (whatever stands there, it is not Usher)
        hint = "Look whether the processes run, and what stands in front of them: nginx's access log tells."
        yield _error(13, f"{url} does not say where things are: {type(error).__name__}: {_line(error)}.", hint)
        return
    socket = where["socket"]
    yield f"site: the socket is at {socket}"
    if urlsplit(url).scheme == "https" and urlsplit(socket).scheme != "wss":
        hint = "Have the proxy send X-Forwarded-Proto, and name it in TRUSTED_PROXIES."
        yield _warning(14, f"The site is at {url}, and its socket at {socket}: not encrypted.", hint)
    told = _knock(socket, origin=None)
    if told != f"close {CloseCode.TICKET_REFUSED.value}":
        hint = "See whether the proxy passes on Upgrade and Connection, and what else answers at that address."
        yield _error(14, f"A stranger's ticket is answered with {told!r}, not with close 4402.", hint)
    told = _knock(socket, origin=STRANGE)
    if told != "403":
        hint = "See whether the proxy passes Origin on as it came, and what ALLOWED_ORIGINS and ALLOWED_HOSTS allow."
        yield _error(15, f"A page from elsewhere is answered with {told!r}, not with 403.", hint)


def _well_known(url: str) -> dict[str, Any]:
    import httpx2  # here, and below: a site that is asked from elsewhere needs neither

    trusted = ssl.create_default_context()  # what this machine trusts, as for the handshakes below
    with httpx2.Client(base_url=url.rstrip("/"), timeout=PATIENCE, trust_env=False, verify=trusted) as http:
        answer = http.get("/.well-known/usher")
        answer.raise_for_status()
        where: dict[str, Any] = answer.json()
        if not where["socket"].startswith(("ws://", "wss://")):
            raise ValueError("no address of a socket")
        return where


def _knock(url: str, *, origin: str | None) -> str:
    """What a handshake with what is no ticket comes to: a status, `close` with its code, or what failed."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin, Subprotocol

    offered = [Subprotocol(NativeCodec.subprotocol), Subprotocol("usher.ticket.doctor")]
    try:
        with connect(
            url,
            origin=Origin(origin) if origin else None,
            subprotocols=offered,
            open_timeout=PATIENCE,
            close_timeout=PATIENCE,
            proxy=None,
        ) as socket:
            while True:  # what is said before the close, and how it is spelled, is for clients
                socket.recv(timeout=PATIENCE)
    except ConnectionClosed as error:
        return f"close {error.rcvd.code if error.rcvd else None}"
    except InvalidStatus as error:
        return str(error.response.status_code)
    except Exception as error:  # noqa: BLE001 (whatever stands there)
        return f"{type(error).__name__}: {_line(error)}"


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
