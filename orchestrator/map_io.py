"""A distributed Map's files: its items read from S3 (ItemReader), its children's results written there (ResultWriter).

Both may be done twice: reading changes nothing, and a result file is written over with the same content.
"""

from __future__ import annotations

from typing import Any

import orjson

from hearth.asl import errors
from hearth.asl.scope import Json
from hearth.aws_clients import AwsCallFailed, AwsClients, AwsUnreachable, ServiceNotServed
from hearth.clock import Deadline
from hearth.model.workflow_arn import parse_workflow_arn
from hearth.store.executions import ExecutionTable, Stored
from orchestrator import map_items, map_results
from orchestrator.core import signals
from orchestrator.map_items import UnreadableItems
from orchestrator.orders import Order

#: one call of S3; a file may be large
_CALL_S = 60.0
_PAGE = 500


class MapFiles:
    def __init__(self, aws: AwsClients, executions: ExecutionTable) -> None:
        self._aws = aws
        self._executions = executions

    async def perform(self, order: Order, *, account: str, region: str, role: str) -> signals.Signal:
        """An order of a map run: read its items, or write its results."""
        s3 = _S3(self._aws, account, region, role)
        if order.more["writer"] is not None:
            try:
                output = await self._write(s3, order)
            except _Failed as exc:
                return signals.MapRunFailed(order.task_id, errors.RESULT_WRITER_FAILED, str(exc))
            return signals.ResultsWritten(order.task_id, output)
        try:
            items, source = await _read(s3, order.more["reader"])
        except (_Failed, UnreadableItems) as exc:
            return signals.MapRunFailed(order.task_id, errors.ITEM_READER_FAILED, str(exc))
        if isinstance(items, dict):
            return signals.ItemsRead(order.task_id, list(items.values()), source, list(items))
        return signals.ItemsRead(order.task_id, items, source)

    async def _write(self, s3: _S3, order: Order) -> str:
        writer, run_arn = order.more["writer"], order.more["map_run"]
        run = parse_workflow_arn(run_arn)
        assert run is not None
        bucket = writer["Parameters"].get("Bucket", "")
        prefix = writer["Parameters"].get("Prefix", "").strip("/")
        folder = f"{prefix}/{run.rest}" if prefix else run.rest
        files: dict[str, tuple[str, int]] = {}
        extension = "jsonl" if writer["WriterConfig"].get("OutputType") == "JSONL" else "json"
        contents = map_results.result_files(await self._children(run_arn), writer["WriterConfig"])
        for kind, content in contents.items():
            key = f"{folder}/{kind}_0.{extension}"
            await s3.call("PutObject", Bucket=bucket, Key=key, Body=content)
            files[kind] = key, len(content)
        key = f"{folder}/manifest.json"
        await s3.call("PutObject", Bucket=bucket, Key=key, Body=map_results.manifest(bucket, run_arn, files))
        details = {"MapRunArn": run_arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}
        return orjson.dumps(details).decode()

    async def _children(self, run_arn: str) -> list[Stored]:
        """In the order of their items."""
        children: list[Stored] = []
        more = True
        while more:
            page, more = await self._executions.page(run_arn, "", len(children), _PAGE)
            children += page
        return sorted(children, key=lambda child: int(child.execution.parent.get("index", 0)))


class _Failed(Exception):
    """S3 has refused or not answered."""


class _S3:
    def __init__(self, aws: AwsClients, account: str, region: str, role: str) -> None:
        self._aws = aws
        self._caller = {"account": account, "region": region, "role": role}

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Raises _Failed."""
        deadline = Deadline.after(_CALL_S)
        try:
            return await self._aws.call("s3", operation, deadline=deadline, **self._caller, **parameters)
        except (AwsCallFailed, AwsUnreachable, ServiceNotServed) as exc:
            raise _Failed(exc.message) from exc

    async def get(self, bucket: str, key: str, **more: Any) -> bytes:
        answer = await self.call("GetObject", Bucket=bucket, Key=key, **more)
        body: bytes = answer["Body"]
        return body

    async def list(self, bucket: str, prefix: str, most: int) -> list[dict[str, Any]]:
        """Entries of ListObjectsV2; most: 0 for all."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {"Prefix": prefix} if prefix else {}
        while True:
            answer = await self.call("ListObjectsV2", Bucket=bucket, **more)
            found += answer.get("Contents", [])
            if not answer.get("IsTruncated") or (most and len(found) >= most):
                return found[:most] if most else found
            more["ContinuationToken"] = answer["NextContinuationToken"]


async def _read(s3: _S3, reader: dict[str, Any]) -> tuple[list[Json] | dict[str, Json], str]:
    """(items, or an object whose members they are; URI of where they come from). Raises _Failed, UnreadableItems."""
    config, given = reader["ReaderConfig"], dict(reader["Parameters"])
    bucket = given.pop("Bucket", "")
    if reader["Resource"].endswith(":listObjectsV2"):
        prefix = given.get("Prefix", "")
        flatten = config.get("Transformation") == "LOAD_AND_FLATTEN"
        entries = await s3.list(bucket, prefix, 0 if flatten else config.get("MaxItems") or 0)
        uri = f"s3://{bucket}/{prefix}"
        if not flatten:
            return [map_items.listed_object(entry) for entry in entries], uri
        names = [(bucket, entry["Key"]) for entry in entries]
        return await _all(s3, names, config), uri
    key = given.pop("Key", "")
    uri = f"s3://{bucket}/{key}"
    data = await s3.get(bucket, key, **given)
    if config.get("InputType") == "MANIFEST":
        return await _manifest(s3, bucket, data, config), uri
    return map_items.contents_of(data, config), uri


async def _manifest(s3: _S3, bucket: str, data: bytes, config: dict[str, Any]) -> list[Json]:
    if config.get("ManifestType") == "ATHENA_DATA":
        names = [_bucket_and_key(uri) for uri in map_items.athena_files(data)]
        return await _all(s3, names, config | {"InputType": "CSV"})
    keys, own = map_items.inventory_files(data)
    return await _all(s3, [(bucket, key) for key in keys], config | own)


async def _all(s3: _S3, names: list[tuple[str, str]], config: dict[str, Any]) -> list[Json]:
    """The items of many files, one after the other until there are enough."""
    most = config.get("MaxItems") or 0
    items: list[Json] = []
    for bucket, key in names:
        items += map_items.items_of(await s3.get(bucket, key), config)
        if most and len(items) >= most:
            break
    return map_items.limited(items, config)


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key
