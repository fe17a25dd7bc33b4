"""Tags of event source mappings, by the mapping's ARN."""

from __future__ import annotations

from collections.abc import Callable

from gateway.call import Call
from hearth.errors import ResourceNotFound
from hearth.model.mapping import EventSourceMapping


def is_mapping(arn: str) -> bool:
    return ":event-source-mapping:" in arn


async def tags_of(call: Call, arn: str) -> dict[str, str]:
    """Raises ResourceNotFound."""
    return await call.backends.mappings.tags(await _found(call, arn))


async def change_tags(call: Call, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Raises ResourceNotFound and what `change` raises."""
    while True:
        mapping = await _found(call, arn)
        old = await call.backends.mappings.tags(mapping)
        new = change(old)
        if new == old or await call.backends.mappings.put_tags(mapping, old, new):
            return


async def _found(call: Call, arn: str) -> EventSourceMapping:
    mapping = await call.backends.mappings.get(call.caller.account, call.caller.region, arn.rpartition(":")[2])
    if mapping is None or mapping.arn != arn:
        raise ResourceNotFound(f"Event source mapping not found: {arn}")
    return mapping
