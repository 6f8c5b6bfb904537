"""Ticket strings: making them, knowing their shape, and the digest that is stored instead. Standard library only."""

import hashlib
import re
import secrets

TICKET_BYTES = 32
"""256 bits: nobody finds one by trying, so the digest needs neither salt nor a slow hash."""

# 32 bytes are 43 characters of base64url (RFC 4648, section 5) without padding. The last character carries only four
# bits, the two below are zero: other last characters spell the same bytes, and one ticket must have one spelling.
_SHAPE = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def mint() -> str:
    """A new ticket from the system's random source."""
    return secrets.token_urlsafe(TICKET_BYTES)


def is_shaped(text: str) -> bool:
    """Whether `mint()` could have made it. What is not shaped so is refused without asking the database."""
    return _SHAPE.fullmatch(text) is not None


def digest(ticket: str) -> str:
    """SHA-256 in hexadecimal: what the database knows of a ticket."""
    return hashlib.sha256(ticket.encode("ascii")).hexdigest()
