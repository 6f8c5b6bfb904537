from typing import Any

from django.contrib.auth import logout
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from rest_framework.views import APIView

from tickets import current, sessions
from tickets.django_sessions import known_session


class EndedSessionMiddleware(MiddlewareMixin):
    """Signs out the cookie of an ended login session, before it is shown a page. After AuthenticationMiddleware."""

    def process_request(self, request: HttpRequest) -> None:
        current.session_id.set(None)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if issubclass(getattr(view, "cls", object), APIView):
            return  # the API says it in its own words: see DjangoSessionAuthentication
        session_id = known_session(request.session)
        current.session_id.set(session_id)
        request.usher_session = session_id  # type: ignore[attr-defined]  # for whoever signs in over it
        if session_id is not None and not sessions.check_sessions([session_id])[session_id].alive:
            logout(request)


class ConnectionBackMiddleware(MiddlewareMixin):
    """Gives the database connection back as soon as the answer is made. First of all.

    Django would do so when the answer has been sent: whoever reads slowly would keep a connection from others.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.streaming:
            for connection in connections.all(initialized_only=True):
                # Not what is kept for ever (SQLite), nor what is in a transaction: a test's, for views' are over.
                if connection.close_at is not None and not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()
        return response
