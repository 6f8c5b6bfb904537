"""The settings of the other tests, with rules about topics (`topic_rules`)."""

from tests.support.settings import *  # noqa: F403 - all of them
from tests.support.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.clients"]
