"""Reads PromQL as far as it is used here: whether an expression is well-formed, what it asks for, and by what it tells.

    used = read('sum by (code) (rate(usher_connections_closed_total{code!="1000"}[5m]))')
    used.selectors   # [Selector("usher_connections_closed_total", (("code", "!=", "1000"),))]
    used.labels      # {"code"}: what its series can be told apart by; None: all that the selectors have

ValueError for anything else.
"""

import re
from dataclasses import dataclass, field

AGGREGATIONS = {"sum", "min", "max", "avg", "count"}
OF_RANGES = {"rate", "increase", "irate", "delta", "max_over_time", "avg_over_time"}
BINARY = (("or", "and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%"))
TOKEN = re.compile(
    r"\s*(?:(?P<duration>\[\d+(?:ms|[smhd])\])|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<text>\"[^\"\\]*\")"
    r"|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%(){},=<>]))"
)


@dataclass(frozen=True)
class Selector:
    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()


@dataclass
class Used:
    kind: str  # scalar, instant or range
    selectors: list[Selector] = field(default_factory=list)
    labels: set[str] | None = None
    named: set[str] = field(default_factory=set)
    """Labels that aggregations name."""


def read(expression: str) -> Used:
    """What an expression is made of."""
    parser = _Parser(expression)
    used = parser.binary(0)
    if parser.tokens:
        raise ValueError(f"{expression}: what is {parser.tokens[0][1]!r}?")
    if used.kind == "range":
        raise ValueError(f"{expression}: a range is nothing to draw")
    return used


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, place, text = [], 0, expression.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match or match.lastgroup is None:
            raise ValueError(f"{expression}: not understood from {text[place:]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = _tokens(expression)

    def take(self, *wanted: str) -> str:
        if not self.tokens or (wanted and self.tokens[0][1] not in wanted):
            there = self.tokens[0][1] if self.tokens else "the end"
            raise ValueError(f"{self.expression}: {there!r} where {' or '.join(wanted) or 'something'} should be")
        return self.tokens.pop(0)[1]

    def next_is(self, *wanted: str) -> bool:
        return bool(self.tokens) and self.tokens[0][1] in wanted

    def binary(self, level: int) -> Used:
        if level == len(BINARY):
            return self.postfix()
        left = self.binary(level + 1)
        while self.next_is(*BINARY[level]):
            self.take()
            left = self._both(left, self.binary(level + 1))
        return left

    def _both(self, left: Used, right: Used) -> Used:
        if "range" in (left.kind, right.kind):
            raise ValueError(f"{self.expression}: no arithmetic with ranges")
        vectors = [used for used in (left, right) if used.kind == "instant"]
        labels = [used.labels for used in vectors]
        if len(vectors) == 2 and left.labels != right.labels:
            raise ValueError(f"{self.expression}: {left.labels} and {right.labels} do not match")
        kind = "instant" if vectors else "scalar"
        named = left.named | right.named
        return Used(kind, left.selectors + right.selectors, labels[0] if labels else set(), named)

    def postfix(self) -> Used:
        used = self.primary()
        if self.tokens and self.tokens[0][0] == "duration":
            self.take()
            if used.kind != "instant" or len(used.selectors) != 1 or used.named:
                raise ValueError(f"{self.expression}: a range of what is no selector")
            used.kind = "range"
        return used

    def primary(self) -> Used:
        if self.next_is("("):
            self.take()
            used = self.binary(0)
            self.take(")")
            return used
        kind, text = self.tokens[0] if self.tokens else ("", "the end")
        if kind == "number":
            self.take()
            return Used("scalar", labels=set())
        if kind != "name":
            raise ValueError(f"{self.expression}: {text!r} where a value should be")
        self.take()
        if text in AGGREGATIONS:
            return self.aggregation()
        return self.call(text) if self.next_is("(") else self.selector(text)

    def aggregation(self) -> Used:
        by = self.words() if self.next_is("by") and self.take() else None
        (inner,) = self.arguments("instant")
        by = self.words() if by is None and self.next_is("by") and self.take() else by
        labels = set(by or ())
        if inner.labels is not None and not labels <= inner.labels:
            raise ValueError(f"{self.expression}: {labels - inner.labels} is gone by then")
        return Used("instant", inner.selectors, labels, inner.named | labels)

    def call(self, name: str) -> Used:
        if name in OF_RANGES:
            (inner,) = self.arguments("range")
            return Used("instant", inner.selectors, inner.labels, inner.named)
        if name == "histogram_quantile":
            _, inner = self.arguments("scalar", "instant")
            if inner.labels is None or "le" not in inner.labels:
                raise ValueError(f"{self.expression}: a quantile of what is not told by le")
            return Used("instant", inner.selectors, inner.labels - {"le"}, inner.named)
        raise ValueError(f"{self.expression}: there is no function {name}")

    def arguments(self, *kinds: str) -> list[Used]:
        self.take("(")
        found = []
        for number, kind in enumerate(kinds):
            if number:
                self.take(",")
            found.append(self.binary(0))
            if found[-1].kind != kind:
                raise ValueError(f"{self.expression}: {found[-1].kind} where {kind} is needed")
        self.take(")")
        return found

    def words(self) -> list[str]:
        self.take("(")
        found = [self.take()]
        while self.next_is(","):
            self.take()
            found.append(self.take())
        self.take(")")
        return found

    def selector(self, metric: str) -> Used:
        matchers: list[tuple[str, str, str]] = []
        if self.next_is("{"):
            self.take()
            while not self.next_is("}"):
                if matchers:
                    self.take(",")
                label, sign = self.take(), self.take("=", "!=", "=~", "!~")
                kind, text = self.tokens[0] if self.tokens else ("", "")
                if kind != "text":
                    raise ValueError(f"{self.expression}: {label} is compared with no text")
                self.take()
                matchers.append((label, sign, text.strip('"')))
            self.take("}")
        return Used("instant", [Selector(metric, tuple(matchers))], None)
