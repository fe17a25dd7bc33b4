"""Provided: functions that bring their own runtime, an executable `bootstrap` in the package or a layer.

Go (aws-lambda-go), Rust (lambda_runtime), shell scripts and anything else. It runs on the host's own libraries:
what AWS's Amazon Linux would bring is not there, so static binaries are the safe choice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workers.runtimes.runtime import Runtime

_FAMILIES = ("provided.al2", "provided.al2023")
_ENTRIES = ("/var/task/bootstrap", "/opt/bootstrap")


class Provided:
    """Nothing to find and nothing to install."""

    name = "provided"

    def packages(self, name: str) -> tuple[str, ...]:
        return ()

    async def prepare(self, directory: Path, progress: Callable[[str], None]) -> None:
        pass

    def installed(self, directory: Path) -> dict[str, Runtime]:
        return {family: Runtime(family, family.replace(".", ":", 1), entries=_ENTRIES) for family in _FAMILIES}
