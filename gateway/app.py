"""The gateway as a plain ASGI application: one HTTP request in, one operation run, one answer out.

No framework stands on the hot path. The application answers from the moment it listens: until broker and stores are
connected, and whenever they are away, calls get AWS's ServiceException and `/health` says what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from gateway import authorisation, downloads, health, metrics, segments
from gateway.addressed import service_of, signed_service
from gateway.backends import Backends, open_backends
from gateway.call import Call
from gateway.front_doors import doors
from gateway.front_doors.entry import entry_of
from gateway.http import Answer, Request
from gateway.ids import new_request_id
from gateway.leaving import Leaving
from gateway.not_served import error_answer
from gateway.pass_through import Incoming
from gateway.protocols.service import Service
from gateway.receiving import Disconnected, Receive, read_body
from gateway.routes import Route, Router
from gateway.sending import Send, send_answer
from gateway.services import offers
from hearth import links
from hearth.aws_endpoints import AwsEndpoints
from hearth.errors import ApiError, HearthError, RequestEntityTooLarge, Unavailable, ValidationFailed
from hearth.limits import Limits
from hearth.settings import Settings

log = logging.getLogger(__name__)

Scope = dict[str, Any]

#: what an Invoke may carry before AWS refuses the request itself rather than its payload
INVOKE_SLACK_BYTES = 1_048_576
_CLOSE_S = 10.0
_HEAD_TOO_LARGE = b'{"message":"Request line and headers are too large"}'
#: a server that is away delays the first answer, which says so, by this
_CONNECT_FIRST_S = 3.0
_STARTING = "The platform is starting: it is not connected to its broker and stores yet."


class Gateway:
    """`app = Gateway(settings)`; uvicorn calls it. `lifespan` opens and closes the backends.

    leaving: told of every request; the server asks it before it stops.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.leaving = Leaving(settings.leave_seconds)
        self._limits = Limits.of(settings)
        self._endpoints = AwsEndpoints(settings)
        here = self._endpoints.here
        self._router = Router(offer for offer in offers(self._limits) if offer.service.signing_name in here)
        self._backends: Backends | None = None
        self._connected = asyncio.Event()
        self._function_port = settings.function_listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        stop = asyncio.Event()
        # Owner: this method, which waits for it below. Connecting may take long; answering waits for it a little only.
        keeper = asyncio.create_task(self._keep_backends(stop), name="backends")
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # Whoever comes in the first moment waits in the listener's queue rather than being told to come again.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CONNECT_FIRST_S):
                        await self._connected.wait()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                # uvicorn has finished the requests in flight by now
                stop.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_S):
                        await keeper
                metrics.flush()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _keep_backends(self, stop: asyncio.Event) -> None:
        opened = contextlib.AsyncExitStack()
        stopping = asyncio.create_task(stop.wait(), name="stop")
        connecting = asyncio.create_task(self._connect(opened), name="connect")
        try:
            await asyncio.wait((stopping, connecting), return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                self._backends = connecting.result()
                self._connected.set()
                log.info("gateway ready", extra={"action": "gateway_ready"})
                await stopping
        finally:
            connecting.cancel()
            stopping.cancel()
            await asyncio.gather(connecting, stopping, return_exceptions=True)
            self._backends = None
            await opened.aclose()

    async def _connect(self, opened: contextlib.AsyncExitStack) -> Backends:
        async for attempt in AsyncRetrying(
            wait=wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.1),
            retry=retry_if_exception_type((HearthError, OSError)),
            before_sleep=lambda state: log.warning(
                "backends not connected",
                extra={"action": "not_connected", "error": str(state.outcome and state.outcome.exception())},
            ),
        ):
            with attempt:
                return await opened.enter_async_context(open_backends(self._settings))
        raise AssertionError("retried without end")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._request(scope)
        request_id = new_request_id()
        try:
            entry = entry_of(request)
            if entry is not None:
                self.leaving.request_came(time.monotonic())
                request.body = await read_body(receive, doors.MAX_BODY_BYTES)
                answer = await doors.answer(self._backends, entry, scope, request, request_id)
            else:
                side = await self._side_door(request, receive)
                answer = side if side is not None else await self._service(request, request_id, receive)
        except Disconnected:
            return
        if self.leaving.began:
            answer.headers.append((b"connection", b"close"))
        await send_answer(receive, send, answer, request_id, head=request.method == "HEAD")

    def _request(self, scope: Scope) -> Request:
        server = scope.get("server")
        return Request(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            _headers(scope["headers"]),
            from_function=server is not None and server[1] == self._function_port,
        )

    async def _side_door(self, request: Request, receive: Receive) -> Answer | None:
        """What isn't AWS's: health, metrics, other hosts' logs, links to packages. Functions see only the last."""
        match request.path if not request.from_function else "":
            case "/health" | "/_hearth/health":
                return await health.health(self._backends)
            case "/health/gateway":
                return health.gateway_health(leaving=self.leaving.began)
            case "/_localstack/health":
                return await health.localstack_health(self._backends)
            case "/metrics":
                text = await metrics.exposition(self._backends)
                return Answer(200, text, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")])
        if request.path.startswith(links.CODE_PATH) and self._backends is not None:
            return await downloads.download(self._backends, request)
        if request.path.startswith(links.SEGMENTS_PATH) and not request.from_function and self._backends is not None:
            request.body = await read_body(receive, self._limits.request_bytes)
            return await segments.take_in(self._backends, request)
        return None

    async def _service(self, request: Request, request_id: str, receive: Receive) -> Answer:
        """One of AWS's services: run here, or somewhere else."""
        self.leaving.request_came(time.monotonic())
        if _head_bytes(request) > self._limits.head_bytes:
            return Answer(431, _HEAD_TOO_LARGE, [(b"content-type", b"application/json"), (b"connection", b"close")])
        signed = signed_service(request)
        if signed is None and request.path == "/":  # who is meant stands in the form
            request.body, request.body_read = await read_body(receive, self._limits.request_bytes), True
        if signed not in self._endpoints.here and (service := self._elsewhere(signed, request)) is not None:
            return await self._pass(service, request, receive)
        if not request.body_read:
            request.body = await read_body(receive, self._limits.request_bytes)
        return await self._api(request, request_id)

    def _elsewhere(self, signed: str | None, request: Request) -> str | None:
        """The service that is meant, if it is not run here. What says nothing of it is judged here."""
        service = service_of(request)
        if service is None or service in self._endpoints.here:
            return None
        if signed is None and self._router.find(request)[0] is not None:
            return None
        # anything at all may be a public object's path: only where there is an S3
        guessed = service == "s3" and signed is None
        served = not guessed or self._endpoints.elsewhere("s3", self._settings.region) is not None
        return service if served else None

    async def _pass(self, service: str, request: Request, receive: Receive) -> Answer:
        started_s = time.perf_counter()
        incoming = Incoming(receive, done=request.body_read)
        try:
            if self._backends is None:
                raise Unavailable(_STARTING)
            answer = await self._backends.pass_through.answer(service, request, incoming)
        except HearthError as exc:
            answer = error_answer(service, request, exc)
            # a client that was to be asked for its body sends none now, though the head promised one
            if not incoming.done and "expect" in request.headers:
                answer.headers.append((b"connection", b"close"))
            else:
                await incoming.discard()
        known = service if self._endpoints.elsewhere(service, self._settings.region) else "unknown"
        metrics.observe(known, "passed-through", answer.status, time.perf_counter() - started_s)
        return answer

    async def _api(self, request: Request, request_id: str) -> Answer:
        started_s = time.perf_counter()
        route, path_values, service = self._router.find(request)
        try:
            answer = await self._run(request, request_id, route, path_values, service)
        except HearthError as exc:
            answer = service.codec.error(_named(exc, service))
        except Exception:
            log.exception(
                "operation failed", extra={"action": "operation_failed", "operation": route.name if route else ""}
            )
            answer = service.codec.error(ApiError("ServiceException", 500, "An internal error occurred."))
        name = route.name if route and route.operation else "unknown"
        metrics.observe(service.name, name, answer.status, time.perf_counter() - started_s)
        return answer

    async def _run(
        self, request: Request, request_id: str, route: Route | None, path_values: list[str], service: Service
    ) -> Answer:
        backends = self._backends
        if backends is None:
            raise Unavailable(_STARTING)
        if route is None:
            raise ApiError("UnknownOperationException", 404, f"Unknown operation: {request.method} {request.path}")
        _check_size(request, route, self._limits)  # before the signature: of a longer body only the beginning was kept
        caller = backends.verifier.verify(request, service.signing_name)
        if route.operation is None:
            raise ApiError("UnknownOperationException", 404, f"{service.name}:{route.name} is not offered by Hearth.")
        if service.name == "lambda":
            backends.api_rates.check(caller.account, caller.region, route.name)
        plan = route.plan
        given = plan.parse(request, path_values)
        plan.validate(given)
        call = Call(caller, request, request_id, backends)
        if caller.restricted or authorisation.of_another_account(caller, given):
            await authorisation.authorise(call, service.signing_name, route.name, given)
        answer = plan.serialise(await route.operation(call, given))
        answer.headers += call.headers
        return answer


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) != len(raw):  # some came more than once
        headers.clear()
        for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw):
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _head_bytes(request: Request) -> int:
    return len(request.path) + len(request.query) + sum(map(len, request.headers.values()))


def _check_size(request: Request, route: Route, limits: Limits) -> None:
    limit = shown = limits.request_bytes
    name = route.name
    if name == "Invoke":
        limit, shown, name = limits.payload_bytes + INVOKE_SLACK_BYTES, limits.payload_bytes, "InvokeFunction"
    if len(request.body) > limit:
        raise RequestEntityTooLarge(f"Request must be smaller than {shown} bytes for the {name} operation")


def _named(error: HearthError, service: Service) -> HearthError:
    """Bad input has another code in some services."""
    if isinstance(error, ValidationFailed) and service.validation_code != error.code:
        return ApiError(service.validation_code, error.status, error.message)
    return error
