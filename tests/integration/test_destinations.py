"""Where records of asynchronous invocations go: functions, exchanges, SQS, SNS, EventBridge, S3, dead-letter queues."""

from __future__ import annotations

import json
import time
from typing import Any

import pika
import pytest
from botocore.exceptions import ClientError

from tests.integration.test_events import dropped, runs, send
from tests.support.command import hearth
from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack
from tests.support.waiting import until

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
PLACE = "us-east-1:000000000000"
#: fails if it is told to, else answers what it got
ANSWER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("told to")
    return {"got": event}
"""
#: leaves the record that it got in its log, in the form that `runs` reads
RECEIVER = """
import json
def handler(event, context):
    print(json.dumps({"ran": event}))
"""


def configure(stack: PlatformStack, name: str, **given: Any) -> dict[str, Any]:
    """on_success, on_failure: ARNs; others: members of PutFunctionEventInvokeConfig."""
    destinations = {
        member: {"Destination": given.pop(key)}
        for key, member in (("on_success", "OnSuccess"), ("on_failure", "OnFailure"))
        if key in given
    }
    return stack.client("lambda").put_function_event_invoke_config(
        FunctionName=name, **({"DestinationConfig": destinations} if destinations else {}), **given
    )


def queue(companion: CompanionServer, name: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    url = companion.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url, f"arn:aws:sqs:{PLACE}:{name}"


def received(companion: CompanionServer, url: str) -> dict[str, Any]:
    """The next message of a queue."""

    def one() -> Any:
        answer = companion.client("sqs").receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=1
        )
        return answer.get("Messages")

    (message,) = until(one)
    companion.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(message)


def request_id(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])


# --- what this platform serves itself -----------------------------------------------------------------------------


def test_function_gets_the_records_of_anothers_ends(stack: PlatformStack) -> None:
    name, receiver = stack.deploy(None, ANSWER), stack.deploy(None, RECEIVER)
    configure(stack, name, on_success=ARN + receiver, on_failure=ARN + receiver, MaximumRetryAttempts=1)
    good, bad = request_id(send(stack, name, {"a": 1})), request_id(send(stack, name, {"fail": True}))
    found = until(lambda: len(records := runs(stack, receiver)) == 2 and records)
    records = {one["ran"]["requestContext"]["requestId"]: one["ran"] for one in found}
    assert records[good]["requestContext"] == {
        "requestId": good,
        "functionArn": f"{ARN}{name}:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert records[good]["requestPayload"] == {"a": 1}
    assert records[good]["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert records[good]["responsePayload"] == {"got": {"a": 1}}
    assert records[bad]["requestContext"]["condition"] == "RetriesExhausted"
    assert records[bad]["requestContext"]["approximateInvokeCount"] == 2
    assert records[bad]["responseContext"]["functionError"] == "Unhandled"
    assert records[bad]["responsePayload"]["errorMessage"] == "told to"


def test_exchange_of_the_platforms_broker_gets_records_and_dead_ones_are_kept(stack: PlatformStack) -> None:
    name = stack.deploy(None, ANSWER)
    with pika.BlockingConnection(pika.URLParameters(stack.servers.broker_url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("results", "topic", durable=True)
        channel.queue_declare("all-results", durable=True)
        channel.queue_bind("all-results", "results", "done.#")
        configure(
            stack,
            name,
            on_success=f"arn:aws:rabbitmq:{PLACE}:exchange/results/done.{name}",
            on_failure=f"arn:aws:rabbitmq:{PLACE}:exchange/no-such-exchange",
            MaximumRetryAttempts=0,
        )
        sent = request_id(send(stack, name, {"a": 1}))
        _, properties, body = until(lambda: (got := channel.basic_get("all-results", auto_ack=True))[0] and got)
    assert properties.message_id == sent
    assert json.loads(body)["requestContext"]["condition"] == "Success"
    bad = request_id(send(stack, name, {"fail": True}))
    kept = until(lambda: len(records := dropped(stack, name)) == 2 and records)
    conditions = {one["requestContext"]["condition"]: one for one in kept}
    assert conditions.keys() == {"RetriesExhausted", "DestinationDeliveryFailed"}
    undelivered = conditions["DestinationDeliveryFailed"]
    assert undelivered["requestContext"]["requestId"] == bad
    assert undelivered["destination"]["condition"] == "RetriesExhausted"
    assert "no-such-exchange" in undelivered["destination"]["error"]


def role_may(stack: PlatformStack, role: str, *options: str) -> None:
    done = hearth("roles", "allow", role, *options, env=stack.environ() | stack.servers.environ())
    assert done.returncode == 0, done.stderr


def test_records_go_only_where_the_functions_role_may_send_them(stack: PlatformStack) -> None:
    receiver = stack.deploy(None, RECEIVER)
    name = stack.deploy(None, ANSWER, Role="arn:aws:iam::000000000000:role/sender")
    configure(stack, name, on_success=ARN + receiver)
    role_may(stack, "sender", "--allow", "logs:*")
    send(stack, name, {"a": 1})
    (kept,) = until(lambda: dropped(stack, name))
    assert kept["requestContext"]["condition"] == "DestinationDeliveryFailed"
    assert "role/sender/" in kept["destination"]["error"]
    assert (
        f"not authorized to perform: lambda:InvokeFunction on resource: {ARN}{receiver}" in kept["destination"]["error"]
    )
    role_may(stack, "sender", "--allow", "lambda:InvokeFunction", "--on", ARN + receiver)
    sent = request_id(send(stack, name, {"a": 2}))
    (ran,) = until(lambda: runs(stack, receiver))
    assert ran["ran"]["requestContext"]["requestId"] == sent


@pytest.mark.parametrize(
    ("given", "expected_runs", "condition"),
    [
        ({"MaximumRetryAttempts": 0}, 1, "RetriesExhausted"),
        ({"MaximumRetryAttempts": 1}, 2, "RetriesExhausted"),
    ],
)
def test_configuration_decides_how_often_a_failing_event_runs(
    stack: PlatformStack, given: dict[str, int], expected_runs: int, condition: str
) -> None:
    name = stack.deploy(None, ANSWER)
    configure(stack, name, **given)
    send(stack, name, {"fail": True})
    (record,) = until(lambda: dropped(stack, name))
    assert record["requestContext"]["approximateInvokeCount"] == expected_runs
    assert record["requestContext"]["condition"] == condition


def test_qualifier_has_a_configuration_of_its_own(stack: PlatformStack) -> None:
    name, receiver, client = stack.deploy(None, ANSWER), stack.deploy(None, RECEIVER), stack.client("lambda")
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    configure(stack, f"{name}:live", on_success=ARN + receiver)
    send(stack, name, {"unheard": True})
    send(stack, name, {"heard": True}, Qualifier="live")
    (record,) = until(lambda: runs(stack, receiver))
    assert record["ran"]["requestContext"]["functionArn"] == f"{ARN}{name}:live"
    assert record["ran"]["responseContext"]["executedVersion"] == version


def test_function_that_is_turned_off_has_its_events_discarded_unrun(stack: PlatformStack) -> None:
    name, receiver = stack.deploy(None, ANSWER), stack.deploy(None, RECEIVER)
    configure(stack, name, on_failure=ARN + receiver)
    stack.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert send(stack, name, {})["StatusCode"] == 202
    (record,) = until(lambda: runs(stack, receiver))
    assert record["ran"]["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["ran"]["requestContext"]["approximateInvokeCount"] == 0
    assert not {"responseContext", "responsePayload"} & record["ran"].keys()


def test_events_in_a_circle_of_destinations_are_stopped(stack: PlatformStack) -> None:
    """Two functions that are each other's destination: the chain ends at the sixteenth pass."""
    silent = "def handler(event, context):\n    pass\n"  # each record holds the one before it
    one, other = stack.deploy(None, silent), stack.deploy(None, silent)
    configure(stack, one, on_success=ARN + other)
    configure(stack, other, on_success=ARN + one)
    send(stack, one, {})
    (record,) = until(lambda: dropped(stack, one), 120)
    assert record["requestContext"]["condition"] == "RecursiveInvocation"


def test_old_form_of_an_asynchronous_invocation_runs(stack: PlatformStack) -> None:
    name = stack.deploy(None, RECEIVER)
    assert stack.client("lambda").invoke_async(FunctionName=name, InvokeArgs=b'"old"')["Status"] == 202
    (ran,) = until(lambda: runs(stack, name))
    assert ran["ran"] == "old"


# --- the configuration's own operations ---------------------------------------------------------------------------


def test_configuration_is_put_merged_shown_and_deleted(stack: PlatformStack) -> None:
    name, client = stack.deploy(None, ANSWER), stack.client("lambda")
    put = configure(stack, name, MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60)
    assert put["FunctionArn"] == f"{ARN}{name}:$LATEST"
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    updated = client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=2)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (2, 60)
    assert "MaximumRetryAttempts" not in configure(stack, name, MaximumEventAgeInSeconds=90)
    found = client.get_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST")
    assert found["MaximumEventAgeInSeconds"] == 90
    version = client.publish_version(FunctionName=name)["Version"]
    configure(stack, f"{name}:{version}", MaximumRetryAttempts=1)
    pages = client.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    arns = [one["FunctionArn"] for page in pages for one in page["FunctionEventInvokeConfigs"]]
    assert sorted(arns) == [f"{ARN}{name}:$LATEST", f"{ARN}{name}:{version}"]
    client.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(ClientError) as caught:
        client.get_function_event_invoke_config(FunctionName=name)
    assert caught.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": f"The function {ARN}{name}:$LATEST doesn't have an EventInvokeConfig",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "You must specify at least one of error handling or destination setting."),
        ({"on_success": ARN + "doesnotexist"}, f"The destination ARN {ARN}doesnotexist is invalid."),
        ({"on_success": ARN + "{name}"}, "You can't specify the function as a destination for itself."),
        (
            {"on_success": "arn:aws:iam:us-east-1:000000000000:role:x"},
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
            "arn:aws:iam:us-east-1:000000000000:role:x), onFailure=null) is invalid.",
        ),
        (
            {"on_failure": f"arn:aws:rabbitmq:{PLACE}:exchange/hearth.control"},
            "The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination="
            f"arn:aws:rabbitmq:{PLACE}:exchange/hearth.control)) is invalid.",
        ),
        (
            {"MaximumRetryAttempts": 3},
            "1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: "
            "Member must have value less than or equal to 2",
        ),
        (
            {"MaximumEventAgeInSeconds": 59},
            "1 validation error detected: Value '59' at 'maximumEventAgeInSeconds' failed to satisfy constraint: "
            "Member must have value greater than or equal to 60",
        ),
    ],
)
def test_bad_configuration_is_refused_in_awss_words(stack: PlatformStack, given: dict[str, Any], message: str) -> None:
    name = stack.deploy(None, ANSWER)
    given = {key: value.format(name=name) if isinstance(value, str) else value for key, value in given.items()}
    client = stack.client("lambda", parameter_validation=False)
    destinations = {
        member: {"Destination": given.pop(key)}
        for key, member in (("on_success", "OnSuccess"), ("on_failure", "OnFailure"))
        if key in given
    }
    with pytest.raises(ClientError) as caught:
        client.put_function_event_invoke_config(
            FunctionName=name, **({"DestinationConfig": destinations} if destinations else {}), **given
        )
    assert caught.value.response["Error"]["Message"] == message


# --- AWS's services -----------------------------------------------------------------------------------------------


def test_queue_gets_the_record_and_the_dead_letter_queue_the_event(
    stack: PlatformStack, companion: CompanionServer
) -> None:
    (url, arn), (dead_url, dead_arn) = queue(companion, "records"), queue(companion, "dead-letters")
    name = stack.deploy(None, ANSWER, DeadLetterConfig={"TargetArn": dead_arn})
    configure(stack, name, on_failure=arn, MaximumRetryAttempts=0)
    sent = request_id(send(stack, name, {"fail": True}))
    message = received(companion, url)
    assert json.loads(message["Body"])["requestContext"]["requestId"] == sent
    assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-")
    letter = received(companion, dead_url)
    assert json.loads(letter["Body"]) == {"fail": True}
    assert {key: one["StringValue"] for key, one in letter["MessageAttributes"].items()} == {
        "RequestID": sent,
        "ErrorCode": "200",
        "ErrorMessage": "told to",
    }


def test_topic_bus_and_bucket_get_records(stack: PlatformStack, companion: CompanionServer) -> None:
    (topic_url, topic_queue), (bus_url, bus_queue) = queue(companion, "from-topic"), queue(companion, "from-bus")
    sns, events, s3 = companion.client("sns"), companion.client("events"), companion.client("s3")
    topic = sns.create_topic(Name="records")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=topic_queue)
    bus = events.create_event_bus(Name="records")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="records", EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="all", EventBusName="records", Targets=[{"Id": "q", "Arn": bus_queue}])
    s3.create_bucket(Bucket="records")
    by_topic, by_bus, by_bucket = (stack.deploy(None, ANSWER) for _ in range(3))
    configure(stack, by_topic, on_success=topic)
    configure(stack, by_bus, on_success=bus)
    configure(stack, by_bucket, on_failure="arn:aws:s3:::records", MaximumRetryAttempts=0)
    for name in (by_topic, by_bus):
        send(stack, name, {"a": 1})
    bad = request_id(send(stack, by_bucket, {"fail": True}))

    record = json.loads(json.loads(received(companion, topic_url)["Body"])["Message"])
    assert record["responsePayload"] == {"got": {"a": 1}}

    event = json.loads(received(companion, bus_url)["Body"])
    assert (event["source"], event["detail-type"]) == ("lambda", "Lambda Function Invocation Result - Success")
    assert event["resources"] == [bus, f"{ARN}{by_bus}:$LATEST"]
    assert event["detail"]["requestContext"]["condition"] == "Success"

    (found,) = until(lambda: s3.list_objects_v2(Bucket="records").get("Contents"))
    assert found["Key"].startswith(f"aws/lambda/async/{by_bucket}/{time.strftime('%Y/')}")
    record = json.loads(s3.get_object(Bucket="records", Key=found["Key"])["Body"].read())
    assert record["requestContext"]["requestId"] == bad


def test_dead_letter_topic_gets_the_event_with_its_attributes(stack: PlatformStack, companion: CompanionServer) -> None:
    url, arn = queue(companion, "from-dead-topic")
    sns = companion.client("sns")
    topic = sns.create_topic(Name="dead")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    name = stack.deploy(None, ANSWER, DeadLetterConfig={"TargetArn": topic})
    configure(stack, name, MaximumRetryAttempts=0)
    sent = request_id(send(stack, name, {"fail": True}))
    notification = json.loads(received(companion, url)["Body"])
    assert json.loads(notification["Message"]) == {"fail": True}
    assert notification["MessageAttributes"]["RequestID"]["Value"] == sent


def test_refused_record_is_tried_again_then_kept_with_the_reason(
    stack: PlatformStack, companion: CompanionServer
) -> None:
    name = stack.deploy(None, ANSWER)
    configure(stack, name, on_success=f"arn:aws:sqs:{PLACE}:not-yet")
    send(stack, name, {"a": 1})
    time.sleep(0.5)
    url, _ = queue(companion, "not-yet")
    assert json.loads(received(companion, url)["Body"])["requestPayload"] == {"a": 1}
    configure(stack, name, on_success=f"arn:aws:sqs:{PLACE}:never")
    send(stack, name, {"a": 2})
    (kept,) = until(lambda: dropped(stack, name))
    assert kept["requestContext"]["condition"] == "DestinationDeliveryFailed"
    assert "NonExistentQueue" in kept["destination"]["error"]


def test_record_waits_until_its_destination_can_be_reached(stack: PlatformStack, companion: CompanionServer) -> None:
    name = stack.deploy(None, ANSWER)
    configure(stack, name, on_success=f"arn:aws:sqs:{PLACE}:late")
    companion.__exit__()
    try:
        sent = request_id(send(stack, name, {"a": 1}))
        until(lambda: undelivered(stack, sent))
    finally:
        companion.__enter__()
    url, _ = queue(companion, "late")
    assert json.loads(received(companion, url)["Body"])["requestContext"]["requestId"] == sent
    assert dropped(stack, name) == []


def undelivered(stack: PlatformStack, sent: str) -> bool:
    """The poller has said that a record did not get where it goes."""
    lines = stack.logs["poller"].read_text().splitlines()
    return any('"record_not_delivered"' in line and sent in line for line in lines)
