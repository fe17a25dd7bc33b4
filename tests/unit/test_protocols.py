"""The wire protocols against botocore's client side: what its serialisers send we read, what we send it reads."""

from __future__ import annotations

import datetime
import json
from typing import Any

import cbor2
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from gateway.http import Answer, Request
from gateway.protocols.service import Service
from gateway.protocols.shapes import Serialization
from gateway.routes import Router
from gateway.services import Offer, offers
from hearth.errors import ApiError, HearthError, ResourceNotFound, TooManyRequests, ValidationFailed
from hearth.limits import Limits

ROUTER = Router(offers(Limits()))
SERVICES = {offer.service.name: offer.service for offer in offers(Limits()) if offer.service.protocol != "cbor"}


def service(name: str) -> Service:
    if name not in SERVICES:
        SERVICES[name] = Service(name)
    return SERVICES[name]


def sent(of: Service, operation: str, members: dict[str, Any]) -> Request:
    """As botocore's client puts it on the wire."""
    model = of.model.operation_model(operation)
    wire = create_serializer(of.protocol).serialize_to_request(members, model)
    headers = {name.lower(): str(value) for name, value in wire["headers"].items()}
    pairs = wire["query_string"]
    items = pairs.items() if isinstance(pairs, dict) else pairs
    flat = [(name, one) for name, value in items for one in (value if isinstance(value, list) else [value])]
    path, _, fixed = wire["url_path"].partition("?")
    query = "&".join([*filter(None, [fixed]), *(f"{name}={value}" for name, value in flat)])
    body = wire["body"]
    if isinstance(body, dict):
        body = "&".join(f"{name}={value}" for name, value in body.items()).encode()
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    return Request(wire["method"], path, query, headers, body or b"")


def received(of: Service, operation: str, answer: Answer) -> dict[str, Any]:
    """As botocore's client takes it from the wire."""
    model = of.model.operation_model(operation)
    response = {
        "status_code": answer.status,
        "headers": {name.decode(): value.decode() for name, value in answer.headers},
        "body": answer.body,
        "context": {"operation_name": operation},
    }
    parsed = create_parser(of.protocol).parse(response, model.output_shape if answer.status < 300 else None)
    return parsed


ROLE = "arn:aws:iam::000000000000:role/r"
CREATE = {
    "FunctionName": "f",
    "Role": ROLE,
    "Code": {"ZipFile": b"\x00zip\xff"},
    "Timeout": 7,
    "Publish": False,
    "Environment": {"Variables": {"KEY": "wert ü"}},
    "Architectures": ["x86_64"],
    "Tags": {"a": "b"},
}


@pytest.mark.parametrize(
    ("name", "operation", "members"),
    [
        ("lambda", "CreateFunction", CREATE),
        (
            "lambda",
            "GetFunction",
            {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f", "Qualifier": "1"},
        ),
        ("lambda", "ListFunctions", {"MaxItems": 3, "Marker": "abc"}),
        ("lambda", "DeleteFunction", {"FunctionName": "f"}),
        ("lambda", "UntagResource", {"Resource": "arn:aws:lambda:us-east-1:1:function:f", "TagKeys": ["a", "b"]}),
        ("lambda", "GetLayerVersionByArn", {"Arn": "arn:aws:lambda:us-east-1:1:layer:l:1"}),
        ("apigateway", "ImportRestApi", {"body": b"{}", "failOnWarnings": True, "parameters": {"a": "1"}}),
        ("apigateway", "GetResources", {"restApiId": "a", "embed": ["methods"], "limit": 5}),
        ("apigatewayv2", "CreateRoute", {"ApiId": "a", "RouteKey": "GET /x", "AuthorizationScopes": ["s"]}),
        ("apigatewayv2", "GetTags", {"ResourceArn": "arn:aws:apigateway:us-east-1::/apis/a"}),
        ("logs", "FilterLogEvents", {"logGroupName": "g", "logStreamNames": ["a", "b"], "startTime": 1, "limit": 2}),
        ("sts", "GetCallerIdentity", {}),
        ("sts", "AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "name", "Tags": [{"Key": "k", "Value": "v"}]}),
    ],
)
def test_request_of_botocore_reaches_its_operation_whole(name: str, operation: str, members: dict[str, Any]) -> None:
    route, path_values, of = ROUTER.find(sent(service(name), operation, members))

    assert route is not None
    assert (of.name, route.name) == (name, operation)
    assert route.plan.parse(sent(service(name), operation, members), path_values) == members


def test_invoke_takes_its_body_as_it_is() -> None:
    members = {"FunctionName": "f", "LogType": "Tail", "InvocationType": "RequestResponse", "Payload": b"{ not json"}
    request = sent(service("lambda"), "Invoke", members)

    route, path_values, _ = ROUTER.find(request)

    assert route is not None
    assert route.plan.parse(request, path_values) == members


@pytest.mark.parametrize("name", ["stepfunctions", "kinesis", "dynamodb", "dynamodbstreams"])
def test_later_services_need_only_their_models_name(name: str) -> None:
    of = Service(name)
    operation = {"stepfunctions": "StartExecution", "kinesis": "PutRecord", "dynamodb": "PutItem"}.get(
        name, "GetRecords"
    )
    members: dict[str, Any] = {
        "StartExecution": {"stateMachineArn": "arn", "input": "{}"},
        "PutRecord": {"StreamName": "s", "Data": b"\x00\x01", "PartitionKey": "k"},
        "PutItem": {"TableName": "t", "Item": {"a": {"M": {"b": {"L": [{"B": b"\xff"}, {"NULL": True}]}}}}},
        "GetRecords": {"ShardIterator": "i"},
    }[operation]
    router = Router([*offers(Limits()), Offer(of, {})])
    request = sent(of, operation, members)

    route, _, found = router.find(request)

    assert route is not None
    assert found is of
    assert of.plan(operation).parse(request, []) == members


def test_answers_are_what_botocore_reads() -> None:
    shown = {"FunctionName": "f", "Timeout": 3, "CodeSize": 5, "Environment": {"Variables": {"K": "ü"}}, "Unknown": 1}
    answer = service("lambda").plan("CreateFunction").serialise(shown)
    parsed = received(service("lambda"), "CreateFunction", answer)

    assert answer.status == 201
    assert {name: parsed[name] for name in ("FunctionName", "Timeout", "CodeSize")} == {
        "FunctionName": "f",
        "Timeout": 3,
        "CodeSize": 5,
    }
    assert "Unknown" not in json.loads(answer.body)


def test_invoke_answer_carries_payload_and_headers() -> None:
    shown = {"StatusCode": 200, "Payload": b"[1]", "FunctionError": "Unhandled", "ExecutedVersion": "$LATEST"}
    answer = service("lambda").plan("Invoke").serialise(shown)

    assert answer.body == b"[1]"
    assert (b"x-amz-function-error", b"Unhandled") in answer.headers
    assert (b"x-amz-executed-version", b"$LATEST") in answer.headers


def test_blobs_and_times_of_json_services_are_what_botocore_reads() -> None:
    of = service("kinesis")
    record = {
        "Data": b"\x00\xff",
        "PartitionKey": "k",
        "SequenceNumber": "1",
        "ApproximateArrivalTimestamp": 1700000000.5,
    }
    parsed = received(of, "GetRecords", of.plan("GetRecords").serialise({"Records": [record], "MillisBehindLatest": 0}))

    assert parsed["Records"][0]["Data"] == b"\x00\xff"
    at = parsed["Records"][0]["ApproximateArrivalTimestamp"]
    assert at == datetime.datetime.fromtimestamp(1700000000.5, tz=at.tzinfo)


def test_xml_answers_are_what_botocore_reads() -> None:
    shown = {"Account": "000000000000", "UserId": "<&>", "Arn": "arn"}
    parsed = received(service("sts"), "GetCallerIdentity", service("sts").plan("GetCallerIdentity").serialise(shown))

    assert {name: parsed[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ResourceNotFound("gone"), 404, {"Type": "User", "Message": "gone"}),
        (ValidationFailed("bad"), 400, {"message": "bad"}),
        (
            TooManyRequests("ConcurrentInvocationLimitExceeded"),
            429,
            {"Type": "User", "message": "Rate Exceeded.", "Reason": "ConcurrentInvocationLimitExceeded"},
        ),
        (ApiError("AccessDeniedException", 403, ""), 403, {"message": None}),
    ],
)
def test_lambda_errors_are_spelt_as_aws_does(error: HearthError, status: int, body: dict[str, Any]) -> None:
    answer = service("lambda").codec.error(error)

    assert (answer.status, json.loads(answer.body)) == (status, body)
    assert (b"x-amzn-errortype", error.code.encode()) in answer.headers


def test_json_and_query_errors_name_their_code_in_the_body() -> None:
    error = ApiError("UnrecognizedClientException", 403, "no <key>")

    in_json = received(service("logs"), "GetLogEvents", service("logs").codec.error(error))["Error"]
    in_xml = received(service("sts"), "GetCallerIdentity", service("sts").codec.error(error))["Error"]

    assert (in_json["Code"], in_json["Message"]) == ("UnrecognizedClientException", "no <key>")
    assert (in_xml["Code"], in_xml["Message"]) == ("InvalidClientTokenId", "no <key>")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"x"',
        b'{"FunctionName": ["f"]}',
        b'{"FunctionName": "f", "Timeout": "x"}',
        b'{"FunctionName": "f", "Code": {"ZipFile": "%%%"}}',
        b'{"FunctionName": "f", "Code": 7}',
        b'{"FunctionName": "f", "Environment": {"Variables": []}}',
        b"\xff\xfe",
    ],
)
def test_malformed_body_is_a_serialization_error(body: bytes) -> None:
    with pytest.raises(Serialization):
        service("lambda").plan("CreateFunction").parse(Request("POST", "/", "", {}, body), [])


@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/2015-03-31/functions/"])
def test_trailing_slash_makes_no_difference(path: str) -> None:
    route, _, _ = ROUTER.find(Request("GET", path, "", {}))

    assert route is not None
    assert route.name == "ListFunctions"


@pytest.mark.parametrize(
    ("method", "path", "headers", "protocol"),
    [
        ("GET", "/nope", {}, "rest-json"),
        ("PATCH", "/2015-03-31/functions", {}, "rest-json"),
        ("GET", "/2015-03-31/functions//invocations", {}, "rest-json"),
        ("POST", "/", {"x-amz-target": "Logs_20140328.Nope"}, "json"),
        ("POST", "/", {"x-amz-target": "Nope"}, "rest-json"),
    ],
)
def test_unknown_requests_have_no_route_but_a_protocol(
    method: str, path: str, headers: dict[str, str], protocol: str
) -> None:
    route, _, of = ROUTER.find(Request(method, path, "", headers))

    assert route is None
    assert of.protocol == protocol


def test_demanded_query_parameter_decides_between_operations() -> None:
    path = "/2019-09-30/functions/f/provisioned-concurrency"

    listed, _, _ = ROUTER.find(Request("GET", path, "List=ALL", {}))
    single, _, _ = ROUTER.find(Request("GET", path, "Qualifier=1", {}))

    assert listed is not None
    assert single is not None
    assert listed.name == "ListProvisionedConcurrencyConfigs"
    assert single.name == "GetProvisionedConcurrencyConfig"


def test_blobs_and_times_go_through_cbor_as_they_are() -> None:
    of = Service("kinesis", protocol="cbor")
    record = {"Data": b"\x00\xff", "PartitionKey": "k", "SequenceNumber": "1", "ApproximateArrivalTimestamp": 1.5e9}
    answer = of.plan("GetRecords").serialise({"Records": [record], "MillisBehindLatest": 0})
    assert dict(answer.headers)[b"content-type"] == b"application/x-amz-cbor-1.1"
    found = cbor2.loads(answer.body, semantic_decoders={1: lambda number, _: ("ms", number)})
    assert found["Records"] == [{**record, "ApproximateArrivalTimestamp": ("ms", 1_500_000_000_000)}]
    # indefinite lengths, as Java's encoder writes them; times in seconds or in milliseconds
    for number in (cbor2.dumps(1.5e9), cbor2.dumps(1_500_000_000_000)):
        body = b"\xbf\x69Timestamp\xc1" + number + b"\x67ShardId\x61s\xff"
        given = of.plan("GetShardIterator").parse(Request("POST", "/", "", {}, body), ())
        assert given == {"Timestamp": 1.5e9, "ShardId": "s"}
    with pytest.raises(HearthError, match="CBOR"):
        of.plan("GetRecords").parse(Request("POST", "/", "", {}, b"\xa1\x61"), ())
