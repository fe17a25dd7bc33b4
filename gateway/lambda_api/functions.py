"""CreateFunction, GetFunction(Configuration), UpdateFunctionCode, UpdateFunctionConfiguration, DeleteFunction,
ListFunctions."""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import time
import uuid
from typing import Any

from gateway.call import Call
from gateway.lambda_api import configuration, layers
from gateway.lambda_api.code_package import check_package, check_zipped_size, fetch_from_s3
from gateway.lambda_api.names import find, function_ref, not_found
from gateway.lambda_api.runtime_notice import warn_of_runtime
from hearth import links
from hearth.arn import LATEST
from hearth.clock import now_ms
from hearth.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict
from hearth.model.function import FunctionVersion
from hearth.store.functions import FunctionRecord

PAGE = 50


async def create_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    code = given["Code"]
    check_zipped_size(code.get("ZipFile", b""))
    ref = function_ref(call, given)
    configuration.check(given)
    if "Runtime" not in given or "Handler" not in given:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    backends, caller = call.backends, call.caller
    taken = ResourceConflict(f"Function already exist: {ref.name}")
    if await backends.functions.get(caller.account, caller.region, ref.name) is not None:
        raise taken
    sha256, size = await _store_code(call, code)
    version = FunctionVersion(
        key=_new_key(),
        account=caller.account,
        region=caller.region,
        name=ref.name,
        version=LATEST,
        runtime=given["Runtime"],
        handler=given["Handler"],
        role=given["Role"],
        code_sha256=sha256,
        log_group=f"/aws/lambda/{ref.name}",
        egress=configuration.egress_of(given.get("Tags") or {}),
    )
    now = now_ms()
    bare = FunctionRecord(version, _new_revision(), "Pending", "", now, now, size, tags=given.get("Tags", {}))
    record = await _apply(call, bare, given)
    if not await backends.functions.create(record):
        raise taken
    await backends.settler.announce(record)
    await warn_of_runtime(call, version.runtime)
    return configuration.answer(record, backends.cipher)


async def get_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    record, ref = await find(call, given)
    shown: dict[str, Any] = {
        "Configuration": _answer(call, record, ref.qualifier),
        "Code": {"RepositoryType": "S3", "Location": code_link(call, record.version.code_sha256)},
    }
    if record.tags:
        shown["Tags"] = record.tags
    if record.version.reserved_concurrency is not None:
        shown["Concurrency"] = {"ReservedConcurrentExecutions": record.version.reserved_concurrency}
    return shown


async def get_function_configuration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    record, ref = await find(call, given)
    return _answer(call, record, ref.qualifier)


async def update_function_code(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    check_zipped_size(given.get("ZipFile", b""))
    old, _ = await find(call, given)
    if given.get("ImageUri"):
        raise InvalidParameterValue("Please don't provide ImageUri when updating a function with packageType Zip.")
    configuration.check({name: given[name] for name in ("Publish", "PublishTo") if name in given})
    _refuse_conflicts(old, given)
    sha256, size = await _store_code(call, given)
    kept = dict(old.configuration)
    if "Architectures" in given:
        kept["Architectures"] = given["Architectures"]
    version = dataclasses.replace(old.version, code_sha256=sha256)
    new = dataclasses.replace(old, version=version, code_bytes=size, configuration=kept)
    if given.get("DryRun"):
        return configuration.answer(new, call.backends.cipher)
    return await _replace(call, old, new)


async def update_function_configuration(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    configuration.check(given)
    old, _ = await find(call, {"FunctionName": ref.name})
    _refuse_conflicts(old, given)
    if given.get("Runtime", old.version.runtime) != old.version.runtime:
        await warn_of_runtime(call, given["Runtime"])
    return await _replace(call, old, await _apply(call, old, given))


async def delete_function(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = function_ref(call, given)
    backends, caller = call.backends, call.caller
    while True:
        record = await backends.functions.get(caller.account, caller.region, ref.name)
        if record is None:
            raise not_found(call, ref.name)
        if ref.qualifier == LATEST:
            raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
        if ref.qualifier is not None:
            return {"StatusCode": 204}
        # Lost against a concurrent update (or its settling): read again, delete that.
        if await backends.functions.delete(record):
            gone = dataclasses.replace(record, unsettled_since_ms=0)
            await backends.settler.announce(gone, retired_key=record.version.key)
            return {"StatusCode": 204}


async def list_functions(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit = min(given.get("MaxItems", PAGE), PAGE)
    records, more = await call.backends.functions.page(
        call.caller.account, call.caller.region, after=_read_marker(given.get("Marker", "")), limit=limit
    )
    shown: dict[str, Any] = {
        "Functions": [configuration.answer(record, call.backends.cipher, listed=True) for record in records]
    }
    if more and records:
        shown["NextMarker"] = base64.urlsafe_b64encode(records[-1].version.name.encode()).decode()
    return shown


def code_link(call: Call, sha256: str) -> str:
    """A link to the package, served by this very endpoint, that needs no signature of the caller's."""
    host = call.request.headers.get("host", "localhost")
    return f"http://{host}{links.code_path(call.backends.secret, sha256, now_s=time.time())}"


async def _apply(call: Call, record: FunctionRecord, given: dict[str, Any]) -> FunctionRecord:
    """The record with the members that were given."""
    record = configuration.apply(record, given, call.backends.cipher)
    if "Layers" not in given:
        return record
    return await asyncio.to_thread(layers.attach, record, given["Layers"] or [], call.backends.blobs)


async def _replace(call: Call, old: FunctionRecord, new: FunctionRecord) -> dict[str, Any]:
    """Put `new` in force under a key of its own, in progress until every gateway knows."""
    now = now_ms()
    new = dataclasses.replace(
        new,
        version=dataclasses.replace(new.version, key=_new_key()),
        revision_id=_new_revision(),
        last_update_status="InProgress",
        modified_at_ms=now,
        unsettled_since_ms=now,
    )
    if not await call.backends.functions.replace(old, new):
        raise _in_progress(old)
    await call.backends.settler.announce(new, retired_key=old.version.key)
    return configuration.answer(new, call.backends.cipher)


def _refuse_conflicts(record: FunctionRecord, given: dict[str, Any]) -> None:
    if record.state == "Pending":
        raise ResourceConflict(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )
    if record.last_update_status == "InProgress":
        raise _in_progress(record)
    if given.get("RevisionId") not in (None, record.revision_id):
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id"
        )


def _in_progress(record: FunctionRecord) -> ResourceConflict:
    return ResourceConflict(
        f"The operation cannot be performed at this time. An update is in progress for resource: {record.version.arn}"
    )


async def _store_code(call: Call, source: dict[str, Any]) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of the package that `source` holds or names, checked and stored."""
    return await asyncio.to_thread(_store_code_blocking, call, source)


def _store_code_blocking(call: Call, source: dict[str, Any]) -> tuple[str, int]:
    if "ZipFile" in source:
        data = source["ZipFile"]
    elif "S3Bucket" in source and "S3Key" in source:
        data = fetch_from_s3(call.backends.aws, call.caller.account, call.caller.region, source)
    else:
        raise InvalidParameterValue("Please provide a source for function code.")
    check_package(data)
    return call.backends.blobs.put(data), len(data)


def _answer(call: Call, record: FunctionRecord, qualifier: str | None) -> dict[str, Any]:
    shown = configuration.answer(record, call.backends.cipher)
    if qualifier is not None:
        shown["FunctionArn"] += f":{qualifier}"
    return shown


def _read_marker(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidParameterValue("The marker is not one that ListFunctions has returned.") from exc


def _new_key() -> str:
    return uuid.uuid4().hex


def _new_revision() -> str:
    return str(uuid.uuid4())
