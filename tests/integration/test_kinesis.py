"""Kinesis data streams with boto3 against the whole platform."""

from __future__ import annotations

import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from hearth.model.stream import hash_key_of
from tests.support.stack import PlatformStack

ACCOUNT = "000000000000"


@pytest.fixture
def kinesis(stack: PlatformStack) -> Any:
    return stack.client("kinesis")


@pytest.fixture
def name(kinesis: Any) -> Iterator[str]:
    """A stream with two shards."""
    name = f"stream-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    yield name
    if name in kinesis.list_streams(Limit=1000)["StreamNames"]:
        kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def iterator(kinesis: Any, name: str, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
    given = {"StreamName": name, "ShardId": shard, "ShardIteratorType": kind} | more
    return str(kinesis.get_shard_iterator(**given)["ShardIterator"])


def all_of(kinesis: Any, name: str, shard: str, limit: int = 10_000) -> list[dict[str, Any]]:
    """The shard's records up to its tip or end."""
    records, at = [], iterator(kinesis, name, shard)
    while True:
        answer = kinesis.get_records(ShardIterator=at, Limit=limit)
        records += answer["Records"]
        if answer["MillisBehindLatest"] == 0:
            return records
        at = answer["NextShardIterator"]


def test_records_lie_in_the_shard_of_their_key_in_the_order_of_their_puts(kinesis: Any, name: str) -> None:
    numbers: dict[str, list[str]] = {}
    for count in range(10):
        answer = kinesis.put_record(StreamName=name, Data=b"%d" % count, PartitionKey=f"key-{count}")
        numbers.setdefault(answer["ShardId"], []).append(answer["SequenceNumber"])
        upper = hash_key_of(f"key-{count}") >= 2**127
        assert answer["ShardId"] == f"shardId-00000000000{int(upper)}"
    assert len(numbers) == 2
    for shard, put in numbers.items():
        records = all_of(kinesis, name, shard, limit=3)
        assert [record["SequenceNumber"] for record in records] == put == sorted(put, key=int)
        assert all(record["PartitionKey"] == f"key-{record['Data'].decode()}" for record in records)
        assert abs(records[-1]["ApproximateArrivalTimestamp"].timestamp() - time.time()) < 60


def test_many_records_at_once_keep_their_order_and_are_read_in_pages(kinesis: Any, name: str) -> None:
    for start in range(0, 1500, 500):
        batch = [{"Data": b"%d" % n, "PartitionKey": "same"} for n in range(start, start + 500)]
        answer = kinesis.put_records(StreamName=name, Records=batch)
        assert answer["FailedRecordCount"] == 0
        assert len({one["SequenceNumber"] for one in answer["Records"]}) == 500
    shard = answer["Records"][0]["ShardId"]
    assert [int(record["Data"]) for record in all_of(kinesis, name, shard)] == list(range(1500))
    first = kinesis.get_records(ShardIterator=iterator(kinesis, name, shard), Limit=600)
    assert len(first["Records"]) == 600
    assert first["MillisBehindLatest"] >= 0
    second = kinesis.get_records(ShardIterator=first["NextShardIterator"], Limit=10_000)
    assert int(second["Records"][0]["Data"]) == 600


def test_a_page_ends_at_ten_megabytes(kinesis: Any, name: str) -> None:
    for _ in range(12):
        kinesis.put_record(StreamName=name, Data=b"x" * 1_000_000, PartitionKey="k", ExplicitHashKey="0")
    page = kinesis.get_records(ShardIterator=iterator(kinesis, name, "shardId-000000000000"))
    assert len(page["Records"]) == 10
    rest = kinesis.get_records(ShardIterator=page["NextShardIterator"])
    assert (len(rest["Records"]), rest["MillisBehindLatest"]) == (2, 0)


def test_reading_starts_where_the_iterator_says(kinesis: Any, name: str) -> None:
    shard = "shardId-000000000001"
    put = {"StreamName": name, "PartitionKey": "k", "ExplicitHashKey": str(2**128 - 1)}
    first = kinesis.put_record(Data=b"1", **put)["SequenceNumber"]
    time.sleep(0.02)
    between = time.time()
    time.sleep(0.02)
    second = kinesis.put_record(Data=b"2", **put)["SequenceNumber"]
    latest = iterator(kinesis, name, shard, "LATEST")
    kinesis.put_record(Data=b"3", SequenceNumberForOrdering=second, **put)

    def read(kind: str, **more: Any) -> list[bytes]:
        records = kinesis.get_records(ShardIterator=iterator(kinesis, name, shard, kind, **more))["Records"]
        return [record["Data"] for record in records]

    assert read("TRIM_HORIZON") == [b"1", b"2", b"3"]
    assert read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=first) == [b"1", b"2", b"3"]
    assert read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first) == [b"2", b"3"]
    assert read("AT_TIMESTAMP", Timestamp=between) == [b"2", b"3"]
    assert [record["Data"] for record in kinesis.get_records(ShardIterator=latest)["Records"]] == [b"3"]
    described = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"][1]
    start = described["SequenceNumberRange"]["StartingSequenceNumber"]
    assert read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=start) == [b"1", b"2", b"3"]


def test_a_split_shard_is_read_to_its_end_and_names_its_children(kinesis: Any, name: str) -> None:
    kinesis.put_record(StreamName=name, Data=b"before", PartitionKey="k", ExplicitHashKey="5")
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-0", NewStartingHashKey="10")
    after = kinesis.put_record(StreamName=name, Data=b"after", PartitionKey="k", ExplicitHashKey="5")
    assert after["ShardId"] == "shardId-000000000002"
    page = kinesis.get_records(ShardIterator=iterator(kinesis, name, "shardId-000000000000"))
    assert [record["Data"] for record in page["Records"]] == [b"before"]
    assert "NextShardIterator" not in page
    assert page["ChildShards"] == [
        {
            "ShardId": "shardId-000000000002",
            "ParentShards": ["shardId-000000000000"],
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
        },
        {
            "ShardId": "shardId-000000000003",
            "ParentShards": ["shardId-000000000000"],
            "HashKeyRange": {"StartingHashKey": "10", "EndingHashKey": str(2**127 - 1)},
        },
    ]
    kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000003", AdjacentShardToMerge="shardId-000000000001"
    )
    shards = kinesis.list_shards(StreamName=name)["Shards"]
    assert shards[4]["ParentShardId"] == "shardId-000000000003"
    assert shards[4]["AdjacentParentShardId"] == "shardId-000000000001"
    assert [shard["ShardId"][-1] for shard in shards if "EndingSequenceNumber" in shard["SequenceNumberRange"]] == [
        "0",
        "1",
        "3",
    ]
    latest = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert [shard["ShardId"][-1] for shard in latest] == ["2", "4"]
    grown = kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert (grown["CurrentShardCount"], grown["TargetShardCount"]) == (2, 4)
    assert kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"] == 4


def test_shards_are_listed_in_pages(kinesis: Any, name: str) -> None:
    kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    whole = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=name)["Shards"]]
    paged: list[str] = []
    answer = kinesis.list_shards(StreamName=name, MaxResults=4)
    while True:
        paged += [shard["ShardId"] for shard in answer["Shards"]]
        if "NextToken" not in answer:
            break
        answer = kinesis.list_shards(NextToken=answer["NextToken"], MaxResults=4)
    assert paged == whole == sorted(whole)


def test_subscription_pushes_what_is_there_and_what_comes(kinesis: Any, name: str) -> None:
    stream = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    registered = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName="fan")["Consumer"]
    put = {"StreamName": name, "PartitionKey": "k", "ExplicitHashKey": "0"}
    kinesis.put_record(Data=b"1", **put)
    events = iter(
        kinesis.subscribe_to_shard(
            ConsumerARN=registered["ConsumerARN"],
            ShardId="shardId-000000000000",
            StartingPosition={"Type": "TRIM_HORIZON"},
        )["EventStream"]
    )
    first = next(events)["SubscribeToShardEvent"]
    assert [record["Data"] for record in first["Records"]] == [b"1"]
    kinesis.put_record(Data=b"2", **put)
    second = next(events)["SubscribeToShardEvent"]
    assert [record["Data"] for record in second["Records"]] == [b"2"]
    assert second["ContinuationSequenceNumber"] == second["Records"][0]["SequenceNumber"]
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey="10")
    last = next(event for event in events if "ChildShards" in event["SubscribeToShardEvent"])
    assert len(last["SubscribeToShardEvent"]["ChildShards"]) == 2
    assert list(events) == []


def test_clients_that_speak_cbor_get_cbor(stack: PlatformStack, kinesis: Any, name: str) -> None:
    def ask(operation: str, given: dict[str, Any]) -> tuple[int, Any]:
        request = AWSRequest("POST", f"{stack.endpoint}/", data=cbor2.dumps(given))
        request.headers["X-Amz-Target"] = f"Kinesis_20131202.{operation}"
        request.headers["Content-Type"] = "application/x-amz-cbor-1.1"
        SigV4Auth(Credentials("test", "test"), "kinesis", "us-east-1").add_auth(request)
        sent = urllib.request.Request(request.url, data=request.data, headers=dict(request.headers), method="POST")
        try:
            with urllib.request.urlopen(sent, timeout=10) as answer:
                assert answer.headers["content-type"] == "application/x-amz-cbor-1.1"
                body = answer.read()
                return answer.status, cbor2.loads(body, semantic_decoders={1: lambda one, _: one}) if body else {}
        except urllib.error.HTTPError as exc:
            return exc.code, cbor2.loads(exc.read())

    data = bytes(range(256))
    status, put = ask("PutRecord", {"StreamName": name, "Data": data, "PartitionKey": "k", "ExplicitHashKey": "0"})
    assert (status, put["ShardId"]) == (200, "shardId-000000000000")
    at = cbor2.CBORTag(1, round(time.time() * 1000) - 60_000)
    given = {"StreamName": name, "ShardId": put["ShardId"], "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at}
    _, found = ask("GetShardIterator", given)
    _, page = ask("GetRecords", {"ShardIterator": found["ShardIterator"]})
    (record,) = page["Records"]
    assert (record["Data"], record["SequenceNumber"]) == (data, put["SequenceNumber"])
    assert abs(record["ApproximateArrivalTimestamp"] / 1000 - time.time()) < 60
    status, error = ask("DescribeStream", {"StreamName": "missing"})
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")


def test_settings_of_a_stream_are_kept_and_shown(kinesis: Any, name: str) -> None:
    arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
    assert arn == f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}"
    kinesis.increase_stream_retention_period(StreamARN=arn, RetentionPeriodHours=48)
    kinesis.start_stream_encryption(StreamARN=arn, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    kinesis.add_tags_to_stream(StreamARN=arn, Tags={"b": "2", "a": "1"})
    kinesis.remove_tags_from_stream(StreamARN=arn, TagKeys=["b"])
    described = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert (described["RetentionPeriodHours"], described["EncryptionType"]) == (48, "KMS")
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == "{}"
    assert refused(kinesis.delete_resource_policy, ResourceARN=arn)[0] == "ResourceNotFoundException"
    changed = kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    assert (changed["CurrentShardLevelMetrics"], changed["DesiredShardLevelMetrics"]) == ([], ["IncomingBytes"])
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert refused(kinesis.split_shard, StreamName=name, ShardToSplit="shardId-0", NewStartingHashKey="9")[0] == (
        "ValidationException"
    )


def test_consumers_are_known_by_name_and_by_arn(kinesis: Any, name: str) -> None:
    arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="one", Tags={"a": "1"})["Consumer"]
    described = kinesis.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])["ConsumerDescription"]
    assert (described["ConsumerName"], described["ConsumerStatus"], described["StreamARN"]) == ("one", "ACTIVE", arn)
    assert kinesis.list_tags_for_resource(ResourceARN=consumer["ConsumerARN"])["Tags"] == [{"Key": "a", "Value": "1"}]
    again = refused(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="one")
    assert again[0] == "ResourceInUseException"
    assert refused(kinesis.delete_stream, StreamName=name)[0] == "ResourceInUseException"
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="one")
    assert kinesis.list_stream_consumers(StreamARN=arn)["Consumers"] == []


def test_a_stream_that_comes_again_is_another(kinesis: Any, name: str) -> None:
    put = {"StreamName": name, "Data": b"1", "PartitionKey": "k", "ExplicitHashKey": "0"}
    number = kinesis.put_record(**put)["SequenceNumber"]
    old = iterator(kinesis, name, "shardId-000000000000")
    kinesis.delete_stream(StreamName=name)
    assert refused(kinesis.put_record, **put) == (
        "ResourceNotFoundException",
        f"Stream {name} under account {ACCOUNT} not found.",
    )
    time.sleep(1.1)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    assert kinesis.put_record(**put)["SequenceNumber"] != number
    assert len(all_of(kinesis, name, "shardId-000000000000")) == 1
    assert refused(kinesis.get_records, ShardIterator=old)[0] == "ResourceNotFoundException"
    code, message = refused(
        kinesis.get_shard_iterator,
        StreamName=name,
        ShardId="shardId-000000000000",
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=number,
    )
    assert code == "InvalidArgumentException"
    assert message.endswith("is invalid because it did not come from this stream.")


def test_bad_input_gets_the_errors_of_aws(kinesis: Any, name: str) -> None:
    shard, put = "shardId-000000000000", {"StreamName": name, "Data": b"x", "PartitionKey": "k"}
    exists = refused(kinesis.create_stream, StreamName=name, ShardCount=1)
    assert exists == ("ResourceInUseException", f"Stream {name} under account {ACCOUNT} already exists.")
    assert refused(kinesis.get_records, ShardIterator="bm9uc2Vuc2U=") == (
        "InvalidArgumentException",
        "Invalid ShardIterator.",
    )
    missing = refused(kinesis.get_shard_iterator, StreamName=name, ShardId="shardId-9", ShardIteratorType="LATEST")
    assert missing == (
        "ResourceNotFoundException",
        f"Shard shardId-9 in stream {name} under account {ACCOUNT} does not exist",
    )
    code, message = refused(kinesis.put_record, **put, ExplicitHashKey=str(2**128))
    assert (code, message[:24]) == ("InvalidArgumentException", "Invalid ExplicitHashKey.")
    assert refused(kinesis.put_record, **put, SequenceNumberForOrdering="1")[0] == "InvalidArgumentException"
    code, message = refused(
        kinesis.get_shard_iterator, StreamName=name, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER"
    )
    assert message.endswith("Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
    code, message = refused(kinesis.split_shard, StreamName=name, ShardToSplit=shard, NewStartingHashKey="1")
    assert (code, "is not both greater than one plus" in message) == ("InvalidArgumentException", True)
    assert refused(kinesis.put_record, **put | {"Data": b"x" * (2**20)})[0] == "InvalidArgumentException"
    code, message = refused(kinesis.put_records, StreamName=name, Records=[{"Data": b"x", "PartitionKey": "k" * 257}])
    assert (code, "Member must have length less than or equal to 256" in message) == ("ValidationException", True)
    code, message = refused(kinesis.increase_stream_retention_period, StreamName=name, RetentionPeriodHours=23)
    assert (
        message == "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."
    )
    limit = refused(kinesis.create_stream, StreamName=f"{name}-big", ShardCount=501)
    assert limit[0] == "LimitExceededException"
