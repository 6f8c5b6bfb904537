"""Where a caller is, and whether a page may open a socket: one walk for REST and for sockets.

Pure functions over header values, which are bytes that strangers chose: none of these functions raises on any of them.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX = "unix"
"""How a peer on a unix socket, which has no address, is named among trusted proxies."""


# Addresses -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """The address in `text` without port, brackets or zone, or None. IPv4 mapped into IPv6 counts as IPv4."""
    text = text.strip()
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::\d{1,5})?", text)
    if bracketed:
        text = bracketed[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whose forwarding headers are believed."""

    networks: tuple[Network, ...]
    unix: bool

    def trust(self, address: Address | None) -> bool:
        """Whether the peer at `address` (None: on a unix socket) is one of them."""
        if address is None:
            return self.unix
        return any(address in network for network in self.networks)


def parse_proxy(entry: str) -> Network | None:
    """The network that a trusted-proxy entry names; None for `unix`. Raises ValueError on anything else."""
    return None if entry == UNIX else ipaddress.ip_network(entry, strict=True)


@lru_cache(maxsize=16)
def proxies(entries: tuple[str, ...]) -> Proxies:
    """Malformed entries trust nobody; a system check names them."""
    networks: list[Network] = []
    for entry in entries:
        try:
            network = parse_proxy(entry)
        except ValueError:
            continue
        if network is not None:
            networks.append(network)
    return Proxies(tuple(networks), UNIX in entries)


class Caller(NamedTuple):
    """Who called: `address` as text (None: unknown), and whether over TLS, as far as trusted parties tell."""

    address: str | None
    secure: bool


def find_caller(
    *,
    peer: str | None,
    secure: bool,
    forwarded_for: Sequence[str],
    forwarded_proto: Sequence[str],
    trusted: Proxies,
) -> Caller:
    """Walk from the peer of the connection outwards, through proxies that are trusted, and no further.

    `peer` is the other end's address (None or "": a unix socket), `secure` whether the connection itself is TLS;
    the header values are given in the order they came. Each proxy appends whom it heard, so the right-most entry is
    the nearest: an address that the caller forged stands left of the first one that nobody trusted vouches for.
    """
    address = parse_address(peer) if peer else None
    if (peer and address is None) or not trusted.trust(address):
        return Caller(str(address) if address else None, secure)
    for entry in reversed(",".join(forwarded_for).split(",")):
        nearer = parse_address(entry)
        if nearer is None:  # nothing there, or nonsense: what stands left of it is worth nothing
            break
        address = nearer
        if not trusted.trust(address):
            break
    return Caller(str(address) if address else None, _forwarded_secure(forwarded_proto, secure))


def _forwarded_secure(values: Sequence[str], otherwise: bool) -> bool:
    nearest = ",".join(values).rpartition(",")[2].strip().lower()
    return nearest in ("https", "wss") if nearest else otherwise


# Binding a ticket to a network ---------------------------------------------------------------------------------------

# A household or a phone keeps these bits while its last ones change.
PREFIX = {4: 24, 6: 56}


def binding(address: str | None, *, exact: bool) -> str:
    """What is stored of the caller's address, in CIDR notation: all of it if `exact`, else only the prefix, since the
    rest is nobody's business then. "" if there is no address: that binds to no network."""
    parsed = parse_address(address or "")
    if parsed is None:
        return ""
    return str(_network_of(parsed, parsed.max_prefixlen if exact else PREFIX[parsed.version]))


class Verdict(NamedTuple):
    """How a ticket's network compares: `same` by the policy's measure, `admitted` by its rules."""

    same: bool
    admitted: bool


def compare(bound: str, address: str | None, *, policy: str) -> Verdict:
    """Judge `address` against what `binding()` stored, by `policy`: off, report, prefix or exact.

    A change of address family says nothing about the place, since many have both: only `exact` refuses it.
    """
    if policy == "off" or not bound:
        return Verdict(same=True, admitted=True)
    network = ipaddress.ip_network(bound)
    parsed = parse_address(address or "")
    if parsed is not None and parsed.version != network.version:
        return Verdict(same=False, admitted=policy != "exact")
    same = parsed is not None and _is_within(parsed, network, exact=policy == "exact")
    return Verdict(same=same, admitted=same or policy == "report")


def _is_within(address: Address, network: Network, *, exact: bool) -> bool:
    length = address.max_prefixlen if exact else PREFIX[address.version]
    # A network stored under another policy a moment ago: wider than `exact` wants matches nothing, narrower is widened.
    rest = address.max_prefixlen - length
    return network.prefixlen >= length and int(network.network_address) >> rest == int(address) >> rest


def _network_of(address: Address, length: int) -> Network:
    return ipaddress.ip_network((address, length), strict=False)


# Allowances ----------------------------------------------------------------------------------------------------------

ALLOWANCE_PREFIX = 64
"""Bits of an IPv6 address that have one allowance together: any host has all addresses of its link to choose from
(RFC 4291, section 2.5.1; RFC 8981), so that an allowance for each would be none."""


def allowance_key(address: str | None) -> str:
    """Whose allowance a caller at `address` uses up: an IPv4 address, the /64 of an IPv6 one in CIDR notation, or
    "unknown" for all whose address nobody knows."""
    parsed = parse_address(address or "")
    if parsed is None:
        return "unknown"
    return str(parsed if parsed.version == 4 else _network_of(parsed, ALLOWANCE_PREFIX))


# Origin --------------------------------------------------------------------------------------------------------------

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a page comes from (RFC 6454, section 4). `port` is None if neither named nor known of the scheme."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """The one origin that `text` spells, as browsers do (RFC 6454, section 6.2); None for `null` and all else."""
    match = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    scheme, host, digits = match.groups()
    port = int(digits) if digits else _DEFAULT_PORTS.get(scheme)
    if port is not None and not 1 <= port <= 65535:
        return None
    return _with_canonical_host(Origin(scheme, host, port))


def _with_canonical_host(origin: Origin) -> Origin | None:
    if not origin.host.startswith("["):
        return origin
    try:
        return origin._replace(host=f"[{ipaddress.IPv6Address(origin.host[1:-1])}]")
    except ValueError:
        return None


@lru_cache(maxsize=16)
def origins(entries: tuple[str, ...]) -> frozenset[Origin]:
    """Malformed entries allow nobody; a system check names them."""
    return frozenset(filter(None, map(parse_origin, entries)))


def own_origin(hosts: Sequence[str], *, secure: bool) -> Origin | None:
    """The origin of a page served under this request's Host header; None unless there is exactly one such header."""
    return parse_origin(f"{'https' if secure else 'http'}://{hosts[0]}") if len(hosts) == 1 else None


def is_origin_allowed(sent: Sequence[str], *, allowed: Collection[Origin], required: bool) -> bool:
    """Whether a handshake with these Origin headers may go on; `required` refuses the absence of any.

    Scheme, host and port must all be equal to an allowed one: https is another site than http, and a name that merely
    begins or ends like an allowed one belongs to somebody else.
    """
    if not sent:
        return not required
    return len(sent) == 1 and parse_origin(sent[0]) in allowed


def header_values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """All values of one header of an ASGI scope, in order. Latin-1 maps any byte, so this never fails."""
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]
