"""Whether a function's execution role, and a source of another account, let the function have the source's records.

Judged when the mapping is made and when it gets another function, as on AWS; the role's part by pollers later, too.
"""

from __future__ import annotations

from gateway.call import Call
from gateway.lambda_api.mapping_sources import Source
from hearth.errors import InvalidParameterValue
from hearth.mapping_access import refusal, role_of
from hearth.model.mapping import EventSourceMapping
from hearth.policies import ALLOW_ALL, Document
from hearth.store.identities import IdentityTable


async def check_access(call: Call, mapping: EventSourceMapping, role: str, source: Source) -> None:
    """role: ARN of the function's. Raises InvalidParameterValue, Unavailable."""
    told = refusal(
        mapping,
        role,
        await _documents(call, *role_of(role)),
        source_policy=source.policy,
        same_account=source.judged_elsewhere or mapping.source_account == role_of(role)[0],
    )
    if told:
        raise InvalidParameterValue(told)


async def _documents(call: Call, account: str, name: str) -> tuple[Document, ...]:
    """As they are now: what is kept at hand may be a moment old."""
    role = await IdentityTable(call.backends.stores.state).role(account, name)
    if role is not None:
        return role.documents
    return (ALLOW_ALL,) if call.backends.settings.permissive else ()
