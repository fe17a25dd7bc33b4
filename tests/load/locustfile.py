"""Load on the Invoke endpoint as clients make it: signed requests on kept connections, push and event, warm and cold.

    locust -f tests/load/locustfile.py --headless --users 16 --spawn-rate 8 --run-time 60s

Each kind of user is a class; if classes are named behind the options, only those run (`... WarmPush ColdPush`).
`--each 5` ends it once every kind of request was made five times. Where the platform is, and with which key, is found
as every AWS tool finds it (`eval "$(hearth env)"`). The functions are made before the load and deleted after it. Every
answer is checked; an event must also have run when the load ends.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task  # first: it makes sockets cooperative
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

import boto3  # isort: skip
import gevent  # isort: skip
from botocore.auth import SigV4Auth  # isort: skip
from botocore.awsrequest import AWSRequest  # isort: skip

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.functions import zip_of

#: of this run alone, so that two runs don't meet
PREFIX = f"load-{uuid.uuid4().hex[:8]}"
WARM = [f"{PREFIX}-warm-{number}" for number in range(4)]
EVENTS = [f"{PREFIX}-event-{number}" for number in range(2)]
#: says whether its sandbox was new, so that warm and cold answers are told apart by what really happened
SOURCE = """
new = True
def handler(event, context):
    global new
    was_new, new = new, False
    return {"event": event, "cold": was_new}
"""
CONFIGURATION = {
    "Runtime": os.environ.get("LOAD_RUNTIME", "python3.11"),
    "Role": "arn:aws:iam::000000000000:role/load",
    "Handler": "app.handler",
    "MemorySize": 256,
    "Timeout": 30,
}
#: of requests, as the figures name them
KINDS = {"push", "push cold", "changed push cold", "change", "event"}
#: accepted events have this long to run after the load has ended, seconds; long for busy machines
EVENTS_RUN_S = 180.0
#: a changed function is up to date within this, seconds
UPDATED_S = 30.0

session = boto3.Session()
numbers = itertools.count()
warm_functions, event_functions = itertools.cycle(WARM), itertools.cycle(EVENTS)
accepted: set[str] = set()


class Client:
    """Signs and sends one user's requests. Figures are kept by `name`."""

    def __init__(self, user: FastHttpUser) -> None:
        self._http = user.client
        self._host = str(user.host)
        self._signer = SigV4Auth(session.get_credentials(), "lambda", session.region_name)

    def send(self, method: str, path: str, name: str, body: bytes = b"", **headers: str) -> Any:
        """A context with the response, to be judged by its user (locust's catch_response)."""
        # A runtime gets the caller's Content-Type, and Python's parses an event only if it is this one.
        headers = {"Content-Type": "application/json"} | headers
        request = AWSRequest(method, f"{self._host}{path}", data=body, headers=headers)
        self._signer.add_auth(request)
        return self._http.request(
            method, path, name=name, data=body or None, headers=dict(request.headers), catch_response=True
        )

    def invoke(self, function: str, event: Any, name: str, kind: str = "RequestResponse") -> Any:
        """As `send`."""
        path = f"/2015-03-31/functions/{function}/invocations"
        return self.send("POST", path, name, json.dumps(event).encode(), **{"X-Amz-Invocation-Type": kind})


def an_event() -> dict[str, Any]:
    return {"number": next(numbers), "text": "x" * 64}


class PlatformUser(FastHttpUser):
    abstract = True

    def on_start(self) -> None:
        self.platform = Client(self)

    def push(self, function: str, name: str) -> None:
        """Invoke, and check that the answer is the one to this event; `name` gets " cold" where the sandbox was new."""
        event = an_event()
        with self.platform.invoke(function, event, name) as response:
            if response.status_code != 200 or "X-Amz-Function-Error" in response.headers:
                response.failure(f"{response.status_code} {response.text[:200]}")
                return
            answer = response.json()
            if answer["cold"]:
                response.request_meta["name"] = f"{name} cold"
            if answer["event"] != event:
                response.failure(f"the answer to another event: {response.text[:200]}")


class WarmPush(PlatformUser):
    """Calls a few functions in turn; sandboxes grow to what overlaps."""

    weight = 5
    wait_time = constant_throughput(20)

    @task
    def invoke(self) -> None:
        self.push(next(warm_functions), "push")


class ColdPush(PlatformUser):
    """Has a function of its own and changes its configuration before each call, so that every call is cold."""

    weight = 1
    wait_time = constant_throughput(0.5)

    def on_start(self) -> None:
        super().on_start()
        self.function = f"{PREFIX}-cold-{uuid.uuid4().hex[:8]}"
        make(lambda_client(self.environment), self.function)

    @task
    def invoke(self) -> None:
        path = f"/2015-03-31/functions/{self.function}/configuration"
        body = json.dumps({"Environment": {"Variables": {"CHANGE": str(next(numbers))}}}).encode()
        with self.platform.send("PUT", path, "change", body) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code} {response.text[:200]}")
                return
        until_s = time.monotonic() + UPDATED_S
        while not self.is_updated(path):
            if time.monotonic() > until_s:
                return
            time.sleep(0.05)
        self.push(self.function, "changed push")

    def is_updated(self, path: str) -> bool:
        with self.platform.send("GET", path, "read configuration") as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code} {response.text[:200]}")
                return False
            return response.json()["LastUpdateStatus"] == "Successful"


class Event(PlatformUser):
    """Hands events over for later, which is answered with 202 and nothing else."""

    weight = 2
    wait_time = constant_throughput(5)

    @task
    def invoke(self) -> None:
        with self.platform.invoke(next(event_functions), an_event(), "event", "Event") as response:
            if response.status_code != 202:
                response.failure(f"{response.status_code} {response.text[:200]}")
                return
            accepted.add(response.headers["x-amzn-RequestId"])


def lambda_client(environment: Environment) -> Any:
    return session.client("lambda", endpoint_url=environment.host)


def make(client: Any, function: str) -> None:
    """Create it and wait until it is active."""
    client.create_function(FunctionName=function, Code={"ZipFile": zip_of(SOURCE)}, **CONFIGURATION)
    client.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})


@events.init.add_listener
def find_platform(environment: Environment, **_: Any) -> None:
    environment.host = (
        environment.host or os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or os.environ.get("AWS_ENDPOINT_URL")
    )
    if environment.host is None or session.get_credentials() is None or session.region_name is None:
        sys.exit('Where is the platform? Start it (make up), then: eval "$(hearth env)"')
    environment.host = environment.host.rstrip("/")


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    parser.add_argument("--each", type=int, default=0, help="end once every kind of request was made so often")


@events.test_start.add_listener
def make_functions(environment: Environment, **_: Any) -> None:
    accepted.clear()
    client = lambda_client(environment)
    for function in [*WARM, *EVENTS]:
        make(client, function)
    if environment.parsed_options is not None and environment.parsed_options.each:
        gevent.spawn(end_after, environment.parsed_options.each, environment)


def end_after(each: int, environment: Environment) -> None:
    assert environment.runner is not None
    left = KINDS
    while left:
        time.sleep(0.2)
        left = KINDS - {entry.name for entry in environment.stats.entries.values() if entry.num_requests >= each}
    environment.runner.quit()


@events.test_stop.add_listener
def account_for_events(environment: Environment, **_: Any) -> None:
    """Wait for what was accepted, tell what has not run as a failure, delete the functions."""
    try:
        missing = events_left(environment)
        if missing:
            environment.events.request.fire(
                request_type="EVENT",
                name="event run",
                response_time=0,
                response_length=0,
                exception=RuntimeError(f"{len(missing)} of {len(accepted)} accepted events have not run"),
                context={},
            )
    finally:
        delete_functions(environment)


def events_left(environment: Environment) -> set[str]:
    """Request ids that were accepted and have no REPORT line after EVENTS_RUN_S."""
    logs = session.client("logs", endpoint_url=environment.host)
    left = set(accepted)
    until_s = time.monotonic() + EVENTS_RUN_S
    while left and time.monotonic() < until_s:
        for function in EVENTS:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=f"/aws/lambda/{function}", filterPattern="REPORT"
            )
            left -= {entry["message"].split()[2] for page in pages for entry in page["events"]}
        if left:
            time.sleep(1.0)
    return left


def delete_functions(environment: Environment) -> None:
    client = lambda_client(environment)
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if function["FunctionName"].startswith(PREFIX):
                client.delete_function(FunctionName=function["FunctionName"])
