"""Writes to items, one or many at once: read, decide, write if nothing came between, else again.

Writes that depend on nothing go out without a read. Those to one item wait for one another within a process, so that a
counter that everybody raises is not read in vain all the time; between processes the later one decides again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from gateway.call import Call
from gateway.dynamodb_api.found import known_table
from hearth.clock import now_ms
from hearth.errors import ApiError
from hearth.model.attribute_value import Item, encoded
from hearth.model.table import Table
from hearth.store.tables import ANY, DELETED, UNCHANGED, ItemChanged, ItemWrite, TableChanged, Token, digest

_TRIES = 60
_PAUSE_S = 0.002


class Conflict(ApiError):
    """Other writes kept coming between. Nothing was done; a retry is safe."""

    def __init__(self) -> None:
        super().__init__("InternalServerError", 500, "Other writes to the item kept coming between. Try again.")


@dataclass(frozen=True, slots=True)
class Write:
    """To one item. key: canonical, checked when the table is known.

    decide: (table, the item as it is or None) -> the item as it shall be; None: none; raises ApiError.
    blind: `decide` does not look at the item. check_only: nothing is written.
    """

    table: str
    key: Callable[[Table], Item]
    decide: Callable[[Table, Item | None], Item | None]
    blind: bool = False
    check_only: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    table: Table
    before: Item | None
    after: Item | None


async def carry_out(
    call: Call, writes: Sequence[Write], token: Token | None = None, before_writing: Callable[[], None] | None = None
) -> list[Written]:
    """All or none, in order; under a token once. Raises ApiError, Conflict, AlreadyDone.

    before_writing: called when all have been decided; raises what then is not to be done.
    """
    for tries in range(_TRIES):
        try:
            return await _try(call, writes, token, before_writing)
        except TableChanged as exc:
            call.backends.known_tables.drop(exc.table)
        except ItemChanged:
            await asyncio.sleep(random.uniform(0, _PAUSE_S * tries))
    raise Conflict


async def _try(
    call: Call, writes: Sequence[Write], token: Token | None, before_writing: Callable[[], None] | None
) -> list[Written]:
    tables = call.backends.tables
    reads = [await known_table(call, write.table) for write in writes]
    keys = [write.key(read.table) for write, read in zip(writes, reads, strict=True)]
    places = [read.table.place(key) for read, key in zip(reads, keys, strict=True)]
    if len({(read.table.arn, place) for read, place in zip(reads, places, strict=True)}) < len(places):
        raise ApiError("ValidationException", 400, "Provided list of item keys contains duplicates")
    async with contextlib.AsyncExitStack() as turn:
        if len(writes) == 1 and not writes[0].blind:
            await turn.enter_async_context(call.backends.item_turns.of(reads[0].table.arn, places[0]))
        seen = [number for number, write in enumerate(writes) if not write.blind]
        found = await tables.items([(reads[number], places[number]) for number in seen]) if seen else []
        now = dict(zip(seen, found, strict=True))
        planned: list[ItemWrite] = []
        after: list[Item | None] = []
        for number, (write, read) in enumerate(zip(writes, reads, strict=True)):
            text = now.get(number)
            item = write.decide(read.table, None if text is None else orjson.loads(text))
            new = UNCHANGED if write.check_only else DELETED if item is None else encoded(item)
            replaces = ANY if write.blind else digest(text)
            planned.append(ItemWrite(read, places[number], encoded(keys[number]), new, replaces))
            after.append(item)
        if before_writing is not None:
            before_writing()
        replaced = await tables.write_items(planned, now_ms=now_ms(), token=token)
    return [
        Written(read.table, None if old is None else orjson.loads(old), new)
        for read, old, new in zip(reads, replaced, after, strict=True)
    ]
