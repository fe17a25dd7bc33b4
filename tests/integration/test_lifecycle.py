"""Init, Invoke and Shutdown of real sandboxes with AWS's own Python runtime client."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hearth.model.invocation import Outcome
from hearth.settings import Settings
from tests.support.lab import HANDLER, Lab, a_lab, error, installed_runtime, invocation, until
from workers.runtimes import Runtime
from workers.runtimes.python import Python
from workers.sandbox.state import SandboxState
from workers.sandbox.supervisor import Mount, SpawnFailed, Supervisor


@pytest.fixture(scope="session")
def runtime(data_dir: Path) -> Runtime:
    return installed_runtime(data_dir)


@pytest.fixture
async def lab(tmp_path: Path, runtime: Runtime) -> AsyncIterator[Lab]:
    async with a_lab(tmp_path, runtime) as made:
        yield made


# --- what works -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", [{"a": [1, 2.5, None]}, "zwölf ☃ \U0001f525", [], 0, None, "x" * 5_000_000])
async def test_an_event_comes_back_as_it_went(lab: Lab, event: Any) -> None:
    sandbox = await lab.ready()
    result = await sandbox.invoke(invocation(event))
    assert (result.outcome, json.loads(result.payload), result.content_type) == (Outcome.OK, event, "application/json")
    assert (result.executed_version, sandbox.state, sandbox.reusable) == ("$LATEST", SandboxState.READY, True)


async def test_one_runtime_serves_many_invocations_and_only_the_first_is_cold(lab: Lab) -> None:
    sandbox = await lab.ready()
    results = [await sandbox.invoke(invocation({"count": 1})) for _ in range(20)]
    assert [json.loads(result.payload) for result in results] == list(range(1, 21))
    assert [result.cold_start for result in results] == [True] + [False] * 19


async def test_the_context_is_the_callers(lab: Lab) -> None:
    sandbox = await lab.ready(timeout_s=7, memory_mb=192)
    sent = invocation({"context": 1}, client_context='{\n "custom": {"k": "ü"}\n}', trace_id="Root=1-a;Sampled=1")
    custom, arn, left_ms, memory, request_id, trace = json.loads((await sandbox.invoke(sent)).payload)
    assert (custom, arn, memory, request_id, trace) == (
        {"k": "ü"},
        sent.invoked_arn,
        "192",
        sent.request_id,
        "Root=1-a;Sampled=1",
    )
    assert 0 < left_ms <= 7000


async def test_the_environment_is_the_platforms_and_the_customers(lab: Lab) -> None:
    sandbox = await lab.ready(environment={"STAGE": "prod", "PYTHONPATH": "/var/task/lib"})
    found = json.loads((await sandbox.invoke(invocation({"env": 1}))).payload)
    assert (found["STAGE"], found["AWS_SECRET_ACCESS_KEY"], found["_HANDLER"]) == ("prod", "secret", "app.handler")
    assert found["AWS_LAMBDA_LOG_STREAM_NAME"] == sandbox.log.stream
    assert found["PYTHONPATH"] == "/var/task/lib"


async def test_every_installed_python_answers(lab: Lab, data_dir: Path) -> None:
    for family, runtime in Python().installed(Settings(data=data_dir).runtimes_dir).items():
        lab.runtime = runtime
        sandbox = await lab.ready("import sys, boto3\ndef handler(e, c): return 'python%d.%d' % sys.version_info[:2]\n")
        assert json.loads((await sandbox.invoke(invocation())).payload) == family
        await sandbox.shutdown("spindown")


async def test_modules_are_searched_in_the_order_of_aws(lab: Lab) -> None:
    sandbox = await lab.ready("import sys\ndef handler(e, c): return sys.path[:4]\n")
    assert json.loads((await sandbox.invoke(invocation())).payload) == [
        "/var/task",
        "/opt/python/lib/python3.11/site-packages",
        "/opt/python",
        "/var/runtime",
    ]


# --- logs -----------------------------------------------------------------------------------------------------
async def test_the_tail_is_this_invocations_log(lab: Lab) -> None:
    sandbox = await lab.ready()
    await sandbox.invoke(invocation({"print": "earlier"}))
    sent = invocation({"print": "hello\nworld"}, tail=True)
    lines = (await sandbox.invoke(sent)).log_tail.decode().splitlines()
    assert lines[:4] == [
        f"START RequestId: {sent.request_id} Version: $LATEST",
        "hello",
        "world",
        f"END RequestId: {sent.request_id}",
    ]
    assert re.fullmatch(
        rf"REPORT RequestId: {sent.request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: [1-9]\d* MB\t",
        lines[4],
    )


async def test_the_stream_tells_the_sandboxes_life(lab: Lab) -> None:
    sandbox = await lab.ready()
    await sandbox.invoke(invocation({"print": "hi"}))
    kinds = [line.split()[0] for line in await lab.log(sandbox)]
    assert kinds == ["INIT_START", "START", "hi", "END", "REPORT"]


async def test_what_threads_print_at_once_is_all_there(lab: Lab) -> None:
    sandbox = await lab.ready()
    await sandbox.invoke(invocation({"threads": 1}))
    lines = [line for line in await lab.log(sandbox) if "line" in line]
    assert "".join(lines).count("line") == 1200


async def test_a_function_that_prints_without_end_does_not_hold_up_others(lab: Lab) -> None:
    printing = await lab.ready("def handler(e, c):\n while True: print()\n", timeout_s=2)
    quiet = await lab.ready()
    loop = asyncio.create_task(printing.invoke(invocation()))
    served = 0
    while not loop.done():
        assert (await quiet.invoke(invocation(1))).outcome is Outcome.OK
        served += 1
    assert error(await loop)["errorType"] == "Sandbox.Timedout"
    assert served > 2, "the other's output was taken first"


async def test_json_format_tells_events(lab: Lab) -> None:
    source = "import logging\ndef handler(e, c):\n logging.getLogger().warning('careful')\n"
    sandbox = await lab.ready(source, log_format="JSON")
    await sandbox.invoke(invocation({}))
    events = [json.loads(line) for line in await lab.log(sandbox)]
    assert [event.get("type") or event["message"] for event in events] == [
        "platform.initStart",
        "platform.start",
        "careful",
        "platform.report",
    ]


async def test_every_system_event_is_an_event_of_the_log(lab: Lab) -> None:
    sandbox = await lab.ready(log_format="JSON", system_log_level="DEBUG")
    await sandbox.invoke(invocation({}))
    assert [json.loads(line)["type"].removeprefix("platform.") for line in await lab.log(sandbox)] == [
        *("initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"),
    ]


LOGGING = """
import logging
def handler(e, c):
    print("printed")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger().exception("first\\nsecond")
    print("printed, too")
    raise ValueError("of two\\nlines")
"""


async def test_what_a_python_function_logs_is_one_event(lab: Lab) -> None:
    sandbox = await lab.ready(LOGGING)
    await sandbox.invoke(invocation({}))
    _, _, printed, logged, after, error, *_ = await lab.log(sandbox)
    assert (printed, after) == ("printed\n", "printed, too\n")
    assert logged.startswith("[ERROR]\t")
    assert "\tfirst\nsecond\nTraceback (most recent call last):\n" in logged
    assert logged.endswith("\nZeroDivisionError: division by zero\n")
    assert error.startswith("[ERROR] ValueError: of two\nlines\nTraceback (most recent call last):\n")


# --- what goes wrong in the handler ---------------------------------------------------------------------------
async def test_a_handlers_error_is_its_own_document_and_the_sandbox_goes_on(lab: Lab) -> None:
    sandbox = await lab.ready()
    sent = invocation({"raise": "boom"}, tail=True)
    result = await sandbox.invoke(sent)
    document = error(result)
    assert (document["errorType"], document["errorMessage"], document["requestId"]) == (
        "KeyError",
        "'boom'",
        sent.request_id,
    )
    assert "[ERROR] KeyError: 'boom'\nTraceback" in result.log_tail.decode()
    assert "Status" not in result.log_tail.decode()
    assert sandbox.reusable


async def test_an_error_as_long_as_a_book_is_passed_on(lab: Lab) -> None:
    sandbox = await lab.ready()
    assert len(error(await sandbox.invoke(invocation({"raise": "x" * 900_000})))["errorMessage"]) == 900_002


async def test_a_payload_that_is_no_json_is_the_runtimes_error(lab: Lab) -> None:
    sandbox = await lab.ready()
    assert error(await sandbox.invoke(invocation(b"no json")))["errorType"] == "Runtime.UnmarshalError"


async def test_an_oversized_response_costs_the_answer_not_the_sandbox(lab: Lab) -> None:
    sandbox = await lab.ready()
    result = await sandbox.invoke(invocation({"size": 7_000_000}))
    assert error(result) == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert (await sandbox.invoke(invocation("next"))).payload == b'"next"'


# --- timeout, crash, memory -----------------------------------------------------------------------------------
async def test_a_timeout_ends_the_sandbox(lab: Lab) -> None:
    sandbox = await lab.ready(timeout_s=1)
    sent = invocation({"print": "so far", "sleep": 30}, tail=True)
    result = await sandbox.invoke(sent)
    assert error(result) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {sent.request_id} Error: Task timed out after 1.00 seconds",
    }
    tail = result.log_tail.decode()
    assert f"Z {sent.request_id} Task timed out after 1.00 seconds\n\nEND RequestId" in tail
    assert "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t" in tail
    assert "\tStatus: timeout\t" in tail
    assert (sandbox.state, sandbox.reusable, result.billed_ms) == (SandboxState.STOPPED, False, 1000)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"exit": 0}, "Runtime exited without providing a reason"),
        ({"exit": 3}, "Runtime exited with error: exit status 3"),
        ({"signal": 9}, "Runtime exited with error: signal: killed"),
        ({"signal": 11}, "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_crash_ends_the_sandbox(lab: Lab, event: dict[str, int], message: str) -> None:
    sandbox = await lab.ready()
    sent = invocation(event, tail=True)
    result = await sandbox.invoke(sent)
    assert error(result) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {sent.request_id} Error: {message}",
    }
    assert f"RequestId: {sent.request_id} Error: {message}\nRuntime.ExitError\nEND" in result.log_tail.decode()
    assert sandbox.state is SandboxState.STOPPED


async def test_more_memory_than_allowed_is_out_of_memory(lab: Lab) -> None:
    if any("memory" in sentence for sentence in lab.supervisor.missing):
        pytest.skip("no memory limit on this host")
    sandbox = await lab.ready()
    result = await sandbox.invoke(invocation({"grow_mb": 400}, tail=True))
    assert error(result)["errorType"] == "Runtime.OutOfMemory"
    assert error(result)["errorMessage"].endswith(" Error: Runtime exited with error: signal: killed")
    assert "\tStatus: error\tError Type: Runtime.OutOfMemory\t" in result.log_tail.decode()
    assert re.search(r"Max Memory Used: 12[5-8] MB", result.log_tail.decode())


# --- Init -----------------------------------------------------------------------------------------------------
async def test_init_errors_are_told_by_the_first_invocation(lab: Lab) -> None:
    sandbox = lab.sandbox("import nope\n")
    await sandbox.initialize()
    assert (sandbox.state, sandbox.process) == (SandboxState.INIT_FAILED, None)
    result = await sandbox.invoke(invocation({}))
    assert (error(result)["errorType"], error(result)["requestId"]) == ("Runtime.ImportModuleError", "")
    assert (result.detail, sandbox.state) == ("Runtime.ImportModuleError", SandboxState.STOPPED)
    words = [line.partition(" ")[0] for line in await lab.log(sandbox)]
    own = [word for word in words if not word.startswith(("[", "Traceback"))]
    assert own == ["INIT_START", "INIT_REPORT", "INIT_REPORT", "START", "RequestId:", "END", "REPORT"]


async def test_an_init_that_takes_too_long_is_repeated_under_the_functions_timeout(lab: Lab) -> None:
    sandbox = lab.sandbox("import time\ntime.sleep(1.5)\n" + HANDLER, init_s=0.8, timeout_s=60)
    await sandbox.initialize()
    assert sandbox.state is SandboxState.INIT_FAILED
    result = await sandbox.invoke(invocation("x"))
    assert (result.payload, sandbox.state) == (b'"x"', SandboxState.READY)
    assert result.billed_ms > 1500
    log = await lab.log(sandbox)
    assert "INIT_REPORT Init Duration: 800.00 ms\tPhase: init\tStatus: timeout\n" in log
    assert not any("Init Duration" in line for line in log if line.startswith("REPORT"))


async def test_an_init_longer_than_the_functions_timeout_times_out(lab: Lab) -> None:
    sandbox = lab.sandbox("import time\ntime.sleep(20)\n", init_s=0.3, timeout_s=1)
    await sandbox.initialize()
    result = await sandbox.invoke(invocation("x"))
    assert error(result)["errorType"] == "Sandbox.Timedout"
    assert "INIT_REPORT Init Duration: 1000.00 ms\tPhase: invoke\tStatus: timeout\n" in await lab.log(sandbox)


async def test_an_exit_during_init_is_an_exit_error(lab: Lab) -> None:
    sandbox = lab.sandbox("import os\nos._exit(5)\n")
    await sandbox.initialize()
    message = error(await sandbox.invoke(invocation({})))["errorMessage"]
    assert message.endswith(" Error: Runtime exited with error: exit status 5")


@pytest.mark.parametrize(
    ("wrapper", "status", "why"),
    [("/idontexist.sh", 127, "does not exist"), ("/opt/wrapper", 126, "is not an executable")],
)
async def test_a_wrapper_that_cannot_be_started_is_told_in_awss_words(
    lab: Lab, tmp_path: Path, wrapper: str, status: int, why: str
) -> None:
    lab.layers_dir = tmp_path / "layers"
    lab.layers_dir.mkdir()
    (lab.layers_dir / "wrapper").write_text("#!/bin/sh\n")
    sandbox = lab.sandbox(environment={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    await sandbox.initialize()
    sent = invocation()
    assert error(await sandbox.invoke(sent)) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {sent.request_id} Error: Runtime exited with error: exit status {status}",
    }
    assert (await lab.log(sandbox)).count(f"{wrapper}: {why}\n") == 2  # of Init, and of Init repeated


async def test_a_wrapper_starts_the_runtime(lab: Lab, tmp_path: Path) -> None:
    lab.layers_dir = tmp_path / "layers"
    lab.layers_dir.mkdir()
    (lab.layers_dir / "wrapper").write_text('#!/bin/sh\nexport WRAPPED="by $0"\nexec "$@"\n')
    (lab.layers_dir / "wrapper").chmod(0o755)
    sandbox = await lab.ready(environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"})
    assert json.loads((await sandbox.invoke(invocation({"env": 1}))).payload)["WRAPPED"] == "by /opt/wrapper"


async def test_a_sandbox_that_was_never_initialised_inits_inside_the_invocation(lab: Lab) -> None:
    sandbox = lab.sandbox()
    assert (await sandbox.invoke(invocation(1))).payload == b"1"


async def test_a_sandbox_that_cannot_be_built_is_the_platforms_error(lab: Lab) -> None:
    lab.runtime = replace(lab.runtime, mounts=(*lab.runtime.mounts, Mount(lab.root / "absent", "/opt")))
    sandbox = lab.sandbox()
    with pytest.raises(SpawnFailed):
        await sandbox.initialize()
    assert sandbox.state is SandboxState.STOPPED


# --- between invocations --------------------------------------------------------------------------------------
async def test_a_runtime_that_dies_idle_is_replaced_inside_the_next_invocation(lab: Lab) -> None:
    sandbox = await lab.ready()
    assert (await sandbox.invoke(invocation({"die_later": 0.05}))).outcome is Outcome.OK
    await until(lambda: not sandbox.reusable)
    result = await sandbox.invoke(invocation({"count": 1}))
    assert (result.payload, sandbox.state) == (b"1", SandboxState.READY)


async def test_a_runtime_that_never_asks_again_is_ended_by_the_timeout(lab: Lab) -> None:
    sandbox = await lab.ready(timeout_s=3)
    assert (await sandbox.invoke(invocation({"hang_after": 1}))).outcome is Outcome.OK
    assert sandbox.reusable
    result = await sandbox.invoke(invocation({"count": 1}))
    assert (result.payload, sandbox.state) == (b"1", SandboxState.READY)


# --- Shutdown -------------------------------------------------------------------------------------------------
async def test_shutdown_ends_a_running_invocation(lab: Lab) -> None:
    sandbox = await lab.ready()
    running = asyncio.create_task(sandbox.invoke(invocation({"sleep": 30})))
    await until(lambda: sandbox.state is SandboxState.INVOKING)
    await sandbox.shutdown("failure")
    result = await running
    assert (result.outcome, result.detail) == (Outcome.LOST, "The sandbox was shut down while the function ran.")
    assert sandbox.state is SandboxState.STOPPED


async def test_a_cancelled_init_takes_its_sandbox_with_it(lab: Lab) -> None:
    sandbox = lab.sandbox("import time\ntime.sleep(30)\n")
    starting = asyncio.create_task(sandbox.initialize())
    await until(lambda: sandbox.process is not None)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (sandbox.state, sandbox.process) == (SandboxState.STOPPED, None)


async def test_many_lives_leave_no_descriptor_behind(lab: Lab) -> None:
    async def live() -> None:
        sandbox = await lab.ready()
        await sandbox.invoke(invocation({"print": "x"}))
        await sandbox.invoke(invocation({"exit": 1}))

    await live()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await live()
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the pool of namespaces may be fuller


@pytest.mark.parametrize("after_s", [0.0, 0.004, 0.02])
async def test_shutdown_during_init_leaves_nothing(lab: Lab, after_s: float) -> None:
    sandbox = lab.sandbox("import time\ntime.sleep(30)\n")
    starting = asyncio.create_task(sandbox.initialize())
    await asyncio.sleep(after_s)
    await sandbox.shutdown("spindown")
    await starting
    assert (sandbox.state, sandbox.process) == (SandboxState.STOPPED, None)


async def test_a_cancelled_invocation_takes_its_sandbox_with_it(lab: Lab) -> None:
    sandbox = await lab.ready()
    running = asyncio.create_task(sandbox.invoke(invocation({"sleep": 30})))
    await until(lambda: sandbox.state is SandboxState.INVOKING)
    assert sandbox.process is not None
    pid = sandbox.process.pid
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sandbox.state is SandboxState.STOPPED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_bills_say_what_ran(lab: Lab) -> None:
    sandbox = await lab.ready(timeout_s=3)
    for event in ({}, {"raise": "x"}, {"sleep": 9}):
        await sandbox.invoke(invocation(event))
    await lab.services.bills.close()
    (file,) = (lab.root / "blobs" / "bills").glob("*/*.jsonl")
    bills = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(bill["status"], bill["cold"]) for bill in bills] == [
        ("success", True),
        ("error", False),
        ("timeout", False),
    ]
    assert bills[0]["init_ms"] > 0 == bills[1]["init_ms"]
    assert bills[2]["billed_ms"] == 3000


async def test_init_is_billed_where_the_platform_bills_as_aws_now_does(lab: Lab) -> None:
    lab.services = replace(lab.services, billing="aws-2025")
    sandbox = await lab.ready("import time\ntime.sleep(1)\ndef handler(e, c): return e\n")
    results = [await sandbox.invoke(invocation()) for _ in range(2)]
    reports = [line for line in await lab.log(sandbox) if line.startswith("REPORT")]
    ran_ms, then_ms = (float(found) for line in reports for found in re.findall(r"\tDuration: ([\d.]+) ms", line))
    assert results[0].billed_ms - ran_ms > 1000
    assert 0 <= results[1].billed_ms - then_ms <= 1


_HOOKS = """
import http.client, json, os, time
link = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None):
    link.request(method, "/2018-06-01/runtime/" + path, body)
    answer = link.getresponse()
    return answer, answer.read()
answer, _ = call("GET", "restore/next")
assert answer.status == 200
time.sleep(SECONDS)
while True:
    answer, body = call("GET", "invocation/next")
    call("POST", "invocation/" + answer.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", body)
"""


async def test_hooks_around_a_restore_run_at_once_and_are_told(lab: Lab) -> None:
    launch = (lab.runtime.launch[0], "-I", "-S", "/var/task/app.py")
    lab.runtime = replace(lab.runtime, launch=launch)
    sandbox = await lab.ready(_HOOKS.replace("SECONDS", "0.2"))
    await sandbox.invoke(invocation())
    lines = await lab.log(sandbox)
    kinds = [line.split()[0] for line in lines]
    assert kinds == ["INIT_START", "INIT_REPORT", "RESTORE_START", "RESTORE_REPORT", "START", "END", "REPORT"]
    assert "\tRestore Duration: " in lines[-1]
    assert "\tBilled Restore Duration: " in lines[-1]
    assert "Init Duration" not in lines[-1]


async def test_hooks_after_a_restore_have_a_limit_of_their_own(lab: Lab) -> None:
    lab.runtime = replace(lab.runtime, launch=(lab.runtime.launch[0], "-I", "-S", "/var/task/app.py"))
    sandbox = lab.sandbox(_HOOKS.replace("SECONDS", "60"), init_s=1.5, timeout_s=60)
    await sandbox.initialize()
    document = error(await sandbox.invoke(invocation()))
    assert (sandbox.state, document["errorType"]) == (SandboxState.STOPPED, "Runtime.RestoreHookUserTimeout")
    ends = [line.strip().partition(" ms")[2] for line in await lab.log(sandbox) if line.startswith("RESTORE_REPORT")]
    assert ends == ["\tStatus: timeout"] * 2


async def test_the_life_is_the_same_as_a_plain_process(lab: Lab) -> None:
    plain = await Supervisor.create(want="process", platform=None, pool=0, log=logging.getLogger(__name__))
    try:
        lab.supervisor, isolated = plain, lab.supervisor
        sandbox = await lab.ready(timeout_s=3)
        assert (await sandbox.invoke(invocation("x"))).payload == b'"x"'
        assert error(await sandbox.invoke(invocation({"sleep": 30})))["errorType"] == "Sandbox.Timedout"
        assert (
            error(await lab.sandbox("import nope\n").invoke(invocation()))["errorType"] == "Runtime.ImportModuleError"
        )
        lab.supervisor = isolated
    finally:
        await plain.close()
