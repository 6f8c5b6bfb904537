import pytest

from notifications.forms import MessageForm, content_of


def test_a_message_is_what_notify_takes():
    form = MessageForm({"title": "Hello", "body": "One.\r\nTwo.", "level": "success", "url": "/a/", "why": "because"})
    assert form.is_valid(), form.errors
    said = content_of(form.cleaned_data)
    assert (said.title, said.body, said.level, said.url, said.kind) == ("Hello", "One.\nTwo.", "success", "/a/", "")


@pytest.mark.parametrize(
    ("field", "value"), [("title", " "), ("url", "//evil.example"), ("kind", "No Kind"), ("body", "\x1b[31m")]
)
def test_by_the_same_rules(field, value):
    form = MessageForm({"title": "x", "level": "info"} | {field: value})
    assert not form.is_valid() and set(form.errors) == {field}
