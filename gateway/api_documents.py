"""Documents of API Gateway's APIs as operations read and change them; both services' operations work on these.

A change is made by a function on the document, which is run anew if somebody else was faster.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import secrets
import string
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.call import Call
from hearth.broker.control import Change
from hearth.errors import ApiError, HearthError, Unavailable
from hearth.store.apis import ApiKind, ApiRecord

T = TypeVar("T")
_ALPHABET = string.ascii_lowercase + string.digits
API_ID_LENGTH = 10
PART_ID_LENGTH = 7
#: attempts at a change that others are faster than each time
_TRIES = 50


@dataclass(slots=True)
class Draft:
    """A document to be changed in place. snapshots: what deployments froze, by their ids; None: removed."""

    document: dict[str, Any]
    snapshots: dict[str, dict[str, Any] | None] = field(default_factory=dict)


def not_found(message: str) -> ApiError:
    return ApiError("NotFoundException", 404, message)


def bad_request(message: str) -> ApiError:
    return ApiError("BadRequestException", 400, message)


def conflict(message: str) -> ApiError:
    return ApiError("ConflictException", 409, message)


def new_id(length: int = PART_ID_LENGTH) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


async def read(call: Call, kind: ApiKind, api_id: str) -> ApiRecord:
    """The caller's API, from `state`. Raises NotFoundException."""
    record = await call.backends.apis.get(api_id)
    caller = call.caller
    if record is None or (record.kind, record.account, record.region) != (kind, caller.account, caller.region):
        raise not_found(f"Invalid API identifier specified {caller.account}:{api_id}")
    return record


async def create(call: Call, kind: ApiKind, draft_of: Callable[[str], Draft], *, wanted_id: str | None = None) -> Draft:
    """Store a new API. draft_of: from its id; wanted_id: one that the caller has chosen."""
    caller = call.caller
    while True:
        api_id = wanted_id or new_id(API_ID_LENGTH)
        draft = draft_of(api_id)
        record = ApiRecord(api_id, kind, caller.account, caller.region, draft.document)
        if await call.backends.apis.write(record, draft.snapshots):
            await _announce(call, record)
            return draft
        if wanted_id:
            raise conflict(f"An API with the id {wanted_id} exists already.")


async def change(call: Call, kind: ApiKind, api_id: str, edit: Callable[[Draft], T]) -> T:
    """Run `edit` on the API's document and store it; returns what `edit` did, which may run more than once."""
    for _ in range(_TRIES):
        record = await read(call, kind, api_id)
        draft = Draft(record.document)
        result = edit(draft)
        if await call.backends.apis.write(dataclasses.replace(record, document=draft.document), draft.snapshots):
            await _announce(call, record)
            return result
    raise ApiError("TooManyRequestsException", 429, "Too Many Requests")


async def delete(call: Call, kind: ApiKind, api_id: str) -> None:
    record = await read(call, kind, api_id)
    await call.backends.apis.delete(record)
    await _announce(call, record)


async def _announce(call: Call, record: ApiRecord) -> None:
    """Gateways that this does not reach find out by the epoch."""
    call.backends.doors.changed()
    change = Change("door", record.account, record.region, record.id, uuid.uuid4().hex)
    with contextlib.suppress(Unavailable):
        await call.backends.control.publish(change)


def page(items: Sequence[T], token: str | None, limit: int) -> tuple[list[T], str | None]:
    """`limit` items from where the last page ended, and the token of the next page."""
    start = _read_token(token)
    end = start + limit
    return list(items[start:end]), _token(str(end)) if end < len(items) else None


async def page_of_apis(call: Call, kind: ApiKind, token: str | None, limit: int) -> tuple[list[ApiRecord], str | None]:
    after = _decoded(token) if token else ""
    caller = call.caller
    records, more = await call.backends.apis.page(kind, caller.account, caller.region, after=after, limit=limit)
    return records, _token(records[-1].id) if more and records else None


def limit_of(given: Any, *, default: int, most: int) -> int:
    """MaxResults (text) or limit. Raises BadRequestException."""
    if given is None:
        return default
    try:
        return min(max(1, int(given)), most)
    except ValueError as exc:
        raise bad_request("Invalid limit specified") from exc


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError) as exc:
        raise _bad_token() from exc


def _read_token(token: str | None) -> int:
    if not token:
        return 0
    try:
        return max(0, int(_decoded(token)))
    except ValueError as exc:
        raise _bad_token() from exc


def _bad_token() -> HearthError:
    return bad_request("Invalid page token specified")
