"""Runtimes as the platform's users meet them: what stands in, what is missing, and who runs it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from hearth.broker.connection import Broker
from hearth.broker.topology import declare_shared
from hearth.cli.package import zip_folder
from tests.conftest import missing
from tests.support.function_logs import logged
from tests.support.functions import ECHO, zip_of
from tests.support.runtime_packages import Unbuildable, package
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack
from workers.delivery import Lane
from workers.stand_ins import StandIns

#: newer than what any host has
UNRELEASED = "python3.15"


def create(stack: PlatformStack, runtime: str) -> dict[str, Any]:
    name = f"rt-{uuid.uuid4().hex[:12]}"
    role = "arn:aws:iam::000000000000:role/test"
    made = stack.client("lambda").create_function(
        FunctionName=name, Runtime=runtime, Role=role, Handler="app.handler", Code={"ZipFile": zip_of(ECHO)}
    )
    stack.client("lambda").get_waiter("function_active_v2").wait(FunctionName=name)
    return dict(made)


def warning(answer: dict[str, Any]) -> str | None:
    text: str | None = answer["ResponseMetadata"]["HTTPHeaders"].get("x-hearth-warning")
    return text


def log_of(stack: PlatformStack, name: str) -> list[str]:
    return [event["message"] for event in logged(stack, name)]


def test_a_function_for_a_runtime_that_is_not_installed_runs_on_the_nearest_and_says_so(stack: PlatformStack) -> None:
    created = create(stack, UNRELEASED)
    told = warning(created)
    assert told is not None
    assert told.startswith(f"{UNRELEASED} is not installed here: the function runs on python3.")
    answer = stack.invoke(created["FunctionName"], "hi", LogType="Tail")
    assert (answer["Payload"], created["Runtime"]) == ("hi", UNRELEASED)
    assert f"WARNING {told}\n" in log_of(stack, created["FunctionName"])


def test_an_installed_runtime_is_no_reason_for_a_warning(stack: PlatformStack) -> None:
    assert warning(create(stack, "python3.11")) is None


def test_the_command_lists_what_the_fleet_offers(stack: PlatformStack) -> None:
    environment = stack.environ() | {"HEARTH_COORDINATION_URL": stack.servers.coordination_url}
    listed = subprocess.run(
        [sys.executable, "-m", "hearth.cli", "runtimes", "--json"],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        check=True,
    )
    found = {one["runtime"]: one for one in json.loads(listed.stdout)}
    assert found["python3.11"]["installed"]
    assert (found[UNRELEASED]["installed"], found[UNRELEASED]["workers"]) == (False, found["python3.11"]["workers"])


@pytest.mark.parametrize("language", ["go", "rust"])
def test_a_deployed_executable_answers(stack: PlatformStack, language: str) -> None:
    try:
        code = package(language)
    except Unbuildable as exc:
        missing(str(exc))
    name = stack.deploy(None, zip_folder(Path(code)), Runtime="provided.al2023", Handler="bootstrap")
    assert stack.invoke(name, {"do": "echo"})["Payload"] == {"do": "echo"}


async def test_a_worker_stands_in_only_while_nobody_has_the_exact_runtime(servers: PrivateServers) -> None:
    family = f"python3.{uuid.uuid4().int % 10**9}"
    broker = await Broker.connect(servers.broker_url, name="test")
    try:
        lane = Lane(await broker.channel(prefetch=4))
        await declare_shared(lane.channel)
        stand_ins = StandIns([family], wait_ms=1000)
        await stand_ins.open(lane, lambda *_: None, lambda: None)
        consumers = []
        for installed in (frozenset[str](), frozenset({family}), frozenset({"python3.11"})):
            await asyncio.gather(stand_ins.follow(installed), stand_ins.follow(installed))
            consumers.append(await _consumers(broker, family))
        assert consumers == [1, 0, 1]
        await stand_ins.close()
        assert await _consumers(broker, family) == 0
    finally:
        await broker.close()


async def _consumers(broker: Broker, family: str) -> int:
    channel = await broker.channel()
    frame = await channel._call(channel.raw.queue_declare, f"placement.{family}", passive=True)
    await channel.close()
    return int(frame.method.consumer_count)
