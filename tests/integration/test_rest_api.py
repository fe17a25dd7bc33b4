"""REST APIs: made with boto3 as deploy tools make them, called over real HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

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
        time.sleep(1)
    if "x-answer" in headers:
        return json.loads(headers["x-answer"])
    return {"statusCode": 200, "body": json.dumps(event)}
"""
GUARD = """
import time
def handler(event, context):
    secret = event["authorizationToken"] if event["type"] == "TOKEN" else event["queryStringParameters"]["key"]
    if secret == "unknown":
        raise Exception("Unauthorized")
    if secret == "broken":
        return {"principalId": "x"}
    allowed = "*" if secret == "all" else event["methodArn"]
    statements = [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": allowed}]
    if secret == "denied":
        statements = [{"Action": "*", "Effect": "Deny", "Resource": "*"}]
    if secret == "nothing":
        statements = [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "arn:aws:execute-api:x"}]
    return {"principalId": "ali", "policyDocument": {"Version": "2012-10-17", "Statement": statements},
            "context": {"number": 7, "flag": True, "at": str(time.time_ns())}}
"""


def uri_of(function_arn: str) -> str:
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function_arn}/invocations"


@pytest.fixture(scope="module")
def mirror(stack: PlatformStack) -> str:
    return uri_of(let_in(stack, stack.deploy(None, MIRROR)))


@pytest.fixture(scope="module")
def guard(stack: PlatformStack) -> str:
    return uri_of(let_in(stack, stack.deploy(None, GUARD)))


class Api:
    """A REST API under test."""

    def __init__(self, stack: PlatformStack, **parameters: Any) -> None:
        self.stack = stack
        self.control = stack.client("apigateway")
        made = self.control.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}", **parameters)
        self.id, self.root = made["id"], made["rootResourceId"]
        self.endpoint = f"http://{self.id}.execute-api.us-east-1.localhost:{stack.port}"

    def resource(self, part: str, parent: str | None = None) -> str:
        return self.control.create_resource(restApiId=self.id, parentId=parent or self.root, pathPart=part)["id"]

    def method(self, resource: str, uri: str, http_method: str = "ANY", **parameters: Any) -> None:
        address = {"restApiId": self.id, "resourceId": resource, "httpMethod": http_method}
        self.control.put_method(**address, **({"authorizationType": "NONE"} | parameters))
        self.control.put_integration(**address, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)

    def deploy(self, stage: str = "prod", **parameters: Any) -> str:
        return self.control.create_deployment(restApiId=self.id, stageName=stage, **parameters)["id"]

    def get(self, path: str, **options: Any) -> Response:
        return fetch(self.stack, f"{self.endpoint}{path}", **options)


@pytest.fixture(scope="module")
def proxy(stack: PlatformStack, mirror: str) -> Api:
    api = Api(stack, binaryMediaTypes=["image/*"])
    api.method(api.root, mirror)
    api.method(api.resource("{proxy+}"), mirror)
    api.deploy(variables={"colour": "red"})
    return api


def test_event_is_that_of_a_lambda_proxy(stack: PlatformStack, proxy: Api) -> None:
    answer = proxy.get(
        "/prod/a%20b/c?x=1&x=2&y=",
        method="POST",
        body="text",
        headers=[("Content-Type", "text/plain"), ("X-Two", "1"), ("X-Two", "2")],
    )
    event = answer.json

    assert answer.headers["content-type"] == "application/json"
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{proxy+}", "/a%20b/c", "POST")
    assert event["pathParameters"] == {"proxy": "a b/c"}
    assert (event["headers"]["X-Two"], event["multiValueHeaders"]["X-Two"]) == ("2", ["1", "2"])
    assert event["headers"]["Host"] == f"{proxy.id}.execute-api.us-east-1.localhost:{stack.port}"
    assert event["queryStringParameters"] == {"x": "2", "y": ""}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert (event["body"], event["isBase64Encoded"]) == ("text", False)
    assert event["stageVariables"] == {"colour": "red"}
    context = event["requestContext"]
    assert (context["stage"], context["path"], context["resourcePath"]) == ("prod", "/prod/a%20b/c", "/{proxy+}")
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert (context["apiId"], context["accountId"]) == (proxy.id, "000000000000")
    slash = proxy.get("/prod/a/").json
    assert (slash["path"], slash["pathParameters"]) == ("/a/", {"proxy": "a"})
    assert proxy.get("/prod").json["resource"] == "/"
    assert proxy.get("/prod/x").json["body"] is None


def test_path_forms_reach_the_same_stage(stack: PlatformStack, proxy: Api) -> None:
    for path in (f"/_aws/execute-api/{proxy.id}/prod/x/y", f"/restapis/{proxy.id}/prod/_user_request_/x/y"):
        event = fetch(stack, path).json
        assert (event["path"], event["requestContext"]["path"]) == ("/x/y", "/prod/x/y")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"statusCode": 200}', (200, "application/json", b"")),
        ('{"statusCode": "201", "headers": {"content-type": "x/y"}, "body": "z"}', (201, "x/y", b"z")),
        ('{"statusCode": 200, "headers": null}', (200, "application/json", b"")),
        ('{"statusCode": 200, "body": "dGVzdA==", "isBase64Encoded": true}', (200, "application/json", b"dGVzdA==")),
        ('{"statusCode": 200, "wrongValue": 1}', None),
        ('{"statusCode": "test"}', None),
        ("{}", None),
        ('"text"', None),
        ('{"statusCode": 200, "multiValueHeaders": {"a": "b"}}', None),
    ],
)
def test_answers_become_http_or_a_bad_gateway(proxy: Api, answer: str, expected: tuple[int, str, bytes] | None) -> None:
    got = proxy.get("/prod/x", headers={"X-Answer": answer})
    malformed = (502, "application/json", b'{"message":"Internal server error"}')
    assert (got.status, got.headers["content-type"], got.body) == (expected or malformed)


def test_binary_bodies_both_ways(proxy: Api) -> None:
    event = proxy.get("/prod/x", method="POST", body=b"\xff\x00", headers={"Content-Type": "image/png"}).json
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
    answer = '{"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": "/wA=", "isBase64Encoded": true}'
    assert proxy.get("/prod/x", headers={"X-Answer": answer, "Accept": "image/png"}).body == b"\xff\x00"


def test_refusals_are_the_gateways(stack: PlatformStack, mirror: str, proxy: Api) -> None:
    api = Api(stack)
    pets = api.resource("pets")
    api.method(pets, mirror, "GET")
    api.deploy()
    for path, method in (("/prod/none", "GET"), ("/prod", "GET"), ("/prod/pets", "POST")):
        refused = api.get(path, method=method)
        assert (refused.status, refused.json) == (403, {"message": "Missing Authentication Token"})
        assert refused.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert (api.get("/none/pets").status, api.get("/none/pets").json) == (403, {"message": "Forbidden"})
    failed = proxy.get("/prod/x", headers={"X-Do": "raise"})
    assert (failed.status, failed.json) == (502, {"message": "Internal server error"})

    address = {"restApiId": api.id, "resourceId": pets, "httpMethod": "GET"}
    patched = [{"op": "replace", "path": "/timeoutInMillis", "value": "200"}]
    assert api.control.update_integration(**address, patchOperations=patched)["timeoutInMillis"] == 200
    api.control.put_gateway_response(
        restApiId=api.id,
        responseType="DEFAULT_5XX",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
        responseTemplates={"application/json": '{"error":$context.error.messageString}'},
    )
    assert api.get("/prod/pets", headers={"X-Do": "sleep"}).status == 200  # not deployed yet
    api.deploy()
    late = api.get("/prod/pets", headers={"X-Do": "sleep"})
    assert (late.status, late.json) == (504, {"error": "Endpoint request timed out"})
    assert late.headers["access-control-allow-origin"] == "*"


def test_token_authorizer_and_its_kept_answers(stack: PlatformStack, mirror: str, guard: str) -> None:
    api = Api(stack)
    authorizer = api.control.create_authorizer(
        restApiId=api.id,
        name="token",
        type="TOKEN",
        authorizerUri=guard,
        identitySource="method.request.header.Authorization",
        identityValidationExpression="[a-z]+",
    )["id"]
    for part in ("one", "two"):
        api.method(api.resource(part), mirror, "GET", authorizationType="CUSTOM", authorizerId=authorizer)
    api.deploy()

    def asked(path: str, token: str | None) -> Response:
        return api.get(f"/prod/{path}", headers={"Authorization": token} if token else {})

    first, second = (asked("one", "all").json["requestContext"]["authorizer"] for _ in range(2))
    assert (first["principalId"], first["number"], first["flag"]) == ("ali", "7", "true")
    assert first["at"] == second["at"]
    assert asked("two", "all").status == 200
    assert asked("one", "this").status == 200
    assert asked("two", "this").json == {"Message": "User is not authorized to access this resource"}
    denied = asked("one", "denied")
    assert (denied.status, denied.json["Message"]) == (
        403,
        "User is not authorized to access this resource with an explicit deny",
    )
    for token in (None, "UPPER", "unknown"):
        assert (asked("one", token).status, asked("one", token).json) == (401, {"message": "Unauthorized"})
    broken = asked("one", "broken")
    assert (broken.status, broken.json) == (500, {"message": None})
    api.control.flush_stage_authorizers_cache(restApiId=api.id, stageName="prod")
    assert asked("one", "all").json["requestContext"]["authorizer"]["at"] > first["at"]


def test_request_authorizer_gets_the_event(stack: PlatformStack, mirror: str, guard: str) -> None:
    api = Api(stack)
    authorizer = api.control.create_authorizer(
        restApiId=api.id,
        name="request",
        type="REQUEST",
        authorizerUri=guard,
        identitySource="method.request.querystring.key",
        authorizerResultTtlInSeconds=0,
    )["id"]
    api.method(api.root, mirror, "GET", authorizationType="CUSTOM", authorizerId=authorizer)
    api.deploy()
    assert api.get("/prod?key=all").json["requestContext"]["authorizer"]["principalId"] == "ali"
    assert api.get("/prod?key=nothing").status == 403
    assert api.get("/prod").json == {"message": "Unauthorized"}


def test_required_parameters_mock_and_signed_methods(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack)
    validator = api.control.create_request_validator(
        restApiId=api.id, name="parameters", validateRequestParameters=True
    )["id"]
    wanted = {"method.request.querystring.q": True, "method.request.header.h": False}
    things = api.resource("things")
    api.method(things, mirror, "GET", requestValidatorId=validator, requestParameters=wanted)
    api.method(things, mirror, "POST", authorizationType="AWS_IAM")
    cors = {"restApiId": api.id, "resourceId": things, "httpMethod": "OPTIONS"}
    api.control.put_method(**cors, authorizationType="NONE")
    api.control.put_integration(**cors, type="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    name = "method.response.header.Access-Control-Allow-Origin"
    api.control.put_method_response(**cors, statusCode="204", responseParameters={name: False})
    api.control.put_integration_response(**cors, statusCode="204", responseParameters={name: "'https://a.example'"})
    api.deploy()

    missing = api.get("/prod/things")
    assert (missing.status, missing.json) == (400, {"message": "Missing required request parameters: [q]"})
    assert api.get("/prod/things?q=1").status == 200
    mock = api.get("/prod/things", method="OPTIONS")
    assert (mock.status, mock.headers["access-control-allow-origin"]) == (204, "https://a.example")
    unsigned = api.get("/prod/things", method="POST")
    assert (unsigned.status, unsigned.json) == (403, {"message": "Missing Authentication Token"})


def test_resources_methods_and_stages_are_managed(stack: PlatformStack, mirror: str) -> None:
    api = Api(stack, tags={"team": "a"})
    control = api.control
    pets = api.resource("pets")
    pet = api.resource("{id}", pets)
    with pytest.raises(ClientError, match="Another resource with the same parent already has this name: pets"):
        api.resource("pets")
    with pytest.raises(ClientError, match="already has a variable path part"):
        api.resource("{other}", pets)
    with pytest.raises(ClientError) as caught:
        api.deploy()
    assert caught.value.response["Error"]["Message"] == "The REST API doesn't contain any methods"
    with pytest.raises(ClientError, match="AWS ARN for integration must contain path or action"):
        api.method(pet, "arn:aws:apigateway:us-east-1:lambda:none", "GET")
    api.method(pet, mirror, "GET")
    method = control.get_method(restApiId=api.id, resourceId=pet, httpMethod="GET")
    assert (method["apiKeyRequired"], method["authorizationType"]) == (False, "NONE")
    integration = method["methodIntegration"]
    assert (integration["type"], integration["httpMethod"], integration["timeoutInMillis"]) == (
        "AWS_PROXY",
        "POST",
        29000,
    )
    paths = [one["path"] for one in control.get_resources(restApiId=api.id, embed=["methods"])["items"]]
    assert paths == ["/", "/pets", "/pets/{id}"]
    control.update_resource(
        restApiId=api.id, resourceId=pets, patchOperations=[{"op": "replace", "path": "/pathPart", "value": "dogs"}]
    )
    assert control.get_resource(restApiId=api.id, resourceId=pet)["path"] == "/dogs/{id}"

    first, second = api.deploy("one"), api.deploy("two")
    stage = control.update_stage(
        restApiId=api.id,
        stageName="one",
        patchOperations=[
            {"op": "replace", "path": "/variables/colour", "value": "blue"},
            {"op": "replace", "path": "/deploymentId", "value": second},
            {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "7.5"},
            {"op": "replace", "path": "/tracingEnabled", "value": "true"},
        ],
    )
    assert (stage["variables"], stage["deploymentId"], stage["tracingEnabled"]) == ({"colour": "blue"}, second, True)
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 7.5
    assert api.get("/one/dogs/1").json["stageVariables"] == {"colour": "blue"}
    control.delete_deployment(restApiId=api.id, deploymentId=first)
    with pytest.raises(ClientError, match="Active stages"):
        control.delete_deployment(restApiId=api.id, deploymentId=second)
    assert len(control.get_stages(restApiId=api.id)["item"]) == 2

    updated = control.update_rest_api(
        restApiId=api.id,
        patchOperations=[
            {"op": "replace", "path": "/name", "value": "renamed"},
            {"op": "add", "path": "/binaryMediaTypes/image~1png"},
        ],
    )
    assert (updated["name"], updated["binaryMediaTypes"]) == ("renamed", ["image/png"])
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api.id}"
    control.tag_resource(resourceArn=arn, tags={"env": "b"})
    control.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert control.get_tags(resourceArn=arn)["tags"] == {"env": "b"}
    assert api.id in [one["id"] for one in control.get_rest_apis(limit=500)["items"]]
    control.delete_resource(restApiId=api.id, resourceId=pets)
    with pytest.raises(ClientError, match="Invalid Resource identifier specified"):
        control.get_resource(restApiId=api.id, resourceId=pet)
    control.delete_rest_api(restApiId=api.id)
    with pytest.raises(ClientError) as caught:
        control.get_rest_api(restApiId=api.id)
    assert caught.value.response["Error"]["Code"] == "NotFoundException"


def test_a_swagger_document_becomes_an_api(stack: PlatformStack, mirror: str) -> None:
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": mirror}
    document = {
        "swagger": "2.0",
        "info": {"title": "imported", "version": "1.0"},
        "paths": {
            "/items/{id}": {"get": {"x-amazon-apigateway-integration": integration}},
            "/{proxy+}": {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}},
        },
    }
    control = stack.client("apigateway")
    made = control.import_rest_api(body=json.dumps(document).encode())
    control.create_deployment(restApiId=made["id"], stageName="dev")
    base = f"/_aws/execute-api/{made['id']}/dev"
    assert fetch(stack, f"{base}/items/4").json["resource"] == "/items/{id}"
    assert fetch(stack, f"{base}/items/4", method="DELETE").json["resource"] == "/{proxy+}"
    document["paths"] = {"/only": {"get": {"x-amazon-apigateway-integration": integration}}}
    control.put_rest_api(restApiId=made["id"], mode="overwrite", body=json.dumps(document).encode())
    control.create_deployment(restApiId=made["id"], stageName="dev")
    assert (fetch(stack, f"{base}/only").status, fetch(stack, f"{base}/items/4").status) == (200, 403)
