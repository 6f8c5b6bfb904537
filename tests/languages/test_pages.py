"""What people read is in their language, all of it, and says so to browsers and caches."""

import re
from html.parser import HTMLParser

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.views import defaults

from notifications import api
from notifications.models import Connection
from notifications.words import words
from tests.support import messages

pytestmark = pytest.mark.django_db(transaction=True)

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
NAMES = re.compile(r"\bUsher\b")
SPOKEN = ("aria-label", "title", "placeholder", "alt")
EMPTY = {"meta", "link", "input", "img", "br", "path", "circle", "rect"}


class Reader(HTMLParser):
    """What a person reads of a page or hears of it; not what is code (`kbd`, kinds, networks) or another language's."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.attributes, self._within = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        silent = tag in ("script", "style", "kbd") or "usher-kind" in (fields.get("class") or "")
        other = "lang" in fields and tag != "html"
        if tag not in EMPTY:
            self._within.append(silent or other)
        if not any(self._within):
            self.attributes += [fields[name] for name in SPOKEN if fields.get(name)]

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            self._within.pop()

    def handle_data(self, data):
        if not any(self._within):
            self.texts.append(data)

    @property
    def said(self):
        """A sentence may go through several elements: what stands between them is read together."""
        return ["\n".join(self.texts), *self.attributes]


def untranslated(said):
    """What remains without what is in brackets, which may have brackets in them."""
    text = said.replace(AGENT, "")
    while text != (text := re.sub("⟦[^⟦⟧]*⟧", "", text)):
        pass
    return re.findall(r"[^\W\d_]+[^\n]*", NAMES.sub("", text))


def assert_translated(html, where):
    assert "⟦" in html, where
    found = [rest for said in Reader(html).said for rest in untranslated(said)]
    assert not found, f"{where} says {found} without asking for a translation"


@pytest.fixture
def ann(django_user_model):
    """What people write is none of ours: here it stands in brackets, too."""
    return django_user_model.objects.create(username="⟦ann⟧")


@pytest.fixture
def reader(pseudo, ann):
    client = Client(headers={"accept-language": pseudo, "user-agent": AGENT})
    client.force_login(ann)
    return client


def test_what_is_not_translated_is_noticed():
    html = '<p title="⟦a⟧">⟦Hello <b>⟦ann⟧</b> there⟧, <kbd>k</kbd> 3</p><script>let x</script><i lang="de">Deutsch</i>'
    assert_translated(html, "this")
    for wrong in (html.replace("⟦a⟧", "a"), html.replace("3", "3 new"), html.replace("⟦Hello", "Hello ⟦")):
        with pytest.raises(AssertionError, match="without asking"):
            assert_translated(wrong, "this")


def test_the_inbox(reader, ann):
    assert_translated(reader.get("/").content.decode(), "an empty inbox")
    rows = [api.notify(ann, title="⟦title⟧", body="⟦body⟧", url="/", kind="a.kind") for _ in range(30)]
    api.mark(ann, state="read", ids=[rows[0].id, rows[-1].id])
    api.mark(ann, state="archived", ids=[rows[1].id])
    for query in ("", "?before=20", "?show=unread", "?show=archived", "?show=unread&q=plum"):
        assert_translated(reader.get(f"/{query}").content.decode(), f"/{query}")
    api.mark(ann, state="read", through=30)
    api.mark(ann, state="unarchived", through=30)
    for query in ("?show=unread", "?show=archived"):
        assert_translated(reader.get(f"/{query}").content.decode(), f"/{query}")


def test_the_devices(reader, ann, pseudo):
    for agent in ("", "curl/8.5.0"):
        other = Client(headers={"user-agent": agent})
        other.force_login(ann)
        other.get("/")
    until = timezone.now() + timezone.timedelta(minutes=1)
    reader.get("/")
    row = {"server": "s", "protocol": "usher.v1", "opened_at": timezone.now(), "leased_until": until}
    Connection.objects.create(name="c", user=ann, session_id=reader.session["usher.sid"], **row)
    for query in ("", "?ended"):
        html = reader.get(f"/devices/{query}").content.decode().replace("⟦curl⟧", "").replace("curl", "")
        assert_translated(html, f"/devices/{query}")


def test_signing_in(pseudo, settings):
    settings.TICKETS = settings.TICKETS | {"SIGN_IN_PER_MINUTE_NAME": 1}
    client = Client(headers={"accept-language": pseudo})
    path = reverse("login")
    assert_translated(client.get(path).content.decode(), "signing in")
    for status, what in ((200, "a wrong password"), (429, "too many of them")):
        answer = client.post(path, {"username": "x", "password": "x"})
        assert answer.status_code == status
        html = answer.content.decode()
        assert 'role="alert"' in html
        assert_translated(html, what)


def test_signing_in_as_somebody_else(reader):
    html = reader.get(f"{reverse('login')}?next=/admin/").content.decode()
    assert "⟦ann⟧" in html
    assert_translated(html, "a page that is for others")


def test_pages_of_what_went_wrong(reader, rf, pseudo):
    strict = Client(enforce_csrf_checks=True, headers={"accept-language": pseudo})
    for answer, status in (
        (reader.get("/nothing"), 404),
        (reader.get("/?show=nothing"), 400),
        (strict.post(reverse("login")), 403),
    ):
        assert answer.status_code == status
        assert_translated(answer.content.decode(), status)
    with translation.override(pseudo):
        for answer in (defaults.permission_denied(rf.get("/"), PermissionDenied()), defaults.server_error(rf.get("/"))):
            assert_translated(answer.content.decode(), answer.status_code)


def test_what_scripts_say(pseudo):
    with translation.override(pseudo):
        for key, said in words().items():
            for form in [said] if isinstance(said, str) else said.values():
                assert not untranslated(form), key


# --- Which language it is ---

PAGES = ["/", "/devices/", "/accounts/login/", "/nothing"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("asked", "language", "direction"),
    [("ar-EG,ar;q=0.9", "ar", "rtl"), ("de", "de", "ltr"), ("fr", "en", "ltr"), (None, "en", "ltr")],
)
def test_a_page_says_its_language_and_that_others_get_another(ann, path, asked, language, direction):
    client = Client(headers={"accept-language": asked} if asked else {})
    if "login" not in path:
        client.force_login(ann)
    answer = client.get(path)
    assert f'<html lang="{language}" dir="{direction}">' in answer.content.decode()
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert "no-store" in answer.headers["Cache-Control"], "by a cookie, too, which no cache knows of"


def test_choosing_a_language_keeps_the_page(ann):
    client = Client(headers={"accept-language": "de"})
    client.force_login(ann)
    html = client.get("/devices/").content.decode()
    assert re.findall(r'value="(\w+)" lang="\w+" dir="\w+"( aria-current="true")?>([^<]+)<', html) == [
        ("en", "", "English"),
        ("de", ' aria-current="true"', "Deutsch"),
        ("ar", "", "العربيّة"),
    ]
    there = "http://testserver/?show=unread&q=x"
    answer = client.post(reverse("set_language"), {"language": "ar"}, headers={"referer": there})
    assert answer.status_code == 302 and answer.headers["Location"] == there
    for path in PAGES:
        assert '<html lang="ar" dir="rtl">' in client.get(path).content.decode(), path


def test_a_site_has_the_last_word(settings, tmp_path):
    words = messages.Words("de")
    words.add("Sign in", "Hereinspaziert")
    place = tmp_path / "de" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "django.mo").write_bytes(messages.compiled(words))
    settings.LOCALE_PATHS = [tmp_path]
    html = Client(headers={"accept-language": "de"}).get("/accounts/login/").content.decode()
    assert "<h1>Hereinspaziert</h1>" in html and "Passwort" in html


def test_a_language_that_is_none_changes_nothing(ann):
    client = Client()
    client.post(reverse("set_language"), {"language": "xx"})
    assert '<html lang="en"' in client.get("/accounts/login/").content.decode()


def test_a_site_with_one_language_has_nothing_to_choose(settings):
    settings.LANGUAGES = [("de", "German")]
    settings.LANGUAGE_CODE = "de"
    html = Client().get("/accounts/login/").content.decode()
    assert "Anmelden" in html and reverse("set_language") not in html


@pytest.mark.parametrize(("language", "label"), [("de", "Mitteilungen, 12 neue"), ("ar", "الإشعارات، 12 جديدًا")])
def test_the_server_counts_as_the_script_will(ann, language, label):
    """See `static/usher/words.js`: the same digits, so that nothing changes before the person's eyes."""
    for _ in range(12):
        api.notify(ann, title="x")
    client = Client(headers={"accept-language": language})
    client.force_login(ann)
    html = client.get("/").content.decode()
    assert f'aria-label="{label}"' in html and 'data-badge aria-hidden="true">12<' in html
    assert "<title>(12) " in html and "<span data-number>12</span>" in html
