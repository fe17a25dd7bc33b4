"""Iterators of tables' streams: signed positions without state here; they live fifteen minutes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from gateway.call import Call
from hearth.errors import ApiError, ValidationFailed
from hearth.model.change import ChangeStream, entry_of, horizon_ms
from hearth.model.stream import FIRST, EntryId

LIFE_MS = 15 * 60_000
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Iterator:
    """entry: the first to be read."""

    stream_arn: str
    entry: EntryId
    issued_at_ms: int

    def token(self, secret: bytes) -> str:
        """As AWS's: the stream's ARN, a bar, and what only the server reads."""
        text = f"{self.stream_arn}|{self.entry}|{self.issued_at_ms}".encode()
        return f"{self.stream_arn}|1|{base64.b64encode(_mac(secret, text) + text).decode()}"

    @classmethod
    def read(cls, token: str, secret: bytes, now_ms: int) -> Iterator:
        """Raises ValidationFailed, ExpiredIteratorException."""
        try:
            data = base64.b64decode(token.rpartition("|")[2], validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ValidationFailed("Invalid ShardIterator") from exc
        mac, text = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(secret, text)):
            raise ValidationFailed("Invalid ShardIterator")
        arn, entry, issued = text.decode().split("|")
        if not token.startswith(f"{arn}|"):  # policies go by what stands in front
            raise ValidationFailed("Invalid ShardIterator")
        if now_ms - int(issued) > LIFE_MS:
            raise ApiError("ExpiredIteratorException", 400, "The shard iterator has expired.")
        return cls(arn, EntryId.parse(entry), int(issued))


async def entry_at(call: Call, stream: ChangeStream, given: dict[str, Any], now_ms: int) -> EntryId:
    """The first entry to be read for a position: {ShardIteratorType, SequenceNumber, Timestamp}."""
    kind, number = given["ShardIteratorType"], given.get("SequenceNumber")
    if kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        if number is None:
            raise ValidationFailed(f"SequenceNumber must be specified for ShardIteratorType {kind}")
        entry = _entry_of(number)
        if entry.ms < horizon_ms(now_ms):
            raise trimmed()
        return entry if kind == "AT_SEQUENCE_NUMBER" else entry.following()
    if number is not None:
        raise ValidationFailed(f"SequenceNumber must not be specified for ShardIteratorType {kind}")
    if kind == "LATEST":
        last = (await call.backends.changes.last(stream)).following()
        # as much behind a stream's opening as any change of it
        return max(last, EntryId(stream.created_at_ms, 0))
    if kind == "AT_TIMESTAMP":
        if (timestamp := given.get("Timestamp")) is None:
            raise ValidationFailed("Timestamp must be specified for ShardIteratorType AT_TIMESTAMP")
        return EntryId(max(0, round(timestamp * 1000)), 0)
    return FIRST


def _entry_of(number: str) -> EntryId:
    try:
        return entry_of(number)
    except ValueError as exc:
        raise ValidationFailed("Invalid SequenceNumber") from exc


def trimmed() -> ApiError:
    return ApiError(
        "TrimmedDataAccessException", 400, "The operation attempted to read past the oldest stream record in a shard."
    )


def _mac(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, b"change iterator\0" + text, hashlib.sha256)[:_MAC_BYTES]
