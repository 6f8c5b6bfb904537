"""A client hears all that a server can say, and survives what none says."""

import json

import pytest
from msgspec.json import encode

from notifications.client import spelling
from notifications.client.spelling import NoFrame, line, read_body, read_frame, write_frame
from notifications.wire import vocabulary

from . import said


def words(kinds):
    return {kind.__struct_config__.tag: set(kind.__struct_fields__) for kind in kinds}


def test_it_knows_every_word_of_the_server_with_every_field():
    assert words(spelling.Frame.__args__) == words(vocabulary.Event.__subclasses__())


def test_what_a_server_says_is_read():
    frame = said.notification(7, data={"build": 7})
    assert read_frame(encode(frame)) == frame
    assert read_frame(encode(said.welcome())) == said.welcome()


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "reset", "stream": "u.1", "reason": "a new one", "epoch": "e", "head": 1, "oldest": 1, "more": 1},
        {"type": "state", "state": "starred", "state_version": 1, "unread": 0, "unseen": 0, "ids": []},
        {"type": "reauth_required", "reason": "a new one", "deadline": "then", "grace_seconds": 1},
    ],
    ids=lambda frame: frame["type"],
)
def test_words_of_a_newer_server_are_kept_and_its_fields_ignored(frame):
    heard = read_frame(json.dumps(frame))
    assert (getattr(heard, "reason", "") or heard.state) in ("a new one", "starred")


def test_a_frame_of_a_newer_server_is_none():
    assert read_frame('{"type": "celebrated", "topic": "t"}') is None


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{}", '{"type": 1}', '{"type": "bye"}', '{"type": "pong"', b"\xff", "[" * 9999]
)
def test_what_is_no_frame_is_said_without_repeating_it(text):
    with pytest.raises(NoFrame) as caught:
        read_frame(text)
    assert str(caught.value) == "The server said something that is no frame."
    assert caught.value.__suppress_context__


def test_what_a_client_says():
    assert write_frame({"type": "ack", "seq": 7}) == '{"type":"ack","seq":7}'


def test_a_body_that_is_no_json_is_none():
    assert read_body(b"<html>") is None
    assert read_body(b'{"a": 1}') == {"a": 1}


def test_a_line_is_ascii_whatever_is_in_it():
    hostile = "\x1b[31m\x9b\u202e\x7f\n"
    text = line(said.notification(1, title=hostile))
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["title"] == hostile
    assert json.loads(text)["type"] == "notification"
    assert json.loads(line(said.reset(3)))["head"] == 3


def test_only_the_fact_of_a_change():
    fact = said.changed(3, ids=["a"], ref="r").without_details()
    assert (fact.state, fact.ids, fact.state_version, fact.ref) == ("changed", [], 3, vocabulary.UNSET)
