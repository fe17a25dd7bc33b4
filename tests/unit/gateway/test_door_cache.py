"""The front doors' cache: what is believed, and what is looked up again."""

from __future__ import annotations

from gateway.epoch_lease import LEASE_S
from gateway.front_doors.cache import DoorCache


class Table:
    """Doors with revisions, and how often they were loaded and looked up."""

    def __init__(self) -> None:
        self.revisions = {"a": 1, "b": 1}
        self.now_s = 0.0
        self.epoch = 0
        self.loads: list[str] = []
        self.looks = 0
        self.cache: DoorCache[list[int]] = DoorCache("doors", self.load, self.read_epoch, monotonic=lambda: self.now_s)

    async def load(self, door_id: str, kept: list[int] | None) -> list[int] | None:
        self.looks += 1
        revision = self.revisions.get(door_id)
        if revision is None or (kept is not None and kept[0] == revision):
            return kept if revision is not None else None
        self.loads.append(door_id)
        return [revision]

    async def read_epoch(self) -> int:
        return self.epoch


async def test_a_door_is_loaded_once_and_believed_for_the_lease() -> None:
    table = Table()
    await table.cache.lease.renew()
    first = await table.cache.get("a")
    assert await table.cache.get("a") is first
    assert (table.loads, table.looks) == (["a"], 1)
    table.now_s = LEASE_S
    assert await table.cache.get("a") is first
    assert (table.loads, table.looks) == (["a"], 2)
    assert await table.cache.get("none") is None


async def test_a_change_of_another_door_keeps_what_was_compiled() -> None:
    table = Table()
    await table.cache.lease.renew()
    kept, _ = await table.cache.get("a"), await table.cache.get("b")
    table.revisions["b"], table.epoch = 2, 1
    await table.cache.lease.renew()
    assert await table.cache.get("a") is kept
    assert await table.cache.get("b") == [2]
    assert table.loads == ["a", "b", "b"]


async def test_a_deleted_door_is_gone() -> None:
    table = Table()
    await table.cache.lease.renew()
    await table.cache.get("a")
    del table.revisions["a"]
    table.cache.changed()
    assert await table.cache.get("a") is None


async def test_what_was_loaded_while_something_changed_is_looked_up_again() -> None:
    table = Table()
    await table.cache.lease.renew()
    load = table.load

    async def slow(door_id: str, kept: list[int] | None) -> list[int] | None:
        loaded = await load(door_id, kept)
        table.cache.changed()
        return loaded

    table.cache._load = slow
    first = await table.cache.get("a")
    table.cache._load = load
    assert await table.cache.get("a") is first
    assert (table.loads, table.looks) == (["a"], 2)
    table.revisions["a"] = 2
    table.cache.changed()
    assert await table.cache.get("a") == [2]


async def test_a_slow_load_does_not_replace_what_was_loaded_after_a_change() -> None:
    table = Table()
    await table.cache.lease.renew()
    load = table.load

    async def overtaken(door_id: str, kept: list[int] | None) -> list[int] | None:
        loaded = await load(door_id, kept)
        table.revisions["a"], table.cache._load = 2, load
        table.cache.changed()
        assert await table.cache.get("a") == [2]
        return loaded

    table.cache._load = overtaken
    assert await table.cache.get("a") == [1]
    assert await table.cache.get("a") == [2]
    assert table.loads == ["a", "a"]
