import pytest
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from tickets.admission import SCOPE_KEY, Door, admit, caller_of, kept_network

T = "A" * 43


def scope_with(*, host=b"example.com", client=("203.0.113.7", 4711), headers=(), query=b"", **more):
    found = [(b"host", host)] if host is not None else []
    scope = {"type": "websocket", "client": client, "query_string": query, "headers": [*found, *headers]}
    return scope | more


def origin(value):
    return (b"origin", value)


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["example.com", ".apps.example", "[::1]"]


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


names = st.sampled_from([b"host", b"origin", b"x-forwarded-for", b"x-forwarded-proto", b"sec-websocket-protocol"])


@given(st.lists(st.tuples(names, st.binary(max_size=60)), max_size=6), st.binary(max_size=40))
@override_settings(TICKETS={"TRUSTED_PROXIES": ["203.0.113.7"]})
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
    request = RequestFactory().get("/")
    request.scope = {"scheme": "https"}
    assert caller_of(request).secure


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
