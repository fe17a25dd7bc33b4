"""Function URLs at work: CORS, who may, and the function's answer, buffered or as it comes.

Source: Lambda Developer Guide, "Lambda function URLs" and "Response streaming"; refusals as recorded from AWS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import orjson

from gateway.caller import Caller
from gateway.front_doors import functions, payload_v2
from gateway.front_doors.cors import Cors
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import FunctionTarget
from gateway.front_doors.response import BadResponse, HttpResponse, json_answer
from gateway.http import Answer
from gateway.lambda_api.admission import throttled
from gateway.resource_policies import url_may_be_called
from gateway.response_streams import OpenedStream
from gateway.sending import StreamBroken
from hearth.errors import HearthError, InvocationTimedOut, TooManyRequests
from hearth.model.function_url import IAM, RESPONSE_STREAM, FunctionUrl
from hearth.model.invocation import InvocationResult, Outcome
from hearth.store.functions import Beside, Function
from hearth.store.urls import UrlOwner

if TYPE_CHECKING:
    from gateway.backends import Backends

MAX_BODY_BYTES = 6 * 2**20
#: the content type of a response whose beginning says status, headers and cookies
INTEGRATION = "application/vnd.awslambda.http-integration-response"
_PRELUDE_END = b"\0" * 8
MAX_PRELUDE_BYTES = 1 << 20
_JSON = "application/json"
_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


def refused(message: str | None = _FORBIDDEN) -> Answer:
    """message: None for an id that nobody has."""
    return json_answer(403, {"Message": message}, (b"x-amzn-errortype", b"AccessDeniedException"))


async def serve(backends: Backends, owner: UrlOwner, url_id: str, request: DoorRequest) -> Answer:
    function = await backends.cache.function(owner.account, owner.region, owner.name)
    data = function.beside_of(Beside.URL, owner.qualifier) if function else None
    url = FunctionUrl.from_json(data) if data else None
    if url is None or url.id != url_id:
        return refused()
    cors = Cors.read(url.cors)
    if cors is not None and (headers := cors.preflight(request)) is not None:
        return HttpResponse(200, headers, b"").answer()
    assert function is not None
    answer = await _serve(backends, function, owner, url, cors, request)
    answer.headers.append((b"x-amzn-trace-id", request.trace_id.encode()))
    return answer


async def _serve(
    backends: Backends,
    function: Function,
    owner: UrlOwner,
    url: FunctionUrl,
    cors: Cors | None,
    request: DoorRequest,
) -> Answer:
    caller = None
    if url.auth_type == IAM:
        try:
            caller = backends.verifier.verify(request.signed, "lambda")
        except HearthError:
            return refused()
    both = backends.settings.url_permissions == "aws-2025"
    if not url_may_be_called(function, owner.qualifier, url.auth_type, caller, both_actions=both):
        return refused()
    if len(request.body) > MAX_BODY_BYTES:
        return json_answer(413, {"Message": "Request Entity Too Large"})
    target = FunctionTarget(owner.region, owner.account, owner.name, owner.qualifier or None)
    event = event_of(request, url.id, caller)
    try:
        if url.invoke_mode == RESPONSE_STREAM:
            return await _streamed(backends, target, event, cors, request)
        result = await functions.run(backends, target, event, request_id=request.request_id, trace_id=request.trace_id)
        return _buffered(result, cors, request)
    except TooManyRequests as exc:
        return _throttled(exc.reason)
    except (BadResponse, InvocationTimedOut):
        return _failed()
    except functions.FunctionMissing:
        return refused()
    except functions.PayloadTooLarge:
        return json_answer(413, {"Message": "Request Entity Too Large"})
    except HearthError as exc:
        return json_answer(exc.status if exc.status >= 500 else 500, {"Message": "Internal Server Error"})


def event_of(request: DoorRequest, url_id: str, caller: Caller | None) -> dict[str, Any]:
    context = payload_v2.request_context(
        request,
        account=caller.account if caller else "anonymous",
        api_id=url_id,
        route_key="$default",
        stage="$default",
        path=request.path,
        request_id=request.request_id,
    )
    authentication: dict[str, Any] = {"authentication": None}
    if caller is not None:
        authentication["authorizer"] = {"iam": payload_v2.iam_identity(caller, request)}
    first = ("accountId", "apiId")
    ordered = {name: context[name] for name in first} | authentication | context
    event = payload_v2.event(request, ordered, raw_path=request.path)
    return event | {"pathParameters": None, "stageVariables": None}


def _throttled(reason: str) -> Answer:
    return json_answer(429, {"Reason": reason, "Type": "User", "message": "Rate Exceeded."})


def _failed() -> Answer:
    return Answer(502, b"Internal Server Error", [(b"content-type", b"application/json")])


def _buffered(result: InvocationResult, cors: Cors | None, request: DoorRequest) -> Answer:
    """Raises BadResponse."""
    match result.outcome:
        case Outcome.OK if result.content_type == INTEGRATION:
            head, _, body = result.payload.partition(_PRELUDE_END)
            response = response_of(head, body)
        case Outcome.OK:
            response = payload_v2.response(result.payload, default_type=_JSON)
        case Outcome.FUNCTION_ERROR:
            return _failed()
        case Outcome.THROTTLED:
            return _throttled(result.detail or "ConcurrentInvocationLimitExceeded")
        case _:
            return json_answer(500, {"Message": "Internal Server Error"})
    return _ruled(response, cors, request).answer()


async def _streamed(
    backends: Backends, target: FunctionTarget, event: dict[str, Any], cors: Cors | None, request: DoorRequest
) -> Answer:
    """Raises BadResponse, and what says that the function did not run."""
    function, record = await functions.resolve(backends, target)
    if reason := throttled(backends, function):
        raise TooManyRequests(reason)
    deadline = functions.deadline_of(backends, record, None)
    asked = functions.invocation(
        record,
        target,
        event,
        deadline,
        request_id=request.request_id,
        trace_id=request.trace_id,
        most_bytes=backends.limits.payload_bytes,
    )
    opened = await OpenedStream.open(backends.invoker, asked, deadline)
    try:
        if opened.failed_at_once:
            await opened.aclose()
            return _failed()
        pieces, begun = aiter(opened), b""
        response = HttpResponse(200, [("content-type", opened.content_type)], b"")
        if opened.content_type == INTEGRATION:
            head, begun = await _prelude(pieces)
            response = response_of(head, b"")
        return _ruled(response, cors, request).answer(_Body(opened, begun, pieces))
    except BaseException:
        await opened.aclose()
        raise


async def _prelude(pieces: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """What is before the eight zero bytes, and what of the body came with it. Raises BadResponse."""
    head = b""
    async for piece in pieces:
        head += piece
        at = head.find(_PRELUDE_END)
        if at >= 0:
            return head[:at], head[at + len(_PRELUDE_END) :]
        if len(head) > MAX_PRELUDE_BYTES:
            break
    raise BadResponse("a stream without an end of its metadata")


def response_of(head: bytes, body: bytes) -> HttpResponse:
    """From the metadata of a streamed response. Raises BadResponse."""
    try:
        metadata = orjson.loads(head)
    except orjson.JSONDecodeError as exc:
        raise BadResponse("metadata that is not JSON") from exc
    if not isinstance(metadata, dict):
        raise BadResponse("metadata that is no object")
    return payload_v2.from_members(metadata, body, default_type="application/octet-stream")


def _ruled(response: HttpResponse, cors: Cors | None, request: DoorRequest) -> HttpResponse:
    if cors is not None:
        response.headers = cors.applied(request, response.headers)
    return response


class _Body:
    """The rest of a stream, whose head is out. Implements gateway.http.ByteStream."""

    def __init__(self, opened: OpenedStream, begun: bytes, pieces: AsyncIterator[bytes]) -> None:
        self._opened = opened
        self._begun = begun
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises StreamBroken."""
        if self._begun:
            yield self._begun
        try:
            async for piece in self._pieces:
                yield piece
        except HearthError as exc:
            raise StreamBroken(exc.message) from exc
        if self._opened.result.outcome is not Outcome.OK:
            raise StreamBroken(self._opened.result.detail)

    async def aclose(self) -> None:
        await self._opened.aclose()
