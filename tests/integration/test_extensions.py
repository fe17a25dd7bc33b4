"""External and internal extensions in real sandboxes: order of events, who waits for whom, how each of them ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hearth.model.invocation import InvocationResult, Outcome
from tests.conftest import missing
from tests.support import extensions, places
from tests.support.lab import Lab, a_lab, error, installed_runtime, invocation, until
from workers.lifecycle import shutdown
from workers.runtimes import Runtime
from workers.sandbox.sandbox import Sandbox
from workers.sandbox.state import SandboxState


@pytest.fixture(scope="session")
def runtime(data_dir: Path) -> Runtime:
    return installed_runtime(data_dir)


@pytest.fixture
async def lab(tmp_path: Path, runtime: Runtime) -> AsyncIterator[Lab]:
    async with a_lab(tmp_path, runtime) as made:
        yield made


async def call(sandbox: Sandbox, event: Any = None, **more: Any) -> InvocationResult:
    """Invoke, and wait until the sandbox is free again (or gone)."""
    result = await sandbox.invoke(invocation(event, **more))
    await sandbox.settled()
    return result


def told(log: list[str], mark: str = "TELEMETRY") -> list[dict[str, Any]]:
    """What an extension printed after `mark`."""
    return [json.loads(line.removeprefix(mark)) for line in log if line.startswith(f"{mark} ")]


def kinds(log: list[str]) -> list[str]:
    return [event["type"].removeprefix("platform.") for event in told(log)]


INIT = ["initStart", "telemetrySubscription", "initRuntimeDone", "extension", "initReport"]
INVOKE = ["start", "function", "runtimeDone", "report"]


# --- telemetry ------------------------------------------------------------------------------------------------
async def test_a_subscriber_is_told_cold_and_warm_invocations_in_order(lab: Lab) -> None:
    lab.layer(watcher=extensions.subscriber())
    sandbox = await lab.ready()
    first, second = await call(sandbox, {"print": "one"}), await call(sandbox, {"print": "two"})
    await sandbox.shutdown("spindown")
    log = await lab.log(sandbox)
    assert kinds(log) == INIT + INVOKE + INVOKE
    events = told(log)
    assert events[0]["record"]["initializationType"] == "on-demand"
    assert [event["record"] for event in events if event["type"] == "function"] == ["one", "two"]
    reports = [event["record"] for event in events if event["type"] == "platform.report"]
    assert [(record["status"], "initDurationMs" in record["metrics"]) for record in reports] == [
        ("success", True),
        ("success", False),
    ]
    spans = [
        [one["name"] for one in event["record"]["spans"]]
        for event in events
        if event["type"] in ("platform.runtimeDone", "platform.report")
    ]
    assert spans == [["responseLatency", "responseDuration", "runtimeOverhead"], ["extensionOverhead"]] * 2
    assert [first.cold_start, second.cold_start] == [True, False]
    assert all(event["time"].endswith("Z") for event in events)
    next_events = told(log, "EVENT")
    assert [event["eventType"] for event in next_events] == ["INVOKE", "INVOKE", "SHUTDOWN"]
    assert next_events[0]["invokedFunctionArn"].endswith(":f:live")
    assert next_events[2]["shutdownReason"] == "spindown"
    assert told(log, "FACTS") == [{"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler"}]


async def test_the_log_shows_subscriptions_and_extensions_before_start(lab: Lab) -> None:
    lab.layer(watcher=extensions.subscriber(types=("platform",)))
    sandbox = await lab.ready()
    await call(sandbox)
    lines = [line for line in await lab.log(sandbox) if line.startswith(("INIT", "TELEMETRY\t", "EXTENSION", "START"))]
    assert [line.split()[0] for line in lines] == ["INIT_START", "TELEMETRY", "EXTENSION", "START"]
    assert lines[1] == "TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Platform]\n"
    assert lines[2] == "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"


@pytest.mark.parametrize(
    ("event", "status", "error_type", "reason"),
    [
        ({"print": "x", "sleep": 30}, "timeout", None, "timeout"),
        ({"print": "x", "exit": 3}, "failure", "Runtime.ExitError", "failure"),
        ({"print": "x", "grow_mb": 500}, "failure", "Runtime.OutOfMemory", "failure"),
    ],
)
async def test_a_subscriber_is_told_the_bad_end_before_it_is_shut_down(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    event: dict[str, Any],
    status: str,
    error_type: str | None,
    reason: str,
) -> None:
    # beside a function that fills their memory its code may have to come from a slow disk again
    monkeypatch.setattr(shutdown, "WINDOW_S", 60.0)
    if "grow_mb" in event and any("memory" in sentence for sentence in lab.supervisor.missing):
        pytest.skip("no memory limit on this host")
    lab.layer(watcher=extensions.subscriber())
    sandbox = await lab.ready(timeout_s=1 if status == "timeout" else 60, memory_mb=256)
    result = await call(sandbox, event)
    assert result.outcome is Outcome.FUNCTION_ERROR
    assert sandbox.state is SandboxState.STOPPED
    log = await lab.log(sandbox)
    assert kinds(log) == INIT + INVOKE
    for record in (
        event["record"] for event in told(log) if event["type"] in ("platform.runtimeDone", "platform.report")
    ):
        assert (record["status"], record.get("errorType")) == (status, error_type)
    assert told(log, "EVENT")[-1]["shutdownReason"] == reason
    # the extension's last word came after the report
    assert [line for line in log if line.startswith("EVENT")][-1] in log[
        log.index(next(line for line in log if line.startswith("REPORT"))) :
    ]


async def test_a_failed_init_is_told_and_repeated_for_the_subscriber(lab: Lab) -> None:
    lab.layer(watcher=extensions.subscriber())
    sandbox = lab.sandbox("import os\nos._exit(4)\n")
    await sandbox.initialize()
    assert sandbox.state is SandboxState.INIT_FAILED
    assert error(await call(sandbox))["errorType"] == "Runtime.ExitError"
    log = await lab.log(sandbox)
    assert kinds(log) == INIT + INIT
    assert [
        (event["record"]["phase"], event["record"]["status"]) for event in told(log) if "Report" in event["type"]
    ] == [
        ("init", "error"),
        ("invoke", "error"),
    ]


async def test_json_lines_reach_the_subscriber_as_objects(lab: Lab) -> None:
    source = "import logging\ndef handler(e, c):\n logging.getLogger().warning('careful')\n print('plain')\n"
    lab.layer(watcher=extensions.subscriber(types=("function",)))
    sandbox = await lab.ready(source, log_format="JSON")
    await call(sandbox, {})
    await sandbox.shutdown("spindown")
    first, second = (event["record"] for event in told(await lab.log(sandbox)))
    assert (first["message"], first["level"], second) == ("careful", "WARNING", "plain")


async def test_the_words_of_one_extension_are_telemetry_for_another(lab: Lab) -> None:
    chatty = extensions.basic(
        "identity = register('INVOKE')\nwhile True:\n print('hello', flush=True)\n next_event(identity)"
    )
    lab.layer(chatty=chatty, watcher=extensions.subscriber(types=("platform", "extension")))
    sandbox = await lab.ready()
    await call(sandbox)
    await sandbox.shutdown("spindown")
    log = await lab.log(sandbox)
    assert "hello" in [event["record"] for event in told(log) if event["type"] == "extension"]


# --- who waits for whom ---------------------------------------------------------------------------------------
async def test_the_caller_is_answered_while_the_extension_still_works(lab: Lab) -> None:
    lab.layer(worker=extensions.subscriber(work_s=0.5))
    sandbox = await lab.ready()
    result = await sandbox.invoke(invocation({"a": 1}))
    assert (json.loads(result.payload), sandbox.reusable) == ({"a": 1}, False)
    await sandbox.settled()
    assert sandbox.reusable
    log = await lab.log(sandbox)
    assert told(log, "EVENT")[0]["requestId"]
    report = next(line for line in log if line.startswith("REPORT"))
    assert float(report.split("Duration: ")[1].split()[0]) >= 500


async def test_a_tail_that_was_asked_for_is_whole(lab: Lab) -> None:
    lab.layer(worker=extensions.subscriber(work_s=0.2))
    sandbox = await lab.ready()
    assert "\nREPORT RequestId" in (await call(sandbox, {"print": "x"}, tail=True)).log_tail.decode()


async def test_an_extension_that_works_too_long_times_the_invocation_out(lab: Lab) -> None:
    lab.layer(slow=extensions.subscriber(work_s=30))
    sandbox = await lab.ready(timeout_s=1)
    result = await call(sandbox, "x")
    assert (result.outcome, result.payload, sandbox.state) == (Outcome.OK, b'"x"', SandboxState.STOPPED)
    log = await lab.log(sandbox)
    assert any("Task timed out after 1.00 seconds" in line for line in log)
    assert any("Status: timeout" in line for line in log if line.startswith("REPORT"))


async def test_init_waits_for_every_extension(lab: Lab) -> None:
    slow = extensions.basic("time.sleep(0.4)\nidentity = register()\ntime.sleep(0.4)\nwhile True: next_event(identity)")
    lab.layer(slow=slow, quick=extensions.subscriber())
    sandbox = await lab.ready("import time\nborn = time.time()\ndef handler(e, c): return born\n")
    assert sandbox.init_ms is not None
    assert sandbox.init_ms >= 800
    born = json.loads((await call(sandbox)).payload)
    log = await lab.log(sandbox)
    assert {line.split("\t")[1] for line in log if line.startswith("EXTENSION")} == {"Name: slow", "Name: quick"}
    assert born > 0


async def test_internal_extensions_get_invoke_events_and_hold_the_sandbox(lab: Lab) -> None:
    source = """
import json, os, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def call(path, body=None, **headers):
    request = urllib.request.Request(API + path, body, headers)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read())
headers, facts = call("register", b'{"events": ["INVOKE"]}', **{"Lambda-Extension-Name": "inside"})
identity, seen = headers["Lambda-Extension-Identifier"], []
def listen():
    while True:
        seen.append(call("event/next", **{"Lambda-Extension-Identifier": identity})[1])
        print("SEEN", len(seen))
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    return len(seen)
"""
    sandbox = await lab.ready(source)
    for _ in range(3):
        await call(sandbox)
    await sandbox.shutdown("spindown")
    log = await lab.log(sandbox)
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in log
    assert sum(1 for line in log if line.startswith("SEEN")) == 3


@pytest.mark.parametrize("prompt", [True, False])
async def test_an_internal_extension_gives_the_runtime_half_a_second_to_end(lab: Lab, prompt: bool) -> None:
    source = f"""
import os, signal, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def call(path, body=None, **headers):
    return urllib.request.urlopen(urllib.request.Request(API + path, body, headers)).headers
identity = call("register", b"", **{{"Lambda-Extension-Name": "inside"}})["Lambda-Extension-Identifier"]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def end():
    signal.sigwait([signal.SIGTERM])
    print("BYE", flush=True)
    if {prompt}: os._exit(0)
for one in (end, lambda: call("event/next", **{{"Lambda-Extension-Identifier": identity}})):
    threading.Thread(target=one, daemon=True).start()
def handler(event, context): return event
"""
    sandbox = await lab.ready(source)
    await call(sandbox)
    began_s = time.monotonic()
    await sandbox.shutdown("spindown")
    assert prompt or time.monotonic() - began_s >= 0.5  # it had all its time
    assert "BYE\n" in await lab.log(sandbox)


# --- misfortunes ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("script", "error_type", "message"),
    [
        (extensions.basic("sys.exit(7)"), "Extension.Crash", "exit status 7"),
        (extensions.basic("register()\nsys.exit(0)"), "Extension.Crash", "exit code 0"),
        (extensions.basic("register()\nos.kill(os.getpid(), 9)"), "Extension.Crash", "signal: killed"),
        ("no program", "Extension.LaunchError", "exec format error"),
        ("#!/no/such/interpreter\n", "Extension.LaunchError", "No such file or directory"),
        (
            extensions.basic(
                "identity = register()\n"
                "call('POST', 'init/error', b'', Identifier=identity, Function_Error_Type='Extension.NoKey')\n"
                "time.sleep(60)"
            ),
            "Extension.InitError",
            "Extension.NoKey",
        ),
    ],
)
async def test_an_extension_that_fails_its_init_fails_the_functions(
    lab: Lab, script: str, error_type: str, message: str
) -> None:
    lab.layer(broken=script)
    sandbox = lab.sandbox()
    await sandbox.initialize()
    assert sandbox.state is SandboxState.INIT_FAILED
    sent = invocation()
    assert error(await sandbox.invoke(sent)) == {
        "errorType": error_type,
        "errorMessage": f"RequestId: {sent.request_id} Error: {message}",
    }
    await sandbox.settled()
    log = await lab.log(sandbox)
    assert sum(1 for line in log if line.startswith("INIT_REPORT") and f"Error Type: {error_type}" in line) == 2


async def test_an_extension_that_crashes_during_an_invocation_fails_it(lab: Lab) -> None:
    lab.layer(broken=extensions.basic("identity = register('INVOKE')\nnext_event(identity)\nsys.exit(1)"))
    sandbox = await lab.ready()
    sent = invocation({"sleep": 5})
    assert error(await sandbox.invoke(sent)) == {
        "errorType": "Extension.Crash",
        "errorMessage": f"RequestId: {sent.request_id} Error: exit status 1",
    }
    await sandbox.settled()
    assert sandbox.state is SandboxState.STOPPED


async def test_an_eleventh_extension_is_refused(lab: Lab) -> None:
    one = (
        "try: identity = register()\n"
        "except urllib.error.HTTPError as refused:\n"
        "    print('REFUSED', refused.code, refused.read().decode(), flush=True)\n"
        "    sys.exit(0)\n"
        "while True: next_event(identity)"
    )
    lab.layer(**{f"e{number:02}": extensions.basic(one) for number in range(11)})
    sandbox = lab.sandbox()
    await sandbox.initialize()
    assert sandbox.state is SandboxState.INIT_FAILED
    refusals = [line for line in await lab.log(sandbox) if line.startswith("REFUSED")]
    assert refusals == [
        'REFUSED 403 {"errorMessage":"Extension limit (10) reached","errorType":"Extension.TooManyExtensions"}\n'
    ]


async def test_a_shutdown_that_hangs_is_killed_at_two_seconds(lab: Lab) -> None:
    lab.layer(hanging=extensions.subscriber(shutdown_s=60))
    sandbox = await lab.ready()
    await call(sandbox)
    assert sandbox.process is not None
    pid, began_s = sandbox.process.pid, time.monotonic()
    await sandbox.shutdown("spindown")
    took_s = time.monotonic() - began_s
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert told(await lab.log(sandbox), "EVENT")[-1]["eventType"] == "SHUTDOWN"
    print(f"killed after {took_s:.2f} s")
    assert took_s >= 2.0  # it had all its time


async def test_an_extension_that_did_not_ask_for_shutdown_does_not_delay_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "WINDOW_S", 60.0)
    lab.layer(deaf=extensions.basic("identity = register('INVOKE')\nwhile True: next_event(identity)"))
    sandbox = await lab.ready()
    await call(sandbox)
    began_s = time.monotonic()
    await sandbox.shutdown("spindown")
    assert time.monotonic() - began_s < 60.0


# --- programs -------------------------------------------------------------------------------------------------
async def test_a_shell_script_with_curl_is_an_extension(lab: Lab) -> None:
    if shutil.which("curl") is None:
        missing("no curl on this host")
    lab.layer(shell_extension=extensions.SHELL)
    sandbox = await lab.ready()
    await call(sandbox)
    await sandbox.shutdown("spindown")
    assert [event["eventType"] for event in told(await lab.log(sandbox), "EVENT")] == ["INVOKE", "SHUTDOWN"]


async def test_a_go_program_is_an_extension(lab: Lab) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        missing("no Go on this host")
    source = Path(__file__).parents[1] / "support" / "go_extension"
    lab.layer()
    assert lab.layers_dir is not None
    environment = os.environ | places.go_environment() | {"GOFLAGS": "-mod=mod"}
    build = [go, "build", "-o", str(lab.layers_dir / "extensions" / "go-extension"), "."]
    await asyncio.to_thread(subprocess.run, build, cwd=source, env=environment, check=True)
    sandbox = await lab.ready()
    await call(sandbox)
    await sandbox.shutdown("spindown")
    log = await lab.log(sandbox)
    assert [event["eventType"] for event in told(log, "EVENT")] == ["INVOKE", "SHUTDOWN"]
    assert "EXTENSION\tName: go-extension\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in log


async def test_extensions_see_no_more_of_the_environment_than_on_aws(lab: Lab) -> None:
    lab.layer(
        curious=extensions.basic(
            "print('ENV', json.dumps(dict(os.environ)), flush=True)\n"
            "identity = register()\nwhile True: next_event(identity)"
        )
    )
    sandbox = await lab.ready(environment={"STAGE": "prod"})
    (seen,) = told(await lab.log(sandbox), "ENV")
    assert (seen["STAGE"], seen["AWS_SESSION_TOKEN"]) == ("prod", "token")
    assert not [name for name in seen if name.startswith("_") or name in ("LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV")]


async def test_it_is_the_same_as_plain_processes(tmp_path: Path, runtime: Runtime) -> None:
    async with a_lab(tmp_path, runtime, want="process") as lab:
        lab.layer(watcher=extensions.subscriber())
        sandbox = await lab.ready()
        await call(sandbox, {"print": "one"})
        await sandbox.shutdown("spindown")
        assert kinds(await lab.log(sandbox)) == INIT + INVOKE


# --- freezing -------------------------------------------------------------------------------------------------
def frozen(sandbox: Sandbox) -> bool:
    return sandbox.process is not None and sandbox.process.frozen


async def test_an_idle_sandbox_is_frozen_and_thawed_by_the_next_event(lab: Lab) -> None:
    source = """
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        time.sleep(0.005)
        ticks += 1
threading.Thread(target=tick, daemon=True).start()
def handler(event, context): return ticks
"""
    sandbox = await lab.ready(source)
    assert sandbox.process is not None
    if not sandbox.process.parts.cgroup.can_freeze:
        pytest.skip("no freezer on this host")
    first = json.loads((await call(sandbox)).payload)
    await until(lambda: frozen(sandbox))
    await asyncio.sleep(1.0)
    second = json.loads((await call(sandbox)).payload)
    assert not frozen(sandbox)
    assert second - first < 100  # of 200 in that second


async def test_a_frozen_sandbox_can_be_ended(lab: Lab) -> None:
    lab.layer(watcher=extensions.subscriber())
    sandbox = await lab.ready()
    if sandbox.process is None or not sandbox.process.parts.cgroup.can_freeze:
        pytest.skip("no freezer on this host")
    await call(sandbox)
    await until(lambda: frozen(sandbox))
    await sandbox.shutdown("spindown")
    log = await lab.log(sandbox)
    assert kinds(log)[-1] == "report"
    assert told(log, "EVENT")[-1]["eventType"] == "SHUTDOWN"
