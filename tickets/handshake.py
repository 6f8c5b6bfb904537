"""Finding the credential in a WebSocket handshake, and taking it out of the scope. Standard library only.

Everything read here was chosen by a stranger; nothing here raises on any bytes. Whatever comes of a handshake, its
scope afterwards carries no credential: servers log the query string out of that same scope, and error pages show
headers. Cookies and `Authorization` of other schemes go too: a socket is authenticated by a ticket or not at all,
so nothing further in can be tempted.
"""

import re
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

TICKET_PREFIX = "usher.ticket."
"""A browser can set no header but the subprotocols, so the ticket is offered as one of them."""

ANYCABLE_PREFIX = "anycable-token."
"""AnyCable's clients offer what they call a token so: it is a JWT, or a ticket."""

TWO_TICKETS = "two_tickets"
NO_PROTOCOL = "no_protocol"
MALFORMED = "malformed"

_SECRETS = (TICKET_PREFIX, ANYCABLE_PREFIX)

# RFC 9110, section 5.6.2: a subprotocol name is a token (RFC 6455, section 4.1).
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# An honest offer is a few names and one ticket; more is only work.
LONGEST_OFFER = 4096
MOST_OFFERED = 32

_CREDENTIAL_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_CREDENTIAL_PARAMETERS = frozenset({b"ticket", b"token", b"access_token"})
_SUBPROTOCOL_HEADER = b"sec-websocket-protocol"

_TOKEN_CARRIERS = frozenset({"bearer", "jid", "jid_query", "jid_subprotocol"})

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a handshake offered. At most one of `ticket` and `token` is set: there was one credential in all, by a way
    that is open, and nothing was wrong."""

    subprotocols: tuple[str, ...]
    """As offered, in order, without credentials and without what is no token."""
    ticket: str | None = field(repr=False)
    token: str | None = field(repr=False)
    carrier: str
    """Where it came: "subprotocol", "header", "query", "bearer", "jid", "jid_query", "jid_subprotocol" or ""."""
    problem: str | None
    """TWO_TICKETS, NO_PROTOCOL, MALFORMED or None."""


def take(
    scope: MutableMapping[str, Any],
    *,
    protocols: Collection[str],
    carriers: Collection[str],
    jid_name: str = "jid",
) -> Handshake:
    """Read the handshake in `scope`, and scrub `scope` in place. Credentials are looked for where `carriers` says, and
    scrubbed everywhere. `jid_name` is what AnyCable's token is called, as a parameter and, behind `X-`, as a header.

    A ticket among the subprotocols needs one of `protocols` beside it, since the server must answer with one and must
    never answer with a ticket. The raw header is read, not `scope["subprotocols"]`: daphne percent-decodes that.
    """
    headers: Headers = [(bytes(name), bytes(value)) for name, value in scope.get("headers") or ()]
    offer = ",".join(value.decode("latin-1") for name, value in headers if name.lower() == _SUBPROTOCOL_HEADER)
    offered = list(_elements(offer))
    kept = tuple(name for name in offered if not _hides_secret(name) and _TOKEN.fullmatch(name))
    query = bytes(scope.get("query_string") or b"")
    found = [secret for name in offered if (secret := _secret(name))]
    found += [("header", ticket) for ticket in _authorizations(headers, "ticket")]
    found += [("query", ticket) for ticket in _parameters(query, b"ticket")]
    found += [("bearer", token) for token in _authorizations(headers, "bearer")]
    jid = jid_name.lower().encode()
    found += [("jid", value.decode("latin-1").strip()) for name, value in headers if name.lower() == b"x-" + jid]
    found += [("jid_query", token) for token in _parameters(query, jid)]
    found = [(carrier, credential) for carrier, credential in found if carrier in carriers]
    _scrub(scope, headers, kept, query, jid)

    problem = _problem(offer, offered, kept, found, protocols)
    carrier, credential = found[0] if len(found) == 1 else ("", None)
    if problem:
        return Handshake(kept, None, None, carrier, problem)
    is_token = carrier in _TOKEN_CARRIERS
    return Handshake(kept, None if is_token else credential, credential if is_token else None, carrier, None)


def _elements(offer: str) -> Iterator[str]:
    # RFC 9110, section 5.6.1: empty list elements are ignored.
    return filter(None, (element.strip(" \t") for element in offer.split(",")))


def _secret(name: str) -> tuple[str, str] | None:
    """The carrier and the credential, if this subprotocol is none but carries one."""
    # Names compare exactly (RFC 6455), but one who writes "Usher.Ticket." still offers a secret to be taken out.
    prefix = next(filter(name.lower().startswith, _SECRETS), None)
    if prefix is None:
        return None
    secret = name[len(prefix) :]
    return ("jid_subprotocol" if prefix == ANYCABLE_PREFIX and "." in secret else "subprotocol"), secret


def _hides_secret(name: str) -> bool:
    # daphne would make two elements of `usher.v1%2cusher.ticket.…`.
    plain = unquote(name).lower()
    return any(prefix in plain for prefix in _SECRETS)


def _authorizations(headers: Headers, wanted: str) -> Iterator[str]:
    for name, value in headers:
        if name.lower() == b"authorization":
            scheme, _, rest = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == wanted:
                yield rest.strip()


def _parameters(query: bytes, wanted: bytes) -> Iterator[str]:
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if _parameter(name) == wanted:
            yield unquote_to_bytes(value).decode("latin-1")


def _parameter(name: bytes) -> bytes:
    return unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()


def _problem(
    offer: str,
    offered: list[str],
    kept: tuple[str, ...],
    found: list[tuple[str, str]],
    protocols: Collection[str],
) -> str | None:
    if len(found) > 1:
        return TWO_TICKETS
    secrets = sum(_secret(name) is not None for name in offered)
    if len(offer) > LONGEST_OFFER or len(offered) > MOST_OFFERED or len(kept) + secrets < len(offered):
        return MALFORMED
    if secrets and not set(protocols).intersection(kept):
        return NO_PROTOCOL
    return None


def _scrub(scope: MutableMapping[str, Any], headers: Headers, kept: Iterable[str], query: bytes, jid: bytes) -> None:
    secret = _CREDENTIAL_HEADERS | {b"x-" + jid}
    clean = [(name, value) for name, value in headers if name.lower() not in secret]
    clean = [(name, value) for name, value in clean if name.lower() != _SUBPROTOCOL_HEADER]
    offer = ", ".join(kept).encode("ascii")
    if offer:
        clean.append((_SUBPROTOCOL_HEADER, offer))
    if isinstance(scope.get("headers"), list):
        scope["headers"][:] = clean  # routers copy the scope but share its lists
    else:
        scope["headers"] = clean
    scope["subprotocols"] = list(kept)
    hidden = _CREDENTIAL_PARAMETERS | {jid}
    pairs = [pair for pair in query.split(b"&") if _parameter(pair.partition(b"=")[0]) not in hidden]
    scope["query_string"] = b"&".join(pairs)
