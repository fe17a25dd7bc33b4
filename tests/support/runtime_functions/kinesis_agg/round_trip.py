"""Put records in AWS's aggregated form, read them back and take them apart; argument: a stream. Prints JSON."""

import base64
import json
import sys

import boto3
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

stream = sys.argv[1]
kinesis = boto3.client("kinesis")
put = 0


def send(aggregate):
    global put
    key, _, data = aggregate.get_contents()
    kinesis.put_record(StreamName=stream, Data=data, PartitionKey=key)
    put += 1


aggregator = RecordAggregator(max_size=4096)
for number in range(500):
    if full := aggregator.add_user_record(f"key-{number % 7}", f"record {number}".encode()):
        send(full)
send(aggregator.clear_and_get())

found = []
for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
    at = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    records = kinesis.get_records(ShardIterator=at)["Records"]
    for record in iter_deaggregate_records(records, data_format="Boto3"):
        found.append([record["kinesis"]["partitionKey"], base64.b64decode(record["kinesis"]["data"]).decode()])
print(json.dumps({"put": put, "found": found}))
