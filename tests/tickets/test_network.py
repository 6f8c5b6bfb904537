import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets.network import (
    Origin,
    Verdict,
    allowance_key,
    binding,
    compare,
    find_caller,
    header_values,
    is_origin_allowed,
    origins,
    own_origin,
    parse_address,
    parse_origin,
    parse_proxy,
    proxies,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:4711 ", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("203.0.113.007", None),
        ("1:2", None),
        ("[]", None),
        ("٣.1.1.1", None),
    ],
)
def test_addresses_are_read_as_proxies_write_them(text, address):
    assert parse_address(text) == (address and ipaddress.ip_address(address))


def caller(*, peer, forwarded_for=(), forwarded_proto=(), trusted=(), secure=False):
    return find_caller(
        peer=peer,
        secure=secure,
        forwarded_for=list(forwarded_for),
        forwarded_proto=list(forwarded_proto),
        trusted=proxies(tuple(trusted)),
    )


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "address"),
    [
        ("198.51.100.9", [], [], "198.51.100.9"),
        ("198.51.100.9", ["203.0.113.7"], [], "198.51.100.9"),  # forged
        ("198.51.100.9", ["203.0.113.7"], ["10.0.0.0/8"], "198.51.100.9"),  # forged
        ("10.0.0.1", ["203.0.113.7"], ["10.0.0.0/8"], "203.0.113.7"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], ["10.0.0.0/8"], "203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], ["10.0.0.0/8"], "203.0.113.7"),  # the left one is forged
        ("10.0.0.1", ["1.1.1.1", "203.0.113.7, 10.0.0.2"], ["10.0.0.0/8"], "203.0.113.7"),
        ("10.0.0.1", ["10.9.9.9"], ["10.0.0.0/8"], "10.9.9.9"),  # everybody is trusted: the farthest
        ("10.0.0.1", [], ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense"], ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense, 10.0.0.2"], ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.1", ["1.1.1.1,"], ["10.0.0.0/8"], "10.0.0.1"),
        (None, ["203.0.113.7"], [], None),  # a unix socket that nobody trusts
        (None, ["203.0.113.7"], ["unix"], "203.0.113.7"),
        ("", ["203.0.113.7"], ["unix"], "203.0.113.7"),
        (None, [], ["unix"], None),
        ("nonsense", ["203.0.113.7"], ["unix"], None),
        ("10.0.0.1", ["203.0.113.7"], ["10.0.0.0/99", "nonsense"], "10.0.0.1"),  # malformed entries trust nobody
        ("2001:db8::1", ["2001:db8:1::7"], ["2001:db8::/64"], "2001:db8:1::7"),
    ],
)
def test_the_walk_to_the_caller(peer, forwarded_for, trusted, address):
    assert caller(peer=peer, forwarded_for=forwarded_for, trusted=trusted).address == address


@pytest.mark.parametrize(
    ("peer", "proto", "own", "secure"),
    [
        ("10.0.0.1", ["https"], False, True),
        ("10.0.0.1", ["HTTPS "], False, True),
        ("10.0.0.1", ["wss"], False, True),
        ("10.0.0.1", ["http"], True, False),
        ("10.0.0.1", ["https, http"], False, False),  # the nearest one knows
        ("10.0.0.1", ["https", "http"], False, False),
        ("10.0.0.1", [""], True, True),
        ("10.0.0.1", [], True, True),
        ("198.51.100.9", ["https"], False, False),  # forged
        ("198.51.100.9", ["http"], True, True),  # forged
    ],
)
def test_the_scheme_is_believed_from_trusted_proxies_only(peer, proto, own, secure):
    found = caller(peer=peer, forwarded_proto=proto, trusted=["10.0.0.0/8"], secure=own)
    assert found.secure is secure


@given(st.none() | st.text(max_size=40), st.lists(st.text(max_size=60), max_size=3))
def test_no_header_makes_the_walk_raise(peer, values):
    caller(peer=peer, forwarded_for=values, forwarded_proto=values, trusted=["0.0.0.0/0", "::/0", "unix"])


def test_a_proxy_entry_is_a_network_or_unix():
    assert parse_proxy("unix") is None
    assert parse_proxy("10.0.0.1") == ipaddress.ip_network("10.0.0.1/32")
    for wrong in ("10.0.0.1/8", "proxy.example", ""):
        with pytest.raises(ValueError):
            parse_proxy(wrong)


@pytest.mark.parametrize(
    ("address", "prefix", "exact"),
    [
        ("203.0.113.7", "203.0.113.0/24", "203.0.113.7/32"),
        ("::ffff:203.0.113.7", "203.0.113.0/24", "203.0.113.7/32"),
        ("2001:db8:1:2ff:3::4", "2001:db8:1:200::/56", "2001:db8:1:2ff:3::4/128"),
        (None, "", ""),
        ("nonsense", "", ""),
    ],
)
def test_what_is_stored_of_an_address(address, prefix, exact):
    assert binding(address, exact=False) == prefix
    assert binding(address, exact=True) == exact


SAME, OTHER, REFUSED = Verdict(True, True), Verdict(False, True), Verdict(False, False)


@pytest.mark.parametrize(
    ("issued_to", "address", "off", "report", "prefix", "exact"),
    [
        ("203.0.113.7", "203.0.113.7", SAME, SAME, SAME, SAME),
        ("203.0.113.7", "203.0.113.99", SAME, SAME, SAME, REFUSED),
        ("203.0.113.7", "::ffff:203.0.113.99", SAME, SAME, SAME, REFUSED),
        ("203.0.113.7", "203.0.114.7", SAME, OTHER, REFUSED, REFUSED),
        ("2001:db8:1:200::1", "2001:db8:1:2ff::2", SAME, SAME, SAME, REFUSED),
        ("2001:db8:1:200::1", "2001:db8:1:300::1", SAME, OTHER, REFUSED, REFUSED),
        ("203.0.113.7", "2001:db8::1", SAME, OTHER, OTHER, REFUSED),
        ("2001:db8::1", "203.0.113.7", SAME, OTHER, OTHER, REFUSED),
        ("203.0.113.7", None, SAME, OTHER, REFUSED, REFUSED),
        (None, "203.0.113.7", SAME, SAME, SAME, SAME),  # bound to none
    ],
)
def test_networks_are_compared_by_policy(issued_to, address, off, report, prefix, exact):
    for policy, verdict in {"off": off, "report": report, "prefix": prefix, "exact": exact}.items():
        stored = binding(issued_to, exact=policy == "exact")
        assert compare(stored, address, policy=policy) == verdict, policy


def test_a_ticket_stored_under_another_policy_a_moment_ago():
    assert compare("203.0.113.7/32", "203.0.113.9", policy="prefix") == SAME
    assert compare("203.0.113.0/24", "203.0.113.0", policy="exact") == REFUSED


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:0::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::7%eth0", "fe80::/64"),
        (None, "unknown"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_whoever_has_a_link_of_addresses_has_one_allowance(address, key):
    assert allowance_key(address) == key


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://good.example", Origin("https", "good.example", 443)),
        ("https://good.example:443", Origin("https", "good.example", 443)),
        ("HTTPS://Good.Example", Origin("https", "good.example", 443)),
        ("http://good.example:8000", Origin("http", "good.example", 8000)),
        ("http://[2001:DB8:0::1]:80", Origin("http", "[2001:db8::1]", 80)),
        ("capacitor://localhost", Origin("capacitor", "localhost", None)),
        ("chrome-extension://abcdef", Origin("chrome-extension", "abcdef", None)),
        ("null", None),
        ("", None),
        ("http://[", None),
        ("http://[]", None),
        ("http://[::1", None),
        ("http://[:::1]", None),
        ("http://good.example:99999", None),
        ("http://good.example:0", None),
        ("http://good.example:", None),
        ("http://good.example:٣", None),
        ("http://:99999", None),
        (":99999", None),
        ("https://good.example/", None),
        ("https://good.example/path", None),
        ("https://user@good.example", None),
        ("https://good.example https://evil.example", None),
        ("https://good.example\n", None),
        ("https://göod.example", None),
        ("//good.example", None),
        ("good.example", None),
        ("file://", None),
    ],
)
def test_origins_are_read_exactly(text, origin):
    assert parse_origin(text) == origin


ALLOWED = origins(("https://good.example", "http://good.example:8000", "capacitor://localhost", "not an origin"))


@pytest.mark.parametrize(
    "sent",
    [
        ["https://good.example"],
        ["https://good.example:443"],
        ["http://good.example:8000"],
        ["capacitor://localhost"],
    ],
)
def test_an_allowed_origin(sent):
    assert is_origin_allowed(sent, allowed=ALLOWED, required=True)


@pytest.mark.parametrize(
    "sent",
    [
        ["null"],
        [""],
        ["http://good.example"],
        ["https://good.example:8000"],
        ["https://good.example.evil.example"],
        ["https://evilgood.example"],
        ["https://good.example."],
        ["https://good.example@evil.example"],
        ["ionic://localhost"],
        ["http://["],
        ["http://good.example:99999"],
        ["not an origin"],
        ["https://good.example", "https://good.example"],
        ["https://good.example", "null"],
    ],
)
def test_a_refused_origin(sent):
    assert not is_origin_allowed(sent, allowed=ALLOWED, required=False)


def test_no_origin_is_allowed_unless_one_is_required():
    assert is_origin_allowed([], allowed=ALLOWED, required=False)
    assert not is_origin_allowed([], allowed=ALLOWED, required=True)


def test_nothing_malformed_is_equal_to_nothing():
    assert not is_origin_allowed(["null"], allowed=origins(("null",)), required=False)


def test_the_own_origin_is_that_of_the_host_header():
    assert own_origin(["example.com:8000"], secure=False) == Origin("http", "example.com", 8000)
    assert own_origin(["example.com"], secure=True) == Origin("https", "example.com", 443)
    assert own_origin([], secure=True) is None
    assert own_origin(["a.example", "b.example"], secure=True) is None
    assert own_origin(["evil.example/x"], secure=True) is None


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_no_bytes_make_the_origin_check_raise(values):
    headers = [(b"Origin", value) for value in values]
    is_origin_allowed(header_values(headers, b"origin"), allowed=ALLOWED, required=True)
