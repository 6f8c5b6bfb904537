import pytest

from notifications import api, preferences
from notifications.models import Mute

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

PREFERENCES = "/api/preferences/"


def refusal(response):
    return response.status_code, response.json()["code"]


def test_what_was_told_can_be_muted_and_wanted_again(anns, people):
    ann, ben, _ = people
    api.notify(ann, title="x", kind="ci.build")
    api.notify(ben, title="x", kind="somebody.elses")
    expected = {"kind": "ci.build", "name": "ci.build", "muted": False, "mutable": True}
    assert anns.get(PREFERENCES).json() == {"results": [expected]}
    for muted in (True, True, False, False):
        answer = anns.post(PREFERENCES, {"kind": "ci.build", "muted": muted}, format="json")
        assert (answer.status_code, answer.json()) == (200, {"kind": "ci.build", "muted": muted})
        assert anns.get(PREFERENCES).json() == {"results": [expected | {"muted": muted}]}


def test_it_is_the_persons_own(anns, ann):
    anns.post(PREFERENCES, {"kind": "ci.build", "muted": True}, format="json")
    assert list(Mute.objects.values_list("user", "kind")) == [(ann.pk, "ci.build")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "ci.build"},
        {"muted": True},
        {"kind": "", "muted": True},
        {"kind": "Builds!", "muted": True},
        {"kind": "x" * 81, "muted": True},
        {"kind": 5, "muted": True},
        {"kind": ["ci.build"], "muted": True},
        {"kind": "ci.build", "muted": "true"},
        {"kind": "ci.build", "muted": 1},
        {"kind": "ci.build", "muted": None},
        {"kind": "ci.build", "muted": True, "user": "ben"},
        ["ci.build"],
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_nothing_is_muted(anns, body):
    assert refusal(anns.post(PREFERENCES, body, format="json"))[0] == 400
    assert not Mute.objects.exists()


def test_what_everybody_is_told_is_refused_with_its_reason(anns, settings):
    settings.NOTIFICATIONS = {"UNMUTABLE_KINDS": ["account"], "KINDS": {"account": "Your account"}}
    refused = anns.post(PREFERENCES, {"kind": "account", "muted": True}, format="json")
    assert refusal(refused) == (409, "may_not_mute")
    (shown,) = anns.get(PREFERENCES).json()["results"]
    assert shown == {"kind": "account", "name": "Your account", "muted": False, "mutable": False}


def test_too_many_are_refused(anns, monkeypatch):
    monkeypatch.setattr(preferences, "MOST_MUTED", 1)
    anns.post(PREFERENCES, {"kind": "a", "muted": True}, format="json")
    refused = anns.post(PREFERENCES, {"kind": "b", "muted": True}, format="json")
    assert refusal(refused) == (409, "too_many_muted")


def test_without_a_credential_there_is_nothing(stranger):
    assert refusal(stranger.get(PREFERENCES)) == (401, "not_authenticated")
    assert stranger.post(PREFERENCES, {"kind": "a", "muted": True}, format="json").status_code == 401
