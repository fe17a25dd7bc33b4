"""The same twelve cases through every language of this host, each by the client that AWS publishes for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.support.runtime_bench import ARN, Bench, failed, returned, run
from tests.support.runtime_packages import BUILDS, Unbuildable, package
from workers.sandbox.sandbox import Sandbox
from workers.sandbox.state import SandboxState


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
    Language(
        "csharp", "mono", "KeyNotFoundException", "QuotaExceeded", "stackTrace", "ArgumentException", memory_mb=256
    ),
    Language("ruby", "ruby", "Function<KeyError>", "Function<QuotaExceeded>", "stackTrace", "Init<ArgumentError>"),
    Language("go", "provided", "boundsError", "QuotaExceeded", "stackTrace", "Runtime.ExitError"),
    Language("rust", "provided", "&std::io::error::Error", "QuotaExceeded", "", "Runtime.ExitError"),
)


@pytest.fixture
async def bench(tmp_path: Path, data_dir: Path) -> AsyncIterator[Bench]:
    async with Bench.opened(tmp_path, data_dir) as bench:
        yield bench


@pytest.fixture(params=LANGUAGES, ids=[one.name for one in LANGUAGES])
def language(request: pytest.FixtureRequest) -> Language:
    try:
        package(request.param.name)
    except Unbuildable as exc:
        missing(str(exc))
    return request.param  # type: ignore[no-any-return]


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
    await run_case(bench, language, case, from_cell=False)


#: those in which a process's start or end plays a part
CELL_CASES = (echo, exit_status, out_of_memory, init_error, slow_init, environment_and_context)


@pytest.mark.parametrize("language", LANGUAGES[:3], ids=[one.name for one in LANGUAGES[:3]], indirect=True)
@pytest.mark.parametrize("case", CELL_CASES, ids=lambda case: case.__name__)
async def test_a_stem_cell_behaves_as_a_fresh_process(bench: Bench, language: Language, case: Any) -> None:
    await run_case(bench, language, case, from_cell=True)


async def run_case(bench: Bench, language: Language, case: Any, *, from_cell: bool) -> None:
    given = {"memory_mb": language.memory_mb, "from_cell": from_cell} | CASES[case]
    code, handler = package(language.name), BUILDS[language.name].handler
    async with bench.sandbox(code, bench.newest(language.runtime), handler=handler, **given) as sandbox:
        await case(sandbox, language)
