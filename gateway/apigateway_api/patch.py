"""Patch operations of API Gateway: JSON-pointer-like paths into a resource, guided by the resource's shape. Pure.

Values come as text; the shape says what they are. Source: API Gateway REST API reference, PatchOperation.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import botocore.loaders
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from gateway.api_documents import bad_request, not_found


@functools.cache
def _model() -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model("apigateway", "service-2"), "apigateway")


def patch(
    resource: dict[str, Any], shape: str, operations: Collection[dict[str, Any]], *, fixed: Collection[str] = ()
) -> None:
    """Change `resource`, of the model's shape of that name, in place. fixed: members that can't be patched.

    Raises BadRequestException, NotFoundException.
    """
    for operation in operations:
        kind, path, value = operation.get("op"), operation.get("path", ""), operation.get("value")
        if kind not in ("add", "remove", "replace"):
            raise bad_request("Invalid patch operation specified. Must be one of: [add, remove, replace]")
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
        if not parts or parts[0] in fixed:
            raise bad_request(f"Invalid patch path {path}")
        _apply(resource, _model().shape_for(shape), parts, str(kind), value, path)


def _apply(holder: Any, shape: Shape, parts: list[str], kind: str, value: str | None, path: str) -> None:
    name, rest = parts[0], parts[1:]
    if isinstance(shape, StructureShape):
        inner = shape.members.get(name)
        if inner is None:
            raise bad_request(f"Invalid patch path {path}")
    elif isinstance(shape, MapShape):
        inner = shape.value
    elif isinstance(shape, ListShape):
        _apply_to_list(holder, shape, parts, kind, value)
        return
    else:
        raise bad_request(f"Invalid patch path {path}")
    if isinstance(inner, ListShape):
        _apply_to_list(holder.setdefault(name, []), inner, rest, kind, value)
        if not holder[name]:
            del holder[name]
    elif rest:
        _apply(holder.setdefault(name, {}), inner, rest, kind, value, path)
        if not holder[name] and isinstance(shape, StructureShape):
            del holder[name]
    elif kind == "remove":
        if name not in holder:
            raise not_found("Invalid parameter name specified")
        del holder[name]
    else:
        holder[name] = _value(inner, value, path)


def _apply_to_list(items: list[Any], shape: ListShape, parts: list[str], kind: str, value: str | None) -> None:
    """An item is named by itself, as in /binaryMediaTypes/image~1png, or by its number or as the value."""
    named = parts[0] if parts else value
    if kind == "replace" and parts and parts[0].isdecimal():
        items[int(parts[0]) : int(parts[0]) + 1] = [value]
    elif kind == "replace" and not parts:
        items[:] = [one.strip() for one in (value or "").split(",") if one.strip()]
    elif kind == "replace":
        items[:] = [value if one == parts[0] else one for one in items]
    elif kind == "remove":
        items[:] = [one for index, one in enumerate(items) if one != named and str(index) != named]
    elif named is not None and named not in items:
        items.append(named if parts and not parts[0].isdecimal() and parts[0] != "-" else value)


def _value(shape: Shape, value: str | None, path: str) -> Any:
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    if shape.type_name in ("integer", "long", "float", "double"):
        try:
            return int(value or "") if shape.type_name in ("integer", "long") else float(value or "")
        except ValueError as exc:
            raise bad_request(f"Invalid value for {path}: {value}") from exc
    if isinstance(shape, (StructureShape, MapShape)):
        raise bad_request(f"Invalid patch path {path}")
    return value
