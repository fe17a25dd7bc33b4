"""RuntimeConnection: one HTTP/1.1 connection of a runtime, parsed by httptools, answered in order.

The peer is the user's code: everything it sends is bounded (body, request, connections, requests sent ahead).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import cast

import httptools

from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.api import RuntimeApi
from workers.sandbox.runtime_api.request import EXPECT, WANTED, Request
from workers.sandbox.runtime_api.response import pass_on
from workers.sandbox.runtime_api.routes import begin_stream, cut_off, dispatch

#: a body over the limit is read to its end, so that the runtime sees the 413; past this it is cut off
_REQUEST_LIMIT_BYTES = 64 << 20
#: the Python client puts a traceback of up to 1 MiB into a header (X-Ray cause)
_HEAD_LIMIT_BYTES = 2 << 20
#: a runtime keeps one connection, an extension one more
_CONNECTIONS = 32
#: requests that may wait behind a parked Next
_HELD = 16
#: events up to here are written in one piece with their head
_ONE_WRITE_BYTES = 64 << 10


class RuntimeConnection(asyncio.Protocol):
    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        #: a Next waits here for its event: what follows on this connection must wait too
        self.parked = False
        self._held: deque[Request] = deque()
        self._write_paused = False
        self._request: Request | None = None
        self._in_head = False
        self._received = 0
        self._body_bytes = 0
        self._last = False

    # --- answers --------------------------------------------------------------------------------------------
    def send(self, reply: bytes) -> None:
        self._transport.write(reply)

    def send_event(self, head: bytes, payload: bytes) -> None:
        if len(payload) <= _ONE_WRITE_BYTES:
            self._transport.write(head + payload)
        else:
            self._transport.writelines((head, payload))
        if self.parked:
            self.parked = False
            if self._last:
                self._transport.close()
            elif self._held:
                self._serve_held()

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """What comes from now on is for another protocol."""
        self._api.connections.discard(self)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)

    def abort(self) -> None:
        self._transport.abort()

    # --- asyncio --------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._api.connections) >= _CONNECTIONS:
            self._transport.abort()
            return
        self._api.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # An offer to speak something newer (Java's client offers h2c); it was answered as HTTP/1.1.
            self._parser = httptools.HttpRequestParser(self)
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
            return
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._refuse(replies.BAD_REQUEST)
            return
        limit = _HEAD_LIMIT_BYTES if self._in_head else _REQUEST_LIMIT_BYTES
        if self._request is not None and self._received > limit and not self._request.live:
            self._refuse(replies.too_large(self._api.most_payload_bytes))

    def eof_received(self) -> None:
        if self._request is not None:
            self._transport.write(replies.TRUNCATED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.lost(self)
        if self._request is not None:
            cut_off(self._api, self._request)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._serve_held()

    # --- httptools ------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        self._request = Request(b"", b"", {}, [], began_s=time.monotonic())
        self._in_head, self._received, self._body_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        assert self._request is not None
        self._request.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in WANTED:
            assert self._request is not None
            self._request.headers[name] = value

    def on_headers_complete(self) -> None:
        assert self._request is not None
        self._in_head = False
        self._request.method = self._parser.get_method()
        # curl waits for it before it sends a big body.
        if self._request.headers.get(EXPECT, b"").lower() == b"100-continue" and not self.parked:
            self._transport.write(replies.CONTINUE)
        if self._api.sink is not None and not self.parked and not self._held:
            begin_stream(self._api, self._request)

    def on_body(self, body: bytes) -> None:
        request = self._request
        assert request is not None
        if request.live:
            if not pass_on(self._api, request, body, self._resume):
                self._transport.pause_reading()
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._api.most_payload_bytes:
            request.oversized = True
            request.chunks.clear()
        else:
            request.chunks.append(body)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        assert request is not None
        if not self._parser.should_keep_alive():
            self._last = True
        if self.parked or self._write_paused or self._held:
            if len(self._held) >= _HELD:
                self._transport.abort()
                return
            self._held.append(request)
        else:
            self._serve(request)

    # --- private --------------------------------------------------------------------------------------------
    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _serve(self, request: Request) -> None:
        dispatch(self._api, self, request)
        if self._last and not self.parked:
            self._transport.close()

    def _serve_held(self) -> None:
        while self._held and not self.parked and not self._write_paused:
            self._serve(self._held.popleft())

    def _refuse(self, reply: bytes) -> None:
        self._request = None
        self._transport.write(reply)
        self._transport.close()
