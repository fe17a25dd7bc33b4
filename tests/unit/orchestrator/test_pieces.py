"""What a commit stores of the state does not grow with the history, nor with the number of items."""

from __future__ import annotations

import orjson

from orchestrator.core.decide import decide, start
from orchestrator.core.effects import StartTask
from orchestrator.core.signals import Continue, TaskSucceeded
from orchestrator.core.state import ExecutionState
from tests.support.simulated_execution import START_MS, a_definition, an_identity, described

from .test_histories import BY_ARN, a_map

LOOP = {
    "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}},
    "More?": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 3000, "Next": "Count"}],
              "Default": "Done"},
    "Done": {"Type": "Succeed"},
}  # fmt: skip


def size(changes: dict[str, bytes | None]) -> int:
    return sum(len(piece or b"") for piece in changes.values())


def test_loop_stores_as_much_at_its_end_as_at_its_beginning() -> None:
    definition = a_definition(LOOP)
    state, decision = start(definition, an_identity(), '{"n":0}', at_ms=START_MS, random=0.5)
    state.take_changes()
    sizes = []
    while decision.unfinished:
        decision = decide(definition, state, [Continue()], at_ms=START_MS, random=0.5)
        changes = state.take_changes()
        assert set(changes) <= {"head", "f:0", "t:0"}
        sizes.append(size(changes))
    assert state.status == "SUCCEEDED"
    assert len(sizes) > 10
    assert max(sizes[:-1]) - min(sizes[:-1]) < 20, "only the numbers have grown"


def test_iteration_of_a_large_map_stores_itself_and_its_successor() -> None:
    definition = a_definition({"M": a_map({"X": BY_ARN}, MaxConcurrency=10)})
    items = [{"text": "x" * 100, "n": n} for n in range(1000)]
    state, decision = start(definition, an_identity(), orjson.dumps(items).decode(), at_ms=START_MS, random=0.5)
    stored = {name: piece for name, piece in state.take_changes().items() if piece is not None}
    waiting = [effect for effect in decision.effects if isinstance(effect, StartTask)]
    while waiting:
        task = waiting.pop(0)
        decision = decide(definition, state, [TaskSucceeded(task.task_id, "1")], at_ms=START_MS, random=0.5)
        waiting += [effect for effect in decision.effects if isinstance(effect, StartTask)]
        changes = state.take_changes()
        if not state.closed and state.frames[0].container is not None:
            assert size(changes) < 1500
            assert "m:0" not in changes
            assert "t:0" not in changes
        for name, piece in changes.items():
            if piece is None:
                stored.pop(name, None)
            else:
                stored[name] = piece
    assert state.status == "SUCCEEDED"
    assert described(ExecutionState.load(stored)) == described(state)
    assert [name for name in stored if name.startswith("r:")] == [], "results are gone with their Map"
