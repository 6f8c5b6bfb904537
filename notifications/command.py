"""`usher`: the terminal client as a command, see `notifications.client.terminal`."""

import sys
from importlib import import_module


def main() -> int:
    try:
        terminal = import_module("notifications.client.terminal")
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        sys.stderr.write(f"usher: {package} is not installed: pip install 'usher[client]'\n")
        return 2
    return int(terminal.main())
