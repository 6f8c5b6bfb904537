"""`python -m deploy.local --host 127.0.0.1 --port 8000 --processes 2`; ends with 0 if it was asked to end."""

import argparse
import os
import signal
import sys


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run-scaled")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args(arguments)
    if wanted.processes < 1:
        parser.error("PROCESSES= is at least 1")
    try:
        from deploy.local.places import Failed
        from deploy.local.rig import Ended, Rig, say
    except ImportError as error:
        sys.stderr.write(f"{error}. `make run-scaled` installs it, from requirements-dev.txt.\n")
        return 1
    rig = Rig(host=wanted.host, port=wanted.port, processes=wanted.processes, environment=os.environ)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, rig.asked_to_end)
    try:
        rig.start()
        rig.describe()
        rig.watch()
    except Ended:
        return 0
    except Failed as failure:
        say(f"{failure}")
        return 1
    finally:
        rig.end()
        say("Ended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
