"""The site's own settings, with passwords that are hashed in no time: in earnest each takes a fifth of a second of a
core, and the tests sign in hundreds of times."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from project.settings import *  # noqa: F403 - all of them


class QuickHasher(PBKDF2PasswordHasher):
    """The same algorithm, and no work."""

    iterations = 1


PASSWORD_HASHERS = [f"{QuickHasher.__module__}.{QuickHasher.__qualname__}"]
