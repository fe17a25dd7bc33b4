"""Event streams out: messages of `application/vnd.amazon.eventstream`, encoded by the service's model.

A message is total length, headers' length, CRC-32 of both, headers, payload, CRC-32 of all before; big-endian. Every
header here is a string: length of its name, name, 7, length of its value, value.
Source: Smithy's event stream specification; botocore.eventstream is the oracle of the tests.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import orjson
from botocore.model import StructureShape

from gateway.protocols.shapes import Encoders

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_STRING = 7
_JSON = "application/json"


class EventSource(Protocol):
    """An operation's event stream: (event's name, its members by the model's names); closed once, come what may."""

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]: ...

    async def aclose(self) -> None: ...


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    body = b"".join((prelude, struct.pack("!I", zlib.crc32(prelude)), encoded, payload))
    return body + struct.pack("!I", zlib.crc32(body))


def initial_response(content_type: str, payload: bytes) -> bytes:
    """The first message of an RPC protocol's stream: what else the operation answers."""
    headers = {":event-type": "initial-response", ":message-type": "event", ":content-type": content_type}
    return message(headers, payload)


def event_encoder(
    shape: StructureShape,
    encoders: Encoders,
    content_type: str = _JSON,
    write: Callable[[Any], bytes] = orjson.dumps,
) -> Callable[[str, dict[str, Any]], bytes]:
    """For a model's event stream: a function from an event's name and members to its message."""
    events = {name: _event(name, event, encoders, content_type, write) for name, event in shape.members.items()}
    return lambda name, members: events[name](members)


class EncodedStream:
    """An EventSource as the bytes of its messages."""

    def __init__(self, source: EventSource, encode: Callable[[str, dict[str, Any]], bytes], first: bytes = b"") -> None:
        self._source = source
        self._encode = encode
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        async for name, members in self._source:
            yield self._encode(name, members)

    async def aclose(self) -> None:
        await self._source.aclose()


def _event(
    name: str, shape: StructureShape, encoders: Encoders, content_type: str, write: Callable[[Any], bytes]
) -> Callable[[dict[str, Any]], bytes]:
    headers = {":event-type": name, ":message-type": "event"}
    raw = next((member for member, inner in shape.members.items() if inner.serialization.get("eventpayload")), None)
    if raw is not None:
        octets = {**headers, ":content-type": "application/octet-stream"}
        return lambda members: message(octets, members[raw])
    encode = encoders.structure(shape)
    return lambda members: message({**headers, ":content-type": content_type}, write(encode(members)))
