"""A process that tells many people the same, round after round at a steady pace; it answers when each round began."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import django

from tests.support.passes import Pass
from tests.support.processes import wait_until
from tests.support.stack import Stack


async def tell(
    stack: Stack, people: Sequence[Pass], *, rounds: int, rate: float, size: int, name: str
) -> dict[str, float]:
    """{title: when the call began, on the monotonic clock}; each has a body of `size` characters."""
    plan = {"people": [each.user_id for each in people], "rounds": rounds, "rate": rate, "size": size, "name": name}
    process = stack.script("tests.faults.telling", json.dumps(plan))
    over = lambda: process.returncode is not None  # noqa: E731
    await asyncio.to_thread(wait_until, over, timeout=60 + 3 * rounds / rate, what="end of the telling")
    assert process.returncode == 0, process.log()
    began: dict[str, float] = json.loads(process.log().splitlines()[-1])
    return began


def main(plan: dict[str, Any]) -> dict[str, float]:
    from notifications.api import notify_many

    body = "x" * plan["size"]
    began = {}
    start = time.monotonic()
    for number in range(plan["rounds"]):
        time.sleep(max(0.0, start + number / plan["rate"] - time.monotonic()))
        title = f"{plan['name']} {number}"
        began[title] = time.monotonic()
        notify_many(plan["people"], title=title, body=body)
    return began


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(json.loads(sys.argv[1]))))
