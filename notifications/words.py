"""What `static/usher/` says, in the language of the request: words are translated where the catalogues are."""

from typing import Any

from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

# One number of each of the categories that browsers know (`Intl.PluralRules`), so that whatever forms a language has
# are handed over under the names that a script asks for.
_SAMPLES = {"zero": 0, "one": 1, "two": 2, "few": 3, "many": 11, "other": 100}
# Where such a number is of another category.
_OTHER_SAMPLES = {"cy": {"many": 6}, "ga": {"many": 7}, "lv": {"other": 2}}


def samples() -> dict[str, int]:
    """By category, for the language of the request."""
    return _SAMPLES | _OTHER_SAMPLES.get((get_language() or "").partition("-")[0], {})


def _forms(one: str, many: str) -> dict[str, str]:
    return {category: ngettext(one, many, sample) for category, sample in samples().items()}


def bell_label(unseen: int) -> str:
    """What the bell is called; its badge stops at 99, this does not."""
    if not unseen:
        return _("Notifications")
    return ngettext("Notifications, {n} new", "Notifications, {n} new", unseen).replace("{n}", str(unseen))


def words() -> dict[str, Any]:
    """By key; `{n}` and other braces stand for what the script fills in."""
    return {
        **_of_the_state(),
        **_of_the_inbox(),
        "unread": _("Unread:"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "dismiss": _("Dismiss"),
        "new": _forms("{n} new notification", "{n} new notifications"),
        "badge": _forms("Notifications, {n} new", "Notifications, {n} new"),
        "badge_none": _("Notifications"),
        # Translators: the name of what the bell opens
        "panel": _("Notifications"),
        "panel_empty": _("You are all caught up"),
        "panel_empty_more": _("What happens next appears here by itself."),
        "panel_failed": _("The latest could not be loaded."),
        "mark_all": _("Mark all read"),
        "see_all": _("Open the inbox"),
        "loading": _("Loading …"),
        "again": _("Try again"),
        "on": pgettext("switch", "On"),
        "off": pgettext("switch", "Off"),
        "muted": pgettext("kind of notifications", "Muted"),
        "alerts_about": _("While you are not looking at this site."),
        "alerts_blocked": _("Blocked by this browser. Its settings for this site can allow them."),
        "alerts_on": _("Desktop alerts are on"),
        "ended": _("Signed out."),
        "not_ended": _("That device could not be signed out. Try again."),
    }


def _of_the_state() -> dict[str, Any]:
    return {
        "state_idle": _("Starting …"),
        "state_connecting": _("Connecting …"),
        "state_connected": pgettext("connection", "Live"),
        "state_waiting": _("Connection lost"),
        "state_waiting_for": _forms(
            "Connection lost. Next attempt in {n} second", "Connection lost. Next attempt in {n} seconds"
        ),
        "state_offline": _("You are offline"),
        "state_unauthorized": _("Your session has ended"),
        "state_closed": _("Not live"),
        "state_replaced": _("Open in too many places"),
        "try_now": _("Try now"),
        "connect_here": _("Connect here"),
        "sign_in": _("Sign in again"),
        "go_on": _("Go on"),
        "ended_more": _("What is on this page stays as it is. Sign in again in a new tab, then go on here."),
    }


def _of_the_inbox() -> dict[str, Any]:
    return {
        "done_read": _forms("Marked as read.", "{n} marked as read."),
        "done_unread": _forms("Marked as unread.", "{n} marked as unread."),
        "done_archived": _forms("Archived.", "{n} archived."),
        "done_unarchived": _forms("Moved back to the inbox.", "{n} moved back to the inbox."),
        "done_muted": _("{kind} is muted: it goes straight to the archive."),
        "undo": _("Undo"),
        "undone": _("Undone."),
        # Translators: how many rows are ticked
        "selected": _forms("{n} selected", "{n} selected"),
        "not_saved": _("That could not be saved. Nothing has changed."),
        "not_loaded": _("This could not be loaded."),
        "found": _forms("{n} notification found", "{n} notifications found"),
        "found_more": _forms("{n} notification found, and more", "{n} notifications found, and more"),
    }
