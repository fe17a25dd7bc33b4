"""Event stream messages, read back by botocore."""

from __future__ import annotations

from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel, StructureShape

from gateway.protocols.event_stream import event_encoder
from gateway.protocols.shapes import Encoders


def shape() -> StructureShape:
    model = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
    return model.operation_model("InvokeWithResponseStream").get_event_stream_output()


def test_botocore_reads_raw_and_json_events() -> None:
    encode, buffer = event_encoder(shape(), Encoders()), EventStreamBuffer()
    buffer.add_data(encode("PayloadChunk", {"Payload": bytes(range(256))}))
    buffer.add_data(encode("InvokeComplete", {"ErrorCode": "Unhandled", "ErrorDetails": "ü"}))
    chunk, complete = [event.to_response_dict() for event in buffer]

    assert chunk["headers"] == {
        ":event-type": "PayloadChunk",
        ":message-type": "event",
        ":content-type": "application/octet-stream",
    }
    assert chunk["body"] == bytes(range(256))
    assert complete["headers"][":content-type"] == "application/json"
    assert complete["body"].decode() == '{"ErrorCode":"Unhandled","ErrorDetails":"ü"}'


def test_an_empty_event_has_an_empty_object() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_encoder(shape(), Encoders())("InvokeComplete", {}))
    assert [event.payload for event in buffer] == [b"{}"]
