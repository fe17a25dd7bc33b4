"""The stack as its user has it: Compose's commands, the clients, a function that answers. `say` tells what was seen."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hearth.embedded.stackfile import free_port
from tests.compose.engine import Engine
from tests.compose.project import Project
from tests.support.functions import zip_of

Answer = TypeVar("Answer")

REGION, ACCOUNT, KEY = "us-east-1", "000000000000", "hearth"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/compose"
#: with two cores and other work on the machine
START_S, HEAL_S = 600.0, 300.0
SOURCE = """
import os, time
new = True
def handler(event, context):
    global new
    was_new, new = new, False
    time.sleep(event.get("sleep", 0))
    return {"number": event.get("number"), "cold": was_new, "uid_map": open("/proc/self/uid_map").read().split()}
"""


class Failed(Exception):
    """Something did not hold."""


class Stack:
    def __init__(self, project: Project, engine: Engine, *, pulled: bool) -> None:
        self.project = project
        self.engine = engine
        #: the official images, Grafana's among them
        self.pulled = pulled
        ports = [free_port() for _ in range(4)]
        self.endpoint = f"http://127.0.0.1:{ports[0]}"
        self.prometheus = f"http://127.0.0.1:{ports[2]}"
        names = ("PUBLISH_PORT", "LOCUST_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
        settings = {name: str(port) for name, port in zip(names, ports, strict=True)}
        # our own engine was started under the limits of this process
        settings["OPEN_FILES"] = str(min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        settings |= {"HEARTH_ISOLATION": "full", "HEARTH_EVENT_RETRY_BASE_SECONDS": "2"}
        example = (project.folder / ".env.example").read_text()
        (project.folder / ".env").write_text(example + "".join(f"{name}={value}\n" for name, value in settings.items()))

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=self.project.secret("secret_access_key"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=32),
        )

    def compose(self, *arguments: str) -> str:
        return self.project.compose(self.engine, *arguments)

    def up(self, **numbers: int) -> None:
        """Start, or change to these numbers, and wait until all are healthy."""
        scale = [part for service, number in numbers.items() for part in ("--scale", f"{service}={number}")]
        self.compose("up", "--detach", "--no-build", *scale)
        self.project.wait_ready(self.engine, within_s=START_S, **numbers)

    def arn(self, name: str) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"

    def create(self, name: str, source: str = SOURCE) -> None:
        client = self.client("lambda")
        client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zip_of(source)},
            Timeout=30,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.client("lambda").invoke(FunctionName="hello", Payload=json.dumps(event).encode())
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            raise Failed(payload.decode())
        return dict(json.loads(payload))

    def logged(self, word: str) -> set[str]:
        """Ids of requests whose START, END or REPORT line is in the log."""
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName="/aws/lambda/hello", filterPattern=word)
        )
        lines = [entry["message"] for page in pages for entry in page["events"]]
        return {line.split()[2] for line in lines if line.startswith(word)}


def persistently(call: Callable[[], Answer]) -> Answer:
    """Again and again until it is accepted; an outage may last as long as a container takes to start."""
    until_s = time.monotonic() + HEAL_S
    while True:
        try:
            return call()
        except (ClientError, BotoCoreError, Failed):
            if time.monotonic() > until_s:
                raise
            time.sleep(0.5)


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def say(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True)
