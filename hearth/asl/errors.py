"""What goes wrong while a state is evaluated: AWS's reserved error names, and the exception that carries one.

Evaluators raise `StateError`; the workflow core catches it in one place and decides by `catchable` and `evaluation`
what becomes of it. Causes are AWS's texts without the prefix that executions put before them (TestState answers them
bare); `cause_in` adds it. Sources: Amazon States Language specification, "Errors"; Step Functions Developer Guide,
"Handling errors".
"""

from __future__ import annotations

ALL = "States.ALL"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
RUNTIME = "States.Runtime"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
INTRINSIC_FAILURE = "States.IntrinsicFailure"
EXCEED_TOLERATED_FAILURE_THRESHOLD = "States.ExceedToleratedFailureThreshold"
ITEM_READER_FAILED = "States.ItemReaderFailed"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"


class StateError(Exception):
    """A state can't be evaluated. Nothing outside the execution has been touched.

    error: the error name. cause: AWS's text, without a prefix. catchable: Retry and Catch apply; an error that isn't
    ends the execution at once, from however deep inside Maps and Parallels. evaluation: an EvaluationFailed event with
    `location` (the field below the state, None if AWS names none) goes before what follows.
    """

    def __init__(
        self, error: str, cause: str, *, catchable: bool, evaluation: bool = False, location: str | None = None
    ) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.catchable = catchable
        self.evaluation = evaluation
        self.location = location

    def cause_in(self, state: str, entered_event_id: int) -> str:
        """The cause as an execution's history words it."""
        return (
            f"An error occurred while executing the state '{state}' (entered at the event id #{entered_event_id}). "
            f"{self.cause}"
        )


def runtime_error(cause: str) -> StateError:
    """States.Runtime: a path that finds nothing, a value of the wrong kind. Never retried or caught."""
    return StateError(RUNTIME, cause, catchable=False)


def intrinsic_failure(cause: str) -> StateError:
    """An intrinsic function refused its arguments."""
    return StateError(INTRINSIC_FAILURE, cause, catchable=True)


def query_error(cause: str, location: str | None) -> StateError:
    """States.QueryEvaluationError: a JSONata expression failed or gave what its field can't take."""
    return StateError(QUERY_EVALUATION_ERROR, cause, catchable=True, evaluation=True, location=location)


def matches(error_equals: tuple[str, ...], error: str, *, of_task: bool = False, heartbeat: bool = False) -> bool:
    """Whether a retrier's or catcher's ErrorEquals takes `error`.

    of_task: the state is a Task (States.TaskFailed takes every error of one but timeouts). heartbeat: the error is a
    States.Timeout that came from a missed heartbeat, which States.HeartbeatTimeout takes too.
    States.ALL does not take States.Runtime; States.Runtime is never caught at all, the caller sees to that.
    """
    for name in error_equals:
        if name == error:
            return True
        if name == ALL and error != RUNTIME:
            return True
        if name == TASK_FAILED and of_task and error not in (TIMEOUT, HEARTBEAT_TIMEOUT):
            return True
        if name == HEARTBEAT_TIMEOUT and heartbeat:
            return True
    return False
