"""Runtimes: what a worker can run, and how each is found and started. One language, one file."""

from __future__ import annotations

from collections.abc import Callable

from hearth.settings import Settings
from workers.runtimes import python
from workers.runtimes.runtime import Runtime

__all__ = ["Runtime", "installed", "prepare"]


async def prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Find every language version on this host and install its runtime client below `settings.runtimes_dir`.

    Slow the first time (pip), nothing to do the next. progress gets one sentence per step. A version that fails is
    left out with a warning; the others are not touched by it.
    """
    await python.prepare(settings.runtimes_dir, progress)


def installed(settings: Settings) -> dict[str, Runtime]:
    """Family ("python3.11") to runtime, of what `prepare` has made and what is still there. Fast: reads files only."""
    return python.installed(settings.runtimes_dir)
