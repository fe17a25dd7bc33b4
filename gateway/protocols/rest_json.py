"""REST-JSON 1: members in path, query string, headers and body; errors named in `x-amzn-ErrorType`.

Source: Smithy's aws.protocols#restJson1, and answers of AWS Lambda recorded from AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import orjson
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from gateway.http import Answer, Request, split_query
from gateway.protocols import event_stream
from gateway.protocols.shapes import (
    Decoders,
    Encoders,
    parse_json,
    scalar_from_text,
    text_from_scalar,
    wire_name,
)
from hearth.errors import HearthError

JSON = (b"content-type", b"application/json")
Parser = Callable[[Request, Sequence[str]], dict[str, Any]]
Serialiser = Callable[[dict[str, Any]], Answer]


class RestJson:
    """One service's codec."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._decoders = Decoders()
        self._encoders = Encoders()
        self._error_shapes = {shape.error_code or shape.name: shape for shape in model.error_shapes}

    def parser(self, operation: OperationModel, labels: Sequence[str]) -> Parser:
        """labels: names of the path's parameters in order; their values come percent-encoded with the request."""
        shape = operation.input_shape
        if shape is None:
            return lambda request, path_values: {}
        uri = {wire_name(name, member): name for name, member in shape.members.items() if _at(member) == "uri"}
        path_members = [(uri[label], scalar_from_text(shape.members[uri[label]])) for label in labels]
        headers = [
            (name, wire_name(name, member).lower(), scalar_from_text(member))
            for name, member in shape.members.items()
            if _at(member) == "header"
        ]
        queries = [
            (name, wire_name(name, member), _query_decoder(member))
            for name, member in shape.members.items()
            if _at(member) == "querystring" and not isinstance(member, MapShape)
        ]
        fixed = operation.http.get("requestUri", "").partition("?")[2]
        named = {wire for _, wire, _ in queries} | set(split_query(fixed))
        # the parameters that neither another member nor the URI itself names
        rest = next((name for name, one in shape.members.items() if _is_query_map(one)), None)
        body = self._body_parser(shape)

        def parse(request: Request, path_values: Sequence[str]) -> dict[str, Any]:
            value = body(request.body)
            for (name, decode), encoded in zip(path_members, path_values, strict=True):
                value[name] = decode(unquote(encoded) if "%" in encoded else encoded)
            given = request.headers
            for name, wire, decode in headers:
                if wire in given:
                    value[name] = decode(given[wire])
            if request.query:
                parameters = request.parameters
                for name, wire, decode_all in queries:
                    if wire in parameters:
                        value[name] = decode_all(parameters[wire])
                if rest is not None:
                    value[rest] = {name: values[0] for name, values in parameters.items() if name not in named}
            return value

        return parse

    def _body_parser(self, shape: StructureShape) -> Callable[[bytes], dict[str, Any]]:
        payload = shape.serialization.get("payload")
        if payload is None:
            members = [name for name, member in shape.members.items() if _at(member) is None]
            if not members:
                return lambda body: {}
            decode = self._decoders.structure(shape, members)
            return lambda body: decode(parse_json(body))
        if shape.members[payload].type_name in ("blob", "string"):
            return lambda body: {payload: body}
        inner = self._decoders.of(shape.members[payload])
        return lambda body: {payload: inner(parse_json(body))} if body else {}

    def serialiser(self, operation: OperationModel) -> Serialiser:
        """From a dict by member names; `StatusCode`-like members set the HTTP status."""
        default = operation.http.get("responseCode", 200)
        shape = operation.output_shape
        if shape is None:
            return lambda value: Answer(default, b"", [])
        headers = [
            (name, wire_name(name, member).lower().encode(), text_from_scalar(member))
            for name, member in shape.members.items()
            if _at(member) == "header"
        ]
        status = next((name for name, member in shape.members.items() if _at(member) == "statusCode"), None)
        payload = shape.serialization.get("payload")
        members = [name for name, member in shape.members.items() if _at(member) is None]
        encode = self._encoders.structure(shape, members)
        stream_encoder = None
        if operation.has_event_stream_output:
            stream_encoder = event_stream.event_encoder(operation.get_event_stream_output(), self._encoders)

        def serialise(value: dict[str, Any]) -> Answer:
            code = value.get(status, default) if status else default
            stream = None
            if stream_encoder is not None and payload in value:
                body, stream = b"", event_stream.EncodedStream(value[payload], stream_encoder)
            elif payload is not None:
                body = value.get(payload, b"")
            elif members and code != 204:
                body = orjson.dumps(encode(value))
            else:
                body = b""
            sent = [JSON] if body else []
            if stream is not None:
                sent.append((b"content-type", event_stream.CONTENT_TYPE))
            for name, wire, text in headers:
                if value.get(name) is not None:
                    sent.append((wire, text(value[name]).encode()))
            return Answer(code, body, sent, stream)

        return serialise

    def error(self, error: HearthError) -> Answer:
        """The message's spelling and the `Type` member are those of the model's error shape, if it has the code.

        An error with the member Type=None goes without: some of AWS's do.
        """
        shape = self._error_shapes.get(error.code)
        members = shape.members if shape is not None else {}
        spelling = next((name for name in ("message", "Message") if name in members), error.message_member)
        body: dict[str, Any] = {}
        headers = [JSON, (b"x-amzn-errortype", error.code.encode())]
        for name, value in error.members.items():
            member = members.get(name)
            if value is None:
                continue
            if member is not None and _at(member) == "header":
                headers.append((wire_name(name, member).lower().encode(), str(value).encode()))
            else:
                body[name] = value
        if "Type" in members and "Type" not in error.members:
            body["Type"] = error.fault
        # Recorded from AWS: an error without a text has a null message (access across accounts).
        body[spelling] = error.message or None
        return Answer(error.status, orjson.dumps(body), headers)


def _at(shape: Shape) -> str | None:
    return shape.serialization.get("location")


def _is_query_map(shape: Shape) -> bool:
    return _at(shape) == "querystring" and isinstance(shape, MapShape)


def _query_decoder(shape: Shape) -> Callable[[list[str]], Any]:
    if isinstance(shape, ListShape):
        item = scalar_from_text(shape.member)
        return lambda values: [item(value) for value in values]
    scalar = scalar_from_text(shape)
    return lambda values: scalar(values[0])
