"""Function configurations: what callers ask for, checked and put into a record; a record as it is answered.

Source: Lambda API reference, CreateFunction, UpdateFunctionConfiguration, FunctionConfiguration; messages and the
order of the checks as recorded from AWS.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.protocols.validate import detected, problem
from hearth.arn import LATEST, function_arn
from hearth.credentials import EnvironmentCipher
from hearth.errors import InvalidParameterValue, ValidationFailed
from hearth.limits import AWS_LIMITS, Limits
from hearth.model.destination import DEAD_LETTER_KINDS, parse_destination
from hearth.model.function import FunctionVersion
from hearth.model.runtime import CREATABLE, NEWER
from hearth.store.functions import FunctionRecord

#: a tag of ours: what a function reaches
EGRESS_TAG = "hearth:egress"
EGRESS = ("open", "platform", "off")

# fmt: off
DEPRECATED_RUNTIMES = frozenset((
    "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x",
    "nodejs14.x", "python2.7", "python3.6", "python3.7", "go1.x", "java8", "ruby2.5", "ruby2.7",
    "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "provided",
))
RESERVED_VARIABLES = frozenset((
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY",
))
# fmt: on

_NO_IMAGES = (
    "Container images are not supported by Hearth. Give the function as a zip package: what the image adds to its base "
    "goes into layers, and a program of any language runs on provided.al2023 with an executable file named bootstrap."
)
#: members that would change how a function runs in ways this platform doesn't offer: refused, not ignored
_NOT_OFFERED = (
    "TenancyConfig",
    "CapacityProviderConfig",
    "DurableConfig",
    "RuntimeConfig",
    "AcceleratorConfig",
    "PublishTo",
)
#: members that are kept and answered as they were given
_KEPT = (
    "VpcConfig",
    "DeadLetterConfig",
    "KMSKeyArn",
    "TracingConfig",
    "Architectures",
    "FileSystemConfigs",
    "SnapStart",
)
#: the oldest of each language that has SnapStart
_SNAP_START = {"java": (11,), "python": (3, 12), "dotnet": (8,)}


def check(given: dict[str, Any], limits: Limits = AWS_LIMITS) -> None:
    """Everything about a create's or an update's members that needs no look at the store."""
    for name in _NOT_OFFERED:
        if given.get(name):
            raise InvalidParameterValue(f"{name} is not supported by Hearth.")
    if given.get("PackageType") == "Image" or given.get("ImageConfig"):
        raise InvalidParameterValue(_NO_IMAGES)
    _check_maximum(given, "Timeout", limits.timeout_s)
    _check_maximum(given, "MemorySize", limits.memory_mb)
    _check_environment((given.get("Environment") or {}).get("Variables") or {}, limits.environment_bytes)
    _check_layers(given.get("Layers") or [], limits.layers)
    _check_dead_letters((given.get("DeadLetterConfig") or {}).get("TargetArn") or "")
    if "Runtime" in given:
        _check_runtime(given["Runtime"])


def _check_dead_letters(arn: str) -> None:
    """What is no queue and no topic would be told at the first event that fails, when it is too late."""
    target = parse_destination(arn)
    if arn and (target is None or target.kind not in DEAD_LETTER_KINDS):
        raise InvalidParameterValue(f"The dead letter target {arn} is neither an SQS queue nor an SNS topic.")


def egress_of(tags: Mapping[str, str]) -> str:
    """What the tag `hearth:egress` says that the function reaches; empty without it."""
    value = tags.get(EGRESS_TAG, "")
    if value and value not in EGRESS:
        raise InvalidParameterValue(f"The tag {EGRESS_TAG} must be one of {', '.join(EGRESS)}, not {value}.")
    return value


def apply(record: FunctionRecord, given: dict[str, Any], cipher: EnvironmentCipher) -> FunctionRecord:
    """The record with the members that were given; what was not given stays."""
    version, name = record.version, record.version.name
    changes: dict[str, Any] = {}
    for member, attribute in (
        ("Runtime", "runtime"),
        ("Handler", "handler"),
        ("Role", "role"),
        ("Timeout", "timeout_s"),
        ("MemorySize", "memory_mb"),
    ):
        if member in given:
            changes[attribute] = given[member]
    if "EphemeralStorage" in given:
        changes["ephemeral_mb"] = given["EphemeralStorage"]["Size"]
    configuration = dict(record.configuration)
    for member in _KEPT:
        if member in given:
            configuration[member] = given[member]
    if "LoggingConfig" in given:
        merged = configuration.get("LoggingConfig", {}) | given["LoggingConfig"]
        _check_log_levels(given["LoggingConfig"], merged)
        configuration["LoggingConfig"] = logging_config = _logging_config(name, merged)
        changes["log_group"], changes["log_format"] = logging_config["LogGroup"], logging_config["LogFormat"]
        changes["app_log_level"] = logging_config.get("ApplicationLogLevel", "INFO")
        changes["system_log_level"] = logging_config.get("SystemLogLevel", "INFO")
    version = dataclasses.replace(version, **changes)
    _check_snap_start(version.runtime, configuration)
    if "Environment" in given:
        variables = given["Environment"].get("Variables") or {}
        version = cipher.seal(dataclasses.replace(version, environment=variables, sealed_environment=""))
    return dataclasses.replace(
        record,
        version=version,
        description=given.get("Description", record.description),
        has_environment="Environment" in given or record.has_environment,
        configuration=configuration,
    )


def answer(
    record: FunctionRecord, cipher: EnvironmentCipher, *, qualifier: str | None = None, listed: bool = False
) -> dict[str, Any]:
    """FunctionConfiguration. qualifier: as the ARN shows it.

    listed: ListFunctions and ListVersionsByFunction leave states and the runtime's version out.
    """
    version = record.version
    configuration = record.configuration
    shown: dict[str, Any] = {
        "FunctionName": version.name,
        "FunctionArn": function_arn(version.region, version.account, version.name, qualifier),
        "Runtime": version.runtime,
        "Role": version.role,
        "Handler": version.handler,
        "CodeSize": record.code_bytes,
        "Description": record.description,
        "Timeout": version.timeout_s,
        "MemorySize": version.memory_mb,
        "LastModified": timestamp(record.modified_at_ms),
        "CodeSha256": base64.b64encode(bytes.fromhex(version.code_sha256)).decode(),
        "Version": version.version,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": record.revision_id,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": version.ephemeral_mb},
        "LoggingConfig": _logging_config(version.name, {}),
        **configuration,
        "SnapStart": _snap_start(record),
    }
    if "DeadLetterConfig" in configuration and not configuration["DeadLetterConfig"].get("TargetArn"):
        del shown["DeadLetterConfig"]
    if record.has_environment:
        shown["Environment"] = {"Variables": cipher.unseal(version).environment}
    return shown if listed else shown | _state(record) | _runtime_version(version)


def timestamp(epoch_ms: int) -> str:
    at = datetime.datetime.fromtimestamp(epoch_ms / 1000, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}+0000"


def _state(record: FunctionRecord) -> dict[str, str]:
    reason = {"Reason": "The function is being created.", "ReasonCode": "Creating"}
    if record.state == "Pending":
        return {"State": "Pending", "StateReason": reason["Reason"], "StateReasonCode": reason["ReasonCode"]}
    shown = {"State": record.state, "LastUpdateStatus": record.last_update_status}
    if record.last_update_status == "InProgress":
        shown["LastUpdateStatusReason"] = reason["Reason"]
        shown["LastUpdateStatusReasonCode"] = reason["ReasonCode"]
    return shown


def _runtime_version(version: FunctionVersion) -> dict[str, Any]:
    digest = hashlib.sha256(version.runtime.encode()).hexdigest()
    return {"RuntimeVersionConfig": {"RuntimeVersionArn": f"arn:aws:lambda:{version.region}::runtime:{digest}"}}


def _logging_config(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """With AWS's defaults; the levels exist only for JSON."""
    log_format = given.get("LogFormat", "Text")
    shown = {"LogFormat": log_format, "LogGroup": given.get("LogGroup") or f"/aws/lambda/{name}"}
    if log_format == "JSON":
        shown["ApplicationLogLevel"] = given.get("ApplicationLogLevel", "INFO")
        shown["SystemLogLevel"] = given.get("SystemLogLevel", "INFO")
    return shown


def _snap_start(record: FunctionRecord) -> dict[str, str]:
    apply_on = record.configuration.get("SnapStart", {}).get("ApplyOn", "None")
    optimised = apply_on == "PublishedVersions" and record.number != LATEST
    return {"ApplyOn": apply_on, "OptimizationStatus": "On" if optimised else "Off"}


def _check_snap_start(runtime: str, configuration: dict[str, Any]) -> None:
    if configuration.get("SnapStart", {}).get("ApplyOn") != "PublishedVersions":
        return
    match = re.match(r"(java|python|dotnet)(\d+(?:\.\d+)?)", runtime)
    if match is None or tuple(map(int, match[2].split("."))) < _SNAP_START[match[1]]:
        raise InvalidParameterValue(f"{runtime} is not supported for SnapStart enabled functions.")


def _check_log_levels(given: dict[str, Any], merged: dict[str, Any]) -> None:
    levels = given.keys() & {"ApplicationLogLevel", "SystemLogLevel"}
    if levels and merged.get("LogFormat", "Text") == "Text":
        raise InvalidParameterValue(
            'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change '
            'the LogFormat to "JSON" and try again.'
        )


def _check_maximum(given: dict[str, Any], member: str, maximum: int) -> None:
    """The model's limits are those of managed instances, which are wider."""
    if given.get(member, 0) > maximum:
        path = member[0].lower() + member[1:]
        rule = f"Member must have value less than or equal to {maximum}"
        raise ValidationFailed(detected([problem(given[member], path, rule)]))


def _check_environment(variables: dict[str, str], most_bytes: int) -> None:
    if reserved := [name for name in variables if name in RESERVED_VARIABLES]:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    measured = orjson.dumps(variables)
    if len(measured) > most_bytes:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the {_in_kb(most_bytes)} limit. String measured: {measured.decode()}"
        )


def _in_kb(size: int) -> str:
    return f"{size // 1024}KB" if size % 1024 == 0 else f"{size} bytes"


def _check_layers(layers: list[str], most: int) -> None:
    if len(layers) > most:
        raise InvalidParameterValue(f"Cannot reference more than {most} layers.")


def _check_runtime(runtime: str) -> None:
    if runtime in CREATABLE or runtime in NEWER:
        return
    if runtime in DEPRECATED_RUNTIMES:
        raise InvalidParameterValue(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda "
            "functions. We recommend you use a supported runtime while creating or updating functions."
        )
    raise InvalidParameterValue(
        f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{', '.join(CREATABLE)}] or be a valid ARN"
    )
