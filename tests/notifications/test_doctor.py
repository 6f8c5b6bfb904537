"""What all of it comes to: each id has its reason, and the doctor and `check --deploy` say the same."""

import re

from django.core import checks
from django.test import override_settings

from notifications import probes
from notifications.doctor import WHY, Finding, examine
from tests.support.processes import ROOT
from tickets import doctor as tickets_doctor

SAID = re.compile(r'(?:(tickets|notifications)\.([EW]\d{3})\b)|_(warning|error)\(\s*(\d+),|"([EW]\d{3})"')


def ids(room):
    """Every id in the source of a room."""
    found = set()
    for path in [*(ROOT / room).glob("*checks.py"), ROOT / room / "probes.py"]:
        for _room, number, level, plain, bare in SAID.findall(path.read_text()):
            found.add(f"{room}.{number or bare or f'{level[0].upper()}{int(plain):03}'}")
    return found


def test_each_id_has_a_reason_and_each_reason_an_id():
    assert set(WHY) == ids("tickets") | ids("notifications")
    assert len(ids("tickets")) > 30
    assert all(re.fullmatch(r"[A-Z].*\.", why) and len(why) < 120 for why in WHY.values())


def test_what_check_says_the_doctor_says_with_its_reason(monkeypatch):
    monkeypatch.setattr(tickets_doctor, "PROBES", ())
    monkeypatch.setattr(probes, "layer", lambda: ["all is well"])
    monkeypatch.setattr(probes, "descriptors", list)
    changes = {"TICKETS": {"ALLOW_QUERY": True}, "NOTIFICATIONS": {"PING_SECONDS": 60, "WINDOW": 0}}
    with override_settings(**changes):
        found = list(examine())
        said = [each for each in checks.run_checks(include_deployment_checks=True) if each.level >= checks.WARNING]
    findings = [each for each in found if isinstance(each, Finding)]
    assert sorted(each.id for each in findings) == sorted(each.id for each in said)
    assert [each.level for each in findings] == sorted(each.level for each in findings), "errors come first"
    (ping,) = [each for each in findings if each.id == "notifications.W008"]
    assert (ping.level, ping.what) == ("warning", "NOTIFICATIONS['PING_SECONDS'] is 60.")
    assert (ping.why, ping.mend) == (WHY[ping.id], "Make it 25.")
    assert all(each.what and each.why and each.mend for each in findings)
    assert found[-1] == "all is well"


def test_what_is_silenced_is_not_said(monkeypatch):
    monkeypatch.setattr(tickets_doctor, "PROBES", ())
    with override_settings(NOTIFICATIONS={"PING_SECONDS": 60}, SILENCED_SYSTEM_CHECKS=["notifications.W008"]):
        assert "notifications.W008" not in [each.id for each in examine() if isinstance(each, Finding)]
