"""People who signed in with Django's own session: which login session they stand on.

The login session's id is kept in the Django session, under SID.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from tickets import current, sessions
from tickets.admission import signed_in_from
from tickets.grants import SessionEnded
from tickets.problems import Problem
from tickets.tokens import Credential, audit_use

SID = "usher.sid"
METHOD = "django"

_LAZY = UUID("5b0c4f0e-9a43-4c35-8a55-6d0d4b1f4f5e")


class DjangoSessionAuthentication(SessionAuthentication):
    """Django's session and CSRF protection; refused as soon as the login session behind it has ended.

    So somebody who was signed out by staff is not let in again by the cookie they still have.
    """

    def authenticate(self, request: Request) -> tuple[Any, Credential | None] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user, _nothing = found
        session_id = known_session(request._request.session)
        if session_id is None:
            return user, None
        state = sessions.check_sessions([session_id])[session_id]
        if not state.alive:
            ended = SessionEnded(state.reason, user_id=user.pk, session_id=session_id)
            audit_use(request, ended)
            raise ended
        current.stands_on(session_id, user.pk)
        return user, Credential(session_id)

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied:
            detail = "Send the CSRF token of this session in the header X-CSRFToken."
            raise Problem(status=403, code="csrf_failed", detail=detail) from None


def known_session(session: SessionBase) -> UUID | None:
    """The login session that a Django session names; None if it names none yet."""
    sid = session.get(SID)
    return UUID(sid) if sid else None


def lazy_session(session: SessionBase, user: Any, *, now: datetime | None = None) -> UUID:
    """The login session of somebody who signed in before this room was installed: opened at their first ticket.

    Its id follows from the Django session's key, so that two first tickets at once open one session and not two, of
    which a logout would end only the one it knows.
    """
    if not session.session_key:
        session.create()
    session_id = uuid5(_LAZY, str(session.session_key))
    sessions.open_once(session_id, user, method=METHOD, expires_at=session.get_expiry_date(), now=now)
    session[SID] = str(session_id)
    return session_id


@receiver(user_logged_in)
def _signed_in(request: Any, user: Any, **_: Any) -> None:
    session = getattr(request, "session", None)
    if session is None:  # signed in without a Django session: nothing to hang a login session on
        return
    now = timezone.now()
    expires_at = session.get_expiry_date()
    known = known_session(session)
    before = getattr(request, "usher_session", None)
    if before is not None and known is None:
        # Somebody else has signed in over a session: Django has emptied it, and nobody could sign out of it any more.
        sessions.end_session(before, now=now)
    # Signing in again over a session of one's own prolongs it: another one would be out of reach of the next logout.
    if known is None or not sessions.prolong(known, user, expires_at=expires_at, now=now):
        origin = signed_in_from(request)
        opened = sessions.open_session(user, method=METHOD, expires_at=expires_at, origin=origin, now=now)
        session[SID] = str(opened)


@receiver(user_logged_out)
def _signed_out(request: Any, **_: Any) -> None:
    session = getattr(request, "session", None)
    known = known_session(session) if session is not None else None
    if known is not None:
        sessions.end_session(known)
