"""The warm path's AMQP frames, written and read by hand: basic.publish, basic.ack, basic.deliver.

pika encodes and decodes through general objects, which costs some 60 microseconds of CPU a message and direction;
these three frames are all of a warm invocation. Whatever looks unusual here (other properties or types of headers,
texts too long or not UTF-8, a message that has not arrived whole) is left to pika: functions then return None.
Source: AMQP 0-9-1 specification, 2.3.5 and 4.2; RabbitMQ's table of field types.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Any, NamedTuple

from pika import BasicProperties
from pika.spec import Basic

#: type, channel, size of the payload; payload and frame end (one byte) follow
FRAME = Struct(">BHI")
METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = 0xCE
#: bytes of a frame around its payload
OVERHEAD = FRAME.size + 1
#: class and method, the first bytes of a method frame's payload
DELIVER = b"\x00\x3c\x00\x3c"
_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
_ACK = Struct(">BHIHHQBB")
#: a frame's head, then class, weight, size of the body
_CONTENT = Struct(">BHIHHQ")
_LONG = Struct(">I")
_SIGNED = Struct(">i")
_LONGLONG = Struct(">q")
#: delivery tag and flags
_TAG = Struct(">QB")

_CONTENT_TYPE, _HEADERS = 0x8000, 0x2000
#: in the order of the wire, after content type and headers
_TEXTS = (("correlation_id", 0x0400), ("reply_to", 0x0200), ("message_id", 0x0080), ("type", 0x0020))
_KNOWN = _CONTENT_TYPE | _HEADERS | sum(flag for _, flag in _TEXTS)
_UNUSED = (
    "content_encoding",
    "delivery_mode",
    "priority",
    "expiration",
    "timestamp",
    "user_id",
    "app_id",
    "cluster_id",
)


class Delivered(NamedTuple):
    """A whole basic.deliver. `end`: where the next frame begins."""

    method: Basic.Deliver
    properties: BasicProperties
    body: bytes
    end: int


def ack(channel: int, delivery_tag: int) -> bytes:
    """Of this one delivery."""
    return _ACK.pack(METHOD, channel, 13, 60, 80, delivery_tag, 0, FRAME_END)


def publish(channel: int, exchange: str, routing_key: str, properties: BasicProperties, body: bytes) -> bytes | None:
    """All frames of a publish that is not mandatory. The body must fit in one frame."""
    try:
        encoded = encode_properties(properties)
        arguments = b"%b%b%b\x00" % (_PUBLISH, _short(exchange), _short(routing_key))
    except (AttributeError, OverflowError, error):  # not a text, a text of over 255 bytes, an integer of over 64 bits
        return None
    if encoded is None:
        return None
    size = len(body)
    head = b"%b%b\xce%b%b\xce" % (
        FRAME.pack(METHOD, channel, len(arguments)),
        arguments,
        _CONTENT.pack(HEADER, channel, 12 + len(encoded), 60, 0, size),
        encoded,
    )
    return b"%b%b%b\xce" % (head, FRAME.pack(BODY, channel, size), body) if size else head


def delivery(buffer: bytes, at: int) -> Delivered | None:
    """The message whose basic.deliver frame begins at `at`, if all of it is in the buffer in at most one body frame."""
    _, channel, size = FRAME.unpack_from(buffer, at)
    head = at + size + OVERHEAD
    if len(buffer) < head + _CONTENT.size:
        return None
    kind, number, size, _, _, length = _CONTENT.unpack_from(buffer, head)
    body = head + size + OVERHEAD
    end = body + length + OVERHEAD if length else body
    if kind != HEADER or number != channel or end > len(buffer):
        return None
    if length and FRAME.unpack_from(buffer, body) != (BODY, channel, length):
        return None
    if not buffer[head - 1] == buffer[body - 1] == buffer[end - 1] == FRAME_END:
        return None
    try:
        method = _deliver(buffer, at + FRAME.size + len(DELIVER))
        properties = decode_properties(buffer, head + _CONTENT.size)
    except (UnicodeDecodeError, IndexError, error):
        return None
    if properties is None:
        return None
    return Delivered(method, properties, buffer[body + FRAME.size : end - 1] if length else b"", end)


def _deliver(data: bytes, at: int) -> Basic.Deliver:
    consumer_tag, at = _text(data, at)
    delivery_tag, flags = _TAG.unpack_from(data, at)
    exchange, at = _text(data, at + _TAG.size)
    routing_key, _ = _text(data, at)
    return Basic.Deliver(consumer_tag, delivery_tag, flags & 1 == 1, exchange, routing_key)


def encode_properties(properties: BasicProperties) -> bytes | None:
    """Flags and values. Raises AttributeError, OverflowError or struct.error for what the wire cannot carry."""
    values = properties.__dict__
    for name in _UNUSED:
        if values[name] is not None:
            return None
    flags = 0
    pieces = [b""]
    if (content_type := values["content_type"]) is not None:
        flags = _CONTENT_TYPE
        pieces.append(_short(content_type))
    if (headers := values["headers"]) is not None:
        flags |= _HEADERS
        items = [_item(name, value) for name, value in headers.items()]
        if None in items:
            return None
        table = b"".join(items)  # type: ignore[arg-type]
        pieces += (_LONG.pack(len(table)), table)
    for name, flag in _TEXTS:
        if (text := values[name]) is not None:
            flags |= flag
            pieces.append(_short(text))
    pieces[0] = flags.to_bytes(2, "big")
    return b"".join(pieces)


def decode_properties(data: bytes, at: int) -> BasicProperties | None:
    """From the flags on. Raises UnicodeDecodeError, IndexError or struct.error for what pika may still know to read."""
    flags = data[at] << 8 | data[at + 1]
    if flags & ~_KNOWN:
        return None
    at += 2
    properties = BasicProperties()
    values = properties.__dict__
    if flags & _CONTENT_TYPE:
        values["content_type"], at = _text(data, at)
    if flags & _HEADERS:
        end = at + 4 + _LONG.unpack_from(data, at)[0]
        values["headers"] = headers = _table(data, at + 4, end)
        if headers is None:
            return None
        at = end
    for name, flag in _TEXTS:
        if flags & flag:
            values[name], at = _text(data, at)
    return properties


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A short string, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end


def _short(text: str) -> bytes:
    raw = text.encode()
    return b"%c%b" % (len(raw), raw)


def _item(name: str, value: Any) -> bytes | None:
    kind = type(value)
    if kind is str:
        raw = value.encode()
        return b"%bS%b%b" % (_short(name), _LONG.pack(len(raw)), raw)
    if kind is int:
        return b"%bl%b" % (_short(name), _LONGLONG.pack(value))
    if kind is bool:
        return b"%bt%c" % (_short(name), value)
    if kind is bytes:
        return b"%bx%b%b" % (_short(name), _LONG.pack(len(value)), value)
    return None


def _table(data: bytes, at: int, stop: int) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    while at < stop:
        name, at = _text(data, at)
        kind, at = data[at], at + 1
        if kind in b"Sx":
            end = at + 4 + _LONG.unpack_from(data, at)[0]
            raw = data[at + 4 : end]
            found[name] = raw.decode() if kind == ord("S") else raw
            at = end
        elif kind == ord("l"):
            found[name] = _LONGLONG.unpack_from(data, at)[0]
            at += 8
        elif kind == ord("I"):  # pika writes small integers so
            found[name] = _SIGNED.unpack_from(data, at)[0]
            at += 4
        elif kind == ord("t"):
            found[name] = data[at] != 0
            at += 1
        else:
            return None
    return found
