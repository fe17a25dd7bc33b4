"""What an event source mapping is made with or changed by, checked in AWS's words; and how it is shown.

Source: Lambda API reference; texts, defaults and members of answers as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from gateway.protocols.validate import detected, problem
from hearth.clock import now_ms
from hearth.errors import InvalidParameterValue, ValidationFailed
from hearth.model.destination import DestinationKind, parse_destination
from hearth.model.filter_patterns import BadPattern, compile_filters
from hearth.model.mapping import STREAMS, EventSourceMapping, SourceKind

#: batches of more need a window
_WITHOUT_WINDOW = 10
MAX_FILTERS = 5
_POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
_DESTINATIONS = frozenset({DestinationKind.QUEUE, DestinationKind.TOPIC, DestinationKind.BUCKET})
_SQS = frozenset({SourceKind.SQS})
_RABBITMQ = frozenset({SourceKind.RABBITMQ})
_NOBODY: frozenset[SourceKind] = frozenset()

#: whom a parameter is for; those that aren't here are for all
_FOR: dict[str, frozenset[SourceKind]] = {
    "StartingPosition": STREAMS,
    "StartingPositionTimestamp": STREAMS,
    "ParallelizationFactor": STREAMS,
    "BisectBatchOnFunctionError": STREAMS,
    "MaximumRetryAttempts": STREAMS,
    "MaximumRecordAgeInSeconds": STREAMS,
    "TumblingWindowInSeconds": STREAMS,
    "FunctionResponseTypes": STREAMS | _SQS,
    "ScalingConfig": _SQS,
    "ProvisionedPollerConfig": _SQS,
    "Queues": _RABBITMQ,
    "SourceAccessConfigurations": _RABBITMQ,
    "Topics": _NOBODY,
    "SelfManagedEventSource": _NOBODY,
    "AmazonManagedKafkaEventSourceConfig": _NOBODY,
    "SelfManagedKafkaEventSourceConfig": _NOBODY,
    "DocumentDBEventSourceConfig": _NOBODY,
    "LoggingConfig": _NOBODY,
}
_DEFAULTS: dict[SourceKind, dict[str, Any]] = {
    SourceKind.SQS: {"batch_size": 10},
    # until a window is set
    SourceKind.RABBITMQ: {"batch_window_s": 0.5},
}

#: member -> field, of values that are kept as they are given
_PLAIN = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "batch_window_s",
    "ParallelizationFactor": "parallelization",
    "BisectBatchOnFunctionError": "bisect",
    "MaximumRetryAttempts": "max_retries",
    "MaximumRecordAgeInSeconds": "max_age_s",
    "TumblingWindowInSeconds": "tumbling_window_s",
    "KMSKeyArn": "kms_key_arn",
    "StartingPosition": "starting_position",
}
#: those that are made something else of
_MADE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "FilterCriteria": ("filters", lambda given: tuple(one.get("Pattern", "") for one in given.get("Filters") or ())),
    "FunctionResponseTypes": ("response_types", tuple),
    "MetricsConfig": ("metrics", lambda given: tuple(given.get("Metrics") or ())),
    "StartingPositionTimestamp": ("starting_at_ms", lambda given: round(given * 1000)),
    "DestinationConfig": ("on_failure", lambda given: (given.get("OnFailure") or {}).get("Destination") or ""),
    "ScalingConfig": ("max_concurrency", lambda given: given.get("MaximumConcurrency") or 0),
    "ProvisionedPollerConfig": ("provisioned_pollers", dict),
    "Queues": ("queues", tuple),
    "SourceAccessConfigurations": ("access", lambda given: tuple((one["Type"], one["URI"]) for one in given)),
}


def with_defaults(mapping: EventSourceMapping) -> EventSourceMapping:
    return dataclasses.replace(mapping, **_DEFAULTS.get(mapping.kind, {}))


def check_position(given: dict[str, Any]) -> None:
    """Raises ValidationFailed: AWS lists the positions in another order than its model."""
    position = given.get("StartingPosition")
    if position is not None and position not in _POSITIONS:
        rule = f"Member must satisfy enum value set: [{', '.join(_POSITIONS)}]"
        raise ValidationFailed(detected([problem(position, "startingPosition", rule)]))


def check_destinations(kind: SourceKind | None, given: dict[str, Any]) -> None:
    """Before everything else, even before whether the source is one. Raises InvalidParameterValue."""
    config = given.get("DestinationConfig") or {}
    success = (config.get("OnSuccess") or {}).get("Destination")
    failure = (config.get("OnFailure") or {}).get("Destination")
    if success or (failure and kind is not None and not kind.is_stream):
        raise _unsupported("DestinationConfig")
    if failure:
        destination = parse_destination(failure)
        if destination is None or destination.kind not in _DESTINATIONS or destination.fifo:
            raise InvalidParameterValue(
                f"The provided destination config DestinationConfig(onSuccess=null, "
                f"onFailure=OnFailure(destination={failure})) is invalid."
            )


def applied(mapping: EventSourceMapping, given: dict[str, Any]) -> EventSourceMapping:
    """The mapping with the members that were given. Raises InvalidParameterValue for what its kind does not take."""
    for name, kinds in _FOR.items():
        if given.get(name) and mapping.kind not in kinds:
            raise _unsupported(name)
    if mapping.kind.is_stream and not mapping.starting_position:
        _check_start(mapping, given)
    fields: dict[str, Any] = {field: given[name] for name, field in _PLAIN.items() if given.get(name) is not None}
    fields |= {field: make(given[name]) for name, (field, make) in _MADE.items() if given.get(name) is not None}
    if "Enabled" in given:
        fields["enabled"] = given["Enabled"]
    mapping = dataclasses.replace(mapping, **fields)
    _check_batches(mapping)
    _check_filters(mapping)
    return mapping


def _check_start(mapping: EventSourceMapping, given: dict[str, Any]) -> None:
    position = given.get("StartingPosition")
    if position is None:
        # with the full stop that AWS puts here alone
        raise InvalidParameterValue(detected([problem(None, "startingPosition", "Member must not be null.")]))
    if position != "AT_TIMESTAMP":
        if given.get("StartingPositionTimestamp") is not None:
            raise InvalidParameterValue("StartingPositionTimestamp is only valid with StartingPosition AT_TIMESTAMP.")
        return
    if mapping.kind is SourceKind.DYNAMODB:
        raise InvalidParameterValue(f"Unsupported starting position for arn type: {mapping.source_arn}")
    at_s = given.get("StartingPositionTimestamp")
    if at_s is None:
        raise InvalidParameterValue("StartingPositionTimestamp is required with StartingPosition AT_TIMESTAMP.")
    if at_s * 1000 > now_ms():
        raise InvalidParameterValue("StartingPositionTimestamp cannot be in the future.")


def _check_batches(mapping: EventSourceMapping) -> None:
    if mapping.kind is SourceKind.SQS:
        if mapping.source_arn.endswith(".fifo"):
            if mapping.batch_window_s:
                raise InvalidParameterValue("Batching window is not supported for FIFO queues.")
            if mapping.batch_size > _WITHOUT_WINDOW:
                raise InvalidParameterValue(f"Batch size must not be greater than {_WITHOUT_WINDOW} for FIFO queues.")
        elif mapping.batch_size > _WITHOUT_WINDOW and not mapping.batch_window_s:
            raise InvalidParameterValue(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        if mapping.max_concurrency and mapping.provisioned_pollers:
            raise InvalidParameterValue("ScalingConfig and ProvisionedPollerConfig cannot both be set.")
    if 0 <= mapping.max_age_s < 60:
        rule = "Member must be -1 or have value greater than or equal to 60"
        raise InvalidParameterValue(detected([problem(mapping.max_age_s, "maximumRecordAgeInSeconds", rule)]))
    if mapping.kind is SourceKind.RABBITMQ and not mapping.queues:
        raise InvalidParameterValue("Required 'queues' parameter is missing.")


def _check_filters(mapping: EventSourceMapping) -> None:
    if len(mapping.filters) > MAX_FILTERS:
        raise InvalidParameterValue(f"FilterCriteria cannot have more than {MAX_FILTERS} filters.")
    try:
        compile_filters(mapping.filters, mapping.kind)
    except BadPattern as exc:
        raise InvalidParameterValue("Invalid filter pattern definition.") from exc


def _unsupported(name: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Unsupported {name} parameter for given event source mapping type.")


# --- answers ------------------------------------------------------------------------------------------------------
def shown(mapping: EventSourceMapping, result: str) -> dict[str, Any]:
    """EventSourceMappingConfiguration; what it has depends on the kind of source. result: LastProcessingResult."""
    answer: dict[str, Any] = {
        "UUID": mapping.uuid,
        "BatchSize": mapping.batch_size,
        "EventSourceArn": mapping.source_arn,
        "EventSourceMappingArn": mapping.arn,
        "FunctionArn": mapping.function_arn,
        "LastModified": mapping.modified_at_ms / 1000,
        "State": mapping.state.value,
        "StateTransitionReason": "User action" if mapping.kind.is_stream else "USER_INITIATED",
    }
    if mapping.filters:
        answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.kms_key_arn:
        answer["KMSKeyArn"] = mapping.kms_key_arn
    if mapping.metrics:
        answer["MetricsConfig"] = {"Metrics": list(mapping.metrics)}
    if mapping.batch_window_s == int(mapping.batch_window_s):
        answer["MaximumBatchingWindowInSeconds"] = int(mapping.batch_window_s)
    return answer | _OF_KIND[mapping.kind](mapping, result)


def _stream_members(mapping: EventSourceMapping, result: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "BisectBatchOnFunctionError": mapping.bisect,
        "DestinationConfig": {"OnFailure": {"Destination": mapping.on_failure} if mapping.on_failure else {}},
        "FunctionResponseTypes": list(mapping.response_types),
        "LastProcessingResult": result,
        "MaximumRecordAgeInSeconds": mapping.max_age_s,
        "MaximumRetryAttempts": mapping.max_retries,
        "ParallelizationFactor": mapping.parallelization,
        "StartingPosition": mapping.starting_position,
        "TumblingWindowInSeconds": mapping.tumbling_window_s,
    }
    if mapping.starting_at_ms:
        answer["StartingPositionTimestamp"] = mapping.starting_at_ms / 1000
    return answer


def _sqs_members(mapping: EventSourceMapping, _result: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"FunctionResponseTypes": list(mapping.response_types)}
    if mapping.max_concurrency:
        answer["ScalingConfig"] = {"MaximumConcurrency": mapping.max_concurrency}
    if mapping.provisioned_pollers:
        answer["ProvisionedPollerConfig"] = mapping.provisioned_pollers
    return answer


def _rabbitmq_members(mapping: EventSourceMapping, result: str) -> dict[str, Any]:
    return {
        "LastProcessingResult": result,
        "Queues": list(mapping.queues),
        "SourceAccessConfigurations": [{"Type": kind, "URI": uri} for kind, uri in mapping.access],
    }


_OF_KIND: dict[SourceKind, Callable[[EventSourceMapping, str], dict[str, Any]]] = {
    SourceKind.KINESIS: _stream_members,
    SourceKind.KINESIS_CONSUMER: _stream_members,
    SourceKind.DYNAMODB: _stream_members,
    SourceKind.SQS: _sqs_members,
    SourceKind.RABBITMQ: _rabbitmq_members,
}
