from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from tickets import audit, tokens
from tickets.admission import caller_of, signed_in_from, socket_url
from tickets.backends import sign_in_by_password
from tickets.conf import conf
from tickets.django_sessions import lazy_session
from tickets.grants import Purpose, SessionEnded, TokenRefused
from tickets.handshake import TICKET_PREFIX
from tickets.issuing import issue
from tickets.rest import Problem, StrictView, described
from tickets.serializers import (
    RefreshSerializer,
    SignInSerializer,
    TicketRequestSerializer,
    TicketSerializer,
    TokenPairSerializer,
)
from tickets.tokens import Credential


class TicketView(StrictView):
    """A ticket opens one socket, or re-authenticates one, once. It is bound to the person, their login session, the
    purpose and the caller's network."""

    @extend_schema(
        summary="Get a ticket for the socket",
        request=TicketRequestSerializer,
        responses={201: TicketSerializer, **described(400, 401, 403, 411, 413, 415, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        form = TicketRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        caller = caller_of(request._request)
        issued = issue(
            user=request.user,
            session_id=_login_session(request),
            purpose=Purpose(form.validated_data["purpose"]),
            network=caller.address or "",
        )
        answer = {
            "ticket": issued.ticket,
            "expires_in": issued.expires_in,
            "expires_at": issued.expires_at,
            "session_expires_at": issued.session_expires_at,
            "url": socket_url(request._request),
            "protocols": [conf.PROTOCOLS[0], TICKET_PREFIX + issued.ticket],
        }
        return Response(TicketSerializer(answer).data, status=201)


def _login_session(request: Request) -> UUID:
    if isinstance(request.auth, Credential):
        return request.auth.session_id
    return lazy_session(request._request.session, request.user)


class _PublicView(StrictView):
    # The credential is in the body. No cookie is looked at, so there is no request to forge.
    authentication_classes = ()
    permission_classes = (AllowAny,)


class TokenView(_PublicView):
    """Opens a login session. Attempts are limited by name and by address."""

    @extend_schema(
        summary="Sign in by name and password",
        request=SignInSerializer,
        responses={200: TokenPairSerializer, **described(400, 401, 411, 413, 415, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        form = SignInSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = sign_in_by_password(request._request, **form.validated_data)
        if user is None:
            detail = "No active account has this name and password."
            raise Problem(status=401, code="invalid_credentials", detail=detail)
        return Response(TokenPairSerializer(tokens.sign_in(user, origin=signed_in_from(request._request))).data)


class TokenRefreshView(_PublicView):
    """A refresh token is spent by this. Spending it again within a few seconds is answered 409 and ends nothing; later
    it ends the login session."""

    @extend_schema(
        summary="Spend a refresh token for new tokens",
        request=RefreshSerializer,
        responses={200: TokenPairSerializer, **described(400, 401, 409, 411, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        form = RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            pair = tokens.rotate(form.validated_data["refresh"])
        except SessionEnded as ended:
            tokens.audit_use(request, ended)
            raise
        except TokenRefused as refused:
            address = caller_of(request._request).address
            audit.record(audit.TOKEN_REFRESHED, ok=False, why=refused.why, address=address)
            raise
        return Response(TokenPairSerializer(pair).data)


class TokenRevokeView(_PublicView):
    """Closes every socket of the login session and refuses its tokens. Any refresh token of the session will do."""

    @extend_schema(
        summary="End the login session of a refresh token",
        request=RefreshSerializer,
        responses={204: None, **described(400, 401, 411, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        form = RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        tokens.sign_out(form.validated_data["refresh"])
        return Response(status=204)
