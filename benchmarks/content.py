"""What is said."""

from typing import Any

WHAT: dict[str, Any] = {
    "kind": "ci.build",
    "level": "success",
    "title": "Build finished",
    "body": "Build 1742 of the main branch finished after 3 minutes and 12 seconds.",
    "url": "/builds/1742/",
    "data": {"build": 1742},
}
"""An ordinary notification; its frame has about 400 bytes."""

TOPIC = "benchmark"
"""What everybody hears in workload (c)."""
