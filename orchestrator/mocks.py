"""Mocked results of TestState, held against what the service would answer (mock.fieldValidationMode).

STRICT: every member that the API's model requires is there, and what is there is as the model says. PRESENT: only what
is there is looked at. NONE: nothing. Members that the model does not know are let through.
Source: Step Functions API Reference, MockInput; messages as recorded from AWS.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.model import Shape

from hearth.asl.definition import Pattern, Resource, ResourceKind
from hearth.asl.scope import Json
from hearth.errors import ApiError

#: names of services in a Resource that botocore calls otherwise
_SERVICES = {"states": "stepfunctions", "sfn": "stepfunctions", "cloudwatchlogs": "logs", "elasticmapreduce": "emr"}
_NUMBERS = frozenset({"integer", "long", "float", "double"})
_ARTICLES = {"array": "an array", "number": "a number", "string": "a string", "boolean": "a boolean"}


def check_mock(resource: Resource, result: Json, mode: str) -> None:
    """Raises ApiError: ValidationException."""
    # what comes back through a token is the caller's own, a job's description has no fixed shape
    if mode == "NONE" or resource.pattern is not Pattern.REQUEST_RESPONSE:
        return
    if resource.kind not in (ResourceKind.SERVICE, ResourceKind.AWS_SDK):
        return
    shape = _output_shape(_SERVICES.get(resource.service, resource.service), resource.action)
    if shape is not None:
        _check(shape, result, "", required=mode == "STRICT")


@lru_cache(maxsize=256)
def _output_shape(service: str, action: str) -> Shape | None:
    try:
        model = botocore.session.Session().get_service_model(service)
    except (DataNotFoundError, UnknownServiceError):
        return None
    for name in model.operation_names:
        if xform_name(name) == xform_name(action) or name.lower() == action.lower():
            shape: Shape | None = model.operation_model(name).output_shape
            return shape
    return None


def _check(shape: Shape, value: Json, field: str, *, required: bool) -> None:
    kind = shape.type_name
    if kind == "structure":
        _check_structure(shape, value, field, required=required)
    elif kind == "list":
        _expect(isinstance(value, list), field, "array")
        for item in value:
            _check(shape.member, item, field, required=required)
    elif kind == "map":
        _expect(isinstance(value, dict), field, "object")
        for item in value.values():
            _check(shape.value, item, field, required=required)
    elif kind in _NUMBERS:
        _expect(isinstance(value, (int, float)) and not isinstance(value, bool), field, "number")
        _check_range(shape, value, field)
    elif kind == "boolean":
        _expect(isinstance(value, bool), field, "boolean")
    else:  # timestamps and blobs are written as strings
        _expect(isinstance(value, str), field, "string")
        _check_string(shape, value, field)


def _check_structure(shape: Any, value: Json, field: str, *, required: bool) -> None:
    _expect(isinstance(value, dict), field, "object")
    members = {name[0].upper() + name[1:]: member for name, member in shape.members.items()}
    if required:
        for name in shape.required_members:
            shown = name[0].upper() + name[1:]
            if shown not in value:
                raise _refused(f"Required field '{shown}' is missing")
    for name, item in value.items():
        if name in members:
            _check(members[name], item, name, required=required)


def _check_range(shape: Shape, value: float, field: str) -> None:
    if "min" in shape.metadata and value < shape.metadata["min"]:
        raise _refused(f"Field '{field}' is less than the minimum value")
    if "max" in shape.metadata and value > shape.metadata["max"]:
        raise _refused(f"Field '{field}' exceeds the maximum value")


def _check_string(shape: Any, value: str, field: str) -> None:
    if getattr(shape, "enum", None) and value not in shape.enum:
        raise _refused(f"Field '{field}' is not an expected value")
    if len(value) < shape.metadata.get("min", 0):
        raise _refused(f"Field '{field}' is smaller than the minimum length")
    if len(value) > shape.metadata.get("max", len(value)):
        raise _refused(f"Field '{field}' exceeds the maximum length")


def _expect(holds: bool, field: str, kind: str) -> None:
    if not holds:
        raise _refused(f"Field '{field}' must be {_ARTICLES.get(kind, 'an object')}")


def _refused(problem: str) -> ApiError:
    return ApiError("ValidationException", 400, f"Mock result schema validation error: {problem}")
