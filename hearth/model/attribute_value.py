"""Attribute values of DynamoDB in their wire form, `{"S": "text"}`: checked, made canonical, ordered, weighed. Pure.

Canonical means that equal values are equal as JSON: numbers without needless digits, sets sorted, names in order.
Texts of errors as AWS answers them. Source: DynamoDB Developer Guide, "Supported data types and naming rules" and
"Item sizes and formats".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

import orjson

from hearth.errors import ApiError, ValidationFailed

#: {type: value}, one member: S, N, B (base64), BOOL, NULL, SS, NS, BS, L or M
Value = dict[str, Any]
Item = dict[str, Value]

MAX_ITEM_BYTES = 400 * 1024
MAX_DIGITS = 38
_MAX_EXPONENT, _MIN_EXPONENT = 125, -130
MAX_DEPTH = 32
#: exact for sums and differences of any two numbers that there are
EXACT = Context(prec=300, Emin=-1000, Emax=1000, traps=[InvalidOperation, Inexact])
_WRONG = "One or more parameter values were invalid: "
_SIGN_OFFSET = 0x4000


def canonical_item(item: dict[str, Any]) -> Item:
    """Raises ValidationFailed, or SerializationException for what has another JSON type than its name says."""
    return {name: canonical(value) for name, value in item.items()}


def canonical(value: Any, depth: int = 0) -> Value:
    """As `canonical_item`, of one value."""
    if not isinstance(value, dict):
        raise _serialization("Unexpected value type in payload")
    if len(value) != 1:
        found = {kind: one for kind, one in value.items() if one is not None}
        if len(found) != 1:
            what = "has more than one datatypes set" if found else "is empty"
            raise ValidationFailed(
                f"Supplied AttributeValue {what}, must contain exactly one of the supported datatypes"
            )
        value = found
    ((kind, content),) = value.items()
    check = _CANONICAL.get(kind)
    if check is None:
        raise ValidationFailed("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    if depth > MAX_DEPTH:
        raise ValidationFailed("Nesting Levels have exceeded supported limits")
    return {kind: check(content, depth)}


def encoded(item: Item) -> bytes:
    """The one JSON text of a canonical item."""
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


# --- numbers ------------------------------------------------------------------------------------------------------
def number(text: str) -> Decimal:
    """Raises ValidationFailed: no number, more than 38 digits, or beyond the range."""
    try:
        return in_range(EXACT.create_decimal(text))
    except (InvalidOperation, Inexact) as exc:
        if len(text) > MAX_DIGITS and text.strip("-+0123456789.eE") == "":
            raise ValidationFailed("Attempting to store more than 38 significant digits in a Number") from exc
        raise ValidationFailed(f"The parameter cannot be converted to a numeric value: {text}") from exc


def in_range(value: Decimal) -> Decimal:
    """Raises ValidationFailed."""
    if not value.is_finite():
        raise ValidationFailed(f"The parameter cannot be converted to a numeric value: {value}")
    if not value:
        return Decimal(0)
    value = value.normalize(EXACT)
    if value.adjusted() > _MAX_EXPONENT:
        raise ValidationFailed(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        )
    if value.adjusted() < _MIN_EXPONENT:
        raise ValidationFailed(
            "Number underflow. Attempting to store a number with magnitude smaller than supported range"
        )
    if len(value.as_tuple().digits) > MAX_DIGITS:
        raise ValidationFailed("Attempting to store more than 38 significant digits in a Number")
    return value


def number_text(value: Decimal) -> str:
    """All digits, no exponent, as AWS answers."""
    return f"{value:f}"


# --- order --------------------------------------------------------------------------------------------------------
def sort_bytes(value: Value) -> bytes:
    """Of a key's value (S, N, B): byte strings in the order of the values."""
    ((kind, content),) = value.items()
    if kind == "S":
        return str(content).encode()
    if kind == "B":
        return base64.b64decode(content)
    return _number_bytes(Decimal(content))


def _number_bytes(value: Decimal) -> bytes:
    """Sign, exponent, digits; of negative numbers the complement, closed by what is more than any digit."""
    if not value:
        return b"\x01"
    digits = "".join(map(str, value.normalize(EXACT).as_tuple().digits)).encode()
    body = (value.adjusted() + _SIGN_OFFSET).to_bytes(2, "big") + digits
    return b"\x02" + body if value > 0 else b"\x00" + bytes(0xFF - byte for byte in body) + b"\xff"


def comparable(value: Value) -> Any:
    """What values of one type are compared by; of types that have an order (S, N, B)."""
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    return str(content).encode() if kind == "S" else base64.b64decode(content)


# --- weight -------------------------------------------------------------------------------------------------------
def item_bytes(item: Item) -> int:
    """As AWS counts: names and values."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Value) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _digits_bytes(content)
        case "B":
            return _binary_length(content)
        case "SS":
            return sum(len(one.encode()) for one in content)
        case "NS":
            return sum(map(_digits_bytes, content))
        case "BS":
            return sum(map(_binary_length, content))
        case "L":
            return 3 + sum(1 + value_bytes(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_bytes(one) for name, one in content.items())
    return 1


def _digits_bytes(text: str) -> int:
    """A byte for every two digits, one for the exponent, one for a minus."""
    digits = text.lstrip("-").replace(".", "").strip("0") or "0"
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


def _binary_length(text: str) -> int:
    return len(text) * 3 // 4 - text.count("=", -2)


# --- types --------------------------------------------------------------------------------------------------------
def _serialization(message: str) -> ApiError:
    return ApiError("SerializationException", 400, message)


def _text(content: Any, depth: int) -> str:
    if not isinstance(content, str):
        raise _serialization(f"{_json_type(content)} can not be converted to a String")
    return content


def _number(content: Any, depth: int) -> str:
    return number_text(number(_text(content, depth)))


def _binary(content: Any, depth: int) -> str:
    text = _text(content, depth)
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as exc:
        raise _serialization(f"Invalid Base64 data: {exc}") from exc
    return text


def _boolean(content: Any, depth: int) -> bool:
    if not isinstance(content, bool):
        raise _serialization(f"{_json_type(content)} can not be converted to a Boolean")
    return content


def _null(content: Any, depth: int) -> bool:
    if _boolean(content, depth) is not True:
        raise ValidationFailed(f"{_WRONG}Null attribute value types must have the value of true")
    return True


def _list(content: Any, depth: int) -> list[Value]:
    if not isinstance(content, list):
        raise _serialization(f"{_json_type(content)} can not be converted to a List")
    return [canonical(one, depth + 1) for one in content]


def _map(content: Any, depth: int) -> dict[str, Value]:
    if not isinstance(content, dict):
        raise _serialization(f"{_json_type(content)} can not be converted to a Map")
    return {name: canonical(content[name], depth + 1) for name in sorted(content)}


def _set(kind: str, one: Callable[[Any, int], str], order: Callable[[str], Any]) -> Callable[[Any, int], list[str]]:
    def check(content: Any, depth: int) -> list[str]:
        if not isinstance(content, list):
            raise _serialization(f"{_json_type(content)} can not be converted to a List")
        if not content:
            raise ValidationFailed(f"{_WRONG}An {kind} set  may not be empty")
        members = [one(member, depth) for member in content]
        if len(set(members)) < len(members):
            if kind == "number":
                raise ValidationFailed("Input collection contains duplicates")
            raise ValidationFailed(f"{_WRONG}Input collection [{', '.join(members)}] contains duplicates.")
        return sorted(members, key=order)

    return check


def _json_type(content: Any) -> str:
    match content:
        case bool():
            return "TRUE_VALUE" if content else "FALSE_VALUE"
        case str():
            return "STRING_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case list():
            return "START_ARRAY"
    return "START_OBJECT"


_CANONICAL: dict[str, Callable[[Any, int], Any]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "L": _list,
    "M": _map,
    "SS": _set("string", _text, str.encode),
    "NS": _set("number", _number, Decimal),
    "BS": _set("binary", _binary, base64.b64decode),
}
