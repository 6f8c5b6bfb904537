"""Where callers are, as real servers see them: bound to addresses of the loopback network, behind proxies, over IPv4,
IPv6 and unix sockets. Each row says who asks for a ticket, who opens the socket, and what comes of it.

Five processes on one database, told apart by what they listen on, whom they trust and how they compare networks.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from tests.support.callers import HOST, PROXY, UNIX, Caller, Listening, direct, forwarded, proxied, unix

TRUSTED = f"{PROXY},10.1.0.0/16,2001:db8:ffff::/48"
ORIGINS = "https://app.example,capacitor://localhost"

AT_ONCE = 3
"""Sockets of one address that may be open without a credential, at these sites."""
SIGN_INS = 2
"""A minute and address, at these sites."""

OPENED, MOVED, REFUSED = "opened", "opened, and the audit log tells of another network", 4402


@dataclass
class Street:
    """The processes by name, and somebody who has signed in: a token is good at each of them."""

    servers: dict[str, Listening]
    token: str = field(repr=False)

    def ticket(self, at: str, caller: Caller) -> tuple[str, str | None]:
        """A ticket, and the address it was issued to."""
        server = self.servers[at]
        before = server.log_size()
        answer = self.issue(at, caller)
        (issued,) = server.audited("ticket_issued", before)
        return answer["ticket"], issued.get("address") or None

    def issue(self, at: str, caller: Caller, host: str = HOST) -> Any:
        bearer = "Authorization", f"Bearer {self.token}"
        answer = self.servers[at].request("POST", caller, "/api/tickets/", bearer, host=host)
        assert answer.status_code == 201, answer
        return json.loads(answer.body)

    def knock(self, at: str, caller: Caller, ticket: str, *more: tuple[str, str], host: str = HOST) -> str | int:
        """OPENED, or the close code, or the status of a handshake that was refused."""
        try:
            with self.servers[at].shake(caller, *more, ticket=ticket, host=host) as opened:
                first = json.loads(opened.recv(timeout=10))
                if first["type"] == "welcome":
                    return OPENED
                assert first["type"] == "bye"
                with pytest.raises(ConnectionClosed):
                    opened.recv(timeout=10)
                assert opened.close_code == first["code"]
                return first["code"]
        except InvalidStatus as refused:
            return refused.response.status_code
        except ConnectionClosedError as closed:
            # A server that resets the line after its goodbye: what was read and not taken yet, the client lets go of.
            return closed.rcvd.code if closed.rcvd else "nothing was said"


@pytest.fixture(scope="module")
def street(stacks) -> Iterator[Street]:
    stack = stacks.make(
        "embedded",
        ALLOWED_HOSTS="usher.example,[::1]",
        ALLOWED_ORIGINS=ORIGINS,
        TRUSTED_PROXIES=TRUSTED,
        TICKETS_ISSUE_PER_MINUTE="6000",
        TICKETS_ISSUE_BURST="3000",
        TICKETS_SIGN_IN_PER_MINUTE_ADDRESS=str(SIGN_INS),
        NOTIFICATIONS_UNAUTHENTICATED_PER_ADDRESS=str(AT_ONCE),
    )

    def path(name: str) -> Path:
        return stack.directory / f"{name}.sock"

    servers = {
        "daphne": Listening("daphne", stack, dual=True, path=path("daphne")),
        "uvicorn": Listening("uvicorn", stack, dual=True),
        "exact": Listening(
            "daphne", stack, path=path("exact"), TRUSTED_PROXIES=f"{UNIX},{PROXY}", TICKETS_NETWORK_POLICY="exact"
        ),
        "report": Listening(
            "uvicorn", stack, path=path("report"), TRUSTED_PROXIES=UNIX, TICKETS_NETWORK_POLICY="report"
        ),
        "off": Listening("uvicorn", stack, path=path("off"), TRUSTED_PROXIES="", TICKETS_NETWORK_POLICY="off"),
    }
    try:
        for server in servers.values():
            server.wait_ready()
        demo = {"username": "demo", "password": "demo"}
        answer = servers["daphne"].request("POST", direct(PROXY), "/api/token/", body=demo)
        assert answer.status_code == 200, answer
        yield Street(servers, json.loads(answer.body)["access"])
        complaints = {name: found for name, server in servers.items() if (found := server.complaints())}
        assert not complaints
    finally:
        for server in servers.values():
            server.terminate()
        for server in servers.values():
            server.stop()
        stack.stop()


BOTH = pytest.mark.parametrize("at", ["daphne", "uvicorn"])


# Whom the walk finds ----------------------------------------------------------------------------------------------

NOT_READ = (
    ("X-Real-IP", "198.51.100.1"),
    ("X-Client-IP", "198.51.100.1"),
    ("X-Cluster-Client-IP", "198.51.100.1"),
    ("True-Client-IP", "198.51.100.1"),
    ("CF-Connecting-IP", "198.51.100.1"),
    ("Forwarded", "for=198.51.100.1;proto=https;host=evil.example"),
)

WALKS = [
    pytest.param(direct("127.0.0.2"), "127.0.0.2", id="a stranger"),
    pytest.param(direct("127.0.0.2", "203.0.113.7"), "127.0.0.2", id="a stranger who claims to be forwarded"),
    pytest.param(direct("127.0.0.2", "203.0.113.7, 10.1.0.1"), "127.0.0.2", id="a stranger who names a proxy"),
    pytest.param(direct("127.0.0.2", "203.0.113.7", PROXY), "127.0.0.2", id="a stranger who names our proxy"),
    pytest.param(Caller("127.0.0.2", NOT_READ), "127.0.0.2", id="a stranger with other headers"),
    pytest.param(proxied(), PROXY, id="the proxy for itself"),
    pytest.param(Caller(PROXY, NOT_READ), PROXY, id="the proxy with other headers"),
    pytest.param(Caller(PROXY, forwarded("203.0.113.7") + NOT_READ), "203.0.113.7", id="and with the right one"),
    pytest.param(proxied("203.0.113.7"), "203.0.113.7", id="behind the proxy"),
    pytest.param(proxied("198.51.100.1, 203.0.113.7"), "203.0.113.7", id="left of it is forged"),
    pytest.param(proxied("198.51.100.1", "203.0.113.7"), "203.0.113.7", id="and so is the line before"),
    pytest.param(proxied("10.1.0.9, 203.0.113.7"), "203.0.113.7", id="and the name of a proxy"),
    pytest.param(proxied("203.0.113.7, 10.1.0.1"), "203.0.113.7", id="behind two proxies"),
    pytest.param(proxied("203.0.113.7", "10.1.0.1"), "203.0.113.7", id="behind two that write a line each"),
    pytest.param(proxied("198.51.100.1,203.0.113.7", "10.1.0.1,10.1.0.2"), "203.0.113.7", id="lists in lines"),
    pytest.param(proxied("10.1.0.9, 203.0.113.7, 10.1.0.1"), "203.0.113.7", id="forged left of two proxies"),
    pytest.param(proxied("203.0.113.7, 10.2.0.1"), "10.2.0.1", id="behind a second one that nobody trusts"),
    pytest.param(proxied("10.1.0.2, 10.1.0.1"), "10.1.0.2", id="proxies only"),
    pytest.param(proxied("203.0.113.7, unknown"), PROXY, id="nonsense is nobody"),
    pytest.param(proxied("203.0.113.7, _hidden, 10.1.0.1"), "10.1.0.1", id="nonsense behind two proxies"),
    pytest.param(proxied("203.0.113.007"), PROXY, id="leading zeros"),
    pytest.param(proxied("203.0.113.7,"), PROXY, id="an empty entry"),
    pytest.param(proxied("203.0.113.7", ""), PROXY, id="an empty line"),
    pytest.param(proxied("203.0.113.7:4711"), "203.0.113.7", id="a port"),
    pytest.param(proxied("2001:DB8:1::7"), "2001:db8:1::7", id="IPv6"),
    pytest.param(proxied("[2001:db8:1::7]"), "2001:db8:1::7", id="brackets"),
    pytest.param(proxied("[2001:db8:1::7]:4711"), "2001:db8:1::7", id="brackets and a port"),
    pytest.param(proxied("fe80::7%eth0"), "fe80::7", id="a zone"),
    pytest.param(proxied("[fe80::7%25eth0]:80"), "fe80::7", id="a zone in brackets"),
    pytest.param(proxied("::ffff:203.0.113.7"), "203.0.113.7", id="IPv4 in IPv6"),
    pytest.param(proxied("2001:db8:1::7, 2001:db8:ffff::1"), "2001:db8:1::7", id="behind two proxies by IPv6"),
    pytest.param(proxied("203.0.113.7, ::ffff:10.1.0.1"), "203.0.113.7", id="a proxy seen as IPv4 in IPv6"),
    # Some would make one header of the two.
    pytest.param(
        Caller(PROXY, (("X_Forwarded_For", "198.51.100.1"), *forwarded("203.0.113.7"), ("X_Forwarded_For", "::1"))),
        "203.0.113.7",
        id="underscores",
    ),
    pytest.param(direct("::1"), "::1", id="a stranger by IPv6"),
    pytest.param(direct("::1", "203.0.113.7"), "::1", id="a stranger by IPv6 who claims to be forwarded"),
]


@BOTH
@pytest.mark.parametrize(("caller", "address"), WALKS)
def test_rest_and_socket_find_the_same_caller(street, at, caller, address):
    ticket, issued_to = street.ticket(at, caller)
    before = street.servers[at].log_size()
    assert street.knock(at, caller, ticket) == OPENED
    (redeemed,) = street.servers[at].audited("ticket_redeemed", before)
    assert (issued_to, redeemed["address"]) == (address, address)
    assert not street.servers[at].audited("ticket_network_changed", before)


@BOTH
@pytest.mark.parametrize(
    ("source", "lines", "address"),
    [
        pytest.param("127.0.0.2", [], "127.0.0.2", id="a stranger"),
        pytest.param("127.0.0.2", ["203.0.113.7"], "127.0.0.2", id="a stranger who claims to be forwarded"),
        pytest.param(PROXY, ["203.0.113.7"], "203.0.113.7", id="the proxy"),
    ],
)
def test_ipv4_counts_as_ipv4_where_a_server_listens_on_both(street, at, source, lines, address):
    caller, server = Caller(source, forwarded(*lines), mapped=True), street.servers[at]
    before = server.log_size()
    ticket, issued_to = street.ticket(at, caller)
    assert street.knock(at, caller, ticket) == OPENED
    (redeemed,) = server.audited("ticket_redeemed", before)
    assert (issued_to, redeemed["address"]) == (address, address)
    assert f"::ffff:{source}:" in server.log_since(before), "else it did not see what this test is about"


# Whose ticket it is -----------------------------------------------------------------------------------------------


def trip(street: Street, asked_at: str, asks: Caller, opened_at: str, opens: Caller, outcome: object) -> None:
    ticket, _address = street.ticket(asked_at, asks)
    server = street.servers[opened_at]
    before = server.log_size()
    assert street.knock(opened_at, opens, ticket) == (OPENED if outcome == MOVED else outcome)
    told = [said["ok"] for said in server.audited("ticket_network_changed", before)]
    assert told == {OPENED: [], MOVED: [True], REFUSED: [False]}[outcome]
    if outcome == REFUSED:
        before = street.servers[asked_at].log_size()
        assert street.knock(asked_at, asks, ticket) == REFUSED, "burned, also for its owner"
        (again,) = street.servers[asked_at].audited("ticket_redeemed", before)
        assert (again["ok"], again["why"]) == (False, "used")


@BOTH
@pytest.mark.parametrize(
    ("asks", "opens", "outcome"),
    [
        pytest.param(direct("127.0.1.5"), direct("127.0.1.200"), OPENED, id="a neighbour"),
        pytest.param(direct("127.0.1.5"), direct("127.0.2.5"), REFUSED, id="another network"),
        pytest.param(direct("127.0.1.5"), direct("127.0.2.5", "127.0.1.5"), REFUSED, id="another that claims this one"),
        pytest.param(
            direct("127.0.2.5", "127.0.1.5"), direct("127.0.1.5"), REFUSED, id="claimed when it was asked for"
        ),
        pytest.param(Caller("127.0.1.5", mapped=True), direct("127.0.1.6"), OPENED, id="as IPv4 in IPv6, then as IPv4"),
        pytest.param(proxied("203.0.113.7"), proxied("203.0.113.99"), OPENED, id="a neighbour behind the proxy"),
        pytest.param(proxied("203.0.113.7"), proxied("203.0.114.7"), REFUSED, id="another network behind the proxy"),
        pytest.param(
            proxied("203.0.113.7"), proxied("203.0.113.7, 198.51.100.9"), REFUSED, id="a thief behind the same proxy"
        ),
        pytest.param(
            proxied("203.0.113.7"), proxied("203.0.113.7", "198.51.100.9"), REFUSED, id="who writes a line before"
        ),
        pytest.param(proxied("203.0.113.7"), direct("127.0.2.5", "203.0.113.7"), REFUSED, id="or goes past the proxy"),
        pytest.param(
            proxied("203.0.113.7"), proxied("203.0.113.7, 10.1.0.1"), OPENED, id="through one proxy, then two"
        ),
        pytest.param(proxied("203.0.113.7, 10.1.0.1"), proxied("203.0.113.8"), OPENED, id="through two, then one"),
        pytest.param(
            proxied("203.0.113.7, 10.1.0.1"), proxied("203.0.114.7, 10.1.0.1"), REFUSED, id="another behind two proxies"
        ),
        pytest.param(proxied("203.0.113.7"), direct("127.0.1.5"), REFUSED, id="through the proxy, then past it"),
        pytest.param(direct("127.0.1.5"), proxied("203.0.113.7"), REFUSED, id="past the proxy, then through it"),
        pytest.param(
            proxied("203.0.113.7, unknown"), proxied("203.0.113.7"), REFUSED, id="from nobody, then from somebody"
        ),
        pytest.param(
            proxied("2001:db8:1:200::1"), proxied("[2001:db8:1:2ff::2]:443"), OPENED, id="a neighbour by IPv6"
        ),
        pytest.param(proxied("2001:db8:1:200::1"), proxied("2001:db8:1:300::1"), REFUSED, id="another by IPv6"),
        pytest.param(proxied("203.0.113.7"), proxied("2001:db8:1::7"), MOVED, id="from IPv4 to IPv6"),
        pytest.param(proxied("2001:db8:1::7"), proxied("203.0.113.7"), MOVED, id="from IPv6 to IPv4"),
        pytest.param(proxied("203.0.113.7"), proxied("::ffff:203.0.113.7"), OPENED, id="IPv4, spelled as IPv6"),
        pytest.param(direct("::1"), direct("::1"), OPENED, id="by IPv6"),
        pytest.param(direct("::1"), proxied("2001:db8:1::7"), REFUSED, id="by IPv6, then from another network"),
        pytest.param(direct("::1"), direct("127.0.1.5"), MOVED, id="by IPv6, then by IPv4"),
        pytest.param(direct("127.0.1.5"), direct("::1"), MOVED, id="by IPv4, then by IPv6"),
    ],
)
def test_a_ticket_is_of_the_network_that_asked_for_it(street, at, asks, opens, outcome):
    trip(street, at, asks, at, opens, outcome)


@pytest.mark.parametrize(
    ("asked_at", "asks", "opened_at", "opens", "outcome"),
    [
        pytest.param("exact", proxied("203.0.113.7"), "exact", proxied("203.0.113.7"), OPENED, id="exact: itself"),
        pytest.param("exact", proxied("203.0.113.7"), "exact", unix("203.0.113.7"), OPENED, id="exact: by another way"),
        pytest.param(
            "exact",
            proxied("203.0.113.7"),
            "exact",
            proxied("::ffff:203.0.113.7"),
            OPENED,
            id="exact: otherwise spelled",
        ),
        pytest.param(
            "exact", proxied("203.0.113.7"), "exact", proxied("203.0.113.8"), REFUSED, id="exact: a neighbour"
        ),
        pytest.param("exact", unix("2001:db8::1"), "exact", unix("2001:db8::2"), REFUSED, id="exact: one by IPv6"),
        pytest.param(
            "exact", proxied("203.0.113.7"), "exact", proxied("2001:db8::1"), REFUSED, id="exact: another family"
        ),
        pytest.param(
            "daphne", proxied("203.0.113.7"), "exact", proxied("203.0.113.7"), REFUSED, id="exact: bound by less"
        ),
        pytest.param("exact", proxied("203.0.113.7"), "exact", unix(), REFUSED, id="exact: nobody knows"),
        pytest.param("report", unix("203.0.113.7"), "report", unix("203.0.113.8"), OPENED, id="report: a neighbour"),
        pytest.param("report", unix("203.0.113.7"), "report", unix("203.0.114.7"), MOVED, id="report: another network"),
        pytest.param("report", unix("203.0.113.7"), "report", unix("2001:db8::1"), MOVED, id="report: another family"),
        pytest.param("report", unix("203.0.113.7"), "report", unix(), MOVED, id="report: nobody knows"),
        pytest.param("uvicorn", proxied("203.0.113.7"), "off", unix("198.51.100.9"), OPENED, id="off: nobody asks"),
    ],
)
def test_how_closely_networks_are_compared_is_the_sites_choice(street, asked_at, asks, opened_at, opens, outcome):
    trip(street, asked_at, asks, opened_at, opens, outcome)


# Unix sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "caller", "address"),
    [
        pytest.param("exact", unix("203.0.113.7"), "203.0.113.7", id="daphne, trusted"),
        pytest.param("exact", unix("198.51.100.1, 203.0.113.7"), "203.0.113.7", id="daphne, trusted, forged before"),
        pytest.param("exact", unix("203.0.113.7", PROXY), "203.0.113.7", id="daphne, trusted, behind another proxy"),
        pytest.param("exact", unix(), None, id="daphne, trusted, says nothing"),
        pytest.param("exact", unix("203.0.113.7, unknown"), None, id="daphne, trusted, says nonsense"),
        pytest.param("daphne", unix("203.0.113.7"), None, id="daphne, a stranger"),
        pytest.param("report", unix("203.0.113.7"), "203.0.113.7", id="uvicorn, trusted"),
        pytest.param("report", unix("198.51.100.1, 203.0.113.7"), "203.0.113.7", id="uvicorn, trusted, forged before"),
        pytest.param("report", unix(), None, id="uvicorn, trusted, says nothing"),
        pytest.param("report", unix("203.0.113.7, unknown"), None, id="uvicorn, trusted, says nonsense"),
        pytest.param("off", unix("203.0.113.7"), None, id="uvicorn, a stranger"),
    ],
)
def test_over_a_unix_socket_only_a_trusted_peer_tells_who_calls(street, at, caller, address):
    ticket, issued_to = street.ticket(at, caller)
    before = street.servers[at].log_size()
    assert street.knock(at, caller, ticket) == OPENED
    (redeemed,) = street.servers[at].audited("ticket_redeemed", before)
    assert (issued_to, redeemed.get("address")) == (address, address)


@pytest.mark.parametrize(
    ("asked_at", "asks", "opened_at", "opens", "outcome"),
    [
        # Who has no address has no network: the ticket is bound to none …
        pytest.param("daphne", unix(), "daphne", direct("127.0.1.5"), OPENED, id="asked for by nobody, daphne"),
        pytest.param("daphne", unix(), "daphne", unix(), OPENED, id="and opened by nobody"),
        pytest.param("report", unix(), "uvicorn", direct("127.0.1.5"), OPENED, id="asked for by nobody, uvicorn"),
        # … and one that is bound is not opened from nowhere.
        pytest.param("daphne", direct("127.0.1.5"), "daphne", unix(), REFUSED, id="opened by nobody"),
        pytest.param(
            "daphne", direct("127.0.1.5"), "daphne", unix("127.0.1.5"), REFUSED, id="by nobody who claims an address"
        ),
    ],
)
def test_without_an_address_there_is_no_network(street, asked_at, asks, opened_at, opens, outcome):
    trip(street, asked_at, asks, opened_at, opens, outcome)


# Pages ------------------------------------------------------------------------------------------------------------


def page(*origins: str, source: str = "127.0.0.2", host: str = "usher.example", **claims: str) -> Any:
    """A handshake as browsers make it, with claims such as X_Forwarded_Proto="https"."""
    headers = tuple((name.replace("_", "-"), value) for name, value in claims.items())
    return Caller(source, headers), host, [("Origin", origin) for origin in origins]


TWO = {"daphne": 403, "uvicorn": 400}  # uvicorn does not let them come as far as us


@BOTH
@pytest.mark.parametrize(
    ("handshake", "outcome"),
    [
        pytest.param(page("http://usher.example"), OPENED, id="our own"),
        pytest.param(page("http://usher.example:8000", host=HOST), OPENED, id="our own with its port"),
        pytest.param(
            page("https://usher.example", source=PROXY, X_Forwarded_Proto="https"), OPENED, id="https at the proxy"
        ),
        pytest.param(
            page("https://usher.example", source=PROXY, X_Forwarded_Proto="http, https"), OPENED, id="http farther away"
        ),
        pytest.param(page("https://app.example"), OPENED, id="a listed one"),
        pytest.param(page("capacitor://localhost"), OPENED, id="a listed app"),
        pytest.param(page("http://[::1]:8000", source="::1", host="[::1]:8000"), OPENED, id="IPv6"),
        pytest.param(page("http://[::1]:8001", source="::1", host="[::1]:8000"), 403, id="IPv6, another port"),
        pytest.param(page("http://[::1]", source="::1", host="[::1]:8000"), 403, id="IPv6, no port"),
        pytest.param(page("https://usher.example"), 403, id="https on an http site"),
        pytest.param(
            page("http://usher.example", source=PROXY, X_Forwarded_Proto="https"), 403, id="http on an https site"
        ),
        pytest.param(page("https://usher.example", X_Forwarded_Proto="https"), 403, id="https as a stranger claims it"),
        pytest.param(
            page("https://usher.example", source=PROXY, X_Forwarded_Proto="https, http"), 403, id="https farther away"
        ),
        pytest.param(
            page(
                "https://usher.example",
                source=PROXY,
                X_Forwarded_Ssl="on",
                X_Forwarded_Scheme="https",
                Front_End_Https="on",
                X_Forwarded_Port="443",
                Forwarded="for=203.0.113.7;proto=https;host=usher.example",
            ),
            403,
            id="https in other headers",
        ),
        pytest.param(
            page("https://evil.example", source=PROXY, X_Forwarded_Proto="https", X_Forwarded_Host="evil.example"),
            403,
            id="X-Forwarded-Host",
        ),
        pytest.param(
            page("http://usher.example", host="evil.example", source=PROXY, X_Forwarded_Host="usher.example"),
            403,
            id="X-Forwarded-Host over another Host",
        ),
        pytest.param(page("http://evil.example", host="evil.example"), 403, id="a Host that is not ours"),
        pytest.param(page("http://usher.example:8001", host=HOST), 403, id="another port"),
        pytest.param(page("http://usher.example", host=HOST), 403, id="no port"),
        pytest.param(page("http://usher.example.evil.example"), 403, id="ours and more behind"),
        pytest.param(page("http://evil-usher.example"), 403, id="ours and more before"),
        pytest.param(page("http://usher.example."), 403, id="a dot behind"),
        pytest.param(page("http://app.example"), 403, id="a listed one by http"),
        pytest.param(page("https://app.example:8443"), 403, id="a listed one at another port"),
        pytest.param(page("https://app.example.evil.example"), 403, id="a listed one and more"),
        pytest.param(page("null"), 403, id="null"),
        pytest.param(page("http://usher.example", "http://usher.example"), TWO, id="two"),
        pytest.param(page("http://usher.example", "null"), TWO, id="two, one of them null"),
    ],
)
def test_the_page_must_be_of_this_site_and_a_refusal_costs_no_ticket(street, at, handshake, outcome):
    caller, host, origins = handshake
    outcome = TWO[at] if outcome is TWO else outcome
    ticket, _address = street.ticket(at, Caller(caller.source))
    before = street.servers[at].log_size()
    assert street.knock(at, caller, ticket, *origins, host=host) == outcome
    if outcome != OPENED:
        assert not street.servers[at].audited("ticket_redeemed", before)
        assert street.knock(at, Caller(caller.source), ticket) == OPENED


@BOTH
@pytest.mark.parametrize(
    ("handshake", "url"),
    [
        pytest.param(page(host=HOST), "ws://usher.example:8000/ws/", id="with its port"),
        pytest.param(page(host="[::1]:8000", source="::1"), "ws://[::1]:8000/ws/", id="IPv6"),
        pytest.param(page(host="[::1]", source="::1"), "ws://[::1]/ws/", id="IPv6 without a port"),
        pytest.param(page(source=PROXY, X_Forwarded_Proto="https"), "wss://usher.example/ws/", id="https at the proxy"),
        pytest.param(page(X_Forwarded_Proto="https"), "ws://usher.example/ws/", id="https as a stranger claims it"),
        pytest.param(
            page(source=PROXY, X_Forwarded_Host="evil.example", Forwarded="host=evil.example;proto=https"),
            "ws://usher.example/ws/",
            id="another host in other headers",
        ),
    ],
)
def test_the_answer_says_where_the_socket_is_as_the_caller_reaches_it(street, at, handshake, url):
    caller, host, _origins = handshake
    assert street.issue(at, caller, host=host)["url"] == url


# Allowances: last, since sockets that were just closed may count for another moment -------------------------------

CROWDS = [
    # Whoever forges headers has one allowance; so have all whom nobody knows, together.
    pytest.param("daphne", "127.0.3.1", "192.0.2.{}", True, id="daphne, a stranger of many names"),
    pytest.param("uvicorn", "127.0.3.2", "192.0.2.{}", True, id="uvicorn, a stranger of many names"),
    pytest.param("daphne", UNIX, "192.0.2.{}", True, id="daphne, over a unix socket that is not trusted"),
    pytest.param("off", UNIX, "192.0.2.{}", True, id="uvicorn, over a unix socket that is not trusted"),
    pytest.param("daphne", PROXY, "192.0.2.{}, 192.0.2.20", True, id="daphne, one behind the proxy"),
    pytest.param("uvicorn", PROXY, "192.0.2.{}, 192.0.2.30", True, id="uvicorn, one behind the proxy"),
    pytest.param("exact", UNIX, "192.0.2.{}, 192.0.2.40", True, id="daphne, one over a unix socket"),
    pytest.param("report", UNIX, "192.0.2.{}, 192.0.2.50", True, id="uvicorn, one over a unix socket"),
    pytest.param("daphne", PROXY, "2001:db8:2:1::{}", True, id="daphne, one link of IPv6"),
    pytest.param("uvicorn", PROXY, "2001:db8:2:2::{}", True, id="uvicorn, one link of IPv6"),
    pytest.param("uvicorn", PROXY, "2001:db8:3:{}::1", False, id="uvicorn, many links of IPv6"),
    pytest.param("daphne", PROXY, "192.0.2.6{}", False, id="daphne, many behind the proxy"),
    pytest.param("uvicorn", PROXY, "192.0.2.7{}", False, id="uvicorn, many behind the proxy"),
    pytest.param("exact", UNIX, "192.0.2.8{}", False, id="daphne, many over a unix socket"),
    pytest.param("report", UNIX, "192.0.2.9{}", False, id="uvicorn, many over a unix socket"),
]


@pytest.mark.parametrize(("at", "source", "claim", "are_one"), CROWDS)
def test_an_address_has_so_many_sockets_without_a_credential(street, at, source, claim, are_one):
    with ExitStack() as sockets:
        for number in range(AT_ONCE):
            sockets.enter_context(street.servers[at].shake(direct(source, claim.format(number))))
        last = direct(source, claim.format(AT_ONCE))
        if are_one:
            with pytest.raises(InvalidStatus, match="403"):
                street.servers[at].shake(last)
        else:
            sockets.enter_context(street.servers[at].shake(last))


@pytest.mark.parametrize(("at", "source", "claim", "are_one"), CROWDS)
def test_an_address_has_so_many_sign_ins(street, at, source, claim, are_one):
    statuses = []
    for number in range(SIGN_INS + 1):
        attempt = {"username": f"{at} {claim} {number}", "password": "wrong"}
        caller = direct(source, claim.format(number))
        statuses.append(street.servers[at].request("POST", caller, "/api/token/", body=attempt).status_code)
    # Those whom nobody knows are the same ones at every process of a site.
    assert statuses[0] == 401 or source == UNIX
    assert statuses[-1] == (429 if are_one else 401)
