"""What `make messages` finds in sources, and what it keeps of the catalogues that there are."""

import pytest

from tests.support import messages


def said(text, *, template=False):
    return [(found, context) for found, _comments, context in messages.messages_of(text, template=template)]


def test_messages_of_python():
    source = """
from django.utils.translation import gettext as _

@registered.register
def _(thing): ...

A = gettext_lazy("lazy"), _("plain"), pgettext("here", "meant"), npgettext("here", "one", "many", 3), _forms("a", "b")
B = _(A)
"""
    assert said(source) == [
        ("lazy", None),
        ("plain", None),
        ("meant", "here"),
        (("one", "many"), "here"),
        (("a", "b"), None),
    ]


def test_messages_of_a_template():
    source = """
<p title='{% translate "in an attribute" %}'>it's nobody's
   {% translate "Open" context "verb" as word %}
  {% blocktranslate count n=things|length %}{{ n }} thing{% plural %}{{ n }} things{% endblocktranslate %}
</p>
{# Translators: of a person #}
{% blocktranslate with name=user.name %}Hello {{ name }}{% endblocktranslate %}
"""
    assert said(source, template=True) == [
        ("in an attribute", None),
        ("Open", "verb"),
        (("%(n)s thing", "%(n)s things"), None),
        ("Hello %(name)s", None),
    ]
    (told,) = [comments for found, comments, _context in messages.messages_of(source, template=True) if comments]
    assert told == ["of a person"]


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A room with one source and a catalogue in Arabic."""
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "ROOMS", {"room": ("room/*.py",)})
    monkeypatch.setattr(messages, "languages", lambda: ["ar"])

    def write(source):
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / "words.py").write_text(source)

    return write


def test_what_was_translated_is_kept_what_is_new_is_named_and_what_is_gone_is_gone(room, capsys):
    room('_("kept") + _("gone")')
    messages.main()
    path = messages.po_of("room", "ar")
    path.write_text(path.read_text().replace('msgid "kept"\nmsgstr ""', '# a remark\nmsgid "kept"\nmsgstr "باقٍ"'))
    capsys.readouterr()
    room('_("kept") + ngettext("one new", "many new", n)')
    messages.main()
    told = capsys.readouterr().out
    assert "“one new” (room/words.py)" in told and "kept" not in told and "gone" not in told
    text = path.read_text()
    assert "# a remark" in text and 'msgstr "باقٍ"' in text and 'msgstr[5] ""' in text and "gone" not in text
    assert "باقٍ".encode() in path.with_suffix(".mo").read_bytes()


def test_a_file_changes_only_when_words_do(room):
    room('_("said")')
    messages.main()
    path = messages.po_of("room", "ar")
    before = path.read_bytes(), path.with_suffix(".mo").read_bytes()
    room('import a\n\n_("said")')
    messages.main()
    assert (path.read_bytes(), path.with_suffix(".mo").read_bytes()) == before
    assert b"Date" not in before[0] and b"words.py:" not in before[0]


def test_a_message_that_has_become_several_is_new(room):
    room('_("one")')
    messages.main()
    path = messages.po_of("room", "ar")
    path.write_text(path.read_text().replace('msgid "one"\nmsgstr ""', 'msgid "one"\nmsgstr "واحد"'))
    room('ngettext("one", "many", n)')
    assert messages.untranslated(messages.brought_up("room", "ar")) == ["“one” (room/words.py)"]
    path.write_text('#, fuzzy\nmsgid "one"\nmsgid_plural "many"\n' + "".join(f'msgstr[{n}] "x"\n' for n in range(6)))
    assert messages.untranslated(messages.brought_up("room", "ar")), "guessed is not translated"
