"""
Every way in × every policy of expiry × every end of what was granted: what is heard then, and what is never heard.

`CONTRACT` says it, and nothing else here does: `Site` is only what surrounds a connection (which credential is good,
how a session stands, what was published), `live` takes a connection through one case, and `complaints` holds what was
heard against the contract. Connections that are wrong on purpose show that it would tell.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import inf
from uuid import UUID, uuid4

import pytest

from notifications.live.connection import Connection, Limits, Phase
from notifications.live.steps import Check, Load, Mark, Open, Redeem, Verify
from notifications.wire.content import GREATEST_INTEGER
from notifications.wire.doorbell import Kicked
from notifications.wire.streams import Opening
from notifications.wire.vocabulary import (
    Authenticate,
    Bye,
    CaughtUp,
    Error,
    Notification,
    Reauth,
    Reauthenticated,
    ReauthFailed,
    ReauthRequired,
    State,
    StateChanged,
)
from tickets.grants import EndReason, Grant, SessionState

from .life import START, STREAM, Life, note

# --- The contract ---


@dataclass(frozen=True)
class Way:
    """How a client proves who it is, as a connection sees it."""

    kind: str
    in_frame: bool = False
    in_each_message: bool = False
    is_its_session: bool = False
    """A JWT of another application: the session it opens ends with it."""


WAYS = {
    "ticket in the handshake": Way("ticket"),
    "ticket in the first frame": Way("ticket", in_frame=True),
    "token in the handshake": Way("token"),
    "token in the first frame": Way("token", in_frame=True),
    "token of another application": Way("token", is_its_session=True),
    "token in each message": Way("token", in_each_message=True),
}

POLICIES = ("reauth", "close", "ignore")

GOES_ON = "goes on"
EXPIRED = "reauth_required session_expired"
CHANGED = "reauth_required credentials_changed"

CONTRACT = {
    # By policy: reauth, close, ignore.
    "the grant ends": (EXPIRED, 4401, GOES_ON),
    "the session expires": (EXPIRED, 4401, 4401),
    "the session is cut short": (EXPIRED, 4401, 4401),
    "signed out": (4501, 4501, 4501),
    "ended by staff": (4500, 4500, 4500),
    "refresh token used twice": (4503, 4503, 4503),
    "account disabled": (4502, 4502, 4502),
    "account deleted": (4502, 4502, 4502),
    "password changed elsewhere": (4503, 4503, 4503),
    "password changed here": (CHANGED, 4401, CHANGED),
    "disconnected by staff": (4500, 4500, 4500),
    "too many, here": (4504, 4504, 4504),
    "too many, elsewhere": (4504, 4504, 4504),
    "greatest age": (4400, 4400, 4400),
}


def outcome(way: Way, policy: str, end: str, *, held: bool) -> str | int:
    """What is heard of it, by whom who was `held` already or not."""
    if way.is_its_session and end == "the grant ends":
        end = "the session expires"
    said = CONTRACT[end][POLICIES.index(policy)]
    # Who is held was asked already and has until the deadline: nothing expires for them a second time.
    return GOES_ON if held and said in (EXPIRED, CHANGED, 4401) else said


# --- What surrounds a connection ---


@dataclass
class Session:
    expires_at: float
    reason: EndReason | None = None
    valid_from: float = 0.0


@dataclass(frozen=True)
class Credential:
    session: UUID
    user_id: int
    made_at: float
    ends_at: float


class Site(Life):
    """One connection, its person's sessions, and what proves what: credentials, by the names that tests give them."""

    def __init__(self, way: Way, policy: str, end: str = "", connection: type[Connection] = Connection) -> None:
        limits = Limits(
            on_expiry=policy,
            authenticate_each_message=way.in_each_message,
            lifetime_seconds=600 if end == "greatest age" else inf,
        )
        super().__init__(limits=limits)
        self.connection = connection(name="c1", limits=limits, now=self.now)
        self.way = way
        self.credentials: dict[str, Credential] = {}
        self.spent: set[str] = set()
        self.carried_out = 0
        short = 600 if end == "the session expires" else 900 if way.is_its_session else 30 * 86_400
        self.sessions = {self.session: Session(START + short)}
        # Where in `said` this happened; what there was of the stream by then.
        self.ended_at = self.back_at = self.revived_at = 10**9
        self.ended_head = self.ended_version = 0

    # What can be proven.

    def mint(self, name: str, *, session: UUID | None = None, user_id: int = 7, seconds: float = 900) -> dict[str, str]:
        """A credential made now: as the fields of the frame that carries it."""
        session = session or self.session
        end = min(self.now + seconds, self.sessions[session].expires_at)
        self.credentials[name] = Credential(session, user_id, self.now, end)
        return {self.way.kind: name}

    def another_session(self) -> UUID:
        session = uuid4()
        self.sessions[session] = Session(START + 30 * 86_400)
        return session

    def session_state(self, session_id: UUID | None = None) -> SessionState:
        session_id = session_id or self.session
        session = self.sessions.get(session_id)
        if session is None:
            return SessionState(session_id, False, EndReason.ACCOUNT_DISABLED, 0.0)
        reason = session.reason or (EndReason.EXPIRED if session.expires_at <= self.now else None)
        return SessionState(session_id, reason is None, reason, session.expires_at, session.valid_from)

    def judge(self, name: str) -> Callable[[float], list]:
        credential = self.credentials[name]
        standing = self.session_state(credential.session)
        good = standing.alive and credential.made_at >= standing.valid_from and self.now < credential.ends_at
        if not good or name in self.spent:
            return self.connection.refused
        if self.way.kind == "ticket":
            self.spent.add(name)
        end = credential.ends_at if self.way.kind == "token" else min(self.now + 900, standing.expires_at)
        made_at = credential.made_at
        grant = Grant(credential.user_id, "ann", credential.session, end, standing.expires_at, issued_at=made_at)
        return partial(self.connection.redeemed, grant)

    # What is asked, found out now, and answered now or later.

    def find_out(self, step: object) -> Callable[[float], list]:
        match step:
            case Redeem(ticket=name) | Verify(token=name):
                return self.judge(name)
            case Open():
                return partial(self.connection.opened, Opening(self.position(), 0, 0), self.session_state())
            case Load() as load:
                return partial(self.connection.page, self.page(load))
            case Check(session_id=session_id):
                return partial(self.connection.check_answered, self.session_state(session_id))
            case Mark():
                self.carried_out += 1
                self.state_version += 1
                return partial(self.connection.marked, self.change(self.state_version))
        raise AssertionError(step)

    def answer(self, *, rounds: int = 100) -> "Site":
        for _ in range(rounds):
            if not self.asked:
                return self
            self.do(self.find_out(self.asked.pop(0))(self.now))
        raise AssertionError("it never stops asking")

    # What happens.

    def come_in(self) -> "Site":
        shown = self.mint("first")
        in_handshake = {"ticket": None} if self.way.in_frame else {"ticket": None} | shown
        self.do(self.connection.connected(**in_handshake, since=None, now=self.now))
        if self.way.in_frame:
            self.says(Authenticate(**shown))
        return self.answer().publish(3)

    def fenced(self) -> "Site":
        return self.do(self.connection.fenced(self.fence, self.now))

    def swept(self) -> "Site":
        return self.do(self.connection.checked(self.session_state(self.connection.grant.session_id), self.now))

    def state_changes(self) -> "Site":
        self.state_version += 1
        return self.changed(self.state_version)

    def end(self, reason: EndReason, *, session: UUID | None = None) -> None:
        self.sessions[session or self.session].reason = reason
        self.fence += 1

    def change_password(self) -> None:
        self.sessions[self.session].valid_from = self.now
        self.fence += 1

    def delete(self) -> None:
        self.sessions.clear()
        self.fence = GREATEST_INTEGER  # with the person went their stream: see notifications/live/revocation.py

    def cut_short(self) -> None:
        self.sessions[self.session].expires_at = self.now
        self.fence += 1  # of another session that ended: nothing else tells of this one


# --- How an end is told, if it is, while more is published ---


def announced(site: Site) -> None:
    site.fenced().publish(2)


def met_in_a_notification(site: Site) -> None:
    site.publish(2).fenced()


def met_in_a_state(site: Site) -> None:
    site.state_changes().publish()


def met_by_the_sync(site: Site) -> None:
    site.publish(2, heard=False).sync()


def swept(site: Site) -> None:
    """No word of the end arrived; the check that a notification asked for is slower than the sweep."""
    site.publish(2).swept()


def swept_in_silence(site: Site) -> None:
    site.publish(2, heard=False).swept()


def untold(site: Site) -> None:
    """Nor is what was published: it is met in a page that was asked for before, or in the next notification."""
    site.publish(2, heard=False)


def on_time(site: Site) -> None:
    site.do(site.connection.woken(site.now)).publish(2)


def overslept(site: Site) -> None:
    """The process was busy: the notification is there before the timer."""
    site.publish(2).do(site.connection.woken(site.now))


def kicked(code: int) -> Callable[[Site], None]:
    def tell(site: Site) -> None:
        kick = Kicked("o", STREAM, ["another", "c1"], code)
        site.do(site.connection.kicked(kick, site.now)).publish(2)

    return tell


def replaced(site: Site) -> None:
    site.do(site.connection.replaced(site.now)).publish(2)


@dataclass(frozen=True)
class End:
    """`happens` to the site a second after `at` (by the clock, where that alone brings it about)."""

    told: tuple[Callable[[Site], None], ...]
    happens: Callable[[Site], None] = lambda site: None
    at: float = 99


BY_THE_CLOCK = (on_time, overslept)
BY_WORD = (announced, met_in_a_notification, met_in_a_state, met_by_the_sync, swept, swept_in_silence, untold)

ENDS = {
    "the grant ends": End(BY_THE_CLOCK, at=899),
    "the session expires": End((*BY_THE_CLOCK, swept_in_silence), at=599),
    "the session is cut short": End(BY_WORD, Site.cut_short),
    "signed out": End(BY_WORD, lambda site: site.end(EndReason.LOGGED_OUT)),
    "ended by staff": End(BY_WORD, lambda site: site.end(EndReason.DISCONNECTED_BY_STAFF)),
    "refresh token used twice": End(BY_WORD, lambda site: site.end(EndReason.CREDENTIALS_CHANGED)),
    "account disabled": End(BY_WORD, lambda site: site.end(EndReason.ACCOUNT_DISABLED)),
    "account deleted": End((announced, swept_in_silence), Site.delete),
    "password changed elsewhere": End(BY_WORD, lambda site: site.end(EndReason.CREDENTIALS_CHANGED)),
    "password changed here": End(BY_WORD, Site.change_password),
    "disconnected by staff": End((kicked(4500),)),
    "too many, here": End((replaced,)),
    "too many, elsewhere": End((kicked(4504),)),
    "greatest age": End(BY_THE_CLOCK, at=599),
}


# --- What the connection was doing: up to the end, until it is told, and from then on ---

Moment = Callable[[Site], Iterator[None]]

READ = partial(State, state="read", through=1)


def at_rest(site: Site) -> Iterator[None]:
    yield


def asking_for_a_page(site: Site) -> Iterator[None]:
    site.publish(heard=False).publish()
    yield


def hearing_a_page(site: Site) -> Iterator[None]:
    """It was read before the end, and says only what was published before."""
    site.publish(heard=False).publish()
    page = site.find_out(site.taken(Load))
    yield
    site.do(page(site.now))
    yield


def marking(site: Site) -> Iterator[None]:
    """The command was carried out before the end; its answer is there after it."""
    site.says(READ(token="first" if site.way.in_each_message else None))
    answer = site.find_out(site.taken(Mark))
    yield
    site.do(answer(site.now))
    yield


def checked_before_it_is_told(site: Site) -> Iterator[None]:
    """Another session of the person ended; this one stood when it was looked at, and that is heard after the end."""
    site.fence += 1
    stands = site.fenced().find_out(site.taken(Check))
    yield
    site.do(stands(site.now))
    yield


def checked_after_it_is_told(site: Site) -> Iterator[None]:
    site.fence += 1
    stands = site.fenced().find_out(site.taken(Check))
    yield
    yield
    site.do(stands(site.now))


def held(site: Site) -> Iterator[None]:
    if site.way.in_each_message:
        site.says(READ(token=None))
    else:
        site.change_password()
        site.fenced().answer()
    assert site.phase is Phase.REAUTH_REQUIRED
    site.mint("older")
    yield


def reauthenticating(site: Site) -> Callable[[float], list]:
    site.says(Reauth(**site.mint("in time")))
    return site.find_out(site.asked.pop())


def reauthenticated_before_it_is_told(site: Site) -> Iterator[None]:
    """The credential was judged good before the end; that is heard after it."""
    verdict = reauthenticating(site)
    yield
    site.do(verdict(site.now))
    yield


def reauthenticated_after_it_is_told(site: Site) -> Iterator[None]:
    verdict = reauthenticating(site)
    yield
    yield
    site.do(verdict(site.now)).publish().answer()


RACES: tuple[Moment, ...] = (reauthenticated_before_it_is_told, reauthenticated_after_it_is_told)
MOMENTS: tuple[Moment, ...] = (
    at_rest,
    asking_for_a_page,
    hearing_a_page,
    marking,
    checked_before_it_is_told,
    checked_after_it_is_told,
    held,
    *RACES,
)


def can_be(moment: Moment, way: Way, policy: str, end: str) -> bool:
    if moment is held:
        return policy != "close" or way.in_each_message
    return moment not in RACES or end != "the grant ends"  # which a fresh credential does not race with but answers


# --- How its client tries to come back, and what is heard then ---


def shows(site: Site, name: str, **how) -> Site:
    return site.says(Reauth(**site.mint(name, **how)))


def nobody(site: Site) -> None:
    site.after(60)


def a_fresh_one(site: Site) -> None:
    """Of the same session if it stands, else the person has signed in again."""
    session = site.session if site.session_state().alive else site.another_session()
    shows(site, "fresh", session=session)
    site.revived_at = len(site.said)
    site.answer().publish(2)


def fresh_after(refused: Callable[[Site], None]) -> Callable[[Site], None]:
    def comes(site: Site) -> None:
        refused(site)
        site.publish().after(1)
        a_fresh_one(site)

    comes.__name__ = refused.__name__
    return comes


@fresh_after
def the_one_it_came_by(site: Site) -> None:
    site.says(Reauth(**{site.way.kind: "first"})).answer()


@fresh_after
def one_made_before_the_end(site: Site) -> None:
    site.says(Reauth(**{site.way.kind: "older"})).answer()


@fresh_after
def one_of_an_ended_session(site: Site) -> None:
    session = site.another_session()
    site.end(EndReason.LOGGED_OUT, session=session)
    shows(site, "ended", session=session).answer()


def one_of_a_session_that_ends_meanwhile(site: Site) -> None:
    session = site.another_session()
    verdict = shows(site, "ending", session=session).find_out(site.asked.pop())
    site.end(EndReason.LOGGED_OUT, session=session)
    site.do(verdict(site.now)).publish(2).answer()


def somebody_elses(site: Site) -> None:
    shows(site, "theirs", session=site.another_session(), user_id=8).answer()


REFUSED = "reauth_failed ticket_refused"

COMEBACKS = {
    nobody: [4401],
    a_fresh_one: ["reauthenticated"],
    the_one_it_came_by: [REFUSED, "reauthenticated"],
    one_made_before_the_end: [REFUSED, "reauthenticated"],
    one_of_an_ended_session: [REFUSED, "reauthenticated"],
    one_of_a_session_that_ends_meanwhile: ["reauthenticated", 4501],
    somebody_elses: [4507],
}


# --- One case, and what is wrong with it ---


@dataclass(frozen=True)
class Case:
    way: Way
    policy: str
    end: str
    told: Callable[[Site], None]
    moment: Moment
    comeback: Callable[[Site], None] | None = None

    def __str__(self) -> str:
        parts = (self.told, self.moment, self.comeback)
        return ", ".join(part.__name__.replace("_", " ") for part in parts if part)

    @property
    def outcome(self) -> str | int:
        return outcome(self.way, self.policy, self.end, held=self.moment is held)

    @property
    def is_held_then(self) -> bool:
        return (self.moment is held and self.outcome == GOES_ON) or self.outcome in (EXPIRED, CHANGED)


def cases(way: Way, policy: str, end: str) -> Iterator[Case]:
    for told in ENDS[end].told:
        for moment in MOMENTS:
            if can_be(moment, way, policy, end):
                case = Case(way, policy, end, told, moment)
                for comeback in COMEBACKS if case.is_held_then else (None,):
                    # A grant's end is none of its session's: a credential made before is as good as any.
                    if not (comeback is one_made_before_the_end and end == "the grant ends"):
                        yield replace(case, comeback=comeback)


def live(case: Case, connection: type[Connection] = Connection) -> Site:
    site = Site(case.way, case.policy, case.end, connection).come_in()
    end = ENDS[case.end]
    site.after(end.at)
    site.mint("older", seconds=86_400)
    moment = case.moment(site)
    next(moment)
    site.now += 1
    end.happens(site)
    site.ended_at, site.ended_head, site.ended_version = len(site.said), site.head, site.state_version
    next(moment, None)
    case.told(site)
    site.answer()
    next(moment, None)
    # Whatever else may be heard of a stream: none of it is for this connection any more.
    site.publish().sync().state_changes().do(site.connection.pushed(note(None), site.now))
    site.publish(heard=False).after(2).sync().swept().answer()
    site.back_at = len(site.said)
    if case.comeback is not None:
        case.comeback(site)
    return site


def complaints(case: Case, connection: type[Connection] = Connection) -> list[str]:
    """What a connection said in this case that the contract does not, or did not say that it does."""
    try:
        site = live(case, connection)
    except AssertionError as broken:  # it went on after its close, or never came to rest
        return [f"{case}: {broken}"]
    found = [*too_late(case, site), *numbers(site), *words(case, site)]
    return [f"{case}: {wrong}" for wrong in found]


def too_late(case: Case, site: Site) -> Iterator[str]:
    """Nothing that was published after the end is said, unless a good credential came later; nothing at all to whoever
    is held."""
    is_held = False
    goes_on = case.outcome == GOES_ON and case.comeback is None
    for place, event in enumerate(site.said):
        after_the_end = not goes_on and site.ended_at <= place < site.revived_at
        match event:
            case ReauthRequired():
                is_held = True
            case Reauthenticated():
                is_held = False
            case Notification() | StateChanged() if is_held:
                yield "private while held"
            case Notification(seq=int(seq)) if after_the_end and seq > site.ended_head:
                yield f"{seq} was published after the end"
            case StateChanged(state_version=version) if after_the_end and version > site.ended_version:
                yield f"state {version} is of after the end"


def numbers(site: Site) -> Iterator[str]:
    """Each number once and in order; what was held is said to be so, and so many; nothing is missing in the end."""
    position = 0
    held_until = site.head - 2  # who comes back by a fresh credential hears two more
    for place, event in enumerate(site.said):
        back = place >= site.revived_at
        match event:
            case Notification(seq=int(seq), replayed=replayed):
                if seq != position + 1:
                    yield f"{seq} after {position}"
                if back and replayed is not (seq <= held_until):
                    yield f"{seq} is {'' if replayed else 'not '}called a replay"
                position = seq
            case Reauthenticated(held=count) if back and count != held_until - position:
                yield f"{count} are said to have been held, not {held_until - position}"
            case Reauthenticated(state_version=version) if back and version != site.state_version:
                yield f"the state is said to be {version}, not {site.state_version}"
            case CaughtUp(cursor=cursor) if cursor != position:
                yield f"caught up with {cursor} at {position}"
    if site.phase is Phase.OPEN and position != site.head:
        yield f"{position} is the last of {site.head}"


def words(case: Case, site: Site) -> Iterator[str]:
    """The frames that are not the stream's own, in order."""
    at_the_end = [word for event in site.said[site.ended_at : site.back_at] if (word := _word(event))]
    if case.moment in RACES:
        # What was judged before the end is told as good and found out again: it is asked for as before.
        at_the_end = [word for word, _ in groupby(word for word in at_the_end if word != "reauthenticated")]
    afterwards = [word for event in site.said[site.back_at :] if (word := _word(event))]
    wanted = [] if case.outcome == GOES_ON else [case.outcome]
    wanted_afterwards = COMEBACKS[case.comeback] if case.comeback else []
    for heard, expected in ((at_the_end, wanted), (afterwards, wanted_afterwards)):
        if heard != expected:
            yield f"{heard} was heard, not {expected}"


def _word(event: object) -> str | int | None:
    match event:
        case ReauthRequired(reason=reason):
            return f"reauth_required {reason}"
        case ReauthFailed(code=code) | Error(code=code):
            return f"{event.__struct_config__.tag} {code}"
        case Bye(code=code):
            return code
        case Notification() | StateChanged() | CaughtUp():
            return None
    return event.__struct_config__.tag


# --- The tables ---


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("way", WAYS)
def test_an_end_is_heard_as_the_contract_says_and_nothing_after_it(way, policy, end):
    found = [wrong for case in cases(WAYS[way], policy, end) for wrong in complaints(case)]
    assert not found, "\n".join(found)


EACH = WAYS["token in each message"]


@pytest.mark.parametrize("way", WAYS)
def test_where_expiry_is_ignored_a_session_that_was_prolonged_goes_on_once_it_was_read(way):
    site = Site(WAYS[way], "ignore", "the session expires").come_in()
    site.sessions[site.session].expires_at += 900
    site.after(600).publish(2)
    assert [event.seq for event in site.said if isinstance(event, Notification)] == [1, 2, 3], "until then nobody knows"
    site.answer().publish()
    assert [event.seq for event in site.said if isinstance(event, Notification)] == [1, 2, 3, 4, 5, 6]
    assert site.after(899).code is None
    assert site.after(1).answer().code == 4401


@pytest.mark.parametrize("end", [end for end in ENDS if end != "the grant ends"])
@pytest.mark.parametrize("policy", POLICIES)
def test_no_command_is_carried_out_by_a_token_older_than_the_end(policy, end):
    for case in cases(EACH, policy, end):
        site = live(replace(case, comeback=None))
        before = site.carried_out
        for name in ("first", "older"):
            site.says(READ(token=name)).answer().after(1)
        assert site.carried_out == before, case


@pytest.mark.parametrize("policy", POLICIES)
def test_nor_by_one_that_is_over_though_its_session_goes_on(policy):
    site = live(Case(EACH, policy, "the grant ends", on_time, at_rest))
    site.says(READ(token="first")).answer()
    assert site.carried_out == 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "judged first"])
@pytest.mark.parametrize("seconds", [300, 2000], ids=["ends sooner", "lasts longer"])
def test_nor_by_one_of_another_session_that_ended_while_it_was_judged(seconds, told_first, policy):
    """Whether that token is the one that the connection lives by from then on (it lasts longer) or is not."""
    site = Site(EACH, policy).come_in()
    site.after(10)
    other = site.another_session()
    token = site.mint("other", session=other, seconds=seconds)
    verdict = site.says(READ(**token)).find_out(site.asked.pop())
    site.end(EndReason.LOGGED_OUT, session=other)
    if told_first:
        site.fenced().answer().do(verdict(site.now)).answer()
        assert site.carried_out == 0
    else:
        site.do(verdict(site.now)).answer().fenced().answer()
        assert site.carried_out == 1, "of two things at once the command was the first"
    before = site.carried_out
    site.says(READ(**token)).answer().publish(2)
    assert site.carried_out == before
    assert site.phase is Phase.CLOSED if seconds == 2000 else site.phase is Phase.REAUTH_REQUIRED


# --- Shown that the tables would tell ---


class GoesOnUnderANewerFence(Connection):
    def _note_fence(self, steps, fence):
        pass


class GoesOnWhileHeld(Connection):
    def _hold(self, steps, now, reason):
        super()._hold(steps, now, reason)
        self.phase = Phase.OPEN if self.phase is Phase.REAUTH_REQUIRED else self.phase


class OutlivesItsSession(Connection):
    def _session_ended(self, steps, session, now):
        pass


class ForgetsItsAge(Connection):
    def __init__(self, *, limits, **how):
        super().__init__(limits=replace(limits, lifetime_seconds=inf), **how)


class BelievesWhatWasJudgedBefore(Connection):
    """A credential counts as good under whatever was heard while it was judged."""

    def _reauthenticate(self, steps, grant, now):
        self._fence_at_redeem = self._met_fence
        super()._reauthenticate(steps, grant, now)


class ComesBackBySomebodyElse(Connection):
    def redeemed(self, grant, now):
        return super().redeemed(replace(grant, user_id=7), now)


class ComesBackByWhatWasRefused(Connection):
    def refused(self, now):
        return super().redeemed(replace(self.grant, expires_at=now + 900, issued_at=now), now)


class LosesWhatWasHeld(Connection):
    def _reauthenticate(self, steps, grant, now):
        for stream in self._streams.values():
            stream.cursor = stream.head
        super()._reauthenticate(steps, grant, now)


class RepeatsWhatWasSaid(Connection):
    def _reauthenticate(self, steps, grant, now):
        for stream in self._streams.values():
            stream.cursor -= 1
        super()._reauthenticate(steps, grant, now)


class WaitsForTheSweep(Connection):
    """Under `ignore` it does not look at the clock."""

    def _live_by(self, grant):
        super()._live_by(replace(grant, session_expires_at=inf))


EVERY_CASE = [case for way in WAYS.values() for policy in POLICIES for end in ENDS for case in cases(way, policy, end)]


@pytest.mark.parametrize(
    ("naive", "complaint"),
    [
        (GoesOnUnderANewerFence, "was published after the end"),
        (GoesOnWhileHeld, "private while held"),
        (OutlivesItsSession, "was heard, not [4501]"),
        (ForgetsItsAge, "was heard, not [4400]"),
        (BelievesWhatWasJudgedBefore, "was published after the end"),
        (ComesBackBySomebodyElse, "was heard, not [4507]"),
        (ComesBackByWhatWasRefused, "'reauthenticated'] was heard, not ['reauth_failed ticket_refused'"),
        (LosesWhatWasHeld, "0 are said to have been held"),
        (RepeatsWhatWasSaid, "3 after 3"),
        (WaitsForTheSweep, "was published after the end"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_connection_that_is_wrong_is_told_of(naive, complaint):
    found = (wrong for case in EVERY_CASE for wrong in complaints(case, naive))
    assert any(complaint in wrong for wrong in found)


def test_the_tables_are_whole():
    assert set(ENDS) == set(CONTRACT)
    assert {case.moment for case in EVERY_CASE} == set(MOMENTS)
    assert {case.comeback for case in EVERY_CASE} == {None, *COMEBACKS}
    assert {case.outcome for case in EVERY_CASE} == {said for row in CONTRACT.values() for said in row}
