"""Event source mappings in this process: their units shared among pollers by lease, and their changes of state.

A round, several times within a lease's life: renew what is held, look for changes, stop what is not to run here any
more, begin what is. A unit is begun by who holds its lease and has a token of its mapping's latest generation; so when
a mapping is changed, nothing of the old one begins any more, and once no lease of its units is held the change is done
(Enabled, Disabled, gone). While `coordination` or `state` is away, what runs goes on: tokens keep two holders apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence

from hearth.clock import now_ms
from hearth.errors import HearthError
from hearth.model.mapping import PASSING, QUEUE, EventSourceMapping, MappingState, Progress, SourceKind, Unit
from hearth.settings import Settings
from hearth.store import Stores, keys, leases
from hearth.store.mappings import MappingTable
from pollers.access_watch import AccessWatch
from pollers.runners import PREPARE_S, Lease, Runner
from pollers.sharing import shared_out
from pollers.source_access import SourceAccess

log = logging.getLogger(__name__)

#: rounds within a lease's life
_ROUNDS = 4
#: between two tries of a unit, or of asking for units, that failed
_LONGEST_BACKOFF_S = 30.0

#: a unit: the mapping's uuid and its name
UnitId = tuple[str, str]


@dataclasses.dataclass(slots=True)
class _Running:
    """A unit that this poller holds the lease of; until its task has ended and the lease is given back."""

    mapping: EventSourceMapping
    lease: Lease
    task: asyncio.Task[None]


@dataclasses.dataclass(slots=True)
class _Known:
    """The units of a mapping, as its runner said."""

    generation: int
    names: Sequence[str] = ()
    ask_at_s: float = 0.0
    asking: bool = False


class MappingPoller:
    """`run(stopping)` is its life."""

    def __init__(
        self, settings: Settings, stores: Stores, poller_id: str, runners: Sequence[Runner], access: SourceAccess
    ) -> None:
        self._id = poller_id
        self._coordination = stores.coordination
        self._table = MappingTable(stores.state, stores.coordination)
        self._access = AccessWatch(access, lambda: {one.mapping.uuid: one.mapping for one in self._running.values()})
        self._runners: dict[SourceKind, Runner] = {kind: runner for runner in runners for kind in runner.kinds}
        self._lease_ms = round(settings.mapping_lease_seconds * 1000)
        self._round_s = settings.mapping_lease_seconds / _ROUNDS
        #: how long a unit may take to finish what runs when it is to stop
        self._patience_s = settings.drain_seconds
        self._epoch = -1
        self._mappings: dict[str, EventSourceMapping] = {}
        self._known: dict[str, _Known] = {}
        self._running: dict[UnitId, _Running] = {}
        #: mappings whose change of state is being carried out here
        self._changing: set[str] = set()
        self._failures: dict[UnitId, int] = {}
        self._not_before_s: dict[UnitId, float] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something has changed: look now."""
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` and what runs has stopped. A unit that does not stop in time is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._wake_at(stopping), name="mappings-stop"),
                tasks.create_task(
                    self._access.run(lambda uuid: self._stop_mapping(tasks, uuid)), name="mappings-access"
                ),
            ]
            while not stopping.is_set():
                self._wake.clear()
                try:
                    await self._round(tasks)
                except HearthError as exc:
                    log.warning("mappings not looked at", extra={"action": "mappings_not_seen", "error": str(exc)})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._round_s):
                        await self._wake.wait()
            with contextlib.suppress(HearthError):  # it expires by itself
                await leases.leave(self._coordination, self._id, keys.MAPPING_POLLERS)
            for unit in list(self._running):
                self._stop(tasks, unit)
            while self._running:  # bounded by _patience_s
                with contextlib.suppress(HearthError):
                    await self._renew()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._round_s):
                        await self._wake.wait()
            for task in background:
                task.cancel()

    async def _wake_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()  # no deadline: the life of the process
        self._wake.set()

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Raises Unavailable when a store does not answer; what runs goes on."""
        living = await leases.heartbeat(self._coordination, self._id, keys.MAPPING_POLLERS, ttl_ms=self._lease_ms)
        await self._renew()
        await self._read_changes()
        self._ask_for_units(tasks)
        self._change_states(tasks, {*living, self._id})
        wanted = self._wanted({*living, self._id})
        for unit in [unit for unit, one in self._running.items() if wanted.get(unit) != one.mapping]:
            self._stop(tasks, unit)
        await self._begin(tasks, {unit: one for unit, one in wanted.items() if unit not in self._running})

    async def _renew(self) -> None:
        held = list(self._running)
        ours = await leases.take(
            self._coordination, self._id, [keys.mapping_lease(*unit) for unit in held], ttl_ms=self._lease_ms
        )
        for unit, still in zip(held, ours, strict=True):
            if not still and unit in self._running:
                log.warning("lease lost", extra={"action": "lease_lost", "mapping": unit[0], "unit": unit[1]})
                self._running[unit].task.cancel()

    async def _read_changes(self) -> None:
        epoch = await self._table.epoch()
        if epoch == self._epoch:
            return
        self._mappings = {one.uuid: one for one in await self._table.all()}
        self._epoch = epoch
        self._known = {uuid: one for uuid, one in self._known.items() if uuid in self._mappings}
        for of_units in (self._failures, self._not_before_s):
            for unit in [unit for unit in of_units if unit[0] not in self._mappings]:
                del of_units[unit]

    # --- which units there are, and whose --------------------------------------------------------------------
    def _ask_for_units(self, tasks: asyncio.TaskGroup) -> None:
        for uuid, mapping in self._mappings.items():
            known = self._known.get(uuid)
            if known is None or known.generation != mapping.generation:
                known = self._known[uuid] = _Known(mapping.generation)
            runs = mapping.state is MappingState.ENABLED and mapping.kind in self._runners
            if runs and not known.asking and time.monotonic() >= known.ask_at_s:
                known.asking = True
                tasks.create_task(self._ask(mapping, known), name=f"units-{uuid}")

    async def _ask(self, mapping: EventSourceMapping, known: _Known) -> None:
        asked, runner = (mapping.uuid, ""), self._runners[mapping.kind]
        try:
            async with asyncio.timeout(PREPARE_S):
                names = await runner.units(mapping)
        except Exception as exc:  # one mapping's source must not end the others
            known.ask_at_s = time.monotonic() + await self._failed(asked, mapping, exc)
        else:
            self._failures.pop(asked, None)
            if list(names) != list(known.names):
                self._wake.set()
            known.names, known.ask_at_s = names, time.monotonic() + runner.look_again_s
        finally:
            known.asking = False

    def _wanted(self, living: set[str]) -> dict[UnitId, EventSourceMapping]:
        """The units that are to run here."""
        units = {
            (uuid, name): mapping
            for uuid, mapping in self._mappings.items()
            if mapping.state is MappingState.ENABLED and self._known[uuid].generation == mapping.generation
            for name in self._known[uuid].names
        }
        owners = shared_out([f"{uuid}:{name}" for uuid, name in units], living)
        return {unit: mapping for unit, mapping in units.items() if owners[f"{unit[0]}:{unit[1]}"] == self._id}

    # --- running them -----------------------------------------------------------------------------------------
    async def _begin(self, tasks: asyncio.TaskGroup, wanted: dict[UnitId, EventSourceMapping]) -> None:
        now_s = time.monotonic()
        due = [unit for unit in wanted if self._not_before_s.get(unit, 0.0) <= now_s]
        ours = await leases.take(
            self._coordination, self._id, [keys.mapping_lease(*unit) for unit in due], ttl_ms=self._lease_ms
        )
        for unit in [unit for unit, taken in zip(due, ours, strict=True) if taken]:
            mapping = wanted[unit]
            token = await self._table.next_token(mapping, unit[1])
            if token is None:  # changed meanwhile: another round sees how
                await leases.release(self._coordination, self._id, keys.mapping_lease(*unit))
                self._wake.set()
                continue
            lease = Lease(token, keys.mapping_fences(mapping.account, mapping.region, mapping.uuid))
            task = tasks.create_task(self._keep(unit, mapping, lease), name=f"unit-{unit[0]}-{unit[1]}")
            self._running[unit] = _Running(mapping, lease, task)
            log.info("unit held", extra={"action": "unit_held", "mapping": unit[0], "unit": unit[1], "token": token})

    async def _keep(self, unit: UnitId, mapping: EventSourceMapping, lease: Lease) -> None:
        """Run it, then give its lease back."""
        began_s = time.monotonic()
        try:
            await self._access.judge(mapping)
            await self._runners[mapping.kind].run(Unit(mapping, unit[1]), lease)
            self._failures.pop(unit, None)
            if not lease.stopping.is_set() and mapping.uuid in self._known:
                self._known[mapping.uuid].ask_at_s = 0.0  # finished: its children may begin
                self._not_before_s[unit] = time.monotonic() + self._round_s
        except asyncio.CancelledError:
            pass  # the lease was lost, or patience was over: it ends like any other
        except Exception as exc:  # one unit must not end the others
            if time.monotonic() - began_s > _LONGEST_BACKOFF_S:  # it did run well
                self._failures.pop(unit, None)
            self._not_before_s[unit] = time.monotonic() + await self._failed(unit, mapping, exc)
        finally:
            try:
                with contextlib.suppress(HearthError):  # it expires by itself
                    await leases.release(self._coordination, self._id, keys.mapping_lease(*unit))
            finally:
                del self._running[unit]
                self._wake.set()

    async def _failed(self, unit: UnitId, mapping: EventSourceMapping, exc: Exception) -> float:
        """Said, and shown as the mapping's last result; the delay until the next try, in seconds."""
        known = isinstance(exc, HearthError | TimeoutError)
        log.log(
            logging.WARNING if known else logging.CRITICAL,
            "unit failed",
            extra={"action": "unit_failed", "mapping": unit[0], "unit": unit[1], "error": str(exc) or repr(exc)},
            exc_info=None if known else exc,
        )
        failures = self._failures[unit] = self._failures.get(unit, 0) + 1
        with contextlib.suppress(HearthError):
            why = str(exc) or "no answer from the source"
            await self._table.note_result(mapping, f"PROBLEM: {why}")
            if unit[1] == QUEUE:  # of a queue's mapping AWS's answers show no result
                await self._table.report(mapping, QUEUE, Progress(error=why, at_ms=now_ms()))
        return min(2.0 ** min(failures - 1, 16), _LONGEST_BACKOFF_S)

    def _stop(self, tasks: asyncio.TaskGroup, unit: UnitId) -> None:
        one = self._running[unit]
        if not one.lease.stopping.is_set():
            one.lease.stopping.set()
            tasks.create_task(self._await_end(one), name=f"stop-{unit[0]}-{unit[1]}")

    async def _await_end(self, one: _Running) -> None:
        await asyncio.wait({one.task}, timeout=self._patience_s)
        one.task.cancel()

    def _stop_mapping(self, tasks: asyncio.TaskGroup, uuid: str) -> None:
        for unit in [unit for unit in self._running if unit[0] == uuid]:
            self._stop(tasks, unit)

    # --- changes of state -------------------------------------------------------------------------------------
    def _change_states(self, tasks: asyncio.TaskGroup, living: set[str]) -> None:
        """Of each mapping one poller does it; that two may, while they disagree on who lives, is harmless."""
        passing = {uuid: one for uuid, one in self._mappings.items() if one.state in PASSING}
        for uuid, owner in shared_out(passing, living).items():
            if owner == self._id and uuid not in self._changing:
                self._changing.add(uuid)
                tasks.create_task(self._change_state(passing[uuid]), name=f"change-{uuid}")

    async def _change_state(self, mapping: EventSourceMapping) -> None:
        """Once nothing of the mapping runs; else a later round tries again."""
        try:
            await self._settle(mapping)
        except HearthError as exc:
            log.warning("mapping not changed", extra={"action": "mapping_not_changed", "error": str(exc)})
        finally:
            self._changing.discard(mapping.uuid)

    async def _settle(self, mapping: EventSourceMapping) -> None:
        units = await self._table.units_ever(mapping)
        held = [keys.mapping_lease(mapping.uuid, unit) for unit in units]
        if await leases.any_held(self._coordination, held):
            return
        if mapping.state is MappingState.DELETING:
            done = await self._table.delete(mapping)
            reached = "gone"
        else:
            state = MappingState.ENABLED if mapping.enabled else MappingState.DISABLED
            if state is MappingState.ENABLED and mapping.kind in self._runners:
                await self._prepare(mapping)
            new = dataclasses.replace(mapping, state=state, modified_at_ms=now_ms())
            done = await self._table.write(new, read=mapping) is not None
            reached = state.value
        if done:
            self._wake.set()
            log.info("mapping settled", extra={"action": "mapping_settled", "mapping": mapping.uuid, "state": reached})

    async def _prepare(self, mapping: EventSourceMapping) -> None:
        try:
            async with asyncio.timeout(PREPARE_S):
                await self._runners[mapping.kind].prepare(mapping)
        except Exception as exc:  # Enabled all the same, so that it can be changed and deleted; its units try again
            await self._failed((mapping.uuid, ""), mapping, exc)
