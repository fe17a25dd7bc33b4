"""Lambda functions as tasks: by their ARN, and by `lambda:invoke`.

With a claim (Standard workflows) a function runs at most once for a task, whatever dies meanwhile: the worker claims
the task before it runs, and leaves the result in `state`. Texts as recorded from AWS.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import uuid
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

import orjson

from hearth.arn import LATEST, FunctionRef, function_arn, parse_function_name
from hearth.broker.event_messages import EventPublisher
from hearth.clock import Deadline, now_ms
from hearth.errors import HearthError, InvocationTimedOut, TooManyRequests, Unavailable
from hearth.invoker import Invoker, budget_s
from hearth.model.event import Event
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.settings import Settings
from hearth.store import keys
from hearth.store.claims import read_result
from hearth.store.concurrency import concurrency_of
from hearth.store.functions import FunctionTable
from orchestrator.claims import Claims, Finished, Free
from orchestrator.integrations import TaskCall, TaskError, sdk_metadata

log = logging.getLogger(__name__)

RETRY_S = 0.5
LOST = "The worker that ran the function was lost; the function may have run."


@dataclass(frozen=True, slots=True)
class Called:
    """A function that answered."""

    payload: bytes
    executed_version: str
    log_tail: bytes
    request_id: str


class Functions:
    """claims None: nothing is claimed (Express workflows)."""

    def __init__(
        self,
        settings: Settings,
        table: FunctionTable,
        invoker: Invoker,
        events: EventPublisher,
        claims: Claims | None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._invoker = invoker
        self._events = events
        self._claims = claims

    async def by_arn(self, task: TaskCall, arn: str, payload: str, *, resumed: bool) -> str:
        """A Task whose Resource is the function itself: its answer is the result."""
        ref = parse_function_name(arn)
        if ref is None:
            raise _no_function(arn)
        called = await self._invoke(task, ref, payload.encode(), resumed=resumed)
        return called.payload.decode("utf-8", "replace") or "null"

    async def invoke(self, task: TaskCall, *, resumed: bool) -> str:
        """`lambda:invoke`."""
        given = task.parameters
        ref = parse_function_name(str(given.get("FunctionName", "")))
        if ref is None:
            raise _no_function(str(given.get("FunctionName", "")))
        if given.get("Qualifier"):
            ref = replace(ref, qualifier=str(given["Qualifier"]))
        # a Payload of null is as good as none
        payload = b"{}" if given.get("Payload") is None else orjson.dumps(given["Payload"])
        if given.get("InvocationType") == "Event":
            return await self._accept(task, ref, payload)
        called = await self._invoke(
            task,
            ref,
            payload,
            resumed=resumed,
            tail=given.get("LogType") == "Tail",
            client_context=_client_context(given.get("ClientContext")),
            compact=True,
        )
        return _answer(called, with_log=given.get("LogType") == "Tail")

    async def _invoke(
        self,
        task: TaskCall,
        ref: FunctionRef,
        payload: bytes,
        *,
        resumed: bool,
        tail: bool = False,
        client_context: str = "",
        compact: bool = False,
    ) -> Called:
        version = await self._version(task, ref)
        request_id = str(uuid.uuid4())
        invocation = Invocation(
            request_id=request_id,
            version_key=version.key,
            invoked_arn=f"{version.arn}:{ref.qualifier}" if ref.qualifier else version.arn,
            family=version.family,
            payload=payload,
            gives_up_at_ms=0,
            trace_id=task.execution.trace_header,
            client_context=client_context,
            tail=tail,
        )
        result = await self._run(task, version, invocation, resumed=resumed)
        if result.outcome is Outcome.FUNCTION_ERROR:
            raise function_error(result.payload, compact=compact)
        if result.outcome is not Outcome.OK:
            raise _platform_error(result)
        return Called(result.payload, result.executed_version or version.version, result.log_tail, request_id)

    async def _run(
        self, task: TaskCall, version: FunctionVersion, invocation: Invocation, *, resumed: bool
    ) -> InvocationResult:
        if self._claims is None:
            return await self._attempt(version, invocation)
        name, attempt = f"{task.execution.arn}#{task.task_id}", 1
        unknown = resumed
        while True:
            if unknown:
                settled = await self._claims.settle(name, attempt)
                if isinstance(settled, Finished):
                    return read_result(settled.result)
                if not isinstance(settled, Free):
                    return InvocationResult(Outcome.LOST, detail=LOST)
                attempt = settled.attempt
            claimed = replace(invocation, claim=keys.claim(name, attempt), request_id=_attempt_id(invocation, attempt))
            result = await self._attempt(version, claimed)
            if result.outcome is not Outcome.LOST:
                return result
            unknown = True

    async def _attempt(self, version: FunctionVersion, invocation: Invocation) -> InvocationResult:
        deadline = Deadline.after(budget_s(self._settings, version))
        try:
            return await self._invoker.invoke(
                replace(invocation, gives_up_at_ms=deadline.epoch_ms()), deadline=deadline
            )
        except InvocationTimedOut as exc:
            return InvocationResult(Outcome.LOST, detail=exc.message)
        except HearthError as exc:
            return InvocationResult(Outcome.LOST, detail=exc.message)

    async def _accept(self, task: TaskCall, ref: FunctionRef, payload: bytes) -> str:
        version = await self._version(task, ref)
        event = Event(
            request_id=str(uuid.uuid4()),
            account=version.account,
            region=version.region,
            name=version.name,
            payload=payload,
            accepted_at_ms=now_ms(),
            qualifier=ref.qualifier or "",
        )
        try:
            await self._events.accept(event)
        except TooManyRequests as exc:
            raise _failed("TooManyRequestsException", exc.message, 429) from exc
        headers = _headers(event.request_id, 0)
        del headers["X-Amz-Executed-Version"]
        shown = {"Payload": "", **sdk_metadata(event.request_id, headers, 202), "StatusCode": 202}
        return orjson.dumps(shown).decode()

    async def _version(self, task: TaskCall, ref: FunctionRef) -> FunctionVersion:
        """What runs now. Raises TaskError."""
        account, region = ref.account or task.account, ref.region or task.region
        while True:
            try:
                found = await self._table.resolve(account, region, ref.name, ref.qualifier, random.random())
                break
            except Unavailable as exc:  # nothing ran; a workflow has the time
                log.warning("function not read", extra={"action": "function_not_read", "error": exc.message})
                await asyncio.sleep(RETRY_S)
        if found is None:
            raise _no_function(f"{function_arn(region, account, ref.name)}:{ref.qualifier or LATEST}")
        function, record = found
        if concurrency_of(function).reserved == 0:
            raise _failed("TooManyRequestsException", "Rate Exceeded.", 429)
        return record.version


def function_error(payload: bytes, *, compact: bool = False) -> TaskError:
    """A function that raised, timed out or died: its own error type, and its error document as the cause.

    compact: without the runtime's blanks, as `lambda:invoke` shows it; a function's ARN as Resource keeps them.
    """
    text = payload.decode("utf-8", "replace")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        document = None
    kind = document.get("errorType") if isinstance(document, dict) else None
    if not kind:
        return TaskError(
            "Lambda.Unknown",
            "The cause could not be determined because Lambda did not return an error type. Returned payload: " + text,
        )
    return TaskError(str(kind), orjson.dumps(document).decode() if compact else text)


def _platform_error(result: InvocationResult) -> TaskError:
    match result.outcome:
        case Outcome.THROTTLED:
            return _failed("TooManyRequestsException", "Rate Exceeded.", 429)
        case Outcome.UNAVAILABLE:
            return _failed("ServiceException", result.detail or "No worker is running.", 503)
    return _failed("ServiceException", result.detail or LOST, 500)


def _no_function(arn: str) -> TaskError:
    return _failed("ResourceNotFoundException", f"Function not found: {arn}", 404)


def _failed(code: str, message: str, status: int) -> TaskError:
    cause = (
        f"{message} (Service: AWSLambda; Status Code: {status}; Error Code: {code}; Request ID: {uuid.uuid4()}; "
        "Proxy: null)"
    )
    return TaskError(f"Lambda.{code}", cause)


def _answer(called: Called, *, with_log: bool) -> str:
    try:
        orjson.loads(called.payload)
        payload: Any = orjson.Fragment(orjson.dumps(orjson.loads(called.payload)))
    except orjson.JSONDecodeError:
        payload = called.payload.decode("utf-8", "replace")
    shown: dict[str, Any] = {"ExecutedVersion": called.executed_version}
    headers = _headers(called.request_id, len(called.payload), called.executed_version)
    if with_log:
        shown["LogResult"] = base64.b64encode(called.log_tail).decode()
        headers = {"X-Amz-Log-Result": shown["LogResult"], **headers}
    shown["Payload"] = payload
    shown |= sdk_metadata(called.request_id, headers)
    shown["StatusCode"] = 200
    return orjson.dumps(shown).decode()


def _headers(request_id: str, length: int, executed_version: str = LATEST) -> dict[str, str]:
    return {
        "X-Amz-Executed-Version": executed_version,
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": request_id,
        "Content-Length": str(length),
        "Date": formatdate(usegmt=True),
        "X-Amzn-Trace-Id": f"root=1-{request_id[:8]}-{uuid.uuid4().hex[:24]};sampled=0",
        "Content-Type": "application/json",
    }


def _client_context(given: Any) -> str:
    if not isinstance(given, str):
        return ""
    try:
        return base64.b64decode(given, validate=True).decode()
    except ValueError:
        return ""


def _attempt_id(invocation: Invocation, attempt: int) -> str:
    """A second attempt is another request to the platform: marks of the first must not refuse it."""
    return invocation.request_id if attempt == 1 else str(uuid.uuid4())
