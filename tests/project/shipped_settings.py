"""The site's own settings, with its static files collected elsewhere than in this checkout."""

import os

from project.settings import *  # noqa: F403 - all of them

STATIC_ROOT = os.environ["SHIPPED_STATIC_ROOT"]
