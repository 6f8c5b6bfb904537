"""How far live connections are in their people's streams, as their processes reported it some seconds ago."""

from django.db.models import Case, F, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Greatest

from ..models import Connection, Stream


def with_position(rows: QuerySet[Connection]) -> QuerySet[Connection]:
    """
    The same rows, each with what its `cursor` comes to, in the same query: `behind`, how many numbers of the stream it
    was not told yet, and `unacked`, how many it was told that its client has not acked. None where that is not known.
    """
    heads = Stream.objects.filter(user=OuterRef("user_id")).values("head")
    return rows.annotate(
        head=Coalesce(Subquery(heads), 0),
        # Reported before the head was read; and where there is no cursor PostgreSQL's GREATEST would make it 0.
        behind=Case(When(cursor__isnull=False, then=Greatest(F("head") - F("cursor"), 0))),
        unacked=F("cursor") - F("acked"),
    )
