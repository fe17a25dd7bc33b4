"""TestState in an orchestrator: the definition read, the state tried, its task's call made if no mock stands for it."""

from __future__ import annotations

import asyncio
import random
import secrets
import uuid
from typing import Any

import orjson

from hearth.asl.definition import State, TaskState
from hearth.asl.errors import TIMEOUT
from hearth.asl.lint import Diagnostic, lint, lint_state
from hearth.asl.parse import compile_state, parse_definition
from hearth.errors import ApiError
from hearth.model.execution import Execution, Snapshot
from hearth.model.workflow_arn import machine_arn
from hearth.platform_clock import PlatformClock
from orchestrator.core import signals
from orchestrator.core.effects import StartTask
from orchestrator.core.state import Identity
from orchestrator.core.trial import STATE_NAME, Trial
from orchestrator.core.trial_rules import read_request
from orchestrator.mocks import check_mock
from orchestrator.orders import Order
from orchestrator.perform import Performer, Surroundings

#: a state's trial may take so long. Source: Step Functions Developer Guide, TestState
LONGEST_S = 300.0


class Trials:
    def __init__(self, clock: PlatformClock, performer: Performer) -> None:
        self._clock = clock
        self._performer = performer

    async def test_state(self, given: dict[str, Any]) -> dict[str, Any]:
        """given: TestState's request, with the caller's account and region. Raises ApiError."""
        state = _state(given)
        request = read_request(given)
        now_ms = self._clock.now_ms()
        identity = _identity(given, now_ms)
        trial = Trial(state, request, identity, at_ms=now_ms, random=random.random())
        if request.mock_result is not None and isinstance(state, TaskState):
            mode = given["mock"].get("fieldValidationMode", "STRICT")
            check_mock(state.resource, orjson.loads(request.mock_result), mode)
        task = trial.begin()
        level = given.get("inspectionLevel", "INFO")
        http: dict[str, Any] = {"revealSecrets": bool(given.get("revealSecrets"))}
        if task is not None:
            await self._perform(trial, task, given, identity, http)
        answer = trial.answer(level)
        if level == "TRACE" and "request" in http:
            seen = {name: http[name] for name in ("request", "response") if name in http}
            answer["inspectionData"] = answer.get("inspectionData", {}) | seen
        return answer

    async def _perform(
        self, trial: Trial, task: StartTask, given: dict[str, Any], identity: Identity, http: dict[str, Any]
    ) -> None:
        snapshot = Snapshot(
            machine_arn=identity.state_machine_arn,
            name=identity.state_machine_name,
            type="EXPRESS",
            definition=given["definition"],
            role_arn=identity.role_arn,
            logging={},
            tracing=False,
            encryption={},
            updated_at_ms=identity.started_at_ms,
        )
        execution = Execution(
            arn=identity.arn,
            machine_arn=identity.state_machine_arn,
            name=identity.name,
            input=given.get("input") or "{}",
            started_at_ms=identity.started_at_ms,
            snapshot=snapshot.key(),
        )
        order = Order.of(task, identity.arn)
        try:
            async with asyncio.timeout(min(task.timeout_s or LONGEST_S, LONGEST_S)):
                outcome = await self._performer.perform(Surroundings(execution, snapshot, http), order, resumed=False)
        except TimeoutError:
            trial.failed(TIMEOUT, None)
            return
        match outcome:
            case signals.TaskSucceeded() | signals.TaskSubmitted():
                trial.succeeded(outcome.output)
            case signals.TaskFailed():
                trial.failed(outcome.error, outcome.cause)


def _state(given: dict[str, Any]) -> State:
    """Raises ApiError."""
    text: str = given["definition"]
    name = given.get("stateName")
    if name is None:
        _refuse(lint_state(text, STATE_NAME))
        return compile_state(orjson.loads(text), STATE_NAME)
    _refuse(lint(text))
    definition = parse_definition(text)
    if name not in definition.all_states:
        raise ApiError("ValidationException", 400, "State not found in definition")
    return definition.state(name)


def _refuse(found: list[Diagnostic]) -> None:
    errors = [one for one in found if one.severity == "ERROR"]
    if errors:
        shown = ", ".join(map(str, errors))
        raise ApiError("InvalidDefinition", 400, f"Invalid State Machine Definition: '{shown}'")


def _identity(given: dict[str, Any], now_ms: int) -> Identity:
    machine, name = str(uuid.uuid4()), str(uuid.uuid4())
    arn = machine_arn(given["region"], given["account"], machine)
    return Identity(
        arn=f"{arn.replace(':stateMachine:', ':express:')}:{name}",
        name=name,
        role_arn=given.get("roleArn") or "",
        state_machine_arn=arn,
        state_machine_name=machine,
        started_at_ms=now_ms,
        secret=secrets.token_hex(16),
        express=True,
    )
