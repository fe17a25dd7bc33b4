"""PublishVersion, ListVersionsByFunction, and the deletion of one version; how a version is made of `$LATEST`.

A published version is never changed. It has a key, and so a queue and sandboxes, of its own, for as long as it is
there. Source: Lambda API reference, PublishVersion; answers as recorded from AWS.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid
from typing import Any

from gateway.call import Call
from gateway.lambda_api import configuration
from gateway.lambda_api.account import check_storage
from gateway.lambda_api.names import find_function, function_ref, not_found
from gateway.lambda_api.paging import page_of
from hearth.arn import LATEST, FunctionRef
from hearth.credentials import EnvironmentCipher
from hearth.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict
from hearth.model.function import FunctionVersion
from hearth.store.functions import FunctionRecord

PAGE = 50
_WRONG_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
    "the latest Revision Id"
)


async def publish_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    backends, ref = call.backends, function_ref(call, given)
    configuration.check({name: given[name] for name in ("PublishTo",) if name in given})
    old = await backends.settler.healed((await find_function(call, ref)).latest)
    refuse_conflicts(old, given)
    sha256 = base64.b64encode(bytes.fromhex(old.version.code_sha256)).decode()
    if given.get("CodeSha256") not in (None, "", sha256):
        raise InvalidParameterValue(
            f"CodeSHA256 ({given['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({sha256}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    last = await last_published(call, old)
    if last is not None and same(last, old, backends.cipher):
        return configuration.answer(last, backends.cipher, qualifier=last.number)
    await check_storage(call, old.code_bytes)
    published = await next_of(call, old, description=given.get("Description"))
    # As on AWS, publishing gives $LATEST a new revision too.
    new = dataclasses.replace(old, revision_id=new_revision())
    if not await backends.functions.publish(old, new, published):
        raise in_progress(old)
    return configuration.answer(published, backends.cipher, qualifier=published.number)


async def list_versions_by_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    latest = (await find_function(call, ref)).latest
    where = (call.caller.account, call.caller.region, ref.name)
    numbers = [LATEST, *map(str, await call.backends.functions.numbers(*where))]
    shown, more = page_of(numbers, given, name=str, most=PAGE)
    records = [latest] if LATEST in shown else []
    records += await call.backends.functions.versions(*where, [int(number) for number in shown if number != LATEST])
    return {"Versions": [_listed(call, record) for record in records], **more}


async def listed(call: Call, name: str) -> list[dict[str, Any]]:
    """Every published version of a function, as lists show them."""
    where, functions = (call.caller.account, call.caller.region, name), call.backends.functions
    return [_listed(call, record) for record in await functions.versions(*where, await functions.numbers(*where))]


async def delete_version(call: Call, ref: FunctionRef) -> dict[str, Any]:
    """DeleteFunction with a qualifier: a version's number. One that isn't there is no error."""
    backends, caller = call.backends, call.caller
    number = str(ref.qualifier)
    if number == LATEST:
        raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
    if not number.isdecimal() and "$" not in number:
        raise InvalidParameterValue("Deletion of aliases is not currently supported.")
    await find_function(call, ref)
    record = await backends.functions.get(caller.account, caller.region, ref.name, number)
    if record is not None:
        if aliases := await backends.functions.delete_version(record):
            raise ResourceConflict(
                f"Unable to delete version because the following aliases reference it: [{', '.join(sorted(aliases))}]"
            )
        await backends.settler.spread(record.version, retired_keys=[record.version.key])
    return {"StatusCode": 204}


async def find_version(call: Call, ref: FunctionRef, number: str) -> FunctionRecord:
    """`$LATEST` or a published version. Raises ResourceNotFound."""
    record = await call.backends.functions.get(call.caller.account, call.caller.region, ref.name, number)
    if record is None:
        raise not_found(call, ref.name, number)
    return record


async def last_published(call: Call, latest: FunctionRecord) -> FunctionRecord | None:
    """The version with the last number that was given, if it is still there."""
    version = latest.version
    where = (version.account, version.region, version.name)
    last = await call.backends.functions.last_number(*where)
    return await call.backends.functions.get(*where, str(last)) if last else None


async def next_of(call: Call, latest: FunctionRecord, *, description: str | None = None) -> FunctionRecord:
    """A version of `latest` with the next number; not stored yet."""
    version = latest.version
    last = await call.backends.functions.last_number(version.account, version.region, version.name)
    return published_of(latest, last + 1, description=description)


def published_of(latest: FunctionRecord, number: int, *, description: str | None = None) -> FunctionRecord:
    """A version that runs what `latest` runs, under its own key; in `latest`'s state."""
    return dataclasses.replace(
        latest,
        version=dataclasses.replace(latest.version, key=new_key(), version=str(number)),
        revision_id=new_revision(),
        description=latest.description if description is None else description,
        source_description=latest.description,
        tags={},
    )


def same(published: FunctionRecord, latest: FunctionRecord, cipher: EnvironmentCipher) -> bool:
    """Whether `latest` is what the version was made of: then AWS publishes nothing new."""
    return (
        _content(published.version, cipher) == _content(latest.version, cipher)
        and published.configuration == latest.configuration
        and published.has_environment == latest.has_environment
        and published.source_description == latest.description
    )


def _content(version: FunctionVersion, cipher: EnvironmentCipher) -> FunctionVersion:
    """What counts as a change: not the names, nor how the same environment happens to be encrypted."""
    return dataclasses.replace(cipher.unseal(version), key="", version="", sealed_environment="")


def refuse_conflicts(record: FunctionRecord, given: dict[str, Any]) -> None:
    """Raises ResourceConflict while `$LATEST` is being created or updated, PreconditionFailed for an old RevisionId."""
    if record.state == "Pending":
        raise ResourceConflict(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )
    if record.last_update_status == "InProgress":
        raise in_progress(record)
    check_revision(given, record.revision_id)


def check_revision(given: dict[str, Any], revision_id: str) -> None:
    """Raises PreconditionFailed if the caller has seen another revision."""
    if given.get("RevisionId") not in (None, revision_id):
        raise PreconditionFailed(_WRONG_REVISION)


def in_progress(record: FunctionRecord) -> ResourceConflict:
    return ResourceConflict(
        f"The operation cannot be performed at this time. An update is in progress for resource: {record.version.arn}"
    )


def new_key() -> str:
    return uuid.uuid4().hex


def new_revision() -> str:
    return str(uuid.uuid4())


def _listed(call: Call, record: FunctionRecord) -> dict[str, Any]:
    return configuration.answer(record, call.backends.cipher, qualifier=record.number, listed=True)
