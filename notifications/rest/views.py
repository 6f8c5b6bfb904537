import contextlib
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tickets.api import AuditAct, audit
from tickets.rest import Problem, StrictView, described

from .. import api, store
from ..models import TopicNotification
from ..wire.content import Content
from ..wire.doorbell import stream_of, stream_of_topic
from .serializers import (
    ItemSerializer,
    ListQuery,
    ListSerializer,
    PublishedManySerializer,
    PublishedSerializer,
    PublishSerializer,
    StateAnswerSerializer,
    StateSerializer,
)

PUBLISHED = AuditAct("published", "", "authz_fail", ("by", "resource"))


class MayPublish(BasePermission):
    message = "Publishing needs the permission notifications.add_notification."

    def has_permission(self, request: Request, view: Any) -> bool:
        may = request.user.has_perm("notifications.add_notification")
        if not may:
            audit(PUBLISHED, ok=False, by=request.user.pk, resource="notifications")
        return bool(may)


class NotificationsView(StrictView):
    def get_permissions(self) -> list[Any]:
        return [IsAuthenticated(), MayPublish()] if self.request.method == "POST" else [IsAuthenticated()]

    @extend_schema(
        summary="List your notifications",
        parameters=[ListQuery],
        responses={200: ListSerializer, **described(400, 401, 503)},
    )
    def get(self, request: Request) -> Response:
        query = ListQuery.of(request.query_params)
        query.is_valid(raise_exception=True)
        wanted = dict(query.validated_data)
        now = timezone.now()
        # The head first: what is numbered meanwhile is not in the list, and not below the head either.
        stream = store.ensure_stream(request.user.pk)
        unread, unseen = store.counts(request.user.pk, now=now)
        limit = wanted.pop("limit")
        rows = list(store.listed(request.user.pk, head=stream.head, now=now, **wanted)[: limit + 1])
        results, more = rows[:limit], len(rows) > limit
        answer = {
            "epoch": stream.epoch,
            "head": stream.head,
            "state_version": stream.state_version,
            "unread": unread,
            "unseen": unseen,
            "results": ItemSerializer(results, many=True).data,
            "next": results[-1].seq if more else None,
        }
        return Response(answer)

    @extend_schema(
        summary="Tell people something",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="honoured for 24 h")],
        request=PublishSerializer,
        responses={
            201: PolymorphicProxySerializer(
                "PublishedAny", [PublishedSerializer, PublishedManySerializer], resource_type_field_name=None
            ),
            **described(400, 401, 403, 404, 409, 411, 413, 415, 503),
        },
    )
    def post(self, request: Request) -> Response:
        form = PublishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = dict(form.validated_data)
        if "topic" in said:
            row = _publish_topic(said.pop("topic"), _content(said), request)
            said_there = {"id": row.pk, "stream": stream_of_topic(row.topic), "seq": row.seq}
            return Response(PublishedSerializer(said_there).data, status=201)
        name, names = said.pop("user", None), said.pop("users", None)
        people = _people(names if name is None else [name])
        written = _publish(people, _content(said), request)
        published = [{"id": row.id, "stream": stream_of(row.user_id), "seq": row.seq} for row in written]
        many = name is None
        return Response(
            PublishedManySerializer({"results": published}).data if many else PublishedSerializer(published[0]).data,
            status=201,
        )


def _people(names: list[str]) -> list[Any]:
    """The primary keys of these usernames, in order; nobody is told anything if one of them is unknown."""
    model = get_user_model()
    found = {
        person.get_username(): person.pk
        for person in model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": names})
    }
    unknown = [name for name in names if name not in found]
    if unknown:
        raise Problem(
            status=404,
            code="unknown_user",
            detail="Somebody of this name does not exist; nobody was told.",
            errors={"users": [name[:100] for name in unknown]},
        )
    return [found[name] for name in names]


def _content(said: dict[str, Any]) -> Content:
    try:
        return api.content(**said)
    except api.InvalidContent as error:
        raise _invalid(error) from error


def _invalid(error: api.InvalidContent) -> Problem:
    errors = {field: [sentence] for field, sentence in error.errors.items()}
    return Problem(status=400, code="invalid", detail="The notification is not valid; see errors.", errors=errors)


@contextlib.contextmanager
def _answered(request: Request) -> Iterator[dict[str, Any]]:
    """How to publish for this request; what is wrong with it as an answer."""
    try:
        yield {"idempotency_key": request.headers.get("Idempotency-Key"), "caller": f"rest:{request.user.pk}"}
    except api.InvalidContent as error:  # the key, or the topic
        raise _invalid(error) from error
    except api.IdempotencyConflict as error:
        raise Problem(status=409, code="idempotency_conflict", detail=str(error)) from error


def _publish_topic(topic: str, what: Content, request: Request) -> TopicNotification:
    with _answered(request) as how:
        return api.publish_topic(topic, what, **how)


def _publish(people: list[Any], what: Content, request: Request) -> list[api.Published]:
    """One notification for each of these keys, in their order; who is named twice is told once."""
    with _answered(request) as how:
        published = api.publish_many(people, what, **how)
    of_person = {each.user_id: each for each in published}
    return [of_person[user_id] for user_id in people]


class StateView(StrictView):
    @extend_schema(
        summary="Mark as seen, read, unread, archived or unarchived",
        request=StateSerializer,
        responses={200: StateAnswerSerializer, **described(400, 401, 411, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        form = StateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        marked = api.mark(request.user, **form.validated_data)
        event = marked.change.event
        answer = {
            "changed": marked.changed,
            "state_version": event.state_version,
            "unread": event.unread,
            "unseen": event.unseen,
        }
        return Response(answer)
