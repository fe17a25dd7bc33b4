"""Function URLs: configured with boto3, called over real HTTP, buffered and streamed."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.integration.test_gateway_streaming import STREAMER
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack
from tests.support.web import Response, fetch, open_to_all

MIRROR = """
import json, time
def handler(event, context):
    if event["headers"].get("x-do") == "raise":
        raise ValueError("no good")
    if "x-answer" in event["headers"]:
        return json.loads(event["headers"]["x-answer"])
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn}
"""
#: status, headers and cookies before the body, by AWS's own Node.js client
PRELUDE = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const head = { statusCode: 418, headers: { "x-a": "b", "content-type": "text/html" }, cookies: ["c=1", "d=2"] };
  stream = awslambda.HttpResponseStream.from(stream, head);
  stream.write("one");
  await new Promise((resolve) => setTimeout(resolve, 50));
  stream.write("two");
  if (event.rawPath === "/fail") throw new Error("half way");
  stream.end();
});
"""
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


def open_url(
    stack: PlatformStack, name: str, auth: str = "NONE", qualifier: str | None = None, **parameters: Any
) -> str:
    """A URL, which anybody may call if auth is NONE."""
    lambda_ = stack.client("lambda")
    where = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
    url = lambda_.create_function_url_config(**where, AuthType=auth, **parameters)["FunctionUrl"]
    if auth == "NONE":
        open_to_all(stack, name, qualifier)
    return url


@pytest.fixture(scope="module")
def name(stack: PlatformStack) -> str:
    return stack.deploy(None, MIRROR)


@pytest.fixture(scope="module")
def url(stack: PlatformStack, name: str) -> str:
    return open_url(stack, name)


def test_event_is_that_of_a_function_url(stack: PlatformStack, url: str) -> None:
    answer = fetch(
        stack,
        f"{url}pa2%25Fth/1?q=query&multi=foo&multi=/bar",
        method="POST",
        body='{"foo": "bar"}',
        headers={"Content-Type": "application/json", "ExTrA-HeadErs": "With WeiRd CapS", "Cookie": "a=1; b=2"},
    )
    event = answer.json["event"]

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-amzn-requestid"] == answer.json["id"] == event["requestContext"]["requestId"]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/pa2%25Fth/1")
    assert event["queryStringParameters"] == {"q": "query", "multi": "foo,/bar"}
    assert (event["cookies"], event["headers"]["extra-headers"]) == (["a=1", "b=2"], "With WeiRd CapS")
    assert "cookie" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"foo": "bar"}', False)
    context = event["requestContext"]
    assert list(context)[:3] == ["accountId", "apiId", "authentication"]
    assert (context["accountId"], context["apiId"]) == ("anonymous", urlsplit(url).netloc.partition(".")[0])
    assert context["http"] == {
        "method": "POST",
        "path": "/pa2%25Fth/1",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "",
    }
    assert (event["pathParameters"], event["stageVariables"]) == (None, None)
    by_path = fetch(stack, f"/_aws/lambda-url/{context['apiId']}/x/y?z=1").json["event"]
    assert (by_path["rawPath"], by_path["requestContext"]["domainPrefix"]) == ("/x/y", context["apiId"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"hello": "world"}', (200, "application/json", b'{"hello":"world"}')),
        ('"hello"', (200, "application/json", b"hello")),
        ("3.1", (200, "application/json", b"3.1")),
        ("true", (200, "application/json", b"true")),
        ('{"statusCode": 200, "body": "body123"}', (200, "application/json", b"body123")),
        ('{"statusCode": "418", "headers": {"Content-Type": "x/y"}, "body": "teapot"}', (418, "x/y", b"teapot")),
        ('{"statusCode": "none"}', (502, "application/json", b"Internal Server Error")),
    ],
)
def test_answers_become_http(stack: PlatformStack, url: str, answer: str, expected: tuple[int, str, bytes]) -> None:
    got = fetch(stack, url, headers={"X-Answer": answer})
    assert (got.status, got.headers["content-type"], got.body) == expected


def test_failures_and_unknown_urls(stack: PlatformStack, url: str) -> None:
    failed = fetch(stack, url, headers={"X-Do": "raise"})
    assert (failed.status, failed.body) == (502, b"Internal Server Error")
    nobody = f"http://{'0' * 32}.lambda-url.us-east-1.localhost:{stack.port}/"
    unknown = fetch(stack, nobody)
    assert (unknown.status, unknown.json) == (403, {"Message": None})
    assert unknown.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_signed_urls_take_signed_requests_only(stack: PlatformStack) -> None:
    signed_url = open_url(stack, stack.deploy(None, MIRROR), auth="AWS_IAM")
    refused = fetch(stack, signed_url)
    assert (refused.status, refused.json) == (403, {"Message": FORBIDDEN})

    def signed(secret: str, body: str = "{}") -> Response:
        request = AWSRequest("POST", signed_url, data=body, headers={"Content-Type": "application/json"})
        SigV4Auth(Credentials("test", secret), "lambda", "us-east-1").add_auth(request)
        return fetch(stack, signed_url, method="POST", body=body, headers=dict(request.headers.items()))

    event = signed("test").json["event"]
    iam = event["requestContext"]["authorizer"]["iam"]
    assert (event["requestContext"]["accountId"], iam["accessKey"]) == ("000000000000", "test")
    assert iam["userArn"] == "arn:aws:iam::000000000000:root"
    assert signed("wrong").json == {"Message": FORBIDDEN}


def test_url_is_closed_until_somebody_is_let_in_by_awss_two_statements(stack: PlatformStack) -> None:
    name, lambda_ = stack.deploy(None, MIRROR), stack.client("lambda")
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]

    def allow(sid: str, action: str, **condition: Any) -> None:
        lambda_.add_permission(FunctionName=name, StatementId=sid, Action=action, Principal="*", **condition)

    allow("invoke", "lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    refused = fetch(stack, url)
    assert (refused.status, refused.json) == (403, {"Message": FORBIDDEN})
    allow("url", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert fetch(stack, url).status == 200
    stored = json.loads(lambda_.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert [one["Condition"] for one in stored] == [
        {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
        {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
    ]


def test_cors_is_answered_by_the_url(stack: PlatformStack) -> None:
    rules = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-b"], "MaxAge": 60}
    name = stack.deploy(None, MIRROR)
    url = open_url(stack, name, Cors=rules)
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    preflight = fetch(stack, url, method="OPTIONS", headers=asked)
    assert (preflight.status, preflight.body) == (200, b"")
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert preflight.headers["access-control-max-age"] == "60"
    own = '{"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}'
    answer = fetch(stack, url, headers={"Origin": "https://a.example", "X-Answer": own})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert stack.client("lambda").get_function_url_config(FunctionName=name)["Cors"] == rules


def test_configurations_of_function_and_alias(stack: PlatformStack) -> None:
    lambda_ = stack.client("lambda")
    name = stack.deploy(None, MIRROR, Tags={"_custom_id_": f"mine{stack.port}"})
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    own = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert own["FunctionUrl"] == f"http://mine{stack.port}.lambda-url.us-east-1.localhost:{stack.port}/"
    assert "InvokeMode" not in own
    with pytest.raises(ClientError) as caught:
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"
    alias_url = open_url(stack, name, qualifier="live")
    assert f"mine{stack.port}-live.lambda-url" in alias_url
    assert fetch(stack, alias_url).json["arn"].endswith(f"{name}:live")
    listed = lambda_.list_function_url_configs(FunctionName=name, MaxItems=1)
    rest = lambda_.list_function_url_configs(FunctionName=name, MaxItems=1, Marker=listed["NextMarker"])
    assert {listed["FunctionUrlConfigs"][0]["FunctionUrl"], rest["FunctionUrlConfigs"][0]["FunctionUrl"]} == {
        own["FunctionUrl"],
        alias_url,
    }
    changed = lambda_.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert (changed["AuthType"], changed["FunctionUrl"]) == ("AWS_IAM", own["FunctionUrl"])
    assert fetch(stack, own["FunctionUrl"]).status == 403
    lambda_.delete_function_url_config(FunctionName=name)
    with pytest.raises(ClientError, match="The resource you requested does not exist"):
        lambda_.get_function_url_config(FunctionName=name)
    lambda_.delete_alias(FunctionName=name, Name="live")
    assert fetch(stack, alias_url).json == {"Message": FORBIDDEN}
    for refused in ({"FunctionName": "no-such"}, {"FunctionName": name, "Qualifier": "none"}):
        with pytest.raises(ClientError, match="Function does not exist"):
            lambda_.create_function_url_config(**refused, AuthType="NONE")
    with pytest.raises(ClientError, match=r"satisfy enum value set: \[RESPONSE_STREAM, BUFFERED\]"):
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="UNKNOWN")


# --- streamed -------------------------------------------------------------------------------------------------
def node(stack: PlatformStack, source: str) -> str:
    return stack.deploy(
        None, zip_of(None, index__js=source), Runtime="nodejs20.x", Handler="index.handler", Timeout=60, MemorySize=256
    )


def connect(
    stack: PlatformStack, url: str, body: str = "{}"
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=120)
    connection.request("POST", "/", body, {"Host": urlsplit(url).netloc, "Content-Type": "application/json"})
    return connection, connection.getresponse()


def test_metadata_comes_first_and_pieces_follow(stack: PlatformStack) -> None:
    name = node(stack, PRELUDE)
    url = open_url(stack, name, InvokeMode="RESPONSE_STREAM")
    answer = fetch(stack, url)
    assert (answer.status, answer.headers["x-a"], answer.headers["content-type"]) == (418, "b", "text/html")
    assert (answer.cookies, answer.body) == (["c=1", "d=2"], b"onetwo")
    with pytest.raises(http.client.IncompleteRead):
        fetch(stack, f"{url}fail")
    stack.client("lambda").update_function_url_config(FunctionName=name, InvokeMode="BUFFERED")
    whole = fetch(stack, url)
    assert (whole.status, whole.headers["x-a"], whole.body) == (418, "b", b"onetwo")


def test_a_function_that_does_not_stream_is_sent_as_it_is(stack: PlatformStack) -> None:
    url = open_url(stack, stack.deploy(None, MIRROR), InvokeMode="RESPONSE_STREAM")
    answer = fetch(stack, url, headers={"X-Answer": '{"statusCode": 201, "body": "x"}'})
    assert (answer.status, json.loads(answer.body)) == (200, {"statusCode": 201, "body": "x"})
    assert fetch(stack, url, headers={"X-Do": "raise"}).status == 502


def test_a_piece_arrives_while_the_function_still_runs(stack: PlatformStack) -> None:
    source = STREAMER.replace("(event, stream) => {", "(request, stream) => { const event = JSON.parse(request.body);")
    url = open_url(stack, node(stack, source), InvokeMode="RESPONSE_STREAM")
    connection, response = connect(stack, url, json.dumps({"pieces": ["one", "two"], "pause": 700}))
    # the function pauses after each: had they come together, they would be read together
    assert [response.read1(100), response.read1(100)] == [b"one", b"two"]
    assert response.headers["Content-Type"] == "text/plain"
    connection.close()
