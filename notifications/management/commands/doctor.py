import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from notifications.doctor import Finding, examine
from tickets.operators import json_line

COMES_TO = {"warning": 1, "error": 2}


class Command(BaseCommand):
    help = (
        "Looks at the settings, the database, the channel layer, versions, limits and files of this site, says what is "
        "wrong with them, why that matters and how to mend it. Ends with 0 if nothing is, 1 for warnings (with "
        "--fail-level=warning), 2 for errors."
    )
    requires_system_checks: list[str] = []  # it makes all of them, and says more of each

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="also look at the site that is up there: https://usher.example")
        parser.add_argument("--json", action="store_true", help="an object of JSON a line")
        parser.add_argument("--fail-level", choices=list(COMES_TO), default="error", help="default: %(default)s")

    def handle(self, *, url: str | None, json: bool, fail_level: str, **options: Any) -> None:
        levels = []
        for found in examine(url=url):
            if isinstance(found, Finding):
                levels.append(found.level)
                self.stdout.write(json_line(asdict(found)) if json else _words(found), ending="")
            else:
                self.stdout.write(
                    json_line({"level": "ok", "what": found}) if json else f"ok       {found}\n", ending=""
                )
        if not json:
            self.stdout.write(f"{levels.count('error')} errors, {levels.count('warning')} warnings")
        code = max((COMES_TO[level] for level in levels), default=0)
        if code >= COMES_TO[fail_level]:
            sys.exit(code)


def _words(found: Finding) -> str:
    return f"{found.level:<8} {found.id}: {found.what}\n         why:  {found.why}\n         mend: {found.mend}\n"
