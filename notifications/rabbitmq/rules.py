"""
What somebody may do at the broker, by the names of things there. Pure: a topic's own rule is asked elsewhere.

Names are made of what the person's stream is called by, their id (a digest of it, if it is no integer): nobody chooses
it. A dot ends it, so that 1 is not the beginning of 12.
"""

import re
from typing import Any, Final

from ..wire.doorbell import stream_of

EXCHANGE: Final = "usher.notifications"

_PERMISSIONS: Final = frozenset({"configure", "write", "read"})

_OF_STOMP: Final = re.compile(r"stomp-subscription-[A-Za-z0-9_-]{1,64}\Z", re.ASCII)
"""Made up by the broker, for a subscription that names no queue: whose one is, the name does not say, see `queues`."""

_OF_MQTT: Final = re.compile(r"mqtt-subscription-(.+)qos[01]\Z", re.ASCII)
"""Made by the broker of the client's id."""


def routing_key(stream: str) -> str:
    """What is told on a stream is published with: `user.7`, `topic.orders.7`."""
    kind, _, name = stream.partition(".")
    return f"{'user' if kind == 'u' else 'topic'}.{name}"


def key_of(user_id: Any) -> str:
    """What the names of somebody's things are made of."""
    return stream_of(user_id).partition(".")[2]


def may_use(user_id: Any, resource: str, name: str, permission: str) -> bool:
    """Whether a person may do that with a queue or an exchange. What `is_made_up` is to be theirs besides."""
    if permission not in _PERMISSIONS:
        return False
    if resource == "exchange":
        return name == EXCHANGE and permission == "read"
    return resource == "queue" and _is_own_queue(user_id, name)


def _is_own_queue(user_id: Any, name: str) -> bool:
    if name.startswith(f"usher.user.{key_of(user_id)}."):
        return True
    of_client = _OF_MQTT.match(name)
    if of_client is not None:
        return is_own_client(user_id, of_client[1])
    return is_made_up(name)


def is_made_up(name: str) -> bool:
    """Whether the broker gave the queue a name that says of nobody that it is theirs."""
    return bool(_OF_STOMP.match(name))


def is_own_client(user_id: Any, client_id: str) -> bool:
    """Whether an MQTT client of theirs may be called so: who takes a name sends away whoever has it."""
    return client_id.startswith(f"usher.{key_of(user_id)}.")


def listens_to(user_id: Any, resource: str, name: str, permission: str, key: str) -> bool | str:
    """
    Whether a person may bind a queue to the exchange with that routing key; the topic's name where its rule decides.

    A pattern is none of these: `*` and `#` are in no person's id, and in the name of no topic.
    """
    if resource != "topic" or name != EXCHANGE or permission != "read":
        return False
    kind, _, rest = key.partition(".")
    if kind == "topic":
        return rest
    return kind == "user" and rest == key_of(user_id)
