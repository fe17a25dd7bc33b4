"""`aws-sdk:service:action`: any API action of any service, by botocore, at whoever serves it.

Optimised integrations without a module of their own are called the same way.

Parameters and results are in PascalCase, errors named after the service and the exception of its Java SDK:
`S3.NoSuchKeyException`, `Sfn.InvalidTokenException`; what the service's model does not name is its general one,
`DynamoDb.DynamoDbException`. Texts as recorded from AWS.
"""

from __future__ import annotations

import base64
import functools
import re
import uuid
from typing import Any

import orjson

from hearth.aws_clients import AwsCallFailed, AwsClients, AwsUnreachable, Exchange, ServiceNotServed
from hearth.clock import Deadline
from orchestrator.integrations import TaskCall, TaskError
from orchestrator.integrations.shapes import UnsupportedField, from_answer, missing_member, to_parameters

#: botocore's own limit of a read, and a little for the way
LONGEST_S = 65.0
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

#: services that the SDK for Java, whose names Step Functions takes, and botocore call otherwise
_BOTOCORE_NAMES = {
    "applicationdiscovery": "discovery",
    "cloudwatchevents": "events",
    "cloudwatchlogs": "logs",
    "cognitoidentity": "cognito-identity",
    "cognitoidentityprovider": "cognito-idp",
    "costandusagereport": "cur",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "directory": "ds",
    "elasticloadbalancing": "elb",
    "elasticmapreduce": "emr",
    "elasticloadbalancingv2": "elbv2",
    "elasticsearch": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuilding": "lex-models",
    "lexruntime": "lex-runtime",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
}


class AwsSdk:
    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws

    async def call(self, task: TaskCall) -> str:
        service = task.service.removeprefix("aws-sdk:")
        exchange = await exchanged(self._aws, task, botocore_name(service), self.failed, self._incomplete)
        return orjson.dumps(from_answer(exchange.model, exchange.answer)).decode()

    @staticmethod
    def failed(task: TaskCall, error: AwsCallFailed) -> TaskError:
        """The service's error as the task's."""
        service = class_name(error.service)
        name = error.shape or service
        if not name.endswith("Exception"):
            name = f"{name}Exception"
        request_id = error.metadata.get("RequestId", "") or str(uuid.uuid4())
        more = ""
        if error.service == "s3":
            extended = error.metadata.get("HostId", "") or error.metadata.get("HTTPHeaders", {}).get("x-amz-id-2", "")
            extended = extended or base64.b64encode(uuid.uuid4().bytes + uuid.uuid4().bytes).decode()
            more = f", Extended Request ID: {extended}"
        cause = f"{error.message} (Service: {service}, Status Code: {error.status}, Request ID: {request_id}{more})"
        return TaskError(f"{service}.{name}", cause)

    @staticmethod
    def _incomplete(task: TaskCall, service: str, member: str) -> AwsCallFailed:
        return incomplete(service, task.action, member)


def incomplete(service: str, operation: str, member: str) -> AwsCallFailed:
    """What a service of AWS's JSON protocols says of a parameter that is not there."""
    shown = member[:1].lower() + member[1:]
    message = (
        f"1 validation error detected: Value null at '{shown}' failed to satisfy constraint: Member must not be null"
    )
    return AwsCallFailed(service, operation, "ValidationException", 400, message)


async def exchanged(aws: AwsClients, task: TaskCall, service: str, failed: Any, incomplete: Any) -> Exchange:
    """Make the call. failed(task, AwsCallFailed) words an error of the service, incomplete(task, service, member) one
    for a parameter that is missing, before anything is sent. Raises TaskError."""

    def parameters(model: Any) -> dict[str, Any]:
        converted = to_parameters(model, task.parameters)
        if member := missing_member(model, converted):
            raise incomplete(task, service, member)
        return converted

    try:
        return await aws.exchange(
            service,
            task.action[:1].upper() + task.action[1:],
            account=task.account,
            region=task.region,
            role=task.role_arn,
            deadline=Deadline.after(LONGEST_S),
            parameters=parameters,
        )
    except UnsupportedField as exc:
        raise unusable(task, str(exc)) from exc
    except ServiceNotServed as exc:
        raise TaskError(f"{class_name(service)}.SdkClientException", exc.message) from exc
    except AwsUnreachable as exc:
        raise TaskError(
            f"{class_name(service)}.SdkClientException", f"Unable to execute HTTP request: {exc.message}"
        ) from exc
    except AwsCallFailed as exc:
        if exc.code == "UnknownOperation" and not task.service.startswith("aws-sdk:"):
            raise TaskError("States.Runtime", f"{task.service}:{task.action} is not available here.") from exc
        if exc.code in ("ParamValidationError", "UnknownOperation", "UnknownService"):
            raise unusable(task, exc.message) from exc
        raise failed(task, exc) from exc


def unusable(task: TaskCall, reason: str) -> TaskError:
    """The parameters can't be sent. No Retry or Catch takes it."""
    shown = orjson.dumps(task.parameters).decode()
    return TaskError("States.Runtime", f"The Parameters '{shown}' could not be used to start the Task: [{reason}]")


@functools.lru_cache(maxsize=512)
def botocore_name(service: str) -> str:
    """botocore's name of a service that Step Functions names as the SDK for Java does, without its hyphens."""
    name = service.lower()
    if name in _BOTOCORE_NAMES:
        return _BOTOCORE_NAMES[name]
    from botocore.loaders import Loader  # as in hearth.aws_clients: only a process that calls somebody pays for it

    known = {found.replace("-", ""): found for found in Loader().list_available_services("service-2")}
    return known.get(name, name)


@functools.lru_cache(maxsize=512)
def class_name(service: str) -> str:
    """The service in errors: `S3`, `Sfn`, `DynamoDb`, `SecretsManager`. service: botocore's name."""
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader

    try:
        metadata = Loader().load_service_model(service, "service-2")["metadata"]
    except UnknownServiceError:
        return service
    identifier = metadata.get("serviceId", service)
    return "".join(word[:1].upper() + word[1:].lower() for word in _WORDS.findall(identifier))
