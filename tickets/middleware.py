import math
from http import HTTPStatus
from typing import Any

from django.contrib.auth import SESSION_KEY, logout
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from rest_framework.views import APIView

from tickets import current, sessions
from tickets.backends import too_often
from tickets.django_sessions import known_session
from tickets.grants import SessionEnded
from tickets.tokens import audit_use


class EndedSessionMiddleware(MiddlewareMixin):
    """Signs out the cookie of an ended login session, before it is shown a page."""

    def process_request(self, request: HttpRequest) -> None:
        current.stands_on(None)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if issubclass(getattr(view, "cls", object), APIView):
            return  # the API says it in its own words: see DjangoSessionAuthentication
        session_id = known_session(request.session)
        current.stands_on(session_id, request.session.get(SESSION_KEY))
        request.usher_session = session_id  # type: ignore[attr-defined]  # for whoever signs in over it
        if session_id is None:
            return
        state = sessions.check_sessions([session_id])[session_id]
        if not state.alive:
            audit_use(request, SessionEnded(state.reason, user_id=request.user.pk, session_id=session_id))
            logout(request)


class TooManySignInsMiddleware(MiddlewareMixin):
    """A page that says that somebody tried to sign in too often is answered 429, as programs expect (RFC 6585)."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        refused = too_often(request)
        if refused is not None and response.status_code == HTTPStatus.OK:
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response.headers["Retry-After"] = str(math.ceil(refused.retry_after))
        return response


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


class UsherMiddleware(EndedSessionMiddleware, TooManySignInsMiddleware, ConnectionBackMiddleware):
    """All of them, for a site to put in front of its MIDDLEWARE: what has to be known of a request is known when its
    view is, and what has to be done last is done last."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = TooManySignInsMiddleware.process_response(self, request, response)
        return ConnectionBackMiddleware.process_response(self, request, response)
