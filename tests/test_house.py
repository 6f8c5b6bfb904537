"""The house rules: who may import whom, and where a thing may be said at all. Read from the source, not run."""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("tickets", "notifications")

PURE = (
    "notifications/wire/*",
    "notifications/live/connection.py",
    "notifications/client/connection.py",
    "notifications/client/printing.py",
)
WITHOUT_DJANGO = ("notifications/client/*",)  # it runs where no site is
STANDARD_LIBRARY_ONLY = (
    *("tickets/grants.py", "tickets/minting.py", "tickets/handshake.py"),
    *("tickets/figures.py", "tickets/counted.py"),
)
# grants: plain data of the standard library only, so that what is pure on the other side can name it.
# figures: how anything counts, pure code too. staff: what admin pages share, as rest is for REST.
# operators: what commands share. doctor: what it asks in that room, and why that matters.
FACE_OF_TICKETS = (
    *("tickets.api", "tickets.signals", "tickets.rest", "tickets.staff", "tickets.grants"),
    *("tickets.figures", "tickets.operators", "tickets.doctor"),
)

# What may be imported only in a few places, each with its reason where it is an exception.
ONLY_IN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("channels.layers",): ("notifications/fanout.py", "notifications/live/ears.py"),
    ("channels.generic", "channels.consumer"): ("notifications/live/consumer.py",),
    ("environ",): ("project/settings.py",),
    ("json", "msgspec"): (
        "notifications/wire/*",
        "notifications/client/spelling.py",
        "tickets/rest.py",  # where DRF reads it: request bodies, strictly
        "tickets/audit.py",  # a log line, never a frame
        "tickets/identification.py",  # a claim that is JSON in a string
    ),
}
BRIDGES = {
    "sync_to_async",
    "async_to_sync",
    "database_sync_to_async",
    "run_in_executor",
    "ThreadPoolExecutor",
    "to_thread",
}
READ_THE_ENVIRONMENT = (
    "project/settings.py",
    "notifications/client/terminal.py",  # a program of its own, on somebody else's machine
)
BRIDGED_IN = (
    *("tickets/threads.py", "notifications/fanout.py"),  # one place a room
    "notifications/topics.py",  # a site's rule may be async where whoever asks is not
)
UNTESTED_ALONE = ("*/__init__.py", "*/apps.py", "*/urls.py", "*/migrations/*")


@dataclass(frozen=True)
class Source:
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> set[str]:
        """Everything imported anywhere in the file; `from a import b` counts as `a.b`."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{self._origin(node)}.{alias.name}" for alias in node.names}
        return found

    @cached_property
    def words(self) -> set[str]:
        """Every name and attribute that the code says."""
        nodes = list(ast.walk(self.tree))
        said = {node.id for node in nodes if isinstance(node, ast.Name)}
        said |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        return said | {name.rpartition(".")[2] for name in self.imports}

    def is_any(self, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch(self.path, pattern) for pattern in patterns)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return ".".join(filter(None, [package, node.module]))


House = Mapping[str, Source]  # module -> source


def within(name: str, *tops: str) -> bool:
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def own_imports(source: Source, house: House) -> Iterator[str]:
    """Modules of the house that a file imports: `a.b` where that is one, else the `a` that holds a `b`."""
    for name in source.imports:
        if target := next((each for each in (name, name.rpartition(".")[0]) if each in house), None):
            yield target


def reached(source: Source, house: House) -> dict[str, Source]:
    """Everything that importing a file imports, through files of the house: name -> the file that asks for it."""
    asked: dict[str, Source] = {}
    waiting, seen = [source], {source.module}
    while waiting:
        current = waiting.pop()
        asked |= dict.fromkeys(current.imports, current) | asked
        for module in own_imports(current, house):
            if module not in seen:
                seen.add(module)
                waiting.append(house[module])
    return asked


# The rules: each takes a file and the house it stands in, and yields what is wrong -----------------------------


def two_rooms_one_arrow(source: Source, _: House) -> Iterator[str]:
    for name in source.imports:
        if within(name, "project") and not source.path.startswith("project/"):
            yield f"imports {name}: project wires, no room imports it"
        if within(source.module, "tickets") and within(name, "notifications"):
            yield f"imports {name}: tickets never hears of notifications"
        if within(source.module, "notifications") and within(name, "tickets") and not within(name, *FACE_OF_TICKETS):
            yield f"imports {name}: only {', '.join(FACE_OF_TICKETS)} are for others"


def pure_stays_pure(source: Source, house: House) -> Iterator[str]:
    if source.is_any(PURE):
        for name, by in reached(source, house).items():
            if within(name, "django", "rest_framework", "channels", "asgiref", "asyncio"):
                yield f"reaches {name} through {by.path}"


def runs_without_django(source: Source, house: House) -> Iterator[str]:
    if source.is_any(WITHOUT_DJANGO):
        for name, by in reached(source, house).items():
            if within(name, "django", "rest_framework", "channels", "asgiref", "tickets"):
                yield f"reaches {name} through {by.path}"


def standard_library_only(source: Source, _: House) -> Iterator[str]:
    friends = tuple(path.removesuffix(".py").replace("/", ".") for path in STANDARD_LIBRARY_ONLY)
    if source.is_any(STANDARD_LIBRARY_ONLY):
        for name in source.imports:
            if name.partition(".")[0] not in sys.stdlib_module_names and not within(name, *friends):
                yield f"imports {name}: standard library only"


def said_in_one_place(source: Source, _: House) -> Iterator[str]:
    for names, places in ONLY_IN.items():
        for name in source.imports:
            if within(name, *names) and not source.is_any(places):
                yield f"imports {name}: only {', '.join(places)} may"
    if (bridges := source.words & BRIDGES) and not source.is_any(BRIDGED_IN):
        yield f"bridges threads with {', '.join(sorted(bridges))}: only {', '.join(BRIDGED_IN)} may"
    if "group_send" in source.words and source.path != "notifications/fanout.py":
        yield "says group_send: only notifications/fanout.py may"
    if re.search(r"on_commit\(\s*(functools\.)?partial\(", source.text):
        yield "gives on_commit a partial: when it fails, Django asks for its name in vain, and forgets all that follow"


def one_reader_of_the_environment(source: Source, _: House) -> Iterator[str]:
    tree = ast.parse(source.text)
    if source.path in READ_THE_ENVIRONMENT:
        return
    if source.path in ("manage.py", "project/asgi.py"):
        allowed = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings')"
        tree = ast.parse(ast.unparse(tree).replace(allowed, "pass"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv"):
            yield f"reads {ast.unparse(node)}: only {', '.join(READ_THE_ENVIRONMENT)} may"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for name in {alias.name for alias in node.names} & {"environ", "environb", "getenv"}:
                yield f"imports {name} from os: only {', '.join(READ_THE_ENVIRONMENT)} may"


def no_circles(source: Source, house: House) -> Iterator[str]:
    for target in own_imports(source, house):
        if target != source.module and source.module in {
            module for each in reached(house[target], house).values() for module in own_imports(each, house)
        }:
            yield f"imports {target}, which leads back to it"


def logic_has_its_test_file(source: Source, _: House) -> Iterator[str]:
    path = Path(source.path)
    if path.parts[0] not in ROOMS or source.is_any(UNTESTED_ALONE):
        return
    if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(source.tree)):
        test = Path("tests", *path.parts[:-1], f"test_{path.name}")
        if not (ROOT / test).is_file():
            yield f"has no {test}"


Rule = Callable[[Source, House], Iterator[str]]
RULES: list[Rule] = [
    two_rooms_one_arrow,
    pure_stays_pure,
    runs_without_django,
    standard_library_only,
    said_in_one_place,
    one_reader_of_the_environment,
    no_circles,
    logic_has_its_test_file,
]


def build(files: Mapping[str, str]) -> House:
    sources = [Source(path, text) for path, text in files.items()]
    return {source.module: source for source in sources}


def complaints(rule: Rule, house: House) -> list[str]:
    return sorted({f"{source.path} {wrong}" for source in house.values() for wrong in rule(source, house)})


def our_house() -> House:
    paths = [ROOT / "manage.py", *(path for top in (*ROOMS, "project") for path in sorted((ROOT / top).rglob("*.py")))]
    return build({path.relative_to(ROOT).as_posix(): path.read_text() for path in paths})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule):
    found = complaints(rule, our_house())
    assert not found, "\n".join(found)


# Each rule is shown what it forbids --------------------------------------------------------------------------------

FORBIDDEN = [
    (two_rooms_one_arrow, {"tickets/views.py": "from notifications.api import notify"}, "never hears"),
    (two_rooms_one_arrow, {"notifications/live/hub.py": "def f():\n    from tickets import models"}, "tickets.models"),
    (two_rooms_one_arrow, {"notifications/checks.py": "import tickets.conf"}, "tickets.conf"),
    (two_rooms_one_arrow, {"tickets/urls.py": "from project import urls"}, "project wires"),
    (pure_stays_pure, {"notifications/wire/codec.py": "import asyncio"}, "asyncio"),
    (pure_stays_pure, {"notifications/live/connection.py": "from asgiref import sync"}, "asgiref"),
    (
        pure_stays_pure,
        {
            "notifications/conf.py": "from django.conf import settings",
            "notifications/wire/closing.py": "from ..conf import WINDOW",
        },
        "reaches django.conf.settings through notifications/conf.py",
    ),
    (pure_stays_pure, {"notifications/client/connection.py": "import asyncio"}, "asyncio"),
    (runs_without_django, {"notifications/client/account.py": "from django.conf import settings"}, "django.conf"),
    (
        runs_without_django,
        {"notifications/client/steps.py": "from .. import conf", "notifications/conf.py": "import tickets.grants"},
        "reaches tickets.grants through notifications/conf.py",
    ),
    (said_in_one_place, {"notifications/client/account.py": "import json"}, "json"),
    (one_reader_of_the_environment, {"notifications/client/commands.py": "import os\nos.environ"}, "os.environ"),
    (standard_library_only, {"tickets/grants.py": "import msgspec"}, "msgspec"),
    (standard_library_only, {"tickets/handshake.py": "from . import network"}, "tickets.network"),
    (said_in_one_place, {"notifications/api.py": "from channels.layers import get_channel_layer"}, "channels.layers"),
    (said_in_one_place, {"notifications/live/hub.py": "from channels import consumer"}, "channels.consumer"),
    (said_in_one_place, {"notifications/live/hub.py": "from channels.generic import websocket"}, "channels.generic"),
    (said_in_one_place, {"notifications/store.py": "import json"}, "json"),
    (said_in_one_place, {"tickets/conf.py": "import environ"}, "environ"),
    (said_in_one_place, {"tickets/views.py": "from asgiref.sync import async_to_sync as a"}, "async_to_sync"),
    (said_in_one_place, {"tickets/views.py": "loop.run_in_executor(None, f)"}, "run_in_executor"),
    (said_in_one_place, {"notifications/live/hub.py": "asyncio.to_thread(f)"}, "to_thread"),
    (said_in_one_place, {"notifications/live/hub.py": "await layer.group_send('g', {})"}, "group_send"),
    (one_reader_of_the_environment, {"tickets/conf.py": "import os\nos.environ.get('A')"}, "os.environ"),
    (one_reader_of_the_environment, {"tickets/conf.py": "import os\nos.getenv('A')"}, "os.getenv"),
    (one_reader_of_the_environment, {"tickets/conf.py": "from os import environ"}, "environ from os"),
    (one_reader_of_the_environment, {"manage.py": "import os\nos.environ.setdefault('DEBUG', '1')"}, "os.environ"),
    (
        no_circles,
        {
            "tickets/a.py": "from tickets.b import f",
            "tickets/b.py": "from . import c",
            "tickets/c.py": "import tickets.a",
        },
        "tickets/a.py imports tickets.b, which leads back",
    ),
    (logic_has_its_test_file, {"tickets/nowhere.py": "def f():\n    return 1"}, "tests/tickets/test_nowhere.py"),
    (
        logic_has_its_test_file,
        {"notifications/live/nowhere.py": "class C:\n    async def f(self):\n        return 1"},
        "tests/notifications/live/test_nowhere.py",
    ),
]

ALLOWED = {
    "notifications/live/consumer.py": "from channels.generic.websocket import A\nfrom tickets.api import redeem",
    "notifications/receivers.py": "from tickets.signals import session_ended\nfrom tickets import api, grants, rest",
    "notifications/fanout.py": "from channels.layers import get_channel_layer\nlayer.group_send('g', {})",
    "notifications/wire/native.py": "import msgspec\nfrom .vocabulary import Ack",
    "notifications/wire/vocabulary.py": "from enum import StrEnum",
    "notifications/client/client.py": "import asyncio\nfrom ..wire.vocabulary import Ack",
    "notifications/client/spelling.py": "import json, msgspec",
    "notifications/client/terminal.py": "import os\nos.environ",
    "tickets/minting.py": "import secrets\nfrom tickets.grants import Grant",
    "tickets/grants.py": "from dataclasses import dataclass\n@dataclass\nclass Grant:\n    user_id: int",
    "tickets/threads.py": "from concurrent.futures import ThreadPoolExecutor",
    "tickets/audit.py": "import json",
    "tickets/api.py": "from tickets.minting import mint",
    "tickets/signals.py": "",
    "tickets/rest.py": "import json",
    "project/settings.py": "import environ, os\nos.environ",
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings')",
}


@pytest.mark.parametrize(("rule", "files", "told"), FORBIDDEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_rule_catches_what_it_forbids(rule, files, told):
    found = complaints(rule, build(files))
    assert any(told in each for each in found), found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_lets_pass_what_it_allows(rule):
    assert complaints(rule, build(ALLOWED)) == []


def test_every_rule_has_been_shown_something_it_forbids():
    assert {rule for rule, _, _ in FORBIDDEN} == set(RULES)
