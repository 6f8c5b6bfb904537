"""Whom the code that runs now works for, as the log names it: `request`, `connection`, `session`, `user`.

They are bound by structlog's contextvars, so what a site logs by structlog has them too. None of them is a credential.
Work that one does for many, or that outlives whoever began it, runs in a context without them: a line that names
the wrong request is worse than one that names none.
"""

from contextvars import Context, copy_context
from typing import Any

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars, unbind_contextvars


def bind(**ids: Any) -> None:
    """What is logged from here on, in this context, has these as well."""
    bind_contextvars(**ids)


def unbind(*names: str) -> None:
    unbind_contextvars(*names)


def begin(**ids: Any) -> None:
    """These, and nothing that was bound before."""
    clear_contextvars()
    bind_contextvars(**ids)


def bound() -> dict[str, Any]:
    return get_contextvars()


def unbound() -> Context:
    """A context as this one, to work for nobody in particular in."""
    context = copy_context()
    context.run(clear_contextvars)
    return context
