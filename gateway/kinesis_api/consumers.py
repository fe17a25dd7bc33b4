"""Consumers with a throughput of their own (enhanced fan-out), and the tags of streams and consumers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from gateway.call import Call
from gateway.kinesis_api.found import change, consumer_of, in_use, invalid, is_consumer_arn, stream_of
from gateway.kinesis_api.streams import checked_tags
from hearth.clock import now_ms
from hearth.errors import ApiError
from hearth.model.stream import Consumer, Stream

MAX_CONSUMERS = 20
_TAGS_AT_ONCE = 50
_CONSUMERS_AT_ONCE = 100

Tags = dict[str, str]


async def register_stream_consumer(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    consumer = Consumer(given["ConsumerName"], now_ms(), checked_tags(given.get("Tags", {})))

    def registered(stream: Stream) -> Stream:
        if consumer.name in stream.consumers:
            raise in_use(
                f"Consumer {consumer.name} under stream {stream.name} already exists for account {stream.account}."
            )
        if len(stream.consumers) >= MAX_CONSUMERS:
            raise ApiError(
                "LimitExceededException",
                400,
                f"Stream {stream.name} has {MAX_CONSUMERS} consumers, the most it may have.",
            )
        return dataclasses.replace(stream, consumers={**stream.consumers, consumer.name: consumer})

    stream = await change(call, given, registered)
    return {"Consumer": {**_shown(stream, consumer), "ConsumerStatus": "CREATING"}}


async def deregister_stream_consumer(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    read, consumer = await consumer_of(call, given)

    def removed(stream: Stream) -> Stream:
        left = {name: one for name, one in stream.consumers.items() if name != consumer.name}
        return dataclasses.replace(stream, consumers=left)

    await change(call, {"StreamARN": read.stream.arn}, removed)
    return {}


async def describe_stream_consumer(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    read, consumer = await consumer_of(call, given)
    return {"ConsumerDescription": {**_shown(read.stream, consumer), "StreamARN": read.stream.arn}}


async def list_stream_consumers(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    stream = (await stream_of(call, given)).stream
    after, limit = given.get("NextToken", ""), given.get("MaxResults", _CONSUMERS_AT_ONCE)
    names = sorted(name for name in stream.consumers if name > after)
    answer: dict[str, Any] = {"Consumers": [_shown(stream, stream.consumers[name]) for name in names[:limit]]}
    return {**answer, "NextToken": names[limit - 1]} if len(names) > limit else answer


def _shown(stream: Stream, consumer: Consumer) -> dict[str, Any]:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": stream.consumer_arn(consumer),
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": consumer.created_at_ms / 1000,
    }


# --- tags -----------------------------------------------------------------------------------------------------
async def add_tags_to_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await _tag_stream(call, given, lambda tags: tags | given["Tags"])
    return {}


async def remove_tags_from_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await _tag_stream(call, given, _without(given["TagKeys"]))
    return {}


async def list_tags_for_stream(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    tags = (await stream_of(call, given)).stream.tags
    after, limit = given.get("ExclusiveStartTagKey", ""), given.get("Limit", _TAGS_AT_ONCE)
    names = sorted(name for name in tags if name > after)
    return {"Tags": _listed({name: tags[name] for name in names[:limit]}), "HasMoreTags": len(names) > limit}


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await _tag(call, given["ResourceARN"], lambda tags: tags | given["Tags"])
    return {}


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    await _tag(call, given["ResourceARN"], _without(given["TagKeys"]))
    return {}


async def list_tags_for_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = given["ResourceARN"]
    if is_consumer_arn(arn):
        return {"Tags": _listed((await consumer_of(call, {"ConsumerARN": arn}))[1].tags)}
    return {"Tags": _listed((await stream_of(call, {"StreamARN": arn})).stream.tags)}


async def _tag(call: Call, arn: str, how: Callable[[Tags], Tags]) -> None:
    if not is_consumer_arn(arn):
        return await _tag_stream(call, {"StreamARN": arn}, how)
    read, consumer = await consumer_of(call, {"ConsumerARN": arn})

    def tagged(stream: Stream) -> Stream:
        known = stream.consumers.get(consumer.name)
        if known is None:
            raise invalid(f"Consumer {consumer.name} was deregistered meanwhile.")
        changed = dataclasses.replace(known, tags=checked_tags(how(known.tags)))
        return dataclasses.replace(stream, consumers={**stream.consumers, known.name: changed})

    await change(call, {"StreamARN": read.stream.arn}, tagged)
    return None


async def _tag_stream(call: Call, given: dict[str, Any], how: Callable[[Tags], Tags]) -> None:
    await change(call, given, lambda stream: dataclasses.replace(stream, tags=checked_tags(how(stream.tags))))


def _without(names: list[str]) -> Callable[[Tags], Tags]:
    return lambda tags: {name: value for name, value in tags.items() if name not in names}


def _listed(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
