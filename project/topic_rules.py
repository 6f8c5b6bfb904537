"""Who may listen to what on this site: see docs/topics.md."""

from typing import Any

from notifications.topics import rule


@rule("announcements")
def everybody(user: Any) -> bool:
    """What concerns everybody who is signed in."""
    return True


@rule("staff.{desk}")
def colleagues(user: Any, desk: str) -> bool:
    """What concerns a desk of the staff."""
    return bool(user.is_staff)
