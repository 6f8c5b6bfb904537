"""What was said on a topic, for whoever may listen to it: where a client looks that cannot resume."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tickets.rest import MomentField, Problem, StrictView, described

from .. import topic_store, topics
from ..models import TopicNotification
from .serializers import Query


class TopicItemSerializer(serializers.ModelSerializer[TopicNotification]):
    created_at = MomentField(read_only=True)
    expires_at = MomentField(read_only=True, allow_null=True)

    class Meta:
        model = TopicNotification
        fields = ("id", "seq", "kind", "level", "title", "body", "url", "data", "created_at", "expires_at")
        read_only_fields = fields
        extra_kwargs = {"seq": {"coerce_to_string": False}}


class TopicListSerializer(serializers.Serializer[Any]):
    epoch = serializers.CharField(help_text="numbers of another epoch mean nothing")
    head = serializers.IntegerField(help_text="the last number given")
    results = TopicItemSerializer(many=True, help_text="newest first; with `after`, oldest first")
    next = serializers.IntegerField(
        allow_null=True, help_text="`before` (or `after`) of the next page; null at the end"
    )


def _ask(request: Request, topic: str) -> None:
    # What is no topic, and what is none of theirs, is answered alike.
    if not topics.decide_now(request.user.pk, topic).allowed:
        raise Problem(status=403, code="forbidden", detail="This topic is not, or not any more, for you.")


class TopicView(StrictView):
    @extend_schema(
        summary="List what was said on a topic",
        parameters=[Query],
        responses={200: TopicListSerializer, **described(400, 401, 403, 503)},
    )
    def get(self, request: Request, topic: str) -> Response:
        query = Query.of(request.query_params)
        query.is_valid(raise_exception=True)
        wanted = dict(query.validated_data)
        _ask(request, topic)
        limit = wanted.pop("limit")
        stream = topic_store.ensure(topic)
        rows = list(topic_store.listed(stream, now=timezone.now(), **wanted)[: limit + 1])
        _ask(request, topic)  # once more: what was read may be newer than the first answer
        results, more = rows[:limit], len(rows) > limit
        answer = {
            "epoch": stream.epoch,
            "head": stream.head,
            "results": results,
            "next": results[-1].seq if more else None,
        }
        return Response(TopicListSerializer(answer).data)
