"""Which function carries out which operation of DynamoDB."""

from __future__ import annotations

from gateway.call import Operation
from gateway.dynamodb_api import batches, items, queries, tables

OPERATIONS: dict[str, Operation] = {
    "BatchGetItem": batches.batch_get_item,
    "BatchWriteItem": batches.batch_write_item,
    "CreateTable": tables.create_table,
    "DeleteItem": items.delete_item,
    "DeleteTable": tables.delete_table,
    "DescribeContinuousBackups": tables.describe_continuous_backups,
    "DescribeTable": tables.describe_table,
    "DescribeTimeToLive": tables.describe_time_to_live,
    "GetItem": items.get_item,
    "ListTables": tables.list_tables,
    "ListTagsOfResource": tables.list_tags_of_resource,
    "PutItem": items.put_item,
    "Query": queries.query,
    "Scan": queries.scan,
    "TagResource": tables.tag_resource,
    "TransactGetItems": batches.transact_get_items,
    "TransactWriteItems": batches.transact_write_items,
    "UntagResource": tables.untag_resource,
    "UpdateItem": items.update_item,
    "UpdateTable": tables.update_table,
}
