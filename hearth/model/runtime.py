"""Runtime identifiers, and which installed one stands in for one that is not installed. Pure.

Identifiers: Lambda Developer Guide, "Lambda runtimes"; the first tuple is in the order of AWS's own messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# fmt: off
CREATABLE = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x",
    "nodejs22.x", "java25", "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2",
    "python3.8", "python3.9", "java17", "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6",
    "nodejs18.x", "provided.al2", "java8.al2",
)
#: newer than AWS's own message
NEWER = (
    "nodejs26.x", "python3.15", "ruby4.0", "java8.al2023", "java11.al2023", "java17.al2023",
)
# fmt: on

#: language -> the one that runs its functions where it is not installed at all
SUBSTITUTES = {"dotnet": "mono"}
#: what a substitute does not do
_LIMITS = {"mono": "Mono, not .NET: only assemblies for .NET Framework or .NET Standard 2.0 run"}

_NAME = re.compile(r"(?P<language>[a-z]+)(?P<version>\d+(?:\.\d+)?)(?:\.(?:x|al2|al2023))?")


@dataclass(frozen=True, slots=True)
class Served:
    """How a fleet serves a runtime: `by` is the family that runs it, itself when it is installed."""

    family: str
    by: str
    workers: int

    @property
    def exact(self) -> bool:
        return self.by == self.family


def language_of(family: str) -> str:
    """`python3.11` -> python; an identifier that is no version of a language (`provided.al2023`) is its own."""
    parts = _NAME.fullmatch(family)
    return parts["language"] if parts else family


def nearest(wanted: str, installed: Iterable[str]) -> str | None:
    """The installed family that comes closest: the same language, newer before older, the smallest step; else the
    newest of the language's substitute. None: none."""
    if _NAME.fullmatch(wanted) is None:
        return None
    asked, language, here = _version(wanted), language_of(wanted), sorted(installed, key=_version)
    same = [one for one in here if language_of(one) == language]
    newer = [one for one in same if _version(one) >= asked]
    others = [one for one in here if language_of(one) == SUBSTITUTES.get(language)]
    if newer:
        return newer[0]
    return (same or others)[-1] if same or others else None


def stand_ins(installed: Iterable[str]) -> dict[str, str]:
    """Every identifier that is not installed -> the installed one that is nearest to it."""
    here = set(installed)
    found = {wanted: nearest(wanted, here) for wanted in (*CREATABLE, *NEWER) if wanted not in here}
    return {wanted: by for wanted, by in found.items() if by is not None}


def substitution(wanted: str, by: str) -> str:
    """What a function's owner is told, when it is created and in its log."""
    limit = limit_of(wanted, by)
    return f"{wanted} is not installed here: the function runs on {by}." + (f" {limit} there." if limit else "")


def limit_of(wanted: str, by: str) -> str:
    """What another language does not do in the place of the wanted one; empty if it is the same."""
    return "" if language_of(wanted) == language_of(by) else _LIMITS.get(language_of(by), "")


def fleet_offer(workers: Iterable[Mapping[str, str]]) -> dict[str, Served]:
    """Family -> how the living workers serve it, from their heartbeats' figures.

    `families`: installed, by comma. `stand_ins`: `wanted=by` pairs, by comma. An installed one wins over any
    stand-in, as it does in placement; among stand-ins the nearest.
    """
    exact: dict[str, int] = {}
    others: dict[str, dict[str, int]] = {}
    for figures in workers:
        for family in filter(None, figures.get("families", "").split(",")):
            exact[family] = exact.get(family, 0) + 1
        for pair in filter(None, figures.get("stand_ins", "").split(",")):
            wanted, _, by = pair.partition("=")
            counts = others.setdefault(wanted, {})
            counts[by] = counts.get(by, 0) + 1
    offer = {family: Served(family, family, count) for family, count in exact.items()}
    for wanted, counts in others.items():
        closest = nearest(wanted, counts)
        if wanted not in offer and closest is not None:
            offer[wanted] = Served(wanted, closest, counts[closest])
    return dict(sorted(offer.items(), key=lambda item: (language_of(item[0]), _version(item[0]), item[0])))


def _version(family: str) -> tuple[int, ...]:
    parts = _NAME.fullmatch(family)
    return tuple(map(int, parts["version"].split("."))) if parts else ()
