"""HTTP APIs: made with boto3 as deploy tools make them, called over real HTTP."""

from __future__ import annotations

import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.stack import PlatformStack
from tests.support.web import Response, fetch, let_in

#: answers with its event, or with what the request's X-Answer header says; or misbehaves as X-Do says
MIRROR = """
import json, time
def handler(event, context):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    if headers.get("x-do") == "raise":
        raise ValueError("no good")
    if headers.get("x-do") == "sleep":
        time.sleep(5)
    if "x-answer" in headers:
        return json.loads(headers["x-answer"])
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""
GUARD = """
import time
def handler(event, context):
    secret = event["identitySource"][0]
    if secret == "broken":
        raise ValueError("no good")
    if event["version"] == "1.0":
        secret = event["identitySource"]
        effect = "Allow" if secret == "open sesame" else "Deny"
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
        return {"principalId": "ali", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
                "context": {"at": time.time_ns()}}
    return {"isAuthorized": secret == "open sesame", "context": {"at": time.time_ns(), "route": event["routeKey"]}}
"""


@pytest.fixture(scope="module")
def mirror(stack: PlatformStack) -> str:
    return let_in(stack, stack.deploy(None, MIRROR))


class Api:
    """An HTTP API under test."""

    def __init__(self, stack: PlatformStack, **parameters: Any) -> None:
        self.stack = stack
        self.control = stack.client("apigatewayv2")
        made = self.control.create_api(Name=f"api-{uuid.uuid4().hex[:8]}", ProtocolType="HTTP", **parameters)
        self.id, self.endpoint = made["ApiId"], made["ApiEndpoint"]

    def route(self, key: str, function_arn: str, version: str = "2.0", **parameters: Any) -> str:
        integration = self.control.create_integration(
            ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=function_arn, PayloadFormatVersion=version
        )
        target = f"integrations/{integration['IntegrationId']}"
        return self.control.create_route(ApiId=self.id, RouteKey=key, Target=target, **parameters)["RouteId"]

    def stage(self, name: str = "$default", **parameters: Any) -> None:
        self.control.create_stage(ApiId=self.id, StageName=name, **({"AutoDeploy": True} | parameters))

    def get(self, path: str, **options: Any) -> Response:
        return fetch(self.stack, f"{self.endpoint}{path}", **options)


@pytest.fixture(scope="module")
def quick(stack: PlatformStack, mirror: str) -> Api:
    return Api(stack, Target=mirror)


def test_quick_create_serves_every_request(stack: PlatformStack, quick: Api) -> None:
    answer = quick.get(
        "/a%20b/c?x=1&x=2&y=%C3%BC",
        method="POST",
        body='{"k": 1}',
        headers=[("Content-Type", "application/json"), ("Cookie", "a=1; b=2"), ("X-Two", "1"), ("X-Two", "2")],
    )
    event = answer.json

    assert answer.status == 200
    assert len(answer.headers["apigw-requestid"]) == 16
    assert list(event) == [
        *("version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters"),
        *("requestContext", "body", "isBase64Encoded"),
    ]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a b/c")
    assert (event["rawQueryString"], event["queryStringParameters"]) == ("x=1&x=2&y=%C3%BC", {"x": "1,2", "y": "ü"})
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-two"] == "1,2"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"k": 1}', False)
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"], context["stage"]) == ("000000000000", quick.id, "$default")
    assert context["domainName"] == f"{quick.id}.execute-api.us-east-1.localhost"
    assert context["requestId"] == answer.headers["apigw-requestid"]
    assert context["http"]["method"] == "POST"
    assert context["http"]["protocol"] == "HTTP/1.1"


def test_path_form_reaches_the_same_api(stack: PlatformStack, quick: Api) -> None:
    event = fetch(stack, f"/_aws/execute-api/{quick.id}/$default/items/1?q=2").json

    assert (event["rawPath"], event["rawQueryString"]) == ("/items/1", "q=2")
    assert event["requestContext"]["domainPrefix"] == quick.id
    assert fetch(stack, f"/_aws/execute-api/{quick.id}/items/1").json["rawPath"] == "/items/1"
    assert fetch(stack, "/_aws/execute-api/0123456789/x").json == {"message": "Not Found"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"hello": "world"}', (200, "application/json", b'{"hello":"world"}')),
        ('"text"', (200, "application/json", b"text")),
        ("[1, true]", (200, "application/json", b"[1,true]")),
        ('{"statusCode": 201, "body": "made"}', (201, "text/plain;charset=UTF-8", b"made")),
        ('{"statusCode": "202", "headers": {"Content-Type": "x/y"}, "body": "z"}', (202, "x/y", b"z")),
        (
            '{"statusCode": 200, "headers": {"content-type": "image/x"}, "body": "AAH/", "isBase64Encoded": true}',
            (200, "image/x", b"\x00\x01\xff"),
        ),
        ('{"statusCode": "no number"}', (500, "application/json", b'{"message":"Internal Server Error"}')),
        ('{"statusCode": 200, "headers": "x"}', (500, "application/json", b'{"message":"Internal Server Error"}')),
        (
            '{"statusCode": 200, "headers": {"a b": "x"}}',
            (500, "application/json", b'{"message":"Internal Server Error"}'),
        ),
    ],
)
def test_answers_of_format_2_become_http(quick: Api, answer: str, expected: tuple[int, str, bytes]) -> None:
    got = quick.get("/", headers={"X-Answer": answer})
    assert (got.status, got.headers["content-type"], got.body) == expected


def test_cookies_and_head_and_binary_bodies(quick: Api) -> None:
    answer = quick.get("/", headers={"X-Answer": '{"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"], "body": "x"}'})
    assert answer.cookies == ["a=1; Path=/", "b=2"]
    head = quick.get("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    event = quick.get("/", method="PUT", body=b"\xff\x00", headers={"Content-Type": "application/octet-stream"}).json
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)


def test_a_failing_function_is_an_internal_server_error(quick: Api) -> None:
    answer = quick.get("/", headers={"X-Do": "raise"})
    assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})


def test_routes_are_chosen_by_how_exact_they_are(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack)
    for key in ("GET /pets/{id}", "GET /pets/dog", "ANY /pets/{id}", "GET /pets/{proxy+}", "POST /{proxy+}"):
        api.route(key, mirror)
    api.stage()

    def chosen(path: str, method: str = "GET") -> tuple[str, dict[str, str] | None]:
        event = api.get(path, method=method).json
        return event["routeKey"], event.get("pathParameters")

    assert chosen("/pets/dog") == ("GET /pets/dog", None)
    assert chosen("/pets/a%2Fb") == ("GET /pets/{id}", {"id": "a/b"})
    assert chosen("/pets/cat", "PUT") == ("ANY /pets/{id}", {"id": "cat"})
    assert chosen("/pets/cat/1") == ("GET /pets/{proxy+}", {"proxy": "cat/1"})
    assert chosen("/any/thing", "POST") == ("POST /{proxy+}", {"proxy": "any/thing"})
    missing = api.get("/any/thing")
    assert (missing.status, missing.json) == (404, {"message": "Not Found"})


def test_payload_format_1_of_an_http_api(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack)
    api.route("GET /v1/{name}", mirror, "1.0")
    api.stage()
    event = api.get("/v1/x?a=1&a=2", headers=[("X-Two", "1"), ("X-Two", "2")]).json

    assert (event["version"], event["resource"], event["path"], event["httpMethod"]) == (
        *("1.0", "/v1/{name}", "/v1/x", "GET"),
    )
    assert event["headers"]["X-Two"] == "2"
    assert event["multiValueHeaders"]["X-Two"] == ["1", "2"]
    assert (event["queryStringParameters"], event["multiValueQueryStringParameters"]) == ({"a": "2"}, {"a": ["1", "2"]})
    assert (event["pathParameters"], event["stageVariables"], event["body"]) == ({"name": "x"}, None, None)
    assert event["requestContext"]["resourcePath"] == "/v1/{name}"
    bad = api.get("/v1/x", headers={"X-Answer": '{"hello": "world"}'})
    assert (bad.status, bad.json) == (500, {"message": "Internal Server Error"})
    many = api.get(
        "/v1/x", headers={"X-Answer": '{"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}'}
    )
    assert many.cookies == ["a=1", "b=2"]


def test_a_stage_serves_what_was_deployed_to_it(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack)
    api.route("GET /one", mirror)
    deployed = api.control.create_deployment(ApiId=api.id)["DeploymentId"]
    variables = {"colour": "red"}
    api.stage("prod", AutoDeploy=False, DeploymentId=deployed, StageVariables=variables)
    event = api.get("/prod/one").json
    assert (event["rawPath"], event["requestContext"]["stage"], event["stageVariables"]) == (
        "/prod/one",
        "prod",
        variables,
    )

    api.route("GET /two", mirror)
    assert api.get("/prod/two").status == 404
    api.control.create_deployment(ApiId=api.id, StageName="prod")
    assert api.get("/prod/two").json["routeKey"] == "GET /two"
    assert api.get("/two").json == {"message": "Not Found"}


def test_function_by_a_stage_variable(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack)
    prefix, _, name = mirror.rpartition(":")
    api.route("GET /", prefix + ":${stageVariables.fn}")
    api.stage("a", StageVariables={"fn": name})
    api.stage("b", StageVariables={"fn": "no-such-function"})
    assert api.get("/a").json["routeKey"] == "GET /"
    assert api.get("/b").json == {"message": "Internal Server Error"}


def test_a_function_must_let_the_api_in(stack: PlatformStack) -> None:
    name = stack.deploy(None, MIRROR)
    arn = stack.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
    api = Api(stack)
    api.route("GET /items/{id}", arn)
    api.route("GET /other", arn)
    api.stage()
    assert (api.get("/other").status, api.get("/other").json) == (500, {"message": "Internal Server Error"})
    let_in(stack, name, f"arn:aws:execute-api:us-east-1:000000000000:{api.id}/*/GET/items/*")
    assert (api.get("/items/1").status, api.get("/other").status) == (200, 500)


def test_cors_is_answered_by_the_api(stack: PlatformStack, mirror: str) -> None:
    rules = {
        "AllowOrigins": ["https://shop.example", "http://*"],
        "AllowMethods": ["GET", "POST"],
        "AllowHeaders": ["x-token"],
        "ExposeHeaders": ["x-total"],
        "AllowCredentials": True,
        "MaxAge": 300,
    }
    api = Api(stack, Target=mirror, CorsConfiguration=rules)
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    preflight = api.get("/x", method="OPTIONS", headers=asked)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert preflight.headers["access-control-allow-methods"] == "GET,POST"
    assert preflight.headers["access-control-allow-headers"] == "x-token"
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert preflight.headers["access-control-max-age"] == "300"

    own = '{"statusCode": 200, "headers": {"access-control-allow-origin": "*"}, "body": ""}'
    answer = api.get("/x", headers={"Origin": "http://localhost:3000", "X-Answer": own})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert answer.headers["access-control-expose-headers"] == "x-total"
    foreign = api.get("/x", headers={"Origin": "https://evil.example", "X-Answer": own})
    assert foreign.status == 200
    assert "access-control-allow-origin" not in foreign.headers
    api.control.delete_cors_configuration(ApiId=api.id)
    assert (
        api.get("/x", headers={"Origin": "https://evil.example", "X-Answer": own}).headers[
            "access-control-allow-origin"
        ]
        == "*"
    )


def test_an_integration_that_takes_too_long(stack: PlatformStack, quick: Api, mirror: str) -> None:
    api = Api(stack)
    route = api.route("GET /", mirror)
    api.stage()
    integration = api.control.get_route(ApiId=api.id, RouteId=route)["Target"].partition("/")[2]
    api.control.update_integration(ApiId=api.id, IntegrationId=integration, TimeoutInMillis=300)
    answer = api.get("/", headers={"X-Do": "sleep"})
    assert (answer.status, answer.json) == (503, {"message": "Service Unavailable"})


@pytest.fixture(scope="module")
def guard(stack: PlatformStack) -> str:
    return let_in(stack, stack.deploy(None, GUARD))


@pytest.fixture(scope="module")
def guarded(stack: PlatformStack, mirror: str, guard: str) -> Api:
    api = Api(stack)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{guard}/invocations"
    common = {"ApiId": api.id, "AuthorizerType": "REQUEST", "IdentitySource": ["$request.header.Secret"]}
    simple = api.control.create_authorizer(
        **common, Name="simple", AuthorizerUri=uri, AuthorizerPayloadFormatVersion="2.0", EnableSimpleResponses=True
    )
    kept = api.control.create_authorizer(
        **common,
        Name="kept",
        AuthorizerUri=uri,
        AuthorizerPayloadFormatVersion="1.0",
        AuthorizerResultTtlInSeconds=300,
    )
    api.route("GET /simple", mirror, AuthorizationType="CUSTOM", AuthorizerId=simple["AuthorizerId"])
    api.route("GET /kept", mirror, AuthorizationType="CUSTOM", AuthorizerId=kept["AuthorizerId"])
    api.route("GET /kept/other", mirror, AuthorizationType="CUSTOM", AuthorizerId=kept["AuthorizerId"])
    api.stage()
    return api


def test_a_functions_simple_answer_decides(guarded: Api) -> None:
    answer = guarded.get("/simple", headers={"Secret": "open sesame"})
    assert answer.json["requestContext"]["authorizer"]["lambda"]["route"] == "GET /simple"
    again = guarded.get("/simple", headers={"Secret": "open sesame"})
    assert again.json["requestContext"]["authorizer"] != answer.json["requestContext"]["authorizer"]
    for secret, status, text in (
        ("guess", 403, "Forbidden"),
        (None, 401, "Unauthorized"),
        ("broken", 500, "Internal Server Error"),
    ):
        refused = guarded.get("/simple", headers={"Secret": secret} if secret else {})
        assert (refused.status, refused.json) == (status, {"message": text})


def test_a_policy_is_kept_and_holds_for_the_routes_it_names(guarded: Api) -> None:
    first, second = (guarded.get("/kept", headers={"Secret": "open sesame"}).json for _ in range(2))
    assert first["requestContext"]["authorizer"] == second["requestContext"]["authorizer"]
    # the policy that is kept names another route
    assert guarded.get("/kept/other", headers={"Secret": "open sesame"}).json == {"message": "Forbidden"}
    stale = first["requestContext"]["authorizer"]["lambda"]["at"]
    guarded.control.reset_authorizers_cache(ApiId=guarded.id, StageName="$default")
    asked = guarded.get("/kept", headers={"Secret": "open sesame"}).json
    assert asked["requestContext"]["authorizer"]["lambda"]["at"] > stale


def test_parts_are_listed_changed_and_deleted(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack, Tags={"team": "a"})
    control = api.control
    route = api.route("GET /x", mirror)
    api.stage()
    for other in ("POST /x", "PUT /x"):
        api.route(other, mirror)
    page = control.get_routes(ApiId=api.id, MaxResults="2")
    rest = control.get_routes(ApiId=api.id, MaxResults="2", NextToken=page["NextToken"])
    assert [len(page["Items"]), len(rest["Items"])] == [2, 1]
    with pytest.raises(ClientError, match="already exists"):
        api.route("GET /x", mirror)
    with pytest.raises(ClientError) as caught:
        control.get_route(ApiId=api.id, RouteId="absent1")
    assert caught.value.response["Error"]["Code"] == "NotFoundException"
    with pytest.raises(ClientError, match="not formatted properly"):
        control.update_route(ApiId=api.id, RouteId=route, RouteKey="FETCH x")
    control.update_route(ApiId=api.id, RouteId=route, RouteKey="GET /y")
    assert (api.get("/x").status, api.get("/y").status) == (404, 200)
    target = control.get_route(ApiId=api.id, RouteId=route)["Target"].partition("/")[2]
    with pytest.raises(ClientError) as caught:
        control.delete_integration(ApiId=api.id, IntegrationId=target)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    control.delete_route(ApiId=api.id, RouteId=route)
    control.delete_integration(ApiId=api.id, IntegrationId=target)
    assert api.get("/y").status == 404

    arn = f"arn:aws:apigateway:us-east-1::/apis/{api.id}"
    control.tag_resource(ResourceArn=arn, Tags={"env": "b"})
    control.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert control.get_tags(ResourceArn=arn)["Tags"] == {"env": "b"}
    assert api.id in [one["ApiId"] for one in control.get_apis()["Items"]]
    control.update_api(ApiId=api.id, Name="renamed")
    assert control.get_api(ApiId=api.id)["Name"] == "renamed"
    control.delete_stage(ApiId=api.id, StageName="$default")
    control.delete_api(ApiId=api.id)
    with pytest.raises(ClientError) as caught:
        control.get_api(ApiId=api.id)
    assert caught.value.response["Error"]["Code"] == "NotFoundException"


def test_an_openapi_document_becomes_an_api(stack: PlatformStack, mirror: str) -> None:
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{mirror}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "payloadFormatVersion": "2.0"}
    document = {
        "openapi": "3.0.1",
        "info": {"title": "imported", "version": "7"},
        "paths": {
            "/items/{id}": {"get": {"x-amazon-apigateway-integration": {"$ref": "#/components/x/shared"}}},
            "/things": {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}},
        },
        "components": {"x-amazon-apigateway-integrations": {"shared": integration}},
    }
    control = stack.client("apigatewayv2")
    made = control.import_api(Body=json.dumps(document))
    control.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
    assert fetch(stack, f"{made['ApiEndpoint']}/items/4").json["pathParameters"] == {"id": "4"}
    assert fetch(stack, f"{made['ApiEndpoint']}/things", method="DELETE").json["routeKey"] == "ANY /things"
    del document["paths"]["/things"]
    control.reimport_api(ApiId=made["ApiId"], Body=json.dumps(document))
    assert fetch(stack, f"{made['ApiEndpoint']}/things").status == 404


class Issuer(http.server.BaseHTTPRequestHandler):
    """Publishes a real key as an OpenID Connect provider does; and is the server behind an HTTP integration."""

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def do_GET(self) -> None:
        base = f"http://{self.headers['Host']}"
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        documents = {
            "/.well-known/openid-configuration": {"issuer": base, "jwks_uri": f"{base}/keys"},
            "/keys": {"keys": [{**public, "kid": "one"}]},
        }
        body = json.dumps(documents.get(self.path, {"path": self.path, "agent": self.headers["User-Agent"]})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        thread = threading.Thread(target=server.serve_forever, name="issuer")
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_tokens_of_an_issuer_are_checked(stack: PlatformStack, mirror: str, issuer: str) -> None:
    api = Api(stack)
    authorizer = api.control.create_authorizer(
        ApiId=api.id,
        AuthorizerType="JWT",
        Name="tokens",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer, "Audience": ["app"]},
    )["AuthorizerId"]
    common = {"AuthorizationType": "JWT", "AuthorizerId": authorizer}
    api.route("GET /any", mirror, **common)
    api.route("GET /admin", mirror, **common, AuthorizationScopes=["admin"])
    api.stage()

    def called(path: str, token: str | None) -> Response:
        return api.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})

    claims = {"iss": issuer, "aud": "app", "sub": "ali", "scope": "read", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, Issuer.key, "RS256", {"kid": "one"})
    passed = called("/any", token).json["requestContext"]["authorizer"]["jwt"]
    assert (passed["claims"]["sub"], passed["scopes"]) == ("ali", None)
    forbidden = called("/admin", token)
    assert (forbidden.status, forbidden.json) == (403, {"message": "Forbidden"})
    assert 'error="insufficient_scope"' in forbidden.headers["www-authenticate"]
    for bad in (None, "x.y.z", jwt.encode(claims | {"exp": 1}, Issuer.key, "RS256", {"kid": "one"})):
        refused = called("/any", bad)
        assert (refused.status, refused.json) == (401, {"message": "Unauthorized"})
    admin = jwt.encode(claims | {"scope": "admin read"}, Issuer.key, "RS256", {"kid": "one"})
    assert called("/admin", admin).json["requestContext"]["authorizer"]["jwt"]["scopes"] == ["admin", "read"]


def test_private_addresses_are_not_reached_for_an_api(stack: PlatformStack, issuer: str) -> None:
    api = Api(stack, Target=f"{issuer}/inside")
    refused = api.get("/x")
    assert (refused.status, refused.json) == (500, {"message": "Internal Server Error"})
