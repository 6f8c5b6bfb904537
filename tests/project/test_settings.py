"""The settings as a process of its own reads them: what it refuses to start with, and what it makes of its environment.

`.env.example` is held to them both ways.
"""

import ast
import itertools
import json
import re
import secrets
import subprocess
import sys

import pytest
from django.test import override_settings

from notifications.conf import conf as notifications_conf
from tests.support.processes import ROOT
from tests.support.stack import site_environment
from tickets.conf import conf as tickets_conf

SOURCE = (ROOT / "project" / "settings.py").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()

STRONG = secrets.token_urlsafe(64)
OTHER = secrets.token_urlsafe(64)
PRODUCTION = {"DEBUG": "0", "SECRET_KEY": STRONG, "JWT_SIGNING_KEY": OTHER, "ALLOWED_HOSTS": "usher.example"}


def python(code, **env):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        # Named with nothing in them, so that no .env of a developer's fills them in.
        env=site_environment(**{"SECRET_KEY": "", "JWT_SIGNING_KEY": "", **env}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings_of(*names, **env):
    """These settings, as a process with this environment has them."""
    code = f"import json; from project import settings as s; print(json.dumps({{n: getattr(s, n) for n in {names!r}}}))"
    done = python(code, **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- Keys ---


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "SECRET_KEY"),
        ({"SECRET_KEY": "short", "JWT_SIGNING_KEY": OTHER}, "SECRET_KEY"),
        ({"SECRET_KEY": "x" * 49, "JWT_SIGNING_KEY": OTHER}, "SECRET_KEY"),
        ({"SECRET_KEY": "ab" * 50, "JWT_SIGNING_KEY": OTHER}, "SECRET_KEY"),
        (
            {"SECRET_KEY": "development-only-key-never-accepted-with-debug-off", "JWT_SIGNING_KEY": OTHER},
            "SECRET_KEY",
        ),
        ({"SECRET_KEY": STRONG}, "JWT_SIGNING_KEY"),
        ({"SECRET_KEY": STRONG, "JWT_SIGNING_KEY": OTHER[:31]}, "JWT_SIGNING_KEY"),
        ({"SECRET_KEY": STRONG, "JWT_SIGNING_KEY": STRONG}, "JWT_SIGNING_KEY"),
    ],
    ids=["none", "short", "49", "two letters", "ours", "no second", "31", "twice the same"],
)
def test_a_production_site_without_strong_keys_does_not_start_and_says_why(keys, missing):
    done = python("import django; django.setup()", DEBUG="0", DJANGO_SETTINGS_MODULE="project.settings", **keys)
    assert done.returncode != 0
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith(f"django.core.exceptions.ImproperlyConfigured: DEBUG=0 needs a {missing} of at least")
    assert "token_urlsafe" in said, "it says how to make one"
    assert not any(key in done.stderr for key in keys.values() if len(key) > 5), "and repeats no key"


def test_a_production_site_with_strong_keys_is_strict():
    names = (
        *("DEBUG", "ALLOWED_HOSTS", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS"),
        *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"),
    )
    assert settings_of(*names, **PRODUCTION) == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["usher.example"],
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
    }


def test_a_production_site_answers_to_no_name_it_was_not_given():
    assert settings_of("ALLOWED_HOSTS", **{**PRODUCTION, "ALLOWED_HOSTS": ""}) == {"ALLOWED_HOSTS": []}


def test_a_production_site_passes_djangos_and_our_checks():
    done = python(
        "from django.core.management import execute_from_command_line as run;"
        "run(['manage.py', 'check', '--deploy', '--fail-level', 'WARNING'])",
        **PRODUCTION,
        TRUSTED_PROXIES="unix",
        DJANGO_SETTINGS_MODULE="project.settings",
        DATABASE_URL="postgresql://usher@127.0.0.1:1/usher",
        REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_development_site_needs_nothing():
    found = settings_of("DEBUG", "ALLOWED_HOSTS", "TICKETS", "NOTIFICATIONS", "CHANNEL_LAYERS", SECRET_KEY="d" * 50)
    assert found == {
        "DEBUG": True,
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
        "TICKETS": {"ALLOWED_ORIGINS": [], "TRUSTED_PROXIES": []},
        "NOTIFICATIONS": {"SYNC_SECONDS": 1.0},
        "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    }


# --- Databases and layers ---


def test_sqlite_waits_loses_nothing_and_keeps_its_connections():
    database = settings_of("DATABASES", DATABASE_URL="sqlite:////tmp/x.sqlite3")["DATABASES"]["default"]
    assert database["CONN_MAX_AGE"] is None
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in database["OPTIONS"]["init_command"]


def test_postgresql_has_a_pool_with_room_for_every_thread():
    env = {"DATABASE_URL": "postgresql://u:p%40ss@db.example:5433/n?sslmode=require", "TICKETS_DATABASE_THREADS": "9"}
    found = settings_of("DATABASES", "TICKETS", **env)
    database = found["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["PASSWORD"]) == ("db.example", 5433, "p@ss")
    assert database["OPTIONS"]["sslmode"] == "require", "what the address says is kept"
    assert database["OPTIONS"]["pool"]["max_size"] > found["TICKETS"]["DATABASE_THREADS"] == 9
    assert not database.get("CONN_MAX_AGE"), "Django refuses it beside a pool"


def test_redis_is_the_layer_where_it_is_named():
    found = settings_of("CHANNEL_LAYERS", "NOTIFICATIONS", REDIS_URL="redis://redis.example:6379/3")
    layer = found["CHANNEL_LAYERS"]["default"]
    assert layer["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    assert layer["CONFIG"]["hosts"][0]["address"] == "redis://redis.example:6379/3"
    assert found["NOTIFICATIONS"] == {}


# --- .env.example ---


def variables():
    """Every variable that the settings read: {name: how}."""
    tree = ast.parse(SOURCE)
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in [f"env.{kind}" for kind in KINDS]:
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno} reads a variable without naming it"
            found[node.args[0].value] = ast.unparse(node.func)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("_TICKETS", "_NOTIFICATIONS", "_RABBITMQ"):
            prefix = {"_RABBITMQ": ""}.get(ast.unparse(node.targets[0]), ast.unparse(node.targets[0])[1:] + "_")
            for name, cast in zip(node.value.keys, node.value.values, strict=True):
                found[f"{prefix}{name.value}"] = ast.unparse(cast)
    return found


KINDS = ("str", "bool", "int", "float", "list", "dict")
VARIABLES = variables()
ROOMS = {"TICKETS": tickets_conf, "NOTIFICATIONS": notifications_conf}
OURS = [name for name in VARIABLES if name.startswith(tuple(ROOMS))]
EXAMPLES = dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_the_settings_read_the_environment_in_no_other_way():
    """Otherwise `variables()` would overlook some."""
    used = {ast.unparse(node) for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Attribute)}
    assert {name for name in used if name.startswith("env.")} <= {
        *(f"env.{kind}" for kind in KINDS),
        "env.db_url_config",  # parses what it is given
        "env.ENVIRON",  # asked for names of the two dictionaries only
    }
    assert "os.environ" not in used


def test_the_example_lists_every_variable_and_no_other():
    assert set(EXAMPLES) == set(VARIABLES)
    assert len(re.findall(r"^#?[A-Z][A-Z_]+=", EXAMPLE, re.MULTILINE)) == len(EXAMPLES), "each once"


def test_every_variable_in_the_example_has_a_line_that_explains_it():
    lines = EXAMPLE.splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"#?[A-Z][A-Z_]+=", line):
            assert re.match(r"# \S.*\.$", before), f"{line} stands there without a word"


def test_copying_the_example_changes_nothing():
    assert not [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", OURS)
@override_settings(TICKETS={}, NOTIFICATIONS={})
def test_a_variable_is_a_setting_and_its_example_the_default(name):
    room, _, setting = name.partition("_")
    default = getattr(ROOMS[room], setting)
    shown = EXAMPLES[name]
    spelled = str(int(default)) if isinstance(default, bool) else str(default)
    assert shown == (",".join(default) if isinstance(default, list) else spelled)
    cast = {"env.bool": bool, "env.int": int, "env.float": float, "env.str": str, "env.list": list}[VARIABLES[name]]
    assert isinstance(default, cast | int if cast is float else cast)


# Not for operators: they are wired, have a variable without the prefix, or words in them that are translated.
WITHOUT_VARIABLE = {
    *("TICKETS_ALLOWED_ORIGINS", "TICKETS_TRUSTED_PROXIES", "TICKETS_TOKEN_KEY"),
    *("TICKETS_SOCKET_PATH", "TICKETS_PROTOCOLS"),
    *("NOTIFICATIONS_KINDS", "NOTIFICATIONS_UNMUTABLE_KINDS", "NOTIFICATIONS_METRICS_TOKEN"),
    *(f"NOTIFICATIONS_{name}" for name in vars(type(notifications_conf)) if name.startswith("RABBITMQ_")),
}


def test_every_setting_has_its_variable():
    settings = {f"{room}_{name}" for room, conf in ROOMS.items() for name in vars(type(conf)) if name.isupper()}
    assert settings - WITHOUT_VARIABLE == set(OURS)


def test_a_site_started_with_all_the_examples_is_the_site_without_them():
    names = ("DEBUG", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS", "TRUSTED_PROXIES", "CHANNEL_LAYERS")
    plain = settings_of(*names)
    full = settings_of(*names, "TICKETS", "NOTIFICATIONS", **EXAMPLES)
    tickets, notifications = full.pop("TICKETS"), full.pop("NOTIFICATIONS")
    assert full == plain
    with override_settings(TICKETS={}, NOTIFICATIONS={}):
        assert all(getattr(tickets_conf, name) == value for name, value in tickets.items())
        assert all(getattr(notifications_conf, name) == value for name, value in notifications.items())
    assert len(tickets) + len(notifications) == len(OURS) + 2 + sum(name.startswith("RABBITMQ_") for name in EXAMPLES)


def test_variables_reach_the_settings_with_their_types():
    found = settings_of(
        *("TICKETS", "NOTIFICATIONS", "ALLOWED_ORIGINS"),
        TICKETS_GRANT_SECONDS="2.5",
        TICKETS_ALLOW_QUERY="yes",
        TICKETS_NETWORK_POLICY="exact",
        NOTIFICATIONS_WINDOW="8",
        NOTIFICATIONS_SYNC_SECONDS="0.5",
        ALLOWED_ORIGINS="https://a.example,capacitor://localhost",
        TRUSTED_PROXIES="10.0.0.0/8,unix",
    )
    origins = ["https://a.example", "capacitor://localhost"]
    assert found == {
        "TICKETS": {
            "ALLOWED_ORIGINS": origins,
            "TRUSTED_PROXIES": ["10.0.0.0/8", "unix"],
            "GRANT_SECONDS": 2.5,
            "ALLOW_QUERY": True,
            "NETWORK_POLICY": "exact",
        },
        "NOTIFICATIONS": {"SYNC_SECONDS": 0.5, "WINDOW": 8},
        "ALLOWED_ORIGINS": origins,
    }


# --- The log ---


def test_how_it_logs_is_one_of_two_ways_and_levels_are_those_that_are_named():
    found = settings_of("LOGGING", LOG_FORMAT="json", LOG_LEVELS="notifications.frames=DEBUG,tickets=ERROR")["LOGGING"]
    assert found["handlers"]["console"]["formatter"] == "json"
    assert found["loggers"]["notifications.frames"] == {"level": "DEBUG"}
    assert found["loggers"]["tickets"] == {"level": "ERROR"}
    done = python("import project.settings", LOG_FORMAT="xml")
    assert done.returncode != 0
    assert "LOG_FORMAT is plain" in done.stderr
