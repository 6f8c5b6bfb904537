"""Ends what a test run started when the run itself is killed: reads `+pid` and `-pid`, and acts when its input closes.

A pid is named only while its parent has not reaped it, so no stranger can have been given the same number.
"""

import contextlib
import sys

import psutil


def main() -> None:
    held: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        (held.add if line[0] == "+" else held.discard)(pid)
    for pid in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            for process in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


if __name__ == "__main__":
    main()
