"""The door of a socket: Origin, credential and caller of a handshake, by this site's settings."""

import contextlib
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.urls import NoReverseMatch, get_script_prefix, reverse

from tickets import handshake, network
from tickets.conf import conf, once
from tickets.grants import SignedInFrom

Scope = MutableMapping[str, Any]

LONGEST_DEVICE = 200
"""Characters of a User-Agent that are kept; browsers' have half as many."""

SCOPE_KEY = "usher.admission"
"""Where `Door` leaves the `Admission` in the scope."""

PLACES = ("socket", "stomp", "cable")
"""The names of URLs where the socket is: it is one, and by where they come to clients tell what they speak."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the handshake of a socket says. It grants nothing: the ticket has yet to be redeemed."""

    origin_ok: bool
    """False: refuse before accepting, with a bare 403."""
    origin: str
    """As the page's browser told it, or whoever pretends to be one."""
    address: str | None
    """The caller's, as far as trusted proxies vouch for it; None if unknown."""
    subprotocols: tuple[str, ...]
    """Offered by the client, without credentials."""
    ticket: str | None = field(repr=False)
    token: str | None = field(repr=False)
    problem: str | None
    """"two_tickets", "no_protocol", "malformed", "no_token" or None; with a problem there is no credential."""
    carrier: str
    """Where the credential came: "subprotocol", "header", "query", "bearer", "jid", "jid_query", "jid_subprotocol" or
    ""."""


def admit(scope: Scope) -> Admission:
    """Judge a websocket scope and scrub every credential from it, in place. Raises on no header bytes whatever.

    Call it on the scope that the server made (see `Door`): routers hand on copies, and scrubbing a copy leaves the
    query string in the server's log.
    """
    found = handshake.take(scope, protocols=conf.PROTOCOLS, carriers=_carriers(), jid_name=conf.JID_NAME)
    caller = _caller_of_scope(scope)
    problem = found.problem or ("no_token" if conf.JID_ENFORCE and found.token is None else None)
    return Admission(
        origin_ok=_is_origin_allowed(scope, caller.secure),
        origin=", ".join(network.header_values(scope["headers"], b"origin")),
        address=caller.address,
        subprotocols=found.subprotocols,
        ticket=None if problem else found.ticket,
        token=None if problem else found.token,
        problem=problem,
        carrier=found.carrier,
    )


@once("TICKETS")
def _carriers() -> frozenset[str]:
    shared = bool(conf.JID_KEY)
    jid = {"jid": shared, "jid_subprotocol": shared, "jid_query": shared and conf.JID_ALLOW_QUERY}
    more = {carrier for carrier, is_open in {"query": conf.ALLOW_QUERY, **jid}.items() if is_open}
    return frozenset(more if conf.JID_ENFORCE else {*conf.CARRIERS, *more})


def spoken() -> list[str]:
    """The subprotocols that sockets of this site speak."""
    return conf.PROTOCOLS


@once("TICKETS")
def frame_credentials() -> frozenset[str]:
    """What this site accepts in a frame: "ticket", "token"."""
    kinds = {"frame": "ticket", "token_frame": "token"}
    return frozenset(kind for carrier, kind in kinds.items() if carrier in conf.CARRIERS)


class Door:
    """ASGI middleware: puts the `Admission` of each socket into its scope, under `SCOPE_KEY`. It must be outermost."""

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        scope[SCOPE_KEY] = admit(scope)
        return await self.app(scope, receive, send)


class TrustedScheme:
    """ASGI middleware around an HTTP application: by which scheme the caller came, as far as trusted proxies tell.

    Django's own SECURE_PROXY_SSL_HEADER believes whoever sends that header. A site that has it is believed to know why:
    what its pages are told by it, its sockets are told as well.
    """

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        scope["scheme"] = "https" if _caller_of_scope(scope).secure else "http"
        return await self.app(scope, receive, send)


def caller_of(request: HttpRequest) -> network.Caller:
    """The caller of a REST request, found by the same walk as that of a socket."""
    meta = request.META
    return network.find_caller(
        peer=meta.get("REMOTE_ADDR"),
        secure=request.is_secure(),
        forwarded_for=[meta.get("HTTP_X_FORWARDED_FOR", "")],
        forwarded_proto=[meta.get("HTTP_X_FORWARDED_PROTO", "")],
        trusted=network.proxies(tuple(conf.TRUSTED_PROXIES)),
    )


def is_trusted_proxy(address: str) -> bool:
    """Whether who calls from there is one of this site's own proxies, so that the address says nothing of anybody."""
    return network.parse_address(address) is not None and is_within(address, conf.TRUSTED_PROXIES)


def is_network(entry: object) -> bool:
    """Whether `is_within` knows what is meant by it."""
    try:
        network.parse_proxy(str(entry))
    except ValueError:
        return False
    return True


def is_within(address: str | None, networks: Collection[str]) -> bool:
    """Whether an address (None: on a unix socket) is in one of these networks; `unix` is one of those sockets."""
    parsed = None if address is None else network.parse_address(address)
    return (address is None or parsed is not None) and network.proxies(tuple(networks)).trust(parsed)


def kept_network(address: str | None) -> str:
    """What this site keeps of a caller's address: a network in CIDR notation, no narrower than its policy needs; "" for
    nothing."""
    if conf.NETWORK_POLICY == "off":
        return ""
    return network.binding(address, exact=conf.NETWORK_POLICY == "exact")


def signed_in_from(request: HttpRequest) -> SignedInFrom:
    """What is kept of where a request to sign in came from."""
    told = request.META.get("HTTP_USER_AGENT", "")
    device = "".join(character for character in told if character.isprintable())[:LONGEST_DEVICE]
    return SignedInFrom(device=device, network=kept_network(caller_of(request).address))


def socket_url(request: HttpRequest) -> str:
    """Where the socket is, as this caller reaches it."""
    scheme = "wss" if caller_of(request).secure else "ws"
    site = request.META.get("SCRIPT_NAME", "").rstrip("/")
    return f"{scheme}://{request.get_host()}{site}{socket_path()}"


@once("TICKETS", "ROOT_URLCONF")
def socket_path() -> str:
    """The path of the socket on this site. Raises `NoReverseMatch` where neither a setting nor a URL says it."""
    return conf.SOCKET_PATH or _path_at(PLACES[0])


def is_socket(scope: Scope) -> bool:
    """Whether this handshake is for the socket; others are for others."""
    return socket_place(scope) is not None


def socket_place(scope: Scope) -> str | None:
    """Which of `PLACES` this handshake came to; None if it is for others."""
    try:
        return _places().get(path_of(scope))
    except NoReverseMatch:
        return None


@once("TICKETS", "ROOT_URLCONF")
def _places() -> dict[str, str]:
    """By their paths. Raises `NoReverseMatch` as `socket_path` does; the others may be nowhere."""
    places = {}
    for name in PLACES[1:]:
        with contextlib.suppress(NoReverseMatch):
            places[_path_at(name)] = name
    return {**places, socket_path(): PLACES[0]}


def _path_at(name: str) -> str:
    return "/" + reverse(f"usher:{name}").removeprefix(get_script_prefix())


def path_of(scope: Scope) -> str:
    """The path on this site, without what a server or a setting puts in front of the whole site (as Django has it)."""
    before = settings.FORCE_SCRIPT_NAME or scope.get("root_path") or ""
    path: str = scope["path"]
    return path.removeprefix(before.rstrip("/"))


def _caller_of_scope(scope: Scope) -> network.Caller:
    client = scope.get("client")
    return network.find_caller(
        peer=client[0] if client else None,
        secure=_is_scope_secure(scope),
        forwarded_for=network.header_values(scope["headers"], b"x-forwarded-for"),
        forwarded_proto=network.header_values(scope["headers"], b"x-forwarded-proto"),
        trusted=network.proxies(tuple(conf.TRUSTED_PROXIES)),
    )


def _is_scope_secure(scope: Scope) -> bool:
    """As `HttpRequest.is_secure()`."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        told = network.header_values(scope["headers"], name.removeprefix("HTTP_").replace("_", "-").lower().encode())
        if told:
            return ",".join(told).partition(",")[0].strip() == secure
    # daphne's scope has no scheme: then it is plain.
    return scope.get("scheme", "ws") in ("wss", "https")


def _is_origin_allowed(scope: Scope, secure: bool) -> bool:
    sent = network.header_values(scope["headers"], b"origin")
    allowed = set(network.origins(tuple(conf.ALLOWED_ORIGINS)))
    hosts = network.header_values(scope["headers"], b"host") if sent else []
    own = network.own_origin(hosts, secure=secure)
    if own and _is_host_allowed(hosts[0]):
        allowed.add(own)
    return network.is_origin_allowed(sent, allowed=allowed, required=conf.REQUIRE_ORIGIN)


def _is_host_allowed(host: str) -> bool:
    patterns = settings.ALLOWED_HOSTS
    if settings.DEBUG and not patterns:  # as HttpRequest.get_host() does
        patterns = [".localhost", "127.0.0.1", "[::1]"]
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, patterns)
