from typing import Any

from rest_framework import serializers

from tickets.grants import Purpose
from tickets.rest import MomentField, StrictCharField, StrictSerializer


class SignInSerializer(StrictSerializer):
    username = StrictCharField(max_length=254)
    # Hashing takes time in the length of the password; nobody's is longer.
    password = StrictCharField(max_length=1024)


class RefreshSerializer(StrictSerializer):
    refresh = StrictCharField(max_length=4096)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class TicketRequestSerializer(StrictSerializer):
    purpose = serializers.ChoiceField(choices=[purpose.value for purpose in Purpose], default=Purpose.CONNECT.value)


class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField(help_text="the secret: good once, within expires_in seconds")
    expires_in = serializers.IntegerField(help_text="seconds")
    expires_at = MomentField()
    session_expires_at = MomentField(help_text="no ticket is given after this without a new sign-in")
    url = serializers.CharField(help_text="address of the socket")
    protocols = serializers.ListField(child=serializers.CharField(), help_text="second argument of WebSocket()")
