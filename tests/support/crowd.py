"""Many threads in several processes that do something at the same moment.

The test:

    answers = run(stack, "tests.guarantees.redeeming", "race", processes=3, threads=32, tickets=[…])

The module:

    def race(part):
        return part.in_threads(lambda thread: […])

Nothing here relies on luck or on the clock: `part.meet()` is passed by no process before all have come to it, and
`part.meet_all()` by no thread before all threads of all processes have.
"""

import contextlib
import json
import mmap
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.support.stack import Stack

PATIENCE = float(os.environ.get("CROWD_PATIENCE", "60"))
"""Seconds that one waits for the others before it is an error: only ever spent when somebody has failed."""


# The test's side --------------------------------------------------------------------------------------------------


# Each thread has a connection of its own; that a pool is smaller than the crowd is not what is tested here.
MOST_THREADS = 32

_foremen: "weakref.WeakKeyDictionary[Stack, Foreman]" = weakref.WeakKeyDictionary()


class Foreman:
    """A process of a stack that has loaded Django, which takes longer than most crowds, and forks for each of them."""

    def __init__(self, stack: "Stack") -> None:
        self.env = dict(stack.env)
        pipe = stack.log_path("crowds")
        os.mkfifo(pipe)
        self._orders = os.open(pipe, os.O_RDWR)
        self.process = stack.script(__name__, str(pipe), env={"TICKETS_DATABASE_THREADS": str(MOST_THREADS)})
        weakref.finalize(self, os.close, self._orders)

    def order(self, job: Path) -> None:
        os.write(self._orders, f"{job}\n".encode())

    @classmethod
    def of(cls, stack: "Stack") -> "Foreman":
        known = _foremen.get(stack)
        if known is None or known.env != stack.env or known.process.returncode is not None:
            known = _foremen[stack] = cls(stack)
        return known


class Crowd:
    """Processes that were started and whose answers are wanted later."""

    def __init__(self, foreman: Foreman, job: Path, processes: int) -> None:
        self._foreman = foreman
        self.job = job
        self._processes = processes

    def answers(self, timeout: float = 100) -> list[Any]:
        """What each process returned, in order of their numbers."""
        code = wait_until(self._code, timeout=timeout, what="end of the crowd")
        assert code == "0", f"a worker failed:\n{self.said()[-8000:]}"
        return [json.loads(_answer(self.job, number).read_text()) for number in range(self._processes)]

    def _code(self) -> str | None:
        if (code := self.job.with_suffix(".code")).exists():
            return code.read_text()
        return None if self._foreman.process.returncode is None else "the foreman has ended"

    def said(self) -> str:
        """What its processes printed."""
        output = self.job.with_suffix(".out")
        return output.read_text() if output.exists() else self._foreman.process.log()


def start(stack: "Stack", module: str, task: str, *, processes: int = 1, threads: int = 1, **plan: Any) -> Crowd:
    """Start `task` of `module` in so many processes."""
    assert threads <= MOST_THREADS
    job = stack.log_path("job")
    job.with_suffix(".ground").write_bytes(bytes(8 * processes))
    place = {"module": module, "task": task, "processes": processes, "threads": threads, "plan": plan}
    job.write_text(json.dumps(place))
    foreman = Foreman.of(stack)
    foreman.order(job)
    return Crowd(foreman, job, processes)


def _answer(job: Path, number: int) -> Path:
    return job.with_suffix(f".{number}.json")


def run(stack: "Stack", module: str, task: str, *, timeout: float = 100, **how: Any) -> list[Any]:
    """`start`, and the answers."""
    return start(stack, module, task, **how).answers(timeout)


# The processes' side ----------------------------------------------------------------------------------------------


class Part:
    """What one process of the crowd knows."""

    def __init__(self, job: Path, place: dict[str, Any], number: int) -> None:
        self.number = number
        self.processes: int = place["processes"]
        self.threads: int = place["threads"]
        self.plan: dict[str, Any] = place["plan"]
        with job.with_suffix(".ground").open("r+b") as ground:
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


def main(pipe: str) -> None:
    """Read the names of jobs, and carry each out in a fork that is killed with this process."""
    django.setup()
    crowds: set[int] = set()
    _at_the_end_kill(crowds, signal.SIGTERM)
    with Path(pipe).open() as orders:
        while job := orders.readline().strip():
            crowds -= {crowd for crowd in crowds if os.waitpid(crowd, os.WNOHANG)[0]}
            _fork(crowds, lambda: _gather(Path(job)))
    os.kill(os.getpid(), signal.SIGTERM)  # the test run has ended


def _fork(family: set[int], work: Callable[[], int]) -> None:
    # A signal between the two lines would find a child that nobody has written down.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os._exit(work())
    family.add(child)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _at_the_end_kill(family: set[int], how: signal.Signals) -> None:
    def end_all(*_: object) -> None:
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, how)
        os._exit(0)

    signal.signal(signal.SIGTERM, end_all)


def _gather(job: Path) -> int:
    """The processes of one crowd; when all have ended, a file says how."""
    output = os.open(job.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    place = json.loads(job.read_text())
    forks: set[int] = set()
    _at_the_end_kill(forks, signal.SIGKILL)
    for number in range(place["processes"]):
        _fork(forks, lambda: _take_part(job, place, number))  # noqa: B023 - called before the next turn
    failed = False
    while forks:
        fork, status = os.wait()
        forks.discard(fork)
        if status and not failed:
            failed = True
            for other in forks:  # they would only wait for this one
                os.kill(other, signal.SIGKILL)
    code = job.with_suffix(".code")
    code.with_suffix(".new").write_text(str(int(failed)))
    code.with_suffix(".new").rename(code)
    return 0


def _take_part(job: Path, place: dict[str, Any], number: int) -> int:
    try:
        task = getattr(import_module(place["module"]), place["task"])
        _answer(job, number).write_text(json.dumps(task(Part(job, place, number))))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
