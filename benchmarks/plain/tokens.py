from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken


@database_sync_to_async
def _person(raw: str) -> Any:
    try:
        return get_user_model().objects.get(pk=AccessToken(raw)["user_id"], is_active=True)  # type: ignore[arg-type]
    except (TokenError, get_user_model().DoesNotExist):
        return AnonymousUser()


class TokenMiddleware(BaseMiddleware):
    """`?token=<JWT>`, as the usual recipe has it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        scope = {**scope, "user": await _person(token)}
        return await super().__call__(scope, receive, send)
