"""What the rounds come to: medians, ratios within a round, and tables in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

BARE, HEARTH, CELERY = "bare", "hearth", "celery"
NAMES = {BARE: "bare pipe", HEARTH: "Hearth", CELERY: "Celery"}
#: (figure, in flight, other) -> the ratio hearth/other to reach; throughput at least, latency at most
GOALS = {("throughput", 8, BARE): 0.8, ("p50_ms", 1, BARE): 1.35, ("throughput", 8, CELERY): 2.0}


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
    """hearth/other of one figure, each within one round, over the rounds."""

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


def ratio(measured: Iterable[Measured], concurrency: int, figure: str, to: str = BARE) -> Ratio:
    """hearth/`to`. Compares only what ran in the same round, so that a slow minute of the machine hits both sides."""
    by_round: dict[int, dict[str, float]] = {}
    for one in measured:
        if one.concurrency == concurrency:
            by_round.setdefault(one.round, {})[one.target] = getattr(one, figure)
    ratios = [one[HEARTH] / one[to] for one in by_round.values()]
    return Ratio(min(ratios), median(ratios), max(ratios))


def summary(measured: Sequence[Measured], cold_starts: Sequence[ColdStarts]) -> dict[str, Any]:
    """For the JSON file: every round, and the ratios."""
    return {
        "rounds": [asdict(one) for one in measured],
        "ratios": {
            other: {
                str(concurrency): {figure: asdict(ratio(measured, concurrency, figure, other)) for figure in _FIGURES}
                for concurrency in _concurrencies(measured)
            }
            for other in _others(measured)
        },
        "cold_starts": [{**asdict(one), "spurious": one.spurious} for one in cold_starts],
    }


_FIGURES = ("throughput", "p50_ms", "p99_ms")


def tables(measured: Sequence[Measured], cold_starts: Sequence[ColdStarts]) -> str:
    """Markdown."""
    parts = [_speed_table(measured), _cpu_table(measured), _cold_table(cold_starts), _goal_lines(measured)]
    return "\n\n".join(part for part in parts if part)


def _speed_table(measured: Sequence[Measured]) -> str:
    others = _others(measured)
    rows = []
    for concurrency in _concurrencies(measured):
        for figure, name in zip(_FIGURES, ("throughput, 1/s", "p50, ms", "p99, ms"), strict=True):
            digits = 0 if figure == "throughput" else 2
            medians = [f"{_median(measured, one, concurrency, figure):.{digits}f}" for one in (HEARTH, *others)]
            rows.append([concurrency, name, *medians, *(ratio(measured, concurrency, figure, one) for one in others)])
    heads = ["in flight", "median of rounds", *(NAMES[one] for one in (HEARTH, *others))]
    return _table([*heads, *(f"Hearth / {NAMES[one]}: min – median – max" for one in others)], rows)


def _cpu_table(measured: Sequence[Measured]) -> str:
    concurrencies = _concurrencies(measured)
    columns = [(concurrency, target) for concurrency in concurrencies for target in (HEARTH, *_others(measured))]
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
    for (figure, concurrency, other), goal in GOALS.items():
        if concurrency in _concurrencies(measured) and other in _others(measured):
            reached = ratio(measured, concurrency, figure, other).median
            met = reached >= goal if figure == "throughput" else reached <= goal
            word = "reached" if met else "missed"
            lines.append(f"- {figure} at {concurrency}: {reached:.2f} × {NAMES[other]}, goal {goal} ×: {word}")
    return "\n".join(lines)


def _others(measured: Iterable[Measured]) -> list[str]:
    """What the platform is compared with."""
    return [target for target in (BARE, CELERY) if any(one.target == target for one in measured)]


def _concurrencies(measured: Iterable[Measured]) -> list[int]:
    return sorted({one.concurrency for one in measured})


def _median(measured: Iterable[Measured], target: str, concurrency: int, figure: str) -> float:
    chosen = [one for one in measured if (one.target, one.concurrency) == (target, concurrency)]
    return median(getattr(one, figure) for one in chosen)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
