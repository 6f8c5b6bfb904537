import pytest
from babel import Locale
from django.conf.locale import LANG_INFO
from django.utils import translation

from notifications.words import bell_label, samples, words
from tests.support.processes import ROOT

SCRIPTS = [path.read_text() for path in (ROOT / "static" / "usher").glob("*.js")]


def test_forms_are_handed_over_by_the_names_that_browsers_have_for_them():
    forms = words()["new"]
    assert forms["one"] == "{n} new notification"
    assert {forms[category] for category in ("zero", "few", "many", "other")} == {"{n} new notifications"}


def test_what_scripts_say_has_words_and_all_words_are_said():
    """Keys that are put together by a script are named by what they begin with."""
    known, said = set(words()), "\n".join(SCRIPTS)
    made = {key for key in known if key.startswith(("state_", "done_"))}
    unsaid = {key for key in known - made if f'"{key}"' not in said}
    assert not unsaid
    for prefix in ("state_", "done_"):
        assert f"`{prefix}${{" in said


def test_in_a_language_without_a_catalogue_it_is_english():
    with translation.override("fr"):
        assert words()["new"]["many"] == "{n} new notifications"


def test_each_form_of_a_language_is_under_its_name():
    with translation.override("ar"):
        assert words()["new"] == {
            "zero": "لا إشعارات جديدة",
            "one": "إشعار جديد واحد",
            "two": "إشعاران جديدان",
            "few": "{n} إشعارات جديدة",
            "many": "{n} إشعارًا جديدًا",
            "other": "{n} إشعار جديد",
        }


@pytest.mark.parametrize("language", sorted({code for code in LANG_INFO if "-" not in code} - {"udm"}))  # not in CLDR
def test_the_samples_are_of_the_categories_that_browsers_give_them(language):
    category = Locale.parse(language).plural_form
    with translation.override(language):
        wrong = {name for name in map(category, range(201)) if category(samples()[name]) != name}
    assert not wrong


def test_the_bell_is_called_by_its_number():
    assert [bell_label(n) for n in (0, 1, 1_234)] == [
        "Notifications",
        "Notifications, 1 new",
        "Notifications, 1234 new",
    ]
    with translation.override("ar"):
        assert [bell_label(n) for n in (2, 100)] == ["الإشعارات، اثنان جديدان", "الإشعارات، 100 جديد"]
