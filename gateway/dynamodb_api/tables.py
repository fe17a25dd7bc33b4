"""Tables: made, described, changed, deleted, listed.

What AWS does in the background is done when the call returns: a table is ACTIVE when it is described, though the answer
of the call that made it says CREATING, as AWS's does.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from gateway.call import Call
from gateway.dynamodb_api.found import change, check_name, in_use, table_of
from hearth.clock import now_ms
from hearth.errors import ValidationFailed
from hearth.model.change import ChangeStream
from hearth.model.table import ON_DEMAND, PROVISIONED, KeyAttribute, Table

_WRONG = "One or more parameter values were invalid: "
_NAMES_AT_ONCE = 100
MAX_TAGS = 50
#: what AWS says of every new table on demand; nothing is limited here
ON_DEMAND_READS, ON_DEMAND_WRITES = 12_000, 4_000
#: of CreateTable and UpdateTable, with what they would need
_NOT_OFFERED = (
    "GlobalSecondaryIndexUpdates",
    "GlobalSecondaryIndexes",
    "GlobalTableSourceArn",
    "LocalSecondaryIndexes",
    "ReplicaUpdates",
    "VectorIndexUpdates",
    "VectorIndexes",
)


async def create_table(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    check_name(given["TableName"])
    _refuse(given)
    hash_key, range_key = _key_of(given)
    billing = given.get("BillingMode", PROVISIONED)
    read_units, write_units = _throughput(billing, given.get("ProvisionedThroughput"))
    table = Table(
        account=call.caller.account,
        region=call.caller.region,
        name=given["TableName"],
        id=str(uuid.uuid4()),
        created_at_ms=now_ms(),
        hash_key=hash_key,
        range_key=range_key,
        billing=billing,
        on_demand_since_ms=now_ms() if billing == ON_DEMAND else 0,
        read_units=read_units,
        write_units=write_units,
        protected=given.get("DeletionProtectionEnabled", False),
        table_class=given.get("TableClass", ""),
        tags={tag["Key"]: tag["Value"] for tag in given.get("Tags", [])},
    )
    if (view := _wanted_view(given.get("StreamSpecification"))) is not None:
        table = _streaming(table, view)
    if not await call.backends.tables.write(table, read=None):
        raise in_use(f"Table already exists: {table.name}")
    shown = described(table, (0, 0), "CREATING")
    del shown["WarmThroughput"]  # as recorded from AWS
    return {"TableDescription": shown}


def _refuse(given: dict[str, Any]) -> None:
    if found := [member for member in _NOT_OFFERED if given.get(member)]:
        raise ValidationFailed(
            f"{', '.join(found)}: not offered by Hearth's own tables. A server that offers them can be named: "
            "HEARTH_AWS_ENDPOINTS=dynamodb=http://HOST:PORT"
        )


def _key_of(given: dict[str, Any]) -> tuple[KeyAttribute, KeyAttribute | None]:
    kinds = {one["AttributeName"]: one["AttributeType"] for one in given.get("AttributeDefinitions", [])}
    schema = given.get("KeySchema", [])
    if not schema or schema[0]["KeyType"] != "HASH":
        raise ValidationFailed("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(schema) > 1 and schema[1]["KeyType"] != "RANGE":
        raise ValidationFailed("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    names = [one["AttributeName"] for one in schema]
    if len(set(names)) < len(names):
        raise ValidationFailed("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if missing := [name for name in names if name not in kinds]:
        raise ValidationFailed(
            f"{_WRONG}Some index key attributes are not defined in AttributeDefinitions. Keys: "
            f"[{', '.join(missing)}], AttributeDefinitions: [{', '.join(kinds)}]"
        )
    if len(kinds) > len(names):
        raise ValidationFailed(
            f"{_WRONG}Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    keys = [KeyAttribute(name, kinds[name]) for name in names]
    return keys[0], keys[1] if len(keys) > 1 else None


def _throughput(billing: str, given: dict[str, int] | None) -> tuple[int, int]:
    if billing == ON_DEMAND:
        if given:
            raise ValidationFailed(
                f"{_WRONG}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                "PAY_PER_REQUEST"
            )
        return 0, 0
    if not given:
        raise ValidationFailed(
            f"{_WRONG}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    return given["ReadCapacityUnits"], given["WriteCapacityUnits"]


def _wanted_view(specification: dict[str, Any] | None) -> str | None:
    """None: no stream is wanted."""
    if specification is None:
        return None
    enabled, view = specification["StreamEnabled"], specification.get("StreamViewType")
    if not enabled:
        if view is not None:
            raise ValidationFailed(f"{_WRONG}StreamViewType cannot be specified when StreamEnabled is false")
        return None
    if view is None:
        raise ValidationFailed(f"{_WRONG}StreamViewType is required when StreamEnabled is true")
    return str(view)


def _streaming(table: Table, view: str) -> Table:
    stream = ChangeStream.opened(table.account, table.region, table.name, view, table.key_schema, now_ms())
    return dataclasses.replace(table, stream=stream, latest_stream=stream.arn)


async def describe_table(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    table = (await table_of(call, given["TableName"])).table
    return {"Table": described(table, await call.backends.tables.sizes(table), "ACTIVE")}


async def update_table(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    _refuse(given)
    changes = ("BillingMode", "ProvisionedThroughput", "StreamSpecification", "TableClass", "DeletionProtectionEnabled")
    if not any(member in given for member in changes):
        raise ValidationFailed(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    view = _wanted_view(given.get("StreamSpecification"))

    def updated(table: Table) -> Table:
        billing = given.get("BillingMode", table.billing)
        throughput = given.get("ProvisionedThroughput")
        if throughput is None and billing == table.billing:
            units = table.read_units, table.write_units
        else:
            units = _throughput(billing, throughput)
        table = dataclasses.replace(
            table,
            billing=billing,
            on_demand_since_ms=table.on_demand_since_ms if billing == table.billing else now_ms(),
            read_units=units[0],
            write_units=units[1],
            protected=given.get("DeletionProtectionEnabled", table.protected),
            table_class=given.get("TableClass", table.table_class),
        )
        if "StreamSpecification" not in given:
            return table
        if view is None:
            if table.stream is None:
                raise ValidationFailed("Table has no enabled stream to disable")
            return dataclasses.replace(table, stream=None)
        if table.stream is not None:
            raise ValidationFailed(f"Table already has an enabled stream: {table.stream.arn}")
        return _streaming(table, view)

    table = await change(call, given["TableName"], updated)
    return {"TableDescription": described(table, await call.backends.tables.sizes(table), "UPDATING")}


async def delete_table(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    while True:
        read = await table_of(call, given["TableName"])
        table = read.table
        if table.protected:
            raise ValidationFailed(
                "Resource cannot be deleted as it is currently protected against deletion. "
                "Disable deletion protection first."
            )
        sizes = await call.backends.tables.sizes(table)
        closed = table.stream.closed(now_ms()) if table.stream else None
        if await call.backends.tables.delete(read, closed=closed):
            shown = described(table, sizes, "DELETING")
            # recorded from AWS
            for member in ("AttributeDefinitions", "CreationDateTime", "KeySchema", "WarmThroughput"):
                del shown[member]
            return {"TableDescription": shown}


async def list_tables(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    limit, after = given.get("Limit", _NAMES_AT_ONCE), given.get("ExclusiveStartTableName", "")
    names = await call.backends.tables.names(call.caller.account, call.caller.region, after)
    answer: dict[str, Any] = {"TableNames": names[:limit]}
    return {**answer, "LastEvaluatedTableName": names[limit - 1]} if len(names) > limit else answer


async def tag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    new = {tag["Key"]: tag["Value"] for tag in given["Tags"]}

    def tagged(table: Table) -> Table:
        tags = table.tags | new
        if len(tags) > MAX_TAGS:
            raise ValidationFailed(f"{_WRONG}Tag count exceeds the limit of {MAX_TAGS}")
        return dataclasses.replace(table, tags=tags)

    await change(call, given["ResourceArn"], tagged)
    return {}


async def untag_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    gone = set(given["TagKeys"])

    def untagged(table: Table) -> Table:
        return dataclasses.replace(table, tags={key: one for key, one in table.tags.items() if key not in gone})

    await change(call, given["ResourceArn"], untagged)
    return {}


async def list_tags_of_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    table = (await table_of(call, given["ResourceArn"])).table
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(table.tags.items())]}


async def describe_time_to_live(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Asked by every tool that describes a table; items' expiry can't be switched on here."""
    await table_of(call, given["TableName"])
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}


async def describe_continuous_backups(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """As `describe_time_to_live`."""
    await table_of(call, given["TableName"])
    recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": recovery,
        }
    }


def described(table: Table, sizes: tuple[int, int], status: str) -> dict[str, Any]:
    """sizes: (items, bytes)."""
    shown: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": key.name, "AttributeType": key.kind} for key in sorted(table.keys)],
        "TableName": table.name,
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in table.key_schema],
        "TableStatus": status,
        "CreationDateTime": table.created_at_ms / 1000,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": table.read_units,
            "WriteCapacityUnits": table.write_units,
        },
        "TableSizeBytes": sizes[1],
        "ItemCount": sizes[0],
        "TableArn": table.arn,
        "TableId": table.id,
        "DeletionProtectionEnabled": table.protected,
        "WarmThroughput": {
            "ReadUnitsPerSecond": table.read_units or ON_DEMAND_READS,
            "Status": "ACTIVE",
            "WriteUnitsPerSecond": table.write_units or ON_DEMAND_WRITES,
        },
    }
    if table.billing == ON_DEMAND:
        since = table.on_demand_since_ms / 1000
        shown["BillingModeSummary"] = {"BillingMode": ON_DEMAND, "LastUpdateToPayPerRequestDateTime": since}
    if table.table_class:
        shown["TableClassSummary"] = {"TableClass": table.table_class}
    if table.stream is not None:
        shown["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view}
    if table.latest_stream:
        shown["LatestStreamArn"] = table.latest_stream
        shown["LatestStreamLabel"] = table.latest_stream.rpartition("/")[2]
    return shown
