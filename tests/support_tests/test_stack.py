import subprocess
import sys

import pytest

from tests.support.processes import ROOT

WHO = (
    "from django.contrib.auth import get_user_model as m;"
    "print(*m().objects.order_by('username').values_list('username', flat=True))"
)


def who(stack):
    return stack.manage("shell", "--verbosity", "0", "--command", WHO).split()


def test_each_stack_has_the_demo_people_and_a_database_of_its_own(stacks, stack_kind):
    one, other = stacks.make(stack_kind), stacks.make(stack_kind)
    one.add_people("bob", "carol", permissions=["notifications.add_notification"])
    assert who(one) == ["alice", "bob", "carol", "demo", "service", "staff"]
    assert who(other) == ["alice", "demo", "service", "staff"]
    assert one.password_of("alice") == "alice"
    assert one.password_of("bob") != "bob"
    assert bool(one.env["REDIS_URL"]) == (stack_kind == "scaled")


def test_a_failing_command_says_what_it_printed(stack):
    with pytest.raises(RuntimeError, match="Unknown command: 'nonsense'"):
        stack.manage("nonsense")


def test_scripts_run_beside_the_servers_and_end_with_the_stack(stack):
    script = stack.script("http.server", "0", "--bind", "127.0.0.1")
    assert script.returncode is None
    stack.stop()
    assert script.returncode is not None


def run_module(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.support.stack", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_runs_another_on_services_of_its_own_and_ends_as_it_did():
    look = (
        "import os, psycopg, redis, sys\n"
        "psycopg.connect(os.environ['DATABASE_URL']).close()\n"
        "redis.Redis.from_url(os.environ['REDIS_URL']).ping()\n"
        "print(os.environ['REDIS_URL'])\n"
        "sys.exit(7)\n"
    )
    done = run_module("--", sys.executable, "-c", look)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.startswith("redis://127.0.0.1:")


def test_the_command_explains_itself():
    done = run_module()
    assert done.returncode == 2
    assert "-- COMMAND" in done.stderr
