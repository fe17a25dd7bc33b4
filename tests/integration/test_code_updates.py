"""Code replaced under load; tests/faults has the long run."""

from __future__ import annotations

from tests.support.code_updates import replace_under_load
from tests.support.stack import PlatformStack


def test_code_replaced_under_load_fails_no_request_and_answers_with_what_was_current(stack: PlatformStack) -> None:
    run = replace_under_load(stack, updates=6, every_s=0.6, concurrency=8)

    assert run.failed() == []
    assert run.untimely() == []
    assert {answer.payload for answer in run.answers} >= set(range(1, 6))
