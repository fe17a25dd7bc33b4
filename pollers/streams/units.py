"""Which shards of a mapping are to be read now: none before those that it came from have been read to their end.

Where a mapping begins is settled once, for all shards that are there then. Shards that come later are read whole, as is
a stream that was deleted and made again under its name.
Source: Lambda Developer Guide, polling and batching streams; Kinesis Developer Guide, resharding.
"""

from __future__ import annotations

from hearth.model.mapping import EventSourceMapping
from hearth.store.checkpoints import FINISHED, Checkpoint, CheckpointTable, differ
from pollers.streams.source import LATEST, TRIM_HORIZON, SourceShard, StreamSource


async def units_of(mapping: EventSourceMapping, source: StreamSource, checkpoints: CheckpointTable) -> list[str]:
    """Ids of the shards. Raises SourceGone, HearthError."""
    shards, incarnation = await source.shards(), await source.incarnation()
    ids = [shard.id for shard in shards]
    begun, noted = await checkpoints.shards(mapping, ids)
    if differ(begun, incarnation):
        await checkpoints.restart(mapping, begun, incarnation)
        begun, noted = await checkpoints.shards(mapping, ids)
    if new := [shard for shard in shards if shard.id not in noted]:
        kind = TRIM_HORIZON if begun else mapping.starting_position
        starts = {shard.id: await _start(source, shard, kind, mapping.starting_at_ms) for shard in new}
        await checkpoints.begin(mapping, starts, first=not begun, incarnation=incarnation)
        if begun:
            await checkpoints.forget_shards(mapping, ids)
        _, noted = await checkpoints.shards(mapping, ids)
    return readable(mapping, shards, noted)


def readable(mapping: EventSourceMapping, shards: list[SourceShard], noted: dict[str, Checkpoint]) -> list[str]:
    """Pure. A parent that is not listed any more has nothing left to read."""
    ids = {shard.id for shard in shards}
    done = {shard for shard, checkpoint in noted.items() if _is_done(mapping, shard, checkpoint)}
    return [
        shard.id
        for shard in shards
        if shard.id in noted
        and shard.id not in done
        and all(parent in done or parent not in ids for parent in shard.parents)
    ]


def _is_done(mapping: EventSourceMapping, shard: str, checkpoint: Checkpoint) -> bool:
    rewind = mapping.rewind
    to_rewind = rewind is not None and rewind.id != checkpoint.rewind and rewind.shard_id in ("", shard)
    return checkpoint.finished and not to_rewind


async def _start(source: StreamSource, shard: SourceShard, kind: str, at_ms: int) -> str:
    if kind == LATEST and not shard.open:
        return FINISHED
    return await source.start(shard.id, kind, at_ms)
