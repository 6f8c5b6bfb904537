import asyncio
import logging
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer
from django.contrib.auth.models import Permission
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, connection, transaction
from django.http import Http404
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications import fanout, store, topic_store, topics
from notifications.topics import Denied, Rule, decide, decide_now, find, is_name, permissions_changed, rule
from notifications.wire.doorbell import HUBS, Ended, group_of, stream_of, stream_of_topic, topic_of
from tickets.api import in_thread

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def rules(monkeypatch):
    """None but those that a test registers."""
    monkeypatch.setattr(topics, "_rules", [])
    return topics._rules


@pytest.fixture
def told(monkeypatch):
    messages = []
    monkeypatch.setattr(fanout, "_hubs", [messages.append])
    return messages


# --- Patterns ---


@pytest.mark.parametrize(
    ("pattern", "name", "params"),
    [
        ("news", "news", {}),
        ("news", "new", None),
        ("orders.{order_id}", "orders.7", {"order_id": "7"}),
        ("orders.{order_id}", "orders.a-b_c", {"order_id": "a-b_c"}),
        ("orders.{order_id}", "orders.7.items", None),
        ("orders.{order_id}", "orders.", None),
        ("orders.{order_id:int}", "orders.7", {"order_id": 7}),
        ("orders.{order_id:int}", "orders.07", None),
        ("orders.{order_id:int}", "orders.x", None),
        ("orders.{order_id:int}", "orders.9999999999999999999", None),
        ("{a}.x.{b:int}", "q.x.0", {"a": "q", "b": 0}),
    ],
)
def test_which_names_fit(pattern, name, params):
    assert Rule(pattern, print).match(name) == params


@settings(deadline=None)
@given(st.text(alphabet="ab.{}:int_-0 7é\n", max_size=12), st.text(alphabet="ab._-07é\n{", max_size=12))
def test_no_name_raises_and_what_fits_is_made_of_words(pattern, name):
    found = Rule(pattern, print).match(name)
    assert found is None or name.count(".") == pattern.count(".")


@pytest.mark.parametrize("pattern", ["", "Orders", "a..b", "a.*", "{}", "{a}.{a}", "{a:str}", "a b", "{A}", "x{a}"])
def test_what_is_no_pattern(rules, pattern):
    with pytest.raises(ValueError, match="no pattern"):
        rule(pattern)(lambda user, **params: True)


def test_a_rule_that_cannot_be_called_with_its_places_is_refused_at_once(rules):
    with pytest.raises(TypeError):
        rule("orders.{order_id}")(lambda user, order: True)


def test_the_rule_with_more_words_of_its_own_decides_and_two_alike_are_refused(rules):
    @rule("orders.{order_id}")
    def one(user, order_id):
        return True

    @rule("orders.all")
    def every(user):
        return False

    assert find("orders.7")[0].function is one
    assert find("orders.all")[0].function is every
    assert find("orders") is None
    for pattern in ("orders.{name}", "{kind}.all", "orders.all"):
        with pytest.raises(ValueError, match="fit the same names"):
            rule(pattern)(lambda user, **params: True)
    rule("{kind}.{name:int}")(lambda user, kind, name: True)
    assert find("orders.7")[0].function is one, "which has a word of its own"
    assert len(rules) == 3, "what was refused is not there"


def test_two_of_different_depth_do_not_meet(rules):
    rule("{a}")(lambda user, a: True)
    rule("{a}.{b}")(lambda user, a, b: True)
    rule("{a}.{b:int}.x")(lambda user, a, b: True)
    with pytest.raises(ValueError, match="fit the same names"):
        rule("{c}.5.{d}")(lambda user, c, d: True)


@pytest.mark.parametrize("name", ["a", "a.b", "a_b-c.9", "." * 80, "u.2"])
def test_what_a_topic_can_be_called(name):
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "a" * 81, "A", "a b", "a\n", "é", "a/b", "*", None, 7, b"a", "a:b", "a\x00"])
def test_what_no_topic_is_called(name):
    assert not is_name(name)


@settings(deadline=None)
@given(st.text(max_size=90) | st.from_regex(r"[a-z0-9._-]{1,80}", fullmatch=True) | st.from_regex(r"u\.[0-9]+"))
def test_no_name_is_that_of_another_kind_of_group(name):
    """Whatever somebody asks for, it is a topic's group or none."""
    if is_name(name):
        group = group_of(stream_of_topic(name))
        assert group.startswith("usher.t.")
        assert topic_of(stream_of_topic(name)) == name
        assert group not in (HUBS, group_of(stream_of(name)), group_of(name))
        InMemoryChannelLayer().require_valid_group_name(group)


def test_no_person_has_the_stream_of_a_topic():
    assert {topic_of(stream_of(key)) for key in (2, -1, "t.orders.7", uuid4())} == {None}


# --- Deciding ---


def test_default_is_no(rules, ann, caplog):
    caplog.set_level(logging.INFO, logger="notifications.topics")
    assert decide_now(ann.pk, "anything") == (False, None, "no rule names such a topic", 0)
    assert decide_now(ann.pk, "a\nforged line") == (False, None, "no rule names such a topic", 0)
    assert "forged line" not in caplog.text.splitlines()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "neither True nor False"),
        (1, "neither True nor False"),
        ("yes", "neither True nor False"),
        (Denied("it is closed"), "it is closed"),
        (Denied(), "Denied"),
        (ObjectDoesNotExist("no such order"), "no such order"),
        (Http404(), "Http404"),
        (ZeroDivisionError("oops"), "failed: ZeroDivisionError: oops"),
        (False, "says so"),
    ],
    ids=str,
)
async def test_only_true_lets_in(rules, ann, answer, why):
    def asked(user):
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def asked_async(user):
        return asked(user)

    rule("sync")(asked)
    rule("async")(asked_async)
    for name in ("sync", "async"):
        for decision in (await decide(ann.pk, name), await in_thread(decide_now, ann.pk, name)):
            assert not decision.allowed
            assert why in decision.why
            assert decision.rule.startswith("tests.notifications.test_topics.")


async def test_true_lets_in_with_the_words_of_the_name(rules, ann):
    heard = []

    @rule("orders.{order_id:int}")
    async def may(user, order_id):
        heard.append((user.pk, order_id))
        return True

    assert (await decide(ann.pk, "orders.7")).allowed
    assert (await in_thread(decide_now, ann.pk, "orders.8")).allowed
    assert heard == [(ann.pk, 7), (ann.pk, 8)]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
async def test_a_database_that_is_away_is_no_refusal(rules, ann, error):
    @rule("x")
    def may(user):
        raise error("away")

    with pytest.raises(error):
        await decide(ann.pk, "x")


async def test_a_connection_that_an_async_rule_found_broken_is_not_kept(rules, ann):
    def use():
        connection.ensure_connection()
        connection.errors_occurred = True
        raise OperationalError("the connection is closed")

    @rule("x")
    async def may(user):
        await sync_to_async(use)()

    with pytest.raises(OperationalError):
        await decide(ann.pk, "x")
    assert not await sync_to_async(lambda: connection.errors_occurred)()


async def test_a_rule_that_waits_for_something_cancelled_has_failed_and_refuses(rules, ann):
    async def wait():
        other = asyncio.ensure_future(asyncio.sleep(60))
        other.cancel()
        await other

    @rule("async")
    async def may_async(user):
        await wait()

    @rule("sync")
    def may(user):
        async_to_sync(wait)()

    for name in ("async", "sync"):
        assert (await decide(ann.pk, name)).why.startswith("the rule failed: CancelledError")


async def test_whoever_is_cancelled_while_a_rule_is_asked_is_cancelled(rules, ann):
    asked = asyncio.Event()

    @rule("x")
    async def may(user):
        asked.set()
        await asyncio.Event().wait()

    deciding = asyncio.create_task(decide(ann.pk, "x"))
    await asked.wait()
    deciding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deciding


def test_the_person_is_as_the_database_has_them(rules, ann, people):
    @rule("secret")
    def may(user):
        return user.has_perm("notifications.add_notification")

    assert not decide_now(ann.pk, "secret").allowed
    permission = Permission.objects.get(content_type__app_label="notifications", codename="add_notification")
    ann.user_permissions.add(permission)
    assert decide_now(ann.pk, "secret").allowed
    ann.user_permissions.clear()
    assert not decide_now(ann.pk, "secret").allowed
    ben = people[1]
    rule("open")(lambda user: True)
    assert decide_now(ben.pk, "open").allowed
    type(ben).objects.filter(pk=ben.pk).update(is_active=False)
    assert decide_now(ben.pk, "open").why == "nobody of an active account"
    gone = ben.pk
    ben.delete()
    assert not decide_now(gone, "open").allowed


def test_why_is_for_the_log(rules, ann, caplog):
    caplog.set_level(logging.INFO, logger="notifications.topics")

    @rule("orders.{order_id}")
    def may(user, order_id):
        raise Denied("order 7 is\nsecret")

    decide_now(ann.pk, "orders.7")
    (record,) = caplog.records
    line = record.getMessage()
    assert f"user={ann.pk}" in line and "orders.7" in line and "may" in line
    assert "\n" not in line and r"order 7 is\nsecret" in line


def test_the_fence_was_read_before_the_rule_was_asked(rules, ann):
    @rule("x")
    def may(user):
        topic_store.raise_fence("x")
        return True

    assert decide_now(ann.pk, "x").fence == 0
    assert decide_now(ann.pk, "x").fence == 1, "what changed while it looked is newer"


# --- Permissions that changed ---


def test_that_permissions_of_somebody_changed_raises_their_fence(ann, told):
    before = store.peek(ann.pk).fence
    permissions_changed(user=ann)
    permissions_changed(user=ann.pk)
    assert store.peek(ann.pk).fence == before + 2
    assert [message.fence for message in told if isinstance(message, Ended)] == [before + 1, before + 2]


def test_that_permissions_for_a_topic_changed_raises_its_fence(told):
    permissions_changed(topic="orders.7")
    assert topic_store.position("orders.7").fence == 1
    assert [(message.stream, message.fence) for message in told] == [("t.orders.7", 1)]


def test_it_takes_effect_with_the_commit_and_holds_no_lock_before(ann, told):
    with transaction.atomic():
        permissions_changed(topic="orders.7")
        permissions_changed(user=ann)
        assert told == []
        assert topic_store.fence("orders.7") == 0
    assert len(told) == 2
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        permissions_changed(topic="orders.7")
        raise ZeroDivisionError
    assert len(told) == 2


def test_whose_permissions_must_be_said(ann):
    for wrong in ({}, {"user": ann, "topic": "x"}):
        with pytest.raises(TypeError):
            permissions_changed(**wrong)
    permissions_changed(topic="no such\nname")
    assert topic_store.positions(["no such\nname"]) == []
