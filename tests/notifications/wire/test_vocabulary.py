"""The contract's table of frames, written out: a field may be added to an event, never removed or renamed."""

import msgspec
import pytest

from notifications.wire import vocabulary as words
from tests.notifications.live.life import note

EVENTS = {
    "welcome": "connection user epoch head cursor recovered state_version unread unseen expires_at grace_seconds "
    "window ping_seconds server_time",
    "notification": "stream seq id kind level title body url data created_at seen read archived replayed",
    "skipped": "stream through",
    "caught_up": "stream cursor",
    "reset": "stream reason epoch head oldest",
    "state": "ids through state state_version unread unseen",
    "subscribed": "stream topic epoch head cursor ref",
    "unsubscribed": "stream topic ref",
    "denied": "stream topic code ref",
    "reauth_required": "reason deadline grace_seconds",
    "reauthenticated": "expires_at held state_version",
    "reauth_failed": "code attempts_left retry_after_ms",
    "error": "code detail ref",
    "bye": "code reason reconnect need retry_after_ms",
    "pong": "ref",
}
COMMANDS = {
    "authenticate": "ticket token since ref",
    "reauth": "ticket token ref",
    "ack": "seq stream token ref",
    "state": "ids through state token ref",
    "subscribe": "topic since token ref",
    "unsubscribe": "topic token ref",
    "ping": "ref",
    # Of protocols other than the native one.
    "follow": "topic since paced ref",
    "unfollow": "topic ref",
}


def spelled(base):
    return {kind.__struct_config__.tag: kind for kind in base.__subclasses__()}


@pytest.mark.parametrize("tag", EVENTS)
def test_events_have_the_fields_of_the_contract(tag):
    assert set(EVENTS[tag].split()) <= set(spelled(words.Event)[tag].__struct_fields__)


def test_there_are_no_other_events():
    assert set(spelled(words.Event)) == set(EVENTS)


@pytest.mark.parametrize("tag", COMMANDS)
def test_commands_have_exactly_the_fields_of_the_contract(tag):
    assert set(COMMANDS[tag].split()) == set(spelled(words.Command)[tag].__struct_fields__)


def test_there_are_no_other_commands():
    assert set(spelled(words.Command)) == set(COMMANDS)
    assert set(words.AnyCommand.__args__) == set(words.Command.__subclasses__())
    native = {kind.__struct_config__.tag for kind in words.NativeCommand.__args__}
    assert native == set(COMMANDS) - {"follow", "unfollow"}


def test_a_replay_differs_in_nothing_else():
    live = note(3)
    assert msgspec.structs.replace(live.as_replay(), replayed=False) == live
    assert live.as_replay().replayed


def test_an_answer_differs_in_nothing_else():
    change = words.StateChanged(state="read", state_version=1, unread=0, unseen=0, ids=["a"])
    assert change.answering("r").ref == "r"
    assert msgspec.structs.replace(change.answering("r"), ref=words.UNSET) == change
