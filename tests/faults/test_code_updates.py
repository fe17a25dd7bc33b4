"""Code replaced every second for half a minute, under load, with two gateway processes."""

from __future__ import annotations

from tests.faults.conftest import Start
from tests.support.code_updates import replace_under_load


def test_thirty_updates_under_load_fail_no_request(start: Start) -> None:
    stack = start(gateway_processes=2)
    run = replace_under_load(stack, updates=30, every_s=1.0, concurrency=8, each_seen=True)

    assert run.failed() == []
    assert run.untimely() == []
    assert {answer.payload for answer in run.answers} >= set(range(1, 30))
