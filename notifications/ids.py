"""UUIDs of version 7 (RFC 9562, chapter 5.7): sortable by the moment they were made.

Rows written one after the other get ids in that order, which is what keeps the calls of one thread in order until they
are numbered, and lands them beside each other in the index.
"""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """
    Greater than every id this process made before, even when the clock steps back.

    Bits: 48 of milliseconds, 4 of version, 12 + 14 of counter (RFC 9562, 6.2, method 1), 2 of variant, 48 random.
    """
    global _last
    with _lock:
        # One number holds both: milliseconds above, a counter below that starts anew each millisecond and may run over
        # into the next one.
        _last = max(_last + 1, time.time_ns() // 1_000_000 << 26)
        stamp = _last
    counter = stamp & 0x3FFFFFF
    value = (stamp >> 26 & 0xFFFFFFFFFFFF) << 80 | 7 << 76 | (counter >> 14) << 64 | 2 << 62
    return UUID(int=value | (counter & 0x3FFF) << 48 | int.from_bytes(os.urandom(6)))
