"""What the rounds come to: medians, ratios within a round, and tables in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

BARE, HEARTH = "bare", "hearth"
#: (figure, in flight) -> the ratio hearth/bare to reach; throughput at least, latency at most
GOALS = {("throughput", 8): 0.8, ("p50_ms", 1): 1.35}


@dataclass(frozen=True, slots=True)
class Measured:
    """One target under one load in one round. `cpu_us`: CPU time per answer of each kind of process."""

    target: str
    concurrency: int
    round: int
    throughput: float
    p50_ms: float
    p99_ms: float
    answers: int
    errors: Mapping[str, int]
    cpu_us: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """hearth/bare of one figure, each within one round, over the rounds."""

    lowest: float
    median: float
    highest: float

    def __str__(self) -> str:
        return f"{self.lowest:.2f} – **{self.median:.2f}** – {self.highest:.2f}"


@dataclass(frozen=True, slots=True)
class ColdStarts:
    """`sandboxes`: how many a function with `concurrency` callers in a closed loop started for `answers`."""

    function: str
    concurrency: int
    answers: int
    sandboxes: int

    @property
    def spurious(self) -> int:
        """Fewer than one a caller is no fault: a freed sandbox serves whoever waits for a new one."""
        return max(0, self.sandboxes - self.concurrency)


def ratio(measured: Iterable[Measured], concurrency: int, figure: str) -> Ratio:
    """Compares only what ran in the same round, so that a slow minute of the machine hits both sides."""
    by_round: dict[int, dict[str, float]] = {}
    for one in measured:
        if one.concurrency == concurrency:
            by_round.setdefault(one.round, {})[one.target] = getattr(one, figure)
    ratios = [both[HEARTH] / both[BARE] for both in by_round.values()]
    return Ratio(min(ratios), median(ratios), max(ratios))


def summary(measured: Sequence[Measured], cold_starts: Sequence[ColdStarts]) -> dict[str, Any]:
    """For the JSON file: every round, and the ratios."""
    return {
        "rounds": [asdict(one) for one in measured],
        "ratios": {
            str(concurrency): {figure: asdict(ratio(measured, concurrency, figure)) for figure in _FIGURES}
            for concurrency in _concurrencies(measured)
        },
        "cold_starts": [{**asdict(one), "spurious": one.spurious} for one in cold_starts],
    }


_FIGURES = ("throughput", "p50_ms", "p99_ms")


def tables(measured: Sequence[Measured], cold_starts: Sequence[ColdStarts]) -> str:
    """Markdown."""
    parts = [_speed_table(measured), _cpu_table(measured), _cold_table(cold_starts), _goal_lines(measured)]
    return "\n\n".join(part for part in parts if part)


def _speed_table(measured: Sequence[Measured]) -> str:
    rows = []
    for concurrency in _concurrencies(measured):
        for figure, name in zip(_FIGURES, ("throughput, 1/s", "p50, ms", "p99, ms"), strict=True):
            bare, hearth = (_median(measured, target, concurrency, figure) for target in (BARE, HEARTH))
            digits = 0 if figure == "throughput" else 2
            compared = ratio(measured, concurrency, figure)
            rows.append([concurrency, name, f"{bare:.{digits}f}", f"{hearth:.{digits}f}", compared])
    return _table(["in flight", "median of rounds", "bare pipe", "Hearth", "Hearth / bare: min – median – max"], rows)


def _cpu_table(measured: Sequence[Measured]) -> str:
    concurrencies = _concurrencies(measured)
    columns = [(concurrency, target) for concurrency in concurrencies for target in (BARE, HEARTH)]
    kinds = sorted({kind for one in measured for kind in one.cpu_us})
    rows = [[kind, *(_cpu(measured, target, concurrency, kind) for concurrency, target in columns)] for kind in kinds]
    rows.append(["**all**", *(_cpu(measured, target, concurrency, None) for concurrency, target in columns)])
    heads = [f"{target} at {concurrency}" for concurrency, target in columns]
    return _table(["CPU per answer, µs", *heads], rows)


def _cpu(measured: Sequence[Measured], target: str, concurrency: int, kind: str | None) -> str:
    rounds = [one for one in measured if (one.target, one.concurrency) == (target, concurrency)]
    if kind is None:
        return f"{median(sum(one.cpu_us.values()) for one in rounds):.0f}"
    spent = [one.cpu_us[kind] for one in rounds if kind in one.cpu_us]
    return f"{median(spent):.0f}" if spent else "–"


def _cold_table(cold_starts: Sequence[ColdStarts]) -> str:
    heads = ["function", "in flight", "answers", "sandboxes started", "more than in flight"]
    return _table(heads, [[c.function, c.concurrency, c.answers, c.sandboxes, c.spurious] for c in cold_starts])


def _goal_lines(measured: Sequence[Measured]) -> str:
    lines = []
    for (figure, concurrency), goal in GOALS.items():
        if concurrency in _concurrencies(measured):
            reached = ratio(measured, concurrency, figure).median
            met = reached >= goal if figure == "throughput" else reached <= goal
            word = "reached" if met else "missed"
            lines.append(f"- {figure} at {concurrency}: {reached:.2f} × bare, goal {goal} ×: {word}")
    return "\n".join(lines)


def _concurrencies(measured: Iterable[Measured]) -> list[int]:
    return sorted({one.concurrency for one in measured})


def _median(measured: Iterable[Measured], target: str, concurrency: int, figure: str) -> float:
    chosen = [one for one in measured if (one.target, one.concurrency) == (target, concurrency)]
    return median(getattr(one, figure) for one in chosen)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
