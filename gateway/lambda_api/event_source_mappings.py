"""Create, Get, List, Update, Delete of EventSourceMapping.

What is answered is what was asked for; pollers carry it out (`pollers/mappings.py`) and move the state on.
Source: Lambda API reference; order of checks, texts and states as recorded from AWS.
"""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from typing import Any

from gateway.call import Call
from gateway.lambda_api.mapping_access import check_access
from gateway.lambda_api.mapping_options import applied, check_destinations, check_position, shown, with_defaults
from gateway.lambda_api.mapping_sources import find_source
from gateway.lambda_api.names import function_ref
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.tags import checked as checked_tags
from hearth.arn import FunctionRef
from hearth.broker.control import Change
from hearth.clock import now_ms
from hearth.errors import ApiError, InvalidParameterValue, ResourceConflict, ResourceNotFound, ServiceError, Unavailable
from hearth.model.mapping import NO_RECORDS, PASSING, EventSourceMapping, MappingState, SourceKind, source_kind
from hearth.store.mappings import Duplicate

PAGE = 100
_TRIES = 20
#: above every weight: the version that an alias points to
_NO_DRAW = 1.0


async def create_event_source_mapping(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    check_position(given)
    kind = source_kind(given.get("EventSourceArn") or "")
    check_destinations(kind, given)
    if "SelfManagedEventSource" in given and not given.get("SourceAccessConfigurations"):
        raise InvalidParameterValue("Required 'sourceAccessConfigurations' parameter is missing.")
    if kind is None:
        raise InvalidParameterValue("Unrecognized event source.")
    ref, now, caller = function_ref(call, given), now_ms(), call.caller
    new = EventSourceMapping(
        uuid=str(uuid.uuid4()),
        account=caller.account,
        region=caller.region,
        kind=kind,
        source_arn=given["EventSourceArn"],
        function=ref.name,
        qualifier=ref.qualifier or "",
        created_at_ms=now,
        modified_at_ms=now,
    )
    new = applied(with_defaults(new), given)
    tags = checked_tags(given.get("Tags") or {})
    await _check_ends(call, new, ref)
    if not new.enabled and not kind.is_stream:
        # recorded: a queue's mapping has nothing to prepare
        new = dataclasses.replace(new, state=MappingState.DISABLED)
    stored = await call.backends.mappings.write(new)
    if isinstance(stored, Duplicate):
        raise _duplicate(new, stored.uuid)
    if stored is None:
        raise ServiceError("The mapping could not be stored; try again.")
    if tags:
        await call.backends.mappings.put_tags(stored, {}, tags)
    await _announce(call, stored)
    return shown(stored, NO_RECORDS)


async def get_event_source_mapping(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return await _shown(call, await _found(call, given["UUID"]))


async def list_event_source_mappings(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given) if given.get("FunctionName") else FunctionRef("")
    caller, mappings = call.caller, call.backends.mappings
    uuids = await mappings.find(
        caller.account,
        caller.region,
        source_arn=given.get("EventSourceArn") or "",
        function=ref.name,
        qualifier=ref.qualifier or "",
    )
    page, more = page_of(uuids, given, name=str, most=PAGE)
    found = await mappings.several(caller.account, caller.region, page)
    results = await mappings.results(found)
    return {"EventSourceMappings": [shown(one, result) for one, result in zip(found, results, strict=True)], **more}


async def update_event_source_mapping(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    for _ in range(_TRIES):
        old = await _changeable(call, given["UUID"], "update")
        check_destinations(old.kind, given)
        new = applied(old, given)
        if given.get("FunctionName"):
            ref = function_ref(call, given)
            new = dataclasses.replace(new, function=ref.name, qualifier=ref.qualifier or "")
            await _check_ends(call, new, ref)
        stored = await _replace(call, old, dataclasses.replace(new, state=_on_the_way(old, new)))
        if stored is not None:
            return await _shown(call, stored)
    raise _in_use("update")


async def delete_event_source_mapping(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    for _ in range(_TRIES):
        old = await _changeable(call, given["UUID"], "delete")
        stored = await _replace(call, old, dataclasses.replace(old, state=MappingState.DELETING))
        if stored is not None:
            return await _shown(call, stored)
    raise _in_use("delete")


# --- what they share ----------------------------------------------------------------------------------------------
def _on_the_way(old: EventSourceMapping, new: EventSourceMapping) -> MappingState:
    if old.enabled == new.enabled:
        return MappingState.UPDATING
    return MappingState.ENABLING if new.enabled else MappingState.DISABLING


async def _found(call: Call, mapping_uuid: str) -> EventSourceMapping:
    mapping = await call.backends.mappings.get(call.caller.account, call.caller.region, mapping_uuid)
    if mapping is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    return mapping


async def _changeable(call: Call, mapping_uuid: str, what: str) -> EventSourceMapping:
    mapping = await _found(call, mapping_uuid)
    if mapping.state in PASSING:
        raise _in_use(what)
    return mapping


async def _replace(call: Call, old: EventSourceMapping, new: EventSourceMapping) -> EventSourceMapping | None:
    """As it is stored then; None: somebody has changed it since."""
    stored = await call.backends.mappings.write(dataclasses.replace(new, modified_at_ms=now_ms()), read=old)
    if isinstance(stored, Duplicate):
        raise _duplicate(new, stored.uuid)
    if stored is not None:
        await _announce(call, stored)
    return stored


async def _announce(call: Call, mapping: EventSourceMapping) -> None:
    """Pollers look at once then; without it a moment later."""
    change = Change("mapping", mapping.account, mapping.region, mapping.uuid, uuid.uuid4().hex)
    with contextlib.suppress(Unavailable):
        await call.backends.control.publish(change)


async def _shown(call: Call, mapping: EventSourceMapping) -> dict[str, Any]:
    (result,) = await call.backends.mappings.results([mapping])
    return shown(mapping, result)


async def _check_ends(call: Call, mapping: EventSourceMapping, ref: FunctionRef) -> None:
    """Function and source are there, and the one may have the other's records. Raises InvalidParameterValue."""
    found = await call.backends.functions.resolve(
        call.caller.account, call.caller.region, ref.name, ref.qualifier, _NO_DRAW
    )
    if found is None:
        raise InvalidParameterValue("Function does not exist")
    version = found[1].version
    source = await find_source(call, mapping, timeout_s=version.timeout_s)
    await check_access(call, mapping, version.role, source)


def _duplicate(new: EventSourceMapping, other: str) -> ResourceConflict:
    advice = f"Please update or delete the existing mapping with UUID {other}"
    if new.kind.is_stream:
        return ResourceConflict(
            f'The event source arn (" {new.source_arn} ") and function (" {new.function} ") provided mapping already '
            f"exists. {advice}"
        )
    name = "SQS arn" if new.kind is SourceKind.SQS else "event source arn"
    return ResourceConflict(
        f'An event source mapping with {name} (" {new.source_arn} ") and function (" {new.function} ") already exists. '
        f"{advice}"
    )


def _in_use(what: str) -> ApiError:
    return ApiError("ResourceInUseException", 400, f"Cannot {what} the event source mapping because it is in use.")


OPERATIONS = {
    "CreateEventSourceMapping": create_event_source_mapping,
    "DeleteEventSourceMapping": delete_event_source_mapping,
    "GetEventSourceMapping": get_event_source_mapping,
    "ListEventSourceMappings": list_event_source_mappings,
    "UpdateEventSourceMapping": update_event_source_mapping,
}
