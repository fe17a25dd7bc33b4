"""The API of event source mappings, through boto3: what is answered, the states they pass through, what is refused.

What their functions get is tested beside the pollers of streams and queues.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.integration.test_destinations import role_may
from tests.integration.test_events import runs
from tests.support.command import hearth
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

PLACE = "us-east-1:000000000000"
TABLE_STREAM = f"arn:aws:dynamodb:{PLACE}:table/t/stream/2024-11-18T14:36:44.149"
#: leaves the sequence number of each record in its log, in the form that `runs` reads
TELL = """
import json
def handler(event, context):
    for record in event["Records"]:
        print(json.dumps({"ran": record["kinesis"]["sequenceNumber"]}))
"""
QUIET = "def handler(event, context):\n    return None\n"


@pytest.fixture(scope="module")
def name(stack: PlatformStack) -> str:
    """Of a function that nothing but these tests maps to."""
    return stack.deploy(None, QUIET, Timeout=30)


@pytest.fixture
def stream(stack: PlatformStack) -> Iterator[str]:
    """ARN of a new stream."""
    kinesis, made = stack.client("kinesis"), f"s-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=made, ShardCount=2)
    yield f"arn:aws:kinesis:{PLACE}:stream/{made}"
    kinesis.delete_stream(StreamName=made)


@pytest.fixture
def create(stack: PlatformStack) -> Iterator[Any]:
    """create_event_source_mapping, deleted at the end."""
    client, made = stack.client("lambda"), []

    def make(**given: Any) -> dict[str, Any]:
        answer = client.create_event_source_mapping(**given)
        made.append(answer["UUID"])
        return answer

    yield make
    for mapping in made:
        if state(stack, mapping) not in ("", "Deleting"):
            settled(stack, mapping)
            client.delete_event_source_mapping(UUID=mapping)
    until(lambda: not any(state(stack, mapping) for mapping in made))


def result(stack: PlatformStack, mapping: str) -> str:
    return str(stack.client("lambda").get_event_source_mapping(UUID=mapping)["LastProcessingResult"])


def state(stack: PlatformStack, mapping: str) -> str:
    """ "" once it is gone."""
    client = stack.client("lambda")
    try:
        return client.get_event_source_mapping(UUID=mapping)["State"]
    except client.exceptions.ResourceNotFoundException:
        return ""


def settled(stack: PlatformStack, mapping: str) -> str:
    return until(lambda: (found := state(stack, mapping)) in ("Enabled", "Disabled") and found)


def refused(call: Any, **given: Any) -> tuple[str, str]:
    """Code and message of the error."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_mapping_of_a_stream_lives_from_creating_to_gone(stack: PlatformStack, name: str, stream: str) -> None:
    client = stack.client("lambda")
    made = client.create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", Tags={"team": "a"}
    )
    assert made.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    mapping, arn = made["UUID"], made["EventSourceMappingArn"]
    assert made == {
        "UUID": mapping,
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": stream,
        "EventSourceMappingArn": f"arn:aws:lambda:{PLACE}:event-source-mapping:{mapping}",
        "FunctionArn": f"arn:aws:lambda:{PLACE}:function:{name}",
        "FunctionResponseTypes": [],
        "LastModified": made["LastModified"],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }
    assert settled(stack, mapping) == "Enabled"
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "a"}
    client.tag_resource(Resource=arn, Tags={"cost": "1"})
    client.untag_resource(Resource=arn, TagKeys=["team"])
    assert client.list_tags(Resource=arn)["Tags"] == {"cost": "1"}
    assert state(stack, mapping) == "Enabled"

    assert client.update_event_source_mapping(UUID=mapping, Enabled=False)["State"] == "Disabling"
    assert settled(stack, mapping) == "Disabled"
    changed = client.update_event_source_mapping(UUID=mapping, BatchSize=5, BisectBatchOnFunctionError=True)
    assert (changed["State"], changed["BatchSize"], changed["ParallelizationFactor"]) == ("Updating", 5, 1)
    assert settled(stack, mapping) == "Disabled"
    assert client.update_event_source_mapping(UUID=mapping, Enabled=True)["State"] == "Enabling"
    assert settled(stack, mapping) == "Enabled"

    gone = client.delete_event_source_mapping(UUID=mapping)
    assert (gone["ResponseMetadata"]["HTTPStatusCode"], gone["State"]) == (202, "Deleting")
    until(lambda: not state(stack, mapping))
    missing = ("ResourceNotFoundException", "The resource you requested does not exist.")
    assert refused(client.delete_event_source_mapping, UUID=mapping) == missing
    assert refused(client.update_event_source_mapping, UUID=mapping, Enabled=False) == missing
    assert refused(client.list_tags, Resource=arn)[1] == f"Event source mapping not found: {arn}"


def test_all_that_a_stream_mapping_takes_is_kept(stack: PlatformStack, name: str, stream: str, create: Any) -> None:
    at = datetime.datetime.fromtimestamp(1_700_000_000.25, datetime.UTC)
    given = {
        "BatchSize": 10_000,
        "BisectBatchOnFunctionError": True,
        "DestinationConfig": {"OnFailure": {"Destination": f"arn:aws:sqs:{PLACE}:failures"}},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"data": {"kind": ["a"]}})}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumBatchingWindowInSeconds": 300,
        "MaximumRecordAgeInSeconds": 60,
        "MaximumRetryAttempts": 0,
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "ParallelizationFactor": 10,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": at,
        "TumblingWindowInSeconds": 900,
    }
    made = create(FunctionName=name, EventSourceArn=stream, **given)
    assert {member: made[member] for member in given} == given
    settled(stack, made["UUID"])
    client = stack.client("lambda")
    client.update_event_source_mapping(UUID=made["UUID"], FilterCriteria={"Filters": []}, DestinationConfig={})
    kept = client.get_event_source_mapping(UUID=made["UUID"])
    assert "FilterCriteria" not in kept
    assert kept["DestinationConfig"] == {"OnFailure": {}}
    assert kept["StartingPositionTimestamp"] == at


def test_lists_go_by_source_and_function_page_by_page(
    stack: PlatformStack, name: str, stream: str, create: Any
) -> None:
    client, other = stack.client("lambda"), stack.deploy(None, QUIET)
    number = client.publish_version(FunctionName=other)["Version"]
    made = [
        create(FunctionName=function, EventSourceArn=stream, StartingPosition="LATEST", Enabled=False)
        for function in (name, other, f"{other}:{number}")
    ]
    assert made[2]["FunctionArn"] == f"arn:aws:lambda:{PLACE}:function:{other}:{number}"

    def listed(**given: Any) -> set[str]:
        pages = client.get_paginator("list_event_source_mappings").paginate(
            **given, PaginationConfig={"PageSize": 1, "MaxItems": 50}
        )
        return {one["UUID"] for page in pages for one in page["EventSourceMappings"]}

    assert listed(EventSourceArn=stream) == {one["UUID"] for one in made}
    assert listed(FunctionName=other, EventSourceArn=stream) == {one["UUID"] for one in made[1:]}
    assert listed(FunctionName=f"{other}:{number}") == {made[2]["UUID"]}
    assert listed(FunctionName="doesnotexist") == set()


def test_one_source_is_joined_to_one_function_once(stack: PlatformStack, name: str, stream: str, create: Any) -> None:
    given = {"FunctionName": name, "EventSourceArn": stream, "StartingPosition": "LATEST"}
    first = create(**given)
    assert refused(stack.client("lambda").create_event_source_mapping, **given) == (
        "ResourceConflictException",
        f'The event source arn (" {stream} ") and function (" {name} ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {first['UUID']}",
    )


def test_mapping_outlives_its_function(stack: PlatformStack, stream: str, create: Any) -> None:
    client, function = stack.client("lambda"), stack.deploy(None, QUIET)
    made = create(FunctionName=function, EventSourceArn=stream, StartingPosition="LATEST")
    settled(stack, made["UUID"])
    client.delete_function(FunctionName=function)
    kept = client.get_event_source_mapping(UUID=made["UUID"])
    assert (kept["State"], kept["FunctionArn"]) == ("Enabled", made["FunctionArn"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"EventSourceArn": None}, "Unrecognized event source."),
        ({"EventSourceArn": f"arn:aws:sns:{PLACE}:topic"}, "Unrecognized event source."),
        (
            {"StartingPosition": None},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null.",
        ),
        ({"FunctionName": "doesnotexist"}, "Function does not exist"),
        (
            {"EventSourceArn": f"arn:aws:kinesis:{PLACE}:stream/no"},
            f"Stream not found: arn:aws:kinesis:{PLACE}:stream/no",
        ),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"data": []}'}]}}, "Invalid filter pattern definition."),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": f"arn:aws:sqs:{PLACE}:q"}}},
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"ScalingConfig": {"MaximumConcurrency": 2}},
            "Unsupported ScalingConfig parameter for given event source mapping type.",
        ),
        (
            {
                "EventSourceArn": None,
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}},
            },
            "Required 'sourceAccessConfigurations' parameter is missing.",
        ),
        (
            {
                "EventSourceArn": TABLE_STREAM,
                "StartingPosition": "AT_TIMESTAMP",
                "StartingPositionTimestamp": 1741010802,
            },
            f"Unsupported starting position for arn type: {TABLE_STREAM}",
        ),
    ],
)
def test_what_a_stream_mapping_does_not_take_is_refused(
    stack: PlatformStack,
    companion: CompanionServer,  # streams that are not here are looked for there
    name: str,
    stream: str,
    given: dict[str, Any],
    message: str,
) -> None:
    whole = {"FunctionName": name, "EventSourceArn": stream, "StartingPosition": "LATEST", **given}
    whole = {member: value for member, value in whole.items() if value is not None}
    code, text = refused(stack.client("lambda").create_event_source_mapping, **whole)
    assert (code, text) == ("InvalidParameterValueException", message)


def test_unknown_starting_position_is_refused_in_awss_order_of_them(
    stack: PlatformStack, name: str, stream: str
) -> None:
    call = stack.client("lambda").create_event_source_mapping
    assert refused(call, FunctionName=name, EventSourceArn=stream, StartingPosition="invalid") == (
        "ValidationException",
        "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: "
        "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
    )


def test_mapping_of_a_queue_is_checked_against_the_queue(
    stack: PlatformStack, companion: CompanionServer, name: str, create: Any
) -> None:
    sqs, client = companion.client("sqs"), stack.client("lambda")
    for queue, visible_s in (("slow", "30"), ("hasty", "5")):
        sqs.create_queue(QueueName=f"{name}-{queue}", Attributes={"VisibilityTimeout": visible_s})
    arn = f"arn:aws:sqs:{PLACE}:{name}"
    made = create(FunctionName=name, EventSourceArn=f"{arn}-slow", Enabled=False)
    del made["ResponseMetadata"]
    assert made == {
        "UUID": made["UUID"],
        "BatchSize": 10,
        "EventSourceArn": f"{arn}-slow",
        "EventSourceMappingArn": f"arn:aws:lambda:{PLACE}:event-source-mapping:{made['UUID']}",
        "FunctionArn": f"arn:aws:lambda:{PLACE}:function:{name}",
        "FunctionResponseTypes": [],
        "LastModified": made["LastModified"],
        "MaximumBatchingWindowInSeconds": 0,
        "State": "Disabled",
        "StateTransitionReason": "USER_INITIATED",
    }
    make = client.create_event_source_mapping
    assert refused(make, FunctionName=name, EventSourceArn=f"{arn}-hasty")[1] == (
        "Queue visibility timeout: 5 seconds is less than Function timeout: 30 seconds"
    )
    assert refused(make, FunctionName=name, EventSourceArn=f"{arn}-no")[1] == (
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist."
    )
    assert refused(make, FunctionName=name, EventSourceArn=f"{arn}-slow")[1] == (
        f'An event source mapping with SQS arn (" {arn}-slow ") and function (" {name} ") already exists. '
        f"Please update or delete the existing mapping with UUID {made['UUID']}"
    )
    window = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    assert refused(make, FunctionName=name, EventSourceArn=f"{arn}-slow", BatchSize=15)[1] == window
    update = client.update_event_source_mapping
    assert refused(update, UUID=made["UUID"], BatchSize=15)[1] == window


def test_command_shows_stops_and_rewinds_mappings(stack: PlatformStack, stream: str) -> None:
    env = stack.environ() | stack.servers.environ()
    kinesis, function = stack.client("kinesis"), stack.deploy(None, TELL)
    source = stream.rpartition("/")[2]

    def command(*arguments: str) -> Any:
        ran = hearth("mappings", *arguments, env=env)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if "--json" in arguments else ran.stdout

    def told() -> list[str]:
        return [run["ran"] for run in runs(stack, function)]

    made = command("create", f"kinesis:{source}", function, "--batch-size", "10", "--json")
    assert (made["State"], made["BatchSize"], made["StartingPosition"]) == ("Enabled", 10, "TRIM_HORIZON")
    put = kinesis.put_record(StreamName=source, Data=b"one", PartitionKey="k")
    until(lambda: told() == [put["SequenceNumber"]])
    command("rewind", made["UUID"][:13], "--to", put["SequenceNumber"])
    until(lambda: told() == [put["SequenceNumber"]] * 2)

    def unit() -> dict[str, Any]:
        (shown,) = [one for one in command("--json") if one["UUID"] == made["UUID"]]
        return shown["Units"].get(put["ShardId"], {})

    until(lambda: unit().get("position") and not unit()["oldest_at_ms"])
    assert command("disable", made["UUID"], "--json")["State"] == "Disabled"
    kinesis.put_record(StreamName=source, Data=b"two", PartitionKey="k")
    command("rewind", made["UUID"], "--to", "start")
    assert len(told()) == 2
    assert command("enable", made["UUID"], "--json")["State"] == "Enabled"
    until(lambda: len(told()) == 4)
    command("delete", made["UUID"])
    assert state(stack, made["UUID"]) == ""
    ran = hearth("mappings", "enable", made["UUID"], env=env)
    assert (ran.returncode, "`hearth mappings` shows" in ran.stderr) == (1, True)


def test_functions_role_must_be_allowed_to_read_the_source_as_long_as_it_does(
    stack: PlatformStack, stream: str, create: Any
) -> None:
    role_may(stack, "reader", "--allow", "logs:*")
    function = stack.deploy(None, QUIET, Role="arn:aws:iam::000000000000:role/reader")
    given = {"FunctionName": function, "EventSourceArn": stream, "StartingPosition": "LATEST"}
    assert refused(stack.client("lambda").create_event_source_mapping, **given) == (
        "InvalidParameterValueException",
        f"Cannot access stream {stream}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, ListShards, and ListStreams Actions on your stream in IAM.",
    )
    role_may(stack, "reader", "--allow", "kinesis:*", "--on", stream)
    made = create(**given)["UUID"]
    settled(stack, made)
    role_may(stack, "reader", "--allow", "logs:*")
    until(lambda: result(stack, made).startswith(f"PROBLEM: Cannot access stream {stream}."))
    role_may(stack, "reader", "--allow", "kinesis:*", "--on", stream)
    kinesis, record = stack.client("kinesis"), {"StreamARN": stream, "Data": b"one", "PartitionKey": "k"}
    until(lambda: kinesis.put_record(**record) and result(stack, made) == "OK")


def test_stream_of_another_account_must_let_the_function_in_as_long_as_it_reads(
    stack: PlatformStack, stream: str, name: str
) -> None:
    other = boto3.client(
        "kinesis",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="test",
    )
    made = stream.rpartition("/")[2]
    other.create_stream(StreamName=made, ShardCount=1)
    arn = f"arn:aws:kinesis:us-east-1:111111111111:stream/{made}"
    client, given = stack.client("lambda"), {"FunctionName": name, "EventSourceArn": arn, "StartingPosition": "LATEST"}
    assert f"Cannot access stream {arn}." in refused(client.create_event_source_mapping, **given)[1]
    statement = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kinesis:*", "Resource": arn}
    other.put_resource_policy(ResourceARN=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    mapping = client.create_event_source_mapping(**given)["UUID"]
    settled(stack, mapping)
    other.delete_resource_policy(ResourceARN=arn)
    until(lambda: result(stack, mapping).startswith(f"PROBLEM: Cannot access stream {arn}."))
    client.delete_event_source_mapping(UUID=mapping)
    until(lambda: not state(stack, mapping))
    other.delete_stream(StreamName=made)
