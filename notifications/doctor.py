"""All that `manage.py doctor` asks, in both rooms, and why what it may find matters."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.core import checks

from tickets import doctor as tickets_doctor

from . import probes

WHY = tickets_doctor.WHY | {
    "notifications.E001": "Nobody could say what becomes of a connection whose grant runs out.",
    "notifications.E002": "What depends on it fails, or never ends.",
    "notifications.E003": "A misspelled setting is one that is not set: the default holds, unnoticed.",
    "notifications.E004": "Nothing is heard of it: notifications come seconds late, ends of sessions too.",
    "notifications.E005": "Whether a frame is believed would depend on what this is taken for.",
    "notifications.E006": "There is no socket, no API and no page.",
    "notifications.E007": "The socket would be at another address in each language.",
    "notifications.E008": "The pages and the elements are answered with an error.",
    "notifications.E009": "Pages do not know who they are for.",
    "notifications.E010": "Servers do not know what to serve.",
    "notifications.E011": "People could not mute it, or would be told what they muted.",
    "notifications.E012": "Notifications come some seconds late, ends of login sessions up to 12 s.",
    "notifications.E013": "Clients find neither the tickets nor the socket.",
    "notifications.E014": "Whoever has a ticket cannot open a socket either, or something else lets strangers in.",
    "notifications.E015": "Any page in the world may then open sockets with whatever it gets hold of.",
    "notifications.E016": "The broker would ask in vain, or be asked to do what nobody meant.",
    "notifications.E017": "The broker would be refused, or whoever stands there let in.",
    "notifications.W001": "Who once had a credential keeps the socket for as long as the login session lasts.",
    "notifications.W002": "Without it credentials reach the server's log, and its weaknesses are not mended.",
    "notifications.W003": "What is mended in a server is not part of what it promises, so each version is tried.",
    "notifications.W004": "Other processes find by themselves what they are not told: seconds late.",
    "notifications.W005": "A connection is asked to come back before its person had the time to prove themselves.",
    "notifications.W006": "Who comes back is handed less at once than they may be, and the log is read more often.",
    "notifications.W007": "A process that sends its sockets away for longer than it is given is killed in the middle.",
    "notifications.W008": "Proxies and home routers cut connections that are silent for a minute.",
    "notifications.W009": "The smaller limit is met first, and the larger one protects nothing.",
    "notifications.W010": "Processes do not hear each other: notifications and ends of sessions come late.",
    "notifications.W011": "Sockets beyond it fail, and so does everything else that opens something: the database.",
    "notifications.W012": "Publishers wait for it at most so long, and then leave it out.",
    "notifications.W013": "Who may send it commands runs code on its machine.",
    "notifications.W015": "It does not ask again about what it has let in: who signed out is still told.",
    "notifications.W014": "Browsers refuse a socket in the clear to pages of https; others send tickets in the clear.",
}
DJANGOS = "Django, or another app, knows why."
DOCUMENTED = "See its documentation of this id."


@dataclass(frozen=True, slots=True)
class Finding:
    id: str
    level: str
    """"warning" or "error"."""
    what: str
    why: str
    mend: str


def examine(*, url: str | None = None) -> Iterator[str | Finding]:
    """Everything there is to know (text) and to mend: what system checks say of the settings, deployment included, then
    what is found by asking. With `url`, the site that is up there as well."""
    messages = checks.run_checks(include_deployment_checks=True)
    for message in sorted(messages, key=lambda each: (each.level, str(each.id)), reverse=True):
        if message.level >= checks.WARNING and not message.is_silenced():
            yield _finding(message)
    for probe in (*tickets_doctor.PROBES, probes.layer, probes.descriptors):
        yield from map(_told, probe())
    if url:
        yield from map(_told, probes.site(url))


def _told(found: tickets_doctor.Found) -> str | Finding:
    return found if isinstance(found, str) else _finding(found)


def _finding(message: checks.CheckMessage) -> Finding:
    number = str(message.id)
    what = " ".join(str(message.msg).split())
    mend = " ".join(str(message.hint or DOCUMENTED).split())
    level = "error" if message.is_serious(checks.ERROR) else "warning"
    return Finding(number, level, what, WHY.get(number, DJANGOS), mend)
