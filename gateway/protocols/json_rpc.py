"""AWS JSON 1.0 and 1.1: POST /, the operation in X-Amz-Target, errors named by `__type`.

Source: Smithy's aws.protocols#awsJson1_0 and awsJson1_1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from botocore.model import OperationModel, ServiceModel

from gateway.http import Answer, Request
from gateway.protocols.shapes import Decoders, Encoders, Serialization, parse_json
from hearth.errors import HearthError


class JsonRpc:
    """One service's codec."""

    def __init__(self, model: ServiceModel) -> None:
        self._content_type = (b"content-type", f"application/x-amz-json-{model.metadata['jsonVersion']}".encode())
        self._decoders = Decoders()
        self._encoders = Encoders()
        self._error_shapes = {shape.error_code or shape.name: shape for shape in model.error_shapes}

    def parser(
        self, operation: OperationModel, labels: Sequence[str]
    ) -> Callable[[Request, Sequence[str]], dict[str, Any]]:
        if operation.input_shape is None:
            return lambda request, path_values: {}
        decode = self._decoders.structure(operation.input_shape)

        def parse(request: Request, path_values: Sequence[str]) -> dict[str, Any]:
            value = parse_json(request.body)
            if not isinstance(value, dict):
                raise Serialization("Start of structure or map found where not expected.")
            return decode(value)

        return parse

    def serialiser(self, operation: OperationModel) -> Callable[[dict[str, Any]], Answer]:
        headers = self._content_type
        if operation.output_shape is None:
            return lambda value: Answer(200, b"", [headers])
        encode = self._encoders.structure(operation.output_shape)
        return lambda value: Answer(200, orjson.dumps(encode(value)), [headers])

    def error(self, error: HearthError) -> Answer:
        """Client faults are 400 whatever the code: these services carry the difference in `__type` only."""
        shape = self._error_shapes.get(error.code)
        members = shape.members if shape is not None else {}
        spelling = "Message" if "Message" in members or error.code == "SerializationException" else "message"
        body = {"__type": error.code, spelling: error.message, **error.members}
        status = 500 if error.status == 500 else 503 if error.status > 500 else 400
        return Answer(status, orjson.dumps(body), [self._content_type])
