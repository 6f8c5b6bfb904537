import pytest
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from tickets.admission import (
    SCOPE_KEY,
    Door,
    TrustedScheme,
    admit,
    caller_of,
    frame_credentials,
    is_socket,
    kept_network,
    signed_in_from,
    socket_place,
    socket_url,
)
from tickets.grants import SignedInFrom

T = "A" * 43
JWT = "head.body.signature"
KEY = "k" * 32


def scope_with(*, host=b"example.com", client=("203.0.113.7", 4711), headers=(), query=b"", **more):
    found = [(b"host", host)] if host is not None else []
    scope = {"type": "websocket", "client": client, "query_string": query, "headers": [*found, *headers]}
    return scope | more


def origin(value):
    return (b"origin", value)


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["example.com", ".apps.example", "[::1]", "testserver"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (scope_with(), True),
        (scope_with(headers=[origin(b"http://example.com")]), True),
        (scope_with(headers=[origin(b"http://example.com:80")]), True),
        (scope_with(headers=[origin(b"https://example.com")]), False),
        (scope_with(headers=[origin(b"https://example.com")], scheme="wss"), True),
        (scope_with(headers=[origin(b"http://example.com")], scheme="wss"), False),
        (scope_with(host=b"example.com:8000", headers=[origin(b"http://example.com:8000")]), True),
        (scope_with(host=b"example.com:8000", headers=[origin(b"http://example.com")]), False),
        (scope_with(host=b"a.apps.example", headers=[origin(b"http://a.apps.example")]), True),
        (scope_with(host=b"a.apps.example", headers=[origin(b"http://b.apps.example")]), False),
        (scope_with(host=b"[::1]:8000", headers=[origin(b"http://[::1]:8000")]), True),
        # a Host that this site does not answer to allows nothing, whatever it equals
        (scope_with(host=b"evil.example", headers=[origin(b"http://evil.example")]), False),
        (scope_with(host=None, headers=[origin(b"http://example.com")]), False),
        (scope_with(headers=[(b"host", b"example.com"), origin(b"http://example.com")]), False),
        (scope_with(headers=[origin(b"null")]), False),
        (scope_with(headers=[origin(b"http://[")]), False),
        (scope_with(headers=[origin(b"\xff\xfe")]), False),
        (scope_with(headers=[origin(b"http://example.com"), origin(b"http://example.com")]), False),
    ],
)
def test_the_origin_must_be_the_sites_own(scope, allowed):
    assert admit(scope).origin_ok is allowed


@override_settings(TICKETS={"ALLOWED_ORIGINS": ["https://app.example", "capacitor://localhost"]})
def test_or_a_listed_one():
    for listed in (b"https://app.example", b"capacitor://localhost"):
        assert admit(scope_with(headers=[origin(listed)])).origin_ok
    assert not admit(scope_with(headers=[origin(b"http://app.example")])).origin_ok


@override_settings(TICKETS={"REQUIRE_ORIGIN": True})
def test_its_absence_can_be_refused():
    assert not admit(scope_with()).origin_ok


def test_with_debug_and_no_hosts_the_local_names_are_the_sites_own(settings):
    settings.ALLOWED_HOSTS, settings.DEBUG = [], True
    assert admit(scope_with(host=b"localhost:8000", headers=[origin(b"http://localhost:8000")])).origin_ok
    settings.DEBUG = False
    assert not admit(scope_with(host=b"localhost:8000", headers=[origin(b"http://localhost:8000")])).origin_ok


FORWARDED = [(b"x-forwarded-for", b"1.1.1.1, 198.51.100.9"), (b"x-forwarded-proto", b"https")]


def test_forged_forwarding_headers_are_ignored():
    found = admit(scope_with(headers=[*FORWARDED, origin(b"https://example.com")]))
    assert (found.address, found.origin_ok) == ("203.0.113.7", False)


@override_settings(TICKETS={"TRUSTED_PROXIES": ["203.0.113.0/24", "unix"]})
@pytest.mark.parametrize("client", [("203.0.113.7", 1), ["203.0.113.7", 1], None])
def test_those_of_trusted_proxies_are_believed(client):
    found = admit(scope_with(client=client, headers=[*FORWARDED, origin(b"https://example.com")]))
    assert (found.address, found.origin_ok) == ("198.51.100.9", True)


def test_the_credential_is_found_and_gone():
    scope = scope_with(headers=[(b"sec-websocket-protocol", b"usher.v1, usher.ticket." + T.encode())])
    found = admit(scope)
    assert (found.ticket, found.carrier, found.problem, found.subprotocols) == (T, "subprotocol", None, ("usher.v1",))
    assert T not in repr(found)
    assert T not in repr(scope)


def test_a_query_is_read_only_if_allowed_but_always_scrubbed():
    for allowed in (False, True):
        scope = scope_with(query=b"since=e:1&ticket=" + T.encode())
        with override_settings(TICKETS={"ALLOW_QUERY": allowed}):
            assert admit(scope).ticket == (T if allowed else None)
        assert scope["query_string"] == b"since=e:1"


@override_settings(TICKETS={"PROTOCOLS": ["usher.v1", "v12.stomp"]})
def test_the_protocols_a_ticket_may_stand_beside_are_a_setting():
    offer = (b"sec-websocket-protocol", b"v12.stomp, usher.ticket." + T.encode())
    assert admit(scope_with(headers=[offer])).ticket == T


# --- Ways in ---

OFFER = (b"sec-websocket-protocol", b"usher.v1, usher.ticket." + T.encode())
TICKET = (b"authorization", b"Ticket " + T.encode())
BEARER = (b"authorization", b"Bearer " + JWT.encode())
ANYCABLE = (b"sec-websocket-protocol", b"usher.v1, anycable-token." + JWT.encode())
X_JID = (b"x-jid", JWT.encode())


def shown(*headers, query=b"", **ours):
    """What was admitted under these settings; the scope afterwards carries no credential, whatever that is."""
    scope = scope_with(headers=headers, query=query)
    with override_settings(TICKETS=ours):
        found = admit(scope)
    assert T not in f"{scope}{found!r}" and JWT not in f"{scope}{found!r}"
    return found


def credential(found):
    return found.ticket, found.token, found.carrier, found.problem


NONE = (None, None, "", None)


@pytest.mark.parametrize(
    ("headers", "carrier", "expected"),
    [
        ([OFFER], "subprotocol", (T, None, "subprotocol", None)),
        ([TICKET], "header", (T, None, "header", None)),
        ([BEARER], "bearer", (None, JWT, "bearer", None)),
    ],
)
def test_a_way_is_open_unless_the_site_closes_it(headers, carrier, expected):
    assert credential(shown(*headers)) == expected
    assert credential(shown(*headers, CARRIERS=[carrier])) == expected
    others = {"subprotocol", "header", "frame", "bearer", "token_frame"} - {carrier}
    assert credential(shown(*headers, CARRIERS=sorted(others))) == NONE


@pytest.mark.parametrize(
    ("ours", "accepted"),
    [
        ({}, {"ticket", "token"}),
        ({"CARRIERS": ["frame"]}, {"ticket"}),
        ({"CARRIERS": ["token_frame", "header"]}, {"token"}),
        ({"CARRIERS": ["subprotocol", "bearer"]}, set()),
    ],
)
def test_what_is_accepted_in_a_frame(ours, accepted):
    with override_settings(TICKETS=ours):
        assert frame_credentials() == accepted


SHARED = {"JID_KEY": KEY}
IN_QUERY = {**SHARED, "JID_ALLOW_QUERY": True}
ENFORCED = {**SHARED, "JID_ENFORCE": True}
JID_QUERY = b"jid=" + JWT.encode()


@pytest.mark.parametrize(
    ("ours", "how", "carrier"),
    [
        ({}, {"headers": [X_JID]}, None),
        (SHARED, {"headers": [X_JID]}, "jid"),
        ({}, {"headers": [ANYCABLE]}, None),
        (SHARED, {"headers": [ANYCABLE]}, "jid_subprotocol"),
        (ENFORCED, {"headers": [ANYCABLE]}, "jid_subprotocol"),
        (SHARED, {"headers": [(b"X-Jid", b" " + JWT.encode() + b" ")]}, "jid"),
        ({**SHARED, "JID_NAME": "Who"}, {"headers": [(b"x-who", JWT.encode())]}, "jid"),
        ({**SHARED, "CARRIERS": ["subprotocol"]}, {"headers": [X_JID]}, "jid"),
        (SHARED, {"headers": [BEARER]}, "bearer"),
        ({}, {"query": JID_QUERY}, None),
        (SHARED, {"query": JID_QUERY}, None),
        ({"JID_ALLOW_QUERY": True}, {"query": JID_QUERY}, None),
        (IN_QUERY, {"query": JID_QUERY}, "jid_query"),
        (IN_QUERY, {"query": b"%6A%69d=" + JWT.encode()}, "jid_query"),
        ({**IN_QUERY, "JID_NAME": "who"}, {"query": b"who=" + JWT.encode()}, "jid_query"),
        (ENFORCED, {"headers": [X_JID]}, "jid"),
        ({**IN_QUERY, **ENFORCED}, {"query": JID_QUERY}, "jid_query"),
    ],
    ids=str,
)
def test_a_token_of_another_application_is_read_only_where_its_key_is_known(ours, how, carrier):
    found = shown(*how.get("headers", ()), query=how.get("query", b""), **ours)
    assert credential(found) == ((None, JWT, carrier, None) if carrier else NONE)


def test_the_rest_of_the_address_stays():
    scope = scope_with(query=b"since=e:1&" + JID_QUERY)
    with override_settings(TICKETS=IN_QUERY):
        assert admit(scope).token == JWT
    assert scope["query_string"] == b"since=e:1"


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"headers": [OFFER]},
        {"headers": [TICKET]},
        {"headers": [BEARER]},
        {"query": JID_QUERY},
        {"query": b"ticket=" + T.encode(), "ALLOW_QUERY": True},
    ],
    ids=str,
)
def test_where_such_a_token_is_enforced_nothing_else_lets_in(how):
    found = shown(*how.get("headers", ()), **ENFORCED, **{name: how[name] for name in how if name != "headers"})
    assert (found.problem, found.ticket, found.token) == ("no_token", None, None)


@pytest.mark.parametrize(
    ("ours", "how"),
    [
        ({}, {"headers": [OFFER, BEARER]}),
        ({}, {"headers": [TICKET, BEARER]}),
        ({}, {"headers": [BEARER, BEARER]}),
        (SHARED, {"headers": [X_JID, X_JID]}),
        (SHARED, {"headers": [BEARER, X_JID]}),
        (SHARED, {"headers": [OFFER, X_JID]}),
        (SHARED, {"headers": [ANYCABLE, X_JID]}),
        (SHARED, {"headers": [ANYCABLE, OFFER]}),
        (IN_QUERY, {"headers": [X_JID], "query": JID_QUERY}),
        (IN_QUERY, {"headers": [OFFER], "query": JID_QUERY}),
        (IN_QUERY, {"query": JID_QUERY + b"&" + JID_QUERY}),
        ({**ENFORCED, "ALLOW_QUERY": True}, {"headers": [X_JID], "query": b"ticket=" + T.encode()}),
    ],
    ids=str,
)
def test_two_credentials_are_none(ours, how):
    found = shown(*how.get("headers", ()), query=how.get("query", b""), **ours)
    assert credential(found) == (None, None, "", "two_tickets")


@pytest.mark.parametrize(
    ("ours", "headers", "carrier"),
    [
        ({"CARRIERS": ["subprotocol"]}, [OFFER, BEARER], "subprotocol"),
        ({"CARRIERS": ["bearer"]}, [TICKET, BEARER], "bearer"),
        ({}, [OFFER, X_JID], "subprotocol"),
        (ENFORCED, [OFFER, X_JID], "jid"),
    ],
    ids=str,
)
def test_what_comes_by_a_closed_way_is_not_a_second_one(ours, headers, carrier):
    found = shown(*headers, **ours)
    assert (found.carrier, found.problem) == (carrier, None)


names = st.sampled_from(
    [
        *(b"host", b"origin", b"x-forwarded-for", b"x-forwarded-proto"),
        *(b"sec-websocket-protocol", b"authorization", b"x-jid"),
    ]
)


@given(st.lists(st.tuples(names, st.binary(max_size=60)), max_size=6), st.binary(max_size=40))
@override_settings(TICKETS={"TRUSTED_PROXIES": ["203.0.113.7"], "JID_KEY": KEY, "JID_ALLOW_QUERY": True})
def test_no_bytes_make_it_raise(headers, query):
    admit(scope_with(host=None, headers=headers, query=query))


async def test_the_door_scrubs_the_servers_own_scope_and_leaves_the_admission_in_it():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))
        return "answer"

    scope = scope_with(query=b"ticket=" + T.encode())
    assert await Door(app)(scope, receive="r", send="s") == "answer"
    assert seen == [(scope, "r", "s")]
    assert scope[SCOPE_KEY].origin_ok
    assert scope["query_string"] == b""


@pytest.mark.parametrize(("trusted", "address", "secure"), [([], "127.0.0.1", False), (["127.0.0.1"], "1.2.3.4", True)])
def test_rest_requests_are_walked_the_same_way(trusted, address, secure):
    request = RequestFactory().get("/", headers={"x-forwarded-for": "9.9.9.9, 1.2.3.4", "x-forwarded-proto": "https"})
    with override_settings(TICKETS={"TRUSTED_PROXIES": trusted}):
        assert caller_of(request) == (address, secure)


def test_a_rest_request_over_tls_is_secure():
    assert caller_of(RequestFactory().get("/", secure=True)).secure


def test_under_asgi_the_scheme_is_the_servers():
    request = AsyncRequestFactory().get("/", secure=True)
    assert request.scope["scheme"] == "https"
    assert caller_of(request).secure


TOLD = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize(
    ("setting", "headers", "secure"),
    [
        (TOLD, {"X-Forwarded-Proto": "https"}, True),
        (TOLD, {"X-Forwarded-Proto": "https, http"}, True),
        (TOLD, {"X-Forwarded-Proto": "http"}, False),
        (TOLD, {}, False),
        (None, {"X-Forwarded-Proto": "https"}, False),
    ],
    ids=str,
)
def test_a_socket_believes_the_header_that_the_sites_pages_believe(settings, setting, headers, secure):
    """Else a site behind a proxy that Django was told of would refuse its own pages, or name them a plain socket."""
    settings.SECURE_PROXY_SSL_HEADER = setting
    request = AsyncRequestFactory().get("/", headers=headers)
    assert caller_of(request).secure is secure
    assert socket_url(request) == f"ws{'s' * secure}://testserver/ws/"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    for scheme in ("http", "https"):
        scope = scope_with(host=b"testserver", headers=[origin(f"{scheme}://testserver".encode()), *raw])
        assert admit(scope).origin_ok is (secure == (scheme == "https"))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, "/ws/"),
        ({"FORCE_SCRIPT_NAME": "/mounted"}, "/mounted/ws/"),
        ({"ROOT_URLCONF": "tests.notifications.prefixed_urls"}, "/under/any/prefix/ws/"),
        ({"TICKETS": {"SOCKET_PATH": "/live"}}, "/live"),
    ],
    ids=str,
)
def test_the_socket_is_beside_the_pages_unless_a_setting_says_where(changes, path):
    with override_settings(**changes):
        assert socket_url(AsyncRequestFactory().get("/")) == f"ws://testserver{path}"
        assert is_socket({"path": path})
        assert not is_socket({"path": f"{path}x"})


@pytest.mark.parametrize("prefix", ["", "/under/any/prefix"])
def test_beside_it_are_the_places_that_tell_what_is_spoken(prefix):
    with override_settings(ROOT_URLCONF="tests.notifications.prefixed_urls" if prefix else "project.urls"):
        places = {path: socket_place({"path": prefix + path}) for path in ("/ws/", "/stomp", "/cable", "/stomp/", "/")}
    assert places == {"/ws/": "socket", "/stomp": "stomp", "/cable": "cable", "/stomp/": None, "/": None}
    with override_settings(ROOT_URLCONF="tickets.urls"):
        assert socket_place({"path": "/stomp"}) is None
        with override_settings(TICKETS={"SOCKET_PATH": "/live"}):
            assert [socket_place({"path": path}) for path in ("/live", "/stomp")] == ["socket", None]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("off", ["", "", ""]),
        ("report", ["203.0.113.0/24", "2001:db8:0:100::/56", ""]),
        ("prefix", ["203.0.113.0/24", "2001:db8:0:100::/56", ""]),
        ("exact", ["203.0.113.7/32", "2001:db8:0:1ff::1/128", ""]),
    ],
)
def test_no_more_of_an_address_is_kept_than_the_policy_needs(policy, kept):
    with override_settings(TICKETS={"NETWORK_POLICY": policy}):
        assert [kept_network(address) for address in ("203.0.113.7", "2001:db8:0:1ff::1", None)] == kept


# --- Where somebody signed in from ---


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("", ""),
        ("a\0b\x1b[1mc\r\nd\x7f", "ab[1mcd"),
        ("left\u202eright\u200b", "leftright"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("\0" * 300 + "x" * 5000, "x" * 200),
        ("é" * 300, "é" * 200),
    ],
    ids=["plain", "empty", "controls", "invisible", "surrogate", "long", "long and not ASCII"],
)
def test_a_device_is_what_it_calls_itself_as_far_as_that_can_be_shown(told, kept):
    assert signed_in_from(RequestFactory().get("/", headers={"user-agent": told})).device == kept


def test_who_says_nothing_is_kept_as_nothing():
    request = RequestFactory().get("/", REMOTE_ADDR="")
    assert signed_in_from(request) == SignedInFrom(device="", network="")


@pytest.mark.parametrize(
    ("ours", "network"),
    [
        ({}, "203.0.113.0/24"),
        ({"NETWORK_POLICY": "exact"}, "203.0.113.7/32"),
        ({"NETWORK_POLICY": "off"}, ""),
        ({"TRUSTED_PROXIES": ["203.0.113.7"]}, "198.51.100.0/24"),
    ],
    ids=str,
)
def test_of_the_address_no_more_is_kept_than_elsewhere(ours, network):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"x-forwarded-for": "198.51.100.9"})
    with override_settings(TICKETS=ours):
        assert signed_in_from(request).network == network


@pytest.mark.parametrize("own", ["http", "https", None])
@pytest.mark.parametrize(
    ("peer", "told", "scheme"),
    [
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["http"], "http"),
        ("10.0.0.1", ["http, https"], "https"),  # the nearest proxy's word is the last one
        ("10.0.0.1", ["https", "http"], "http"),
        ("10.0.0.1", [], None),
        ("192.0.2.7", ["https"], None),  # who is no proxy of ours tells nothing
        ("192.0.2.7", ["http"], None),
    ],
)
@override_settings(TICKETS={"TRUSTED_PROXIES": ["10.0.0.1"]})
async def test_a_request_is_secure_as_far_as_trusted_proxies_tell(own, peer, told, scheme):
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["scheme"])

    headers = [(b"x-forwarded-proto", value.encode()) for value in told]
    scope = scope_with(client=(peer, 4711), headers=headers) | {"type": "http"}
    await TrustedScheme(app)(scope | ({"scheme": own} if own else {}), None, None)
    assert seen == [scheme or own or "http"]
