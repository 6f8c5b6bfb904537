"""A site's own model of users: it keeps names, and nothing that says whether somebody may still sign in, or how."""

from typing import ClassVar

from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=100, unique=True)

    USERNAME_FIELD = "name"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    is_anonymous = False
    is_authenticated = True

    def __str__(self) -> str:
        return self.name
