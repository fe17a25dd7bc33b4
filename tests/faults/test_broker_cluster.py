"""One of three broker nodes is killed with -9 under load and comes back: nothing is lost, and all is warm again."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from hearth.broker.events import partition_queue
from hearth.model.event import partition_of
from tests.conftest import missing
from tests.support import load, places
from tests.support.cluster import BrokerCluster
from tests.support.processes import left_of
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

#: writes down every run outside of the sandbox, and tells which sandbox it was
RECORDER = """
import os, time, uuid

SANDBOX = uuid.uuid4().hex

def handler(event, context):
    out = os.open(event["runs"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(out, (context.aws_request_id + " " + str(event["i"]) + "\\n").encode())
    os.close(out)
    time.sleep(event["for_s"])
    return [event["i"], SANDBOX]
"""
CONCURRENCY = 8
RECOVERY_S = 90.0
EVENTS_RUN_S = 120.0
EVENT_PARTITIONS = 2


@dataclass
class Place:
    """A platform on a broker of three nodes, and a function that writes its runs down."""

    cluster: BrokerCluster
    stack: PlatformStack
    folder: Path
    function: str = ""

    def deploy(self) -> str:
        """A fresh function with warm sandboxes on both workers; returns the node on which its queue lives."""
        before = set(self.cluster.queues("invoke."))
        self.function = self.stack.deploy(None, RECORDER)
        warming = self.load("warming", 4 * CONCURRENCY)
        assert warming.codes == Counter(ok=4 * CONCURRENCY), self.stack.tails()
        (queue,) = set(self.cluster.queues("invoke.")) - before
        return self.cluster.home_of(queue)

    def events(self, record: str, count: int, for_s: float = 0.1) -> list[dict[str, object]]:
        return [{"runs": str(self.folder / record), "i": i, "for_s": for_s} for i in range(count)]

    def load(self, record: str, count: int, at: int | None = None, do: Callable[[], object] | None = None) -> load.Load:
        return load.run(self.stack, self.function, self.events(record, count), concurrency=CONCURRENCY, at=at, do=do)

    def partition(self) -> int:
        """Of the function's events."""
        configuration = self.stack.client("lambda").get_function_configuration(FunctionName=self.function)
        return partition_of(configuration["FunctionArn"], EVENT_PARTITIONS)

    def send(self, event: dict[str, object]) -> str | None:
        """An event; its request id, None if it was refused."""
        invoke = self.stack.client("lambda").invoke
        try:
            answer = invoke(FunctionName=self.function, InvocationType="Event", Payload=json.dumps(event))
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            return None
        return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])

    def runs(self, record: str) -> Counter[str]:
        """Request id -> how often it ran."""
        return Counter(line.split()[0] for line in (self.folder / record).read_text().splitlines())

    def bounce(self, node: str) -> None:
        self.cluster.kill(node)
        self.cluster.start(node)

    def gateway_node(self) -> str:
        (node,) = self.cluster.nodes_of("gateway")
        return node

    def gateway_on(self, wanted: Callable[[str], bool]) -> None:
        """Start the gateway again until chance connects it to such a node."""
        while not wanted(self.gateway_node()):
            self.stack.stop("gateway")
            self.stack.start("gateway")
            self.stack.wait_ready()

    def wait_warm(self, known: set[str]) -> None:
        """Until a load meets no sandbox that was not there before."""
        until = time.monotonic() + RECOVERY_S
        while fresh := {answer.payload[1] for answer in self.load("after", 5 * CONCURRENCY).answers} - known:
            known |= fresh
            assert time.monotonic() < until, f"{len(fresh)} cold starts still"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if reason := PrivateServers.unavailable():
        missing(reason)
    runs = tmp_path_factory.mktemp("runs")
    with places.data_folder() as folder:
        with (
            BrokerCluster(folder) as cluster,
            PrivateServers(folder, HEARTH_BROKER_URL=cluster.url) as servers,
            # without isolation, so that a function can write where the test reads
            PlatformStack(
                folder, servers, workers=2, max_workers=2, isolation="process", event_partitions=EVENT_PARTITIONS
            ) as stack,
        ):
            yield Place(cluster, stack, runs)
        assert left_of(folder) == []


def test_home_node_of_a_queue_killed_under_load_every_request_of_a_caller_elsewhere_is_answered(place: Place) -> None:
    home = place.deploy()
    place.gateway_on(lambda node: node != home)
    result = place.load("killed", 500, at=100, do=lambda: place.bounce(home))
    assert len(result.answers) == 500
    assert set(result.codes) <= {"ok", "ServiceException"}
    answered = [answer.payload[0] for answer in result.answers if answer.code == "ok"]
    assert len(answered) == len(set(answered))
    # only what was in flight when the node died
    assert result.codes["ServiceException"] <= CONCURRENCY, place.stack.tails()
    runs = place.runs("killed")
    assert len(runs) == 500
    assert max(runs.values()) <= 2
    place.wait_warm({answer.payload[1] for answer in result.answers if answer.code == "ok"})


def test_node_of_the_callers_killed_under_load_is_hidden_by_the_retries_of_the_sdk(place: Place) -> None:
    home = place.deploy()
    place.gateway_on(lambda node: node == home)
    place.stack.retries = {"mode": "standard", "total_max_attempts": 10}
    result = place.load("retried", 500, at=100, do=lambda: place.bounce(home))
    assert result.codes == Counter(ok=500), place.stack.tails()
    assert sorted(answer.payload[0] for answer in result.answers) == list(range(500))
    # a retry of the SDK is a request of its own
    assert max(place.runs("retried").values()) <= 2
    place.wait_warm({answer.payload[1] for answer in result.answers})


def test_leader_of_an_event_queue_killed_while_events_come_every_accepted_one_runs(place: Place) -> None:
    """More of them than the function's share, so that some wait in a queue aside, which a quorum queue keeps."""
    place.deploy()
    leader = place.cluster.home_of(partition_queue(place.partition()))
    place.gateway_on(lambda node: node != leader)
    accepted = []
    for number, event in enumerate(place.events("evented", 200, for_s=0.05)):
        if number == 60:
            place.cluster.kill(leader)
        if number == 140:
            place.cluster.start(leader)
        if request_id := place.send(event):
            accepted.append(request_id)
    assert len(accepted) >= 190  # a publish in flight to the dead leader may be refused, and was not accepted then
    until = time.monotonic() + EVENTS_RUN_S
    while missing_ones := set(accepted) - set(place.runs("evented")):
        assert time.monotonic() < until, f"{len(missing_ones)} events did not run\n{place.stack.tails()}"
        time.sleep(0.5)
    print("ran how often: how many events", dict(Counter(place.runs("evented")[one] for one in accepted)))
