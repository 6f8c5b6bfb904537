import time

import psutil
import pytest

from tests.support import crowd
from tests.support.processes import wait_until

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)


def number_and_threads(part):
    return [part.number, part.in_threads(lambda thread: thread)]


def fail_in_one(part):
    if part.number == 1:
        raise ValueError("one has failed")
    time.sleep(60)


def wait(part):
    time.sleep(60)


def settings(part):
    from django.conf import settings

    return [settings.SETTINGS_MODULE, settings.TICKETS.get("GRANT_SECONDS")]


def test_each_process_answers(stack):
    answers = crowd.run(stack, __name__, "number_and_threads", processes=3, threads=2)
    assert answers == [[0, [0, 1]], [1, [2, 3]], [2, [4, 5]]]


def test_a_failure_is_told_and_ends_the_others(stack):
    with pytest.raises(AssertionError, match="ValueError: one has failed"):
        crowd.run(stack, __name__, "fail_in_one", processes=2, timeout=30)
    assert crowd.run(stack, __name__, "number_and_threads") == [[0, [0]]], "and nobody else"


def test_another_environment_is_another_foreman(stack):
    assert crowd.run(stack, __name__, "settings")[0][0] == "tests.support.settings"
    stack.env["TICKETS_GRANT_SECONDS"] = "7"
    assert crowd.run(stack, __name__, "settings")[0][1] == 7


def test_what_has_begun_ends_with_the_stack(stack):
    crowd.start(stack, __name__, "wait", processes=2)
    (foreman,) = stack._scripts
    family = wait_until(lambda: _of(foreman, 4), timeout=30, what="foreman, leader and two")
    stack.stop()
    wait_until(lambda: not any(map(_lives, family)), timeout=10, what="end of them all")
    assert crowd.run(stack, __name__, "number_and_threads") == [[0, [0]]], "a new one for whoever asks again"


def _of(process, count):
    family = process.family()
    return family if len(family) == count else None


def _lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
