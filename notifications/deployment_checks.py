"""System checks of numbers that are right each by itself and contradict each other, and of what a site runs on."""

from collections.abc import Iterator
from typing import Any, Final

from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import connection

from .conf import conf
from .live import ears

SUPERVISOR_SECONDS: Final = 55.0
"""A little less than TimeoutStopSec in deploy/systemd and stop_grace_period in deploy/compose.yaml."""

PROXY_SECONDS: Final = 55.0
"""A little less than the minute after which proxies mostly close what is silent."""


@register(Tags.security, deploy=True)
def check_deployed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_limits(), *_layer(), *_broker()]


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return checks.Warning(message, hint=hint, id=f"notifications.W{number:03}")


def _limits() -> Iterator[CheckMessage]:
    if _is_no_less("GRACE_SECONDS", than="LIFETIME_SECONDS"):
        yield _warning(
            5, "NOTIFICATIONS: GRACE_SECONDS is no less than LIFETIME_SECONDS.", "A minute of a day is meant."
        )
    if _is_more("WINDOW", than="REPLAY_PAGE"):
        hint = "Make REPLAY_PAGE at least as large as WINDOW."
        yield _warning(6, "NOTIFICATIONS: WINDOW is more than REPLAY_PAGE.", hint)
    if _value("DRAIN_SECONDS") > SUPERVISOR_SECONDS:
        hint = "Make it 25, or raise TimeoutStopSec (systemd) or stop_grace_period (compose) too, and silence this."
        yield _warning(7, f"NOTIFICATIONS['DRAIN_SECONDS'] is {conf.DRAIN_SECONDS}.", hint)
    if _value("PING_SECONDS") > PROXY_SECONDS:
        yield _warning(8, f"NOTIFICATIONS['PING_SECONDS'] is {conf.PING_SECONDS}.", "Make it 25.")
    pairs = [
        ("SOCKETS_PER_USER", "SOCKETS_PER_PROCESS"),
        ("UNAUTHENTICATED_PER_ADDRESS", "UNAUTHENTICATED_PER_PROCESS"),
        ("UNAUTHENTICATED_PER_PROCESS", "SOCKETS_PER_PROCESS"),
    ]
    if wrong := [f"{part} is more than {whole}" for part, whole in pairs if _is_more(part, than=whole)]:
        yield _warning(9, f"NOTIFICATIONS: {', '.join(wrong)}.", "Make the part smaller than the whole.")


def _broker() -> Iterator[CheckMessage]:
    if conf.RABBITMQ_AUTH and not conf.RABBITMQ_MANAGEMENT_URL:
        hint = "Name the broker's management API in RABBITMQ_MANAGEMENT_URL, and run manage.py relay."
        yield _warning(15, "Nobody closes connections at the broker when a login session ends.", hint)


def _value(name: str) -> float:
    """0 for what is no number: that is notifications.E002."""
    value = getattr(conf, name)
    return value if isinstance(value, int | float) else 0


def _is_more(name: str, *, than: str) -> bool:
    return _value(name) > _value(than) > 0


def _is_no_less(name: str, *, than: str) -> bool:
    return _value(name) >= _value(than) > 0


def _layer() -> Iterator[CheckMessage]:
    if ears.is_in_memory() and connection.vendor != "sqlite":
        hint = "Set REDIS_URL; or silence this where there will only ever be one process."
        message = "The channel layer is in this process's memory, and the database is for several processes."
        yield _warning(10, message, hint)
