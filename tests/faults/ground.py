"""A scaled stack, the servers on it, and what stands in its database."""

from typing import Any, Self

from tests.support.histories import Published
from tests.support.passes import Pass, passes
from tests.support.servers import Server, ServerKind
from tests.support.services import Postgres, Valkey
from tests.support.stack import Stacks

NAIVE = "tests.faults.naive:application"

# One address stands for many here, and few people for a crowd.
ROOMY = {
    "TICKETS_ISSUE_PER_MINUTE": "60000",
    "TICKETS_ISSUE_BURST": "10000",
    "TICKETS_OUTSTANDING": "1000",
    "TICKETS_GRANT_SECONDS": "86400",
    "NOTIFICATIONS_UNAUTHENTICATED_PER_ADDRESS": "200",
}


class Ground:
    """A scaled stack of a test's own. Its services may be harmed if they are its own, too."""

    def __init__(self, stacks: Stacks, postgres: Postgres, valkey: Valkey, **env: str) -> None:
        self.postgres, self.valkey = postgres, valkey
        self.stack = stacks.make("scaled", postgres=postgres, valkey=valkey, **(ROOMY | env))
        self.servers: list[Server] = []

    def serve(self, kind: ServerKind = "uvicorn", *, naive: str = "", **env: str) -> Server:
        """One more process; `naive` names what is taken out of it, see tests.faults.naive."""
        where = {"application": NAIVE} if naive else {}
        server = Server(kind, self.stack, env=env | ({"NAIVE": naive} if naive else {}), **where)
        self.servers.append(server)
        return server

    def people(self, count: int, name: str = "person", permissions: tuple[str, ...] = ()) -> list[Pass]:
        return passes(self.stack, *(f"{name}-{number}" for number in range(count)), permissions=permissions)

    @property
    def database(self) -> str:
        return self.stack.env["DATABASE_URL"].rpartition("/")[2]

    def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """A query of the site's database, from outside."""
        with self.postgres.connect(self.database) as connection:
            return connection.execute(question, values).fetchall()

    def committed(self) -> list[tuple[Published, str]]:
        """Everything that stands in the log, with its title."""
        rows = self.ask("SELECT 'u.' || user_id, seq, id, title FROM notifications_notification ORDER BY id")
        rows += self.ask("SELECT 't.' || topic, seq, id, title FROM notifications_topicnotification ORDER BY id")
        return [(Published(stream, seq, str(pk)), title) for stream, seq, pk, title in rows]

    def connections(self) -> int:
        """How many others are connected to the site's database."""
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        return int(self.ask(counted, self.database)[0][0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers:
            server.resume()
            server.kill()
        self.stack.stop()
