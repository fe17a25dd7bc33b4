"""Hash keys, shards and sequence numbers of data streams."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.stream import (
    MAX_HASH_KEY,
    PROVISIONED,
    Consumer,
    EntryId,
    SequenceNumber,
    Stream,
    first_shards,
    hash_key_of,
    merge,
    scaled,
    shard_index,
    split,
)

NOW = 1_764_120_000_000


def stream_of(count: int) -> Stream:
    return Stream("000000000000", "us-east-1", "a", NOW, PROVISIONED, first_shards(count, NOW))


def covers_all(stream: Stream) -> bool:
    shards = stream.open_shards
    ends = [-1] + [shard.end for shard in shards]
    return ends[-1] == MAX_HASH_KEY and [shard.start for shard in shards] == [end + 1 for end in ends[:-1]]


def test_hash_key_is_the_md5_of_the_partition_key() -> None:
    assert hash_key_of("") == 0xD41D8CD98F00B204E9800998ECF8427E
    assert hash_key_of("é") == hash_key_of("\N{LATIN SMALL LETTER E WITH ACUTE}")


@settings(deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(1, 30), max_size=3))
def test_open_shards_hold_every_hash_key_once_however_the_stream_is_scaled(count: int, targets: list[int]) -> None:
    stream = stream_of(count)
    for target in targets:
        stream = scaled(stream, target, NOW + 1)
        assert len(stream.open_shards) == target
        assert covers_all(stream)
    assert [shard.index for shard in stream.shards] == list(range(len(stream.shards)))


def test_split_and_merge_name_their_parents() -> None:
    stream = split(stream_of(1), stream_of(1).shards[0], 2**127, NOW + 5)
    parent, low, high = stream.shards
    assert (parent.closed_at_ms, low.parent, high.parent) == (NOW + 5, 0, 0)
    assert (low.start, low.end, high.start, high.end) == (0, 2**127 - 1, 2**127, MAX_HASH_KEY)
    merged = merge(stream, high, low, NOW + 9)
    child = merged.shards[3]
    assert (child.parent, child.adjacent_parent, child.start, child.end) == (2, 1, 0, MAX_HASH_KEY)
    assert merged.children(merged.shards[1]) == [child]
    assert [shard.id for shard in merged.open_shards] == ["shardId-000000000003"]


@given(st.integers(0, 2**43 - 1), st.integers(0, 2**20 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**36 - 1))
def test_sequence_number_gives_back_what_it_was_made_of(ms: int, number: int, shard: int, created_s: int) -> None:
    one = SequenceNumber(created_s, shard, EntryId(ms, number))
    assert SequenceNumber.parse(str(one)) == one


@given(
    st.tuples(st.integers(0, 2**43 - 1), st.integers(0, 2**20 - 1)), st.tuples(st.integers(0, 2**43 - 1), st.just(7))
)
def test_sequence_numbers_of_a_shard_have_the_order_of_its_records(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    shard = stream_of(3).shards[2]
    numbers = [int(shard.sequence_number(EntryId(*entry))) for entry in (one, other)]
    assert (numbers[0] < numbers[1]) == (one < other)


def test_sequence_numbers_look_like_those_of_aws() -> None:
    shard = stream_of(3).shards[1]
    first = shard.starting_sequence_number
    assert (len(first), first[:2]) == (56, "49")
    closed = split(stream_of(3), shard, shard.start + 9, NOW + 5000).shards[1]
    assert int(closed.ending_sequence_number or 0) > int(closed.sequence_number(EntryId(NOW + 4999, 5)))
    for text in ("0", "1", "4" * 56, "x"):
        with pytest.raises(ValueError, match=r"no sequence number|invalid literal"):
            SequenceNumber.parse(text)


@pytest.mark.parametrize(
    ("text", "index"),
    [("shardId-000000000012", 12), ("shardId-3", 3), ("shardId-", None), ("3", None), ("shardId-x", None)],
)
def test_shard_ids_may_be_short(text: str, index: int | None) -> None:
    assert shard_index(text) == index


def test_a_stream_is_what_was_stored() -> None:
    stream = split(stream_of(2), stream_of(2).shards[0], 5, NOW + 1)
    stream = Stream.from_json(stream.to_json())
    assert stream.shards[0].closed_at_ms == NOW + 1
    one = Stream(
        "0" * 12, "r", "n", NOW, PROVISIONED, first_shards(2, NOW), consumers={"c": Consumer("c", NOW, {"a": "b"})}
    )
    assert Stream.from_json(one.to_json()) == one


def test_closed_shards_are_listed_while_they_have_records() -> None:
    stream = split(stream_of(1), stream_of(1).shards[0], 5, NOW)
    assert len(stream.listed(NOW + 23 * 3_600_000)) == 3
    assert len(stream.listed(NOW + 25 * 3_600_000)) == 2
