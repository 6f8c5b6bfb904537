from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from notifications import topics
from tickets.operators import named_user, printable


class Command(BaseCommand):
    help = "Says whether somebody may listen to a topic now, which rule decides that, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("topic")

    def handle(self, *, username: str, topic: str, **options: Any) -> None:
        if not topics.is_name(topic):
            raise CommandError("A topic's name has 1 to 80 of a-z 0-9 . _ -")
        user_id = named_user(username)
        found = topics.find(topic)
        if found is not None:
            decides, params = found
            given = "".join(f", {name}={value!r}" for name, value in params.items())
            self.stdout.write(f"rule     {decides.pattern!r}: {decides.place}(user{given})")
        decision = topics.decide_now(user_id, topic)
        self.stdout.write(f"{'allowed' if decision.allowed else 'denied':<8} {printable(decision.why)}")
