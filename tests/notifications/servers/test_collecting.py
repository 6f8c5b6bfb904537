"""In a process of its own: what it changes holds for the whole process."""

import subprocess
import sys

from notifications.servers.collecting import THRESHOLDS

PROGRAM = """
import gc, weakref
from notifications.servers import collecting

collecting.install()
frozen = gc.get_freeze_count()

class Cycle:
    def __init__(self):
        self.itself = self

gone = weakref.ref(Cycle())
kept = []
while gone() is not None and len(kept) < 1_000_000:
    kept.append([])
print(gc.isenabled(), gc.get_threshold(), frozen > 1000, gone() is None)
"""


def said_by(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_it_looks_less_often_and_still_finds_what_is_left():
    assert said_by(PROGRAM) == f"True {THRESHOLDS} True True\n"


def test_the_application_that_is_served_does_so():
    assert said_by("import gc, project.asgi; print(gc.get_threshold())") == f"{THRESHOLDS}\n"
