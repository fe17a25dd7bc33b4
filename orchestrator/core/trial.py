"""TestState: one state tried alone, with what its data looked like at each step. Nothing of it is kept.

A Task's work is done by the shell between `begin` and `succeeded` or `failed`, unless a mock stands for it; Map and
Parallel have always a mock. Source: Step Functions API Reference, TestState; messages as recorded from AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from hearth.asl import errors
from hearth.asl.context import context_object, execution
from hearth.asl.definition import (
    ChoiceState,
    FailState,
    Left,
    MapItem,
    MapState,
    ParallelState,
    PassState,
    QueryLanguage,
    Retrier,
    State,
    SucceedState,
    TaskState,
    WaitState,
)
from hearth.asl.errors import StateError
from hearth.asl.scope import ABSENT, Json, Scope
from hearth.errors import ApiError
from orchestrator.core import trial_rules
from orchestrator.core.effects import StartTask
from orchestrator.core.run import to_text
from orchestrator.core.state import Identity
from orchestrator.core.trial_rules import TrialRequest

#: AWS's name of the state in the Context object, whatever it is called
STATE_NAME = "StateName"

_TASK_ID = 1


class Trial:
    """`begin`, then, if it asks for a task, `succeeded` or `failed`; then `answer`."""

    def __init__(self, state: State, request: TrialRequest, identity: Identity, *, at_ms: int, random: float) -> None:
        """identity: of an Express execution that does not exist. Raises ApiError: the request can't be tried."""
        trial_rules.check(state, request)
        self._state = state
        self._request = request
        self._at_ms = at_ms
        self._random = random
        self._inspection: dict[str, Json] = {}
        self._answer: dict[str, Any] = {}
        #: values that came as text; they keep it wherever they pass unchanged
        self._came: list[tuple[Json, str]] = [(request.input, request.input_text)]
        context = _context(state, request, identity, at_ms)
        self._scope = Scope(request.input, context, request.variables, inspection=self._inspection)

    def begin(self) -> StartTask | None:
        """Try the state, up to its task's work if that has to be done: then the effect that asks for it."""
        try:
            return self._begin()
        except StateError as error:
            self._fail(error.error, error.cause, catchable=error.catchable)
            return None

    def succeeded(self, output: str) -> None:
        """The task's work is done. output: JSON text."""
        result = orjson.loads(output)
        self._came.append((result, output))
        if isinstance(self._state, TaskState):
            self._inspection["result"] = result
        try:
            self._leave(self._state.flow.leave(self._scope, result), self._state.next)
        except StateError as error:
            self._fail(error.error, error.cause, catchable=error.catchable)

    def failed(self, error: str | None, cause: str | None) -> None:
        """The task's work has failed."""
        self._fail(error, cause)

    def answer(self, inspection_level: str) -> dict[str, Any]:
        """TestState's response."""
        if inspection_level == "INFO":
            return self._answer
        shown: dict[str, Any] = {"input": self._request.input_text}
        for step, value in self._inspection.items():
            shown[step] = value if step in _AS_NOTED else self._text(value)
        return self._answer | {"inspectionData": shown}

    # ----------------------------------------------------------------------------------------------- state types

    def _begin(self) -> StartTask | None:
        state, scope = self._state, self._scope
        match state:
            case PassState():
                effective = state.flow.effective_input(scope)
                result = effective if state.result is ABSENT else state.result
                if state.result is not ABSENT:
                    self._inspection["result"] = result
                self._leave(state.flow.leave(scope, result), state.next)
            case SucceedState():
                self._leave(state.flow.leave(scope, state.flow.effective_input(scope)), None)
            case WaitState():
                effective = state.flow.effective_input(scope)
                state.until.at_ms(scope.narrowed(effective), self._at_ms)
                self._leave(state.flow.leave(scope, effective), state.next)
            case ChoiceState():
                effective = state.flow.effective_input(scope)
                next, flow = state.choose(scope.narrowed(effective))
                self._leave(flow.leave(scope, effective), next)
            case FailState():
                if state.language is QueryLanguage.JSONPATH:
                    self._inspection["afterInputPath"] = scope.input
                error, cause = state.outcome(scope)
                self._fail(error, cause)
            case TaskState():
                return self._task(state)
            case ParallelState():
                state.flow.effective_input(Scope(scope.input, scope.context, scope.variables))
                self._mocked()
            case MapState():
                self._map(state)
        return None

    def _task(self, state: TaskState) -> StartTask | None:
        effective = state.flow.effective_input(self._scope)
        timeout_s = state.timeout_s.evaluate(self._scope) if state.timeout_s else None
        heartbeat_s = state.heartbeat_s.evaluate(self._scope) if state.heartbeat_s else None
        credentials = state.credentials.evaluate(self._scope) if state.credentials else None
        if self._request.mocked:
            self._mocked()
            return None
        resource = state.resource
        return StartTask(
            _TASK_ID,
            state.name,
            resource.arn,
            resource.kind,
            to_text(effective),
            resource.service,
            resource.action,
            resource.pattern,
            self._scope.context.get("Task", {}).get("Token", ""),
            None if credentials is None else credentials["RoleArn"],
            timeout_s,
            heartbeat_s,
        )

    def _map(self, state: MapState) -> None:
        scope, request = self._scope, self._request
        effective = state.flow.effective_input(scope)
        self._inspection.pop("afterParameters", None)  # a Map's are its ItemSelector
        narrowed = scope if effective is scope.input else scope.narrowed(effective)
        if request.items is not None:
            items = [MapItem(index, value) for index, value in enumerate(request.items)]
        elif state.item_reader is not None:
            items = []
        else:
            items = state.items.items(narrowed)
            if state.language is QueryLanguage.JSONPATH:
                # one blank after each comma between items and none within them, as recorded from AWS
                self._inspection["afterItemsPath"] = f"[{', '.join(to_text(item.input()) for item in items)}]"
        self._inspection["maxConcurrency"] = state.max_concurrency.evaluate(narrowed) if state.max_concurrency else 0
        count = percentage = None
        if state.tolerated_failure_count is not None:
            count = self._inspection["toleratedFailureCount"] = state.tolerated_failure_count.evaluate(narrowed)
        if state.tolerated_failure_percentage is not None:
            percentage = float(state.tolerated_failure_percentage.evaluate(narrowed))
            self._inspection["toleratedFailurePercentage"] = percentage
        if state.item_selector is not None and items:
            self._inspection["afterItemSelector"] = [self._selected(state, narrowed, item) for item in items]
        if request.failed_iterations > len(items) and items:
            raise ApiError(
                "ValidationException",
                400,
                "Map iteration failure count must be less than or equal to the number of Map iterations",
            )
        failed = request.failed_iterations
        over_count = count is not None and failed > count
        over_percentage = percentage is not None and bool(items) and failed * 100 > percentage * len(items)
        if request.mock_error is None and (over_count or over_percentage):
            cause = "The specified tolerated failure threshold was exceeded"
            self._fail(errors.EXCEED_TOLERATED_FAILURE_THRESHOLD, cause)
        else:
            self._mocked()

    def _selected(self, state: MapState, narrowed: Scope, item: MapItem) -> Json:
        assert state.item_selector is not None
        context = {**narrowed.context, "Map": {"Item": item.context()}}
        return state.item_selector.evaluate(Scope(narrowed.input, context, narrowed.variables))

    # ------------------------------------------------------------------------------------------------- outcomes

    def _mocked(self) -> None:
        if self._request.mock_error is not None:
            self._fail(*self._request.mock_error)
        else:
            self.succeeded(self._request.mock_result or "null")

    def _leave(self, left: Left, next: str | None, status: str = "SUCCEEDED") -> None:
        self._answer = self._answer | {"output": self._text(left.output), "status": status}
        if next is not None:
            self._answer["nextState"] = next
        variables = {**self._request.variables, **left.assigned}
        if variables:
            self._inspection["variables"] = variables

    def _fail(self, error: str | None, cause: str | None, *, catchable: bool = True) -> None:
        members = {"error": error, "cause": cause}
        self._answer = {name: value for name, value in members.items() if value is not None} | {"status": "FAILED"}
        state = self._state
        if not catchable or not isinstance(state, (TaskState, ParallelState, MapState)):
            return
        of_task = isinstance(state, TaskState)
        for index, retrier in enumerate(state.retry):
            if errors.matches(retrier.error_equals, error or "", of_task=of_task):
                if self._retriable(index, retrier):
                    return
                break
        for index, catcher in enumerate(state.catch):
            if not errors.matches(catcher.error_equals, error or "", of_task=of_task):
                continue
            self._details()["catchIndex"] = index
            try:
                left = catcher.flow.leave(self._scope, {"Error": error, "Cause": cause})
            except StateError as failure:
                self._answer = {"error": failure.error, "cause": failure.cause, "status": "FAILED"}
            else:
                self._leave(left, catcher.next, "CAUGHT_ERROR")
            return

    def _retriable(self, index: int, retrier: Retrier) -> bool:
        details = self._details()
        details["retryIndex"] = index
        done = self._request.retry_count
        if done >= retrier.max_attempts:
            return False
        details["retryBackoffIntervalSeconds"] = int(retrier.delay_s(done + 1, self._random))
        self._answer["status"] = "RETRIABLE"
        return True

    def _text(self, value: Json) -> str:
        return next((text for came, text in self._came if came is value), None) or to_text(value)

    def _details(self) -> dict[str, Any]:
        details: dict[str, Any] = self._inspection.setdefault("errorDetails", {})
        return details


#: members of inspectionData that are shown as they are noted: no JSON texts, or texts already
_AS_NOTED = frozenset(
    {"afterItemsPath", "maxConcurrency", "toleratedFailureCount", "toleratedFailurePercentage", "errorDetails"}
)


def _context(state: State, request: TrialRequest, identity: Identity, at_ms: int) -> Mapping[str, Json]:
    if request.context is not None:
        return request.context
    about = execution(
        arn=identity.arn,
        name=identity.name,
        input=request.input,
        role_arn=identity.role_arn,
        started_at_ms=identity.started_at_ms,
        redrive_count=0,
    )
    del about["RedriveCount"]
    about["RoleArn"] = identity.role_arn or None
    retried = isinstance(state, (TaskState, ParallelState, MapState))
    return context_object(
        about,
        machine_arn=identity.state_machine_arn,
        machine_name=identity.state_machine_name,
        state=STATE_NAME,
        entered_at_ms=at_ms,
        retry_count=request.retry_count if retried else None,
        task_token=identity.secret if isinstance(state, TaskState) and state.resource.has_token else None,
    )
