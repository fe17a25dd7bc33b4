"""What policies see of calls about streams and tables: actions and ARNs; calls about several tables have several. Pure.

Source: Service Authorization Reference, Amazon Kinesis Data Streams and Amazon DynamoDB.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

#: operations of DynamoDB about many tables -> where they name them
_TRANSACTED = {"ConditionCheck": "ConditionCheckItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
_ARNS = ("StreamARN", "StreamArn", "ConsumerARN", "ResourceARN", "ResourceArn")


def subjects(service: str, operation: str, given: dict[str, Any], account: str, region: str) -> list[tuple[str, str]]:
    """(action, ARN) of each thing that a call of `kinesis` or `dynamodb` is about; `*` where it is about none."""
    if service == "dynamodb":
        return sorted(set(_of_tables(operation, given, f"arn:aws:dynamodb:{region}:{account}:table")))
    return [(f"kinesis:{operation}", _of_stream(given, f"arn:aws:kinesis:{region}:{account}:stream"))]


def _of_tables(operation: str, given: dict[str, Any], where: str) -> Iterable[tuple[str, str]]:
    def arn(table: str) -> str:
        return table if table.startswith("arn:") else f"{where}/{table}"

    if operation == "TransactWriteItems":
        for one in given.get("TransactItems", []):
            for kind, members in one.items():
                yield f"dynamodb:{_TRANSACTED[kind]}", arn(members["TableName"])
    elif operation == "TransactGetItems":
        for one in given.get("TransactItems", []):
            yield "dynamodb:GetItem", arn(one["Get"]["TableName"])
    elif "RequestItems" in given:
        for table in given["RequestItems"]:
            yield f"dynamodb:{operation}", arn(table)
    elif (table := given.get("TableName")) is not None:
        # the streams of a table are what lies below it
        yield f"dynamodb:{operation}", arn(table) + ("/stream/*" if operation == "ListStreams" else "")
    else:
        yield f"dynamodb:{operation}", _arn(given) or str(given.get("ShardIterator", "*")).partition("|")[0]


def _of_stream(given: dict[str, Any], where: str) -> str:
    if (token := given.get("ShardIterator")) is not None:  # this is what is read, whatever else is named
        return _stream_of_iterator(token)
    if (arn := _arn(given)) is not None:
        return arn
    if (name := given.get("StreamName")) is not None:
        return f"{where}/{name}"
    return "*"


def _arn(given: dict[str, Any]) -> str | None:
    return next((str(given[member]) for member in _ARNS if member in given), None)


def _stream_of_iterator(token: str) -> str:
    """As it says; whether it is genuine is seen where it is read."""
    try:
        account, region, name, *_ = base64.b64decode(token)[16:].decode().split("|")
    except ValueError:
        return "*"
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"
