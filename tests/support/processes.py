"""Subprocesses that are always ended: by their owner, at exit, and by the leash if the test run itself is killed.

Only processes started here are ever signalled, and only by their pid.
"""

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self, TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")

_ports: set[int] = set()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that stays ours while its server is down.

    Taken below the range from which the kernel gives ports to outgoing connections: a client that knocks on a dead
    server's port in a loop could otherwise be given that very port and end up connected to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports.add(port)
        return port


def wait_until(ask: Callable[[], T], *, timeout: float, what: str, every: float = 0.02) -> T:
    """Ask until the answer is true; an exception counts as a no and is told when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        failure: Exception | None = None
        try:
            if answer := ask():
                return answer
        except Exception as error:
            failure = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {timeout:g} s ({failure!r})")
        time.sleep(every)


class Process:
    """One subprocess in a session of its own (Ctrl-C reaches only the test run), with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        stop_signal: signal.Signals = signal.SIGTERM,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        user: str | None = None,
    ) -> None:
        self.command = list(command)
        self.log_path = log_path
        self._stop_signal = stop_signal
        self._paused: list[psutil.Process] = []
        with log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                env=None if env is None else dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        _leash.hold(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        code = self._popen.poll()
        if code is not None:
            _leash.release(self)
        return code

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait(self, timeout: float) -> int:
        code = self._popen.wait(timeout)
        _leash.release(self)
        return code

    def family(self) -> list[psutil.Process]:
        """The process and everything it has forked, parent first."""
        if self.returncode is not None:
            return []
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def pause(self) -> None:
        """SIGSTOP: it keeps its sockets and answers nobody. The parent first, so that it cannot fork meanwhile."""
        if self.returncode is not None:
            raise RuntimeError(f"{self.command[0]} has already ended")
        parent = psutil.Process(self.pid)
        parent.suspend()
        self._paused = [parent]
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()
                self._paused.append(child)

    def resume(self) -> None:
        for process in reversed(self._paused):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self._paused = []

    def kill(self) -> None:
        """SIGKILL to it and to everything it has forked; back when they are gone."""
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if family:
            self.wait(10)
            psutil.wait_procs(family[1:], timeout=10)
        self._paused = []

    def terminate(self) -> None:
        """Ask it to end (its own signal, SIGTERM for most) and return at once."""
        if self.returncode is None:
            self._popen.send_signal(self._stop_signal)

    def stop(self, timeout: float = 10) -> int | None:
        """Ask, wait, and insist if need be. Returns the exit code; calling it again is fine."""
        self.resume()
        self.terminate()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _Leash:
    """The other end of tests.support.leash, started with the first process."""

    def __init__(self) -> None:
        self._held: dict[int, Process] = {}
        self._popen: subprocess.Popen[str] | None = None
        self._owner = os.getpid()

    def hold(self, process: Process) -> None:
        if self._popen is None:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "tests.support.leash"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            atexit.register(self._end_all)
        self._held[process.pid] = process
        self._say(f"+{process.pid}")

    def release(self, process: Process) -> None:
        if self._held.pop(process.pid, None):
            self._say(f"-{process.pid}")

    def _say(self, line: str) -> None:
        assert self._popen is not None and self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(f"{line}\n")
            self._popen.stdin.flush()

    def _end_all(self) -> None:
        if os.getpid() != self._owner:
            return  # a fork of the test run owns nothing
        for process in reversed(list(self._held.values())):
            process.stop(timeout=5)
        assert self._popen is not None and self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._popen.wait(10)


_leash = _Leash()
