import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.rabbitmq import grammar
from notifications.rabbitmq.grammar import NotAsked, allow, read

NEEDED, OPTIONAL = ("username", "vhost"), ("ip",)


def test_what_rabbitmq_asks():
    body = b"username=ann&vhost=%2F&ip=127.0.0.1&tags=&client_id=x"
    assert read(body, NEEDED, OPTIONAL) == {"username": "ann", "vhost": "/", "ip": "127.0.0.1"}
    assert read(b"username=J%C3%BCrgen+M.&vhost=a%26b", NEEDED) == {"username": "Jürgen M.", "vhost": "a&b"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"username",
        b"username=ann",
        b"username=ann&vhost=",
        b"username=ann&vhost=%2F&vhost=%2F",
        b"username=ann&vhost=%2F&ip=1&ip=2",
        b"username=ann&vhost=%00",
        b"username=ann%0A&vhost=%2F",
        b"username=ann%E2%80%AE&vhost=%2F",
        b"username=%FF&vhost=%2F",
        b"username=\xc3\xbc&vhost=%2F",
        b"username=ann&vhost=" + b"a" * 256,
        b"username=ann&vhost=%2F&" + b"&".join(b"a%d=1" % number for number in range(100)),
        b"username=ann&vhost=%2F&x=" + b"a" * grammar.BODY_BYTES,
        b"[]",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_it_does_not_ask(body):
    with pytest.raises(NotAsked):
        read(body, NEEDED, OPTIONAL)


def test_a_password_may_be_long():
    body = b"username=ann&password=" + b"a" * grammar.PASSWORD_LENGTH
    assert len(read(body, ("username", "password"))["password"]) == grammar.PASSWORD_LENGTH
    with pytest.raises(NotAsked):
        read(body + b"a", ("username", "password"))


@given(st.binary(max_size=200))
def test_nothing_raises_anything_else(body):
    try:
        found = read(body, NEEDED, OPTIONAL)
    except NotAsked:
        return
    assert set(found) <= {*NEEDED, *OPTIONAL} and all(found[name] for name in NEEDED)


def test_answers():
    assert allow() == "allow"
    assert allow(["monitoring", "administrator", "management"]) == "allow management monitoring"
