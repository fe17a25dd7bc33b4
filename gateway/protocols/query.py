"""AWS Query: an HTML form with `Action`, answered in XML.

Source: Smithy's aws.protocols#awsQuery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from gateway.http import Answer, Request, split_query
from gateway.protocols.shapes import scalar_from_text, text_from_scalar, timestamp_text, wire_name
from hearth.errors import HearthError

#: replaced by the request's id where the answer is sent: XML bodies carry it too
REQUEST_ID = b"{{request-id}}"
_XML = (b"content-type", b"text/xml")

#: Query services name a few errors of the common set otherwise than JSON services do.
CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
    "UnknownOperationException": "InvalidAction",
    "ValidationException": "ValidationError",
    "ServiceException": "InternalFailure",
    "SerializationException": "MalformedInput",
}


class Query:
    """One service's codec."""

    def __init__(self, model: ServiceModel) -> None:
        self._namespace = model.metadata["xmlNamespace"]

    def parser(
        self, operation: OperationModel, labels: Sequence[str]
    ) -> Callable[[Request, Sequence[str]], dict[str, Any]]:
        shape = operation.input_shape

        def parse(request: Request, path_values: Sequence[str]) -> dict[str, Any]:
            return _decode_structure(shape, form_of(request), "") if shape is not None else {}

        return parse

    def serialiser(self, operation: OperationModel) -> Callable[[dict[str, Any]], Answer]:
        shape, name = operation.output_shape, operation.name
        wrapper = shape.serialization.get("resultWrapper", f"{name}Result") if shape is not None else None

        def serialise(value: dict[str, Any]) -> Answer:
            result = ""
            if shape is not None:
                result = f"<{wrapper}>{_structure_xml(shape, value)}</{wrapper}>"
            body = (
                f'<{name}Response xmlns="{self._namespace}">{result}<ResponseMetadata><RequestId>'
                f"{REQUEST_ID.decode()}</RequestId></ResponseMetadata></{name}Response>"
            )
            return Answer(200, body.encode(), [_XML])

        return serialise

    def error(self, error: HearthError) -> Answer:
        kind = "Sender" if error.status < 500 else "Receiver"
        status = 400 if error.code in ("UnknownOperationException", "IncompleteSignatureException") else error.status
        body = (
            f'<ErrorResponse xmlns="{self._namespace}"><Error><Type>{kind}</Type>'
            f"<Code>{escape(CODES.get(error.code, error.code))}</Code><Message>{escape(error.message or '')}</Message>"
            f"</Error><RequestId>{REQUEST_ID.decode()}</RequestId></ErrorResponse>"
        )
        return Answer(status, body.encode(), [_XML])


def form_of(request: Request) -> dict[str, str]:
    """The form of a POST, or the query string of a GET; the first value of each name."""
    text = request.body.decode("utf-8", "replace") if request.body else request.query
    return {name: values[0] for name, values in split_query(text, plus_is_space=True).items()}


def _decode_structure(shape: StructureShape, form: dict[str, str], prefix: str) -> dict[str, Any]:
    value = {}
    for name, member in shape.members.items():
        decoded = _decode(member, form, prefix + wire_name(name, member))
        if decoded is not None:
            value[name] = decoded
    return value


def _decode(shape: Shape, form: dict[str, str], path: str) -> Any:
    below = f"{path}."
    if isinstance(shape, (StructureShape, ListShape, MapShape)) and not any(key.startswith(below) for key in form):
        return None
    if isinstance(shape, StructureShape):
        return _decode_structure(shape, form, below)
    if isinstance(shape, ListShape):
        stem = path if shape.serialization.get("flattened") else f"{path}.{wire_name('member', shape.member)}"
        return _numbered(form, stem, lambda at: _decode(shape.member, form, at))
    if isinstance(shape, MapShape):
        stem = path if shape.serialization.get("flattened") else f"{path}.entry"
        key, entry = wire_name("key", shape.key), wire_name("value", shape.value)
        pairs = _numbered(
            form, stem, lambda at: (form.get(f"{at}.{key}", ""), _decode(shape.value, form, f"{at}.{entry}"))
        )
        return dict(pairs)
    return scalar_from_text(shape)(form[path]) if path in form else None


def _numbered(form: dict[str, str], stem: str, decode: Callable[[str], Any]) -> list[Any]:
    items: list[Any] = []
    while any(key == at or key.startswith(f"{at}.") for key in form for at in [f"{stem}.{len(items) + 1}"]):
        items.append(decode(f"{stem}.{len(items) + 1}"))
    return items


def _structure_xml(shape: StructureShape, value: dict[str, Any]) -> str:
    return "".join(
        _element_xml(member, wire_name(name, member), value[name])
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _element_xml(shape: Shape, name: str, value: Any) -> str:
    if isinstance(shape, StructureShape):
        inner = _structure_xml(shape, value)
    elif isinstance(shape, ListShape):
        flat = shape.serialization.get("flattened")
        item = name if flat else wire_name("member", shape.member)
        inner = "".join(_element_xml(shape.member, item, one) for one in value)
        if flat:
            return inner
    elif isinstance(shape, MapShape):
        key, entry = wire_name("key", shape.key), wire_name("value", shape.value)
        inner = "".join(
            f"<entry>{_element_xml(shape.key, key, one)}{_element_xml(shape.value, entry, value[one])}</entry>"
            for one in value
        )
    elif shape.type_name == "timestamp":
        inner = timestamp_text(value, shape.serialization.get("timestampFormat", "iso8601"))
    else:
        inner = escape(text_from_scalar(shape)(value))
    return f"<{name}>{inner}</{name}>"
