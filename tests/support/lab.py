"""Real sandboxes with AWS's own Python runtime client, one call each: Lab makes them and reads their logs."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from hearth.logs import LogReader, LogWriter
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.settings import Settings
from workers import runtimes
from workers.billing import BillWriter
from workers.runtimes import Runtime
from workers.sandbox.sandbox import Sandbox, Services
from workers.sandbox.state import SandboxState
from workers.sandbox.supervisor import Supervisor

HANDLER = """
import json, os, signal, sys, threading, time
count = 0

def handler(event, context):
    global count
    count += 1
    do = event if isinstance(event, dict) else {}
    if "print" in do: print(do["print"])
    if "raise" in do: raise KeyError(do["raise"])
    if "exit" in do: os._exit(do["exit"])
    if "signal" in do: os.kill(os.getpid(), do["signal"])
    if "sleep" in do: time.sleep(do["sleep"])
    if "size" in do: return "x" * do["size"]
    if "grow_mb" in do: return len(bytearray(do["grow_mb"] << 20))
    if "env" in do: return dict(os.environ)
    if "count" in do: return count
    if "threads" in do:
        threads = [threading.Thread(target=lambda: [print("line", n) for n in range(300)]) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    if "die_later" in do: threading.Timer(do["die_later"], os._exit, (9,)).start()
    if "hang_after" in do:
        import awslambdaric.lambda_runtime_client as client
        client.runtime_client.next = lambda: time.sleep(60)
    if "context" in do:
        return [context.client_context.custom, context.invoked_function_arn, context.get_remaining_time_in_millis(),
                context.memory_limit_in_mb, context.aws_request_id, os.environ.get("_X_AMZN_TRACE_ID")]
    return event
"""


@dataclass
class Lab:
    """Makes sandboxes; reads their logs."""

    root: Path
    supervisor: Supervisor
    runtime: Runtime
    services: Services
    made: list[Sandbox] = field(default_factory=list)
    #: laid into /opt of what is made from now on
    layers_dir: Path | None = None

    def sandbox(self, source: str = HANDLER, *, init_s: float = 10.0, **changes: Any) -> Sandbox:
        code = self.root / uuid.uuid4().hex
        code.mkdir()
        (code / "app.py").write_text(source)
        version = FunctionVersion(
            "key", "000000000000", "us-east-1", "f", "$LATEST", self.runtime.family, "app.handler", "role", "0" * 64
        )
        # a slow machine is not to time anything out that is not about that
        sandbox = Sandbox(
            replace(version, **{"timeout_s": 60, **changes}),
            code_dir=code,
            layers_dir=self.layers_dir,
            runtime=self.runtime,
            supervisor=self.supervisor,
            services=replace(self.services, init_s=init_s),
        )
        self.made.append(sandbox)
        return sandbox

    async def ready(self, source: str = HANDLER, **changes: Any) -> Sandbox:
        sandbox = self.sandbox(source, **changes)
        await sandbox.initialize()
        assert sandbox.state is SandboxState.READY
        return sandbox

    async def log(self, sandbox: Sandbox) -> list[str]:
        """All messages of its stream; ends the log."""
        await self.services.logs.close()
        reader = LogReader(self.root / "blobs")
        return [event.message for event in reader.events(*sandbox.log.key, sandbox.log.stream)]

    def layer(self, **files: str) -> None:
        """External extensions by name and script, laid into /opt/extensions of what is made from now on."""
        self.layers_dir = self.root / f"layers-{uuid.uuid4().hex}"
        (self.layers_dir / "extensions").mkdir(parents=True)
        for name, text in files.items():
            path = self.layers_dir / "extensions" / name.replace("_", "-")
            path.write_text(text)
            path.chmod(0o755)


def installed_runtime(data_dir: Path, family: str = "python3.11") -> Runtime:
    settings = Settings(data=data_dir)
    if family not in runtimes.installed(settings):
        asyncio.run(runtimes.prepare(settings, print))
    return runtimes.installed(settings)[family]


@asynccontextmanager
async def a_lab(root: Path, runtime: Runtime, *, want: Any = "auto") -> AsyncIterator[Lab]:
    supervisor = await Supervisor.create(want=want, platform=None, pool=2, log=logging.getLogger(__name__))
    logs, bills = LogWriter(root / "blobs"), BillWriter(root / "blobs")
    credentials = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    made = Lab(root, supervisor, runtime, Services(logs, bills, lambda version, sandbox_id: credentials))
    try:
        yield made
        for sandbox in made.made:
            await sandbox.shutdown("spindown")
            assert sandbox.state is SandboxState.STOPPED
    finally:
        await logs.close()
        await bills.close()
        await supervisor.close()


def invocation(event: Any = None, **more: Any) -> Invocation:
    payload = event if isinstance(event, bytes) else orjson.dumps(event)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    given = {"invoked_arn": arn, "family": "python3.11", "payload": payload, "gives_up_at_ms": 0} | more
    return Invocation(str(uuid.uuid4()), "key", **given)


def error(result: InvocationResult) -> dict[str, Any]:
    assert result.outcome is Outcome.FUNCTION_ERROR
    document: dict[str, Any] = json.loads(result.payload)
    return document


async def until(condition: Any, limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.005)
