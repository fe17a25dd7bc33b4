"""CreateFunction, GetFunction(Configuration), UpdateFunctionCode, UpdateFunctionConfiguration, DeleteFunction,
ListFunctions."""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.lambda_api import code_signing, configuration, versions, vpc
from gateway.lambda_api.attached_layers import attach, check_total
from gateway.lambda_api.code_package import check_zipped_size
from gateway.lambda_api.code_source import StoredPackage, check_one_source, code_link, store_code
from gateway.lambda_api.names import check_length, find, find_function, function_only, function_ref, not_found
from gateway.lambda_api.paging import new_marker, read_marker
from gateway.lambda_api.runtime_notice import warn_of_runtime
from gateway.lambda_api.tags import checked as checked_tags
from gateway.lambda_api.versions import new_revision
from gateway.settling import UPDATE_AT_LEAST_S
from hearth.arn import LATEST
from hearth.clock import now_ms
from hearth.errors import InvalidParameterValue, ResourceConflict
from hearth.model.function import FunctionVersion
from hearth.store.concurrency import concurrency_of
from hearth.store.functions import Beside, FunctionRecord

PAGE = 50


async def create_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    code = given["Code"]
    check_zipped_size(code.get("ZipFile", b""), call.backends.limits.zipped_bytes)
    ref = function_ref(call, given)
    check_length(ref)
    configuration.check(given, call.backends.limits)
    if "Runtime" not in given or "Handler" not in given:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    backends, caller = call.backends, call.caller
    bare = await _apply(call, _bare(call, ref.name, given), given)
    taken = ResourceConflict(f"Function already exist: {ref.name}")
    if await backends.functions.get(caller.account, caller.region, ref.name) is not None:
        raise taken
    beside: dict[tuple[Beside, str], bytes] = {}
    if signing := given.get("CodeSigningConfigArn"):
        await code_signing.check_known(call, signing)
        beside[Beside.CODE_SIGNING, ""] = signing.encode()
    check_one_source(code)
    record = _with_code(call, bare, await store_code(call, code))
    published = None
    if given.get("Publish"):
        last = await backends.functions.last_number(caller.account, caller.region, ref.name)
        published = versions.published_of(record, last + 1)
    if not await backends.functions.create(record, published, beside):
        raise taken
    await backends.settler.announce(record, published=published)
    await warn_of_runtime(call, record.version.runtime)
    return configuration.answer(published or record, backends.cipher)


async def get_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    record, ref = await find(call, given)
    shown: dict[str, Any] = {
        "Configuration": configuration.answer(record, call.backends.cipher, qualifier=ref.qualifier),
        "Code": {"RepositoryType": "S3", "Location": code_link(call, record.version.code_sha256)},
    }
    if record.tags:
        shown["Tags"] = record.tags
    reserved = concurrency_of(await find_function(call, ref)).reserved
    if reserved is not None:
        shown["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return shown


async def get_function_configuration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    record, ref = await find(call, given)
    return configuration.answer(record, call.backends.cipher, qualifier=ref.qualifier)


async def update_function_code(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    check_zipped_size(given.get("ZipFile", b""), call.backends.limits.zipped_bytes)
    old = await _changeable(call, given)
    if given.get("ImageUri"):
        raise InvalidParameterValue("Please don't provide ImageUri when updating a function with packageType Zip.")
    configuration.check({name: given[name] for name in ("PublishTo",) if name in given})
    versions.refuse_conflicts(old, given)
    check_one_source(given)
    new = _with_code(call, old, await store_code(call, given))
    if "Architectures" in given:
        new = dataclasses.replace(new, configuration=new.configuration | {"Architectures": given["Architectures"]})
    if given.get("DryRun"):
        return configuration.answer(new, call.backends.cipher)
    return await _replace(call, old, new, publish=given.get("Publish", False))


async def update_function_configuration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    configuration.check(given, call.backends.limits)
    old = await _changeable(call, given)
    versions.refuse_conflicts(old, given)
    if given.get("Runtime", old.version.runtime) != old.version.runtime:
        await warn_of_runtime(call, given["Runtime"])
    return await _replace(call, old, await _apply(call, old, given))


async def delete_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    backends, caller = call.backends, call.caller
    if ref.qualifier is not None:
        return await versions.delete_version(call, ref)
    while True:
        record = await backends.functions.get(caller.account, caller.region, ref.name)
        if record is None:
            raise not_found(call, ref.name)
        # Lost against a concurrent update (or its settling): read again, delete that.
        retired = await backends.functions.delete(record)
        if retired is not None:
            await backends.settler.spread(record.version, retired_keys=retired)
            return {"StatusCode": 204}


async def list_functions(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = min(given.get("MaxItems", PAGE), PAGE)
    backends, caller = call.backends, call.caller
    every_version = given.get("FunctionVersion") == "ALL"
    records, more = await backends.functions.page(
        caller.account, caller.region, after=read_marker(given.get("Marker")), limit=limit
    )
    shown = []
    for record in records:
        qualifier = LATEST if every_version else None
        shown.append(configuration.answer(record, backends.cipher, qualifier=qualifier, listed=True))
        if every_version:
            shown += await versions.listed(call, record.version.name)
    answer: dict[str, Any] = {"Functions": shown}
    if more and records:
        answer["NextMarker"] = new_marker(records[-1].version.name)
    return answer


def _bare(call: Call, name: str, given: dict[str, Any]) -> FunctionRecord:
    """A function to be made, without code and without what `_apply` gives it."""
    tags, now = checked_tags(given.get("Tags") or {}), now_ms()
    version = FunctionVersion(
        key=versions.new_key(),
        account=call.caller.account,
        region=call.caller.region,
        name=name,
        version=LATEST,
        runtime=given["Runtime"],
        handler=given["Handler"],
        role=given["Role"],
        code_sha256="",
        log_group=f"/aws/lambda/{name}",
        egress=configuration.egress_of(tags),
    )
    return FunctionRecord(version, new_revision(), "Pending", "", now, now, 0, tags=tags)


def _with_code(call: Call, record: FunctionRecord, package: StoredPackage) -> FunctionRecord:
    """Raises InvalidParameterValue if code and layers together are too much."""
    record = dataclasses.replace(
        record,
        version=dataclasses.replace(record.version, code_sha256=package.sha256),
        code_bytes=package.zipped_bytes,
        unzipped_bytes=package.unzipped_bytes,
    )
    check_total(record, call.backends.limits.unzipped_bytes)
    return record


async def _apply(call: Call, record: FunctionRecord, given: dict[str, Any]) -> FunctionRecord:
    """The record with the members that were given."""
    if given.get("VpcConfig"):
        given = given | {"VpcConfig": await vpc.placed(call, given["VpcConfig"])}
    record = configuration.apply(record, given, call.backends.cipher)
    if "Layers" in given:
        record = await attach(call, record, given["Layers"] or [])
    check_total(record, call.backends.limits.unzipped_bytes)
    return record


async def _changeable(call: Call, given: dict[str, Any]) -> FunctionRecord:
    """`$LATEST` of the function that an update names. Raises InvalidParameterValue: versions never change."""
    ref = function_ref(call, given)
    if ref.qualifier not in (None, LATEST):
        function_only(ref)
    record, _ = await find(call, {"FunctionName": ref.name})
    return record


async def _replace(call: Call, old: FunctionRecord, new: FunctionRecord, *, publish: bool = False) -> dict[str, Any]:
    """Put `new` in force under a key of its own, in progress until every gateway knows.

    publish: and make a version of it, unless the last one is just that; that version is the answer.
    """
    backends = call.backends
    now = now_ms()
    new = dataclasses.replace(
        new,
        version=dataclasses.replace(new.version, key=versions.new_key()),
        revision_id=new_revision(),
        last_update_status="InProgress",
        modified_at_ms=now,
        unsettled_since_ms=now,
    )
    last = await versions.last_published(call, new) if publish else None
    published = None
    if publish and (last is None or not versions.same(last, new, backends.cipher)):
        pending = dataclasses.replace(new, state="Pending", last_update_status="")
        published = await versions.next_of(call, pending)
    if not (
        await backends.functions.publish(old, new, published)
        if published
        else await backends.functions.replace(old, new)
    ):
        raise versions.in_progress(old)
    await backends.settler.announce(
        new, published=published, retired_keys=[old.version.key], at_least_s=UPDATE_AT_LEAST_S
    )
    if publish:
        made = published or last
        assert made is not None  # there is one of the two
        return configuration.answer(made, backends.cipher, qualifier=made.number)
    return configuration.answer(new, backends.cipher)
