"""Runtimes: what a worker can run, and how each is found and started. One language, one file.

A language is an object with `name`, `packages`, `prepare` and `installed` (see language.Language): adding one is adding
a file and its line in LANGUAGES.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from hearth.model import runtime as identifiers
from hearth.settings import Settings
from workers.runtimes.java import Java
from workers.runtimes.mono import Mono
from workers.runtimes.nodejs import Nodejs
from workers.runtimes.provided import Provided
from workers.runtimes.python import Python
from workers.runtimes.ruby import Ruby
from workers.runtimes.runtime import InvalidEntrypoint, Runtime

__all__ = ["LANGUAGES", "InvalidEntrypoint", "Runtime", "figures", "installed", "offered", "prepare"]


class _Language(Protocol):
    @property
    def name(self) -> str: ...

    def packages(self, name: str) -> tuple[str, ...]: ...

    async def prepare(self, directory: Path, progress: Callable[[str], None]) -> None: ...

    def installed(self, directory: Path) -> dict[str, Runtime]: ...


LANGUAGES: dict[str, _Language] = {one.name: one for one in (Python(), Nodejs(), Java(), Ruby(), Mono(), Provided())}


async def prepare(
    settings: Settings, progress: Callable[[str], None], languages: Iterable[str] = tuple(LANGUAGES)
) -> None:
    """Find every language version on this host and install its runtime client below `settings.runtimes_dir`.

    Slow the first time (pip, npm, Maven), nothing to do the next. progress gets one sentence per step. A version that
    fails is left out with a warning; the others are not touched by it.
    """
    async with asyncio.TaskGroup() as group:
        for name in languages:
            group.create_task(LANGUAGES[name].prepare(settings.runtimes_dir, progress))


def installed(settings: Settings) -> dict[str, Runtime]:
    """Family ("python3.11") to runtime, of what `prepare` has made and what is still there. Fast: reads files only."""
    found: dict[str, Runtime] = {}
    for language in LANGUAGES.values():
        found |= language.installed(settings.runtimes_dir)
    return found


def offered(settings: Settings) -> dict[str, Runtime]:
    """What a worker of this host serves: the installed ones, and with HEARTH_RUNTIME_MATCH=nearest those that one of
    them stands in for."""
    exact = installed(settings)
    if settings.runtime_match == "exact":
        return exact
    return exact | {wanted: exact[by].in_place_of(wanted) for wanted, by in identifiers.stand_ins(exact).items()}


def figures(offer: Mapping[str, Runtime]) -> dict[str, str]:
    """An offer as heartbeats tell it (see hearth.model.runtime.fleet_offer)."""
    return {
        "families": ",".join(sorted(family for family, one in offer.items() if not one.stands_for)),
        "stand_ins": ",".join(f"{family}={one.family}" for family, one in sorted(offer.items()) if one.stands_for),
    }
