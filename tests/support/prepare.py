"""`python -m tests.support.prepare`: what tests with servers and sandboxes need, with progress on the terminal.

System packages, the runtimes of this host, and the functions that need a compiler (Rust's takes minutes, once).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time

from hearth.embedded import packages
from hearth.embedded.process import StartFailed
from hearth.settings import Settings
from tests.support import places, runtime_packages
from tests.support.compose import compose_command
from workers import runtimes
from workers.runtimes.mono import Mono
from workers.runtimes.ruby import Ruby


async def prepare() -> None:
    """Packages by apt where we may, and the runtimes in the shared cache."""
    with places.data_folder() as folder:
        settings = Settings(data=folder)
        left = await packages.ensure(settings, tell)
        if left:
            tell(f"goes on without {', '.join(left)}: tests that need it are skipped")
        await ensure_compose()
        await ensure_small_languages()
        await runtimes.prepare(settings, tell)
    for language in runtime_packages.BUILDS:
        try:
            await asyncio.to_thread(runtime_packages.package, language, tell)
        except runtime_packages.Unbuildable as exc:
            tell(f"no function in {language}: {exc}")


async def ensure_compose() -> None:
    """Compose, which only reads our file here: no engine is needed."""
    if compose_command() is None and packages.can_install():
        try:
            await packages.install(["docker-compose"], tell)
        except StartFailed as exc:
            tell(f"goes on without Compose: {exc}")


async def ensure_small_languages() -> None:
    """Those of ours that few hosts have."""
    wanted = {"mcs": Mono().packages("mono"), "ruby": Ruby().packages("ruby")}
    missing = [package for program, some in wanted.items() if shutil.which(program) is None for package in some]
    if missing and packages.can_install():
        try:
            await packages.install(missing, tell)
        except StartFailed as exc:
            tell(f"goes on without {', '.join(missing)}: {exc}")


def tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(prepare())
    except StartFailed as exc:
        sys.exit(str(exc))
