import json

import pytest

from notifications.wire.actioncable_frames import (
    CONTROL,
    IDENTIFIER_LENGTH,
    PERSON,
    TOPIC,
    Channel,
    Place,
    channel_of,
    disconnect,
    performed,
    read,
)
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame
from notifications.wire.native import FRAME_BYTES
from notifications.wire.vocabulary import Bye


def refused(frame, how=read):
    with pytest.raises(BadFrame) as problem:
        how(frame)
    return problem.value.code


def test_what_newer_clients_say_beside_is_not_read():
    frame = read('{"command":"subscribe","identifier":"i","presence":{"id":1},"history":{"since":7,"streams":{}}}')
    assert (frame.command, frame.identifier, frame.history.streams) == ("subscribe", "i", {})


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        *((frame, "malformed") for frame in ("", "x", "{", b'{"command":"ping"}', "[" * 8000, '{"command":"\\ud800"}')),
        *((frame, "malformed") for frame in ("[]", "7", "null", '"x"')),
        *((frame, "invalid") for frame in ("{}", '{"command":7}', '{"command":"x","data":{}}')),
        ('{"command":"x","history":{"streams":{"u.1":{"offset":"1","epoch":"e"}}}}', "invalid"),
        ('{"command":"x","history":{"streams":{"u.1":{"offset":1.5,"epoch":"e"}}}}', "invalid"),
        ('{"command":"x","command":"x"}', "invalid"),
        ('{"command":"x","history":{"streams":{},"streams":{}}}', "invalid"),
        (f'{{"command":"x","other":{"9" * 5000}}}', "invalid"),
        (f'{{"command":"x","identifier":"{"i" * (IDENTIFIER_LENGTH + 1)}"}}', "invalid"),
        (f'{{"command":"x","data":"{"d" * FRAME_BYTES}"}}', "too_big"),
    ],
)
def test_what_is_no_frame(frame, code):
    assert refused(frame) == code


@pytest.mark.parametrize(
    ("identifier", "channel"),
    [
        ('{"channel":"NotificationsChannel"}', Channel(PERSON)),
        ('{"channel":"NotificationsChannel","since":"e:07","id":5}', Channel(PERSON, None, Place("e", 7))),
        ('{"channel":"TopicChannel","topic":"orders.7"}', Channel(TOPIC, "orders.7")),
        ('{"channel":"TopicChannel","topic":"a","since":"e:1"}', Channel(TOPIC, "a", Place("e", 1))),
        ('{"channel":"ControlChannel"}', Channel(CONTROL)),
        ('{"channel":"NotificationsChannel","since":""}', None),
        ('{"channel":"NotificationsChannel","since":"e:1\\n"}', None),
        ('{"channel":"NotificationsChannel","since":"e:١"}', None),
        ('{"channel":"TopicChannel","topic":"a b"}', None),
        ('{"channel":"TopicChannel","topic":"a\\n"}', None),
        ('{"channel":"topicchannel","topic":"a"}', None),
        ('"NotificationsChannel"', None),
    ],
)
def test_channels(identifier, channel):
    assert channel_of(identifier) == channel


@pytest.mark.parametrize(
    ("data", "code"),
    [
        *((data, "invalid") for data in ("", "x", "[]", "7", '"x"', "[" * 4000)),
        *((data, "unknown_type") for data in ("{}", '{"action":7}', '{"action":{}}', '{"action":"speak"}')),
        *((data, "unknown_type") for data in ('{"type":"reauth"}', '{"action":"subscribe","topic":"a"}')),
        ('{"action":"reauth"}', "invalid"),
        ('{"action":"reauth","ticket":"a","token":"b"}', "invalid"),
        ('{"action":"reauth","ticket":"a","ticket":"b"}', "invalid"),
        ('{"action":"reauth","ticket":"\\u0000"}', "invalid"),
        ('{"action":"reauth","ticket":"a","else":1}', "invalid"),
        ('{"action":"state","state":"read","through":1.0}', "invalid"),
        ('{"action":"state","state":"read","through":true}', "invalid"),
        ('{"action":"state","state":"read","through":9007199254740992}', "invalid"),
        (f'{{"action":"state","state":"read","through":1,"ref":"{"r" * 65}"}}', "invalid"),
    ],
)
def test_what_is_no_command(data, code):
    assert refused(data, performed) == code


def test_every_close_code_says_whether_to_come_back():
    for code in CloseCode:
        bye = Bye(code=int(code), reason=code.reason, reconnect=code.reconnect, need=code.need, retry_after_ms=0)
        for refreshes in (True, False):
            said = json.loads(disconnect(bye, refreshes=refreshes))
            renewed = refreshes and code in (CloseCode.SESSION_EXPIRED, CloseCode.TICKET_REFUSED)
            assert (said["reason"] == "token_expired") is renewed, "never for trouble of ours"
            assert said["reconnect"] is (4400 <= code < 4500 and not renewed)
            assert said["reason"] in {
                *("unauthorized", "invalid_request", "server_restart", "remote", "too_slow", "token_expired"),
                "session_expired",
            }
