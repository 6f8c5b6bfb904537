"""Everybody may hear what is said in workload (c)."""

from typing import Any

from benchmarks.content import TOPIC
from notifications.topics import rule


@rule(TOPIC)
def everybody(user: Any) -> bool:
    return True
