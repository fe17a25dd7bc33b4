"""PublishLayerVersion, GetLayerVersion(ByArn), ListLayers, ListLayerVersions, DeleteLayerVersion.

Source: Lambda API reference, LayerVersionsListItem, PublishLayerVersion; answers and messages as recorded from AWS.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from gateway.call import Call
from gateway.lambda_api.code_source import code_link, store_code
from gateway.lambda_api.configuration import timestamp
from gateway.lambda_api.layer_access import check_usable
from gateway.lambda_api.paging import page_of
from gateway.protocols.validate import detected, problem
from hearth.arn import layer_arn
from hearth.clock import now_ms
from hearth.errors import AccessDenied, InvalidParameterValue, ResourceNotFound, ValidationFailed
from hearth.model.layer import LayerVersion
from hearth.model.runtime import CREATABLE

PAGE = 50
ARCHITECTURES = ("x86_64", "arm64")
#: what AWS lists by, in the order of its message
# fmt: off
LISTED_RUNTIMES = (
    "ruby3.5", "ruby2.6", "dotnetcore1.0", "python3.7", "nodejs8.10", "nasa", "ruby2.7", "python2.7-greengrass",
    "dotnetcore2.0", "python3.8", "java21", "dotnet6", "dotnetcore2.1", "python3.9", "java11", "nodejs6.10",
    "provided", "dotnetcore3.1", "dotnet8", "java25", "java17", "nodejs", "nodejs4.3", "java8.al2", "go1.x",
    "dotnet10", "nodejs20.x", "go1.9", "byol", "nodejs10.x", "provided.al2023", "nodejs22.x", "python3.10", "java8",
    "nodejs12.x", "python3.11", "nodejs24.x", "nodejs8.x", "python3.12", "nodejs14.x", "nodejs8.9", "nodejs26.x",
    "python3.13", "python3.14", "nodejs16.x", "python3.15", "provided.al2", "nodejs4.3-edge", "nodejs18.x",
    "ruby3.2", "python3.4", "ruby3.3", "ruby3.4", "ruby2.5", "python3.6", "python2.7",
)
# fmt: on
_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[^:]+):(?P<account>\d{12}):layer:(?P<name>[a-zA-Z0-9-_]+)(?::(?P<number>\d+))?"
)


@dataclass(frozen=True, slots=True)
class LayerRef:
    """A layer that a caller named; `number` is None if the name has none."""

    account: str
    region: str
    name: str
    number: int | None = None

    @property
    def arn(self) -> str:
        return layer_arn(self.region, self.account, self.name, self.number)


async def publish_layer_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = layer_ref(call, given["LayerName"])
    _check_compatible(given)
    if ref.account != call.caller.account:
        raise AccessDenied()
    package = await store_code(call, given["Content"])
    layer = await call.backends.layers.publish(
        LayerVersion(
            account=ref.account,
            region=ref.region,
            name=ref.name,
            number=0,
            code_sha256=package.sha256,
            code_bytes=package.zipped_bytes,
            unzipped_bytes=package.unzipped_bytes,
            created_at_ms=now_ms(),
            description=given.get("Description", ""),
            license_info=given.get("LicenseInfo", ""),
            compatible_runtimes=given.get("CompatibleRuntimes"),
            compatible_architectures=given.get("CompatibleArchitectures"),
        )
    )
    return _answer(call, layer)


async def get_layer_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _answer(call, await _found(call, layer_ref(call, given["LayerName"]), given["VersionNumber"]))


async def get_layer_version_by_arn(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    ref = layer_ref(call, given["Arn"])
    return _answer(call, await _found(call, ref, ref.number or 0))


async def list_layer_versions(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_filter(given)
    ref = layer_ref(call, given["LayerName"])
    if ref.account != call.caller.account:
        raise AccessDenied()
    versions = await call.backends.layers.versions(ref.account, ref.region, ref.name)
    suiting = [
        one for one in versions if one.suits(given.get("CompatibleRuntime"), given.get("CompatibleArchitecture"))
    ]
    shown, more = page_of(suiting, given, name=lambda one: str(one.number), most=PAGE)
    return {"LayerVersions": [_item(one) for one in shown], **more}


async def list_layers(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _check_filter(given)
    where, table = (call.caller.account, call.caller.region), call.backends.layers
    newest: list[LayerVersion] = []
    for name in await table.names(*where):
        versions = await table.versions(*where, name)
        suiting = (
            one for one in versions if one.suits(given.get("CompatibleRuntime"), given.get("CompatibleArchitecture"))
        )
        newest += [one for one in [next(suiting, None)] if one is not None]
    shown, more = page_of(newest, given, name=lambda one: one.name, most=PAGE)
    layers = [
        {
            "LayerName": one.name,
            "LayerArn": layer_arn(one.region, one.account, one.name),
            "LatestMatchingVersion": _item(one),
        }
        for one in shown
    ]
    return {"Layers": layers, **more}


async def delete_layer_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One that isn't there is no error."""
    ref = layer_ref(call, given["LayerName"])
    _check_number(given["VersionNumber"])
    if ref.account != call.caller.account:
        raise AccessDenied()
    await call.backends.layers.delete(ref.account, ref.region, ref.name, given["VersionNumber"])
    return {}


def layer_ref(call: Call, text: str) -> LayerRef:
    """A name or an ARN, with or without a version's number."""
    match = _ARN.fullmatch(text)
    if match is None:
        return LayerRef(call.caller.account, call.caller.region, text)
    number = int(match["number"]) if match["number"] else None
    return LayerRef(match["account"], match["region"], match["name"], number)


async def _found(call: Call, ref: LayerRef, number: int) -> LayerVersion:
    _check_number(number)
    layer = await call.backends.layers.get(ref.account, ref.region, ref.name, number)
    if layer is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    await check_usable(call, layer)
    return layer


def _check_number(number: int) -> None:
    if number < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")


def _check_compatible(given: dict[str, Any]) -> None:
    """AWS's enumerations are wider than its message about runtimes says, and runtimes come first in it."""
    problems = []
    runtimes, architectures = given.get("CompatibleRuntimes") or [], given.get("CompatibleArchitectures") or []
    if len(runtimes) > 15:
        problems.append(problem(runtimes, "compatibleRuntimes", "Member must have length less than or equal to 15"))
    elif set(runtimes) - {*CREATABLE, *LISTED_RUNTIMES}:
        rule = f"Member must satisfy enum value set: [{', '.join(CREATABLE)}]"
        problems.append(problem(runtimes, "compatibleRuntimes", rule))
    if len(architectures) > 2:
        rule = "Member must have length less than or equal to 2"
        problems.append(problem(architectures, "compatibleArchitectures", rule))
    elif set(architectures) - {*ARCHITECTURES}:
        inner = f"Member must satisfy enum value set: [{', '.join(ARCHITECTURES)}], Member must not be null"
        rule = f"Member must satisfy constraint: [{inner}]"
        problems.append(problem(architectures, "compatibleArchitectures", rule))
    if problems:
        raise ValidationFailed(detected(problems))


def _check_filter(given: dict[str, Any]) -> None:
    runtime = given.get("CompatibleRuntime")
    if runtime is not None and runtime not in LISTED_RUNTIMES and runtime not in CREATABLE:
        rule = f"Member must satisfy enum value set: [{', '.join(LISTED_RUNTIMES)}]"
        raise ValidationFailed(detected([problem(runtime, "compatibleRuntime", rule)]))


def _answer(call: Call, layer: LayerVersion) -> dict[str, Any]:
    content = {
        "Location": code_link(call, layer.code_sha256),
        "CodeSha256": base64.b64encode(bytes.fromhex(layer.code_sha256)).decode(),
        "CodeSize": layer.code_bytes,
    }
    return {"Content": content, "LayerArn": layer_arn(layer.region, layer.account, layer.name), **_item(layer)}


def _item(layer: LayerVersion) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "LayerVersionArn": layer_arn(layer.region, layer.account, layer.name, layer.number),
        "Version": layer.number,
        "Description": layer.description,
        "CreatedDate": timestamp(layer.created_at_ms),
    }
    if layer.compatible_runtimes is not None:
        shown["CompatibleRuntimes"] = layer.compatible_runtimes
    if layer.compatible_architectures is not None:
        shown["CompatibleArchitectures"] = layer.compatible_architectures
    if layer.license_info:
        shown["LicenseInfo"] = layer.license_info
    return shown
