"""The optimised integrations of SQS, SNS, EventBridge and DynamoDB: `sqs:sendMessage`, `events:putEvents` and so on.

They take the service's own parameters, JSON where the service wants text, and answer with the service's result and
SdkHttpMetadata; errors are named as the older SDK for Java names them. Texts as recorded from AWS.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import orjson

from hearth.aws_clients import AwsCallFailed, AwsClients
from orchestrator.integrations import TaskCall, TaskError, sdk_metadata
from orchestrator.integrations.aws_sdk import exchanged, incomplete

_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Style:
    """How one service's errors and metadata look."""

    #: before the dot of an error's name
    prefix: str
    #: what its errors call it
    service: str
    #: for errors that its model doesn't name
    general: str
    content_type: str = "application/x-amz-json-1.0"
    headers: tuple[tuple[str, str], ...] = (("connection", "keep-alive"),)


_SQS = Style("SQS", "AmazonSQS", "AmazonSQSException")
_SNS = Style("SNS", "AmazonSNS", "AmazonSNSException", content_type="text/xml")
_EVENTS = Style("EventBridge", "AmazonEventBridge", "AmazonEventBridgeException")
_DYNAMODB = Style(
    "DynamoDB",
    "AmazonDynamoDBv2",
    "AmazonDynamoDBException",
    headers=(("Server", "Server"), ("Connection", "keep-alive"), ("x-amz-crc32", "0")),
)


class Optimised:
    """One of the four. style: its looks; prepared: what becomes of the parameters before they are sent."""

    def __init__(
        self, aws: AwsClients, name: str, style: Style, prepared: Callable[[TaskCall], dict[str, Any]]
    ) -> None:
        self._aws = aws
        self._name = name
        self._style = style
        self._prepared = prepared

    async def call(self, task: TaskCall) -> str:
        task = dataclasses.replace(task, parameters=self._prepared(task))
        exchange = await exchanged(self._aws, task, self._name, self._failed, self._incomplete)
        answer = exchange.answer
        if self._name == "events":
            return _entries(answer)
        return orjson.dumps(answer | self._metadata(answer, exchange.metadata)).decode()

    def _metadata(self, answer: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
        request_id = metadata.get("RequestId", "") or str(uuid.uuid4())
        headers = {
            "x-amzn-RequestId": request_id,
            **dict(self._style.headers),
            "Content-Length": str(len(orjson.dumps(answer))),
            "Date": formatdate(usegmt=True),
            "Content-Type": self._style.content_type,
        }
        return sdk_metadata(request_id, headers)

    def _failed(self, task: TaskCall, error: AwsCallFailed) -> TaskError:
        style = self._style
        name = error.shape
        if name and not name.endswith("Exception"):
            name = f"{name}Exception"
        request_id = error.metadata.get("RequestId", "") or str(uuid.uuid4())
        cause = (
            f"{error.message} (Service: {style.service}; Status Code: {error.status}; Error Code: {error.code}; "
            f"Request ID: {request_id}; Proxy: null)"
        )
        return TaskError(f"{style.prefix}.{name or style.general}", cause)

    @staticmethod
    def _incomplete(task: TaskCall, service: str, member: str) -> AwsCallFailed:
        if service in ("sqs", "sns"):
            message = f"The request must contain the parameter {member}."
            return AwsCallFailed(service, task.action, "MissingParameter", 400, message)
        return incomplete(service, task.action, member)


def integrations(aws: AwsClients) -> dict[str, Optimised]:
    """By the service's name in resources."""
    return {
        "sqs": Optimised(aws, "sqs", _SQS, _message),
        "sns": Optimised(aws, "sns", _SNS, lambda task: task.parameters),
        "events": Optimised(aws, "events", _EVENTS, _with_resources),
        "dynamodb": Optimised(aws, "dynamodb", _DYNAMODB, _table),
    }


def _message(task: TaskCall) -> dict[str, Any]:
    url = str(task.parameters.get("QueueUrl", ""))
    if not urlsplit(url).hostname:
        raise TaskError("SQS.SdkClientException", f"Unable to execute HTTP request: {url}: Name or service not known")
    parameters = dict(task.parameters)
    if parameters.get("MessageBody") == "":  # as good as none
        del parameters["MessageBody"]
    return parameters


def _with_resources(task: TaskCall) -> dict[str, Any]:
    """Events carry the ARNs of the machine and the execution that they come from."""
    origin = [task.execution.machine_arn, task.execution.arn]
    entries = [
        entry | {"Resources": [*(entry.get("Resources") or []), *origin]} if isinstance(entry, dict) else entry
        for entry in task.parameters.get("Entries") or []
    ]
    return task.parameters | {"Entries": entries}


def _entries(answer: dict[str, Any]) -> str:
    """An entry that was refused fails the task."""
    shown = {"Entries": answer.get("Entries", []), "FailedEntryCount": answer.get("FailedEntryCount", 0)}
    text = orjson.dumps(shown).decode()
    if shown["FailedEntryCount"]:
        raise TaskError("EventBridge.FailedEntry", text)
    return text


def _table(task: TaskCall) -> dict[str, Any]:
    name = task.parameters.get("TableName")
    if isinstance(name, str) and not name.startswith("arn:") and not _TABLE_NAME.fullmatch(name):
        message = (
            f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9_.-]+ (Service: AmazonDynamoDBv2; Status Code: 400; Error "
            f"Code: ValidationException; Request ID: {uuid.uuid4()}; Proxy: null)"
        )
        raise TaskError("DynamoDB.AmazonDynamoDBException", message)
    return task.parameters
