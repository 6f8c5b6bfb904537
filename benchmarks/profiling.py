"""Where a server's time goes: py-spy looks at it from outside, some hundred times a second, and disturbs little."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import table

RATE = 1000
SHOWN = 25


def _program() -> str:
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if not found:
        raise SystemExit("--profile needs py-spy: .venv/bin/pip install py-spy")
    return found


class Profiler:
    """Records processes, and tells which functions they were in."""

    def __init__(self) -> None:
        self._program = _program()
        self._directory = Path(tempfile.mkdtemp(prefix="usher-profile-"))
        self._recorded: dict[str, Path] = {}

    @contextlib.contextmanager
    def record(self, pid: int, name: str) -> Iterator[None]:
        """Sample what the process does in Python (who holds its lock) for as long as the block runs."""
        path = self._recorded[name] = self._directory / f"{len(self._recorded)}.txt"
        command = [self._program, "record", f"--pid={pid}", f"--rate={RATE}", "--format=raw", f"--output={path}"]
        with subprocess.Popen(
            [*command, "--duration=unlimited", "--gil"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as spy:
            try:
                yield
            finally:
                spy.send_signal(signal.SIGINT)

    def report(self) -> str:
        """For each recording: where it was (self) and what it was under (total), as shares of all samples."""
        parts = []
        for name, path in self._recorded.items():
            samples, own, total = count(path.read_text().splitlines())
            often = {function for function, _ in own.most_common(SHOWN)} | {
                name for name, _ in total.most_common(SHOWN)
            }
            ranked = sorted(often, key=lambda function: (-total[function], function))
            rows = [
                [function, f"{own[function] / samples:.1%}", f"{total[function] / samples:.1%}"] for function in ranked
            ]
            parts.append(f"\n{name}: {samples} samples, {path}\n\n{table(['function', 'self', 'total'], rows)}")
        return "\n".join(parts)


def count(lines: list[str]) -> tuple[int, Counter[str], Counter[str]]:
    """Of collapsed stacks (`outer;…;inner count`): all samples, and those in and under each function."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in lines:
        stack, _, times = line.rpartition(" ")
        functions = [part.rpartition(":")[0] + ")" if ":" in part else part for part in stack.split(";")]
        samples += int(times)
        own[functions[-1]] += int(times)
        for function in set(functions):
            total[function] += int(times)
    return samples, own, total
