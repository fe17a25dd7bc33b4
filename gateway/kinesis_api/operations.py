"""Which function carries out which operation of Kinesis."""

from __future__ import annotations

from gateway.call import Operation
from gateway.kinesis_api import consumers, records, shards, streams, subscriptions

OPERATIONS: dict[str, Operation] = {
    "AddTagsToStream": consumers.add_tags_to_stream,
    "CreateStream": streams.create_stream,
    "DecreaseStreamRetentionPeriod": streams.decrease_stream_retention_period,
    "DeleteResourcePolicy": streams.delete_resource_policy,
    "DeleteStream": streams.delete_stream,
    "DeregisterStreamConsumer": consumers.deregister_stream_consumer,
    "DescribeLimits": streams.describe_limits,
    "DescribeStream": streams.describe_stream,
    "DescribeStreamConsumer": consumers.describe_stream_consumer,
    "DescribeStreamSummary": streams.describe_stream_summary,
    "DisableEnhancedMonitoring": streams.disable_enhanced_monitoring,
    "EnableEnhancedMonitoring": streams.enable_enhanced_monitoring,
    "GetRecords": records.get_records,
    "GetResourcePolicy": streams.get_resource_policy,
    "GetShardIterator": records.get_shard_iterator,
    "IncreaseStreamRetentionPeriod": streams.increase_stream_retention_period,
    "ListShards": shards.list_shards,
    "ListStreamConsumers": consumers.list_stream_consumers,
    "ListStreams": streams.list_streams,
    "ListTagsForResource": consumers.list_tags_for_resource,
    "ListTagsForStream": consumers.list_tags_for_stream,
    "MergeShards": shards.merge_shards,
    "PutRecord": records.put_record,
    "PutRecords": records.put_records,
    "PutResourcePolicy": streams.put_resource_policy,
    "RegisterStreamConsumer": consumers.register_stream_consumer,
    "RemoveTagsFromStream": consumers.remove_tags_from_stream,
    "SplitShard": shards.split_shard,
    "StartStreamEncryption": streams.start_stream_encryption,
    "StopStreamEncryption": streams.stop_stream_encryption,
    "SubscribeToShard": subscriptions.subscribe_to_shard,
    "TagResource": consumers.tag_resource,
    "UntagResource": consumers.untag_resource,
    "UpdateMaxRecordSize": streams.update_max_record_size,
    "UpdateShardCount": shards.update_shard_count,
    "UpdateStreamMode": streams.update_stream_mode,
}
