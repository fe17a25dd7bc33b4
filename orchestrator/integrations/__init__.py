"""What Task states call: one service, one file. Each turns a call into the service's answer, or into a TaskError.

A service's module offers an `Integration`; `orchestrator.perform` chooses it by the task's service. Answers are JSON
text in AWS's own spelling (Step Functions gives PascalCase members), errors are named as Step Functions names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hearth.model.execution import Execution, Snapshot


class TaskError(Exception):
    """The task failed. error: as Retry and Catch see it, `Lambda.TooManyRequestsException`; cause: a text.

    stage: "Submit" if a `.sync` or token task could not even be begun as such; else "".
    """

    def __init__(self, error: str | None, cause: str | None, stage: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.stage = stage


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One call of a Task state."""

    #: "sqs", "aws-sdk:s3", "http", …
    service: str
    #: "sendMessage", without the pattern
    action: str
    #: "", "sync", "sync:2" or "waitForTaskToken"
    pattern: str
    #: the evaluated Parameters or Arguments
    parameters: dict[str, Any]
    #: on whose behalf: the state's Credentials, or the machine's role
    role_arn: str
    account: str
    region: str
    execution: Execution
    snapshot: Snapshot
    task_id: int
    #: names a nested execution that was given no name
    child_name: str = ""
    #: where TestState wants to see what an HTTP task sent and got, under its API's member names
    inspection: dict[str, Any] | None = None


class Integration(Protocol):
    async def call(self, task: TaskCall) -> str:
        """The service's answer, JSON text: the task's result, or what TaskSubmitted shows if the task waits for more.

        Raises TaskError. Cancelled when the task no longer matters.
        """
        ...


def sdk_metadata(request_id: str, headers: dict[str, str], status: int = 200) -> dict[str, Any]:
    """SdkHttpMetadata and SdkResponseMetadata, as every optimised integration answers them."""
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": status,
        },
        "SdkResponseMetadata": {"RequestId": request_id},
    }
