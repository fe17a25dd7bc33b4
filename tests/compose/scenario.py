"""What the compose stack must hold, in order: each step prints what was seen, the first that fails ends it.

It runs where the published ports are on 127.0.0.1, with an engine that DOCKER_HOST names or that is the usual one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hearth.embedded.stackfile import free_port
from tests.compose.engine import Engine
from tests.compose.project import PROFILES, Container, Project
from tests.support.functions import zip_of

Answer = TypeVar("Answer")

REGION, ACCOUNT, KEY = "us-east-1", "000000000000", "hearth"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/compose"
IMAGES = ("hearth:0.1.0", "hearth-workers:0.1.0", "hearth-load:0.1.0")
MOST_IMAGE_MB = 300
#: with two cores and other work on the machine
START_S, HEAL_S, ACCEPTED_S = 600.0, 300.0, 300.0
EVENTS, EXECUTIONS, RECORDS = 60, 20, 100
#: events that must be running when their worker dies are handed over within this, and run twice as long
RUNNING_S = 6.0
SOURCE = """
import os, time
new = True
def handler(event, context):
    global new
    was_new, new = new, False
    time.sleep(event.get("sleep", 0))
    return {"number": event.get("number"), "cold": was_new, "uid_map": open("/proc/self/uid_map").read().split()}
"""


STEPS = (
    "images_are_small",
    "missing_secret_stops_it",
    "starts_and_invokes",
    "shows_its_isolation",
    "takes_load",
    "scales_without_a_failed_request",
    "workers_share_no_user_ids",
    "loses_nothing_accepted",
    "is_observed",
    "stops_when_what_runs_is_finished",
    "is_restored_from_a_copy",
)


class Failed(Exception):
    """Something did not hold."""


class Scenario:
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

    def run(self, steps: Sequence[str]) -> None:
        """In this order, whichever is given. Every one but the first two needs `starts_and_invokes` before it."""
        try:
            for step in steps:
                print(f"\n{step.replace('_', ' ')}", flush=True)
                began_s = time.monotonic()
                getattr(self, step)()
                say(f"held, after {time.monotonic() - began_s:.0f} s")
        except BaseException:
            for one in self.project.containers(self.engine):
                print(f"--- {one}", file=sys.stderr)
                print(self.engine.docker("logs", "--tail", "15", one.id, check=False)[-3000:], file=sys.stderr)
            raise
        finally:
            self.compose(*PROFILES, "down", "--volumes", "--remove-orphans")

    # --- the steps ----------------------------------------------------------------------------------------------
    def images_are_small(self) -> None:
        for image in IMAGES:
            size_mb = int(self.engine.docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6
            say(f"{image}: {size_mb:.0f} MB")
            require(size_mb < MOST_IMAGE_MB, f"{image} has {size_mb:.0f} MB, which is more than {MOST_IMAGE_MB}")

    def missing_secret_stops_it(self) -> None:
        file = self.project.folder / "secrets" / "valkey_password"
        file.rename(aside := file.with_name("aside"))
        try:
            done = self.project.try_compose(self.engine, "up", "--detach", "--no-build", "state")
        finally:
            aside.rename(file)
        require(done.returncode != 0, "the stack started without a secret")
        require("valkey_password" in done.stdout + done.stderr, f"it does not say which: {done.stderr}")
        self.compose("down", "--volumes")

    def starts_and_invokes(self) -> None:
        began_s = time.monotonic()
        self.up(workers=1, gateway=1, pollers=1, orchestrators=1)
        say(f"all containers are healthy {time.monotonic() - began_s:.0f} s after `up`")
        self.create("hello")
        answer = self.invoke({"number": 7})
        require(answer["number"] == 7 and answer["cold"] is True, f"not its answer: {answer}")
        say(f"a function was created and invoked: {answer}")

    def shows_its_isolation(self) -> None:
        shown = self.compose("exec", "-T", "gateway", "hearth", "status")
        found = re.search(r"isolation (\w+)", shown)
        require(found is not None and found[1] == "full", f"`hearth status` shows another level than full:\n{shown}")
        for line in shown.splitlines():
            if "isolation" in line:
                say(line.strip()[:200])
        for service in ("gateway", "pollers", "orchestrators"):
            (one, *_) = self.project.containers(self.engine, service)
            held = Path(f"/proc/{one.pid}/status").read_text()
            require(re.search(r"CapBnd:\s+0+$", held, re.MULTILINE) is not None, f"{service} has capabilities: {held}")
        say("gateway, pollers and orchestrators have no capabilities at all")

    def takes_load(self) -> None:
        options = ("--headless", "--only-summary", "--users", "16", "--spawn-rate", "8", "--run-time", "60s")
        done = self.project.try_compose(
            self.engine, "--profile", "load", "run", "--rm", "-T", "locust", *options, "--stop-timeout", "20"
        )
        text = done.stdout + done.stderr
        # the figures; of a failure also what each kind of error was
        print(text[text.find("Type  ") :][: None if done.returncode else 3000], flush=True)
        require(done.returncode == 0, f"locust ended with {done.returncode}: a request failed or an event has not run")

    def scales_without_a_failed_request(self) -> None:
        with Traffic(self) as traffic:
            for numbers in ({"workers": 3, "gateway": 1}, {"workers": 3, "gateway": 2}, {"workers": 1, "gateway": 1}):
                self.up(**numbers)
                traffic.more(200)
                say(f"{numbers}: {traffic.answered} answers so far, {len(traffic.failures)} failed")
        require(not traffic.failures, f"requests failed: {traffic.failures[:5]}")

    def workers_share_no_user_ids(self) -> None:
        self.up(workers=3, gateway=1)
        seen: dict[str, set[int]] = {}
        with ThreadPoolExecutor(24) as threads:
            calls = [threads.submit(self.invoke, {"sleep": 6, "number": number}) for number in range(24)]
            # cold starts take their time on a busy machine: look for as long as anything runs
            while not all(call.done() for call in calls):
                now = {one.id[:12]: self.user_ids(one) for one in self.project.containers(self.engine, "workers")}
                every = [uid for uids in now.values() for uid in uids]
                require(len(every) == len(set(every)), f"two containers use one user id: {now}")
                seen = {name: seen.get(name, set()) | uids for name, uids in now.items()}
                time.sleep(0.5)
            for call in calls:
                call.result()
        say(", ".join(f"{name}: {len(uids)} from {min(uids, default=0)}" for name, uids in seen.items()))
        require(sum(bool(uids) for uids in seen.values()) >= 2, f"sandboxes of one container only: {seen}")

    def loses_nothing_accepted(self) -> None:
        """One workers container, then the broker's, die while events, executions and records are handed over.

        The events of the first part are still running when their worker dies: one that had just ended would have run,
        but the fifth of a second of log that tells of it dies with the worker.
        """
        self.up(workers=3, gateway=1)
        accepted: set[str] = set()
        executions: list[str] = []
        machine = self.machine()
        kinesis, function, states = self.client("kinesis"), self.client("lambda"), self.client("stepfunctions")
        kinesis.create_stream(StreamName="numbers", ShardCount=1)
        kinesis.get_waiter("stream_exists").wait(StreamName="numbers", WaiterConfig={"Delay": 1})
        kept: list[str] = []

        def hand_over_events(sleep: float) -> float:
            """A third of all; what is refused was not accepted, and is handed over again. How long it took, seconds."""
            began_s, event = time.monotonic(), json.dumps({"sleep": sleep}).encode()
            for _ in range(EVENTS // 3):
                answer = persistently(
                    lambda: function.invoke(FunctionName="hello", InvocationType="Event", Payload=event)
                )
                accepted.add(answer["ResponseMetadata"]["RequestId"])
            return time.monotonic() - began_s

        def hand_over(part: int) -> None:
            """A third of executions and records, likewise."""
            for _ in range(EXECUTIONS // 3):
                started = persistently(lambda: states.start_execution(stateMachineArn=machine, name=uuid.uuid4().hex))
                executions.append(started["executionArn"])
            for number in range(RECORDS // 3):
                text = f"{part}-{number}"
                persistently(lambda text=text: kinesis.put_record(StreamName="numbers", Data=text, PartitionKey=text))
                kept.append(text)

        hand_over(0)
        while hand_over_events(2 * RUNNING_S) > RUNNING_S:
            self.all_ran(accepted)  # so slow a disk: the first of them may end at any moment
        killed = self.project.kill(self.engine, "workers")
        say(f"killed a workers container ({killed.id[:12]})")
        hand_over(1)
        hand_over_events(0.05)
        killed = self.project.kill(self.engine, "rabbitmq")
        say(f"killed the rabbitmq container ({killed.id[:12]})")
        hand_over(2)
        hand_over_events(0.05)
        began_s = time.monotonic()
        self.project.wait_ready(self.engine, within_s=HEAL_S, workers=3, rabbitmq=1)
        persistently(lambda: self.invoke({"number": 1}))
        say(f"healthy, and functions answer, {time.monotonic() - began_s:.0f} s after the last was handed over")
        self.all_ran(accepted)
        say(f"all {len(accepted)} accepted events have run")
        ends = {states.describe_execution(executionArn=arn)["status"] for arn in self.ended(states, executions)}
        require(ends == {"SUCCEEDED"}, f"executions ended otherwise: {ends}")
        say(f"all {len(executions)} started executions have succeeded")
        shard = kinesis.list_shards(StreamName="numbers")["Shards"][0]["ShardId"]
        at = kinesis.get_shard_iterator(StreamName="numbers", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        records = kinesis.get_records(ShardIterator=at["ShardIterator"], Limit=10_000)["Records"]
        require(set(kept) <= {record["Data"].decode() for record in records}, "records are missing")
        say(f"all {len(kept)} records are in the stream, in order")

    def is_observed(self) -> None:
        services = () if self.pulled else ("prometheus",)
        self.compose("--profile", "observe", "up", "--detach", "--no-build", *services)
        self.project.wait_ready(self.engine, within_s=START_S, prometheus=1)
        self.throttle_drop_and_poll()
        with Traffic(self):
            for title, expression in expressions(self.project.folder / "docker/grafana/dashboards"):
                query = expression.replace("$__rate_interval", "1m")
                # of the platform's own errors there may be none
                found = self.query(query) if "5.." in query else self.series(title, query)
                say(f"{title}: {len(found)} series of {expression[:80]}")
        self.series("Stream lag", f'hearth_mapping_iterator_age_seconds{{function="{self.arn("hello")}"}}')
        self.series("Failing mappings", f'hearth_mapping_failing{{function="{self.arn("fails")}"}} == 1')
        say("the mapping of one function has a lag, that of the other is known to fail")
        if not self.pulled:
            say("Grafana was not started: it has no stand-in")

    def stops_when_what_runs_is_finished(self) -> None:
        with ThreadPoolExecutor(1) as thread:
            before = self.logged("START")
            call = thread.submit(self.invoke, {"sleep": 12, "number": 3})
            while self.logged("START") == before and not call.done():
                time.sleep(0.2)
            self.compose("stop", "gateway", "workers", "pollers", "orchestrators")
            require(call.result()["number"] == 3, "the answer of what ran is missing")
        codes = {
            (one.service, one.exit_code)
            for one in self.project.containers(self.engine)
            if one.service in ("gateway", "workers", "pollers", "orchestrators")
        }
        say(f"exit codes: {sorted(codes)}")
        require(all(code == 0 for _, code in codes), "a service was killed, or failed, while it stopped")

    def is_restored_from_a_copy(self) -> None:
        """As docs/compose.md tells."""
        volumes = {"state": "/data", "rabbitmq": "/var/lib/rabbitmq", "gateway": "/var/lib/hearth/blobs"}
        self.compose("stop")
        for service, path in volumes.items():
            with (self.project.folder / f"{service}.tar").open("wb") as archive:
                self.tar(service, "-C", path, "-cf", "-", ".", stdout=archive)
        self.compose(*PROFILES, "down", "--volumes")
        for service, path in volumes.items():
            with (self.project.folder / f"{service}.tar").open("rb") as archive:
                self.tar(service, "-C", path, "-xf", "-", stdin=archive)
        self.up(workers=1, gateway=1)
        answer = self.invoke({"number": 9})
        require(answer["number"] == 9, f"not its answer: {answer}")
        say("after `down --volumes`, a copy of three volumes brought the function back")

    # --- their parts --------------------------------------------------------------------------------------------
    def user_ids(self, workers: Container) -> set[int]:
        """Of what runs in sandboxes of this container."""
        listed = self.engine.docker("top", workers.id, "-eo", "pid,uid").splitlines()[1:]
        return {uid for uid in (int(line.split()[1]) for line in listed) if uid >= 20_000}

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

    def machine(self) -> str:
        definition = {
            "StartAt": "Wait",
            "States": {
                "Wait": {"Type": "Wait", "Seconds": 2, "Next": "Call"},
                "Call": {
                    "Type": "Task",
                    "Resource": self.arn("hello"),
                    "Parameters": {"number": 1},
                    # what was lost with a worker is an error, never a second run unasked
                    "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 8}],
                    "End": True,
                },
            },
        }
        states = self.client("stepfunctions")
        answer = states.create_state_machine(name="waits", roleArn=ROLE, definition=json.dumps(definition))
        return str(answer["stateMachineArn"])

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.client("lambda").invoke(FunctionName="hello", Payload=json.dumps(event).encode())
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            raise Failed(payload.decode())
        return dict(json.loads(payload))

    def all_ran(self, accepted: set[str]) -> None:
        left, until_s = set(accepted), time.monotonic() + ACCEPTED_S
        while left:
            left -= self.logged("REPORT")
            require(time.monotonic() < until_s, f"{len(left)} of {len(accepted)} accepted events have not run")
            time.sleep(1.0)

    def logged(self, word: str) -> set[str]:
        """Ids of requests whose START, END or REPORT line is in the log."""
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName="/aws/lambda/hello", filterPattern=word)
        )
        lines = [entry["message"] for page in pages for entry in page["events"]]
        return {line.split()[2] for line in lines if line.startswith(word)}

    def ended(self, states: Any, executions: list[str]) -> list[str]:
        until_s = time.monotonic() + ACCEPTED_S
        while any(states.describe_execution(executionArn=arn)["status"] == "RUNNING" for arn in executions):
            require(time.monotonic() < until_s, "an execution has not ended")
            time.sleep(1.0)
        return executions

    def throttle_drop_and_poll(self) -> None:
        """What dashboards show of a platform at work: a refused request, an event given up, one mapping that fails."""
        client, kinesis = self.client("lambda"), self.client("kinesis")
        self.create("fails", "def handler(event, context):\n    raise RuntimeError('on purpose')\n")
        client.put_function_event_invoke_config(FunctionName="fails", MaximumRetryAttempts=0)
        client.invoke(FunctionName="fails", InvocationType="Event", Payload=b"{}")
        self.create("throttled")
        client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
        with contextlib.suppress(client.exceptions.TooManyRequestsException):
            client.invoke(FunctionName="throttled", Payload=b"{}")
            raise Failed("a function without concurrency ran")
        kinesis.create_stream(StreamName="observed", ShardCount=1)
        kinesis.get_waiter("stream_exists").wait(StreamName="observed", WaiterConfig={"Delay": 1})
        stream = kinesis.describe_stream_summary(StreamName="observed")["StreamDescriptionSummary"]["StreamARN"]
        self.compose("exec", "-T", "gateway", "hearth", "roles", "allow", ROLE.rpartition("/")[2], "--allow-all")
        mapping = {"EventSourceArn": stream, "StartingPosition": "TRIM_HORIZON", "BatchSize": 10}
        for name in ("hello", "fails"):
            # what a role may do is known to all gateways a moment later
            persistently(lambda name=name: client.create_event_source_mapping(FunctionName=name, **mapping))
        for number in range(10):
            kinesis.put_record(StreamName="observed", Data=str(number), PartitionKey="observed")

    def series(self, title: str, expression: str) -> list[Any]:
        """Once there are any: a rate takes two scrapes."""
        until_s = time.monotonic() + HEAL_S
        while not (found := self.query(expression)):
            require(time.monotonic() < until_s, f"{title}: nothing is known of {expression}")
            time.sleep(1.0)
        return found

    def query(self, expression: str) -> list[Any]:
        url = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return list(json.load(answer)["data"]["result"])

    def tar(self, service: str, *arguments: str, **streams: Any) -> None:
        """In a container of its own with the service's volumes; its own program does not run."""
        command = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar", service, *arguments)
        environ = self.project.environ(self.engine)
        subprocess.run(self.project.command(*command), cwd=self.project.folder, env=environ, check=True, **streams)


class Traffic:
    """Four callers in a closed loop, without retries, for as long as the context lasts."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(4)]
        self.answered = 0
        self.failures: list[str] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, answers: int) -> None:
        """Wait for so many more."""
        wanted, until_s = self.answered + answers, time.monotonic() + HEAL_S
        while self.answered < wanted and not self.failures:
            require(time.monotonic() < until_s, "callers get no answers")
            time.sleep(0.1)

    def _call(self) -> None:
        client, number = self._scenario.client("lambda"), 0
        while not self._stop.is_set():
            number += 1
            try:
                answer = client.invoke(FunctionName="hello", Payload=json.dumps({"number": number}).encode())
                if json.loads(answer["Payload"].read())["number"] != number:
                    self.failures.append(f"another's answer to {number}")
            except (ClientError, BotoCoreError, ValueError, KeyError) as exc:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {exc!r}")
            self.answered += 1


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


def expressions(folder: Path) -> list[tuple[str, str]]:
    """(panel's title, query) of every dashboard."""
    return [
        (panel["title"], target["expr"])
        for file in sorted(folder.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def say(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> int:
    folder, name, images, *only = sys.argv[1:]
    scenario = Scenario(Project(Path(folder), name), Engine(os.environ.get("DOCKER_HOST")), pulled=images == "pulled")
    try:
        scenario.run([step for step in STEPS if step in only or not only])
    except (Failed, TimeoutError, BotoCoreError, ClientError, subprocess.CalledProcessError) as exc:
        print(f"\nFAILED: {exc!r}", file=sys.stderr)
        return 1
    print("\nAll of it held.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
