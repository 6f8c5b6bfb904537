"""
What RabbitMQ asks over HTTP, and the only words that it is answered with (rabbitmq_auth_backend_http). Pure.

Whatever is asked in another way than RabbitMQ does is refused: a parameter that is missing, empty where it says
something, doubled or huge, bytes that are no UTF-8, control characters.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

ALLOW: Final = "allow"
DENY: Final = "deny"

BODY_BYTES: Final = 32 * 1024
FIELDS: Final = 64
"""RabbitMQ asks with some ten; what a client says of itself (`variable_map.*`) is among them."""
VALUE_LENGTH: Final = 255
"""Characters: AMQP's names have at most as many bytes."""
PASSWORD_LENGTH: Final = 8 * 1024
"""A JWT may be long."""

TAGS: Final = ("management", "monitoring")
"""What a person may be in the broker's own eyes, beside nobody in particular. Nobody administers it by a ticket."""


class NotAsked(Exception):
    """That is no question of RabbitMQ's."""


def read(body: bytes, needed: Collection[str], optional: Collection[str] = ()) -> dict[str, str]:
    """The parameters of these names; others are not looked at. Raises NotAsked."""
    if len(body) > BODY_BYTES:
        raise NotAsked
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=FIELDS,
            encoding="utf-8",
            errors="strict",
        )
    except ValueError:  # bad bytes as well
        raise NotAsked from None
    known = [(name, value) for name, value in pairs if name in needed or name in optional]
    found = dict(known)
    if len(found) != len(known) or not all(found.get(name) for name in needed):
        raise NotAsked
    if not all(_is_plain(name, value) for name, value in found.items()):
        raise NotAsked
    return found


def _is_plain(name: str, value: str) -> bool:
    return len(value) <= (PASSWORD_LENGTH if name == "password" else VALUE_LENGTH) and value.isprintable()


def allow(tags: Collection[str] = ()) -> str:
    return " ".join([ALLOW, *(tag for tag in TAGS if tag in tags)])
