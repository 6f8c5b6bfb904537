"""The site's ASGI application under a real server, as a subprocess on 127.0.0.1.

with Server("daphne", stack, env={"TICKETS_GRANT_SECONDS": "3"}) as server:
    httpx.get(f"{server.http}/healthz")
    server.kill()
    server.start()      # again, at the same address
"""

import sys
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import httpx

from tests.support.processes import Process, free_port, wait_until
from tests.support.stack import Stack

ServerKind = Literal["daphne", "uvicorn"]

# Each as it is run in earnest, except for uvicorn's patience at the end.
OPTIONS: dict[ServerKind, list[str]] = {
    "daphne": [
        "--bind=127.0.0.1",
        "--websocket-max-message-size=16384",
        "--websocket_timeout=-1",
        "--no-server-name",
    ],
    "uvicorn": [
        "--host=127.0.0.1",
        "--ws=websockets-sansio",
        "--ws-max-size=16384",
        "--ws-per-message-deflate=false",
        "--ws-ping-interval=20",
        "--ws-ping-timeout=20",
        "--timeout-graceful-shutdown=5",
        "--no-server-header",
        "--no-proxy-headers",
    ],
}

# None of these has a place in the log of a server that was treated well or badly.
COMPLAINTS = ("Traceback (most recent call last)", "was never retrieved", "was never awaited", "Exception ignored in")


class Server:
    """One server process. Up and answering once constructed."""

    running: ClassVar[set["Server"]] = set()

    def __init__(
        self,
        kind: ServerKind,
        stack: Stack,
        *,
        env: Mapping[str, str] | None = None,
        application: str = "project.asgi:application",
    ) -> None:
        self.kind = kind
        self.stack = stack
        self.env = stack.env | dict(env or {})
        self.application = application
        self.port = free_port()
        self.http = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.log_path = stack.log_path(kind)
        self.process: Process | None = None
        self.start()

    def __repr__(self) -> str:
        return f"<Server {self.kind} {self.http} on {self.stack.kind}>"

    def start(self) -> None:
        """Start it, or start it again at the same address, writing on in the same log."""
        command = [sys.executable, "-m", self.kind, f"--port={self.port}", *OPTIONS[self.kind], self.application]
        self.process = Process(command, log_path=self.log_path, env=self.env)
        self.running.add(self)
        try:
            self.wait_ready()
        except TimeoutError as error:
            self.kill()
            raise RuntimeError(f"{self.kind} did not come up: {error}\n{self.log()}") from error

    def wait_ready(self, timeout: float = 60) -> None:
        """Until GET /healthz says 200; at once an error if the process has ended."""

        def healthy() -> bool:
            return self.process.returncode is not None or self._get("/healthz").status_code == 200

        wait_until(healthy, timeout=timeout, what=f"healthy {self.kind}", every=0.05)
        if self.process.returncode is not None:
            raise TimeoutError(f"ended with {self.process.returncode}")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def log_size(self) -> int:
        return self.log_path.stat().st_size

    def log_since(self, size: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

    def complaints(self, since: int = 0) -> list[str]:
        """Lines of the log that no well-behaved server writes, whatever it was sent."""
        return [line for line in self.log_since(since).splitlines() if any(bad in line for bad in COMPLAINTS)]

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL; back when it is gone."""
        self.process.kill()
        self.running.discard(self)

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections for it."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def stop(self) -> int | None:
        """SIGTERM and wait; SIGKILL after 15 s. Returns the exit code."""
        code = self.process.stop(timeout=15)
        self.running.discard(self)
        return code

    def _get(self, path: str) -> httpx.Response:
        with httpx.Client(base_url=self.http, trust_env=False, verify=False, timeout=2) as client:
            return client.get(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
