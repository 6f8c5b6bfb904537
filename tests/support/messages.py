"""The catalogues of each room (`notifications/locale`, `tickets/locale`), which `make messages` brings up to date.

What the sources say is extracted, each language's `.po` is written anew with the translations that it had, and compiled
to its `.mo`. By Babel, so that nobody needs GNU gettext; and without dates, names and line numbers, so that a file
changes when words do. A language is one of `LANGUAGES` in the settings.
"""

import gettext
import io
import os
from collections.abc import Iterator
from pathlib import Path

import django
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

from tests.support.processes import ROOT

DJANGO = Path(django.__file__).parent
SOURCE = "en"
# The templates beside the rooms are installed with notifications.
ROOMS = {"notifications": ("notifications/**/*.py", "templates/**/*.html"), "tickets": ("tickets/**/*.py",)}
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    **{f"{name}_lazy": DEFAULT_KEYWORDS[name] for name in ("gettext", "ngettext", "pgettext", "npgettext")},
    "_forms": (1, 2),  # of notifications/words.py
}
FOR_TRANSLATORS = "Translators:"


def languages() -> list[str]:
    """Those that need a catalogue."""
    return [code for code, _name in settings.LANGUAGES if code != SOURCE]


class Words(Catalog):
    """The translations of one room into one language; in its header only what a reader of the file needs."""

    def __init__(self, language: str) -> None:
        locale = to_locale(language)
        super().__init__(locale=locale, header_comment=f"# Usher in {locale}. See docs/languages.md.", fuzzy=False)
        Catalog.mime_headers.fset(self, [("Plural-Forms", plural_forms(language))])

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale_identifier)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]


def plural_forms(language: str) -> str:
    """As Django has them: it asks catalogues that count alike in the order that sites rely on, and others first."""
    theirs = gettext.translation("django", DJANGO / "conf" / "locale", [to_locale(language)])
    return theirs.info()["plural-forms"].rstrip(";") + ";"


# What the sources say ----------------------------------------------------------------------------------------------


def said(room: str) -> Catalog:
    """Every message of a room, without translations, each with the files that say it."""
    catalog = Catalog()
    for path in sorted(path for pattern in ROOMS[room] for path in ROOT.glob(pattern)):
        text, place = path.read_text(), path.relative_to(ROOT).as_posix()
        for message, comments, context in messages_of(text, template=path.suffix == ".html"):
            catalog.add(message, locations=[(place, None)], auto_comments=comments, context=context)
    return catalog


def messages_of(text: str, *, template: bool = False) -> Iterator[tuple[str | tuple[str, ...], list[str], str | None]]:
    """The messages of one file, with the comments for whoever translates them, and their contexts."""
    if template:  # what templates say, as the Python that Django makes of it; its indents mean nothing
        text = "\n".join(line.strip() for line in templatize(text).splitlines())
    found = extract("python", io.BytesIO(text.encode()), KEYWORDS, [FOR_TRANSLATORS], strip_comment_tags=True)
    for _line, message, comments, context in found:
        yield message, comments, context


# The files of a language -------------------------------------------------------------------------------------------


def po_of(room: str, language: str) -> Path:
    return ROOT / room / "locale" / to_locale(language) / "LC_MESSAGES" / "django.po"


def brought_up(room: str, language: str) -> Words:
    """What the sources say now, as far as it has been translated; what they no longer say is gone."""
    path = po_of(room, language)
    with path.open("rb") if path.exists() else io.BytesIO() as file:
        known = read_po(file, locale=to_locale(language))
    words = Words(language)
    for message in said(room):
        if message.id:  # not the header
            _add(words, message, known.get(message.id, message.context))
    return words


def _add(words: Words, message: Message, known: Message | None) -> None:
    more = {"locations": message.locations, "auto_comments": message.auto_comments, "context": message.context}
    if known is None or known.id != message.id:
        words.add(message.id, ("",) * words.num_plurals if message.pluralizable else "", **more)
    else:
        words.add(message.id, known.string, flags=known.flags, user_comments=known.user_comments, **more)


def forms(message: Message) -> tuple[str, ...]:
    """The translation, in as many forms as it has."""
    return tuple(message.string) if message.pluralizable else (message.string,)


def spelled(words: Words) -> bytes:
    """The `.po`."""
    file = io.BytesIO()
    write_po(file, words, width=0, sort_by_file=True)
    return file.getvalue()


def compiled(words: Words) -> bytes:
    """The `.mo`, which is what Django reads."""
    file = io.BytesIO()
    write_mo(file, words)
    return file.getvalue()


def untranslated(words: Words) -> list[str]:
    return [named(message) for message in words if message.id and (message.fuzzy or not all(forms(message)))]


def named(message: Message) -> str:
    """As a person who looks for it finds it."""
    text = message.id[0] if message.pluralizable else message.id
    return f"“{' '.join(text.split())}” ({', '.join(place for place, _line in message.locations)})"


def main() -> None:
    for room in ROOMS:
        for language in languages():
            words, path = brought_up(room, language), po_of(room, language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(spelled(words))
            path.with_suffix(".mo").write_bytes(compiled(words))
            for message in untranslated(words):
                print(f"{path.relative_to(ROOT)}: to be translated, then `make messages` again: {message}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    main()
