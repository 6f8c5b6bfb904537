"""A process that publishes all the while, and goes on whatever happens to the database or to Redis.

    publisher = Publisher(stack, people, rate=50)
    …
    told = publisher.stop()

Of ten calls one is rolled back (its title says `undone`: nobody may ever receive it), one tells several people at once,
one tells two people in a transaction, and one a topic, if there is one. What failed is tried again with the same
idempotency key until it is told.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import django

from tests.support.passes import Pass
from tests.support.processes import wait_until
from tests.support.stack import Stack

UNDONE = "undone"
ROLLED_BACK = 3
"""Which call of ten."""


class Publisher:
    """The test's side."""

    def __init__(
        self,
        stack: Stack,
        people: Sequence[Pass],
        *,
        rate: float,
        threads: int = 4,
        naive: bool = False,
        topic: str = "",
    ) -> None:
        self._told = stack.log_path("told")
        self._until = stack.log_path("until")
        plan = {
            "people": [each.user_id for each in people],
            "rate": rate,
            "threads": threads,
            "told": str(self._told),
            "until": str(self._until),
            "naive": naive,
            "topic": topic,
        }
        self.process = stack.script("tests.faults.publishing", json.dumps(plan))
        wait_until(lambda: self.said, timeout=30, what="word of the publisher")

    @property
    def said(self) -> int:
        """Calls that were answered so far."""
        return self._told.read_text().count("\n") if self._told.exists() else 0

    def stop(self, timeout: float = 60) -> list[dict[str, Any]]:
        """Every call that was answered: {title, undone, began, ended, error?} by the monotonic clock."""
        self._until.touch()
        wait_until(lambda: self.process.returncode is not None, timeout=timeout, what="end of the publisher")
        assert self.process.returncode == 0, self.process.log()[-4000:]
        return [json.loads(line) for line in self._told.read_text().splitlines()]


# The process's side ---------------------------------------------------------------------------------------------------


class Undone(Exception):
    """Rolls a transaction back."""


class _Writer:
    """One thread. It tells only people of its own, so that the order of its calls is theirs."""

    def __init__(self, number: int, people: list[int], plan: dict[str, Any], told: Any, lock: threading.Lock) -> None:
        self._number, self._people, self._plan, self._told, self._lock = number, people, plan, told, lock
        self._until = Path(plan["until"])

    def run(self) -> None:
        pause = self._plan["threads"] / self._plan["rate"]
        for call in count():
            if self._until.exists():
                return
            self._do(call)
            time.sleep(pause)

    def _do(self, call: int) -> None:
        title = f"{self._number}:{call}"
        while True:
            began = time.monotonic()
            try:
                self._publish(call, title)
            except Exception as error:
                self._write(call, title, began, error=type(error).__name__)
                if self._until.exists():
                    return
                time.sleep(0.05)
            else:
                self._write(call, title, began)
                return

    def _publish(self, call: int, title: str) -> None:
        from django.db import close_old_connections, transaction

        from notifications.api import notify, notify_many, notify_topic

        someone = self._people[call % len(self._people)]
        next_one = self._people[(call + 1) % len(self._people)]
        close_old_connections()
        try:
            match call % 10:
                case _ if call % 10 == ROLLED_BACK:
                    with contextlib.suppress(Undone), transaction.atomic():
                        notify(someone, title=UNDONE)
                        raise Undone
                case 5:
                    notify_many(self._people, title=title, idempotency_key=title)
                case 7:
                    with transaction.atomic():
                        notify(someone, title=title, idempotency_key=title)
                        notify(next_one, title=title, idempotency_key=f"{title} also")
                case 9 if self._plan["topic"]:
                    notify_topic(self._plan["topic"], title=title, idempotency_key=title)
                case _:
                    notify(someone, title=title, idempotency_key=title)
        finally:
            close_old_connections()

    def _write(self, call: int, title: str, began: float, **what: Any) -> None:
        undone = call % 10 == ROLLED_BACK
        what |= {"title": title, "undone": undone, "began": began, "ended": time.monotonic()}
        with self._lock:
            self._told.write(json.dumps(what) + "\n")
            self._told.flush()


def announce_naively() -> None:
    """A connection to Redis for each call, which is waited for as long as it takes."""
    import redis
    from django.conf import settings

    from notifications import fanout

    def send(self: Any, group: str, message: dict[str, Any]) -> None:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=None) as client:
            client.publish(self._layer.channel(group), self._layer.serialize(message))

    fanout._RedisPubSub.send = send  # type: ignore[method-assign]


def main(plan: dict[str, Any]) -> None:
    if plan["naive"]:
        announce_naively()
    lock = threading.Lock()
    with Path(plan["told"]).open("w") as told:
        writers = [
            _Writer(number, plan["people"][number :: plan["threads"]], plan, told, lock)
            for number in range(plan["threads"])
        ]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    django.setup()
    main(json.loads(sys.argv[1]))
