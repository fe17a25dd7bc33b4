"""Front doors' pure parts: which door, which route, CORS, policies' decisions, patch operations, metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE

from gateway.apigateway_api.patch import patch
from gateway.front_doors import payload_v1, payload_v2
from gateway.front_doors.authorizers import Decisions, Misconfigured, policy_decision, simple_decision
from gateway.front_doors.cors import Cors
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.entry import Entry, Kind, entry_of
from gateway.front_doors.function_uri import BadUri, function_of
from gateway.front_doors.function_url import response_of
from gateway.front_doors.outbound import Unreachable, open_pool
from gateway.front_doors.response import BadResponse, HttpResponse
from gateway.front_doors.routing import RouteTable
from gateway.http import Request
from hearth.errors import ApiError
from hearth.policies import Verdict


def a_request(method: str = "GET", path: str = "/", **headers: str) -> Request:
    return Request(method, path, "", {name.replace("_", "-"): value for name, value in headers.items()})


def seen(request: Request) -> DoorRequest:
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    scope: dict[str, Any] = {"headers": headers, "client": ("10.0.0.9", 1), "server": ("127.0.0.1", 4566)}
    entry = Entry(Kind.API, "a", request.path, by_host=True)
    return DoorRequest.read(scope, request, entry, host="a.example", request_id="r", now_ms=0)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (a_request(host="ab1.lambda-url.us-east-1.localhost:4566"), ("lambda-url", "ab1", "/")),
        (a_request(path="/x", host="AB1.execute-api.eu-west-1.example.org"), ("execute-api", "ab1", "/x")),
        (a_request(path="/_aws/execute-api/ab1/prod/x", host="localhost"), ("execute-api", "ab1", "/prod/x")),
        (a_request(path="/_aws/lambda-url/ab1", host="localhost"), ("lambda-url", "ab1", "/")),
        (a_request(path="/restapis/ab1/dev/_user_request_/x/y", host="l"), ("execute-api", "ab1", "/dev/x/y")),
        (a_request(path="/restapis/ab1/stages/dev", host="localhost"), None),
        (a_request(path="/2015-03-31/functions", host="localhost:4566"), None),
        (a_request(path="/", host="execute-api.us-east-1.amazonaws.com"), None),
    ],
)
def test_door_by_host_or_path(request_: Request, expected: tuple[str, str, str] | None) -> None:
    entry = entry_of(request_)
    assert (None if entry is None else (entry.kind, entry.id, entry.path)) == expected


def test_routes_by_how_exact_they_are() -> None:
    table = RouteTable(
        (method, path, f"{method} {path}")
        for method, path in (
            ("ANY", "/{proxy+}"),
            ("GET", "/a/{proxy+}"),
            ("GET", "/a/{x}"),
            ("GET", "/a/b"),
            ("ANY", "/a/b"),
            ("GET", "/a/{x}/c"),
            ("GET", "/"),
        )
    )

    def found(method: str, path: str) -> tuple[str, dict[str, str]] | None:
        match = table.match(method, path)
        return None if match is None else (match.target, match.parameters)

    assert found("GET", "/a/b") == ("GET /a/b", {})
    assert found("PUT", "/a/b") == ("ANY /a/b", {})
    assert found("GET", "/a/z%2Fz") == ("GET /a/{x}", {"x": "z/z"})
    assert found("GET", "/a/b/c") == ("GET /a/{x}/c", {"x": "b"})
    assert found("GET", "/a/b/d") == ("GET /a/{proxy+}", {"proxy": "b/d"})
    assert found("PUT", "/q") == ("ANY /{proxy+}", {"proxy": "q"})
    assert found("GET", "/") == ("GET /", {})
    assert found("PUT", "/") is None
    assert table.match("GET", "/a/b/", trailing_slash=True).target == "GET /a/b"  # type: ignore[union-attr]


def test_cors_rules() -> None:
    rules = Cors.read({"AllowOrigins": ["https://*"], "AllowMethods": ["*"], "MaxAge": 0})
    assert rules is not None
    asked = a_request("OPTIONS", origin="https://a", access_control_request_method="PUT")
    assert ("access-control-max-age", "0") in (rules.preflight(seen(asked)) or [])
    assert rules.preflight(seen(a_request("OPTIONS", origin="https://a"))) is None
    foreign = a_request("OPTIONS", origin="http://a", access_control_request_method="PUT")
    assert rules.preflight(seen(foreign)) == []
    assert Cors.read({"AllowOrigins": ["*"], "AllowCredentials": True}).applied(  # type: ignore[union-attr]
        seen(a_request(origin="http://a")), [("access-control-allow-origin", "x"), ("a", "b")]
    ) == [
        ("a", "b"),
        ("access-control-allow-origin", "http://a"),
        ("vary", "Origin"),
        ("access-control-allow-credentials", "true"),
    ]


def test_forwarded_headers_and_hop_by_hop_ones() -> None:
    request = seen(a_request(x_forwarded_for="1.2.3.4", x_forwarded_proto="https", connection="close", te="x"))
    assert request.header("x-forwarded-for") == "1.2.3.4, 10.0.0.9"
    assert request.header("x-forwarded-proto") == "https"
    assert request.header("x-forwarded-port") == "4566"
    assert (request.header("connection"), request.header("te")) == (None, None)


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/css", True),
        ("multipart/form-data; boundary=x", False),
        ("application/x-www-form-urlencoded", False),
        (None, False),
    ],
)
def test_which_bodies_are_text(content_type: str | None, text: bool) -> None:
    assert payload_v2.is_text(content_type) is text
    assert payload_v2.body_text(b"x", content_type) == (("x", False) if text else ("eA==", True))


def test_text_that_is_none_travels_as_base64() -> None:
    assert payload_v2.body_text(b"\xff", "text/plain") == ("/w==", True)


def test_media_types_of_rest_apis() -> None:
    assert payload_v1.matches_type(["image/*"], "image/png, */*")
    assert payload_v1.matches_type(["*/*"], None)
    assert not payload_v1.matches_type(["image/png"], "text/html,image/png")
    assert payload_v1.header_case("x-amzn-trace-id") == "X-Amzn-Trace-Id"


def test_metadata_of_a_streamed_response() -> None:
    response = response_of(b'{"statusCode": 418, "headers": {"X-A": 1}, "cookies": ["c=1"]}', b"rest")
    assert (response.status, response.body) == (418, b"rest")
    assert response.headers == [("x-a", "1"), ("set-cookie", "c=1"), ("content-type", "application/octet-stream")]
    with pytest.raises(BadResponse):
        response_of(b"[]", b"")
    with pytest.raises(BadResponse):
        payload_v2.response(b'{"statusCode": 99}', default_type="x/y")
    with pytest.raises(BadResponse):
        payload_v2.response(b'{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}', default_type="x/y").answer()


def test_function_by_its_arn_or_api_gateways() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"
    wrapped = f"arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    for uri in (arn, wrapped):
        target = function_of(uri, {})
        assert (target.region, target.account, target.name, target.qualifier) == (
            "eu-west-1",
            "123456789012",
            "f",
            "live",
        )
    assert function_of(arn.replace("live", "${stageVariables.alias}"), {"alias": "beta"}).qualifier == "beta"
    for bad in ("f", "arn:aws:sqs:eu-west-1:123456789012:q", arn.replace("live", "${stageVariables.none}")):
        with pytest.raises(BadUri):
            function_of(bad, {})


def test_authorizers_answers() -> None:
    arn = "arn:aws:execute-api:us-east-1:000000000000:a/prod/GET/x"
    allow = b'{"principalId": "p", "policyDocument": {"Statement": [{"Effect": "Allow", "Action": "execute-api:*",'
    decision = policy_decision(
        allow + b'"Resource": "arn:aws:execute-api:*/prod/*"}]}, "context": {"n": 1}}', text_context=True
    )
    assert (decision.verdict(arn, "1.2.3.4"), decision.context) == (Verdict.ALLOWED, {"n": "1"})
    assert decision.verdict(arn.replace("prod", "dev"), "1.2.3.4") is Verdict.IMPLICIT_DENY
    assert simple_decision(b'{"isAuthorized": false}').verdict(arn, "") is Verdict.IMPLICIT_DENY
    for bad in (b"null", b'{"isAuthorized": "yes"}'):
        with pytest.raises(Misconfigured):
            simple_decision(bad)
    for bad in (b'{"principalId": "p"}', b'{"principalId": "p", "policyDocument": {"Statement": [{"Effect": "x"}]}}'):
        with pytest.raises(Misconfigured):
            policy_decision(bad, text_context=False)


def test_decisions_are_kept_for_their_time() -> None:
    now = [0.0]
    kept = Decisions(10.0, monotonic=lambda: now[0])
    decision = simple_decision(b'{"isAuthorized": true}')
    kept.keep(("a",), decision)
    kept.keep((), decision)
    assert (kept.find(("a",)), kept.find(("b",)), kept.find(())) == (decision, None, None)
    now[0] = 10.0
    assert kept.find(("a",)) is None


def test_patch_operations_follow_the_resources_shape() -> None:
    stage: dict[str, Any] = {"stageName": "s", "variables": {"a": "1"}}
    operations = [
        {"op": "replace", "path": "/tracingEnabled", "value": "true"},
        {"op": "replace", "path": "/variables/b~1c", "value": "2"},
        {"op": "remove", "path": "/variables/a"},
        {"op": "add", "path": "/accessLogSettings/format", "value": "x"},
    ]
    patch(stage, "Stage", operations)
    assert stage == {
        "stageName": "s",
        "variables": {"b/c": "2"},
        "tracingEnabled": True,
        "accessLogSettings": {"format": "x"},
    }
    api: dict[str, Any] = {"binaryMediaTypes": ["a/b"]}
    patch(api, "RestApi", [{"op": "replace", "path": "/binaryMediaTypes/a~1b", "value": "c/d"}])
    assert api == {"binaryMediaTypes": ["c/d"]}
    patch(api, "RestApi", [{"op": "remove", "path": "/binaryMediaTypes/c~1d"}])
    assert api == {}
    for bad in (
        {"op": "replace", "path": "/nothing", "value": "1"},
        {"op": "copy", "path": "/name"},
        {"op": "replace", "path": "/minimumCompressionSize", "value": "many"},
        {"op": "replace", "path": "/endpointConfiguration", "value": "x"},
    ):
        with pytest.raises(ApiError):
            patch({}, "RestApi", [bad])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://169.254.169.254/x", "http://localhost/", "ftp://a/", "x"]
)
def test_private_addresses_are_out_of_reach(url: str) -> None:
    with pytest.raises(Unreachable):
        open_pool(url, "10.0.0.0/8", 1.0)


def test_private_addresses_that_are_allowed_are_reached() -> None:
    pool, target = open_pool("http://10.1.2.3:8080/a?b", "10.0.0.0/8,127.0.0.1", 1.0)
    assert (pool.host, pool.port, target.path, target.query) == ("10.1.2.3", 8080, "/a", "b")


@given(st.text(max_size=12), st.text(st.characters(codec="utf-8"), max_size=12))
def test_header_that_the_server_would_not_send_is_refused(name: str, value: str) -> None:
    """It would close the connection without an answer."""
    try:
        answer = HttpResponse(200, [(name, value)], b"").answer()
    except BadResponse:
        return
    assert not any(HEADER_RE.search(sent) or HEADER_VALUE_RE.search(told) for sent, told in answer.headers)


@pytest.mark.parametrize("value", ["\x1b[1m", "a\x7f", "a\0", "a\r\nb: c", "a\nb"])
def test_control_characters_in_a_header_are_refused(value: str) -> None:
    with pytest.raises(BadResponse):
        HttpResponse(200, [("x-told", value)], b"").answer()
    assert HttpResponse(200, [("x-told", "a\tb é")], b"").answer().headers == [(b"x-told", "a\tb é".encode())]
