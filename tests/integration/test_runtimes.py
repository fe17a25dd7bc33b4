"""The same twelve cases through every language of this host, each by the client that AWS publishes for it."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from hearth.logs import LogReader, LogWriter
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.settings import Settings
from tests.conftest import missing
from tests.support.runtime_packages import BUILDS, Unbuildable, package
from workers import runtimes
from workers.billing import BillWriter
from workers.runtimes import Runtime
from workers.sandbox.sandbox import Sandbox, Services
from workers.sandbox.state import SandboxState
from workers.sandbox.supervisor import Supervisor

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


@dataclass(frozen=True, slots=True)
class Language:
    """What its client says in its own words. raised, custom: error types. trace: the member of the error document that
    has the stack, "" where the client sends none. init: the error type of a failed Init."""

    name: str
    runtime: str
    raised: str
    custom: str
    trace: str
    init: str
    memory_mb: int = 128


LANGUAGES = (
    Language("python", "python", "KeyError", "QuotaExceeded", "stackTrace", "ValueError"),
    Language("nodejs", "nodejs", "TypeError", "QuotaExceeded", "trace", "RangeError", memory_mb=192),
    Language(
        "java",
        "java",
        "java.lang.ArrayIndexOutOfBoundsException",
        "example.QuotaExceeded",
        "stackTrace",
        "java.lang.IllegalArgumentException",
        memory_mb=256,
    ),
    Language("go", "provided", "boundsError", "QuotaExceeded", "stackTrace", "Runtime.ExitError"),
    Language("rust", "provided", "&std::io::error::Error", "QuotaExceeded", "", "Runtime.ExitError"),
)


# --- the bench ------------------------------------------------------------------------------------------------
@dataclass
class Bench:
    """Sandboxes of packages on this host's runtimes, and what they wrote."""

    root: Path
    supervisor: Supervisor
    services: Services
    offered: dict[str, Runtime]

    @asynccontextmanager
    async def sandbox(self, code: Path, family: str, *, init_s: float = 10.0, **version: Any) -> AsyncIterator[Sandbox]:
        given = {"timeout_s": 10, "handler": "app.handler"} | version
        handler = given.pop("handler")
        made = Sandbox(
            FunctionVersion(
                "key", "000000000000", "us-east-1", "f", "$LATEST", family, handler, "role", "0" * 64, **given
            ),
            code_dir=code,
            runtime=self.offered[family],
            supervisor=self.supervisor,
            services=replace(self.services, init_s=init_s),
        )
        await made.initialize()
        try:
            yield made
        finally:
            await made.shutdown("spindown")

    def newest(self, language: str) -> str:
        """The newest installed family of a language."""
        families = [
            family for family, one in self.offered.items() if family.startswith(language) and not one.stands_for
        ]
        if not families:
            missing(f"no {language} runtime on this host")
        return max(families, key=lambda family: [int(part) for part in _digits(family).split(".") if part])

    async def log(self, sandbox: Sandbox) -> str:
        await self.services.logs.close()
        events = LogReader(self.root / "blobs").events(*sandbox.log.key, sandbox.log.stream)
        return "".join(event.message for event in events)


def _digits(family: str) -> str:
    return "".join(one for one in family.partition(".al")[0] if one.isdigit() or one == ".")


@pytest.fixture(scope="session")
def offered(data_dir: Path) -> dict[str, Runtime]:
    settings = Settings(data=data_dir)
    asyncio.run(runtimes.prepare(settings, print))
    return runtimes.offered(settings)


@pytest.fixture
async def bench(tmp_path: Path, offered: dict[str, Runtime]) -> AsyncIterator[Bench]:
    supervisor = await Supervisor.create(want="auto", platform=None, pool=2, log=logging.getLogger(__name__))
    logs, bills = LogWriter(tmp_path / "blobs"), BillWriter(tmp_path / "blobs")
    yield Bench(tmp_path, supervisor, Services(logs, bills, lambda version, sandbox_id: {}), offered)
    await logs.close()
    await bills.close()
    await supervisor.close()


@pytest.fixture(params=LANGUAGES, ids=[one.name for one in LANGUAGES])
def language(request: pytest.FixtureRequest) -> Language:
    try:
        package(request.param.name)
    except Unbuildable as exc:
        missing(str(exc))
    return request.param  # type: ignore[no-any-return]


async def run(sandbox: Sandbox, event: Any, **more: Any) -> InvocationResult:
    sent = Invocation(
        str(uuid.uuid4()), "key", invoked_arn=ARN, family="", payload=orjson.dumps(event), gives_up_at_ms=0, **more
    )
    return await sandbox.invoke(sent)


def returned(result: InvocationResult) -> Any:
    assert result.outcome is Outcome.OK, result.payload
    return json.loads(result.payload)


def failed(result: InvocationResult) -> dict[str, Any]:
    assert result.outcome is Outcome.FUNCTION_ERROR, result.payload[:200]
    document: dict[str, Any] = json.loads(result.payload)
    return document


# --- the twelve cases -----------------------------------------------------------------------------------------
async def echo(sandbox: Sandbox, language: Language) -> None:
    event = {"do": "echo", "list": [1, 2.5, None, True], "object": {"empty": {}}}
    assert returned(await run(sandbox, event)) == event


async def unicode(sandbox: Sandbox, language: Language) -> None:
    event = {"do": "echo", "text": "zwölf ☃ \U0001f525 \u0000 \u2028"}
    assert returned(await run(sandbox, event)) == event


async def five_megabytes(sandbox: Sandbox, language: Language) -> None:
    event = {"do": "echo", "text": "x" * 5_000_000}
    assert returned(await run(sandbox, event)) == event


async def handler_error(sandbox: Sandbox, language: Language) -> None:
    error = failed(await run(sandbox, {"do": "raise"}))
    assert (error["errorType"], bool(error["errorMessage"])) == (language.raised, True)
    if language.trace:
        assert error[language.trace]


async def custom_exception(sandbox: Sandbox, language: Language) -> None:
    error = failed(await run(sandbox, {"do": "custom"}))
    assert (error["errorType"], error["errorMessage"]) == (language.custom, "no more")
    assert returned(await run(sandbox, {"do": "echo"})) == {"do": "echo"}


async def timeout(sandbox: Sandbox, language: Language) -> None:
    error = failed(await run(sandbox, {"do": "sleep", "seconds": 30}))
    assert (error["errorType"], sandbox.state) == ("Sandbox.Timedout", SandboxState.STOPPED)
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")


async def exit_status(sandbox: Sandbox, language: Language) -> None:
    error = failed(await run(sandbox, {"do": "exit", "code": 7}))
    assert (error["errorType"], sandbox.state) == ("Runtime.ExitError", SandboxState.STOPPED)
    assert error["errorMessage"].endswith("Runtime exited with error: exit status 7")


async def out_of_memory(sandbox: Sandbox, language: Language) -> None:
    error = failed(await run(sandbox, {"do": "grow"}))
    assert (error["errorType"], sandbox.state) == ("Runtime.OutOfMemory", SandboxState.STOPPED)
    assert error["errorMessage"].endswith("Runtime exited with error: signal: killed")


async def init_error(sandbox: Sandbox, language: Language) -> None:
    assert sandbox.state is SandboxState.INIT_FAILED
    error = failed(await run(sandbox, {"do": "echo"}))
    assert error["errorType"] == language.init


async def slow_init(sandbox: Sandbox, language: Language) -> None:
    """Out of time in the Init phase, it is repeated under the function's timeout."""
    assert sandbox.state is SandboxState.INIT_FAILED
    assert returned(await run(sandbox, {"do": "echo"})) == {"do": "echo"}


async def environment_and_context(sandbox: Sandbox, language: Language) -> None:
    result = await run(sandbox, {"do": "context"})
    found = returned(result)
    left_ms = found.pop("remaining_ms")
    assert 0 < left_ms <= 10_000
    assert len(found.pop("request_id")) == 36
    assert found == {
        "stage": "prod",
        "region": "us-east-1",
        "name": "f",
        "version": "$LATEST",
        "memory": language.memory_mb,
        "arn": ARN,
    }


async def tmp_is_kept_while_warm(sandbox: Sandbox, language: Language) -> None:
    assert [returned(await run(sandbox, {"do": "tmp"})) for _ in range(3)] == [1, 2, 3]


CASES: dict[Any, dict[str, Any]] = {
    echo: {},
    unicode: {},
    five_megabytes: {"memory_mb": 512},
    handler_error: {},
    custom_exception: {},
    timeout: {"timeout_s": 1},
    exit_status: {},
    out_of_memory: {"timeout_s": 60},
    init_error: {"environment": {"FAIL_INIT": "1"}},
    slow_init: {"environment": {"SLOW_INIT_S": "2"}, "init_s": 1.0},
    environment_and_context: {"environment": {"STAGE": "prod"}},
    tmp_is_kept_while_warm: {},
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_every_language_behaves_as_on_aws(bench: Bench, language: Language, case: Any) -> None:
    given = {"memory_mb": language.memory_mb} | CASES[case]
    code, handler = package(language.name), BUILDS[language.name].handler
    async with bench.sandbox(code, bench.newest(language.runtime), handler=handler, **given) as sandbox:
        await case(sandbox, language)
