"""While a site is rolled from one release to the next, processes of both write to one database."""

import pytest
from django.db.migrations import AddField, AlterField, DeleteModel, RemoveField, RenameField, RenameModel
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

FIRST = "0001_initial"


def operations():
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in ("tickets", "notifications") and name != FIRST:
            yield from ((f"{app}.{name}", operation) for operation in migration.operations)


def test_rows_of_the_release_before_are_whole():
    """It does not know the new columns, so the database has to."""
    added = [(where, operation) for where, operation in operations() if isinstance(operation, AddField)]
    assert len(added) >= 5
    for where, operation in added:
        known = operation.field.null or operation.field.db_default is not NOT_PROVIDED
        assert known, f"{where}: {operation.name} has to be given by whoever writes"


WIDENED = {"tickets.0007_staff_searches: Alter field why on auditevent"}
"""What fits the column as it was fits it as it is."""


@pytest.mark.parametrize("kind", [RemoveField, RenameField, RenameModel, DeleteModel, AlterField])
def test_nothing_is_taken_away_that_the_release_before_uses(kind):
    taken = [f"{where}: {operation.describe()}" for where, operation in operations() if isinstance(operation, kind)]
    assert set(taken) <= WIDENED
