"""Distributed Maps: items become executions of their own."""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.core.effects import (
    ExecutionEnded,
    FinishMapRun,
    RedriveMapRun,
    StartChild,
    StartMapRun,
    WriteResults,
)
from orchestrator.core.signals import ChildEnded, ItemsRead, MapRunFailed, MapRunUpdated, RedriveRequested
from tests.support.simulated_execution import Simulation, a_definition, simulate

from .test_histories import CATCH, PASS

READER = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}, "Parameters": {
    "Bucket": "b", "Key.$": "$.key"}}  # fmt: skip
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}


def distributed(**members: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "X",
        "States": {"X": {"Type": "Pass", "End": True}},
    }
    return {"Type": "Map", "ItemProcessor": processor, "Label": "each"} | members


def echo(effect: Any) -> Any:
    return orjson.loads(effect.input) if isinstance(effect, StartChild) else None


def failing(*indexes: int) -> Any:
    def script(effect: Any) -> Any:
        if isinstance(effect, StartChild) and effect.index in indexes:
            return [ChildEnded(effect.task_id, effect.index, "FAILED", None, "E", "c")]
        return echo(effect)

    return script


def test_history_of_a_distributed_map() -> None:
    played = simulate({"M": distributed()}, [1, 2], echo)
    assert played.history == [
        "1 ExecutionStarted←0",
        "2 MapStateEntered←0",
        "3 MapStateStarted←2",
        "4 MapRunStarted←3",
        "5 MapRunSucceeded←4",
        "6 MapStateSucceeded←5",
        "7 MapStateExited←5",
        "8 ExecutionSucceeded←7",
    ]
    assert played.output == [1, 2]
    assert played.details("MapStateStarted") == [{"length": 2}]
    (begun,) = played.all_of(StartMapRun)
    assert begun.map_run_arn.startswith("arn:aws:states:us-east-1:000000000000:mapRun:machine/each:")
    assert played.all_of(FinishMapRun) == [FinishMapRun(4, "SUCCEEDED")]


def test_items_are_read_selected_and_batched() -> None:
    states = {
        "M": distributed(
            ItemReader=READER,
            ItemSelector={"v.$": "$$.Map.Item.Value", "k.$": "$.key"},
            ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"of.$": "$.key"}},
        )
    }

    def script(effect: Any) -> Any:
        return [1, 2, 3] if isinstance(effect, StartMapRun) else echo(effect)

    played = simulate(states, {"key": "file"}, script)
    (begun,) = played.all_of(StartMapRun)
    assert begun.reader == {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "b", "Key": "file"},
    }
    assert played.details("MapStateStarted") == [{"length": 0}]
    one, two, three = ({"v": n, "k": "file"} for n in (1, 2, 3))
    shared = {"BatchInput": {"of": "file"}}
    assert played.output == [shared | {"Items": [one, two]}, shared | {"Items": [three]}]
    assert [child.item_count for child in played.all_of(StartChild)] == [2, 1]


def test_items_know_where_they_come_from() -> None:
    selector = {"from.$": "$$.Map.Item.Source"}
    played = simulate({"M": distributed(ItemSelector=selector)}, [1], echo)
    assert played.output == [{"from": "STATE_DATA"}]
    reading = Simulation(
        a_definition({"M": distributed(ItemReader=READER, ItemSelector=selector)}),
        lambda effect: (
            [ItemsRead(effect.task_id, [1], "s3://b/f")] if isinstance(effect, StartMapRun) else echo(effect)
        ),
    )
    assert reading.play({"key": "f"}).output == [{"from": "s3://b/f"}]


def test_members_of_an_object_are_pairs_for_children_and_known_by_name_to_the_selector() -> None:
    played = simulate({"M": distributed()}, {"k": 1, "l": 2}, echo)
    assert played.output == [{"Key": "k", "Value": 1}, {"Key": "l", "Value": 2}]
    selector = {"key.$": "$$.Map.Item.Key", "value.$": "$$.Map.Item.Value"}
    assert simulate({"M": distributed(ItemSelector=selector)}, {"k": 1}, echo).output == [{"key": "k", "value": 1}]
    reading = Simulation(
        a_definition({"M": distributed(ItemReader=READER, ItemSelector=selector)}),
        lambda effect: (
            [ItemsRead(effect.task_id, [7], "s3://b/f", ["m"])] if isinstance(effect, StartMapRun) else echo(effect)
        ),
    )
    assert reading.play({"key": "f"}).output == [{"key": "m", "value": 7}]


def test_unreadable_items_fail_the_run() -> None:
    states = {"M": distributed(ItemReader=READER)}
    cause = "Attempting to map over non-iterable node."
    played = simulate(
        states, {"key": "f"}, lambda effect: [MapRunFailed(effect.task_id, "States.ItemReaderFailed", cause)]
    )
    assert played.history[4:] == ["5 MapRunFailed←4", "6 MapStateFailed←5", "7 ExecutionFailed←6"]
    assert played.details("MapRunFailed") == [{"error": "States.ItemReaderFailed", "cause": cause}]
    assert played.details("ExecutionFailed") == [{"error": "States.ItemReaderFailed", "cause": cause}]


def test_number_of_items_that_can_not_be_is_told_by_the_run_or_before_it() -> None:
    reader = READER | {"ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.most"}}
    played = simulate({"M": distributed(ItemReader=reader)}, {"key": "f", "most": -1})
    assert played.details("MapRunFailed") == [
        {"error": "States.ItemReaderFailed", "cause": "field MaxItems must be positive"}
    ]
    played = simulate({"M": distributed(ItemReader=reader)}, {"key": "f", "most": 1.5})
    assert played.history[2:] == ["3 MapStateStarted←2", "4 ExecutionFailed←3"]


def test_tolerated_failures_are_left_out() -> None:
    played = simulate({"M": distributed(ToleratedFailureCount=1)}, [1, 2, 3], failing(1))
    assert played.output == [1, 3]


def test_too_many_failures_end_the_run_and_can_be_caught() -> None:
    states = {"M": distributed(ToleratedFailurePercentage=30, Catch=CATCH), "Caught": PASS}
    played = simulate(states, [1, 2, 3], failing(0, 1))
    assert played.output == {
        "Error": "States.ExceedToleratedFailureThreshold",
        "Cause": "The specified tolerated failure threshold was exceeded",
    }
    assert played.all_of(FinishMapRun) == [FinishMapRun(4, "FAILED")]


def test_as_many_children_as_may_run_at_once() -> None:
    played = Simulation(a_definition({"M": distributed(MaxConcurrency=2)}))
    played.begin([1, 2, 3, 4, 5])
    assert [child.index for child in played.all_of(StartChild)] == [0, 1]
    played.send(ChildEnded(4, 1, "SUCCEEDED", "2"))
    assert [child.index for child in played.all_of(StartChild)] == [0, 1, 2]
    assert not played.send(ChildEnded(4, 1, "SUCCEEDED", "2")).effects, "told twice"
    played.send(MapRunUpdated(4, max_concurrency=3))
    assert [child.index for child in played.all_of(StartChild)] == [0, 1, 2, 3]


def test_result_writer_has_the_last_word() -> None:
    def script(effect: Any) -> Any:
        return {"ResultWriterDetails": {"Bucket": "b"}} if isinstance(effect, WriteResults) else echo(effect)

    played = simulate({"M": distributed(ResultWriter=WRITER)}, [1], script)
    (asked,) = played.all_of(WriteResults)
    assert asked.writer == {"Resource": WRITER["Resource"], "Parameters": WRITER["Parameters"], "WriterConfig": {}}
    assert played.output == {"ResultWriterDetails": {"Bucket": "b"}}


def test_child_that_succeeds_after_its_run_has_failed_is_not_repeated() -> None:
    played = Simulation(a_definition({"M": distributed()}))
    played.begin([1, 2, 3])
    played.send(ChildEnded(4, 1, "FAILED", None, "E", "c"))
    assert played.state.status == "FAILED"
    played.send(ChildEnded(4, 0, "SUCCEEDED", "10"))
    played.send(ChildEnded(4, 2, "ABORTED"))
    played.effects.clear()
    played.script = echo
    played.send(RedriveRequested())
    assert [child.index for child in played.all_of(StartChild)] == [1, 2]
    played.go_on()
    assert played.output == [10, 2, 3]


def test_redriven_run_repeats_only_the_children_that_failed() -> None:
    played = Simulation(a_definition({"M": distributed()}), failing(1))
    played.play([1, 2, 3])
    assert played.all_of(ExecutionEnded)[0].status == "FAILED"
    played.script = echo
    played.effects.clear()
    played.send(RedriveRequested())
    played.go_on()
    assert played.output == [1, 2, 3]
    assert 1 in [child.index for child in played.all_of(StartChild) if child.again]
    assert 0 not in [child.index for child in played.all_of(StartChild)]
    (again,) = played.all_of(RedriveMapRun)
    assert (again.task_id, again.state) == (4, "M")
    redriven = played.details("MapRunRedriven")[0]
    assert redriven == {"mapRunArn": played.details("MapRunStarted")[0]["mapRunArn"], "redriveCount": 1}
