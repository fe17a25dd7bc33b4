"""What each official client can do beyond the common cases: handler styles, log formats, libraries, custom runtimes."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.support.runtime_bench import Bench, failed, returned, run
from tests.support.runtime_packages import BUILDS, Unbuildable, package
from workers.sandbox.state import SandboxState


@pytest.fixture
async def bench(tmp_path: Path, data_dir: Path) -> AsyncIterator[Bench]:
    async with Bench.opened(tmp_path, data_dir) as bench:
        yield bench


def built(name: str) -> Path:
    try:
        return package(name)
    except Unbuildable as exc:
        missing(str(exc))
        raise


async def test_every_installed_runtime_answers(bench: Bench) -> None:
    """provided needs a package of its own kind: see the others."""
    for family, runtime in bench.offered.items():
        language = next((one for one in ("python", "nodejs", "java") if family.startswith(one)), None)
        if language is not None and not runtime.stands_for:
            handler = BUILDS[language].handler
            async with bench.sandbox(built(language), family, handler=handler, memory_mb=256) as sandbox:
                assert returned(await run(sandbox, {"do": "echo"})) == {"do": "echo"}


# --- Node.js --------------------------------------------------------------------------------------------------
CALLBACKS = """
exports.handler = (event, context, callback) => {
  switch (event) {
    case 'callback': return void callback(null, 'called back');
    case 'error': return void callback(new RangeError('no'));
    case 'text': return void callback('only text');
    case 'succeed': return void context.succeed('succeeded');
    case 'fail': return void context.fail(new Error('failed'));
    case 'done': return void context.done(null, 'done');
    case 'never': return;
    case 'empty loop': setTimeout(() => console.log('then'), 50); return void callback(null, 'waited');
    case 'at once':
      context.callbackWaitsForEmptyEventLoop = false;
      setInterval(() => {}, 60000);
      return void callback(null, 'did not wait');
  }
};
"""


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        ("callback", "called back"),
        ("succeed", "succeeded"),
        ("done", "done"),
        ("never", None),
        ("empty loop", "waited"),
        ("at once", "did not wait"),
    ],
)
async def test_nodejs_handlers_that_call_back(bench: Bench, style: str, answer: Any) -> None:
    async with bench.sandbox(bench.package(app__js=CALLBACKS), bench.newest("nodejs")) as sandbox:
        assert returned(await run(sandbox, style)) == answer
        assert returned(await run(sandbox, "done")) == "done"


@pytest.mark.parametrize(
    ("style", "kind", "message"),
    [("error", "RangeError", "no"), ("text", "string", "only text"), ("fail", "Error", "failed")],
)
async def test_nodejs_handlers_that_call_back_with_an_error(bench: Bench, style: str, kind: str, message: str) -> None:
    async with bench.sandbox(bench.package(app__js=CALLBACKS), bench.newest("nodejs")) as sandbox:
        error = failed(await run(sandbox, style))
        assert (error["errorType"], error["errorMessage"]) == (kind, message)


@pytest.mark.parametrize(
    "files",
    [
        {"app__mjs": "export const handler = async () => import.meta.url.slice(0, 8);"},
        {"app__cjs": "exports.handler = async () => 'file:///';"},
        {
            "package__json": '{"type": "module"}',
            "app__js": "export const handler = async () => import.meta.url.slice(0, 8);",
        },
    ],
    ids=["mjs", "cjs", "type module"],
)
async def test_nodejs_module_kinds(bench: Bench, files: dict[str, str]) -> None:
    async with bench.sandbox(bench.package(**files), bench.newest("nodejs")) as sandbox:
        assert returned(await run(sandbox, 1)) == "file:///"


async def test_nodejs_nested_exports(bench: Bench) -> None:
    code = bench.package(app__js="exports.orders = { create: async () => 'created' };")
    async with bench.sandbox(code, bench.newest("nodejs"), handler="app.orders.create") as sandbox:
        assert returned(await run(sandbox, 1)) == "created"


@pytest.mark.parametrize(
    "files",
    [
        {"app__mjs": "import { S3Client as C } from '@aws-sdk/client-s3'; export const handler = async () => C.name;"},
        {"app__js": "exports.handler = async () => require('@aws-sdk/client-s3').S3Client.name;"},
    ],
    ids=["import", "require"],
)
async def test_nodejs_finds_awss_sdk_without_packing_it(bench: Bench, files: dict[str, str]) -> None:
    async with bench.sandbox(bench.package(**files), bench.newest("nodejs"), memory_mb=512) as sandbox:
        assert returned(await run(sandbox, 1)) == "S3Client"


STREAM = """
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  if (event === 'fail') {
    stream.write('a part');
    throw new RangeError('in the middle');
  }
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'x-a': 'b' } });
  stream.write('hello ');
  await new Promise((resolve) => setTimeout(resolve, 20));
  stream.end('world');
});
"""


async def test_nodejs_streams_its_response_with_a_prelude(bench: Bench) -> None:
    async with bench.sandbox(bench.package(app__mjs=STREAM), bench.newest("nodejs")) as sandbox:
        result = await run(sandbox, "go")
        prelude, _, body = result.payload.partition(b"\0" * 8)
        assert (json.loads(prelude), body) == ({"statusCode": 201, "headers": {"x-a": "b"}}, b"hello world")
        assert result.content_type == "application/vnd.awslambda.http-integration-response"


async def test_nodejs_error_in_the_middle_of_a_stream_is_told(bench: Bench) -> None:
    async with bench.sandbox(bench.package(app__mjs=STREAM), bench.newest("nodejs")) as sandbox:
        error = failed(await run(sandbox, "fail"))
        assert (error["errorType"], error["errorMessage"]) == ("RangeError", "in the middle")
        assert error["trace"][0] == "RangeError: in the middle"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("setTimeout(() => { throw new RangeError('late'); }, 5); await new Promise(() => {});", "RangeError"),
        ("Promise.reject(new Error('lost')); await new Promise(() => {});", "Runtime.UnhandledPromiseRejection"),
    ],
    ids=["uncaught exception", "unhandled rejection"],
)
async def test_nodejs_errors_that_nobody_catches_are_answered(bench: Bench, source: str, kind: str) -> None:
    code = bench.package(
        app__js=f"exports.handler = async (event) => {{ if (event.bad) {{ {source} }} return 'well'; }};"
    )
    async with bench.sandbox(code, bench.newest("nodejs")) as sandbox:
        assert failed(await run(sandbox, {"bad": 1}))["errorType"] == kind
        assert returned(await run(sandbox, {})) == "well"  # on a process started anew


async def test_nodejs_console_writes_one_text_event_with_the_request_id(bench: Bench) -> None:
    code = bench.package(
        app__js="exports.handler = async (e, c) => { console.warn('two\\nlines', {a: 1}); return c.awsRequestId; };"
    )
    async with bench.sandbox(code, bench.newest("nodejs")) as sandbox:
        request_id = returned(await run(sandbox, 1))
    assert f"\t{request_id}\tWARN\ttwo\nlines {{ a: 1 }}\n" in await bench.log(sandbox)


async def test_nodejs_console_writes_json_when_the_function_wants_it(bench: Bench) -> None:
    code = bench.package(
        app__js="exports.handler = async (e, c) => { console.error('no', 1); return c.awsRequestId; };"
    )
    async with bench.sandbox(code, bench.newest("nodejs"), log_format="JSON") as sandbox:
        request_id = returned(await run(sandbox, 1))
    lines = [json.loads(line) for line in (await bench.log(sandbox)).splitlines()]
    assert [line["message"] for line in lines if line.get("level") == "ERROR" and line["requestId"] == request_id] == [
        "no 1"
    ]


async def test_nodejs_module_that_is_missing_is_an_init_error_in_awss_words(bench: Bench) -> None:
    async with bench.sandbox(bench.package(other__js=""), bench.newest("nodejs")) as sandbox:
        error = failed(await run(sandbox, 1))
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert error["errorMessage"].startswith("Error: Cannot find module 'app'")


# --- Java -----------------------------------------------------------------------------------------------------
async def test_java_maps_events_to_plain_objects(bench: Bench) -> None:
    given = {"handler": "example.Pojo::twice", "memory_mb": 256}
    async with bench.sandbox(built("java"), bench.newest("java"), **given) as sandbox:
        assert returned(await run(sandbox, {"item": "☃", "count": 21})) == {"item": "☃", "count": 42}


async def test_java_stream_handlers_get_the_bytes_and_a_logger(bench: Bench) -> None:
    given = {"handler": "example.Upper", "memory_mb": 256}
    async with bench.sandbox(built("java"), bench.newest("java"), **given) as sandbox:
        assert returned(await run(sandbox, {"a": "b"})) == {"A": "B"}
    assert "from the logger" in await bench.log(sandbox)


# --- C# -------------------------------------------------------------------------------------------------------
async def test_csharp_maps_events_to_plain_objects_and_awaits_tasks(bench: Bench) -> None:
    given = {"handler": "Example::Example.Function::Twice", "memory_mb": 256}
    async with bench.sandbox(built("csharp"), bench.newest("mono"), **given) as sandbox:
        assert returned(await run(sandbox, {"item": "☃", "count": 21})) == {"Item": "☃", "Count": 42}
    assert "from the logger" in await bench.log(sandbox)


async def test_csharp_static_stream_handlers_get_the_bytes(bench: Bench) -> None:
    given = {"handler": "Example::Example.Function::Same", "memory_mb": 256}
    async with bench.sandbox(built("csharp"), bench.newest("mono"), **given) as sandbox:
        assert returned(await run(sandbox, {"a": [1]})) == {"a": [1]}


# --- Python's libraries ---------------------------------------------------------------------------------------
async def test_powertools_log_and_count(bench: Bench) -> None:
    async with bench.sandbox(built("powertools"), bench.newest("python"), memory_mb=256) as sandbox:
        assert returned(await run(sandbox, {"order": 7, "count": 3})) == {"order": 7}
    lines = [json.loads(line) for line in (await bench.log(sandbox)).splitlines() if line.startswith("{")]
    taken = next(line for line in lines if line.get("message") == "taken")
    assert (taken["service"], taken["order"], taken["cold_start"]) == ("orders", 7, True)
    assert [line["Orders"] for line in lines if "Orders" in line] == [[3.0]]
    assert [line["ColdStart"] for line in lines if "ColdStart" in line] == [[1.0]]


# --- custom runtimes ------------------------------------------------------------------------------------------
async def test_a_shell_script_is_a_runtime(bench: Bench) -> None:
    async with bench.sandbox(built("shell"), "provided.al2023", handler="function.handler") as sandbox:
        assert [returned(await run(sandbox, n)) for n in range(3)] == [{"shell": n} for n in range(3)]
    assert "got: 2\n" in await bench.log(sandbox)


async def test_a_web_application_behind_an_adapter_is_a_function(bench: Bench) -> None:
    event = {
        "rawPath": "/teapot",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"x-sent": "1"},
        "body": "☃",
    }
    async with bench.sandbox(built("web"), "provided.al2023") as sandbox:
        answer = returned(await run(sandbox, event))
    assert (answer["statusCode"], answer["headers"]["X-Seen"]) == (418, "1")
    assert base64.b64decode(answer["body"]).decode() == "POST ☃"


async def test_a_package_without_bootstrap_is_an_invalid_entrypoint(bench: Bench) -> None:
    async with bench.sandbox(bench.package(main__py=""), "provided.al2023") as sandbox:
        assert sandbox.state is SandboxState.INIT_FAILED
        error = failed(await run(sandbox, 1))
    assert error["errorType"] == "Runtime.InvalidEntrypoint"
    assert error["errorMessage"].endswith("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
