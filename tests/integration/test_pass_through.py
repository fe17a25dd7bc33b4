"""One endpoint for a whole application: services that Hearth does not run are passed on to those that do."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack

CALLER = """
import boto3, os

def handler(event, context):
    queue = boto3.client("sqs").create_queue(QueueName="from-a-function")["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    body = boto3.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)["Messages"][0]["Body"]
    me = boto3.client("sts").get_caller_identity()["Arn"]
    return {"body": body, "me": me, "endpoint": os.environ["AWS_ENDPOINT_URL"]}
"""


def test_objects_of_many_megabytes_pass_both_ways(stack: PlatformStack, companion: CompanionServer) -> None:
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="passed")
    data = os.urandom(24 * 2**20)

    s3.put_object(Bucket="passed", Key="a b/ü+~.bin", Body=data, Metadata={"made": "here"})
    head = s3.head_object(Bucket="passed", Key="a b/ü+~.bin")
    back = s3.get_object(Bucket="passed", Key="a b/ü+~.bin")["Body"].read()
    part = s3.get_object(Bucket="passed", Key="a b/ü+~.bin", Range="bytes=10-19")["Body"].read()
    direct = companion.client("s3").get_object(Bucket="passed", Key="a b/ü+~.bin")["Body"].read()

    assert (head["ContentLength"], head["Metadata"]) == (len(data), {"made": "here"})
    assert hashlib.sha256(back).digest() == hashlib.sha256(direct).digest() == hashlib.sha256(data).digest()
    assert part == data[10:20]


def test_presigned_and_unsigned_requests_pass(stack: PlatformStack, companion: CompanionServer) -> None:
    s3 = stack.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="linked")
    put = s3.generate_presigned_url("put_object", {"Bucket": "linked", "Key": "k"})
    text = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(put, b"by link", text, method="PUT")).close()
    s3.put_object_acl(Bucket="linked", Key="k", ACL="public-read")
    get = s3.generate_presigned_url("get_object", {"Bucket": "linked", "Key": "k"})

    assert urllib.request.urlopen(get).read() == b"by link"
    assert urllib.request.urlopen(f"{stack.endpoint}/linked/k").read() == b"by link"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get.replace("/k?", "/other?"))
    assert caught.value.code == 403
    assert b"SignatureDoesNotMatch" in caught.value.read()


def test_services_of_other_protocols_pass(stack: PlatformStack, companion: CompanionServer) -> None:
    secrets, sns = stack.client("secretsmanager"), stack.client("sns")
    secrets.create_secret(Name="t", SecretString="kept")
    topic = sns.create_topic(Name="t")["TopicArn"]

    assert secrets.get_secret_value(SecretId="t")["SecretString"] == "kept"
    assert topic == "arn:aws:sns:us-east-1:000000000000:t"
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId="nope")


def test_function_reaches_every_service_with_no_endpoint_named(
    stack: PlatformStack, companion: CompanionServer
) -> None:
    answer = stack.invoke(stack.deploy(None, CALLER, Timeout=60))["Payload"]

    assert answer["body"] == "hello"
    assert ":assumed-role/test/" in answer["me"]
    assert answer["endpoint"] == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "flag"),
    [
        ("ssm", "get_parameter", {"Name": "p"}, "hearth up --with ssm"),
        ("kms", "list_keys", {}, "HEARTH_AWS_ENDPOINTS=kms="),
        ("iam", "list_users", {}, "HEARTH_AWS_ENDPOINTS=iam="),
        ("ecs", "list_clusters", {}, "HEARTH_AWS_ENDPOINTS=ecs="),
        ("batch", "list_jobs", {}, "HEARTH_AWS_ENDPOINTS=batch="),
        ("cloudwatch", "list_metrics", {}, "HEARTH_AWS_ENDPOINTS=monitoring="),
    ],
)
def test_service_that_nobody_serves_answers_with_what_would_start_it(
    stack: PlatformStack, service: str, operation: str, parameters: dict[str, Any], flag: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(stack.client(service), operation)(**parameters)

    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceNotServed", 501)
    assert flag in error["Error"]["Message"]


def test_wrong_secret_is_refused_here(stack: PlatformStack, companion: CompanionServer) -> None:
    for service, operation, code in (
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("sqs", "list_queues", "InvalidSignatureException"),
    ):
        client = boto3.client(
            service,
            endpoint_url=stack.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="wrong",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)()
        assert caught.value.response["Error"]["Code"] == code


def test_web_page_of_elsewhere_is_refused(stack: PlatformStack, companion: CompanionServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    connection.request("GET", "/some-bucket/key", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 403
    connection.close()


def test_health_tells_who_serves_what(stack: PlatformStack) -> None:
    services = json.loads(urllib.request.urlopen(f"{stack.endpoint}/health").read())["services"]

    assert services["lambda"] == "hearth"
    assert services["sqs"] == f"http://127.0.0.1:{stack.companion_port}"
