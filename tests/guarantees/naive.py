"""The project's application with one of its promises taken out, named by the environment variable NAIVE.

It is served in place of the real one to show that the checkers notice.
"""

import os

from project.asgi import application as application  # first: it sets Django up

# isort: split
from notifications import store
from notifications.live import connection, kicking
from notifications.live.connection import Connection, Phase
from notifications.wire.streams import Page


def believing_the_client() -> None:
    """A position is resumed from without asking whether it can be."""

    def resume(stream, since, position):
        if since is not None:
            stream.cursor, stream.replay_to = since.seq, position.head

    connection._resume = resume
    connection._broken = lambda stream, position: None


def without_a_log() -> None:
    """What was not delivered when it was published is not delivered."""

    def page(user_id, *, after, limit, now):
        position = store.position_of(store.ensure_stream(user_id))
        return Page(position, (), through=position.head)

    store.page = page


def without_holding() -> None:
    """After the grant's end everything goes on while the client is asked to re-authenticate."""
    Connection._deliverable = property(lambda self: self.phase in (Phase.OPEN, Phase.REAUTH_REQUIRED))


def without_catching_up() -> None:
    """What was held is forgotten."""
    real = Connection._reauthenticate

    def reauthenticate(self, steps, grant, now):
        for stream in self._streams.values():
            stream.cursor = stream.head
        real(self, steps, grant, now)

    Connection._reauthenticate = reauthenticate


def each_process_for_itself() -> None:
    """Nobody counts the sockets that a person has in all processes together."""
    kicking.make_place = lambda user_ids, *, now=None: []


VARIANTS = (believing_the_client, without_a_log, without_holding, without_catching_up, each_process_for_itself)
for variant in VARIANTS:
    if variant.__name__ == os.environ["NAIVE"]:
        variant()
        break
else:
    raise LookupError(os.environ["NAIVE"])
