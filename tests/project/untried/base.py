"""A database engine of somebody else's, as packages for Django bring them: here one that does all that SQLite does."""

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    vendor = "untried"
    display_name = "Untried"
