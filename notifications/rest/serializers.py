import re
from datetime import UTC
from typing import Any, Self
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from tickets.rest import MomentField, StrictCharField, StrictIntegerField, StrictSerializer

from ..models import Notification
from ..wire.content import BODY_LENGTH, GREATEST_INTEGER, TITLE_LENGTH, URL_LENGTH, Level
from ..wire.doorbell import TOPIC_LENGTH
from ..wire.native import STATE_IDS
from ..wire.vocabulary import StateName

LIST_LIMIT = 200
RECIPIENTS = 500
STATES = list(StateName.__args__)  # type: ignore[attr-defined]


class DigitsField(serializers.IntegerField):
    """A number in a query string: digits and nothing else that Python would read as one ("+1", "1_0", "1.0", "١")."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch("[0-9]+", data):
            self.fail("invalid")
        return super().to_internal_value(data)


class Query(StrictSerializer):
    """The query string of a list."""

    after = DigitsField(min_value=0, max_value=GREATEST_INTEGER, required=False)
    before = DigitsField(min_value=0, max_value=GREATEST_INTEGER, required=False)
    limit = DigitsField(min_value=1, default=50)

    @classmethod
    def of(cls, params: QueryDict) -> Self:
        """Of what was sent: a parameter that comes twice says two things, and none of them is meant."""
        twice = [name for name, values in params.lists() if len(values) > 1]
        if twice:
            raise serializers.ValidationError({name[:100]: ["Comes more than once."] for name in twice})
        return cls(data=params.dict())

    def validate_limit(self, value: int) -> int:
        """One above the greatest is brought down to it; everything else must be right."""
        return min(value, LIST_LIMIT)


class ListQuery(Query):
    unread = serializers.BooleanField(default=False)
    archived = serializers.BooleanField(default=False)
    search = StrictCharField(max_length=200, required=False, allow_blank=True)


class ItemSerializer(serializers.ModelSerializer[Notification]):
    created_at = MomentField(read_only=True)
    expires_at = MomentField(read_only=True, allow_null=True)
    seen = serializers.SerializerMethodField()
    read = serializers.SerializerMethodField()
    archived = serializers.SerializerMethodField()

    class Meta:
        model = Notification
        fields = (
            *("id", "seq", "kind", "level", "title", "body", "url", "data", "created_at", "expires_at"),
            *("seen", "read", "archived"),
        )
        read_only_fields = fields
        extra_kwargs = {"seq": {"coerce_to_string": False}}

    def get_seen(self, row: Notification) -> bool:
        return row.seen_at is not None

    def get_read(self, row: Notification) -> bool:
        return row.read_at is not None

    def get_archived(self, row: Notification) -> bool:
        return row.archived_at is not None


class ListSerializer(serializers.Serializer[Any]):
    epoch = serializers.CharField(help_text="numbers of another epoch mean nothing")
    head = serializers.IntegerField(help_text="the last number given")
    state_version = serializers.IntegerField()
    unread = serializers.IntegerField()
    unseen = serializers.IntegerField()
    results = ItemSerializer(many=True, help_text="newest first; with `after`, oldest first")
    next = serializers.IntegerField(
        allow_null=True, help_text="`before` (or `after`) of the next page; null at the end"
    )


class StrictUUIDField(serializers.UUIDField):
    """A UUID as text: REST framework would take 1 and true for one."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class StateSerializer(StrictSerializer):
    """Exactly one of `ids` and `through`."""

    state = serializers.ChoiceField(choices=STATES)
    ids = serializers.ListField(child=StrictUUIDField(), min_length=1, max_length=STATE_IDS, required=False)
    through = StrictIntegerField(min_value=0, max_value=GREATEST_INTEGER, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in attrs) == ("through" in attrs):
            raise serializers.ValidationError("Exactly one of ids and through is needed.")
        return attrs


class StateAnswerSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField()
    state_version = serializers.IntegerField()
    unread = serializers.IntegerField()
    unseen = serializers.IntegerField()


class AnythingField(serializers.JSONField):
    """Handed on as it came: `wire.content` has the rules, for this call and for `notify()` alike."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class PublishSerializer(StrictSerializer):
    """To one `user`, several `users` (usernames) or a `topic`. What may be said is checked by `wire.content`."""

    user = StrictCharField(max_length=254, required=False)
    topic = StrictCharField(max_length=TOPIC_LENGTH, required=False)
    users = serializers.ListField(
        child=StrictCharField(max_length=254), min_length=1, max_length=RECIPIENTS, required=False
    )
    title = AnythingField(help_text=f"text, 1 to {TITLE_LENGTH} characters")
    body = AnythingField(required=False, help_text=f"text, at most {BODY_LENGTH} characters")
    kind = AnythingField(required=False, help_text="your own word for the sort of thing, such as ci.build")
    level = AnythingField(required=False, help_text=f"one of {', '.join(Level)}")
    url = AnythingField(required=False, help_text=f"http(s), or a path on this site; at most {URL_LENGTH} characters")
    # The name is the contract's; a serializer's own `data` is only read on instances that are written out.
    data = AnythingField(required=False, help_text="an object of at most 4 KiB")  # type: ignore[assignment]
    expires_at = AnythingField(required=False, allow_null=True, help_text="date and time with time zone")

    def validate_expires_at(self, value: Any) -> Any:
        """The moment it spells, in UTC, so that one moment in two spellings is one idempotent call; else as it came."""
        if not isinstance(value, str):
            return value
        try:
            moment = parse_datetime(value)
            return moment.astimezone(UTC) if moment and moment.tzinfo else value
        except (ValueError, OverflowError):  # the first and the last day have no UTC in every time zone
            return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in ("user", "users", "topic")) != 1:
            raise serializers.ValidationError("Exactly one of user, users and topic is needed.")
        return attrs


class PublishedSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    stream = serializers.CharField()
    seq = serializers.IntegerField(allow_null=True, help_text="null if the number is still to be given")


class PublishedManySerializer(serializers.Serializer[Any]):
    results = PublishedSerializer(many=True, help_text="one for each of `users`, in their order")
