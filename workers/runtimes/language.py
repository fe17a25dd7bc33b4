"""Language: what all languages share: their versions on this host are found, each gets its client, and is offered.

<runtimes dir>/<family>/ holds the runtime client, shown inside at /var/runtime, files of our own that start it, and
`hearth-runtime.json`, written last of all. A directory is made beside its place and renamed into it, so there is never
half a runtime.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from workers.runtimes.runtime import Runtime
from workers.sandbox.supervisor import Mount

log = logging.getLogger(__name__)

MANIFEST = "hearth-runtime.json"
RUNTIME_DIR = "/var/runtime"
_LANGUAGE_DIR = "/var/lang"
#: installations of one language at once: their clients mostly wait for the network
_INSTALLS = 3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A version of a language on this host. version: `3.11.7`. executable: its real place below `prefix`, no shim."""

    version: str
    prefix: str
    executable: str


@dataclass(frozen=True, slots=True)
class Equipped(Found):
    """client: what it was given, so that a release of ours with another client installs that one."""

    client: str


F = TypeVar("F", bound=Found)


class Language(ABC, Generic[F]):
    """name: as in the families, `python`.

    bootstrap: files of workers/sandbox/bootstrap -> their names beside the client; this release's are put also into a
    directory that an older one has made.
    """

    name: str
    title: str
    found_type: type[F]
    bootstrap: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def packages(self, name: str) -> tuple[str, ...]:
        """Debian's packages with the language, or with one version of it (`java21`)."""

    @abstractmethod
    async def find(self) -> dict[str, F]:
        """By family; of several of one family the best."""

    @abstractmethod
    async def install(self, found: F, directory: Path) -> None:
        """Put the runtime client into an empty directory. Raises OSError, TimeoutError, RuntimeError."""

    async def complete(self, found: F, directory: Path) -> None:
        """Add what is made of this release's own sources and the client, also to what an older release has installed.
        What can't be made is left out. Most languages have nothing to make."""

    @abstractmethod
    def runtimes(self, family: str, found: F, directory: Path) -> Iterable[Runtime]:
        """What this installation serves, first of all `family`."""

    # --- what `prepare` does --------------------------------------------------------------------------------------
    async def prepare(self, directory: Path, progress: Progress) -> None:
        """Find every version on this host and install its client. A version that fails is left out with a warning."""
        at_once = asyncio.Semaphore(_INSTALLS)
        async with asyncio.TaskGroup() as group:
            for family, found in (await self.find()).items():
                group.create_task(self._prepare_one(found, directory / family, at_once, progress))

    async def _prepare_one(self, found: F, target: Path, at_once: asyncio.Semaphore, progress: Progress) -> None:
        async with at_once:
            if self._read(target) == found:
                self._place_bootstrap(target)
                await self.complete(found, target)
                return
            progress(f"installing the runtime client for {self.title} {found.version}")
            try:
                await self._install(found, target)
            except (OSError, TimeoutError, RuntimeError) as exc:
                if self._read(target) == found:
                    return  # another process was faster
                reason = str(exc) or "timed out"
                fields = {"action": "runtime_failed", "runtime": target.name, "reason": reason}
                log.warning("runtime left out", extra=fields)
                progress(f"{self.title} {found.version} is left out: {reason}")

    async def _install(self, found: F, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            await self.install(found, building)
            await self.complete(found, building)
            await asyncio.to_thread(self._move_into_place, found, building, target)
        finally:
            for leftover in (building, Path(f"{building}.old")):
                await asyncio.to_thread(shutil.rmtree, leftover, ignore_errors=True)

    def _move_into_place(self, found: F, building: Path, target: Path) -> None:
        building.chmod(0o755)
        self._place_bootstrap(building)
        (building / MANIFEST).write_text(json.dumps(asdict(found)))
        if target.exists():
            os.rename(target, f"{building}.old")
        os.rename(building, target)

    def _place_bootstrap(self, directory: Path) -> None:
        for name, placed in self.bootstrap.items():
            source = resources.files("workers.sandbox.bootstrap").joinpath(name).read_bytes()
            place = directory / placed
            if not place.exists() or place.read_bytes() != source:
                fresh = directory / f".{place.name}-{os.getpid()}"
                fresh.write_bytes(source)
                fresh.rename(place)

    # --- what `prepare` has made ----------------------------------------------------------------------------------
    def installed(self, directory: Path) -> dict[str, Runtime]:
        """Family to runtime, of what is still there. Fast: reads files only."""
        offered: dict[str, Runtime] = {}
        for manifest in sorted(directory.glob(f"{self.name}*/{MANIFEST}")):
            found = self._read(manifest.parent)
            usable = all((manifest.parent / name).exists() for name in self.bootstrap.values())
            if found is not None and usable and os.access(found.executable, os.X_OK):
                family = manifest.parent.name
                offered |= {one.family: one for one in self.runtimes(family, found, manifest.parent)}
        return offered

    def _read(self, directory: Path) -> F | None:
        try:
            return self.found_type(**json.loads((directory / MANIFEST).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def seat(found: Found) -> tuple[tuple[Mount, ...], str]:
    """What shows the language inside, and its executable there. The host's /usr is there anyhow."""
    if below_usr(found):
        return (), found.executable
    inside = f"{_LANGUAGE_DIR}/{Path(found.executable).relative_to(found.prefix)}"
    return (Mount(Path(found.prefix), _LANGUAGE_DIR),), inside


def below_usr(found: Found) -> bool:
    return found.prefix == "/usr" or found.prefix.startswith("/usr/")


def better(one: Found, known: Found | None) -> bool:
    """Of one family: the system's comes first, it needs no mount of its own; then the newest."""
    if known is None:
        return True
    return (below_usr(one), numbers(one.version)) > (below_usr(known), numbers(known.version))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


async def run(command: tuple[str, ...], limit_s: float) -> str:
    """Standard output. Raises RuntimeError with the last line of stderr if it fails; never leaves it running."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(limit_s):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or [f"exit status {process.returncode}"]
        raise RuntimeError(lines[-1])
    return output.decode()
