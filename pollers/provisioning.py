"""Provisioned concurrency: sandboxes asked for until as many are ready as are wanted, and again when some are lost.

One poller at a time does it, by lease. It asks by a placement, which a worker with room takes; the worker's answer says
whether the sandbox is ready. How many there are is known to `coordination`, which also sees to it that no more start
than are wanted, so asking twice does no harm. A version whose Init keeps failing is given up, and that is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator

from hearth.clock import Deadline, now_ms
from hearth.errors import HearthError, InvocationTimedOut
from hearth.invoker import Invoker, budget_s
from hearth.model.concurrency import INIT_FAILED
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, InvocationType, Outcome
from hearth.model.provision import shares_of, wanted_by_version
from hearth.settings import Settings
from hearth.store import Stores, keys, leases, slots
from hearth.store.concurrency import ConcurrencyTable, Place, provisioned_of
from hearth.store.functions import Beside, FunctionTable

log = logging.getLogger(__name__)

#: Init phases of one version asked for at once
AT_ONCE = 16
#: failed Inits in a row after which a version is given up, as on AWS
MAX_FAILURES = 6
#: the limit of an Init ahead of requests is longer than that of one on demand
INIT_S = 130.0
#: a version is not asked for again so soon after there was no room for it
PAUSE_S = 2.0


class Provisioner:
    """`run` is its life."""

    def __init__(self, settings: Settings, stores: Stores, invoker: Invoker, poller_id: str) -> None:
        self._settings = settings
        self._state, self._coordination = stores.state, stores.coordination
        self._functions = FunctionTable(stores.state)
        self._concurrency = ConcurrencyTable(stores.state, settings.account_concurrency)
        self._invoker = invoker
        self._id = poller_id
        self._asking: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._not_before_s: dict[str, float] = {}
        self._asked: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; what was asked for is not waited for then."""
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                try:
                    if (await leases.take(self._coordination, self._id, [keys.PROVISIONED_LEASE]))[0]:
                        await self._reconcile(tasks)
                except HearthError as exc:
                    log.warning("provisioning paused", extra={"action": "provisioning_paused", "error": str(exc)})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), leases.RENEW_S)
            for asked in self._asked:
                asked.cancel()

    async def _reconcile(self, tasks: asyncio.TaskGroup) -> None:
        """Raises Unavailable."""
        for place, function in list((await self._concurrency.functions()).items()):
            provisioned = provisioned_of(function)
            wanted = wanted_by_version(provisioned, function.aliases)
            for qualifier, one in provisioned.items():
                for number in shares_of(qualifier, one.wanted, function.aliases):
                    record = await self._functions.get(*place, number)
                    if record is not None and record.version.key not in one.failed_for:
                        await self._ask_for_missing(tasks, place, qualifier, record.version, wanted[number])

    async def _ask_for_missing(
        self, tasks: asyncio.TaskGroup, place: Place, qualifier: str, version: FunctionVersion, wanted: int
    ) -> None:
        _, ready = await slots.count_provisioned(self._coordination, version.key)
        missing = min(wanted - ready, AT_ONCE) - self._asking[version.key]
        if time.monotonic() < self._not_before_s.get(version.key, 0.0):
            return
        for _ in range(missing):
            asked = tasks.create_task(self._ask(place, qualifier, version, wanted), name=f"provide-{version.key}")
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)

    async def _ask(self, place: Place, qualifier: str, version: FunctionVersion, wanted: int) -> None:
        with self._counted(version.key):
            result = await self._answer(version, wanted)
        if result.outcome is Outcome.OK:
            self._failures.pop(version.key, None)
        elif result.outcome is Outcome.FUNCTION_ERROR:
            self._failures[version.key] += 1
            if self._failures[version.key] >= MAX_FAILURES:
                await self._give_up(place, qualifier, version.key)
        else:
            self._not_before_s[version.key] = time.monotonic() + PAUSE_S
            log.info(
                "sandbox not provided",
                extra={"action": "not_provided", "function": version.arn, "why": result.detail or result.outcome.value},
            )

    @contextlib.contextmanager
    def _counted(self, key: str) -> Iterator[None]:
        self._asking[key] += 1
        try:
            yield
        finally:
            self._asking[key] -= 1
            if not self._asking[key]:
                del self._asking[key]

    async def _answer(self, version: FunctionVersion, wanted: int) -> InvocationResult:
        deadline = Deadline.after(budget_s(self._settings, version) + INIT_S)
        invocation = Invocation(
            request_id=str(uuid.uuid4()),
            version_key=version.key,
            invoked_arn=version.arn,
            family=version.family,
            payload=str(wanted).encode(),
            gives_up_at_ms=deadline.epoch_ms(),
            invocation_type=InvocationType.PROVISION,
        )
        try:
            return await self._invoker.invoke(invocation, deadline=deadline)
        except InvocationTimedOut as exc:
            return InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            return InvocationResult(Outcome.UNAVAILABLE, detail=exc.message)

    async def _give_up(self, place: Place, qualifier: str, key: str) -> None:
        """Recorded, unless the concurrency was set anew meanwhile; then it begins anew."""
        try:
            epoch = await self._concurrency.epoch()
            function = await self._functions.function(*place)
            one = provisioned_of(function).get(qualifier) if function else None
            if one is None or key in one.failed_for:
                return
            failed = dataclasses.replace(
                one, failure=INIT_FAILED, failed_for=(*one.failed_for, key), modified_at_ms=now_ms()
            )
            if await self._concurrency.put(place, epoch, f"{Beside.PROVISIONED}:{qualifier}", failed.to_json()):
                self._failures.pop(key, None)
                log.warning("provisioned concurrency failed", extra={"action": "provision_failed", "version": key})
        except HearthError as exc:  # the next failure tries again
            log.warning("failure not recorded", extra={"action": "failure_not_recorded", "error": str(exc)})
