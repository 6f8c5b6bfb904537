"""The person's own login sessions and what is connected by them. Here, and not beside them: only this room knows of
connections."""

from collections import defaultdict
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tickets.api import OwnSession, end_other_sessions, end_own_session, own_sessions
from tickets.rest import MomentField, Problem, StrictSerializer, StrictView, current_session, described

from ..live.kicking import live
from ..models import Connection


class OwnConnectionSerializer(serializers.Serializer[Any]):
    connection = serializers.CharField(source="name", help_text="as the client was told it in welcome")
    network = serializers.CharField()
    protocol = serializers.CharField()
    opened_at = MomentField()


class OwnSessionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    current = serializers.BooleanField(help_text="the one this request stands on")
    method = serializers.CharField(help_text="how it began: django, token, jwt")
    device = serializers.CharField(help_text="the User-Agent it began with; empty if there was none")
    network = serializers.CharField(help_text="where it began, as much of the address as is kept")
    since = MomentField()
    last_seen = MomentField()
    expires_at = MomentField()
    connections = OwnConnectionSerializer(many=True, help_text="live ones; some seconds late")


class OwnSessionsSerializer(serializers.Serializer[Any]):
    results = OwnSessionSerializer(many=True)


class EndedSerializer(serializers.Serializer[Any]):
    ended = serializers.IntegerField()


class SessionsView(StrictView):
    @extend_schema(
        summary="List your login sessions, with what is connected by each",
        responses={200: OwnSessionsSerializer, **described(401, 503)},
    )
    def get(self, request: Request) -> Response:
        now, person = timezone.now(), request.user.pk
        current = current_session(request)
        connections = defaultdict(list)
        for connection in live(now=now).filter(user=person, kicked_at=None).order_by("opened_at", "name"):
            connections[connection.session_id].append(connection)
        sessions = own_sessions(person, now=now)
        results = [_shown(session, current, connections[session.id], now) for session in sessions]
        results.sort(key=lambda shown: shown["last_seen"], reverse=True)  # again: those in use are seen now
        return Response(OwnSessionsSerializer({"results": results}).data)


def _shown(session: OwnSession, current: UUID | None, connections: list[Connection], now: Any) -> dict[str, Any]:
    in_use = session.id == current or bool(connections)
    return {
        "id": session.id,
        "current": session.id == current,
        "method": session.method,
        "device": session.device,
        "network": session.network,
        "since": session.since,
        "last_seen": now if in_use else session.last_seen,
        "expires_at": session.expires_at,
        "connections": connections,
    }


class SessionView(StrictView):
    @extend_schema(
        summary="End one of your login sessions",
        responses={204: None, **described(401, 403, 404, 503)},
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        if not end_own_session(request.user.pk, session_id):
            raise Problem(status=404, code="unknown_session", detail="You have no such login session.")
        return Response(status=204)


class EndOthersView(StrictView):
    @extend_schema(
        summary="End all your other login sessions",
        request=None,
        responses={200: EndedSerializer, **described(400, 401, 403, 411, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        StrictSerializer(data=request.data).is_valid(raise_exception=True)
        return Response({"ended": end_other_sessions(request.user.pk, current_session(request))})
