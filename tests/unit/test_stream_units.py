"""Which shards of a mapping are to be read: parents before children, and again after a rewind."""

from __future__ import annotations

from hearth.model.mapping import EventSourceMapping, Rewind, SourceKind
from hearth.store.checkpoints import FINISHED, Checkpoint
from pollers.streams.source import SourceShard
from pollers.streams.units import readable

#: 0 was split into 1 and 2, which were merged into 3
SHARDS = [SourceShard("0", (), False), SourceShard("1", ("0",)), SourceShard("2", ("0",)), SourceShard("3", ("1", "2"))]


def a_mapping(rewind: Rewind | None = None) -> EventSourceMapping:
    return EventSourceMapping(
        uuid="u",
        account="000000000000",
        region="us-east-1",
        kind=SourceKind.KINESIS,
        source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
        function="f",
        qualifier="",
        created_at_ms=0,
        modified_at_ms=0,
        rewind=rewind,
    )


def noted(finished: str, rewinds: str = "") -> dict[str, Checkpoint]:
    """All four shards; rewinds: those that have done rewind r."""
    return {
        shard.id: Checkpoint(FINISHED if shard.id in finished else "7", rewind="r" if shard.id in rewinds else "")
        for shard in SHARDS
    }


def test_children_wait_for_all_their_parents() -> None:
    assert readable(a_mapping(), SHARDS, noted("")) == ["0"]
    assert readable(a_mapping(), SHARDS, noted("0")) == ["1", "2"]
    assert readable(a_mapping(), SHARDS, noted("01")) == ["2"]
    assert readable(a_mapping(), SHARDS, noted("012")) == ["3"]
    assert readable(a_mapping(), SHARDS, noted("0123")) == []


def test_a_parent_that_is_not_listed_any_more_holds_up_nobody() -> None:
    assert readable(a_mapping(), SHARDS[1:], noted("")) == ["1", "2"]


def test_a_rewind_in_time_begins_with_the_oldest_shards_again() -> None:
    mapping = a_mapping(Rewind("r", at_ms=1))
    assert readable(mapping, SHARDS, noted("012")) == ["0"]
    assert readable(mapping, SHARDS, noted("012", rewinds="0")) == ["1", "2"]
    assert readable(mapping, SHARDS, noted("0123", rewinds="0123")) == []


def test_a_rewind_to_a_record_concerns_its_shard_alone() -> None:
    mapping = a_mapping(Rewind("r", sequence_number="9", shard_id="1"))
    assert readable(mapping, SHARDS, noted("0123")) == ["1"]
    assert readable(mapping, SHARDS, noted("0123", rewinds="1")) == []
    assert readable(mapping, SHARDS, noted("012")) == ["1"]
