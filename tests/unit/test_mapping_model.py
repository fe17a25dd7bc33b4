"""Event source mappings as values: what a source's ARN says, the stored form, how units are shared out."""

from __future__ import annotations

import pytest

from hearth.model.mapping import EventSourceMapping, MappingState, Rewind, SourceKind, source_kind
from pollers.sharing import shared_out


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:kinesis:us-east-1:000000000000:stream/s", SourceKind.KINESIS, "s"),
        ("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1700000000", SourceKind.KINESIS_CONSUMER, "s"),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2024-11-18T14:36:44.149", SourceKind.DYNAMODB, "t"),
        ("arn:aws:sqs:us-east-1:000000000000:q.fifo", SourceKind.SQS, "q.fifo"),
        ("arn:aws:mq:us-east-1:000000000000:broker:b:b-1234", SourceKind.RABBITMQ, "b"),
    ],
)
def test_source_arn_says_its_kind_and_name(arn: str, kind: SourceKind, name: str) -> None:
    assert source_kind(arn) is kind
    mapping = EventSourceMapping("u", "000000000000", "us-east-1", kind, arn, "f", "", 1, 1)
    assert (mapping.source_name, mapping.source_region, mapping.source_account) == (name, "us-east-1", "000000000000")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sns:us-east-1:000000000000:topic",
        "arn:aws:dynamodb:us-east-1:000000000000:table/t",
        "arn:aws:kafka:us-east-1:000000000000:cluster/c/1",
    ],
)
def test_other_arns_are_no_sources(arn: str) -> None:
    assert source_kind(arn) is None


def test_stored_form_keeps_everything() -> None:
    mapping = EventSourceMapping(
        uuid="u",
        account="000000000000",
        region="us-east-1",
        kind=SourceKind.RABBITMQ,
        source_arn="arn:aws:mq:us-east-1:000000000000:broker:b:b-1",
        function="f",
        qualifier="live",
        created_at_ms=1,
        modified_at_ms=2,
        state=MappingState.UPDATING,
        filters=("{}",),
        queues=("q",),
        access=(("VIRTUAL_HOST", "v"),),
        rewind=Rewind("r", at_ms=5),
        generation=7,
    )
    assert EventSourceMapping.from_json(mapping.to_json(), 7) == mapping
    assert mapping.virtual_host == "v"
    assert mapping.function_arn.endswith(":function:f:live")


def test_units_are_shared_evenly_and_all_pollers_agree() -> None:
    units = [f"m:{number}" for number in range(10)]
    owners = shared_out(units, ["a", "b", "c"])
    assert owners == shared_out(reversed(units), ["c", "a", "b", "a"])
    assert set(owners) == set(units)
    assert sorted(list(owners.values()).count(poller) for poller in "abc")[-1] <= 4


def test_death_of_a_poller_moves_little_but_its_own() -> None:
    units = [f"m:{number}" for number in range(30)]
    before, after = shared_out(units, ["a", "b", "c"]), shared_out(units, ["a", "b"])
    moved = [unit for unit in units if before[unit] != "c" and before[unit] != after[unit]]
    assert len(moved) <= 5
