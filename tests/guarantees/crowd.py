"""Many threads in several processes that do something at the same moment.

The test:

    answers = run(stack, "tests.guarantees.redeeming", "race", processes=3, threads=32, tickets=[…])

The module, run as `python -m`:

    def race(part):
        return part.in_threads(lambda thread: […])

    if __name__ == "__main__":
        take_part(race, …)

Nothing here relies on luck or on the clock: `part.meet()` is passed by no process before all have come to it, and
`part.meet_all()` by no thread before all threads of all processes have.
"""

import json
import mmap
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import django

from tests.support.processes import Process, wait_until
from tests.support.stack import Stack

PATIENCE = float(os.environ.get("CROWD_PATIENCE", "60"))
"""Seconds that one waits for the others before it is an error: only ever spent when somebody has failed."""


# The test's side --------------------------------------------------------------------------------------------------


class Crowd:
    """Processes that were started and whose answers are wanted later."""

    def __init__(self, process: Process, answers: Sequence[Path]) -> None:
        self.process = process
        self._answers = answers

    def answers(self, timeout: float = 100) -> list[Any]:
        """What each process returned, in order of their numbers."""
        wait_until(lambda: self.process.returncode is not None, timeout=timeout, what="end of the crowd")
        assert self.process.returncode == 0, f"a worker failed:\n{self.process.log()[-8000:]}"
        return [json.loads(answer.read_text()) for answer in self._answers]


def start(stack: Stack, module: str, task: str, *, processes: int = 1, threads: int = 1, **plan: Any) -> Crowd:
    """Start `task` of `module` in so many processes."""
    ground = stack.log_path("crowd")
    ground.write_bytes(bytes(8 * processes))
    places = [
        {
            "task": task,
            "number": number,
            "processes": processes,
            "threads": threads,
            "ground": str(ground),
            "plan": plan,
        }
        for number in range(processes)
    ]
    files = [ground.with_suffix(f".{number}.plan") for number in range(processes)]
    for place, file in zip(places, files, strict=True):
        file.write_text(json.dumps(place))
    # Each thread has a connection of its own; that a pool is smaller than the crowd is not what is tested here.
    env = {"TICKETS_DATABASE_THREADS": str(threads)}
    process = stack.script(module, *map(str, files), env=env)
    return Crowd(process, [file.with_suffix(".json") for file in files])


def run(stack: Stack, module: str, task: str, *, timeout: float = 100, **how: Any) -> list[Any]:
    """`start`, and the answers."""
    return start(stack, module, task, **how).answers(timeout)


# The processes' side ----------------------------------------------------------------------------------------------


class Part:
    """What one process of the crowd knows."""

    def __init__(self, place: dict[str, Any]) -> None:
        self.number: int = place["number"]
        self.processes: int = place["processes"]
        self.threads: int = place["threads"]
        self.plan: dict[str, Any] = place["plan"]
        with Path(place["ground"]).open("r+b") as ground:
            self._memory = mmap.mmap(ground.fileno(), 0)
        self._come = memoryview(self._memory).cast("Q")  # how many meetings each process has come to
        self._gate = threading.Barrier(self.threads, action=self.meet, timeout=PATIENCE)

    def meet(self) -> None:
        """Wait for the other processes."""
        meeting = self._come[self.number] + 1
        self._come[self.number] = meeting
        deadline = time.monotonic() + PATIENCE
        while any(come < meeting for come in self._come):
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.number} waits at meeting {meeting}: {list(self._come)}")
            time.sleep(0.0002)

    def meet_all(self) -> None:
        """From within `in_threads`: wait for all threads of all processes."""
        self._gate.wait()

    def in_threads(self, work: Callable[[int], Any]) -> list[Any]:
        """`work(thread number)` in each thread, begun together; numbers are unique across processes."""
        first = self.number * self.threads
        with ThreadPoolExecutor(self.threads) as pool:
            jobs = [pool.submit(self._in_thread, work, first + thread) for thread in range(self.threads)]
            return [job.result() for job in jobs]

    def _in_thread(self, work: Callable[[int], Any], thread: int) -> Any:
        from django.db import connection

        try:
            connection.ensure_connection()
            self.meet_all()
            return work(thread)
        except BaseException:
            self._gate.abort()  # the others need not wait for one that has failed
            raise
        finally:
            connection.close()


def take_part(*tasks: Callable[[Part], Any]) -> None:
    """The main program of a module: a process for each file named on the command line, which does what the file says
    and leaves its answer beside it. They are forks, since loading Django takes longer than most of what they do."""
    django.setup()
    forks: set[int] = set()

    def end_all(*_: object) -> None:
        for fork in forks:
            os.kill(fork, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end_all)
    for file in map(Path, sys.argv[1:]):
        fork = os.fork()
        if not fork:
            os._exit(_take_part(tasks, file))
        forks.add(fork)
    failed = False
    while forks:
        fork, status = os.wait()
        forks.discard(fork)
        if status and not failed:
            failed = True
            end_all()  # the others would only wait for this one
    raise SystemExit(failed)


def _take_part(tasks: Sequence[Callable[[Part], Any]], file: Path) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    place = json.loads(file.read_text())
    (task,) = (task for task in tasks if task.__name__ == place["task"])
    try:
        answer = task(Part(place))
        file.with_suffix(".json").write_text(json.dumps(answer))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
