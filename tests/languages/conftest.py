import io

import pytest
from babel.messages.pofile import read_po

from tests.support import messages
from tests.support.messages import DJANGO

PSEUDO = "ia"
"""A language that Django knows by name, in which here all that is translated stands in ⟦brackets⟧."""


@pytest.fixture(scope="session")
def brackets(tmp_path_factory):
    """The folder of a catalogue of all that Usher says, and of what Django says on its pages."""
    words = messages.Words(PSEUDO)
    paths = [DJANGO / place / "locale" / "en" / "LC_MESSAGES" / "django.po" for place in ("conf", "contrib/auth")]
    theirs = [read_po(io.BytesIO(path.read_bytes())) for path in paths]
    for catalogue in (*map(messages.said, messages.ROOMS), *theirs):
        for message in catalogue:
            if message.id:
                forms = tuple(f"⟦{form}⟧" for form in (message.id if message.pluralizable else (message.id,)))
                words.add(message.id, forms if message.pluralizable else forms[0], context=message.context)
    folder = tmp_path_factory.mktemp("locale")
    place = folder / PSEUDO / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "django.mo").write_bytes(messages.compiled(words))
    return folder


@pytest.fixture
def pseudo(brackets, settings):
    """The language that tells who has not asked for a translation."""
    settings.LOCALE_PATHS = [brackets]
    settings.LANGUAGES = [*settings.LANGUAGES, (PSEUDO, "Brackets")]
    return PSEUDO
