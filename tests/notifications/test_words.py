from django.utils import translation

from notifications.words import words
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
    with translation.override("ar"):
        assert words()["new"]["many"] == "{n} new notifications"
