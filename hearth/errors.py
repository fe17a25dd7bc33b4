"""The tree of errors that callers treat differently, each with its AWS code and HTTP status.

A function that fails is *data* (an `InvocationResult` with an error), never one of these. Client-library
exceptions end at their door (`hearth.broker`, `hearth.store`) and come out as `Unavailable`, chained.
Codes and statuses: the botocore service models and the Lambda API reference.
"""

from __future__ import annotations

from typing import ClassVar


class HearthError(Exception):
    """Root. `code` is the AWS error code, `status` the HTTP status, `fault` AWS's `Type` member."""

    code: ClassVar[str] = "ServiceException"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    #: AWS spells the text member `Message` for some errors of the Lambda API and `message` for the others.
    message_member: ClassVar[str] = "message"

    def __init__(self, message: str = "", **members: object) -> None:
        super().__init__(message)
        self.message = message
        #: further members of the error's shape, e.g. Reason of TooManyRequestsException
        self.members = members

    @property
    def fault(self) -> str:
        return "User" if self.status < 500 else "Server"


class ApiError(HearthError):
    """An AWS error whose code is known only at run time (a service model's own error shape)."""

    def __init__(self, code: str, status: int, message: str, **members: object) -> None:
        super().__init__(message, **members)
        self.code = code  # type: ignore[misc]
        self.status = status  # type: ignore[misc]


class InvariantViolated(HearthError):
    """A state that can't be. A bug: the process restarts."""


class Unavailable(HearthError):
    """A server behind us (broker, state, coordination) did not answer. Nothing is known to have run."""

    code, status, retryable, message_member = "ServiceException", 500, True, "Message"


class ServiceUnavailable(HearthError):
    """No worker lives to run it. Nothing ran; retry later."""

    code, status, retryable, message_member = "ServiceUnavailableException", 503, True, "Message"


class InvocationTimedOut(HearthError):
    """No reply before the deadline. The handler may have run."""

    code, status, retryable, message_member = "ServiceException", 500, True, "Message"


class ServiceError(HearthError):
    """The platform failed underneath an invocation; it may have run. AWS's SDKs retry it."""

    code, status, retryable, message_member = "ServiceException", 500, True, "Message"


class TooManyRequests(HearthError):
    """No concurrency was free. Nothing ran; retry after backing off. `Reason` says which limit.

    Only where it is a rate does waiting help by itself, so only then the answer says how long (Retry-After); AWS, as
    recorded, sends none with the limits on concurrency.
    """

    code, status, retryable = "TooManyRequestsException", 429, True

    def __init__(self, reason: str = "ConcurrentInvocationLimitExceeded", message: str = "Rate Exceeded.") -> None:
        members = {"retryAfterSeconds": "1"} if reason.endswith("RateLimitExceeded") else {}
        super().__init__(message, Reason=reason, **members)
        self.reason = reason


class ResourceNotFound(HearthError):
    code, status, message_member = "ResourceNotFoundException", 404, "Message"


class ResourceConflict(HearthError):
    code, status = "ResourceConflictException", 409


class PreconditionFailed(HearthError):
    code, status = "PreconditionFailedException", 412


class InvalidParameterValue(HearthError):
    code, status = "InvalidParameterValueException", 400


class InvalidRequestContent(HearthError):
    code, status = "InvalidRequestContentException", 400


class RecursiveInvocation(HearthError):
    """The chain of invocations has come through the function too often. Nothing ran."""

    code, status, message_member = "RecursiveInvocationException", 400, "Message"


class InvalidRuntime(HearthError):
    """No worker of this fleet offers the function's runtime. Nothing ran."""

    code, status, message_member = "InvalidRuntimeException", 502, "Message"


class ValidationFailed(HearthError):
    """Input against the service model; not in the model itself, its body is only the message."""

    code, status = "ValidationException", 400


class RequestEntityTooLarge(HearthError):
    code, status = "RequestEntityTooLargeException", 413


class AccessDenied(HearthError):
    code, status, message_member = "AccessDeniedException", 403, "Message"
