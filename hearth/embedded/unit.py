"""What the platform starts, watches, restarts and stops: a server or a service, as `hearth.cli.stack` sees it."""

from __future__ import annotations

from typing import Protocol

from hearth.embedded.process import Process


class Unit(Protocol):
    """A part of the platform, of one process or more."""

    name: str

    async def start(self) -> None:
        """Return when it is ready. Raises StartFailed, with nothing left running."""

    async def wait(self) -> int:
        """Return its exit status as soon as it has ended by itself."""

    async def stop(self, grace_s: float) -> None:
        """End it in order within grace_s seconds, then by force. Nothing of it remains afterwards."""

    def kill(self) -> None:
        """End it at once by force."""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""


class ProcessUnit:
    """A unit that is one process: `start` of a subclass sets it."""

    process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.running else None

    async def wait(self) -> int:
        assert self.process is not None, "wait() follows start()"
        return await self.process.wait()

    async def stop(self, grace_s: float) -> None:
        if self.process:
            await self.process.stop(grace_s)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
