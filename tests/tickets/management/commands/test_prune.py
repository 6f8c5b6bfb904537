import io

import pytest
from django.core.management import CommandError, call_command
from django.dispatch import receiver

from tickets.models import LoginSession
from tickets.signals import pruning

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


@pytest.fixture
def listen():
    connected = []

    def connect(listener):
        connected.append(listener)
        return receiver(pruning)(listener)

    yield connect
    for listener in connected:
        pruning.disconnect(listener)


def run(**options):
    out = io.StringIO()
    call_command("prune", stdout=out, **options)
    return out.getvalue()


def test_it_tells_what_it_deleted(user, session_id, now):
    LoginSession.objects.update(expires_at=now.replace(year=2020))
    said = run()
    assert "tickets: 0 deleted" in said
    assert "login sessions: 1 deleted" in said
    assert not LoginSession.objects.exists()


def test_other_apps_prune_along(listen):
    asked = []
    listen(lambda now, batch_size, **_: asked.append((now, batch_size)) or ("letters", 7))
    assert "letters: 7 deleted" in run(batch_size=50)
    assert asked[0][1] == 50


def test_one_that_fails_does_not_stop_the_others_and_is_told(listen):
    def fail(**_):
        raise ZeroDivisionError

    listen(fail)
    listen(lambda **_: ("letters", 7))
    out = io.StringIO()
    with pytest.raises(CommandError, match="ZeroDivisionError"):
        call_command("prune", stdout=out)
    assert "letters: 7 deleted" in out.getvalue()


def test_batches_have_a_size():
    with pytest.raises(CommandError, match="at least 1"):
        run(batch_size=0)
