import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets.handshake import MALFORMED, NO_PROTOCOL, TWO_TICKETS, take
from tickets.minting import mint

T = "A" * 43
OFFER = b"sec-websocket-protocol"


def scope_with(*headers, query=b""):
    return {"type": "websocket", "headers": list(headers), "subprotocols": ["stale"], "query_string": query}


def taken(scope, *, allow_query=False, carriers=("subprotocol", "header", "bearer")):
    return take(scope, protocols=["usher.v1"], carriers=[*carriers, *(["query"] if allow_query else [])])


@pytest.mark.parametrize(
    ("headers", "query", "allow_query", "carrier", "ticket", "problem", "subprotocols"),
    [
        # nothing
        ([], b"", False, "", None, None, ()),
        ([(OFFER, b"usher.v1")], b"since=1:2", False, "", None, None, ("usher.v1",)),
        # each carrier
        ([(OFFER, b"usher.v1, usher.ticket.T")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b"usher.ticket.T,usher.v1")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b"usher.v1"), (OFFER, b"usher.ticket.T")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b" ,, usher.v1 ,\tusher.ticket.T,")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b"usher.v1, Usher.Ticket.T")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER.title(), b"usher.v1, usher.ticket.T")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b"usher.v1, usher.ticket.")], b"", False, "subprotocol", "", None, ("usher.v1",)),
        ([(b"authorization", b"Ticket T")], b"", False, "header", "T", None, ()),
        ([(b"authorization", b"  tIcKeT   T ")], b"", False, "header", "T", None, ()),
        ([], b"ticket=T", True, "query", "T", None, ()),
        ([], b"a=1&%74icket=%54&b", True, "query", "T", None, ()),
        ([(OFFER, b"usher.v1, anycable-token.T")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        ([(OFFER, b"AnyCable-Token.T, usher.v1")], b"", False, "subprotocol", "T", None, ("usher.v1",)),
        # what is no carrier
        ([], b"ticket=T", False, "", None, None, ()),
        ([(b"authorization", b"Basic T")], b"", False, "", None, None, ()),
        ([(b"authorization", b"Ticket")], b"", False, "header", "", None, ()),
        ([(b"cookie", b"ticket=T; sessionid=x")], b"", False, "", None, None, ()),
        # two, even of the same
        ([(OFFER, b"usher.v1, usher.ticket.T, usher.ticket.T")], b"", False, "", None, TWO_TICKETS, ("usher.v1",)),
        ([(OFFER, b"v, usher.ticket.T"), (b"authorization", b"Ticket T")], b"", False, "", None, TWO_TICKETS, ("v",)),
        ([(b"authorization", b"Ticket T"), (b"authorization", b"Ticket U")], b"", False, "", None, TWO_TICKETS, ()),
        ([(b"authorization", b"Ticket T")], b"ticket=T", True, "", None, TWO_TICKETS, ()),
        ([], b"ticket=T&ticket=T", True, "", None, TWO_TICKETS, ()),
        ([(OFFER, b"v, usher.ticket.T, anycable-token.T")], b"", False, "", None, TWO_TICKETS, ("v",)),
        # a query that is not read does not count
        ([(b"authorization", b"Ticket T")], b"ticket=T", False, "header", "T", None, ()),
        # no protocol to answer with
        ([(OFFER, b"usher.ticket.T")], b"", False, "subprotocol", None, NO_PROTOCOL, ()),
        ([(OFFER, b"graphql-ws, usher.ticket.T")], b"", False, "subprotocol", None, NO_PROTOCOL, ("graphql-ws",)),
        ([(OFFER, b"USHER.V1, usher.ticket.T")], b"", False, "subprotocol", None, NO_PROTOCOL, ("USHER.V1",)),
        ([(OFFER, b"anycable-token.T")], b"", False, "subprotocol", None, NO_PROTOCOL, ()),
        # nonsense
        ([(OFFER, b"\x80\xff")], b"", False, "", None, MALFORMED, ()),
        ([(OFFER, b"usher.v1, two words, usher.ticket.T")], b"", False, "subprotocol", None, MALFORMED, ("usher.v1",)),
        ([(OFFER, b'usher.v1, "usher.ticket.T"')], b"", False, "", None, MALFORMED, ("usher.v1",)),
        ([(OFFER, b"usher.v1, " + b"x" * 8192)], b"", False, "", None, MALFORMED, ("usher.v1", "x" * 8192)),
        ([(OFFER, b",".join([b"p"] * 200))], b"", False, "", None, MALFORMED, ("p",) * 200),
        # percent is an ordinary character of a name, and is not decoded
        ([(OFFER, b"usher.v1%2c, usher.v1")], b"", False, "", None, None, ("usher.v1%2c", "usher.v1")),
    ],
)  # fmt: skip
def test_what_a_handshake_offers(headers, query, allow_query, carrier, ticket, problem, subprotocols):
    found = taken(scope_with(*headers, query=query), allow_query=allow_query)
    assert (found.carrier, found.ticket, found.problem, found.subprotocols) == (carrier, ticket, problem, subprotocols)


@pytest.mark.parametrize(
    ("headers", "carriers", "carrier", "token", "problem"),
    [
        ([(b"authorization", b"Bearer J")], ["bearer"], "bearer", "J", None),
        ([(b"Authorization", b" bEARER  J ")], ["bearer"], "bearer", "J", None),
        ([(b"authorization", b"Bearer J"), (OFFER, b"usher.v1")], ["bearer"], "bearer", "J", None),
        ([(b"authorization", b"Bearer J")], ["header"], "", None, None),
        ([(b"authorization", b"Bearer J"), (b"authorization", b"Bearer K")], ["bearer"], "", None, TWO_TICKETS),
        (
            [(b"authorization", b"Bearer J"), (b"authorization", b"Ticket T")],
            ["bearer", "header"], "", None, TWO_TICKETS,
        ),
        ([(b"authorization", b"Bearer J"), (OFFER, b"\xff")], ["bearer"], "bearer", None, MALFORMED),
        ([(b"X-JID", b" J ")], ["jid"], "jid", "J", None),
        ([(b"x-jid", b"J")], ["bearer"], "", None, None),
        ([(OFFER, b"usher.v1, anycable-token.J.J.J")], ["jid_subprotocol"], "jid_subprotocol", "J.J.J", None),
        ([(OFFER, b"usher.v1, anycable-token.J.J.J")], ["jid", "subprotocol"], "", None, None),
        ([(OFFER, b"anycable-token.J.J.J")], ["jid_subprotocol"], "jid_subprotocol", None, NO_PROTOCOL),
        ([(OFFER, b"v, anycable-token.J."), (b"x-jid", b"J")], ["jid", "jid_subprotocol"], "", None, TWO_TICKETS),
        ([(b"x-jid", b"J"), (b"authorization", b"Bearer K")], ["jid", "bearer"], "", None, TWO_TICKETS),
    ],
)  # fmt: skip
def test_a_token_in_a_header(headers, carriers, carrier, token, problem):
    scope = scope_with(*headers)
    found = taken(scope, carriers=carriers)
    assert (found.carrier, found.token, found.ticket, found.problem) == (carrier, token, None, problem)
    left = {name.lower() for name, _value in scope["headers"]}
    assert left <= {OFFER}, "scrubbed, whether or not it is read"
    assert "J" not in str(scope)


def test_anycables_token_may_have_another_name():
    scope = scope_with((b"x-token2", b"J"), query=b"token2=J&jid=K&a=1")
    found = take(scope, protocols=["usher.v1"], carriers=["jid"], jid_name="Token2")
    assert (found.carrier, found.token) == ("jid", "J")
    assert (scope["headers"], scope["query_string"]) == ([], b"jid=K&a=1")
    scope = scope_with(query=b"a=1&%6aid=J%2e")
    assert taken(scope, carriers=["jid_query"]).token == "J."
    assert scope["query_string"] == b"a=1"


def test_what_is_read_where_is_a_matter_of_settings():
    ways = {
        "subprotocol": ([(OFFER, b"usher.v1, usher.ticket.T")], b""),
        "jid_subprotocol": ([(OFFER, b"usher.v1, anycable-token.T.")], b""),
        "header": ([(b"authorization", b"Ticket T")], b""),
        "query": ([], b"ticket=T"),
        "bearer": ([(b"authorization", b"Bearer T")], b""),
        "jid": ([(b"x-jid", b"T")], b""),
        "jid_query": ([], b"jid=T"),
    }
    for open_way in ways:
        for way, (headers, query) in ways.items():
            found = taken(scope_with(*headers, query=query), carriers=[open_way])
            shown = (found.ticket or found.token or "").strip(".")
            assert (found.carrier, shown) == ((way, "T") if way == open_way else ("", ""))


def test_the_scope_is_scrubbed_in_place_and_the_rest_stays():
    scope = scope_with(
        (b"host", b"example.com"),
        (OFFER, b"usher.v1, usher.ticket." + T.encode()),
        (b"authorization", b"Bearer " + T.encode()),
        (b"Cookie", b"sessionid=" + T.encode()),
        (b"proxy-authorization", b"Basic x"),
        query=b"since=a:1&ticket=" + T.encode() + b"&access_token=x&tick=2",
    )
    headers, shallow_copy = scope["headers"], dict(scope)
    taken(scope)
    assert scope["headers"] is headers
    assert headers == [(b"host", b"example.com"), (OFFER, b"usher.v1")]
    assert shallow_copy["headers"] == headers
    assert scope["subprotocols"] == ["usher.v1"]
    assert scope["query_string"] == b"since=a:1&tick=2"


def test_a_scope_without_anything_is_no_problem():
    scope = {"type": "websocket"}
    found = taken(scope)
    assert (found.ticket, found.problem) == (None, None)
    assert scope["headers"] == []


def test_the_ticket_is_not_shown():
    for scheme in (b"Ticket ", b"Bearer "):
        assert T not in repr(taken(scope_with((b"authorization", scheme + T.encode()))))


names = st.sampled_from([OFFER, b"authorization", b"cookie", b"Authorization", b"x", b"host"])
headers = st.lists(st.tuples(names, st.binary(max_size=60)), max_size=6)


@given(headers=headers, query=st.binary(max_size=60), allow_query=st.booleans())
def test_no_bytes_make_it_raise(headers, query, allow_query):
    scope = scope_with(*headers, query=query)
    found = taken(scope, allow_query=allow_query)
    assert found.ticket is None or found.problem is None
    again = taken(copy.deepcopy(scope), allow_query=True)
    assert (again.ticket, again.token, again.carrier) == (None, None, ""), "something was left to be found"


carriers = st.sampled_from(
    [
        lambda t: ((OFFER, b"usher.v1, usher.ticket." + t), b""),
        lambda t: ((OFFER, b"usher.ticket." + t), b""),
        lambda t: ((OFFER, b"usher.v1, anycable-token." + t), b""),
        lambda t: ((OFFER, b"usher.v1%2canycable-token." + t), b""),
        lambda t: ((OFFER, b"bad one, usher.ticket." + t + b" x"), b""),
        lambda t: ((b"authorization", b"Ticket " + t), b""),
        lambda t: ((b"Authorization", b"Bearer " + t), b""),
        lambda t: ((b"cookie", b"a=" + t), b""),
        lambda t: ((b"X-Jid", t), b"jid=" + t),
        lambda t: ((b"x-other", b"1"), b"ticket=" + t),
        lambda t: ((b"x-other", b"1"), b"a=b&TICKET=" + t + b"&token=" + t),
    ]
)


@given(chosen=st.lists(carriers, min_size=1, max_size=4), noise=headers, allow_query=st.booleans())
def test_no_carrier_leaves_its_ticket_in_the_scope(chosen, noise, allow_query):
    ticket = mint()
    made = [carrier(ticket.encode()) for carrier in chosen]
    scope = scope_with(*noise, *(header for header, _ in made), query=b"&".join(query for _, query in made))
    taken(scope, allow_query=allow_query)
    assert ticket not in repr(scope)
