"""Processes that race for tickets, rightly and naively."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.crowd import Part


def issue(part: Part) -> list[dict[str, Any]]:
    """So many tickets, ten a person; each with the key of its row."""
    from django.contrib.auth import get_user_model

    from tickets import api, minting
    from tickets.models import Ticket

    issued = []
    for number in range(part.plan["count"]):
        if number % 10 == 0:
            user = get_user_model().objects.create(username=f"racer-{number}")
            session = api.open_session(user, method="test")
        ticket = api.issue(user=user, session_id=session, network="192.0.2.1").ticket
        issued.append({"ticket": ticket, "id": Ticket.objects.get(digest=minting.digest(ticket)).pk})
    return issued


# Ways of redeeming: whether it was granted, and else why not ------------------------------------------------------


def redeem() -> Callable[[str], str]:
    """As the product does it."""
    from tickets import api

    def spend(ticket: str) -> str:
        try:
            api.redeem(ticket, address="192.0.2.2")
        except api.TicketRefused as refused:
            return refused.refusal.value
        return "granted"

    return spend


def read_then_write() -> Callable[[str], str]:
    """Naive: looks whether the ticket is unspent, and then spends it."""
    from django.utils import timezone

    from tickets import minting
    from tickets.models import Ticket

    def spend(ticket: str) -> str:
        row = Ticket.objects.get(digest=minting.digest(ticket))
        if row.redeemed_at is not None:
            return "used"
        if row.revoked_at is not None:
            return "revoked"
        row.redeemed_at = timezone.now()
        row.save(update_fields=["redeemed_at"])
        return "granted"

    return spend


WAYS = {way.__name__: way for way in (redeem, read_then_write)}


# Tasks ------------------------------------------------------------------------------------------------------------


def race(part: Part) -> list[list[str]]:
    """All threads redeem the same ticket at the same moment, one ticket after the other.

    With `revoking`, every second thread revokes it instead. Answers, for each thread, with what became of each try.
    """
    from tickets import api

    spend, issued, revoking = WAYS[part.plan["way"]](), part.plan["issued"], part.plan["revoking"]

    def attempt(thread: int) -> list[str]:
        became = []
        for number, ticket in enumerate(issued):
            part.meet_all()
            if revoking and (thread + number) % 2:
                became.append(f"revoke {api.revoke(ticket_id=ticket['id'])}")
            else:
                became.append(spend(ticket["ticket"]))
        return became

    return part.in_threads(attempt)


def race_together(part: Part) -> list[list[str]]:
    """All threads present the same ten tickets together at the same moment, each in another order; and the next ten.

    Answers, for each thread, with what became of each ticket.
    """
    import random

    from tickets import api, minting
    from tickets.redeeming import redeem_digest, redeem_together

    purposes = frozenset({api.Purpose.CONNECT})
    digests = [minting.digest(ticket["ticket"]) for ticket in part.plan["issued"]]

    def alone(digest: str) -> str:
        try:
            redeem_digest(digest, purposes=purposes, address="192.0.2.2")
        except api.TicketRefused as refused:
            return refused.refusal.value
        return "granted"

    def attempt(thread: int) -> list[str]:
        order, became = random.Random(thread), {}
        for start in range(0, len(digests), 10):
            ten = digests[start : start + 10]
            order.shuffle(ten)
            part.meet_all()
            found = redeem_together([(digest, "192.0.2.2") for digest in ten], purposes=purposes)
            for digest, decided in zip(ten, found, strict=True):
                became[digest] = "granted" if isinstance(decided, api.Grant) else alone(digest)
        return [became[digest] for digest in digests]

    return part.in_threads(attempt)


def look(part: Part) -> Counter[str]:
    """How the tickets stand in the database."""
    from tickets.models import Ticket

    def state(redeemed: object, revoked: object) -> str:
        return {(1, 0): "redeemed", (0, 1): "revoked", (1, 1): "both", (0, 0): "neither"}[bool(redeemed), bool(revoked)]

    return Counter(state(*row) for row in Ticket.objects.values_list("redeemed_at", "revoked_at"))
