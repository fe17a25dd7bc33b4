"""Where `hearth mappings rewind --to` points."""

from __future__ import annotations

import pytest

from hearth.cli.mapping_position import rewind_to
from hearth.model.mapping import SourceKind
from hearth.model.stream import EntryId, SequenceNumber

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("start", 1),
        ("10m", NOW_MS - 600_000),
        ("2d", NOW_MS - 172_800_000),
        ("1699999999.5", 1_699_999_999_500),
        ("2023-11-14T22:13:19", 1_699_999_999_000),
        ("2023-11-14T23:13:19+01:00", 1_699_999_999_000),
    ],
)
def test_times_are_understood(text: str, at_ms: int) -> None:
    found = rewind_to(text, SourceKind.DYNAMODB, NOW_MS)
    assert (found.at_ms, found.sequence_number, found.shard_id) == (at_ms, "", "")


def test_sequence_number_says_its_shard_or_needs_it_named() -> None:
    number = str(SequenceNumber(1_600_000_000, 7, EntryId(1_600_000_001_000, 3)))
    found = rewind_to(number, SourceKind.KINESIS, NOW_MS)
    assert (found.sequence_number, found.shard_id) == (number, "shardId-000000000007")
    with pytest.raises(ValueError, match="--shard"):
        rewind_to("111700000000023456789012", SourceKind.DYNAMODB, NOW_MS)
    assert rewind_to("111700000000023456789012", SourceKind.DYNAMODB, NOW_MS, shard="s").shard_id == "s"


@pytest.mark.parametrize("text", ["yesterday", "2030-01-01", "10 minutes", ""])
def test_other_texts_and_the_future_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text or "neither"):
        rewind_to(text, SourceKind.KINESIS, NOW_MS)
