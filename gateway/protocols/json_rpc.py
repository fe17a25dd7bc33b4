"""AWS JSON 1.0 and 1.1: POST /, the operation in X-Amz-Target, errors named by `__type`; and the same in CBOR.

Source: Smithy's aws.protocols#awsJson1_0 and awsJson1_1. CBOR 1.1 is what AWS's Java SDK speaks with Kinesis unless it
is told otherwise; the same messages, with blobs as they are and times as tagged numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cbor2
import orjson
from botocore.model import OperationModel, ServiceModel

from gateway.http import Answer, Request
from gateway.protocols import event_stream
from gateway.protocols.shapes import CBOR_TIME, Decoders, Encoders, Serialization, parse_json
from hearth.errors import HearthError

CBOR = "application/x-amz-cbor-1.1"


def _of_dynamodb(code: str, known: bool) -> str:
    """Errors of its model in its own namespace, others in that of AWS's framework."""
    if known:
        return f"com.amazonaws.dynamodb.v20120810#{code}"
    return f"com.amazon.coral.{'validate' if code == 'ValidationException' else 'service'}#{code}"


#: by X-Amz-Target's prefix: (code, whether it is in the model) -> `__type`, where that is more than the code
_ERROR_NAMES: dict[str, Callable[[str, bool], str]] = {
    "DynamoDB_20120810": _of_dynamodb,
    "DynamoDBStreams_20120810": _of_dynamodb,
}


class JsonRpc:
    """One service's codec."""

    def __init__(self, model: ServiceModel) -> None:
        self._kind = f"application/x-amz-json-{model.metadata['jsonVersion']}"
        self._decoders = Decoders()
        self._encoders = Encoders()
        self._read: Callable[[bytes], Any] = parse_json
        self._write: Callable[[Any], bytes] = orjson.dumps
        self._names = _ERROR_NAMES.get(model.metadata["targetPrefix"], lambda code, known: code)
        self._error_shapes = {shape.error_code or shape.name: shape for shape in model.error_shapes}

    def parser(
        self, operation: OperationModel, labels: Sequence[str]
    ) -> Callable[[Request, Sequence[str]], dict[str, Any]]:
        if operation.input_shape is None:
            return lambda request, path_values: {}
        decode = self._decoders.structure(operation.input_shape)

        def parse(request: Request, path_values: Sequence[str]) -> dict[str, Any]:
            value = self._read(request.body)
            if not isinstance(value, dict):
                raise Serialization("Start of structure or map found where not expected.")
            return decode(value)

        return parse

    def serialiser(self, operation: OperationModel) -> Callable[[dict[str, Any]], Answer]:
        header, write = (b"content-type", self._kind.encode()), self._write
        if operation.output_shape is None:
            return lambda value: Answer(200, b"", [header])
        if operation.has_event_stream_output:
            return self._streaming(operation)
        encode = self._encoders.structure(operation.output_shape)
        return lambda value: Answer(200, write(encode(value)), [header])

    def _streaming(self, operation: OperationModel) -> Callable[[dict[str, Any]], Answer]:
        """What comes before the events is a message of its own."""
        streamed = operation.get_event_stream_output()
        shape = operation.output_shape
        name = next(name for name, member in shape.members.items() if member is streamed)
        first = self._encoders.structure(shape, [one for one in shape.members if one != name])
        encode = event_stream.event_encoder(streamed, self._encoders, self._kind, self._write)

        def serialise(value: dict[str, Any]) -> Answer:
            initial = event_stream.initial_response(self._kind, self._write(first(value)))
            stream = event_stream.EncodedStream(value[name], encode, initial)
            return Answer(200, b"", [(b"content-type", event_stream.CONTENT_TYPE)], stream)

        return serialise

    def error(self, error: HearthError) -> Answer:
        """Client faults are 400 whatever the code: these services carry the difference in `__type` only."""
        shape = self._error_shapes.get(error.code)
        members = shape.members if shape is not None else {}
        spelling = "Message" if "Message" in members or error.code == "SerializationException" else "message"
        kind = self._names(error.code, shape is not None)
        body = {"__type": kind, spelling: error.message, **error.members}
        status = 500 if error.status == 500 else 503 if error.status > 500 else 400
        return Answer(status, self._write(body), [(b"content-type", self._kind.encode())])


class CborRpc(JsonRpc):
    """The same service to clients that speak CBOR."""

    def __init__(self, model: ServiceModel) -> None:
        super().__init__(model)
        self._kind = CBOR
        self._decoders = Decoders(binary=True)
        self._encoders = Encoders(binary=True)
        self._read, self._write = _read_cbor, cbor2.dumps


def _read_cbor(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return cbor2.loads(body, semantic_decoders={CBOR_TIME: lambda number, _: number})
    except (cbor2.CBORDecodeError, ValueError) as exc:
        raise Serialization(f"Could not parse request body as CBOR: {exc}") from exc
