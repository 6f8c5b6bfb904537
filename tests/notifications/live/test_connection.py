"""The pure connection, as tables of what happens and what is heard."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from notifications.live.connection import Limits, Phase, Since
from notifications.live.steps import Check, Load, Mark, Open, Redeem
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame
from notifications.wire.vocabulary import (
    Ack,
    Authenticate,
    Bye,
    Error,
    Ping,
    Reauth,
    Reauthenticated,
    ReauthFailed,
    ReauthRequired,
    Reset,
    State,
    StateChanged,
    Welcome,
)
from tickets.grants import EndReason, Purpose

from .life import START, STREAM, Life, note

WIDE = Limits(window=10_000)


@pytest.fixture
def life():
    return Life()


@pytest.fixture
def open_life():
    """Connected, at head 5, welcome heard."""
    life = Life()
    life.head = 5
    life.connect()
    assert life.heard() == ["welcome"]
    return life


# --- Opening ---


def test_a_ticket_opens(life):
    life.head = 5
    life.connect()
    welcome = life.last(Welcome)
    assert (welcome.head, welcome.cursor, welcome.recovered, welcome.epoch) == (5, 5, False, "e1")
    assert (welcome.user.id, welcome.user.username, welcome.connection) == (7, "ann", "c1")
    assert welcome.expires_at.timestamp() == START + 900
    assert welcome.server_time.timestamp() == START
    assert (welcome.window, welcome.grace_seconds, welcome.ping_seconds) == (64, 60.0, 25.0)
    assert life.phase is Phase.OPEN


def test_only_a_connect_ticket_opens(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    assert life.taken(Redeem).purposes == {Purpose.CONNECT}


def test_the_ticket_is_not_shown_by_the_step(life):
    life.do(life.connection.connected(ticket="secret", since=None, now=life.now))
    assert "secret" not in repr(life.asked)


def test_the_first_frame_may_carry_the_ticket(life):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))
    life.says(Authenticate(ticket="t", since="e1:3"))
    life.taken(Redeem)
    life.head = 4
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    life.open().answer()
    assert life.heard() == ["welcome", "4*", "caught_up 4"]


@pytest.mark.parametrize("first", [Ping(ref="r"), Reauth(ticket="t"), State(state="read", through=1)])
def test_nothing_else_is_heard_before_the_ticket(life, first):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))
    life.says(first)
    assert life.heard() == ["error not_authenticated"]
    assert life.asked == []


def test_silence_ends_in_4408_after_five_seconds(life):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))
    life.after(4.9)
    assert life.heard() == []
    life.after(0.1)
    assert life.heard() == ["bye 4408"]
    assert life.code is CloseCode.AUTHENTICATION_TIMEOUT


def test_a_database_that_does_not_answer_is_not_called_the_clients_silence(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.after(5)
    assert life.heard() == ["bye 4413"]


def test_a_refused_ticket_ends_in_4402(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.do(life.connection.refused(life.now))
    bye = life.last(Bye)
    assert (bye.code, bye.reason, bye.reconnect, bye.need) == (4402, "ticket_refused", True, "ticket")


def test_an_undecided_ticket_ends_in_4413_and_says_when_to_come_back(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.do(life.connection.undecided(life.now))
    assert (life.last(Bye).code, life.last(Bye).retry_after_ms) == (4413, 1000)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.LOGGED_OUT, 4501),
        (EndReason.DISCONNECTED_BY_STAFF, 4500),
        (EndReason.ACCOUNT_DISABLED, 4502),
        (EndReason.CREDENTIALS_CHANGED, 4503),
        (EndReason.EXPIRED, 4401),
    ],
)
def test_a_session_that_ended_between_ticket_and_welcome_is_not_welcomed(life, reason, code):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.session_reason = reason
    life.open()
    assert life.heard() == [f"bye {code}"]


def test_authenticating_twice_is_an_error_and_no_more(open_life):
    open_life.says(Authenticate(ticket="t", ref="r"))
    assert open_life.last(Error).ref == "r"
    assert open_life.heard() == ["error already_authenticated"]
    assert open_life.asked == []


def test_a_rejected_handshake_is_told_why(life):
    life.do(life.connection.rejected(CloseCode.PROTOCOL_ERROR, life.now))
    assert life.heard() == ["bye 4505"]


# --- Resuming: whole, or `reset` ---


@pytest.mark.parametrize(
    ("since", "head", "floor", "heard"),
    [
        pytest.param("e1:5", 5, 0, ["caught_up 5"], id="at the head"),
        pytest.param("e1:4", 5, 0, ["5*", "caught_up 5"], id="one behind"),
        pytest.param("e1:0", 3, 0, ["1*", "2*", "3*", "caught_up 3"], id="from the start"),
        pytest.param("e1:0", 0, 0, ["caught_up 0"], id="from the start of an empty stream"),
        pytest.param("e1:6", 5, 0, ["reset ahead 5"], id="one ahead"),
        pytest.param("e1:9007199254740991", 5, 0, ["reset ahead 5"], id="far ahead"),
        pytest.param("e2:5", 5, 0, ["reset epoch 5"], id="other epoch at the head"),
        pytest.param("e2:9", 5, 0, ["reset epoch 5"], id="other epoch ahead"),
        pytest.param("e1:3", 5, 3, ["4*", "5*", "caught_up 5"], id="exactly at the floor"),
        pytest.param("e1:2", 5, 3, ["reset expired 5"], id="one below the floor"),
        pytest.param("e1:0", 5, 5, ["reset expired 5"], id="everything pruned"),
        pytest.param("e1:5", 5, 5, ["caught_up 5"], id="everything pruned, but all was seen"),
    ],
)
def test_resuming(since, head, floor, heard):
    life = Life(floor=floor)
    life.head = head
    life.connect(since=since).answer()
    welcome = life.last(Welcome)
    assert life.heard() == ["welcome", *heard]
    assert welcome.recovered is not any(word.startswith("reset") for word in heard)
    # Whatever was said, the next notification arrives as the next one.
    life.publish()
    assert life.heard() == [str(head + 1)]


def test_reset_says_what_is_left(life):
    life.head, life.floor = 9, 4
    life.connect(since="e1:1")
    reset = life.last(Reset)
    assert (reset.stream, reset.epoch, reset.head, reset.oldest) == (STREAM, "e1", 9, 5)


@pytest.mark.parametrize(
    "text", ["", "e1", "e1:", ":5", "e1:-1", "e1:x", "e1:٣", "e1:1e3", "e1:" + "9" * 17, "x" * 33 + ":1"]
)
def test_a_position_that_is_none_ends_in_4505(life, text):
    assert Since.parse(text) is None
    life.do(life.connection.connected(ticket="t", since=text, now=life.now))
    assert life.heard() == ["bye 4505"]


def test_a_position_in_the_first_frame_that_is_none_is_an_error(life):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))
    life.says(Authenticate(ticket="t", since="nonsense"))
    assert life.heard() == ["error invalid"]


def test_a_replay_goes_in_pages_and_live_frames_wait_for_its_end():
    life = Life(limits=replace(WIDE, replay_page=3))
    life.head = 8
    life.connect(since="e1:0")
    life.publish()  # 9, announced in the middle of the replay
    life.answer()
    assert life.heard() == ["welcome", "1*", "2*", "3*", "4*", "5*", "6*", "7*", "8*", "caught_up 8", "9"]


def test_what_expired_or_was_archived_is_named_as_skipped(life):
    life.head, life.gone = 6, {2, 3, 6}
    life.connect(since="e1:0").answer()
    assert life.heard() == ["welcome", "1*", "skipped 3", "4*", "5*", "skipped 6", "caught_up 6"]


# --- Live ---


def test_the_next_number_is_said_at_once(open_life):
    open_life.publish(3)
    assert open_life.heard() == ["6", "7", "8"]
    assert open_life.asked == []


def test_its_place_is_for_people_to_look_at(life):
    assert life.connection.told_and_acked is None
    life.head = 5
    life.connect()
    assert life.connection.told_and_acked == (5, 5)
    life.publish(3)
    assert life.connection.told_and_acked == (8, 5)
    life.ack(7)
    assert life.connection.told_and_acked == (8, 7)
    life.ack(8)
    assert life.connection.told_and_acked == (8, 8)


def test_what_the_person_muted_is_passed_over_without_asking_the_log(open_life):
    open_life.head = 8
    open_life.announce(6, muted=True).announce(7).announce(8, muted=True)
    assert open_life.heard() == ["skipped 6", "7", "skipped 8"]
    assert open_life.asked == []
    open_life.ack(8)
    assert open_life.heard() == []  # and no error: it exists
    assert open_life.sync().asked == []


def test_what_was_muted_behind_a_gap_is_found_in_the_log(open_life):
    open_life.head, open_life.gone = 7, {7}
    open_life.announce(7, muted=True).answer()
    assert open_life.heard() == ["6", "skipped 7"]


def test_what_was_muted_while_held_is_passed_over_after_it(open_life):
    open_life.after(open_life.grant_seconds)
    open_life.heard()
    open_life.head, open_life.gone = 7, {6}
    open_life.announce(6, muted=True).announce(7)
    assert open_life.heard() == []
    open_life.reauth().answer()
    assert open_life.heard()[1:] == ["skipped 6", "7*", "caught_up 7"]


def test_an_old_number_is_dropped(open_life):
    open_life.publish()
    open_life.announce(6).announce(3)
    assert open_life.heard() == ["6"]


def test_a_gap_is_read_from_the_log(open_life):
    open_life.publish(heard=False).publish()
    assert open_life.heard() == []
    assert open_life.asked == [Load(STREAM, 5, 64)]
    open_life.answer()
    assert open_life.heard() == ["6", "7"]


def test_announcements_that_arrive_while_a_page_is_read_are_said_once_and_in_order(open_life):
    open_life.publish(heard=False).publish()
    load = open_life.asked.pop()
    page = open_life.page(load)  # read before the next two are numbered
    open_life.publish(2)
    assert open_life.asked == [], "one page at a time"
    open_life.do(open_life.connection.page(page, open_life.now))
    open_life.answer()
    assert open_life.heard() == ["6", "7", "8", "9"]


def test_the_sync_finds_what_no_announcement_told(open_life):
    open_life.publish(3, heard=False)
    open_life.sync().answer()
    assert open_life.heard() == ["6", "7", "8"]


def test_an_announcement_between_joining_and_welcome_is_not_lost(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    position = life.position()
    life.publish(2)  # heard after the group was joined, before the head that was read arrives
    newest, life.head = life.head, position.head
    life.open()
    life.head = newest
    life.answer()
    assert life.heard() == ["welcome", "1", "2"]


def test_a_page_that_cannot_be_read_is_asked_for_again(open_life):
    open_life.publish(heard=False).publish()
    open_life.asked.clear()
    open_life.do(open_life.connection.load_failed(STREAM, open_life.now))
    open_life.after(0.5).publish()
    assert open_life.asked == [], "not before a second has passed"
    open_life.after(0.5).answer()
    assert open_life.heard() == ["6", "7", "8"]


def test_a_page_without_progress_is_not_asked_for_in_a_loop(open_life):
    open_life.announce(7)
    load = open_life.asked.pop()
    for _ in range(3):  # a reader that lags behind what was announced
        open_life.do(open_life.connection.page(open_life.page(load), open_life.now))
        assert open_life.asked == []
    open_life.head = 7
    open_life.after(1).answer()
    assert open_life.heard() == ["6", "7"]


def test_a_new_epoch_resets_a_live_connection(open_life):
    open_life.epoch, open_life.head = "e2", 3
    open_life.sync().answer()
    assert open_life.heard() == ["reset epoch 3"]
    open_life.publish()
    assert open_life.heard() == ["4"]


def test_numbers_that_were_taken_back_reset_a_live_connection(open_life):
    open_life.head = 3
    open_life.sync().answer()
    assert open_life.heard() == ["reset ahead 3"]


def test_a_connection_that_fell_behind_retention_is_reset():
    life = Life(limits=Limits(window=2))
    life.connect().publish(5)
    assert life.heard() == ["welcome", "1", "2"]
    life.floor = 4
    life.ack(2).answer()
    assert life.heard() == ["reset expired 5"]


def test_a_push_is_said_now_or_never(open_life):
    open_life.do(open_life.connection.pushed(note(None, "now"), open_life.now))
    assert open_life.heard() == ["None"]
    open_life.after(900)
    open_life.do(open_life.connection.pushed(note(None), open_life.now))
    assert open_life.heard() == ["reauth_required"]
    assert open_life.connection.pushes_dropped == 1


# --- The window ---


def test_at_most_a_window_is_unacked(open_life):
    open_life.publish(100)
    assert open_life.heard() == [str(seq) for seq in range(6, 70)]
    open_life.ack(37).answer()
    assert open_life.heard() == [str(seq) for seq in range(70, 102)]
    open_life.ack(101).answer()
    assert open_life.heard() == [str(seq) for seq in range(102, 106)]


def test_a_stalled_reader_is_told_4409_after_30_seconds(open_life):
    open_life.publish(65)
    open_life.after(29.9)
    assert open_life.code is None
    open_life.after(0.1)
    assert open_life.heard()[-1] == "bye 4409"


def test_a_full_window_with_nothing_waiting_is_no_stall(open_life):
    open_life.publish(64).after(300)
    assert open_life.code is None


def test_an_ack_starts_the_stall_anew(open_life):
    open_life.publish(200)
    for acked in (21, 37, 53):
        open_life.after(20).ack(acked).answer()
    assert open_life.code is None
    open_life.after(30)
    assert open_life.code is CloseCode.TOO_SLOW


@pytest.mark.parametrize(("seq", "heard"), [(-1, ["error invalid_ack"]), (9, ["error invalid_ack"]), (3, []), (8, [])])
def test_acks_that_make_no_sense(open_life, seq, heard):
    open_life.publish(3)
    open_life.heard()
    open_life.ack(seq)
    assert open_life.heard() == heard


def test_an_ack_for_a_stream_that_is_not_listened_to(open_life):
    open_life.says(Ack(stream="u.8", seq=1))
    assert open_life.heard() == ["error unknown_stream"]


def test_wrong_acks_count_as_commands(open_life):
    for _ in range(30):
        open_life.says(Ack(stream="u.8", seq=1)).ack(9)
    open_life.heard()
    open_life.says(Ack(stream="u.8", seq=1)).ack(9)
    assert open_life.heard() == ["error rate_limited"] * 2


def test_small_acks_beyond_twenty_a_second_count_together_a_moment_later_and_are_never_punished(open_life):
    open_life.publish(500)
    cursor = 69
    for seq in range(6, 36):
        open_life.ack(seq)
    open_life.answer()
    heard = open_life.heard()
    assert int(heard[-1]) == cursor + 20, "the first twenty were heard"
    assert not any(word.startswith(("error", "bye")) for word in heard)
    open_life.after(0.05).answer()
    assert int(open_life.heard()[-1]) == cursor + 30
    open_life.ack(80).answer()  # releases more than 16: free
    assert int(open_life.heard()[-1]) == 80 + 64


# --- Commands ---


def test_ping(open_life):
    open_life.says(Ping(ref="x"))
    assert open_life.said[-1].ref == "x"
    assert open_life.heard() == ["pong"]


def test_commands_beyond_the_rate_are_refused_and_then_the_connection_ends(open_life):
    for _ in range(400):
        open_life.says(Ping())
    heard = open_life.heard()
    assert heard[:60] == ["pong"] * 60
    assert heard[60:] == ["error rate_limited"] * 100 + ["bye 4429"]


def test_a_refused_command_says_when_to_try_again(open_life):
    for _ in range(61):
        open_life.says(Ping())
    assert open_life.last(Error).retry_after_ms == 100
    open_life.after(0.1).says(Ping())
    assert open_life.heard()[-1] == "pong"


@pytest.mark.parametrize("code", ["malformed", "unknown_type", "invalid"])
def test_the_fifth_bad_frame_within_a_minute_ends_in_4505(open_life, code):
    for _ in range(4):
        open_life.do(open_life.connection.bad_frame(BadFrame(code, "no"), open_life.now))
        open_life.after(1)
    assert open_life.heard() == [f"error {code}"] * 4
    open_life.do(open_life.connection.bad_frame(BadFrame(code, "no"), open_life.now))
    assert open_life.heard() == [f"error {code}", "bye 4505"]


def test_bad_frames_far_apart_are_forgiven(open_life):
    for _ in range(20):
        open_life.do(open_life.connection.bad_frame(BadFrame("malformed", "no"), open_life.now))
        open_life.after(16)
    assert open_life.code is None


def test_a_frame_too_big_ends_in_4506_at_once(open_life):
    open_life.do(open_life.connection.bad_frame(BadFrame("too_big", "no"), open_life.now))
    assert open_life.heard() == ["bye 4506"]


# --- Expiry ---


def test_expiry_asks_and_holds_and_hands_over_in_order(open_life):
    open_life.after(900)
    required = open_life.last(ReauthRequired)
    assert (required.reason, required.deadline.timestamp()) == ("session_expired", START + 960)
    assert open_life.heard() == ["reauth_required"]
    open_life.publish(50)
    open_life.sync().after(30)
    assert open_life.heard() == [], "nothing private while held"
    open_life.reauth()
    again = open_life.last(Reauthenticated)
    assert (again.held, again.expires_at.timestamp()) == (50, open_life.now + 900)
    open_life.answer()
    assert open_life.heard() == ["reauthenticated", *(f"{seq}*" for seq in range(6, 56)), "caught_up 55"]
    open_life.publish()
    assert open_life.heard() == ["56"]


def test_expiry_is_not_overtaken_by_an_announcement_that_comes_before_the_timer(open_life):
    open_life.now += 900  # the process slept: no wake-up came
    open_life.publish()
    assert open_life.heard() == ["reauth_required"]


def test_a_process_that_slept_through_the_grace_still_grants_one(open_life):
    open_life.now += 5_000
    open_life.do(open_life.connection.woken(open_life.now))
    assert open_life.last(ReauthRequired).deadline.timestamp() == open_life.now + 60


def test_a_missed_deadline_ends_in_4401(open_life):
    open_life.after(959.9)
    assert open_life.code is None
    open_life.after(0.1)
    assert open_life.heard() == ["reauth_required", "bye 4401"]


def test_the_deadline_waits_for_a_reauth_under_way(open_life):
    open_life.after(959).says(Reauth(ticket="t")).after(2)
    assert open_life.code is None
    open_life.do(open_life.connection.redeemed(open_life.grant(), open_life.now))
    assert open_life.heard() == ["reauth_required", "reauthenticated"]


def test_a_reauth_refused_after_the_deadline_ends_in_4401(open_life):
    open_life.after(959).says(Reauth(ticket="t")).after(2)
    open_life.do(open_life.connection.refused(open_life.now))
    assert open_life.heard() == ["reauth_required", "reauth_failed ticket_refused", "bye 4401"]


def test_reauth_before_it_was_asked_for_is_accepted(open_life):
    open_life.after(800).reauth()
    assert open_life.heard() == ["reauthenticated"]
    open_life.after(899)
    assert open_life.heard() == []
    open_life.after(1)
    assert open_life.heard() == ["reauth_required"]


def test_reauth_takes_connect_and_reauth_tickets(open_life):
    open_life.says(Reauth(ticket="t"))
    assert open_life.taken(Redeem).purposes == {Purpose.CONNECT, Purpose.REAUTH}


def test_reauth_as_somebody_else_ends_in_4507(open_life):
    open_life.after(900).reauth(user_id=8)
    assert open_life.heard() == ["reauth_required", "bye 4507"]


def test_three_refused_tickets_end_in_4402(open_life):
    open_life.after(900)
    for left in (2, 1, 0):
        open_life.says(Reauth(ticket="t", ref="r"))
        open_life.taken(Redeem)
        open_life.do(open_life.connection.refused(open_life.now))
        failed = open_life.last(ReauthFailed)
        assert (failed.attempts_left, failed.retry_after_ms, failed.ref) == (left, 1000, "r")
        open_life.after(1)
    assert open_life.heard() == ["reauth_required", *["reauth_failed ticket_refused"] * 3, "bye 4402"]


def test_attempts_are_a_second_apart_and_one_too_early_costs_none(open_life):
    open_life.after(900).says(Reauth(ticket="t"))
    open_life.taken(Redeem)
    open_life.do(open_life.connection.refused(open_life.now))
    open_life.after(0.4).says(Reauth(ticket="t"))
    failed = open_life.last(ReauthFailed)
    assert (failed.code, failed.attempts_left, failed.retry_after_ms) == ("too_soon", 2, 600)
    assert open_life.asked == []


def test_a_database_that_is_away_costs_no_attempt(open_life):
    open_life.after(900)
    for _ in range(5):
        open_life.says(Reauth(ticket="t"))
        open_life.taken(Redeem)
        open_life.do(open_life.connection.undecided(open_life.now))
        assert open_life.last(ReauthFailed).attempts_left == 3
        open_life.after(1)
    assert open_life.code is None


def test_a_second_reauth_waits_for_the_first(open_life):
    open_life.says(Reauth(ticket="t")).after(1.5).says(Reauth(ticket="u"))
    assert open_life.heard() == ["error reauth_pending"]


def test_policy_close():
    life = Life(limits=Limits(on_expiry="close")).connect().after(900)
    assert life.heard() == ["welcome", "bye 4401"]


def test_policy_ignore_lives_on_until_the_session_itself_ends():
    life = Life(limits=Limits(on_expiry="ignore")).connect().after(10_000).publish()
    assert life.heard() == ["welcome", "1"]
    life.session_reason = EndReason.EXPIRED
    life.do(life.connection.checked(life.session_state(), life.now))
    assert life.heard() == ["bye 4401"]


def test_a_session_that_ran_out_is_an_expiry_and_another_session_of_the_person_goes_on(open_life):
    open_life.session_reason = EndReason.EXPIRED
    open_life.do(open_life.connection.checked(open_life.session_state(), open_life.now))
    open_life.publish()
    assert open_life.heard() == ["reauth_required"]
    open_life.session_reason = None
    open_life.reauth(session=uuid4()).answer()
    assert open_life.heard() == ["reauthenticated", "6*", "caught_up 6"]


# --- The fence ---


def test_nothing_numbered_under_a_newer_fence_is_said_before_the_session_was_read(open_life):
    open_life.fence = 1
    open_life.publish(2)
    assert open_life.heard() == []
    assert open_life.asked == [Check(open_life.session)]
    open_life.answer()
    assert open_life.heard() == ["6", "7"]


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason is not EndReason.EXPIRED])
def test_nothing_numbered_after_the_end_reaches_an_ended_session(open_life, reason):
    open_life.fence, open_life.session_reason = 1, reason
    open_life.publish(2).answer()
    assert open_life.heard() == [f"bye {CloseCode[reason.name]}"]


def test_a_page_under_a_newer_fence_is_not_said(open_life):
    open_life.publish(heard=False).publish()
    load = open_life.asked.pop()
    open_life.fence, open_life.session_reason = 1, EndReason.LOGGED_OUT
    open_life.do(open_life.connection.page(open_life.page(load), open_life.now))
    assert open_life.heard() == []
    open_life.answer()
    assert open_life.heard() == ["bye 4501"]


def test_a_page_read_again_after_the_check_is_whole(open_life):
    open_life.publish(heard=False).publish()
    load = open_life.asked.pop()
    open_life.fence = 1
    open_life.do(open_life.connection.page(open_life.page(load), open_life.now))
    open_life.answer()
    assert open_life.heard() == ["6", "7"]


@pytest.mark.parametrize(
    "carry",
    [
        lambda life: life.do(life.connection.fenced(1, life.now)),
        lambda life: life.sync(),
        lambda life: life.changed(1),
        lambda life: life.publish(),
    ],
    ids=["control message", "sync", "state", "notification"],
)
def test_whatever_carries_a_newer_fence_has_the_session_read(open_life, carry):
    open_life.fence, open_life.session_reason = 1, EndReason.LOGGED_OUT
    carry(open_life)
    open_life.answer()
    assert open_life.heard() == ["bye 4501"]


def test_a_fence_that_rises_during_the_check_is_checked_too(open_life):
    open_life.fence = 1
    open_life.publish()
    check = open_life.asked.pop()
    open_life.fence = 2
    open_life.publish()
    assert open_life.asked == [], "one check at a time"
    open_life.do(open_life.connection.check_answered(open_life.session_state(), open_life.now))
    assert open_life.asked == [check]
    assert open_life.heard() == []
    open_life.answer()
    assert open_life.heard() == ["6", "7"]


def test_a_fence_met_before_welcome_is_checked(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    life.announce(1, fence=3)
    life.open()
    assert Check(life.session) in life.asked


def test_an_end_that_is_told_before_welcome_is_not_forgotten(life):
    """The stream and the session were read, then the session ended and that was told, then the answer arrived."""
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    life.do(life.connection.fenced(1, life.now))
    life.open()
    assert life.asked == [Check(life.session)]
    life.session_reason = EndReason.LOGGED_OUT
    life.answer()
    assert life.heard() == ["welcome", "bye 4501"]


def test_a_state_that_changes_before_welcome_is_not_forgotten(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    life.changed(1).changed(2)
    life.state_version = 1  # what was read knows the first
    life.open()
    assert life.heard() == ["welcome", "state 2"]


def test_the_end_of_a_session_that_was_just_moved_to_is_not_missed(open_life):
    """The other session's ticket was redeemed, then that session ended, then the old one was read under that fence."""
    other = uuid4()
    open_life.says(Reauth(ticket="t"))
    open_life.taken(Redeem)
    redeemed = open_life.grant(session=other)
    open_life.fence = 1  # the end of `other`
    open_life.do(open_life.connection.fenced(1, open_life.now))
    open_life.answer()  # the old session is alive
    open_life.do(open_life.connection.redeemed(redeemed, open_life.now))
    assert open_life.asked == [Check(other)]
    open_life.publish()
    assert open_life.heard() == ["reauthenticated"]


def test_the_answer_about_a_session_that_was_left_proves_nothing_about_the_new_one(open_life):
    old, other = open_life.session_state(), uuid4()
    open_life.says(Reauth(ticket="t"))
    open_life.taken(Redeem)
    open_life.fence = 1
    open_life.publish()
    assert open_life.taken(Check) == Check(old.session_id)
    open_life.do(open_life.connection.redeemed(open_life.grant(session=other), open_life.now))
    open_life.do(open_life.connection.check_answered(old, open_life.now))
    assert open_life.taken(Check) == Check(other)
    assert open_life.heard() == ["reauthenticated"]


def test_a_session_that_was_shortened_ends_the_grant_sooner(open_life):
    state = replace(open_life.session_state(), expires_at=open_life.now + 10)
    open_life.do(open_life.connection.checked(state, open_life.now))
    open_life.after(10)
    assert open_life.heard() == ["reauth_required"]


def test_a_session_that_cannot_be_read_is_asked_for_again_and_nothing_is_said_meanwhile(open_life):
    open_life.fence = 1
    open_life.publish()
    open_life.asked.clear()
    open_life.do(open_life.connection.check_failed(open_life.now))
    open_life.after(0.9).publish()
    assert (open_life.heard(), open_life.asked) == ([], [])
    open_life.after(0.1).answer()
    assert open_life.heard() == ["6", "7"]


def test_the_sweep_of_another_session_means_nothing(open_life):
    open_life.session_reason = EndReason.LOGGED_OUT
    state = replace(open_life.session_state(), session_id=uuid4())
    open_life.do(open_life.connection.checked(state, open_life.now))
    assert open_life.code is None


def test_ended_while_held(open_life):
    open_life.after(900)
    open_life.session_reason = EndReason.LOGGED_OUT
    open_life.do(open_life.connection.checked(open_life.session_state(), open_life.now))
    assert open_life.heard() == ["reauth_required", "bye 4501"]


# --- seen, read, archived ---


def test_a_change_on_another_device_is_said(open_life):
    open_life.changed(1, through=3)
    event = open_life.last(StateChanged)
    assert (event.state, event.through, event.state_version) == ("read", 3, 1)


def test_a_change_that_is_known_is_not_said_again(open_life):
    open_life.changed(2).changed(1).changed(2)
    assert open_life.heard() == ["state 2"]


def test_a_command_is_carried_out_and_answered_with_its_ref_once(open_life):
    command = State(state="read", through=3, ref="r")
    open_life.says(command)
    assert open_life.asked == [Mark(command)]
    open_life.changed(1)  # the announcement is quicker than the answer
    assert open_life.heard() == []
    open_life.do(open_life.connection.marked(open_life.change(1), open_life.now))
    assert open_life.last(StateChanged).ref == "r"
    assert open_life.heard() == ["state 1"]
    open_life.changed(1)  # or slower
    assert open_life.heard() == []


def test_commands_take_effect_in_order(open_life):
    first, second = State(state="read", through=3, ref="1"), State(state="unread", through=3, ref="2")
    open_life.says(first).says(second)
    assert open_life.taken(Mark) == Mark(first)
    open_life.do(open_life.connection.marked(open_life.change(1), open_life.now))
    assert open_life.heard() == ["state 1"]
    assert open_life.taken(Mark) == Mark(second)
    open_life.do(open_life.connection.marked(open_life.change(2), open_life.now))
    assert open_life.heard() == ["state 2"]


def test_a_command_that_changed_nothing_is_answered_with_the_version_that_is(open_life):
    open_life.state_version = 0
    open_life.says(State(state="read", through=3, ref="r"))
    open_life.do(open_life.connection.marked(open_life.change(0), open_life.now))
    assert open_life.last(StateChanged).ref == "r"


def test_somebody_elses_notification_is_not_found(open_life):
    open_life.says(State(state="read", ids=[str(UUID(int=1))], ref="r"))
    open_life.do(open_life.connection.marked(None, open_life.now))
    assert open_life.last(Error).ref == "r"
    assert open_life.heard() == ["error not_found"]


def test_a_command_that_cannot_be_carried_out_now_says_so(open_life):
    open_life.says(State(state="read", through=3))
    open_life.do(open_life.connection.mark_failed(open_life.now))
    assert open_life.heard() == ["error unavailable"]


def test_no_state_while_held_but_the_version_afterwards(open_life):
    open_life.after(900).says(State(state="read", through=3))
    open_life.changed(4)
    assert open_life.heard() == ["reauth_required", "error reauth_required"]
    open_life.reauth()
    assert open_life.last(Reauthenticated).state_version == 4


def test_what_was_carried_out_when_the_grant_ended_is_answered_after_it(open_life):
    open_life.says(State(state="read", through=3, ref="1"))
    open_life.taken(Mark)
    open_life.after(900)
    open_life.do(open_life.connection.marked(open_life.change(1), open_life.now))
    open_life.changed(1).changed(2)
    assert open_life.heard() == ["reauth_required"]
    open_life.reauth()
    assert open_life.last(StateChanged).ref == "1"
    assert open_life.last(Reauthenticated).state_version == 2
    assert open_life.heard() == ["reauthenticated", "state 1"]
    open_life.changed(3)
    assert open_life.heard() == ["state 3"]


def test_what_still_waited_when_the_grant_ended_is_not_carried_out(open_life):
    open_life.says(State(state="read", through=3)).says(State(state="unread", through=3, ref="2"))
    open_life.after(900)
    open_life.do(open_life.connection.marked(open_life.change(1), open_life.now))
    assert [type(step) for step in open_life.asked] == [Mark]
    assert open_life.heard() == ["reauth_required", "error reauth_required"]


def test_a_change_under_a_newer_fence_waits_for_the_check(open_life):
    open_life.fence = 1
    open_life.changed(1)
    assert open_life.heard() == []
    open_life.answer()
    assert open_life.heard() == ["state 1"]


# --- The end ---


def test_a_newer_connection_takes_the_place(open_life):
    open_life.do(open_life.connection.replaced(open_life.now))
    bye = open_life.last(Bye)
    assert (bye.code, bye.reconnect, bye.need) == (4504, False, "nothing")


def test_after_the_end_nothing_is_said_or_asked(open_life):
    open_life.do(open_life.connection.replaced(open_life.now))
    open_life.heard()
    open_life.publish(3).sync().changed(1).says(Ping()).says(Ack(seq=1)).after(10_000)
    connection, now = open_life.connection, open_life.now
    for steps in (
        connection.redeemed(open_life.grant(), now),
        connection.refused(now),
        connection.undecided(now),
        connection.check_answered(open_life.session_state(), now),
        connection.check_failed(now),
        connection.load_failed(STREAM, now),
        connection.page(open_life.page(Load(STREAM, 5, 10)), now),
        connection.marked(None, now),
        connection.mark_failed(now),
        connection.pushed(note(None), now),
        connection.fenced(9, now),
        connection.replaced(now),
        connection.bad_frame(BadFrame("malformed", "no"), now),
    ):
        assert steps == []
    assert (open_life.heard(), open_life.asked) == ([], [])


def test_a_client_that_left_is_not_spoken_to(open_life):
    open_life.connection.disconnected()
    open_life.publish(3).after(10_000)
    assert (open_life.heard(), open_life.asked, open_life.code) == ([], [], None)


def test_an_announcement_that_overtakes_the_page_being_read_is_not_taken_for_numbers_taken_back(life):
    life.connect()
    life.publish(heard=False).sync()
    page = life.page(life.taken(Load))  # read: the head is 1
    life.announce(1)
    life.publish()
    life.do(life.connection.page(page, life.now))
    life.publish().answer()
    assert life.heard() == ["welcome", "1", "2", "3"]


def test_there_is_one_check_at_a_time_even_after_a_failed_load(open_life):
    open_life.publish(heard=False).sync()
    load = open_life.taken(Load)
    open_life.fence = 1
    open_life.do(open_life.connection.fenced(1, open_life.now))
    open_life.taken(Check)
    open_life.do(open_life.connection.load_failed(load.stream, open_life.now))
    open_life.after(1.5)
    assert open_life.asked == []


def test_a_small_window_does_not_stall_an_honest_client():
    life = Life(limits=Limits(window=8)).connect()
    life.publish(400)
    for _ in range(100):
        life.now += 0.01
        life.ack(max(event.seq for event in life.said if getattr(event, "seq", None))).answer()
    life.after(31)
    assert life.code is None
    assert life.heard()[-1] == "400"
