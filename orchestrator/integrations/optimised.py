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
        name, message = error.shape, error.message
        if error.code == "NotFound" and "TopicArn" in task.parameters:
            message = "Topic does not exist"  # the one thing that can be missing
        if name and not name.endswith("Exception"):
            name = f"{name}Exception"
        request_id = error.metadata.get("RequestId", "") or str(uuid.uuid4())
        cause = (
            f"{message} (Service: {style.service}; Status Code: {error.status}; Error Code: {error.code}; "
            f"Request ID: {request_id}; Proxy: null)"
        )
        return TaskError(f"{style.prefix}.{name or style.general}", cause)

    @staticmethod
    def _incomplete(task: TaskCall, service: str, member: str) -> AwsCallFailed:
        if service in ("sqs", "sns"):
            message = f"The request must contain the parameter {member}."
            return AwsCallFailed(service, task.action, "MissingParameter", 400, message)
        return incomplete(service, task.action, member)


class PutEvents(Optimised):
    """`events:putEvents`: an entry that is refused fails the task, with all entries' results as its cause."""

    async def call(self, task: TaskCall) -> str:
        entries = task.parameters.get("Entries") or []
        refused = {index: problem for index, entry in enumerate(entries) if (problem := _entry_problem(entry))}
        sent = [entry for index, entry in enumerate(entries) if index not in refused]
        results: list[dict[str, Any]] = []
        failed = len(refused)
        if sent or not entries:
            accepted = dataclasses.replace(task, parameters=_with_resources(task, sent))
            exchange = await exchanged(self._aws, accepted, self._name, self._failed, self._incomplete)
            results = list(exchange.answer.get("Entries", []))
            failed += exchange.answer.get("FailedEntryCount", 0)
        for index, problem in refused.items():  # in the order of their entries
            results.insert(index, problem)
        text = orjson.dumps({"Entries": results, "FailedEntryCount": failed}).decode()
        if failed:
            raise TaskError("EventBridge.FailedEntry", text)
        return text


def integrations(aws: AwsClients) -> dict[str, Optimised]:
    """By the service's name in resources."""
    return {
        "sqs": Optimised(aws, "sqs", _SQS, _message),
        "sns": Optimised(aws, "sns", _SNS, _notification),
        "events": PutEvents(aws, "events", _EVENTS, lambda task: task.parameters),
        "dynamodb": Optimised(aws, "dynamodb", _DYNAMODB, _table),
    }


def _message(task: TaskCall) -> dict[str, Any]:
    url = str(task.parameters.get("QueueUrl", ""))
    if not urlsplit(url).hostname:
        raise TaskError("SQS.SdkClientException", f"Unable to execute HTTP request: {url}: Name or service not known")
    parameters = dict(task.parameters)
    if parameters.get("MessageBody") in ("", None):  # as good as none
        parameters.pop("MessageBody", None)
    return parameters


def _notification(task: TaskCall) -> dict[str, Any]:
    topic = str(task.parameters.get("TopicArn", ""))
    if topic.endswith(".fifo") and not task.parameters.get("MessageGroupId"):
        message = (
            "Invalid parameter: The MessageGroupId parameter is required for FIFO topics (Service: AmazonSNS; Status "
            f"Code: 400; Error Code: InvalidParameter; Request ID: {uuid.uuid4()}; Proxy: null)"
        )
        raise TaskError("SNS.InvalidParameterException", message)
    return task.parameters


def _entry_problem(entry: Any) -> dict[str, str] | None:
    """Why EventBridge would refuse an entry by itself."""
    if not isinstance(entry, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    for member in ("Source", "DetailType"):
        if not entry.get(member):
            text = f"Parameter {member} is not valid. Reason: {member} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
    detail = entry.get("Detail")
    if isinstance(detail, str):
        try:
            detail = orjson.loads(detail)
        except orjson.JSONDecodeError:
            detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return None


def _with_resources(task: TaskCall, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Events carry the ARNs of the machine and the execution that they come from."""
    origin = [task.execution.machine_arn, task.execution.arn]
    sent = [entry | {"Resources": [*(entry.get("Resources") or []), *origin]} for entry in entries]
    return task.parameters | {"Entries": sent}


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
