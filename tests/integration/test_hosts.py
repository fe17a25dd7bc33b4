"""Workers on other hosts, each joined by one command, as network namespaces with nothing but a network in common."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.support import places
from tests.support.hosts import ACCOUNT, REGION, Host, Hosts, unavailable
from tests.support.processes import left_of
from tests.support.servers import PrivateServers

#: one sandbox a host: the second of two simultaneous requests needs the other host
ONE_SANDBOX = {"max_sandboxes": 1, "max_workers": 1}

WHERE = """
import os, time, urllib.request

def handler(event, context):
    print("ran", event["i"])
    time.sleep(event["s"])
    return {"i": event["i"], "stream": context.log_stream_name}
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Head and two joined worker hosts."""
    if reason := unavailable() or PrivateServers.unavailable():
        missing(reason)
    places.RUNTIMES.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="hosts-", dir=places.SCRATCH))
    try:
        with Hosts(scratch) as running:
            for host in (running.w1, running.w2):
                running.join(host, **ONE_SANDBOX)
            running.wait_workers(2)
            yield running
        assert left_of(scratch) == []
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def invoke(hosts: Hosts, name: str, events: list[Any], *, attempts: int = 1) -> list[Any]:
    """All at once; each answer's payload, or the error's code."""
    client = hosts.client("lambda", attempts=attempts)

    def one(event: Any) -> Any:
        try:
            answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
        except client.exceptions.ClientError as exc:
            return exc.response["Error"]["Code"]
        return json.loads(answer["Payload"].read())

    with hosts.head.threads(len(events)) as threads:
        return list(threads.map(one, events))


def events_of(hosts: Hosts, name: str) -> list[dict[str, Any]]:
    """Everything in the function's log group, by the Logs API."""
    client = hosts.client("logs")

    def read() -> list[dict[str, Any]]:
        try:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            return [event for page in pages for event in page["events"]]
        except client.exceptions.ResourceNotFoundException:
            return []

    return hosts.head.call(read)


def until(condition: Callable[[], bool], hosts: Hosts, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, hosts.tails()
        time.sleep(0.2)


def segments(host: Host, folder: str) -> list[Path]:
    return sorted((host.data / "blobs" / folder).rglob("*.jsonl"))


def written(hosts: Hosts, name: str, text: str) -> bool:
    """Whether this is in the function's log on a host that runs functions, wherever else it is."""
    files = [path for host in (hosts.w1, hosts.w2) for path in segments(host, "logs") if f"{name}/" in str(path)]
    return any(text in path.read_text() for path in files)


def test_simultaneous_requests_run_on_both_hosts_with_code_that_came_by_link(hosts: Hosts) -> None:
    name = hosts.deploy(WHERE, Timeout=30)
    answers = invoke(hosts, name, [{"i": i, "s": 1.0} for i in range(2)])
    assert [answer["i"] for answer in answers] == [0, 1]
    assert len({answer["stream"] for answer in answers}) == 2
    for host in (hosts.w1, hosts.w2):
        assert len(list((host.data / "code").iterdir())) >= 1
        assert not (host.data / "blobs" / "sha256").exists()


def test_logs_and_bills_of_both_hosts_are_on_the_gateways_host(hosts: Hosts) -> None:
    name = hosts.deploy(WHERE, Timeout=30)
    streams = {answer["stream"] for answer in invoke(hosts, name, [{"i": i, "s": 1.0} for i in range(2)])}

    def complete() -> bool:
        return sum(event["message"].startswith("REPORT") for event in events_of(hosts, name)) == 2

    until(complete, hosts)
    found = events_of(hosts, name)
    assert {event["logStreamName"] for event in found} == streams
    assert sorted(event["message"] for event in found if event["message"].startswith("ran")) == ["ran 0\n", "ran 1\n"]
    for host in (hosts.w1, hosts.w2):
        for original in segments(host, "logs") + segments(host, "bills"):
            copy = hosts.head.data / "blobs" / original.relative_to(host.data / "blobs")
            until(lambda original=original, copy=copy: same(original, copy), hosts)


def same(original: Path, copy: Path) -> bool:
    return copy.exists() and copy.read_bytes() == original.read_bytes()


def test_logs_written_while_the_gateway_is_away_arrive_once_when_it_is_back(hosts: Hosts) -> None:
    name = hosts.deploy(WHERE, Timeout=60)
    client = hosts.client("lambda")
    with hosts.head.threads(1) as threads:
        running = threads.submit(client.invoke, FunctionName=name, Payload=json.dumps({"i": 7, "s": 4}))
        until(lambda: written(hosts, name, "ran 7"), hosts)
        hosts.head.kill("gateway")
        running.exception()
    # it ends by itself meanwhile: its answer and the end of its log have nowhere to go
    until(lambda: written(hosts, name, "REPORT"), hosts)
    hosts.start_gateway()
    until(lambda: any(event["message"].startswith("REPORT") for event in events_of(hosts, name)), hosts)
    messages = [event["message"].split()[0] for event in events_of(hosts, name)]
    assert sorted(messages) == ["END", "INIT_START", "REPORT", "START", "ran"]


CALLS_THE_API = """
import os, urllib.request

def handler(event, context):
    import boto3
    return [f["FunctionName"] for f in boto3.client("lambda").list_functions()["Functions"]]
"""


def on_the_head(hosts: Hosts, *arguments: str) -> str:
    """What a command prints there."""
    addresses = {"HEARTH_COORDINATION_URL": hosts.coordination_url, "HEARTH_STATE_URL": hosts.state_url}
    env = os.environ | {"HEARTH_DATA": str(hosts.head.data)} | addresses
    inside = ["nsenter", f"--net={hosts.head.namespace}", sys.executable, "-m", "hearth.cli"]
    return subprocess.run([*inside, *arguments], env=env, capture_output=True, text=True, timeout=120).stdout


def test_function_on_a_worker_host_reaches_the_gateways_api_with_its_role(hosts: Hosts) -> None:
    """The API listens for other hosts too, so a role may do only what was said."""
    name = hosts.deploy(CALLS_THE_API, Timeout=30, MemorySize=512)
    on_the_head(hosts, "roles", "allow", "test", "--allow", "lambda:ListFunctions")
    limit = time.monotonic() + 60
    while name not in (answer := invoke(hosts, name, [{}])[0] or []):  # a gateway has heard of it within a second
        assert time.monotonic() < limit, (answer, hosts.tails())
        time.sleep(0.5)


def test_link_that_is_not_signed_by_the_platform_stores_nothing(hosts: Hosts) -> None:
    import http.client

    def put() -> int:
        connection = http.client.HTTPConnection(hosts.head.address, 4566, timeout=10)
        path = "/_hearth/segments/logs/a/b/c/d/1-w.jsonl"
        query = f"?offset=0&sha256={'0' * 64}&expires={int(time.time()) + 60}&signature={'0' * 64}"
        connection.request("PUT", path + query, b"{}\n")
        return connection.getresponse().status

    assert hosts.head.call(put) == 403
    assert not (hosts.head.data / "blobs" / "logs" / "a").exists()


def test_commands_show_the_workers_of_all_hosts(hosts: Hosts) -> None:
    found = json.loads(on_the_head(hosts, "workers", "--json"))
    assert sorted(figures["host"] for figures in found.values()) == ["w1", "w2"]
    assert {int(figures["pid"]) for figures in found.values()} == {*hosts.w1.workers(), *hosts.w2.workers()}
    told = on_the_head(hosts, "workers")
    assert all(name in told for name in [*found, "w1", "w2"])
    assert len(json.loads(on_the_head(hosts, "status", "--json"))["workers"]) == 2


def test_killed_workers_of_one_host_leave_the_requests_to_the_other(hosts: Hosts) -> None:
    name = hosts.deploy(WHERE, Timeout=30)
    invoke(hosts, name, [{"i": i, "s": 1.0} for i in range(2)])
    for pid in hosts.w1.workers():
        os.kill(pid, signal.SIGKILL)
    answers = [invoke(hosts, name, [{"i": i, "s": 0}], attempts=4)[0] for i in range(10)]
    assert [answer["i"] for answer in answers] == list(range(10))
    hosts.wait_workers(2)
    both = invoke(hosts, name, [{"i": i, "s": 2.0} for i in range(2)], attempts=4)
    assert [answer["i"] for answer in both] == [0, 1]


def test_host_that_is_cut_off_loses_its_slots_and_the_other_answers(hosts: Hosts) -> None:
    name = hosts.deploy(WHERE, Timeout=30)
    slots = f"hearth:slots:{ACCOUNT}:{REGION}"

    def both_hold_one() -> bool:
        """A host that takes long to start one may find its request taken by the other's."""
        invoke(hosts, name, [{"i": i, "s": 1.0} for i in range(2)])
        return count_slots(hosts, slots) == 2

    until(both_hold_one, hosts)
    hosts.cut(hosts.w1)
    # a request that went to the host before anybody noticed is answered when the broker does
    answers = [invoke(hosts, name, [{"i": i, "s": 0}], attempts=4)[0] for i in range(10)]
    assert [answer["i"] for answer in answers] == list(range(10)), hosts.tails()
    hosts.wait_workers(1)
    until(lambda: count_slots(hosts, slots) == 1, hosts)
    hosts.mend(hosts.w1)
    hosts.wait_workers(2)
    both = invoke(hosts, name, [{"i": i, "s": 2.0} for i in range(2)], attempts=4)
    assert [answer["i"] for answer in both] == [0, 1]
    until(lambda: count_slots(hosts, slots) == 2, hosts)


def test_a_host_with_the_exact_runtime_takes_over_from_one_that_stands_in(hosts: Hosts, tmp_path: Path) -> None:
    ours = f"python3.{sys.version_info.minor}"
    found = [path.name for path in places.RUNTIMES.glob("python3.*") if path.name != ours]
    if not found:
        missing("this host has one Python only")
    wanted = max(found, key=lambda family: int(family.removeprefix("python3.")))
    for host in (hosts.w1, hosts.w2):
        host.stop("fleet")
    hosts.wait_workers(0)
    runtimes = hosts.w1.data / "runtimes"
    runtimes.unlink()
    runtimes.mkdir()
    for runtime in places.RUNTIMES.iterdir():  # the others too: a host without a network tries for long to make them
        if runtime.name == ours or not runtime.name.startswith("python"):
            (runtimes / runtime.name).symlink_to(runtime)
    # where no other Python is found
    hosts.join(hosts.w1, {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path)}, **ONE_SANDBOX)
    hosts.wait_workers(1)
    source = "import sys\ndef handler(event, context): return '%d.%d' % sys.version_info[:2]\n"
    name = hosts.deploy(source, Runtime=wanted)
    assert invoke(hosts, name, [{}]) == [ours.removeprefix("python")]
    hosts.join(hosts.w2, **ONE_SANDBOX)
    hosts.wait_workers(2)
    until(lambda: invoke(hosts, name, [{}], attempts=4) == [wanted.removeprefix("python")], hosts)
    assert [invoke(hosts, name, [{}])[0] for _ in range(5)] == [wanted.removeprefix("python")] * 5


def count_slots(hosts: Hosts, key: str) -> int:
    """Leases that have not run out."""
    import redis

    def count() -> int:
        with redis.Redis.from_url(hosts.coordination_url) as client:
            return int(client.zcount(key, int(time.time() * 1000), "+inf"))

    return hosts.head.call(count)
