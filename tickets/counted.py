"""What is counted in this room: each figure is raised where the thing is decided."""

from typing import Final

from tickets.figures import Counter, Gauge, Histogram
from tickets.grants import EndReason, Purpose, Refusal

QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds for what a client waits for: from what an idle machine takes up to where everybody gives up."""

TICKETS_ISSUED: Final = Counter("tickets_issued", "Tickets that were issued.", by="purpose", of=Purpose)
TICKETS_DENIED: Final = Counter(
    "tickets_denied",
    "Tickets that were asked for and not issued.",
    by="reason",
    of=["rate_limited", "unknown_session", *EndReason],
)
TICKETS_REDEEMED: Final = Counter("tickets_redeemed", "Tickets that were redeemed and entitled to something.")
TICKETS_REFUSED: Final = Counter("tickets_refused", "Tickets that were shown and refused.", by="reason", of=Refusal)
TICKETS_REVOKED: Final = Counter("tickets_revoked", "Unspent tickets that were taken back on request.")
REDEEM_SECONDS: Final = Histogram(
    "redeem_seconds",
    "From a ticket that is shown by a socket to what becomes of it, by this process's own clock.",
    bounds=QUICK,
    by="result",
    of=["redeemed", "refused", "unavailable"],
)

SIGN_INS: Final = Counter(
    "sign_ins", "Names and passwords that were tried.", by="result", of=["accepted", "refused", "limited"]
)
TOKEN_REFRESHES: Final = Counter(
    "token_refreshes",
    "Refresh tokens that were shown. `raced`: spent a moment ago, by a second tab; `reused`: spent before that.",
    by="result",
    of=["refreshed", "raced", "reused"],
)
TOKENS_SHOWN: Final = Counter(
    "tokens_shown", "Access tokens that a socket was to open or go on by.", by="result", of=["accepted", "refused"]
)

AUDIT_LEFT_OUT: Final = Counter("audit_left_out", "Audited acts that are in the log alone: too many for the table.")
AUDIT_BACKLOG: Final = Gauge("audit_backlog", "Audited acts that wait to be written to the table.")

THREADS: Final = Gauge("database_threads", "Threads for the queries of this process's sockets.")
THREADS_BUSY: Final = Gauge("database_threads_busy", "Of these, those that are at work.")
DATABASE_WAIT: Final = Histogram(
    "database_wait_seconds", "From the asking of a job to a database thread that takes it up.", bounds=QUICK
)
DATABASE_SECONDS: Final = Histogram("database_job_seconds", "What a job on a database thread took.", bounds=QUICK)

REQUESTS_REFUSED: Final = Counter("requests_refused", "Requests answered 503: no place, or one taken for too long.")
REQUESTS: Final = Gauge("requests", "Requests to Usher's pages and API.", by=("place",), of=(["inside", "waiting"],))
