"""What staff fills in to tell people something."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError

from tickets.staff import Said, Why

from .wire.content import BODY_LENGTH, KIND_LENGTH, TITLE_LENGTH, URL_LENGTH, Content, InvalidContent, Level, content

SAID = ("title", "body", "kind", "level", "url")


class MessageForm(Why):
    """A notification, by the rules of `notify()`."""

    title = forms.CharField(max_length=TITLE_LENGTH, widget=AdminTextInputWidget)
    body = forms.CharField(max_length=BODY_LENGTH, required=False, widget=AdminTextareaWidget(attrs={"rows": 4}))
    level = forms.ChoiceField(choices=[(level.value, level.value.title()) for level in Level])
    url = forms.CharField(
        label="Link",
        max_length=URL_LENGTH,
        required=False,
        widget=AdminTextInputWidget,
        help_text="https://… or a path on this site.",
    )
    kind = forms.CharField(
        max_length=KIND_LENGTH,
        required=False,
        widget=AdminTextInputWidget,
        help_text="Such as site.maintenance: people can mute it.",
    )

    field_order: Sequence[str] = (*SAID, "why")

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                content_of(said)
            except InvalidContent as error:
                raise ValidationError(dict(error.errors)) from error
        return said


def content_of(said: Said) -> Content:
    """What the form says, checked."""
    # A browser's text area says line breaks as CRLF.
    return content(**{name: said[name].replace("\r\n", "\n") for name in SAID})
