"""What TestState takes: a request's members read, and refused in AWS's words where they do not go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hearth.asl.definition import FailState, MapState, ParallelState, PassState, State, SucceedState, TaskState
from hearth.asl.scope import Json
from hearth.errors import ApiError

#: members of a Context object that may be given, and the types of theirs
_CONTEXT: dict[str, dict[str, tuple[type, ...]]] = {
    "Execution": {
        "Id": (str,),
        "Input": (),
        "Name": (str,),
        "RoleArn": (str,),
        "StartTime": (str,),
        "RedriveCount": (int,),
        "RedriveTime": (str,),
    },
    "State": {"EnteredTime": (str,), "Name": (str,), "RetryCount": (int,)},
    "StateMachine": {"Id": (str,), "Name": (str,)},
    "Task": {"Token": (str,)},
}
_TYPE_WORDS = {str: "string", int: "number"}


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """TestState's members beside the definition; JSON texts parsed, all but the mocked result."""

    input: Json
    input_text: str
    variables: Mapping[str, Json]
    #: the Context object to use; None: one that is made up
    context: Mapping[str, Json] | None = None
    role_arn: str | None = None
    mock_result: str | None = None
    #: (error, cause)
    mock_error: tuple[str | None, str | None] | None = None
    reveal_secrets: bool = False
    #: attempts that have gone before
    retry_count: int = 0
    #: a Map's iterations that have failed; None: not given
    map_iteration_failure_count: int | None = None
    #: what a Map's ItemReader found
    items: list[Json] | None = None

    @property
    def mocked(self) -> bool:
        return self.mock_result is not None or self.mock_error is not None

    @property
    def failed_iterations(self) -> int:
        return self.map_iteration_failure_count or 0


def read_request(given: Mapping[str, Any]) -> TrialRequest:
    """From the members of TestState's request. Raises ApiError."""
    mock = given.get("mock") or {}
    if "result" in mock and "errorOutput" in mock:
        raise _refused("A test mock should have only one of the following fields: [result, errorOutput].")
    configuration = given.get("stateConfiguration") or {}
    error_output = mock.get("errorOutput")
    input_text = given.get("input") or "{}"
    return TrialRequest(
        input=_parsed(input_text, "InvalidExecutionInput", "Invalid execution input."),
        input_text=input_text,
        variables=_parsed(given.get("variables") or "{}", "ValidationException", "Variables must be a JSON object"),
        context=_context(given.get("context")),
        role_arn=given.get("roleArn"),
        mock_result=mock.get("result"),
        mock_error=None if error_output is None else (error_output.get("error"), error_output.get("cause")),
        reveal_secrets=bool(given.get("revealSecrets")),
        retry_count=configuration.get("retrierRetryCount", 0),
        map_iteration_failure_count=configuration.get("mapIterationFailureCount"),
        items=_items(configuration.get("mapItemReaderData")),
    )


def check(state: State, request: TrialRequest) -> None:
    """Raises ApiError: the state can't be tried so."""
    if request.mocked:
        if isinstance(state, (PassState, FailState, SucceedState)):
            raise _refused(f"State type '{state.type}' is not supported when a mock is specified")
        if request.reveal_secrets:
            raise _refused("TestState does not support RevealSecrets when a mock is specified.")
    elif request.map_iteration_failure_count is not None:
        raise _refused("TestState does not support MapIterationFailureCount when a mock is not specified.")
    elif isinstance(state, (MapState, ParallelState)):
        raise ApiError(
            "InvalidDefinition",
            400,
            "TestState API does not support Map or Parallel states. Supported state types include: "
            "[Task, Wait, Pass, Succeed, Fail, Choice]",
        )
    elif isinstance(state, TaskState) and request.role_arn is None:
        raise _refused("RoleArn must be specified when testing a Task state")
    if request.mock_result is not None:
        _check_result(state, request.mock_result)
    if request.context is not None and "Task" in request.context:
        _check_token_task(state)


def _check_result(state: State, text: str) -> None:
    result = _parsed(text, "ValidationException", "Mocked result must be valid JSON")
    if isinstance(state, MapState) and state.result_writer is not None:
        if not isinstance(result, dict):
            raise _refused("Mocked result must be a JSON object.")
    elif isinstance(state, (MapState, ParallelState)):
        if not isinstance(result, list):
            raise _refused("Mocked result must be an array.")
        if isinstance(state, ParallelState) and len(result) != len(state.branches):
            raise _refused("Mocked result must contain the same number of items as number of Parallel branches.")


def _check_token_task(state: State) -> None:
    if not isinstance(state, TaskState) or not state.resource.has_token:
        raise _bad_context(
            "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' "
            "service integration pattern"
        )


def _context(text: str | None) -> Mapping[str, Json] | None:
    if text is None:
        return None
    context = _parsed(text, "ValidationException", "Invalid Context object provided: it must be valid JSON")
    if not isinstance(context, dict):
        raise _bad_context("it must be a JSON object")
    for name, member in context.items():
        if name == "Map":
            raise _bad_context("'Map' field is not supported when mocking a Context object")
        fields = _CONTEXT.get(name)
        if fields is None:
            raise _bad_context(f"Field '{name}' is not allowed")
        if not isinstance(member, dict):
            raise _bad_context(f"{name} must be an object")
        for field, value in member.items():
            if field not in fields:
                raise _bad_context(f"Field '{field}' is not allowed")
            types = fields[field]
            if types and (not isinstance(value, types) or isinstance(value, bool)):
                raise _bad_context(f"{name}.{field} must be a {_TYPE_WORDS[types[0]]}")
    return context


def _items(text: str | None) -> list[Json] | None:
    if text is None:
        return None
    items = _parsed(text, "ValidationException", "Map item reader data must be valid JSON")
    if not isinstance(items, list):
        raise _refused("Map item reader data must be an array.")
    return items


def _parsed(text: str, code: str, message: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise ApiError(code, 400, message) from exc


def _refused(message: str) -> ApiError:
    return ApiError("ValidationException", 400, message)


def _bad_context(reason: str) -> ApiError:
    return _refused(f"Invalid Context object provided: {reason}")
