"""Requests for services that Hearth does not run: passed on to whoever serves them, bodies streaming both ways.

What arrives there means what the client sent. The host stays, since signatures cover it; where this host has keys of
its own for the other side (`botocore` finds some), the request is signed anew with them, after the client's signature
was checked here. Nobody's service is answered with the flag that would start it.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.addressed import action_of, bucket_of_host, resource_of, signed_service
from gateway.http import Answer, Request
from gateway.keys import refuse_foreign
from gateway.receiving import Disconnected, Receive
from gateway.resign import Keys, resigned
from gateway.sending import StreamBroken
from gateway.sigv4 import UNREAD_SERVICES, Verifier
from hearth.aws_endpoints import AwsEndpoints, unserved
from hearth.errors import ApiError
from hearth.settings import Settings

if TYPE_CHECKING:
    import aiohttp

_CONNECT_S = 5.0
#: between two pieces of an answer; long polls of queues take 20 s, some calls a few minutes
_READ_S = 300.0
#: of requests whose body is a signed part of them: larger ones are S3's, which streams
MAX_READ_BYTES = 32 * 2**20
_CHUNK_BYTES = 64 * 1024
#: RFC 9110, 7.6.1; Expect was answered here
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class PassThrough:
    """One per gateway process; `close` at its end."""

    def __init__(self, settings: Settings, verifier: Verifier) -> None:
        self._settings = settings
        self._verifier = verifier
        self._endpoints = AwsEndpoints(settings)

    async def close(self) -> None:
        if "_http" in self.__dict__:
            await self._http.close()

    async def answer(self, service: str, request: Request, incoming: Incoming) -> Answer:
        """service: its canonical name. Raises ApiError: not signed well, not allowed, nobody serves it, no answer."""
        streams = service in UNREAD_SERVICES
        if not streams and not incoming.done:
            request.body = await incoming.whole()
        region = self._authorise(service, request)
        endpoint = self._endpoints.elsewhere(service, region)
        if endpoint is None:
            raise ApiError("ServiceNotServed", 501, unserved(service))
        body = incoming if streams and _has_body(request) and not incoming.done else request.body
        return await self._exchange(service, region, endpoint, request, body)

    def _authorise(self, service: str, request: Request) -> str:
        """Check who asks for what; returns the region. Unsigned requests are the other side's to judge, on loopback."""
        signed = signed_service(request)
        if signed is None:
            if not self._settings.loopback or self._keys is not None:
                raise ApiError("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
            refuse_foreign(request)
            return self._settings.region
        caller = self._verifier.verify(request, signed)
        caller.check(action_of(service, request), resource_of(service, request))
        return caller.region

    async def _exchange(
        self, service: str, region: str, endpoint: str, request: Request, body: bytes | Incoming
    ) -> Answer:
        import aiohttp
        from yarl import URL

        path, headers = request.path, {n: v for n, v in request.headers.items() if n not in _HOP_BY_HOP}
        if self._keys is not None or ".amazonaws.com" in endpoint:
            if service in UNREAD_SERVICES and (bucket := bucket_of_host(request)) is not None:
                path = f"/{bucket}{path}"
            headers["host"] = urlsplit(endpoint).netloc
            request = Request(request.method, path, request.query, headers, request.body)
            headers = resigned(request, self._keys, region, service)
        query = f"?{request.query}" if request.query else ""
        try:
            answer = await self._http.request(
                request.method, URL(f"{endpoint}{path}{query}", encoded=True), headers=headers, data=_data(body)
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ApiError("ServiceUnavailable", 503, f"{service} at {endpoint} did not answer: {exc}") from exc
        kept = [(n.lower(), v) for n, v in answer.raw_headers if n.lower().decode("latin-1") not in _HOP_BY_HOP]
        return Answer(answer.status, b"", kept, stream=_Body(answer, head=request.method == "HEAD"))

    @functools.cached_property
    def _http(self) -> aiohttp.ClientSession:
        import aiohttp  # only a gateway that passes something on pays for it

        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @functools.cached_property
    def _keys(self) -> Keys | None:
        """This host's own keys for other servers; None: the clients' signatures go on as they are."""
        import botocore.session

        found = botocore.session.Session().get_credentials()
        return None if found is None else found.get_frozen_credentials


def _data(body: bytes | Incoming) -> Any:
    return aiter(body) if isinstance(body, Incoming) else body or None


class _Body:
    """The answer's body as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse, *, head: bool) -> None:
        self._answer = answer
        self._head = head

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        import aiohttp

        if self._head:
            return
        try:
            async for piece in self._answer.content.iter_chunked(_CHUNK_BYTES):
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise StreamBroken(str(exc)) from exc

    async def aclose(self) -> None:
        # one that was read to its end has given its connection back already
        self._answer.close()


class Incoming:
    """A request's body as it comes. `done`: nothing is left of it to read."""

    def __init__(self, receive: Receive, *, done: bool) -> None:
        self._receive = receive
        self.done = done

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        while not self.done:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            self.done = not message.get("more_body", False)
            if piece := message.get("body", b""):
                yield piece

    async def whole(self) -> bytes:
        """Raises ApiError: more than MAX_READ_BYTES."""
        body = b""
        async for piece in self:
            body += piece
            if len(body) > MAX_READ_BYTES:
                raise ApiError("RequestEntityTooLargeException", 413, f"Request is larger than {MAX_READ_BYTES} bytes")
        return body

    async def discard(self) -> None:
        """A client that is still sending does not listen for the answer."""
        async for _ in self:
            pass


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
