"""Mono: C# functions where the host has Mono (mono, mcs), by a runtime client of our own.

It stands in for AWS's dotnet runtimes and has no identifier of its own there. Assemblies for .NET Framework and
.NET Standard 2.0 run on it; those for .NET 8 or 10 ask for libraries that it does not have.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from workers.runtimes.language import Equipped, Language, run, seat
from workers.runtimes.runtime import Runtime
from workers.sandbox.supervisor import Mount

_CLIENT = "mono.cs"
_VERSION = re.compile(r"version (\d+\.\d+(?:\.\d+)?)")
_LIMIT_S = 60.0


class Mono(Language[Equipped]):
    name = "mono"
    title = "Mono"
    found_type = Equipped

    def packages(self, name: str) -> tuple[str, ...]:
        return ("mono-runtime", "mono-mcs", "libmono-system-web-extensions4.0-cil")

    async def find(self) -> dict[str, Equipped]:
        mono = _program()
        if mono is None or shutil.which("mcs") is None:
            return {}
        try:
            told = _VERSION.search(await run((str(mono), "--version"), _LIMIT_S))
        except (OSError, TimeoutError, RuntimeError):
            return {}
        if told is None:
            return {}
        found = Equipped(told[1], str(mono.parent.parent), str(mono), _source().decode())
        return {f"mono{'.'.join(told[1].split('.')[:2])}": found}

    async def install(self, found: Equipped, directory: Path) -> None:
        compiler = shutil.which("mcs")
        if compiler is None:
            raise RuntimeError("mcs is not installed")
        source = directory / _CLIENT
        source.write_bytes(_source())
        options = (f"-out:{directory / 'bootstrap.exe'}", "-r:System.Web.Extensions.dll")
        await run((compiler, *options, str(source)), _LIMIT_S)

    def runtimes(self, family: str, found: Equipped, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        yield Runtime(
            family,
            f"mono:{found.version}",
            (executable, "/var/runtime/bootstrap.exe"),
            (Mount(directory, "/var/runtime"), *mounts),
            # A file shared by all processes of one user, which each sandbox would make anew.
            {"MONO_DISABLE_SHARED_AREA": "1", "SHLVL": "0"},
        )


def _program() -> Path | None:
    mono = shutil.which("mono")
    return Path(os.path.realpath(mono)) if mono else None


def _source() -> bytes:
    return resources.files("workers.sandbox.bootstrap").joinpath(_CLIENT).read_bytes()
