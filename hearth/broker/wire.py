"""The warm path's AMQP frames, written and read by hand: basic.publish, basic.ack, basic.deliver.

pika encodes and decodes through general objects, which costs some 60 microseconds of CPU a message and direction;
these three frames are all of a warm invocation. Whatever looks unusual here (other properties or types of headers,
texts too long or not UTF-8, a message that has not arrived whole) is left to pika: functions then return None.
Source: AMQP 0-9-1 specification, 2.3.5 and 4.2; RabbitMQ's table of field types.
"""

from __future__ import annotations

import functools
from operator import itemgetter
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

#: types of fields: text, bytes, integers of 64 and of 32 bits (pika writes small ones so), truth
_S, _X, _L, _I, _T = b"SxlIt"

_CONTENT_TYPE, _HEADERS = 0x8000, 0x2000
#: in the order of the wire, after content type and headers
_TEXTS = (("correlation_id", 0x0400), ("reply_to", 0x0200), ("message_id", 0x0080), ("type", 0x0020))
_KNOWN = _CONTENT_TYPE | _HEADERS | sum(flag for _, flag in _TEXTS)
_USED = frozenset({"content_type", "headers", *(name for name, _ in _TEXTS)})
_UNUSED = [name for name in vars(BasicProperties()) if name not in _USED]
_unused = itemgetter(*_UNUSED)
_NONE_OF_THEM = (None,) * len(_UNUSED)


class Delivered(NamedTuple):
    """A whole basic.deliver. `end`: where the next frame begins."""

    method: Basic.Deliver
    properties: BasicProperties
    body: bytes
    end: int


def ack(channel: int, delivery_tag: int) -> bytes:
    """Of this one delivery."""
    return _ACK.pack(METHOD, channel, 13, 60, 80, delivery_tag, 0, FRAME_END)


def publish(
    channel: int, exchange: str, routing_key: str, properties: BasicProperties, body: bytes, *, mandatory: bool = False
) -> bytes | None:
    """All frames of a publish. The body must fit in one frame."""
    try:
        encoded = encode_properties(properties)
        arguments = b"%b%b%b%c" % (_PUBLISH, _name(exchange), _short(routing_key), mandatory)
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
    if _unused(values) != _NONE_OF_THEM:
        return None
    flags = 0
    pieces = [b""]
    if (content_type := values["content_type"]) is not None:
        flags = _CONTENT_TYPE
        pieces.append(_name(content_type))
    if (headers := values["headers"]) is not None:
        flags |= _HEADERS
        table = _encoded_table(headers)
        if table is None:
            return None
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


#: of exchanges, headers, content types: the same few again and again
_name = functools.lru_cache(maxsize=256)(_short)


def _encoded_table(headers: dict[str, Any]) -> bytes | None:
    pieces: list[bytes] = []
    for name, value in headers.items():
        kind = type(value)
        if kind is str:
            raw = value.encode()
            pieces += (_name(name), b"S", _LONG.pack(len(raw)), raw)
        elif kind is int:
            pieces += (_name(name), b"l", _LONGLONG.pack(value))
        elif kind is bool:
            pieces += (_name(name), b"t\1" if value else b"t\0")
        elif kind is bytes:
            pieces += (_name(name), b"x", _LONG.pack(len(value)), value)
        else:
            return None
    return b"".join(pieces)


def _table(data: bytes, at: int, stop: int) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    while at < stop:
        end = at + 1 + data[at]
        name, kind, at = data[at + 1 : end].decode(), data[end], end + 1
        if kind in (_S, _X):
            end = at + 4 + _LONG.unpack_from(data, at)[0]
            found[name] = data[at + 4 : end].decode() if kind == _S else data[at + 4 : end]
            at = end
        elif kind == _L:
            found[name] = _LONGLONG.unpack_from(data, at)[0]
            at += 8
        elif kind == _I:
            found[name] = _SIGNED.unpack_from(data, at)[0]
            at += 4
        elif kind == _T:
            found[name] = data[at] != 0
            at += 1
        else:
            return None
    return found
