"""The stream, shard and consumer that a call names, and AWS's errors when there is none.

Texts as recorded from AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateway.call import Call
from hearth.errors import ApiError
from hearth.model.stream import Consumer, Shard, Stream
from hearth.store.streams import Read

_STREAM_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):stream/([A-Za-z0-9_.-]+)")
_CONSUMER_ARN = re.compile(_STREAM_ARN.pattern + r"/consumer/([A-Za-z0-9_.-]+):(\d+)")
_TRIES = 10


def place_of(call: Call, given: dict[str, Any]) -> tuple[str, str, str]:
    """(account, region, name), by StreamARN or StreamName."""
    arn, name = given.get("StreamARN"), given.get("StreamName")
    if arn is not None:
        match = _STREAM_ARN.fullmatch(arn)
        if match is None:
            raise invalid(f"StreamARN {arn} is invalid.")
        if name is not None and name != match[3]:
            raise invalid(f"StreamName {name} and StreamARN {arn} do not match.")
        return match[2], match[1], match[3]
    if name is None:
        raise invalid("Either StreamName or StreamARN must be specified.")
    return call.caller.account, call.caller.region, name


async def stream_of(call: Call, given: dict[str, Any]) -> Read:
    """Raises ResourceNotFoundException."""
    account, region, name = place_of(call, given)
    read = await call.backends.streams.get(account, region, name)
    if read is None:
        raise no_stream(account, name)
    return read


async def change(call: Call, given: dict[str, Any], how: Callable[[Stream], Stream]) -> Stream:
    """Replace the stream by what `how` makes of it, however many others change it too; the new one."""
    for _ in range(_TRIES):
        read = await stream_of(call, given)
        changed = how(read.stream)
        if await call.backends.streams.write(changed, read=read):
            return changed
    raise ApiError("ResourceInUseException", 400, "The stream is being changed by others. Try again.")


def shard_to_change(stream: Stream, text: str) -> Shard:
    shard = stream.shard(text)
    if shard is None:
        name, account = stream.name, stream.account
        raise not_found(f"Could not find shard {text} in stream {name} under account {account}.")
    return shard


def shard_to_read(stream: Stream, text: str) -> Shard:
    shard = stream.shard(text)
    if shard is None:
        raise not_found(f"Shard {text} in stream {stream.name} under account {stream.account} does not exist")
    return shard


async def consumer_of(call: Call, given: dict[str, Any]) -> tuple[Read, Consumer]:
    """By ConsumerARN, or by StreamARN and ConsumerName."""
    arn = given.get("ConsumerARN")
    if arn is None:
        if "StreamARN" not in given or "ConsumerName" not in given:
            raise invalid("Either ConsumerARN or both StreamARN and ConsumerName must be specified.")
        read = await stream_of(call, given)
        consumer = read.stream.consumers.get(given["ConsumerName"])
        if consumer is None:
            raise no_consumer(read.stream, given["ConsumerName"])
        return read, consumer
    match = _CONSUMER_ARN.fullmatch(arn)
    if match is None:
        raise invalid(f"ConsumerARN {arn} is invalid.")
    read = await stream_of(call, {"StreamARN": arn.partition("/consumer/")[0]})
    consumer = read.stream.consumers.get(match[4])
    if consumer is None or read.stream.consumer_arn(consumer) != arn:
        raise no_consumer(read.stream, match[4])
    return read, consumer


def is_consumer_arn(text: str) -> bool:
    return _CONSUMER_ARN.fullmatch(text) is not None


def no_stream(account: str, name: str) -> ApiError:
    return not_found(f"Stream {name} under account {account} not found.")


def no_consumer(stream: Stream, name: str) -> ApiError:
    return not_found(f"Consumer {name} of stream {stream.name} under account {stream.account} not found.")


def not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", 400, message)


def invalid(message: str) -> ApiError:
    return ApiError("InvalidArgumentException", 400, message)


def in_use(message: str) -> ApiError:
    return ApiError("ResourceInUseException", 400, message)
