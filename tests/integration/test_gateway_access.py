"""Who may call: over real HTTP, on both listeners."""

from __future__ import annotations

import http.client
import json
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.functions import ECHO
from tests.support.stack import PlatformStack


def raw(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
    """(status, headers, body) of one plain request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def signed(port: int, path: str, *, host: str | None = None, **headers: str) -> dict[str, str]:
    sent = {"Host": host or f"127.0.0.1:{port}", **headers}
    request = AWSRequest("GET", f"http://127.0.0.1:{port}{path}", headers=sent)
    SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    return dict(request.headers.items())


LIST = "/2015-03-31/functions"


def test_caller_is_told_who_it_is(stack: PlatformStack) -> None:
    identity = stack.client("sts").get_caller_identity()

    assert (identity["Account"], identity["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [("test", "wrong", "InvalidSignatureException"), ("AKIDUNKNOWN", "test", "UnrecognizedClientException")],
)
def test_wrong_secret_and_unknown_key_are_refused(stack: PlatformStack, key: str, secret: str, code: str) -> None:
    client = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as caught:
        client.list_functions()

    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_unsigned_request_lacks_its_token(stack: PlatformStack) -> None:
    status, headers, body = raw(stack.port, "GET", LIST)

    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    assert json.loads(body) == {"message": "Missing Authentication Token"}
    assert headers["x-amzn-requestid"]


def test_development_key_is_refused_under_a_foreign_host_or_origin(stack: PlatformStack) -> None:
    assert raw(stack.port, "GET", LIST, headers=signed(stack.port, LIST))[0] == 200
    for foreign in (
        signed(stack.port, LIST, host="evil.example"),
        signed(stack.port, LIST) | {"Origin": "https://evil.example"},
    ):
        status, headers, _ = raw(stack.port, "GET", LIST, headers=foreign)
        assert (status, headers["x-amzn-errortype"]) == (403, "AccessDeniedException")


def test_development_key_is_refused_on_the_listener_for_functions(stack: PlatformStack) -> None:
    status, headers, _ = raw(stack.function_port, "GET", LIST, headers=signed(stack.function_port, LIST))

    assert (status, headers["x-amzn-errortype"]) == (403, "UnrecognizedClientException")


def test_accounts_do_not_see_each_other(stack: PlatformStack) -> None:
    name = stack.deploy(None, ECHO)
    other = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="000000000002",
        aws_secret_access_key="test",
    )
    with pytest.raises(other.exceptions.ResourceNotFoundException):
        other.get_function(FunctionName=name)

    assert other.list_functions()["Functions"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", b""),
        ("POST", "/", b"\x00\xff"),
        ("POST", "/", b"Action=Nope&Version=2011-06-15"),
        ("PUT", "/nowhere/%00/%ff", b"{"),
        ("DELETE", "//", b""),
        ("OPTIONS", "/2015-03-31/functions/f/invocations", b""),
    ],
)
def test_nonsense_gets_an_error_of_the_service_not_a_trace(
    stack: PlatformStack, method: str, path: str, body: bytes
) -> None:
    status, headers, answer = raw(stack.port, method, path, body)

    assert 400 <= status < 500
    assert headers["x-amzn-requestid"]
    assert b"Traceback" not in answer


def test_health_and_metrics_tell_the_state(stack: PlatformStack) -> None:
    stack.client("sts").get_caller_identity()
    status, _, body = raw(stack.port, "GET", "/health")
    _, _, localstack = raw(stack.port, "GET", "/_localstack/health")
    _, _, metrics = raw(stack.port, "GET", "/metrics")

    health = json.loads(body)
    assert (status, health["status"], health["broker"], health["state"]) == (200, "ready", "ok", "ok")
    assert health["workers"] >= 1
    assert json.loads(localstack)["services"]["lambda"] == "running"
    assert b'hearth_requests_total{operation="GetCallerIdentity",service="sts",status="200"}' in metrics
    assert b"hearth_worker_sandboxes{" in metrics
