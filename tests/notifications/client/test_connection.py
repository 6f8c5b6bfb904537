"""Lives of a connection, by a clock and a chance of the test's own."""

from math import inf

import pytest

from notifications.client import ConnectionEnded, Position, Refused, SignInRequired, Unreachable
from notifications.client.connection import Connection
from notifications.client.inbox import ROOM
from notifications.client.steps import Dial, Drop, FetchTicket, Send, StateChange, StateName, Tell, Ticket
from notifications.wire.closing import CloseCode, Need
from notifications.wire.vocabulary import (
    Bye,
    CaughtUp,
    Error,
    Notification,
    Pong,
    Reauthenticated,
    ReauthFailed,
    Skipped,
    Welcome,
)

from . import said

TICKET = Ticket("t", "wss://site.example/ws/", ("usher.v1", "usher.ticket.t"))


class Life:
    """A connection that is driven, and what it asked for last."""

    def __init__(self, *, position: Position | None = None, chance: float = 0.5) -> None:
        self.connection = Connection(position=position, chance=lambda: chance)
        self.now = 0.0
        self.steps: list = []
        self.told: list[StateChange] = []

    def did(self, steps) -> "Life":
        self.steps = steps
        self.told += [step.change for step in steps if isinstance(step, Tell)]
        return self

    def opened(self) -> "Life":
        return self.did(self.connection.open(self.now))

    def dialled(self) -> "Life":
        self.opened() if self.connection.state is StateName.IDLE else self.at(self.connection.wake_at)
        return self.did(self.connection.ticketed(TICKET, "connect", self.now))

    def connected(self, **fields) -> "Life":
        return self.dialled().hears(said.welcome(self.now, **fields))

    def hears(self, *frames) -> "Life":
        steps = []
        for frame in frames:
            steps += self.connection.received(frame, self.now)
        return self.did(steps)

    def at(self, now: float) -> "Life":
        self.now = now
        return self.did(self.connection.woken(now))

    def ends(self, code=None, **why) -> "Life":
        return self.did(self.connection.ended(code, self.now, **why))

    def takes(self):
        event, steps = self.connection.take(self.now)
        self.did(steps)
        return event

    def takes_all(self) -> list:
        events, steps = [], []
        while (event := self.takes()) is not None:
            events.append(event)
            steps += self.steps
        self.steps = steps
        return events

    @property
    def numbers(self) -> list:
        return [event.seq for event in self.takes_all() if isinstance(event, Notification)]

    @property
    def dialled_url(self) -> str:
        (dial,) = [step for step in self.steps if isinstance(step, Dial)]
        return dial.url

    @property
    def sent(self) -> list:
        return [step.frame for step in self.steps if isinstance(step, Send)]

    @property
    def state(self) -> StateName:
        return self.connection.state

    @property
    def wait(self) -> float:
        assert self.state is StateName.WAITING
        return self.connection.wake_at - self.now


def notifications(first, last):
    return [said.notification(seq) for seq in range(first, last + 1)]


# Attempts -------------------------------------------------------------------------------------------------------------


def test_a_ticket_a_socket_a_welcome():
    life = Life().opened()
    assert life.steps == [Tell(StateChange(StateName.CONNECTING)), FetchTicket("connect")]
    assert life.opened().steps == []
    life.did(life.connection.ticketed(TICKET, "connect", 1.0))
    assert life.steps == [Dial(TICKET.url, TICKET.protocols)]
    life.hears(said.welcome(cursor=7))
    assert life.state is StateName.CONNECTED
    assert life.connection.position == Position(said.EPOCH, 7)


def test_a_position_is_asked_for():
    life = Life(position=Position("e%1", 7)).dialled()
    assert life.dialled_url == "wss://site.example/ws/?since=e%251:7"


@pytest.mark.parametrize("step", ["ticket", "socket"])
def test_an_attempt_has_fifteen_seconds_for_each(step):
    life = Life().opened()
    if step == "socket":
        life.now = 10.0
        life.did(life.connection.ticketed(TICKET, "connect", 10.0))
    life.at(life.now + 15)
    assert life.steps[0] == Drop()
    assert isinstance(life.told[-1].error, Unreachable)
    assert life.wait == 0.25


def test_the_back_off_doubles_to_ten_seconds_on_average_and_starts_anew_after_five_good_ones():
    life = Life().dialled()
    waits = []
    for _ in range(8):
        life.ends(None)
        waits.append(life.wait)
        life.dialled()
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    life.hears(said.welcome(life.now))
    life.now += 4.9
    assert life.ends(1006).wait == 10
    life.connected()
    life.now += 5
    assert life.ends(1006).wait == 0.25


def test_what_the_server_asks_for_comes_on_top():
    life = Life().connected()
    assert life.hears(said.bye(CloseCode.GOING_AWAY, 7_000)).wait == 7.25
    assert life.steps[0] == Drop()
    assert (life.told[-1].code, life.told[-1].reason) == (4400, "going_away")
    assert life.ends(4400).steps == [], "the close says nothing new"


def test_no_ticket():
    life = Life().opened()
    life.did(life.connection.ticket_failed(Unreachable("Not now.", retry_after=3.0), "connect", 0.0))
    assert life.wait == 3.25


def test_a_wrong_address_is_believed_only_at_first():
    refusal = Refused("Not found.", status=404)
    life = Life().opened()
    life.did(life.connection.ticket_failed(refusal, "connect", 0.0))
    assert (life.state, life.connection.failure) == (StateName.CLOSED, refusal)
    life = Life().connected().ends(1006)
    life.at(life.connection.wake_at)
    life.did(life.connection.ticket_failed(refusal, "connect", life.now))
    assert life.state is StateName.WAITING


def test_who_must_sign_in():
    life = Life().opened()
    error = SignInRequired("No.")
    life.did(life.connection.ticket_failed(error, "connect", 0.0))
    assert (life.state, life.connection.failure, life.connection.wake_at) == (StateName.UNAUTHORIZED, error, inf)
    assert life.connection.is_over


# Ends -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [True, False], ids=["bye", "close code"])
@pytest.mark.parametrize("code", [code for code in CloseCode if code != 1000], ids=lambda code: code.reason)
def test_the_table_of_close_codes(code, spoken):
    life = Life().connected()
    life.hears(said.bye(code)) if spoken else life.ends(int(code))
    if code.reconnect:
        assert life.state is StateName.WAITING
        return
    assert life.state is (StateName.UNAUTHORIZED if code.need is Need.LOGIN else StateName.CLOSED)
    assert type(life.connection.failure) is (SignInRequired if code.need is Need.LOGIN else ConnectionEnded)
    assert (life.connection.failure.close_code, life.connection.failure.reason) == (code, code.reason)
    assert code.sentence in str(life.connection.failure)


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011, 1012, 3000, 4999])
def test_an_end_that_says_nothing_means_come_back(code):
    assert Life().connected().ends(code).state is StateName.WAITING


def test_a_code_of_a_newer_server_means_what_its_bye_says():
    life = Life().connected()
    life.hears(Bye(code=4599, reason="full_moon", reconnect=False, need="login", retry_after_ms=0))
    assert (life.state, life.connection.failure.reason) == (StateName.UNAUTHORIZED, "full_moon")


def test_a_refused_ticket_is_retried_once_and_at_once():
    life = Life().dialled().hears(said.bye(CloseCode.TICKET_REFUSED))
    assert life.wait == 0
    life.dialled().hears(said.bye(CloseCode.TICKET_REFUSED))
    assert life.state is StateName.CLOSED
    assert life.connection.failure.reason == "ticket_refused"
    life = Life().dialled().hears(said.bye(CloseCode.TICKET_REFUSED))
    life.connected().hears(said.bye(CloseCode.TICKET_REFUSED))
    assert life.state is StateName.WAITING, "there was a welcome in between"


def test_close():
    life = Life().connected().hears(*notifications(1, 2))
    life.did(life.connection.close())
    assert life.steps[0] == Drop()
    assert (life.state, life.connection.failure, life.connection.wake_at) == (StateName.CLOSED, None, inf)
    assert life.connection.close() == []
    assert life.numbers == [1, 2], "what has arrived is still told"


# What is told ---------------------------------------------------------------------------------------------------------


def test_in_order_and_nothing_twice():
    life = Life().connected()
    life.hears(*notifications(1, 3), *notifications(2, 4), said.notification(None), said.changed(1))
    events = life.takes_all()
    assert isinstance(events[0], Welcome)
    assert [event.seq for event in events[1:-1]] == [1, 2, 3, 4, None]
    assert events[-1] == said.changed(1)


def test_the_position_is_that_of_what_was_taken():
    life = Life().connected().hears(*notifications(1, 3), Skipped("u.1", 5), CaughtUp("u.1", 5))
    positions = []
    while life.takes() is not None:
        positions.append(life.connection.position.seq)
    assert positions == [0, 1, 2, 3, 5, 5]


def test_it_resumes_after_what_has_arrived_and_tells_the_rest_first():
    life = Life().connected().hears(*notifications(1, 3))
    assert life.takes_all()[1:2] == [said.notification(1)]
    life.hears(*notifications(4, 6)).ends(1006)
    life.dialled()
    assert life.dialled_url.endswith("?since=e1:6")
    life.hears(said.welcome(life.now, cursor=6, recovered=True), *notifications(7, 8))
    assert life.numbers == [4, 5, 6, 7, 8]


def test_a_position_that_cannot_be_resumed_is_told_and_left():
    life = Life(position=Position("e1", 7)).connected(epoch="e2", cursor=3)
    assert life.connection.position == Position("e1", 7), "until the reset has come"
    life.hears(said.reset(3), *notifications(4, 5))
    life.takes()
    assert life.takes() == said.reset(3)
    assert life.connection.position == Position("e2", 3)
    assert life.numbers == [4, 5]
    assert life.connection.position == Position("e2", 5)


def test_should_the_reset_not_come_the_old_position_is_asked_for_again():
    life = Life(position=Position("e1", 7)).connected(epoch="e2", cursor=3).ends(1006).dialled()
    assert life.dialled_url.endswith("?since=e1:7")


# Acks -----------------------------------------------------------------------------------------------------------------


def test_only_what_was_taken_is_acked():
    life = Life().connected().hears(*notifications(1, 64))
    life.at(24.0)
    assert life.sent == []
    life.takes()
    for _ in range(31):
        life.takes()
    assert life.sent == []
    life.takes()
    assert life.sent == [{"type": "ack", "seq": 32}]
    life.takes()
    life.now = 25.0
    assert {"type": "ack", "seq": 33} not in life.sent
    assert {"type": "ack", "seq": 33} in life.at(29.0).sent


def test_numbers_of_another_epoch_are_not_acked():
    life = Life().connected(window=2).hears(*notifications(501, 502)).ends(1006)
    life.connected(epoch="e2", window=2).hears(said.reset(3), *notifications(4, 5))
    assert life.numbers == [501, 502, 4, 5]
    assert life.sent == [{"type": "ack", "seq": 4}, {"type": "ack", "seq": 5}]


def test_who_does_not_read_is_not_connected_anew_until_they_do():
    life = Life().connected().hears(*notifications(1, 64), said.bye(CloseCode.TOO_SLOW, 1_000))
    life.at(life.connection.wake_at)
    assert (life.state, life.connection.wake_at) == (StateName.PAUSED, inf)
    life.now = 1_000.0
    life.takes()
    assert life.state is StateName.PAUSED, "there is still no room"
    life.takes()
    assert life.state is StateName.CONNECTING
    assert FetchTicket("connect") in life.steps
    life.did(life.connection.ticketed(TICKET, "connect", life.now))
    assert life.dialled_url.endswith("?since=e1:64")


def test_whatever_happens_to_who_does_not_read_stays_bounded():
    life = Life(chance=0.0).connected()
    seq = 0
    for _ in range(1_000):
        if life.state is StateName.CONNECTED:
            life.hears(*notifications(seq + 1, seq + 10), CaughtUp("u.1", 0), said.changed(1), said.notification(None))
            seq += 10
            life.ends(1006)
        elif life.state is not StateName.PAUSED:
            life.connected()
    assert life.state is StateName.PAUSED
    assert len(life.takes_all()) < 2 * ROOM
    assert life.connection.position.seq == seq


# The grant, and the other side ----------------------------------------------------------------------------------------


def test_the_grant_goes_on_by_a_ticket():
    life = Life(chance=0.0).connected(expires_at=said.when(20))
    assert life.connection.wake_at == 18.0
    assert life.at(18.0).steps == [FetchTicket("reauth")]
    life.did(life.connection.ticketed(TICKET, "reauth", 18.0))
    assert life.sent == [{"type": "reauth", "ticket": "t", "ref": "reauth-1"}]
    life.hears(Reauthenticated(expires_at=said.when(60), held=0, state_version=0, ref="reauth-1"))
    assert life.connection.wake_at == 43.0, "the next ping"


@pytest.mark.parametrize("error", [Unreachable("Not now."), Refused("What?")])
def test_the_grant_is_tried_for_again(error):
    life = Life().connected().hears(said.required())
    assert life.steps == [FetchTicket("reauth")]
    life.did(life.connection.ticket_failed(error, "reauth", 0.0))
    assert life.at(0.25).steps == [FetchTicket("reauth")]


def test_who_may_not_go_on_hears_what_there_is_until_the_end():
    life = Life().connected().hears(said.required())
    error = SignInRequired("Ended.")
    life.did(life.connection.ticket_failed(error, "reauth", 0.0))
    life.hears(*notifications(1, 1))
    assert life.state is StateName.CONNECTED
    life.hears(said.bye(CloseCode.SESSION_EXPIRED))
    assert (life.state, life.connection.failure) == (StateName.UNAUTHORIZED, error)
    assert life.numbers == [1]


def test_what_came_of_it_when_the_connection_is_another():
    life = Life().connected().hears(said.required()).ends(1006)
    assert life.connection.ticketed(TICKET, "reauth", 0.0) == []
    assert life.connection.ticketed(TICKET, "connect", 0.0) == []
    assert life.connection.ticket_failed(Unreachable(""), "reauth", 0.0) == []
    assert life.hears(said.required(), Error(code="busy", detail=""), Pong()).steps == []


def test_a_refused_reauth_waits_for_the_bye():
    life = Life().connected().hears(said.required())
    life.did(life.connection.ticketed(TICKET, "reauth", 0.0))
    life.hears(ReauthFailed(code="ticket_refused", attempts_left=0, retry_after_ms=0))
    assert life.state is StateName.CONNECTED
    assert life.hears(said.bye(CloseCode.TICKET_REFUSED)).wait == 0


def test_a_site_that_wants_a_token_in_each_message_gets_one():
    life = Life().connected(window=2).hears(*notifications(1, 2))
    life.takes_all()
    assert not any(step.vouched for step in life.steps)
    life.hears(said.required("requested"), Error(code="reauth_required", detail=""))
    life.hears(Reauthenticated(expires_at=said.when(900), held=0, state_version=0), *notifications(3, 4))
    life.takes_all()
    assert [step.vouched for step in life.steps] == [True, True]


def test_a_dead_line_is_given_up():
    life = Life().connected()
    assert life.at(25.0).sent == [{"type": "ping"}]
    life.hears(Pong())
    assert life.at(50.0).sent == [{"type": "ping"}]
    assert life.at(60.0).steps[0] == Drop()
    assert life.state is StateName.WAITING
