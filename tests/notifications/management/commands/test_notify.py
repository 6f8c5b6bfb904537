import io
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from notifications.models import Notification, Stream

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
