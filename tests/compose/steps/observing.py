"""Every panel of the dashboards shows something of a platform at work."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.compose.stack import HEAL_S, ROLE, START_S, Failed, Stack, persistently, require, say
from tests.compose.traffic import Traffic


def is_observed(stack: Stack) -> None:
    services = () if stack.pulled else ("prometheus",)
    stack.compose("--profile", "observe", "up", "--detach", "--no-build", *services)
    stack.project.wait_ready(stack.engine, within_s=START_S, prometheus=1)
    throttle_drop_and_poll(stack)
    with Traffic(stack):
        for title, expression in expressions(stack.project.folder / "docker/grafana/dashboards"):
            query = expression.replace("$__rate_interval", "1m")
            # of the platform's own errors there may be none
            found = instant_query(stack, query) if "5.." in query else series(stack, title, query)
            say(f"{title}: {len(found)} series of {expression[:80]}")
    series(stack, "Stream lag", f'hearth_mapping_iterator_age_seconds{{function="{stack.arn("hello")}"}}')
    series(stack, "Failing mappings", f'hearth_mapping_failing{{function="{stack.arn("fails")}"}} == 1')
    say("the mapping of one function has a lag, that of the other is known to fail")
    if not stack.pulled:
        say("Grafana was not started: it has no stand-in")


def throttle_drop_and_poll(stack: Stack) -> None:
    """What dashboards show of a platform at work: a refused request, an event given up, one mapping that fails."""
    client, kinesis = stack.client("lambda"), stack.client("kinesis")
    stack.create("fails", "def handler(event, context):\n    raise RuntimeError('on purpose')\n")
    client.put_function_event_invoke_config(FunctionName="fails", MaximumRetryAttempts=0)
    client.invoke(FunctionName="fails", InvocationType="Event", Payload=b"{}")
    stack.create("throttled")
    client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    with contextlib.suppress(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="throttled", Payload=b"{}")
        raise Failed("a function without concurrency ran")
    kinesis.create_stream(StreamName="observed", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="observed", WaiterConfig={"Delay": 1})
    stream = kinesis.describe_stream_summary(StreamName="observed")["StreamDescriptionSummary"]["StreamARN"]
    stack.compose("exec", "-T", "gateway", "hearth", "roles", "allow", ROLE.rpartition("/")[2], "--allow-all")
    mapping = {"EventSourceArn": stream, "StartingPosition": "TRIM_HORIZON", "BatchSize": 10}
    for name in ("hello", "fails"):
        # what a role may do is known to all gateways a moment later
        persistently(lambda name=name: client.create_event_source_mapping(FunctionName=name, **mapping))
    for number in range(10):
        kinesis.put_record(StreamName="observed", Data=str(number), PartitionKey="observed")


def series(stack: Stack, title: str, expression: str) -> list[Any]:
    """Once there are any: a rate takes two scrapes."""
    until_s = time.monotonic() + HEAL_S
    while not (found := instant_query(stack, expression)):
        require(time.monotonic() < until_s, f"{title}: nothing is known of {expression}")
        time.sleep(1.0)
    return found


def instant_query(stack: Stack, expression: str) -> list[Any]:
    url = f"{stack.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return list(json.load(answer)["data"]["result"])


def expressions(folder: Path) -> list[tuple[str, str]]:
    """(panel's title, query) of every dashboard."""
    return [
        (panel["title"], target["expr"])
        for file in sorted(folder.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
