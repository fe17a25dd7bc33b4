"""Compiled definitions, kept by the key of the snapshot they come from."""

from __future__ import annotations

from collections import OrderedDict

from hearth.asl.definition import Definition
from hearth.asl.parse import parse_definition
from hearth.model.execution import Snapshot
from hearth.store.executions import ExecutionTable

#: compiled at once; a definition may have a megabyte
KEPT = 256


class Definitions:
    def __init__(self, table: ExecutionTable) -> None:
        self._table = table
        self._kept: OrderedDict[str, tuple[Snapshot, Definition]] = OrderedDict()

    async def get(self, key: str) -> tuple[Snapshot, Definition]:
        """Raises Unavailable."""
        known = self._kept.get(key)
        if known is None:
            snapshot = await self._table.snapshot(key)
            known = self.keep(key, snapshot)
        self._kept.move_to_end(key)
        return known

    def known(self, key: str) -> tuple[Snapshot, Definition] | None:
        """What is kept under that key."""
        return self._kept.get(key)

    def keep(self, key: str, snapshot: Snapshot) -> tuple[Snapshot, Definition]:
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = snapshot, parse_definition(snapshot.definition)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return known
