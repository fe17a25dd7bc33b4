"""What an event runs on now: the version in force, and the configuration of the qualifier that it was sent to."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hearth.arn import LATEST
from hearth.lineage import MAX_PASSES, pass_through, stops
from hearth.model.event import DropReason, Event
from hearth.model.event_config import EventInvokeConfig
from hearth.model.function import FunctionVersion
from hearth.store.concurrency import concurrency_of
from hearth.store.functions import Beside, Function, FunctionRecord, FunctionTable
from pollers.event_retry import Drop


@dataclass(frozen=True, slots=True)
class Target:
    """dead_letters: ARN of the function's queue or topic for them; empty: none."""

    version: FunctionVersion
    runnable: bool
    reserved: int | None = None
    config: EventInvokeConfig | None = None
    dead_letters: str = ""
    stops_recursion: bool = True

    @classmethod
    def of(cls, function: Function, record: FunctionRecord, qualifier: str) -> Target:
        config = function.beside_of(Beside.EVENT_INVOKE, qualifier or LATEST)
        return cls(
            version=record.version,
            runnable=record.state == "Active",
            reserved=concurrency_of(function).reserved,
            config=None if config is None else EventInvokeConfig.from_json(config),
            # $LATEST's, whichever version runs
            dead_letters=(function.latest.configuration.get("DeadLetterConfig") or {}).get("TargetArn", ""),
            stops_recursion=stops(function.beside_of(Beside.RECURSION)),
        )

    def refusal(self, event: Event) -> Drop | None:
        """Why it is not to be run, whatever its age and tries."""
        if self.reserved == 0:
            return Drop(DropReason.ZERO_RESERVED_CONCURRENCY)
        if self.stops_recursion and pass_through(event.trace_id, event.arn)[1] > MAX_PASSES:
            return Drop(DropReason.RECURSION)
        return None


async def find_target(functions: FunctionTable, event: Event) -> Target | None:
    """None: there is no such function or qualifier any more. Raises Unavailable."""
    found = await functions.resolve(event.account, event.region, event.name, event.qualifier, random.random())
    return Target.of(*found, event.qualifier) if found else None
