"""Each catalogue has words for all that the sources say, and for nothing else. `make messages` sees to it."""

import gettext
import itertools
import re
from collections import Counter

import pytest
from babel import Locale
from django.utils import translation

from tests.support import messages
from tests.support.processes import ROOT

CATALOGUES = list(itertools.product(messages.ROOMS, messages.languages()))
CURE = "Run `make messages`, write what is missing into the .po, and run it once more."
PLACES = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w+\}|</?\w+>")


@pytest.fixture(params=CATALOGUES, ids="-".join)
def catalogue(request):
    """The path and the words."""
    return messages.po_of(*request.param), messages.brought_up(*request.param)


def test_everything_is_translated(catalogue):
    path, words = catalogue
    missing = messages.untranslated(words)
    assert not missing, f"{path.relative_to(ROOT)} has no words for {', '.join(missing)}. {CURE}"


def test_the_files_are_what_make_messages_writes(catalogue):
    """So nothing is left of what is no longer said, and Django reads what was written."""
    path, words = catalogue
    assert path.read_bytes() == messages.spelled(words), f"{path.relative_to(ROOT)} is out of date. {CURE}"
    assert path.with_suffix(".mo").read_bytes() == messages.compiled(words), f"{path.stem}.mo is out of date. {CURE}"


def forms_of(words):
    """For each form, the numbers up to a thousand that it is for."""
    plural = gettext.c2py(words.plural_expr)
    numbers: dict[int, list[int]] = {}
    for n in range(1_001):
        numbers.setdefault(plural(n), []).append(n)
    return numbers


def lost(message, form, numbers):
    """What a form leaves out or makes up. One that is for a single number need not repeat it."""
    wanted = Counter(PLACES.findall(message.id[-1] if message.pluralizable else message.id))
    found = Counter(PLACES.findall(form))
    count = {"{n}", "%(n)s", "%(seconds)d"} if len(numbers) == 1 else set()
    return {
        place for place in wanted | found if wanted[place] != found[place] and not (place in count and place in wanted)
    }


def test_every_form_has_the_places_that_are_filled_in(catalogue):
    path, words = catalogue
    numbers = forms_of(words)
    for message in words:
        for number, form in enumerate(messages.forms(message)) if message.id else ():
            wrong = lost(message, form, numbers[number] if message.pluralizable else [0, 1])
            assert not wrong, f"{path.relative_to(ROOT)}: {sorted(wrong)} in “{form}” for {messages.named(message)}"


def test_a_place_that_was_lost_is_noticed():
    words = messages.Words("ar")
    message = words.add(("{n} second", "%(name)s: {n} seconds"), ("",) * 6)
    assert lost(message, "%(name)s", [2]) == set()
    assert lost(message, "%(name)s", [3, 4]) == {"{n}"}
    assert lost(message, "{n}", [2]) == {"%(name)s"}
    assert lost(message, "%(nam)s: {n}", [3, 4]) == {"%(name)s", "%(nam)s"}


@pytest.mark.parametrize("language", messages.languages())
def test_numbers_have_the_forms_that_browsers_give_them(language):
    """CLDR's, in its order."""
    category = Locale.parse(language, sep="-").plural_form
    known = [name for name in ("zero", "one", "two", "few", "many", "other") if name in map(category, range(1_001))]
    numbers = forms_of(messages.Words(language))
    assert len(numbers) == messages.Words(language).num_plurals
    assert {n: known[form] for form, those in numbers.items() for n in those} == {n: category(n) for n in range(1_001)}


def test_what_is_shown_is_what_is_written_here(catalogue):
    """And not what Django or another application makes of the same English: then it needs a context."""
    path, words = catalogue
    with translation.override(path.parent.parent.name.replace("_", "-").lower()):
        for message in words:
            if message.id and not message.pluralizable:
                shown = (
                    translation.pgettext(message.context, message.id)
                    if message.context
                    else translation.gettext(message.id)
                )
                assert shown == message.string, messages.named(message)
