"""What a run found, beside what is promised; and the table in the README. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.measuring import number, ratio, table

START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


@dataclass(frozen=True)
class Result:
    """One line: what Usher needs, and what others need for the same."""

    what: str
    unit: str
    usher: float
    plain: float | None = None
    socketio: float | None = None
    promises: Sequence["Promise"] = field(default=())

    @property
    def times(self) -> float | None:
        """How many times as much the plain way needs."""
        return None if self.plain is None else ratio(self.plain, self.usher)


@dataclass(frozen=True)
class Promise:
    """Something that is said of a result, and whether it is so."""

    text: str
    kept: Callable[[Result], bool]


def at_least(times: float) -> Promise:
    """The plain way needs at least so many times as much."""
    return Promise(f"plain ≥ {times:g}x", lambda found: found.times is not None and found.times >= times)


def at_most(limit: float) -> Promise:
    """Usher needs no more than this, in the result's own unit."""
    return Promise(f"≤ {limit:g}", lambda found: found.usher <= limit)


BELOW_PLAIN = Promise("< plain", lambda found: found.plain is None or found.usher < found.plain)
AS_SOCKETIO = Promise("≤ socket.io", lambda found: found.socketio is None or found.usher <= found.socketio)

HEAD = ["", "Usher", "plain Channels", "plain ÷ Usher", "socket.io"]


def summary(results: Sequence[Result]) -> str:
    """Everything, with what was promised and whether it is kept."""
    rows = [[*_cells(result), ", ".join(_judged(result)) or ""] for result in results]
    return table([*HEAD, "promised"], rows)


def _judged(result: Result) -> list[str]:
    return [promise.text if promise.kept(result) else f"MISSED: {promise.text}" for promise in result.promises]


def _cells(result: Result) -> list[str]:
    def told(value: float | None) -> str:
        return "" if value is None else f"{number(value)} {result.unit}".strip()

    times = "" if result.times is None else f"{number(result.times)}x"
    return [result.what, told(result.usher), told(result.plain), times, told(result.socketio)]


def readme_block(results: Sequence[Result], notes: Sequence[str], *, machine: str) -> str:
    """What stands between the two comments."""
    return (
        f"{START}\n{table(HEAD, [_cells(result) for result in results])}\n\n"
        f"{' '.join(notes)}\n\n"
        "CPU of the server process unless the line says otherwise; medians of one run in which all sides took turns.\n"
        f"{machine}\n"
        f"Written by `make bench`; [benchmarks/](benchmarks/README.md) says how each is measured.\n{END}"
    )


def put(readme: str, block: str) -> str:
    """The README with this block in the place of the one it has."""
    before, start, rest = readme.partition(START)
    _old, end, after = rest.partition(END)
    if not start or not end or START in after or END in after:
        raise ValueError(f"the README needs exactly one {START} and one {END} after it")
    return before + block + after
