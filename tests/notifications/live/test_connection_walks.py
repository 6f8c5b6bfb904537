"""Random lives of a connection: whatever order things happen in, the promises hold."""

import random

import pytest

from notifications.live.connection import Limits, Phase
from notifications.live.steps import Check, Load, Mark, Open, Redeem
from notifications.wire.vocabulary import (
    Ack,
    Bye,
    CaughtUp,
    Notification,
    Reauth,
    ReauthRequired,
    Reset,
    Skipped,
    State,
)
from tickets.grants import EndReason

from .life import Life


class Walk:
    """A client, a publisher and surroundings that answer late, early or not at all, driven by one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.life = Life(limits=Limits(window=self.random.choice([1, 3, 64]), ack_stall_seconds=1e9), grant_seconds=50)
        self.life.head = self.random.randrange(10)
        self.position = None  # as a client keeps it
        self.ended_at = None  # the head when the ending call returned
        self.answers = []  # read already, not arrived yet
        self.required = False
        since = self.random.choice([None, "e1:0", f"e1:{self.life.head}", "e1:99", "other:1"])
        self.life.do(self.life.connection.connected(ticket="t", since=since, now=self.life.now))

    def step(self):
        life = self.life
        action = self.random.choice(
            [
                self.publish,
                self.publish,
                self.lose,
                self.repeat,
                self.sync,
                self.read,
                self.read,
                self.arrive,
                self.arrive,
            ]
            + [self.ack, self.wait, self.reauth, self.fence, self.hide, self.mark, self.change, self.prune]
            + ([self.end] if self.random.random() < 0.03 else [])
        )
        action()
        self.check(life.said)
        life.said.clear()

    # --- What happens ---

    def publish(self):
        self.life.publish(self.random.randrange(1, 4))

    def lose(self):
        self.life.publish(heard=False)

    def repeat(self):
        """An announcement that comes late or twice, with the fence of its time."""
        if self.life.head and self.ended_at is None:
            first = max(1, (self.position or 0) - 2)
            self.life.announce(self.random.randrange(first, self.life.head + 1) if first <= self.life.head else 1)

    def sync(self):
        self.life.sync()

    def read(self):
        """The database answers one question; the answer arrives later."""
        if not self.life.asked:
            return
        match self.life.asked.pop(self.random.randrange(len(self.life.asked))):
            case Redeem():
                alive = self.ended_at is None or self.life.connection.phase is Phase.AUTHENTICATING
                grant = self.life.grant()
                refused = self.life.connection.refused
                redeemed = self.life.connection.redeemed
                self.answers.append((lambda now: redeemed(grant, now)) if alive else refused)
            case Open():
                from notifications.wire.streams import Opening

                opening, session = Opening(self.life.position(), 0, 0), self.life.session_state()
                self.answers.append(lambda now: self.life.connection.opened(opening, session, now))
            case Load() as load:
                page = self.life.page(load)
                fails = self.random.random() < 0.1
                failed, arrived = self.life.connection.load_failed, self.life.connection.page
                self.answers.append((lambda now: failed(load.stream, now)) if fails else lambda now: arrived(page, now))
            case Check():
                session = self.life.session_state()
                fails = self.random.random() < 0.1
                failed, answered = self.life.connection.check_failed, self.life.connection.check_answered
                self.answers.append(failed if fails else lambda now: answered(session, now))
            case Mark():
                self.life.state_version += 1
                change = self.life.change(self.life.state_version)
                self.answers.append(lambda now: self.life.connection.marked(change, now))
                if self.random.random() < 0.5:
                    self.life.do(self.life.connection.changed(change, self.life.now))

    def arrive(self):
        if self.answers:
            self.life.do(self.answers.pop(0)(self.life.now))

    def ack(self):
        if self.position is not None:
            self.life.says(Ack(seq=self.position))

    def wait(self):
        self.life.now += self.random.choice([0.1, 1, 5, 45])
        if self.life.now >= self.life.connection.wake_at:
            self.life.do(self.life.connection.woken(self.life.now))

    def reauth(self):
        if self.position is not None:
            self.life.says(Reauth(ticket="t"))

    def fence(self):
        """Another session of the same person ended."""
        self.life.fence += 1
        if self.random.random() < 0.5:
            self.life.do(self.life.connection.fenced(self.life.fence, self.life.now))

    def hide(self):
        self.life.gone.add(self.random.randrange(1, self.life.head + 2))

    def mark(self):
        self.life.says(State(state="read", through=1))

    def change(self):
        self.life.state_version += 1
        self.life.changed(self.life.state_version)

    def prune(self):
        if self.random.random() < 0.1:
            self.life.floor = self.random.randrange(self.life.floor, self.life.head + 1)

    def end(self):
        """This session ends: committed, then the fence, then the ending call returns."""
        if self.ended_at is None:
            self.life.session_reason = EndReason.LOGGED_OUT
            self.life.fence += 1
            self.ended_at = self.life.head

    # --- What must hold ---

    def check(self, said):
        resuming = any(type(event).__name__ == "Welcome" for event in said)
        for event in said:
            match event:
                case Notification(seq=seq, replayed=_):
                    assert not self.required, "private while held"
                    assert self.position is not None, "before welcome"
                    assert seq == self.position + 1, f"{seq} after {self.position}"
                    assert self.ended_at is None or seq <= self.ended_at, "published after the end of the session"
                    self.position = seq
                case Skipped(through=through):
                    assert through > self.position
                    self.position = through
                case Reset(head=head, reason=reason):
                    assert reason == "expired" or resuming, f"reset {reason} of a log that never went back"
                    self.position = head
                case CaughtUp(cursor=cursor):
                    assert cursor == self.position
                case ReauthRequired():
                    self.required = True
                case Bye():
                    self.required = True
            if type(event).__name__ == "Welcome":
                self.position = event.cursor
            if type(event).__name__ == "Reauthenticated":
                self.required = False

    def settle(self):
        """Everything that is still asked for is answered, the client acks and re-authenticates, the sync looks."""
        for _ in range(500):
            self.life.asked and self.read()
            self.arrive()
            self.ack()
            self.life.now += 0.3
            self.life.do(self.life.connection.woken(self.life.now))
            if self.life.phase is Phase.REAUTH_REQUIRED and not self.life.asked and not self.answers:
                self.life.says(Reauth(ticket="t"))
            self.sync()
            self.check(self.life.said)
            self.life.said.clear()


@pytest.mark.parametrize("block", range(20))
def test_random_lives(block):
    for seed in range(block * 100, block * 100 + 100):
        walk = Walk(seed)
        try:
            for _ in range(walk.random.randrange(20, 200)):
                walk.step()
            walk.settle()
            if walk.ended_at is not None:
                assert walk.life.phase is Phase.CLOSED, "a connection outlived its session"
            elif walk.life.phase is not Phase.CLOSED:
                assert walk.position == walk.life.head, "something was lost"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
