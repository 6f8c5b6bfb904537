"""Who may listen to which topic: rules that a site writes, and what no rule names nobody hears.

    from notifications.topics import rule

    @rule("orders.{order_id:int}")
    def may_read_order(user, order_id):
        return user.has_perm("shop.view_order", Order.objects.get(pk=order_id))

Rules stand in a module `topic_rules` of an installed app, which is imported at the start.

Promises:

* A rule is asked before anything of the topic is said: at `subscribe`, whenever the person re-authenticates, with each
  page that is replayed, and within a second of `permissions_changed()` (within `SYNC_SECONDS` where the channel layer
  is away).
* It is given the person as the database has them at that moment. Only `True` lets anybody in: an error, another answer
  or none does not. Whoever is refused learns nothing of why; the log does.
* Of several rules that fit the name, the one with more words of its own decides, alone. Two that leave that open are
  refused when they are registered.
"""

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.http import Http404

from tickets.api import in_thread

from . import fanout, store, topic_store
from .wire.doorbell import TOPIC_NAME
from .wire.streams import Position

logger = logging.getLogger("notifications.topics")

_NAME = re.compile(rf"{TOPIC_NAME}\Z", re.ASCII)
_WORD = re.compile(r"[a-z0-9_-]+\Z", re.ASCII)
_PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)(:int)?\}\Z", re.ASCII)
_INTEGER = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z", re.ASCII)

Params = dict[str, Any]


class Denied(Exception):
    """For a rule to raise that wants to say why: for the log and for `manage.py explain`, never for the client."""


class Decision(NamedTuple):
    """`rule` is the one that decided, by its place in the code; None if there is none. `fence` was read before it."""

    allowed: bool
    rule: str | None
    why: str
    fence: int = 0


@dataclass(frozen=True)
class Rule:
    """A pattern of names and the function that decides for them."""

    pattern: str
    function: Callable[..., Any]

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(self.pattern.split("."))

    @property
    def place(self) -> str:
        """Where it stands, for people to find it."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def own_words(self) -> int:
        """Words that it names itself."""
        return sum(not _PLACE.match(word) for word in self.words)

    def match(self, name: str) -> Params | None:
        """What stands in the places of the pattern; None if the name does not fit."""
        words = name.split(".")
        if len(words) != len(self.words):
            return None
        params: Params = {}
        for word, pattern in zip(words, self.words, strict=True):
            if not _take(word, pattern, params):
                return None
        return params

    def meets(self, other: "Rule") -> bool:
        """Whether some name fits both."""
        if len(self.words) != len(other.words):
            return False
        return all(_can_meet(mine, theirs) for mine, theirs in zip(self.words, other.words, strict=True))


def _take(word: str, pattern: str, params: Params) -> bool:
    place = _PLACE.match(pattern)
    if place is None:
        return word == pattern
    wanted = _INTEGER if place[2] else _WORD
    if not wanted.match(word):
        return False
    params[place[1]] = int(word) if place[2] else word
    return True


def _can_meet(mine: str, theirs: str) -> bool:
    return _fits(mine, theirs) or _fits(theirs, mine)


def _fits(word: str, pattern: str) -> bool:
    place = _PLACE.match(pattern)
    if place is None:
        return word == pattern
    return bool(_PLACE.match(word)) or not place[2] or bool(_INTEGER.match(word))


_rules: list[Rule] = []


def rule(pattern: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Register a function, sync or async, that decides who may listen to the topics whose names fit `pattern`.

    A pattern is words with dots between them; a word in braces stands for any one word (`{order_id}`), or for a number
    (`{order_id:int}`). The function is called with the user and these by name, and lets in by returning True.

    Raises:
        ValueError: it is no pattern, or names could fit it and another rule alike.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        new = Rule(pattern, function)
        _check(new)
        for known in _rules:
            if known.meets(new) and known.own_words == new.own_words:
                raise ValueError(f"{pattern!r} ({new.place}) and {known.pattern!r} ({known.place}) fit the same names.")
        _rules.append(new)
        return function

    return register


def _check(new: Rule) -> None:
    names = [place[1] for word in new.words if (place := _PLACE.match(word))]
    if not all(_PLACE.match(word) or _WORD.match(word) for word in new.words) or len(names) != len(set(names)):
        raise ValueError(f"{new.pattern!r} is no pattern: words of a-z 0-9 _ - and {{places}}, with dots between them.")
    inspect.signature(new.function).bind(None, **dict.fromkeys(names))


def is_name(text: object) -> bool:
    """Whether a topic can be called so."""
    return isinstance(text, str) and bool(_NAME.match(text))


def find(name: str) -> tuple[Rule, Params] | None:
    """The rule that decides for this name."""
    fitting = [(known, params) for known in _rules if (params := known.match(name)) is not None]
    return max(fitting, key=lambda found: found[0].own_words, default=None)


async def decide(user_id: Any, name: str, run: Callable[..., Awaitable[Any]] = in_thread) -> Decision:
    """Whether somebody may listen to a topic now. Raises what a database that does not answer raises, and no more.
    `run` is how to get onto a thread."""
    found = find(name) if is_name(name) else None
    if found is None:
        return decide_now(user_id, name)  # which asks nobody
    if not found[0].is_async:
        decided: Decision = await run(decide_now, user_id, name)
        return decided
    user, fence = await run(_before, user_id, name)
    try:
        decision = await _ask_async(found, user) if user else _nobody(found)
    except (OperationalError, InterfaceError):
        # Nobody else looks after the connection that async code has, on a thread of asgiref's: it would stay broken.
        await sync_to_async(close_old_connections)()
        raise
    return _told(user_id, name, decision._replace(fence=fence))


def decide_now(user_id: Any, name: str) -> Decision:
    """`decide()` for code that is not async."""
    found = find(name) if is_name(name) else None
    if found is None:
        return _told(user_id, name, Decision(False, None, "no rule names such a topic"))
    user, fence = _before(user_id, name)
    if user is None:
        decision = _nobody(found)
    elif found[0].is_async:
        decision = async_to_sync(_ask_async)(found, user)
    else:
        decision = _ask(found, user)
    return _told(user_id, name, decision._replace(fence=fence))


def _before(user_id: Any, name: str) -> tuple[Any, int]:
    """Who asks, and the topic's fence: read first, so that a change while the rule looks is seen to be newer."""
    fence = topic_store.fence(name)
    return _person(user_id), fence


def _person(user_id: Any) -> Any:
    return get_user_model()._default_manager.filter(pk=user_id, is_active=True).first()


def _nobody(found: tuple[Rule, Params]) -> Decision:
    return Decision(False, found[0].place, "nobody of an active account")


def _ask(found: tuple[Rule, Params], user: Any) -> Decision:
    asked, params = found
    try:
        return _decision(asked, asked.function(user, **params))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (whatever the site's rule raises)
        return _failed(asked, error)


async def _ask_async(found: tuple[Rule, Params], user: Any) -> Decision:
    asked, params = found
    try:
        return _decision(asked, await asked.function(user, **params))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _failed(asked, error)  # it was not we who are cancelled, but something that the rule waited for
    except Exception as error:  # noqa: BLE001 (as above)
        return _failed(asked, error)


def _decision(asked: Rule, answer: Any) -> Decision:
    if answer is True or answer is False:
        return Decision(answer, asked.place, "the rule says so")
    return Decision(False, asked.place, f"the rule answered {type(answer).__name__}, which is neither True nor False")


def _failed(asked: Rule, error: BaseException) -> Decision:
    if isinstance(error, OperationalError | InterfaceError):
        raise error  # nobody can tell now
    if isinstance(error, Denied | ObjectDoesNotExist | Http404):
        return Decision(False, asked.place, str(error) or type(error).__name__)
    logger.error("The rule %s failed, which refuses.", asked.place, exc_info=error)
    return Decision(False, asked.place, f"the rule failed: {type(error).__name__}: {error}")


def _told(user_id: Any, name: str, decision: Decision) -> Decision:
    if not decision.allowed:
        said = {"user": user_id, "topic": str(name)[:100], "rule": decision.rule, "why": decision.why}
        logger.info("denied user=%(user)s topic=%(topic)r rule=%(rule)s why=%(why)r", said)
    return decision


def permissions_changed(*, user: Any = None, topic: str | None = None) -> None:
    """
    Say that rules may answer otherwise than before: for a person (a user, or the primary key of one), or for a topic.

    Every connection concerned asks again, and nothing of what is in doubt is delivered until it has its answer. Call it
    after the change; inside a transaction it takes effect with the commit.
    """
    if (user is None) == (topic is None):
        raise TypeError("permissions_changed() takes exactly one of user and topic")
    if user is not None:
        user_id = store.user_key(user)
        transaction.on_commit(lambda: _announce(store.raise_fence(user_id)))
    elif is_name(topic):
        name = str(topic)
        transaction.on_commit(lambda: _announce(topic_store.raise_fence(name)))


def _announce(position: Position) -> None:
    fanout.announce_end(position.stream, position.fence)
