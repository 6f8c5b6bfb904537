"""Which servers there are here, and whether what is mended in them is known."""

import functools
import logging
from importlib import import_module, metadata
from typing import Final

logger = logging.getLogger("notifications.servers")

KNOWN: Final = {"daphne": "4.2.", "uvicorn": "0.54."}
"""Versions that begin so: what is mended in a server is not part of what it promises, so each is tried."""


def installed() -> dict[str, str]:
    """The servers that this process could be served by, with their versions."""
    found = {}
    for name in KNOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # a site needs one of them
    return found


def unknown() -> dict[str, str]:
    """Those of them of which nobody knows what would have to be mended."""
    return {name: version for name, version in installed().items() if not version.startswith(KNOWN[name])}


@functools.cache
def mend() -> None:
    """Have every server of this process be as `daphne_sockets` and `uvicorn_sockets` say, once.

    One that is not known is left as it is, and that is said: better than one that does not start.
    """
    strange = unknown()
    for name, version in installed().items():
        if name in strange:
            logger.error("%s %s is not one that Usher knows: its weaknesses are not mended.", name, version)
        else:
            import_module(f".{name}_sockets", __package__).install()
