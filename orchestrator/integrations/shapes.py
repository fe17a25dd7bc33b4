"""Between a task's JSON and botocore's shapes: parameters in, results out, in Step Functions' spelling of members.

Step Functions names members in PascalCase, whatever the service's own case; text where the service wants text may be
any JSON, which is sent as its text; moments are ISO 8601, bytes are text.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any

import orjson

#: a run of capitals at the beginning of a member's name: DBInstances is DbInstances, ETag stays
_CAPITALS = re.compile(r"^([A-Z])([A-Z]+)(?=[A-Z][a-z]|\d|$)")


class UnsupportedField(Exception):
    """The operation has no such parameter."""

    def __init__(self, name: str) -> None:
        super().__init__(f'The field "{name}" is not supported by Step Functions')


def to_parameters(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The operation's parameters, in botocore's spelling and types. Raises UnsupportedField."""
    if model.input_shape is None:
        if given:
            raise UnsupportedField(next(iter(given)))
        return {}
    return _in(model.input_shape, given)


def missing_member(model: Any, parameters: dict[str, Any]) -> str:
    """The first required member that is not there, in the service's own spelling; "" if all are. Tokens that make a
    call idempotent are never missing: botocore makes them, as AWS's SDKs do."""
    shape = model.input_shape
    required = shape.required_members if shape is not None else []
    made = model.idempotent_members
    return next((name for name in required if parameters.get(name) is None and name not in made), "")


def _in(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        members = {name.lower(): name for name in shape.members}
        converted = {}
        for name, member in value.items():
            own = members.get(name.lower())
            if own is None:
                raise UnsupportedField(name)
            if member is not None or shape.members[own].type_name == "string":
                converted[own] = _in(shape.members[own], member)
        return converted
    if kind == "list" and isinstance(value, list):
        return [_in(shape.member, member) for member in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _in(shape.value, member) for name, member in value.items()}
    if kind in ("string", "blob") and not isinstance(value, str):
        value = orjson.dumps(value).decode()
    if kind == "blob":
        return value.encode()
    if kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def from_answer(model: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """The service's answer as the task's result."""
    return {} if model.output_shape is None else _out(model.output_shape, answer)


def _out(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = shape.members
        return {result_name(name): _out(members[name], member) for name, member in value.items() if name in members}
    if kind == "list" and isinstance(value, list):
        return [_out(shape.member, member) for member in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _out(shape.value, member) for name, member in value.items()}
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).isoformat(timespec='milliseconds')[:23]}Z"
    if isinstance(value, bytes | bytearray):
        return text_of(bytes(value))
    return value


def result_name(name: str) -> str:
    """A member's name in a result: `stateMachineArn` is StateMachineArn, `DBInstances` DbInstances."""
    return _CAPITALS.sub(lambda found: found[1] + found[2].lower(), name[:1].upper() + name[1:])


def text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode()
