"""Messages of an inbox, orders beside a state, lines of a log: what is written is read again."""

from __future__ import annotations

import pytest

from hearth.model.history import HistoryEvent
from orchestrator.core import signals
from orchestrator.logs import line_of, wanted
from orchestrator.messages import read_message, write_message
from orchestrator.orders import Order, dump_order, read_order

ARN = "arn:aws:states:us-east-1:000000000000:execution:m:e"


@pytest.mark.parametrize(
    "signal",
    [
        signals.TaskSucceeded(3, "{}"),
        signals.TaskFailed(3, "E", None),
        signals.StopRequested(),
        signals.ChildEnded(3, 7, "FAILED", error="E"),
        signals.RedriveRequested(),
    ],
)
def test_signal_survives_its_message(signal: signals.Signal) -> None:
    assert read_message(write_message(signal)) == signal


@pytest.mark.parametrize("body", [b'{"signal": "Nothing"}', b'{"signal": "TaskSucceeded"}', b"{", b"{}"])
def test_foreign_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_message(body)


def test_order_survives_its_record() -> None:
    parameters = '{"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:child:2"}'
    order = Order(5, "service", parameters=parameters, service="states", pattern="sync:2", execution=ARN)
    again = read_order(dump_order(order))
    assert again == order
    # a child that was given no name has the same one at every attempt
    assert again.child == order.child
    assert order.child.startswith("arn:aws:states:us-east-1:000000000000:execution:child:")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("ALL", {"TaskFailed", "PassStateEntered", "FailStateEntered", "ExecutionFailed"}),
        ("ERROR", {"TaskFailed", "FailStateEntered", "ExecutionFailed"}),
        ("FATAL", {"ExecutionFailed"}),
    ],
)
def test_log_level_chooses_events(level: str, shown: set[str]) -> None:
    kinds = ("TaskFailed", "PassStateEntered", "FailStateEntered", "ExecutionFailed")
    assert {kind for kind in kinds if wanted(level, kind)} == shown


def test_log_line_is_all_text_and_leaves_data_out() -> None:
    event = HistoryEvent(2, 0, "PassStateEntered", 1500, 0, {"name": "A", "input": "{}", "inputDetails": {}})
    line = line_of(ARN, 0, event, with_data=False)
    assert line == {
        "id": "2",
        "type": "PassStateEntered",
        "details": {"name": "A"},
        "previous_event_id": "0",
        "event_timestamp": "1500",
        "execution_arn": ARN,
        "redrive_count": "0",
    }
    assert line_of(ARN, 0, event, with_data=True)["details"]["input"] == "{}"
