"""How often Python looks for garbage in cycles.

It does so whenever 700 more objects were made than freed, and every hundredth time it walks through all there are: with
thousands of sockets that is a tenth of what a frame costs, and it finds next to nothing, since a socket's objects are
freed when the last reference to them goes.
"""

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 10, 10)


def install() -> None:
    """Look less often, and never again through what was loaded until now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
