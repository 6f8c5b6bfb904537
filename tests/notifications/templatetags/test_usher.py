"""The tags in somebody else's template."""

import json
import re

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, RequestContext, Template
from django.utils import translation
from django.utils.translation import gettext_lazy

from notifications import api
from notifications.models import Stream

pytestmark = pytest.mark.django_db(transaction=True)

TAGS = ("usher_head", "usher_bell", "usher_status", "usher_toasts", "usher_inbox", "usher_preferences")


@pytest.fixture
def render(rf, ann):
    def rendered(*tags, query="", user=ann):
        request = rf.get("/somewhere/" + query)
        request.user = user
        source = "{% load usher %}" + "".join(f"{{% {tag} %}}" for tag in tags or TAGS)
        return Template(source).render(RequestContext(request))

    return rendered


def block(html):
    (found,) = re.findall(r'<script id="usher" type="application/json">(.*?)</script>', html)
    return json.loads(found)


def test_a_stranger_gets_nothing(render):
    assert render(user=AnonymousUser()).strip() == ""
    assert not Stream.objects.exists()


def test_without_a_request_the_error_names_the_cure():
    with pytest.raises(ImproperlyConfigured, match=r"render\(request, …\)"):
        Template("{% load usher %}{% usher_bell %}").render(Context())


def test_the_head_says_where_the_person_stands(render, ann):
    rows = [api.notify(ann, title="x") for _ in range(3)]
    api.mark(ann, state="seen", ids=[rows[0].id])
    html = render("usher_head")
    said = block(html)
    assert said["user"] == str(ann.pk)
    assert [said[name] for name in ("head", "state_version", "unread", "unseen")] == [3, 1, 3, 2]
    assert said["epoch"] == Stream.objects.get().epoch
    assert said["csrf"]["cookie"] == "csrftoken" and said["csrf"]["header"] == "X-CSRFTOKEN"
    assert said["urls"]["state"] == "/api/notifications/state/"
    assert '<script type="module" src="' in html and '<template id="usher-row">' in html


@pytest.mark.parametrize(("count", "shown"), [(0, None), (1, "1"), (99, "99"), (100, "99+")])
def test_the_bell_counts_what_is_unseen(render, ann, count, shown):
    for _ in range(count):
        api.notify(ann, title="x")
    html = render("usher_bell")
    assert 'href="/"' in html
    if shown is None:
        assert 'aria-label="Notifications"' in html and 'data-badge aria-hidden="true" hidden' in html
    else:
        assert f'aria-label="Notifications, {count} new"' in html and f">{shown}</span>" in html


def test_the_inbox_takes_from_the_address_what_is_its_own(render, ann):
    api.notify(ann, title="an apple")
    api.notify(ann, title="a pear")
    assert "a pear" in render("usher_inbox", query="?show=something+of+the+site%27s&before=x")
    found = render("usher_inbox", query="?q=apple")
    assert "an apple" in found and "a pear" not in found
    assert 'href="?show=archived&amp;q=apple"' in found


def test_a_title_is_text_in_every_tag(render, ann):
    hostile = '</script></template><img src=x onerror="alert(1)">'
    api.notify(ann, title=hostile, body=hostile)
    assert "<img" not in render()


def test_all_tags_together_ask_once(render, ann, django_assert_num_queries):
    api.notify(ann, title="x")
    with django_assert_num_queries(5):  # the stream, the counts, the rows; for the preferences what is muted, and kinds
        render()


def test_nothing_needs_more_than_the_sites_own_files(render):
    html = render()
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", html)
    inline = [attributes for attributes in re.findall(r"<script([^>]*)>", html) if "src=" not in attributes]
    assert inline == [' id="usher" type="application/json"'], "data, which no policy has to allow"


def test_the_language_is_the_requests(render):
    with translation.override("ar"):
        assert block(render("usher_head"))["language"] == "ar"


def test_the_head_says_what_is_counted_where(render):
    assert block(render("usher_head"))["tab"] == {"title": False, "icon": ""}
    asked = block(render("usher_head count_in_title=True count_in_icon=True"))
    assert asked["tab"] == {"title": True, "icon": "/icon/{n}.svg"}


def test_the_head_says_what_kinds_are_called(render, settings):
    settings.NOTIFICATIONS = {"KINDS": {"ci.build": gettext_lazy("Today")}, "UNMUTABLE_KINDS": ("account",)}
    said = block(render("usher_head"))
    assert said["kinds"] == {"ci.build": "Today"} and said["unmutable"] == ["account"]
