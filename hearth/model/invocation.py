"""An invocation and how it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class InvocationType(enum.StrEnum):
    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"
    #: none of AWS's: a placement that asks for a provisioned sandbox ; its payload is how many the version may have
    PROVISION = "Provision"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One request to run a function version. `payload` is passed on byte for byte, never wrapped."""

    request_id: str
    version_key: str
    #: as the caller named it: with the qualifier if one was given
    invoked_arn: str
    family: str
    payload: bytes
    #: epoch ms after which the caller no longer waits
    gives_up_at_ms: int
    epoch: int = 0
    invocation_type: InvocationType = InvocationType.REQUEST_RESPONSE
    #: X-Ray header, passed to the runtime
    trace_id: str = ""
    #: decoded JSON text
    client_context: str = ""
    #: {"cognitoIdentityId", "cognitoIdentityPoolId"} of the caller, JSON text, passed to the runtime
    cognito_identity: str = ""
    #: the caller takes the response as a stream, in pieces as the runtime posts them
    streaming: bool = False
    #: the caller's Content-Type, passed to the runtime
    content_type: str = "application/json"
    #: the caller wants the last 4 KB of the log
    tail: bool = False
    attempt: int = 1
    #: epoch ms of the first placement; survives being offered back. 0: not placed yet
    placed_at_ms: int = 0
    #: a second copy, sent because the first may have died with a broker node: it runs only if nobody has that one
    again: bool = False
    #: a task that must not run twice: the key in `state` that its worker takes before it runs; empty: none
    claim: str = ""

    @property
    def run_id(self) -> str:
        """What runs at most once: attempts of one event share the request id and are runs of their own."""
        return self.request_id if self.attempt == 1 else f"{self.request_id}:{self.attempt}"


class Outcome(enum.StrEnum):
    """How the platform's part ended. Only OK and FUNCTION_ERROR mean that the function ran to an end."""

    OK = "ok"
    FUNCTION_ERROR = "function-error"
    #: no concurrency or no room in time; nothing ran
    THROTTLED = "throttled"
    #: no worker lives, or none offers the runtime; nothing ran
    UNAVAILABLE = "unavailable"
    #: the platform failed; it may have run
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """The reply. `payload`: the function's answer, or AWS's error document (errorMessage, errorType, ...)."""

    outcome: Outcome
    payload: bytes = b""
    executed_version: str = ""
    #: last 4 KB of this invocation's log, if asked for
    log_tail: bytes = b""
    #: FUNCTION_ERROR: the error type (Sandbox.Timedout, Runtime.ExitError, ...); THROTTLED: AWS's Reason;
    #: UNAVAILABLE, LOST: a sentence
    detail: str = ""
    content_type: str = "application/json"
    #: the queue epoch now in force for this version
    epoch: int = 0
    billed_ms: int = 0
    cold_start: bool = False
