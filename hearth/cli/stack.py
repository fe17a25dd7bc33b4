"""The processes of a running platform: started in order, kept alive, stopped in order.

A unit that ends by itself is started again with back-off. Stopping: gateway (no new requests), poller, orchestrator,
fleet (all drain), then the servers, whose connections keep what is in flight ours until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from hearth.embedded.process import StartFailed
from hearth.embedded.stackfile import StackFile
from hearth.embedded.unit import Unit

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
#: a unit that lived this long has recovered: its next restart is prompt again
_RECOVERED_S = 60.0
#: beyond a service's own drain time, before force; the servers' time to close their files
_EXTRA_GRACE_S = 15.0
_SERVER_GRACE_S = 20.0
_LEFTOVERS_S = 5.0
_STOP_ORDER = ("gateway", "poller", "orchestrator", "fleet", "companion", "coordination", "state", "broker")

Say = Callable[[str, str], None]


class Stack:
    """Use as a context: leaving it, however, stops every unit that was started."""

    def __init__(self, record: StackFile, drain_s: float, say: Say) -> None:
        self._record = record
        self._drain_s = drain_s
        self._say = say
        self._units: list[Unit] = []
        self._keepers: set[asyncio.Task[None]] = set()  # owner: __aexit__ cancels them

    async def __aenter__(self) -> Stack:
        return self

    async def __aexit__(self, *_: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for unit in sorted(self._units, key=lambda unit: _STOP_ORDER.index(unit.name)):
            if unit.pid is None:
                await unit.stop(_LEFTOVERS_S)  # it has ended; what it left behind
                continue
            self._say(f"stopping {unit.name}", "info")
            service = unit.name in ("gateway", "poller", "orchestrator", "fleet")
            await unit.stop(self._drain_s + _EXTRA_GRACE_S if service else _SERVER_GRACE_S)

    async def start(self, unit: Unit) -> None:
        """Start it and keep it alive from then on. Raises StartFailed."""
        self._units.append(unit)
        await unit.start()
        self._note()
        self._keepers.add(asyncio.create_task(self._keep_alive(unit), name=f"keep {unit.name} alive"))

    def pids(self) -> dict[str, int]:
        """Unit's name -> pid, of those that run now."""
        return {unit.name: unit.pid for unit in self._units if unit.pid}

    def kill(self) -> None:
        """Everything at once, by force; leaving the context then takes no time."""
        for unit in self._units:
            unit.kill()

    async def _keep_alive(self, unit: Unit) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            started_s = time.monotonic()
            status = await unit.wait()
            if time.monotonic() - started_s > _RECOVERED_S:
                delay_s = _FIRST_DELAY_S
            self._say(f"{unit.name} ended with status {status}; starting it again in {delay_s:g} s", "error")
            await unit.stop(_LEFTOVERS_S)  # what it left behind
            while True:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
                try:
                    await unit.start()
                    break
                except StartFailed as exc:
                    self._say(f"{exc} Next try in {delay_s:g} s", "error")
            self._say(f"{unit.name} runs again", "info")
            self._note()

    def _note(self) -> None:
        """For `hearth status` and `hearth down`; a full disk must not end the platform."""
        if self._record.running:
            self._record.running.processes = self.pids()
            with contextlib.suppress(OSError):
                self._record.save()
