"""What the person does not want to be told."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tickets.rest import Problem, StrictBooleanField, StrictCharField, StrictSerializer, StrictView, described

from .. import api, preferences
from ..wire.content import KIND_LENGTH


class KindSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    name = serializers.CharField(help_text="what the site calls it; else the kind itself")
    muted = serializers.BooleanField()
    mutable = serializers.BooleanField(help_text="false: everybody is told of it")


class PreferencesSerializer(serializers.Serializer[Any]):
    results = KindSerializer(many=True, help_text="kinds that the site names, that you were told lately, or have muted")


class PreferenceSerializer(StrictSerializer):
    kind = StrictCharField(max_length=KIND_LENGTH)
    muted = StrictBooleanField()


class PreferencesView(StrictView):
    @extend_schema(
        summary="List kinds of notifications, and which of them you have muted",
        responses={200: PreferencesSerializer, **described(401, 503)},
    )
    def get(self, request: Request) -> Response:
        return Response(PreferencesSerializer({"results": preferences.kinds(request.user)}).data)

    @extend_schema(
        summary="Mute a kind of notifications, or be told of it again",
        request=PreferenceSerializer,
        responses={200: PreferenceSerializer, **described(400, 401, 409, 411, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        form = PreferenceSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        act = api.mute if wanted["muted"] else api.unmute
        try:
            act(request.user, kind=wanted["kind"])
        except api.InvalidContent as error:
            raise Problem(
                status=400, code="invalid", detail="That can be no kind.", errors={"kind": [error.errors["kind"]]}
            ) from error
        except api.MayNotMute as error:
            raise Problem(status=409, code="may_not_mute", detail=str(error)) from error
        except api.TooManyMuted as error:
            raise Problem(status=409, code="too_many_muted", detail=str(error)) from error
        return Response(wanted)
