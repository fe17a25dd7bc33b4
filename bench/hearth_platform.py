"""Starts and stops the platform under test, everything on, and deploys the functions it is measured with."""

from __future__ import annotations

import asyncio
import io
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials

from bench.load import Request
from bench.signing import signed_calls, signed_events, signed_invokes, signed_puts
from hearth.cli.health import health
from hearth.cli.service_unit import ServiceUnit
from hearth.embedded.process import OnLine
from hearth.settings import Settings

KEY, SECRET = "test", "test"
#: a whole core on AWS, so that no CPU limit is measured
MEMORY_MB = 1769
_STOP_S = 15.0
#: logs are written in batches; after this all of them can be read
_LOGS_WRITTEN_S = 2.0


class Platform:
    """A context: every service as `hearth up` starts it."""

    def __init__(self, settings: Settings, on_line: OnLine) -> None:
        self._settings = settings
        self.host, self.port = settings.bind, settings.port
        self._endpoint = f"http://{self.host}:{self.port}"
        self._gateway = ServiceUnit("gateway", settings, self._gateway_answers, on_line)
        self._fleet = ServiceUnit("fleet", settings, self._is_ready, on_line)
        self._poller = ServiceUnit("poller", settings, self._polls, on_line)
        self._orchestrator = ServiceUnit("orchestrator", settings, self._orchestrates, on_line)

    async def __aenter__(self) -> Platform:
        try:
            await self._gateway.start()
            await self._fleet.start()
            await self._poller.start()
            await self._orchestrator.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        async with AsyncExitStack() as stack:  # the first to stop comes last; each stops, whatever befalls another
            for unit in (self._fleet, self._orchestrator, self._poller, self._gateway):
                stack.push_async_callback(unit.stop, _STOP_S)

    async def _gateway_answers(self) -> bool:
        return await health(self._endpoint) is not None

    async def _is_ready(self) -> bool:
        answer = await health(self._endpoint)
        return answer is not None and answer[0] == 200

    async def _polls(self) -> bool:
        return (await self.health()).get("pollers", 0) > 0

    async def _orchestrates(self) -> bool:
        return (await self.health()).get("orchestrators", 0) > 0

    async def health(self) -> dict[str, Any]:
        """What /health says, the level of isolation among it."""
        answer = await health(self._endpoint)
        return answer[1] if answer is not None else {}

    def roots(self) -> Mapping[str, int]:
        """Kind -> pid."""
        pids = {
            "gateway": self._gateway.pid,
            "worker": self._fleet.pid,
            "poller": self._poller.pid,
            "orchestrator": self._orchestrator.pid,
        }
        return {kind: pid for kind, pid in pids.items() if pid is not None}

    def requests(self, function: str, payloads: Sequence[bytes]) -> list[Request]:
        credentials = Credentials(KEY, SECRET)
        return signed_invokes(self.host, self.port, function, payloads, credentials, self._settings.region)

    def event_requests(self, function: str, payloads: Sequence[bytes]) -> list[Request]:
        credentials = Credentials(KEY, SECRET)
        return signed_events(self.host, self.port, function, payloads, credentials, self._settings.region)

    def call_requests(self, operation: str, bodies: Sequence[bytes]) -> list[Request]:
        """Of Step Functions; any answer with status 200 is right."""
        credentials = Credentials(KEY, SECRET)
        return signed_calls(self.host, self.port, operation, bodies, credentials, self._settings.region)

    def put_requests(self, operation: str, bodies: Sequence[bytes]) -> list[Request]:
        """Of Kinesis; any answer with status 200 is right."""
        credentials = Credentials(KEY, SECRET)
        return signed_puts(self.host, self.port, operation, bodies, credentials, self._settings.region)

    async def log_lines(self, function: str, word: str) -> list[str]:
        """What the function has logged with this word in it."""
        return await asyncio.to_thread(self.read_log, function, word)

    def read_log(self, function: str, word: str) -> list[str]:
        """`log_lines` for code in a thread of its own; empty before the function has ever run."""
        client = self.client("logs")
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}", filterPattern=word
        )
        try:
            return [entry["message"] for page in pages for entry in page["events"]]
        except client.exceptions.ResourceNotFoundException:
            return []

    async def events_waiting(self) -> int:
        """Accepted events that no poller has taken yet, as /metrics tells."""
        return await asyncio.to_thread(self._events_waiting)

    def _events_waiting(self) -> int:
        with urllib.request.urlopen(f"{self._endpoint}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("hearth_events_waiting{"))

    async def deploy(self, function: str, source: Path, runtime: str) -> None:
        """Create it and wait until it is active."""
        await asyncio.to_thread(self._deploy, function, source, runtime)

    def _deploy(self, function: str, source: Path, runtime: str) -> None:
        self._create(function, _zip_of(source), runtime, f"{source.stem}.handler", MemorySize=MEMORY_MB)

    async def create(self, function: str, package: bytes, runtime: str, handler: str, **more: Any) -> None:
        """more: members of CreateFunction. Waits until it is active."""
        await asyncio.to_thread(self._create, function, package, runtime, handler, **more)

    def _create(self, function: str, package: bytes, runtime: str, handler: str, **more: Any) -> None:
        client = self.client("lambda")
        client.create_function(
            FunctionName=function,
            Runtime=runtime,
            Role="arn:aws:iam::000000000000:role/bench",
            Handler=handler,
            Code={"ZipFile": package},
            Timeout=30,
            **more,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})

    async def delete(self, function: str) -> None:
        await asyncio.to_thread(self.client("lambda").delete_function, FunctionName=function)

    async def sandboxes_started(self, function: str) -> int:
        """How many sandboxes the function ever had: each writes a log stream of its own."""
        await asyncio.sleep(_LOGS_WRITTEN_S)
        return await asyncio.to_thread(self._log_streams, function)

    def _log_streams(self, function: str) -> int:
        pages = (
            self.client("logs").get_paginator("describe_log_streams").paginate(logGroupName=f"/aws/lambda/{function}")
        )
        return sum(len(page["logStreams"]) for page in pages)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name=self._settings.region,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )


def _zip_of(source: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(source, source.name)
    return buffer.getvalue()
