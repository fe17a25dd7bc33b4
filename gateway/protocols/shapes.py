"""JSON values <-> the shapes of a botocore service model, compiled once per shape into plain functions.

Decoded structures are dicts by the model's member names, without the members that are absent or null; blobs are
bytes, timestamps epoch seconds. Encoding takes the same. Names that the model lacks are ignored, as AWS does.
Source: the AWS JSON 1.1 and REST-JSON 1 protocols (Smithy specification).
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape
from cbor2 import CBORTag

from hearth.errors import ApiError

Codec = Callable[[Any], Any]

#: CBOR's tag of a time since the epoch; in milliseconds, as AWS's Java SDK reads it
CBOR_TIME = 1
#: a number of seconds this large is none
_FIRST_MS = 1e11


class Serialization(ApiError):
    """The request's body is not what the service model describes. Nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__("SerializationException", 400, message)


def wire_name(member: str, shape: Shape) -> str:
    return shape.serialization.get("name", member)


class Decoders:
    """Decoders of one service's shapes; recursive shapes find themselves in the cache.

    binary: the document knows bytes and times by itself (CBOR).
    """

    def __init__(self, *, binary: bool = False) -> None:
        self._cache: dict[str, Codec] = {}
        self._scalars = _SCALARS | _BINARY_SCALARS if binary else _SCALARS

    def of(self, shape: Shape) -> Codec:
        if shape.name not in self._cache:
            made: list[Codec] = []
            self._cache[shape.name] = lambda value: made[0](value)
            made.append(self._make(shape))
            self._cache[shape.name] = made[0]
        return self._cache[shape.name]

    def structure(self, shape: StructureShape, members: list[str] | None = None) -> Codec:
        """`members`: only these (REST-JSON puts the others into path, query and headers)."""
        fields = tuple(
            (name, wire_name(name, member), self.of(member))
            for name, member in shape.members.items()
            if members is None or name in members
        )

        def decode(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise _mistaken(value, "")
            return {name: codec(value[wire]) for name, wire, codec in fields if value.get(wire) is not None}

        return decode

    def _make(self, shape: Shape) -> Codec:
        if getattr(shape, "is_document_type", False):
            return lambda value: value
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            item = self.of(shape.member)
            return lambda value: [item(one) if one is not None else None for one in _expect(value, list)]
        if isinstance(shape, MapShape):
            entry = self.of(shape.value)
            return lambda value: {
                key: entry(one) if one is not None else None for key, one in _expect(value, dict).items()
            }
        return self._scalars[shape.type_name]


class Encoders:
    """Encoders of one service's shapes to what orjson can write; binary: to what cbor2 can."""

    def __init__(self, *, binary: bool = False) -> None:
        self._cache: dict[str, Codec] = {}
        self._binary = binary

    def of(self, shape: Shape) -> Codec:
        if shape.name not in self._cache:
            made: list[Codec] = []
            self._cache[shape.name] = lambda value: made[0](value)
            made.append(self._make(shape))
            self._cache[shape.name] = made[0]
        return self._cache[shape.name]

    def structure(self, shape: StructureShape, members: list[str] | None = None) -> Codec:
        fields = tuple(
            (name, wire_name(name, member), self.of(member))
            for name, member in shape.members.items()
            if members is None or name in members
        )
        return lambda value: {wire: codec(value[name]) for name, wire, codec in fields if value.get(name) is not None}

    def _make(self, shape: Shape) -> Codec:
        if getattr(shape, "is_document_type", False):
            return lambda value: value
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            item = self.of(shape.member)
            return lambda value: [item(one) for one in value]
        if isinstance(shape, MapShape):
            entry = self.of(shape.value)
            return lambda value: {key: entry(one) for key, one in value.items()}
        if shape.type_name == "blob":
            return (lambda value: value) if self._binary else lambda value: base64.b64encode(value).decode()
        if shape.type_name == "timestamp":
            if self._binary:
                return lambda value: CBORTag(CBOR_TIME, round(value * 1000))
            style = shape.serialization.get("timestampFormat", "unixTimestamp")
            return lambda value: timestamp_text(value, style) if style != "unixTimestamp" else value
        return lambda value: value


def parse_json(body: bytes) -> Any:
    """The body as JSON; an empty one is an empty object."""
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Serialization(f"Could not parse request body into json: {exc}") from exc


def timestamp_text(epoch_s: float, style: str) -> str:
    """Epoch seconds as `iso8601`, `rfc822` or `unixTimestamp` text."""
    if style == "rfc822":
        return formatdate(epoch_s, usegmt=True)
    if style == "iso8601":
        at = datetime.datetime.fromtimestamp(epoch_s, datetime.UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{epoch_s:.3f}".rstrip("0").rstrip(".")


def scalar_from_text(shape: Shape) -> Callable[[str], Any]:
    """Decoder of a value that travels as text: in a path, a query string, a header or a form."""
    kind = shape.type_name
    if kind in ("integer", "long"):
        return _integer_from_text
    if kind in ("float", "double"):
        return _float_from_text
    if kind == "boolean":
        return _boolean_from_text
    if kind == "timestamp":
        return _timestamp
    if kind == "blob":
        return _blob
    return lambda text: text


def text_from_scalar(shape: Shape) -> Callable[[Any], str]:
    if shape.type_name == "boolean":
        return lambda value: "true" if value else "false"
    if shape.type_name == "timestamp":
        style = shape.serialization.get("timestampFormat", "rfc822")
        return lambda value: timestamp_text(value, style)
    if shape.type_name == "blob":
        return lambda value: base64.b64encode(value).decode()
    return str


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def _mistaken(value: Any, wanted: str) -> Serialization:
    """In the words of AWS's parser. wanted: "an Integer"; "" for a list, a map or a structure."""
    if isinstance(value, dict):
        return Serialization("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return Serialization("Start of list found where not expected")
    return Serialization(f"{_json_type(value)} can not be converted to {wanted}" if wanted else "Unexpected field type")


def _expect(value: Any, kind: type, wanted: str = "") -> Any:
    if not isinstance(value, kind):
        raise _mistaken(value, wanted)
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        # AWS's Java parser takes numbers and booleans for strings too
        if isinstance(value, (int, float)):
            return orjson.dumps(value).decode()
        raise _mistaken(value, "a String")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if isinstance(value, str):
            return _integer_from_text(value)
        raise _mistaken(value, "an Integer")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str):
        return _float_from_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mistaken(value, "a Float")
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        return _boolean_from_text(value)
    return _expect(value, bool, "a Boolean")


def _blob(value: Any) -> bytes:
    try:
        return binascii.a2b_base64(_expect(value, str, "a Blob"), strict_mode=True)
    except binascii.Error as exc:
        raise Serialization(f"Invalid Base64 data: {exc}") from exc


def _timestamp(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        pass
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError) as exc:
        raise Serialization("Unable to parse the timestamp") from exc


def _integer_from_text(text: str) -> int:
    try:
        return int(text)
    except ValueError as exc:
        raise Serialization("STRING_VALUE can not be converted to an Integer") from exc


def _float_from_text(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise Serialization("STRING_VALUE can not be converted to a Float") from exc


def _boolean_from_text(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Serialization("STRING_VALUE can not be converted to a Boolean")
    return text.lower() == "true"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _blob(value)


def _binary_timestamp(value: Any) -> float:
    """Some clients count milliseconds."""
    seconds = _timestamp(value)
    return seconds / 1000 if seconds >= _FIRST_MS else seconds


_BINARY_SCALARS: dict[str, Codec] = {"blob": _bytes, "timestamp": _binary_timestamp}

_SCALARS: dict[str, Codec] = {
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "blob": _blob,
    "timestamp": _timestamp,
}
