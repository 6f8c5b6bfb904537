import contextlib
import io
import os
import re
import signal
import sqlite3
import sys
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from notifications import api, store
from notifications.models import Notification, Stream
from tests.notifications.management.test_progress import Terminal
from tests.support.processes import Process, wait_until

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def notify(*arguments):
    """As on the command line, option parsing included."""
    out = io.StringIO()
    call_command("notify", *arguments, stdout=out)
    return out.getvalue()


def test_a_title_is_all_it_takes(ann, told):
    said = notify("ann", "--title", "Hello")
    row = Notification.objects.get()
    assert (row.user, row.seq, row.title, row.level, row.data) == (ann, 1, "Hello", "info", {})
    assert said == f"ann was told number 1 ({row.id}).\n"
    assert len(told) == 1


def test_everything_there_is_to_say(ann):
    notify(
        "ann",
        "--title=Build finished",
        "--body=It took\ntwo minutes",
        "--kind=ci.build",
        "--level=success",
        "--url=/builds/7/",
        '--data={"build": 7}',
        "--expires-at=2999-01-01T01:00:00+01:00",
    )
    row = Notification.objects.get()
    assert (row.title, row.body, row.kind, row.level, row.url, row.data, row.expires_at) == (
        "Build finished",
        "It took\ntwo minutes",
        "ci.build",
        "success",
        "/builds/7/",
        {"build": 7},
        datetime(2999, 1, 1, tzinfo=UTC),
    )


def test_a_key_makes_repetition_harmless(ann, told):
    first = notify("ann", "--title=x", "--idempotency-key=k")
    assert notify("ann", "--title=x", "--idempotency-key=k") == first
    assert (Notification.objects.count(), len(told)) == (1, 1)
    with pytest.raises(CommandError, match="used for another notification"):
        notify("ann", "--title=y", "--idempotency-key=k")
    assert Notification.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "--title=x"], "There is no user 'nobody'"),
        (["ann", "nobody", "ben", "no one", "--title=x"], "There is no user 'nobody', 'no one'"),
        (["--title=x"], "Name people, or say --all"),
        (["ann", "--all", "--title=x"], "Name people, or say --all"),
        (["--all", "--title="], "title: must not be empty"),
        (["ann"], "--title"),
        (["ann", "--title="], "title: must not be empty"),
        (["ann", f"--title={'x' * 201}"], "title: must have at most 200 characters"),
        (["ann", "--title=x", "--level=loud"], "invalid choice: 'loud'"),
        (["ann", "--title=x", "--kind=CI"], "kind: must be"),
        (["ann", "--title=x", "--url=javascript:alert(1)"], "url: must be an http"),
        (["ann", "--title=x", "--data={"], "data: is not JSON"),
        (["ann", "--title=x", "--data=[]"], "data: must be an object"),
        (["ann", "--title=x", "--expires-at=tomorrow"], "expires_at: must be a date and time"),
        (["ann", "--title=x", "--expires-at=2999-01-01T00:00:00"], "expires_at: must be a date and time with a time z"),
        (["ann", "--title=x", "--expires-at=2999-13-01T00:00:00Z"], "expires_at: must be a date and time"),
        (["ann", "--title=x", "--idempotency-key="], "idempotency_key: must have 1 to 200"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_mistakes_are_named_and_nothing_is_told(ann, told, arguments, sentence):
    with pytest.raises(CommandError) as refused:
        notify(*arguments)
    assert sentence in str(refused.value)
    assert not Notification.objects.exists()
    assert not Stream.objects.exists()
    assert told == []


# --- Many ---


@pytest.fixture
def crowd(people, django_user_model, monkeypatch):
    """Seven, one of whom is not active; three a batch."""
    monkeypatch.setattr(api, "BATCH", 3)
    made = [django_user_model(username=f"p{number}", is_active=number != 1) for number in range(4)]
    return people + django_user_model.objects.bulk_create(made)


def told_names():
    return sorted(Notification.objects.values_list("user__username", flat=True))


def test_several_are_told_by_name(people):
    assert notify("ann", "cleo", "ann", "--title=x") == "2 people were told.\n"
    assert told_names() == ["ann", "cleo"]


def test_all_are_all_whose_account_is_active(crowd):
    assert notify("--all", "--title=x") == "6 people were told.\n"
    assert told_names() == ["ann", "ben", "cleo", "p0", "p2", "p3"]
    assert set(Notification.objects.values_list("seq", flat=True)) == {1}


def test_whoever_watches_sees_how_far_it_is(crowd):
    out, watched = io.StringIO(), Terminal()
    call_command("notify", "--all", "--title=x", stdout=out, stderr=watched)
    assert re.findall(r"\d of 6", watched.getvalue()) == ["3 of 6", "6 of 6"]
    assert out.getvalue() == "6 people were told.\n"


def test_all_of_nobody(db):
    assert notify("--all", "--title=x") == "0 people were told.\n"


def test_a_second_time_without_a_key_tells_all_again(crowd):
    for _ in range(2):
        notify("--all", "--title=x")
    assert Notification.objects.count() == 12


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (OperationalError("gone"), 1)])
def test_what_was_interrupted_goes_on_with_its_key(crowd, monkeypatch, error, code):
    insert, calls = store.insert, []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise error
        return insert(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert", interrupted)
        with pytest.raises(CommandError, match=r"3 people were told.*--idempotency-key=\w+$") as stopped:
            notify("--all", "--title=x")
    assert stopped.value.returncode == code
    key = str(stopped.value).rpartition(" ")[2]
    assert notify("--all", "--title=x", key) == "3 people were told; 3 had been told before.\n"
    assert Notification.objects.count() == 6
    with pytest.raises(CommandError, match="used for another notification"):
        notify("--all", "--title=y", key)


def test_a_real_interrupt_of_a_real_command(stacks):
    """In the middle of many thousands: whoever was told is told once, and the others by the second call."""
    stack = stacks.make("embedded")
    many = "m=get_user_model(); m.objects.bulk_create([m(username=f'p{n}') for n in range(20_000)], batch_size=500)"
    stack.manage("shell", "-c", f"from django.contrib.auth import get_user_model; {many}")
    # Whoever starts the tests in the background has them, and all they start, ignore interrupts.
    arguments = ["--default-signal=INT", sys.executable, "manage.py", "notify", "--all", "--title=Hello"]
    log = stack.log_path("notify")
    process = Process(["env", *arguments], log_path=log, env=stack.env)
    with _held(stack):  # the command waits for the database until it has been interrupted
        os.kill(process.pid, signal.SIGINT)
    wait_until(lambda: process.returncode is not None, timeout=30, what="end")
    assert process.returncode == 130
    said = log.read_text()
    told, key = re.search(r"([\d,]+) people were told, and perhaps .* (--idempotency-key=\w+)", said).groups()
    told, stands = int(told.replace(",", "")), _count(stack)
    assert told <= stands <= told + 500
    assert "Traceback" not in said
    assert stack.manage("notify", "--all", "--title=Hello", key).endswith(f"{stands:,} had been told before.\n")
    assert _count(stack) == 20_004


@contextlib.contextmanager
def _held(stack):
    """Hold the database, from some time after the first batch was committed."""
    path = stack.env["DATABASE_URL"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as database:

        def hold():
            database.execute("BEGIN IMMEDIATE")
            told = database.execute("SELECT count(*) FROM notifications_notification").fetchone()[0]
            if not told:
                database.execute("ROLLBACK")
            return told

        wait_until(hold, timeout=60, what="first batch", every=0.005)
        yield
        database.execute("ROLLBACK")


def _count(stack):
    with sqlite3.connect(stack.env["DATABASE_URL"].removeprefix("sqlite:///")) as database:
        return database.execute("SELECT count(DISTINCT user_id) FROM notifications_notification").fetchone()[0]
