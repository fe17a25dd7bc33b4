"""The layers of a function: named by their ARNs, checked, and kept so that it has them even when they are deleted.

Source: Lambda Developer Guide, "Adding layers to functions"; messages as recorded from AWS.
"""

from __future__ import annotations

import dataclasses

from gateway.call import Call
from gateway.lambda_api.layer_access import check_usable
from gateway.lambda_api.layers import layer_ref
from hearth.arn import layer_arn
from hearth.errors import InvalidParameterValue
from hearth.model.layer import LayerVersion
from hearth.store.functions import FunctionRecord


async def attach(call: Call, record: FunctionRecord, arns: list[str]) -> FunctionRecord:
    """The record with exactly these layers, in their order.

    Raises InvalidParameterValue for one that isn't there, is in another region or comes twice, and for too much;
    AccessDenied for one of another account that isn't shared with the caller's.
    """
    _check_distinct(arns)
    layers = [await _layer(call, arn) for arn in arns]
    unzipped_bytes = sum(layer.unzipped_bytes for layer in layers)
    if unzipped_bytes > (most := call.backends.limits.unzipped_bytes):
        raise InvalidParameterValue(f"Layers consume more than the available size of {most} bytes")
    configuration = {name: value for name, value in record.configuration.items() if name != "Layers"}
    if layers:
        configuration["Layers"] = [
            {"Arn": layer_arn(one.region, one.account, one.name, one.number), "CodeSize": one.code_bytes}
            for one in layers
        ]
    version = dataclasses.replace(record.version, layers=tuple(layer.code_sha256 for layer in layers))
    return dataclasses.replace(
        record, version=version, configuration=configuration, layers_unzipped_bytes=unzipped_bytes
    )


def check_total(record: FunctionRecord, most_bytes: int) -> None:
    """Raises InvalidParameterValue if code and layers together are too much."""
    actual = record.unzipped_bytes + record.layers_unzipped_bytes
    if record.layers_unzipped_bytes and actual > most_bytes:
        raise InvalidParameterValue(
            f"Function code combined with layers exceeds the maximum allowed size of {most_bytes} bytes. "
            f"The actual size is {actual} bytes."
        )


async def _layer(call: Call, arn: str) -> LayerVersion:
    ref = layer_ref(call, arn)
    if ref.region != call.caller.region:
        raise InvalidParameterValue(
            "Layers are not in the same region as the function. Layers are expected to be in region "
            f"{call.caller.region}."
        )
    layer = await call.backends.layers.get(ref.account, ref.region, ref.name, ref.number or 0)
    if layer is None:
        raise InvalidParameterValue(f"Layer version {arn} does not exist.")
    await check_usable(call, layer)
    return layer


def _check_distinct(arns: list[str]) -> None:
    seen: dict[str, str] = {}
    for arn in arns:
        name = arn.rpartition(":")[0]
        if name in seen:
            raise InvalidParameterValue(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[name]} and {arn} are versions of the same layer."
            )
        seen[name] = arn
