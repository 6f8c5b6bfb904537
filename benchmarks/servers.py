"""The servers that are measured: each one process, as it is run in earnest, and what the kernel knows of it."""

import asyncio
import contextlib
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import ROOT, Process, free_port
from tests.support.servers import OPTIONS

COMMANDS: dict[str, list[str]] = {
    "uvicorn": [*OPTIONS["uvicorn"], "--timeout-graceful-shutdown=30", "--log-level=warning"],
    "daphne": [*OPTIONS["daphne"], "--verbosity=0"],
}
APPLICATIONS = {
    **dict.fromkeys(("usher", "stomp", "cable"), "project.asgi:application"),
    "plain": "benchmarks.plain.asgi:application",
    "jwt": "benchmarks.plain.asgi:application",
}

QUIET_SECONDS, QUIET_CPU = 0.05, 0.001
"""A server that used less CPU than this for so long has nothing left to do."""


class Server:
    """A running server process. It is ended by `stop`, and in any case with this process."""

    def __init__(self, command: list[str], *, env: Mapping[str, str], log_path: Path, port: int) -> None:
        self.port = port
        self._command = command
        self._env = env
        self._log_path = log_path
        self.start()

    @classmethod
    def of(cls, kind: str, side: str, *, env: Mapping[str, str], directory: Path) -> "Server":
        """`side` under the server `kind`; up, but perhaps not answering yet (`ready`)."""
        port = free_port()
        if side == "socket.io":
            kind, command = "node", ["node", "benchmarks/socketio/server.mjs"]
            env = {**env, "PORT": str(port)}
        else:
            command = [sys.executable, "-m", kind, f"--port={port}", *COMMANDS[kind], APPLICATIONS[side]]
        return cls(command, env=env, log_path=directory / f"{kind}-{side}-{port}.log", port=port)

    def start(self) -> None:
        """Again, at the same address."""
        self._process = Process(self._command, log_path=self._log_path, env=self._env, cwd=ROOT)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self, path: str = "/healthz") -> None:
        """Until it answers; raises with its log if it does not come up."""
        for _ in range(600):
            if self._process.returncode is not None:
                break
            with contextlib.suppress(OSError, urllib.error.URLError):
                await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{self.port}{path}", timeout=5)
                return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{' '.join(self._command)} did not come up:\n{self.log()}")

    async def post(self, path: str, body: bytes) -> bytes:
        """The answer to a POST of JSON."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, headers={"Content-Type": "application/json"}
        )

        def ask() -> bytes:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.read()

        return await asyncio.to_thread(ask)

    def cpu(self) -> float:
        """
        Seconds of CPU of all its threads, ended ones included: its process clock, which is what /proc/<pid>/stat shows
        as utime + stime, in nanoseconds instead of hundredths of a second.
        """
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3)

    def memory(self) -> int:
        """Bytes that it holds for itself: the proportional set size, in which shared pages count in part."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("this kernel tells no Pss")

    async def quiet(self, timeout: float = 20) -> None:
        """Until it has nothing left to do, or for so long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            before = self.cpu()
            await asyncio.sleep(QUIET_SECONDS)
            if self.cpu() - before < QUIET_CPU:
                return

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        """At once: nobody is connected who would mind, or they are to see it."""
        self._process.kill()


def has_socketio() -> bool:
    """Whether socket.io can stand beside the others here."""
    return shutil.which("node") is not None and (ROOT / "node_modules/socket.io").is_dir()
