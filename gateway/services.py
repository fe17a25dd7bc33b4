"""The services that this gateway answers for, and which function carries out which operation."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.call import Operation
from gateway.lambda_api import functions, invoke, invoke_stream
from gateway.logs_api import operations as logs
from gateway.protocols.service import Service
from gateway.sts_api import get_caller_identity


@dataclass(frozen=True, slots=True)
class Offer:
    """A service's model and what of it is there."""

    service: Service
    operations: dict[str, Operation]


def offers() -> list[Offer]:
    return [
        Offer(
            # Runtime: AWS words its enumeration otherwise and as another error (lambda_api.configuration).
            Service("lambda", unchecked=("Runtime",)),
            {
                "CreateFunction": functions.create_function,
                "DeleteFunction": functions.delete_function,
                "GetFunction": functions.get_function,
                "GetFunctionConfiguration": functions.get_function_configuration,
                "Invoke": invoke.invoke,
                "InvokeWithResponseStream": invoke_stream.invoke_with_response_stream,
                "ListFunctions": functions.list_functions,
                "UpdateFunctionCode": functions.update_function_code,
                "UpdateFunctionConfiguration": functions.update_function_configuration,
            },
        ),
        Offer(
            Service("logs", validation_code="InvalidParameterException"),
            {
                "DescribeLogGroups": logs.describe_log_groups,
                "DescribeLogStreams": logs.describe_log_streams,
                "FilterLogEvents": logs.filter_log_events,
                "GetLogEvents": logs.get_log_events,
            },
        ),
        Offer(Service("sts", validation_code="ValidationError"), {"GetCallerIdentity": get_caller_identity}),
    ]
