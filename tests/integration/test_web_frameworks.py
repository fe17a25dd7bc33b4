"""A Flask and an Express application, packaged with their usual adapters, behind HTTP APIs, REST APIs and a URL."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.conftest import missing
from tests.support.command import hearth
from tests.support.functions import zip_of_folder
from tests.support.runtime_packages import BUILDS, Unbuildable, package
from tests.support.stack import PlatformStack
from tests.support.web import fetch, let_in

PIXEL = bytes.fromhex("89504e470d0a1a0a") + bytes(range(256))
CALLER = """
import boto3, json
def handler(event, context):
    answer = boto3.client("lambda").invoke(FunctionName=event["rawPath"][1:], Payload=json.dumps({"from": "caller"}))
    return {"callee": json.load(answer["Payload"]), "version": answer["ExecutedVersion"]}
"""


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    arn: str


@pytest.fixture(scope="module", params=["flask", "express"])
def application(request: pytest.FixtureRequest, stack: PlatformStack) -> Application:
    try:
        folder = package(request.param)
    except Unbuildable as exc:
        missing(str(exc))
    runtime = "python3.11" if request.param == "flask" else "nodejs20.x"
    name = stack.deploy(
        None,
        zip_of_folder(folder),
        Runtime=runtime,
        Handler=BUILDS[request.param].handler,
        Timeout=20,
        MemorySize=256,
    )
    return Application(name, let_in(stack, name))


@pytest.fixture(scope="module", params=["http", "rest"])
def base(request: pytest.FixtureRequest, stack: PlatformStack, application: Application) -> str:
    """Where the application is: behind an HTTP API (payload 2.0), or a REST API (payload 1.0)."""
    if request.param == "http":
        control = stack.client("apigatewayv2")
        made = control.create_api(Name="web", ProtocolType="HTTP", Target=application.arn)
        return made["ApiEndpoint"]
    rest = stack.client("apigateway")
    api = rest.create_rest_api(name="web", binaryMediaTypes=["*/*"])
    resource = rest.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}")["id"]
    address = {"restApiId": api["id"], "resourceId": resource, "httpMethod": "ANY"}
    rest.put_method(**address, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{application.arn}/invocations"
    rest.put_integration(**address, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    rest.create_deployment(restApiId=api["id"], stageName="prod")
    return f"http://{api['id']}.execute-api.us-east-1.localhost:{stack.port}/prod"


def test_application_serves_what_browsers_send(stack: PlatformStack, base: str) -> None:
    greeted = fetch(stack, f"{base}/hello/wide%20world?q=1&q=%C3%BC%20b", headers={"User-Agent": "tests"})
    assert (greeted.status, greeted.json) == (200, {"hello": "wide world", "agent": "tests", "q": ["1", "ü b"]})

    form = fetch(
        stack,
        f"{base}/form",
        method="POST",
        body="name=Ada+L",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Cookie": "given=2"},
    )
    assert (form.status, form.body) == (200, b"thanks, Ada L")
    assert [cookie.partition(";")[0] for cookie in form.cookies] == ["first=1", "second=2"]

    data = bytes(range(256))
    echo = fetch(stack, f"{base}/echo", method="PUT", body=data, headers={"Content-Type": "application/octet-stream"})
    assert echo.body == data

    pixel = fetch(stack, f"{base}/pixel", headers={"Accept": "image/png"})
    assert (pixel.headers["content-type"], pixel.body) == ("image/png", PIXEL)
    away = fetch(stack, f"{base}/away")
    assert (away.status, away.headers["location"]) == (303, "/hello/again")
    assert fetch(stack, f"{base}/nowhere").status == 404


def test_routes_of_the_command_reach_a_function_that_calls_another(stack: PlatformStack) -> None:
    callee = stack.deploy(None, "def handler(event, context):\n    return {'got': event}\n")
    caller = stack.deploy(None, CALLER, Timeout=20, MemorySize=256)
    added = hearth("routes", "add", "GET /{name}", caller, "--api", "calls", "--json", env=stack.environ())
    assert added.returncode == 0, added.stderr
    entry = json.loads(added.stdout)

    answer = fetch(stack, f"{entry['endpoint']}/{callee}")
    assert answer.json == {"callee": {"got": {"from": "caller"}}, "version": "$LATEST"}
    assert fetch(stack, f"{entry['path_form'].removeprefix(stack.endpoint)}/{callee}").json == answer.json

    hearth("routes", "add", "GET /{name}", callee, "--api", "calls", env=stack.environ())
    listed = [
        one for one in json.loads(hearth("routes", "--json", env=stack.environ()).stdout) if one["api"] == "calls"
    ]
    assert [(one["key"], one["target"]) for one in listed] == [("GET /{name}", callee)]
    assert fetch(stack, f"{entry['endpoint']}/x").json["got"]["rawPath"] == "/x"
    assert hearth("routes", "delete", "GET /{name}", "--api", "calls", env=stack.environ()).returncode == 0
    assert fetch(stack, f"{entry['endpoint']}/x").status == 404
    refused = hearth("routes", "add", "GET /x", "no-such-function", env=stack.environ())
    assert (refused.returncode, "Function not found" in refused.stderr) == (1, True)
