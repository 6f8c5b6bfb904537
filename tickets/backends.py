"""Names and passwords: Django's own check, wherever on the site it is asked, but no more often than is sane."""

import unicodedata
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tickets import audit, counted
from tickets.admission import caller_of
from tickets.allowance import spend
from tickets.conf import conf
from tickets.grants import RateLimited
from tickets.network import allowance_key
from tickets.threads import in_thread


class PasswordBackend(ModelBackend):
    """
    `ModelBackend` with an allowance for each name and each address (`TICKETS["SIGN_IN_PER_MINUTE_…"]`), exact across
    processes: for `/api/token/`, the sign-in page and the admin's alike, and whatever else calls `authenticate()`.

    Beyond it no password is looked at, and `too_often(request)` says for how long. Every attempt is audited.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        username = kwargs.get(get_user_model().USERNAME_FIELD) if username is None else username
        if username is None or password is None:
            return None  # asked for by something else than a name and a password
        if getattr(request, "usher_attempt", False):  # whoever asks has counted it
            return super().authenticate(request, username=username, password=password)
        try:
            spend_attempt(request, username)
        except RateLimited as refused:
            if request:
                request.usher_too_often = refused  # type: ignore[attr-defined]
            raise PermissionDenied from refused  # for Django: ask no other backend
        user = super().authenticate(request, username=username, password=password)
        audit_attempt(request, username, user)
        return user

    async def aauthenticate(self, request: HttpRequest | None, *args: Any, **kwargs: Any) -> Any:
        return await in_thread(self.authenticate, request, *args, **kwargs)


def sign_in_by_password(request: HttpRequest, username: str, password: str) -> Any:
    """The active person with this name and password, by whatever backends the site has; None for all others, after
    equal work. Allowances and audit are the same whether `PasswordBackend` is one of them or not. Raises
    `RateLimited`."""
    spend_attempt(request, username)
    request.usher_attempt = True  # type: ignore[attr-defined]
    user = authenticate(request, username=username, password=password)
    user = user if user is not None and user.is_active else None
    audit_attempt(request, username, user)
    return user


def spend_attempt(request: HttpRequest | None, username: str) -> None:
    """Raises `RateLimited` if the allowance of the name or of the address is used up."""
    who = _who(request, username)
    try:
        if request:
            _spend("address", allowance_key(who["address"]), conf.SIGN_IN_PER_MINUTE_ADDRESS)
        _spend("name", who["name"], conf.SIGN_IN_PER_MINUTE_NAME)
    except RateLimited:
        counted.SIGN_INS.add("limited")
        audit.record(audit.SIGNED_IN, ok=False, why="rate_limited", **who)
        raise


def audit_attempt(request: HttpRequest | None, username: str, user: Any) -> None:
    """Say what became of it: `user` is who signed in, or None."""
    who = _who(request, username)
    counted.SIGN_INS.add("refused" if user is None else "accepted")
    if user is None:
        audit.record(audit.SIGNED_IN, ok=False, why="invalid_credentials", user=_known(username), **who)
    else:
        audit.record(audit.SIGNED_IN, user=user.pk, address=who["address"])


def _who(request: HttpRequest | None, username: str) -> dict[str, Any]:
    return {"name": _digest(username), "address": caller_of(request).address if request else None}


def too_often(request: HttpRequest) -> RateLimited | None:
    """What kept this request from signing in, if that was it."""
    return getattr(request, "usher_too_often", None)


def _known(username: str) -> Any:
    """The key of whoever has this name: asked after every wrong password, so that it tells nobody anything."""
    people = get_user_model()
    found = people._default_manager.filter(**{people.USERNAME_FIELD: username})
    return found.values_list("pk", flat=True).first()


def _spend(kind: str, who: str, per_minute: int) -> None:
    spend(f"sign-in.{kind}:{who}", per_minute=per_minute, burst=per_minute, now=timezone.now())


def _digest(username: str) -> str:
    # People type passwords into the field for the name; neither the audit log nor the table of allowances shall know
    # them. And one name has one allowance, however it is spelled.
    name = unicodedata.normalize("NFKC", username).casefold()
    # With the site's key: what is in a log or a table for long must not be guessed back.
    return salted_hmac("tickets.sign-in", name, algorithm="sha256").hexdigest()
