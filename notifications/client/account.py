"""Who the client is to the site, and its requests: signing in, keeping the tokens fresh, REST.

Rules of this file:

* A password is tried once. It is used again only where the login session has run out or its tokens were lost on the
  way, never where somebody ended it.
* A refresh token is spent once, whoever asks at the same time.
* Errors are raised outside the `except` that saw them: what the HTTP client raises carries the request, and with it the
  credentials.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from .errors import ClientError, Misused, Refused, SignInRequired, Unreachable
from .spelling import read_body, write_body
from .steps import Purpose, Ticket

PATIENCE: Final = 10.0
"""Seconds that the site may keep silent in one request."""
GOODBYE: Final = 2.0
"""Seconds for the last one, which nobody waits for longer."""

NOT_NOW: Final = frozenset({408, 425, 429})
"""Besides those of the 500s: no answer to what was asked."""


@dataclass
class Credentials:
    """A name and a password, or tokens, or both: then the tokens come first."""

    username: str = ""
    password: str | None = field(default=None, repr=False)
    access: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)


class Account:
    def __init__(
        self,
        site: str,
        credentials: Credentials,
        *,
        on_tokens: Callable[[str, str], None] | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.site = _checked(site)
        self.tls = tls or (ssl.create_default_context() if self.site.startswith("https:") else None)
        self._is = credentials
        self._on_tokens = on_tokens
        self._signed_in_here = False
        """The login session was opened with the password, by this object, which therefore ends it."""
        self._session_ends: datetime | None = None
        self._spent = False
        """The refresh token may have been spent without our hearing of it."""
        self._renewing = asyncio.Lock()
        self._http = httpx2.AsyncClient(
            base_url=self.site,
            verify=self.tls or True,
            timeout=PATIENCE,
            transport=transport,
            headers={"User-Agent": "usher-client/1.0 (Python)", "Accept": "application/json"},
        )

    @property
    def access(self) -> str | None:
        return self._is.access

    async def ticket(self, purpose: Purpose) -> Ticket:
        answer = await self.request("POST", "/api/tickets/", {"purpose": purpose})
        ticket = _ticket(answer)
        if ticket is None:
            raise Refused("The site's answer is no ticket. Is it an Usher site?")
        if self.tls and not ticket.url.startswith("wss:"):  # a ticket that everybody on the way could read
            raise Refused("The site is served with TLS and names a socket without: its proxy must say which it is.")
        self._session_ends = datetime.fromisoformat(answer["session_expires_at"]).astimezone(UTC)
        return ticket

    async def request(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """What the site answers, as this person; signed in first if need be."""
        access = self._is.access or await self._renew(None)
        options: dict[str, Any] = {"headers": headers or {}, "query": query}
        try:
            return await self._ask(method, path, body, access=access, **options)
        except SignInRequired as error:
            if error.code == "session_ended" and not self._has_run_out():
                raise
        return await self._ask(method, path, body, access=await self._renew(access), **options)

    async def close(self) -> None:
        """Ends the login session if it was opened here; without it the site would keep it for weeks."""
        if self._signed_in_here and self._is.refresh:
            self._signed_in_here = False
            try:
                async with asyncio.timeout(GOODBYE):
                    await self._ask("POST", "/api/token/revoke/", {"refresh": self._is.refresh})
            except (ClientError, TimeoutError):
                pass  # it ends by itself, later
        await self._http.aclose()

    # --- Tokens ---

    async def _renew(self, stale: str | None) -> str:
        """Another access token than this one, by whatever there is."""
        async with self._renewing:
            if self._is.access is not None and self._is.access != stale:
                return self._is.access  # somebody was quicker
            if self._is.refresh is None:
                return await self._sign_in("There is no token that is good any more.")
            try:
                return await self._rotate(self._is.refresh)
            except SignInRequired:
                if not (self._spent or self._has_run_out()):
                    raise
            return await self._sign_in("The login session has run out.")

    async def _rotate(self, refresh: str) -> str:
        try:
            pair = await self._ask("POST", "/api/token/refresh/", {"refresh": refresh})
        except Unreachable as error:
            self._spent = self._spent or error.uncertain
            raise
        except asyncio.CancelledError:
            self._spent = True
            raise
        except Refused as error:
            if error.code != "refresh_raced":
                raise
            self._spent = True
            raise SignInRequired("The refresh token was spent elsewhere a moment ago.", code=error.code) from None
        return self._keep(pair)

    async def _sign_in(self, otherwise: str) -> str:
        if self._is.password is None:
            raise SignInRequired(f"{otherwise} Sign in again.")
        pair = await self._ask("POST", "/api/token/", {"username": self._is.username, "password": self._is.password})
        self._signed_in_here = True
        return self._keep(pair)

    def _keep(self, pair: Any) -> str:
        match pair:
            case {"access": str(access), "refresh": str(refresh)}:
                self._is.access, self._is.refresh = access, refresh
                self._spent = False
                if self._on_tokens:
                    self._on_tokens(access, refresh)
                return access
        raise Refused("The site's answer holds no tokens. Is it an Usher site?")

    def _has_run_out(self) -> bool:
        """As far as is known: the login session came to its end, and nobody ended it."""
        return self._session_ends is not None and datetime.now(UTC) >= self._session_ends

    # --- Requests ---

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        access: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        sent = dict(headers or {})
        if access is not None:
            sent["Authorization"] = f"Bearer {access}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        problem: ClientError | None = None
        answer: httpx2.Response | None = None
        try:
            content = None if body is None else write_body(body)
            answer = await self._http.request(method, path, content=content, headers=sent, params=query)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            problem = self._no_answer(error)
        if answer is None:
            raise problem or Unreachable("No answer.")
        return self._read(answer)

    def _no_answer(self, error: Exception) -> ClientError:
        if isinstance(error, UnicodeError):
            return Misused("This cannot be sent: something in it is no text.")
        never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        why = str(error) or type(error).__name__ if never_sent else type(error).__name__
        return Unreachable(f"{self.site} cannot be reached: {why}", uncertain=not never_sent)

    def _read(self, answer: httpx2.Response) -> Any:
        body, status = read_body(answer.content), answer.status_code
        if answer.is_success and (isinstance(body, dict) or status == 204):
            return body
        problem = body if isinstance(body, dict) else {}
        code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
        if status == 401:
            raise SignInRequired(detail or "The site knows no such login.", code=code)
        if status in NOT_NOW or status >= 500:
            wait = answer.headers.get("Retry-After", "")
            message = detail or f"{self.site} answered with {status}."
            raise Unreachable(message, status=status, retry_after=float(wait) if wait.isdecimal() else 0.0)
        if answer.is_redirect:
            raise Refused(f"{self.site} sends on to {_origin(answer.headers.get('Location', ''))}.", status=status)
        message = detail or f"{self.site} answered with {status}. Is it an Usher site?"
        raise Refused(message, status=status, code=code, errors=problem.get("errors"))


def _ticket(answer: dict[str, Any]) -> Ticket | None:
    match answer:
        case {"ticket": str(ticket), "url": str(url), "protocols": [*protocols], "session_expires_at": str(ends)}:
            try:
                datetime.fromisoformat(ends)
                scheme = urlsplit(url).scheme
            except ValueError:
                return None
            if scheme in ("ws", "wss") and all(isinstance(protocol, str) for protocol in protocols):
                return Ticket(ticket, url, tuple(protocols))
    return None


def _origin(address: str) -> str:
    try:
        where = urlsplit(address)
    except ValueError:
        return "what is no address"
    return f"{where.scheme}://{where.netloc}: name that"


def _checked(site: str) -> str:
    try:
        parts = urlsplit(site)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no address, or no port
        parts, named = urlsplit(""), False
    if not named or parts.query or parts.fragment:
        raise Misused("A site is named by its address: https://site.example")
    if parts.username is not None or parts.password is not None:
        raise Misused("A site's address holds no credentials.")
    return site.rstrip("/")
