"""Where reading starts: the five kinds of positions, and the iterators that carry one.

An iterator is signed and has no state here: stream, shard, entry and when it was given out; it lives five minutes.
Texts as recorded from AWS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

from gateway.call import Call
from gateway.kinesis_api.found import invalid
from hearth.errors import ApiError
from hearth.model.stream import FIRST, EntryId, SequenceNumber, Shard, Stream, shard_id

LIFE_MS = 300_000
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Iterator:
    """created_at_ms: of the stream, which may have a successor of the same name. entry: the first to be read."""

    account: str
    region: str
    name: str
    created_at_ms: int
    shard: int
    entry: EntryId
    issued_at_ms: int

    def token(self, secret: bytes) -> str:
        parts = (self.account, self.region, self.name, self.created_at_ms, self.shard, self.entry, self.issued_at_ms)
        text = "|".join(map(str, parts)).encode()
        return base64.b64encode(_mac(secret, text) + text).decode()

    @classmethod
    def read(cls, token: str, secret: bytes, now_ms: int) -> Iterator:
        """Raises InvalidArgumentException, ExpiredIteratorException."""
        try:
            data = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise invalid("Invalid ShardIterator.") from exc
        mac, text = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(secret, text)):
            raise invalid("Invalid ShardIterator.")
        account, region, name, created, shard, entry, issued = text.decode().split("|")
        iterator = cls(account, region, name, int(created), int(shard), EntryId.parse(entry), int(issued))
        if now_ms - iterator.issued_at_ms > LIFE_MS:
            raise ApiError(
                "ExpiredIteratorException",
                400,
                f"Iterator expired. The iterator was created at time {_date(iterator.issued_at_ms)} while right now it "
                f"is {_date(now_ms)} which is further in the future than the tolerated delay of {LIFE_MS} "
                "milliseconds.",
            )
        return iterator


def iterator_at(stream: Stream, shard: Shard, entry: EntryId, now_ms: int) -> Iterator:
    return Iterator(stream.account, stream.region, stream.name, stream.created_at_ms, shard.index, entry, now_ms)


async def entry_at(call: Call, stream: Stream, shard: Shard, given: dict[str, Any], now_ms: int) -> EntryId:
    """The first entry to be read for a position: {ShardIteratorType, StartingSequenceNumber, Timestamp}."""
    kind, number = given["ShardIteratorType"], given.get("StartingSequenceNumber")
    by_number = kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
    if by_number != (number is not None) and kind != "AT_TIMESTAMP":
        raise invalid(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
            f"TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and "
            f"{'no' if by_number else 'also a'} StartingSequenceNumber."
        )
    if number is not None and by_number:
        entry = _entry_of(number, stream, shard)
        return entry if kind == "AT_SEQUENCE_NUMBER" else entry.following()
    if kind == "LATEST":
        return (await call.backends.streams.last(stream, shard)).following()
    if kind == "AT_TIMESTAMP":
        return EntryId(_timestamp_ms(given.get("Timestamp"), now_ms), 0)
    return FIRST


def _entry_of(text: str, stream: Stream, shard: Shard) -> EntryId:
    try:
        number = SequenceNumber.parse(text)
    except ValueError as exc:
        raise invalid(
            f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream {stream.name} under "
            f"account {stream.account} is invalid."
        ) from exc
    if number.created_s < stream.created_at_ms // 1000:
        raise invalid(
            f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream {stream.name} under "
            f"account {stream.account} is invalid because it did not come from this stream."
        )
    if number.shard != shard.index:
        raise invalid(
            f"Invalid StartingSequenceNumber. It encodes {shard_id(number.shard)}, "
            f"while it was used in a call to a shard with {shard.id}"
        )
    return number.entry


def _timestamp_ms(timestamp: float | None, now_ms: int) -> int:
    if timestamp is None:
        raise invalid(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
            "Current request has no timestamp parameter."
        )
    at_ms = max(0, round(timestamp * 1000))
    if at_ms > now_ms:
        raise invalid(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
        )
    return at_ms


def _mac(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, b"shard iterator\0" + text, hashlib.sha256)[:_MAC_BYTES]


def _date(at_ms: int) -> str:
    """As Java prints it."""
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(at_ms / 1000))
