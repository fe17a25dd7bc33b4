"""Which service a request means."""

from __future__ import annotations

import pytest

from gateway.addressed import action_of, bucket_of_host, resource_of, service_of
from gateway.http import Request


def request(method: str = "GET", url: str = "/", body: bytes = b"", **headers: str) -> Request:
    path, _, query = url.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, {"host": "127.0.0.1:4566"} | named, body)


def scope(service: str) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential=test/20260102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )


@pytest.mark.parametrize(
    ("one", "service"),
    [
        (request(authorization=scope("s3")), "s3"),
        (request(authorization=scope("monitoring")), "monitoring"),
        (request("POST", authorization=scope("dynamodb"), x_amz_target="DynamoDB_20120810.GetItem"), "dynamodb"),
        (
            request("POST", authorization=scope("dynamodb"), x_amz_target="DynamoDBStreams_20120810.GetRecords"),
            "dynamodbstreams",
        ),
        (request(url="/b/k?X-Amz-Credential=test%2F20260102%2Fus-east-1%2Fs3%2Faws4_request"), "s3"),
        (request("POST", x_amz_target="AmazonSQS.SendMessage"), "sqs"),
        (request("POST", body=b"Action=Publish&Version=2010-03-31"), "sns"),
        (request(url="/?Action=ListQueues&Version=2012-11-05"), "sqs"),
        (request("POST", body=b"Action=GetCallerIdentity&Version=2011-06-15"), None),
        (request("POST", "/000000000000/queue"), "sqs"),
        (request("PUT", "/k", host="bucket.s3.localhost:4566"), "s3"),
        (request("POST", host="sqs.us-east-1.localhost:4566"), "sqs"),
        (request(url="/bucket/key"), "s3"),
        (request("DELETE", "/bucket/key"), None),
        (request("DELETE", "/bucket/key?AWSAccessKeyId=test&Signature=x&Expires=1"), "s3"),
        (request(), None),
        (request(authorization="Bearer token"), None),
    ],
)
def test_service_that_a_request_means(one: Request, service: str | None) -> None:
    assert service_of(one) == service


@pytest.mark.parametrize(
    ("one", "action", "resource"),
    [
        (request(url="/b/a/k"), "s3:GetObject", "arn:aws:s3:::b/a/k"),
        (request("PUT", "/b/k"), "s3:PutObject", "arn:aws:s3:::b/k"),
        (request("DELETE", "/k", host="b.s3.localhost"), "s3:DeleteObject", "arn:aws:s3:::b/k"),
        (request(url="/b?list-type=2"), "s3:ListBucket", "arn:aws:s3:::b"),
        (request("PUT", "/", host="b.localhost:4566"), "s3:CreateBucket", "arn:aws:s3:::b"),
        (request(), "s3:ListAllMyBuckets", "arn:aws:s3:::"),
    ],
)
def test_what_policies_call_a_request_to_s3(one: Request, action: str, resource: str) -> None:
    assert (action_of("s3", one), resource_of("s3", one)) == (action, resource)


def test_what_policies_call_other_requests() -> None:
    assert action_of("dynamodb", request("POST", x_amz_target="DynamoDB_20120810.GetItem")) == "dynamodb:GetItem"
    assert action_of("sns", request("POST", body=b"Action=Publish&Version=2010-03-31")) == "sns:Publish"
    assert action_of("scheduler", request("PUT", "/schedules/x")) == "scheduler:PUT"
    assert resource_of("sns", request()) == "*"


def test_bucket_may_stand_in_the_host() -> None:
    assert bucket_of_host(request(host="my.bucket.s3.us-east-1.localhost")) == "my.bucket"
    assert bucket_of_host(request(host="bucket.localhost:4566")) == "bucket"
    assert bucket_of_host(request(host="localhost:4566")) is None
