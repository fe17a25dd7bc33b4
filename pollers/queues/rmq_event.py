"""Messages of RabbitMQ as a function sees them, in the form of Amazon MQ's event. Pure.

Source: Lambda Developer Guide, "Using Lambda with Amazon MQ", RabbitMQ record event.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from pika import BasicProperties

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def envelope(broker_arn: str, queue: str, vhost: str) -> tuple[bytes, bytes]:
    """What the event has before and after the records of a queue."""
    whole = orjson.dumps(
        {"eventSource": "aws:rmq", "eventSourceArn": broker_arn, "rmqMessagesByQueue": {f"{queue}::{vhost}": []}}
    )
    return whole.removesuffix(b"]}}"), b"]}}"


def rmq_record(properties: BasicProperties, body: bytes, *, redelivered: bool) -> dict[str, Any]:
    return {
        "basicProperties": {
            "contentType": properties.content_type,
            "contentEncoding": properties.content_encoding,
            "headers": {name: _value(value) for name, value in (properties.headers or {}).items()},
            "deliveryMode": properties.delivery_mode,
            "priority": properties.priority,
            "correlationId": properties.correlation_id,
            "replyTo": properties.reply_to,
            "expiration": properties.expiration,
            "messageId": properties.message_id,
            "timestamp": _time(properties.timestamp),
            "type": properties.type,
            "userId": properties.user_id,
            "appId": properties.app_id,
            "clusterId": properties.cluster_id,
            "bodySize": len(body),
        },
        "redelivered": redelivered,
        "data": base64.b64encode(body).decode(),
    }


def encoded(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS)


def _value(value: Any) -> Any:
    """A header's: texts as their bytes, which AMQP leaves without a character set."""
    match value:
        case str():
            return {"bytes": list(value.encode())}
        case bytes() | bytearray():
            return {"bytes": list(value)}
        case Mapping():
            return {name: _value(one) for name, one in value.items()}
        case list():
            return [_value(one) for one in value]
        case Decimal():
            return float(value)
        case datetime():
            return _text_of(value)
        case _:
            return value


def _time(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else _text_of(datetime.fromtimestamp(epoch_s, UTC))


def _text_of(moment: datetime) -> str:
    """As in `Jan 1, 1970, 12:33:41 AM`, whatever the process's language."""
    hour = moment.hour % 12 or 12
    half = "AM" if moment.hour < 12 else "PM"
    return f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year}, {hour}:{moment:%M:%S} {half}"
