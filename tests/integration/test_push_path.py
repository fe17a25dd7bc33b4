"""The push path as a user of boto3 meets it: answers, errors and logs as AWS gives them."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support import load
from tests.support.function_logs import logged
from tests.support.functions import ECHO, zip_of
from tests.support.stack import PlatformStack

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FAILED = f"RequestId: {UUID} Error:"

#: one package, many behaviours, chosen by the event
ZOO = """
import json, os, signal, sys, time

class Custom(Exception):
    pass

def handler(event, context):
    match event["do"]:
        case "raise":
            raise Custom("boom \\u00e4")
        case "exit":
            os._exit(event["status"])
        case "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "sleep":
            time.sleep(event["s"])
        case "hog":
            return len(bytearray(400 * 1024 * 1024))
        case "large":
            return "x" * event["size"]
        case "object":
            return object()
        case "context":
            return {name: getattr(context, name) for name in (
                "aws_request_id", "function_name", "function_version", "invoked_function_arn",
                "memory_limit_in_mb", "log_group_name", "log_stream_name")}
        case "client":
            return context.client_context.custom
        case "print":
            for line in event["lines"]:
                print(line)
    return event
"""


@pytest.fixture(scope="module")
def zoo(stack: PlatformStack) -> str:
    return stack.deploy(None, ZOO, Timeout=60, MemorySize=128)


@pytest.fixture(scope="module")
def hasty_zoo(stack: PlatformStack) -> str:
    return stack.deploy(None, ZOO, Timeout=2, MemorySize=128)


def invoke(stack: PlatformStack, function: str, event: Any, **parameters: Any) -> dict[str, Any]:
    answer = stack.invoke(function, event, **parameters)
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    return answer


def test_answer_is_the_handlers_json(stack: PlatformStack, zoo: str) -> None:
    for event in ({"do": "nothing", "text": "ä☃", "n": 1.5, "none": None}, {"do": "large", "size": 5_000_000}):
        answer = invoke(stack, zoo, event)
        assert answer["Payload"] == (event if event["do"] == "nothing" else "x" * 5_000_000)
        assert "FunctionError" not in answer


def test_empty_payload_reaches_the_handler_as_an_empty_object(stack: PlatformStack) -> None:
    function = stack.deploy(None, ECHO)
    answer = stack.client("lambda").invoke(FunctionName=function)
    assert json.loads(answer["Payload"].read()) == {}


@pytest.mark.parametrize(
    ("event", "error_type", "message"),
    [
        ({"do": "raise"}, "Custom", "boom ä"),
        (
            {"do": "exit", "status": 0},
            "Runtime.ExitError",
            f"{FAILED} Runtime exited without providing a reason",
        ),
        (
            {"do": "exit", "status": 7},
            "Runtime.ExitError",
            f"{FAILED} Runtime exited with error: exit status 7",
        ),
        (
            {"do": "signal"},
            "Runtime.ExitError",
            f"{FAILED} Runtime exited with error: signal: segmentation fault( \\(core dumped\\))?",
        ),
        ({"do": "hog"}, "Runtime.OutOfMemory", f"{FAILED} Runtime exited with error: signal: killed"),
        (
            {"do": "large", "size": 6_300_000},
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size \\(6291556 bytes\\).",
        ),
        ({"do": "object"}, "Runtime.MarshalError", "Unable to marshal response: .*"),
    ],
    ids=lambda value: value["do"] if isinstance(value, dict) else "",
)
def test_function_failure_is_a_200_with_awss_error_document(
    stack: PlatformStack, zoo: str, event: dict[str, Any], error_type: str, message: str
) -> None:
    if event["do"] == "hog" and stack.isolation() != "full":
        pytest.skip("memory limits need the isolation level `full`")
    answer = invoke(stack, zoo, event)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == error_type
    assert re.fullmatch(message, answer["Payload"]["errorMessage"])
    # the next invocation finds a working environment
    assert invoke(stack, zoo, {"do": "nothing"})["Payload"] == {"do": "nothing"}


def test_timeout_is_a_200_with_awss_error_document(stack: PlatformStack, hasty_zoo: str) -> None:
    answer = invoke(stack, hasty_zoo, {"do": "sleep", "s": 9})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(f"{FAILED} Task timed out after 2.00 seconds", answer["Payload"]["errorMessage"])
    assert invoke(stack, hasty_zoo, {"do": "nothing"})["Payload"] == {"do": "nothing"}


def test_error_of_the_module_is_reported_by_every_invocation(stack: PlatformStack) -> None:
    function = stack.deploy(None, "raise RuntimeError('no start')\n")
    for _ in range(2):
        answer = invoke(stack, function, {})
        assert answer["FunctionError"] == "Unhandled"
        assert (answer["Payload"]["errorType"], answer["Payload"]["errorMessage"]) == ("RuntimeError", "no start")


def test_missing_handler_and_module_are_named(stack: PlatformStack) -> None:
    missing = stack.deploy(None, ECHO, Handler="app.other")
    assert invoke(stack, missing, {})["Payload"]["errorType"] == "Runtime.HandlerNotFound"
    unknown = stack.deploy(None, ECHO, Handler="nothing.handler")
    assert (
        invoke(stack, unknown, {})["Payload"]["errorMessage"]
        == "Unable to import module 'nothing': No module named 'nothing'"
    )


def test_init_beyond_ten_seconds_is_repeated_under_the_functions_timeout(stack: PlatformStack) -> None:
    slow = "import time\ntime.sleep(11)\ndef handler(event, context):\n    return 'ready'\n"
    patient = stack.deploy(None, slow, Timeout=20)
    hasty = stack.deploy(None, slow, Timeout=3)
    results: dict[str, dict[str, Any]] = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: invoke(stack, name, {}, LogType="Tail")}))
        for name in (patient, hasty)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[patient]["Payload"] == "ready"
    assert results[hasty]["Payload"]["errorType"] == "Sandbox.Timedout"
    lines = [event["message"] for event in logged(stack, patient, "INIT_REPORT")]
    assert re.fullmatch(r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: timeout\n?", lines[0])


def test_context_says_what_aws_says(stack: PlatformStack, zoo: str) -> None:
    answer = invoke(stack, zoo, {"do": "context"})
    context = answer["Payload"]
    assert context["aws_request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert context["function_name"] == zoo
    assert (context["function_version"], context["memory_limit_in_mb"]) == ("$LATEST", "128")
    assert context["invoked_function_arn"] == ARN + zoo
    assert context["log_group_name"] == f"/aws/lambda/{zoo}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["log_stream_name"])
    qualified = invoke(stack, zoo, {"do": "context"}, Qualifier="$LATEST")
    assert qualified["Payload"]["invoked_function_arn"] == ARN + zoo + ":$LATEST"
    assert invoke(stack, ARN + zoo, {"do": "context"})["Payload"]["function_name"] == zoo


def test_client_context_reaches_the_function(stack: PlatformStack, zoo: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"a": "ä"}}).encode()).decode()
    assert invoke(stack, zoo, {"do": "client"}, ClientContext=context)["Payload"] == {"a": "ä"}


def test_tail_has_this_invocations_log(stack: PlatformStack, zoo: str) -> None:
    answer = invoke(stack, zoo, {"do": "print", "lines": ["one", "zwei ä"]}, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request_id = answer["ResponseMetadata"]["RequestId"]
    start = lines.index(f"START RequestId: {request_id} Version: $LATEST")
    assert lines[start + 1 : start + 4] == ["one", "zwei ä", f"END RequestId: {request_id}"]
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t(Init Duration: \d+\.\d\d ms\t)?",
        lines[start + 4],
    )


def test_log_of_a_function_is_read_through_cloudwatch_logs(stack: PlatformStack, zoo: str) -> None:
    needle = f"needle {time.time()}"
    invoke(stack, zoo, {"do": "print", "lines": [needle]})
    events = logged(stack, zoo, needle)
    assert [event["message"].rstrip() for event in events] == [needle]
    stream = events[0]["logStreamName"]
    logs = stack.client("logs")
    streams = logs.describe_log_streams(logGroupName=f"/aws/lambda/{zoo}")["logStreams"]
    assert stream in {one["logStreamName"] for one in streams}
    read = logs.get_log_events(logGroupName=f"/aws/lambda/{zoo}", logStreamName=stream, startFromHead=True)["events"]
    assert needle in {event["message"].rstrip() for event in read}


@pytest.mark.parametrize(
    ("parameters", "status", "code", "message"),
    [
        (
            {"FunctionName": "never-made"},
            404,
            "ResourceNotFoundException",
            f"Function not found: {ARN}never-made",
        ),
        (
            {"Payload": b"{not json"},
            400,
            "InvalidRequestContentException",
            "Could not parse request body into json: .*",
        ),
        (
            {"Payload": b'"' + b"x" * 6_291_456 + b'"'},
            413,
            "RequestEntityTooLargeException",
            r"6291458 byte payload is too large for the RequestResponse invocation type \(limit 6291456 bytes\)",
        ),
        (
            {"FunctionName": "no/such:name!"},
            400,
            "ValidationException",
            "1 validation error detected: Value 'no/such:name!' at 'functionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: .*",
        ),
        (
            {"Qualifier": "nobody"},
            404,
            "ResourceNotFoundException",
            "Function not found: .*:nobody",
        ),
    ],
    ids=["unknown", "no json", "too large", "bad name", "unknown qualifier"],
)
def test_bad_request_gets_awss_error(
    stack: PlatformStack, zoo: str, parameters: dict[str, Any], status: int, code: str, message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        stack.client("lambda").invoke(**{"FunctionName": zoo, **parameters})
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Code"] == code
    assert re.fullmatch(message, response["Error"]["Message"], re.DOTALL)


def test_wrong_signature_is_refused(stack: PlatformStack, zoo: str) -> None:
    forger = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="wrong",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as caught:
        forger.invoke(FunctionName=zoo)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_dry_run_runs_nothing(stack: PlatformStack, zoo: str) -> None:
    answer = stack.client("lambda").invoke(FunctionName=zoo, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert "ExecutedVersion" not in answer


def test_hundred_first_requests_at_once_are_all_answered_and_again_warm(stack: PlatformStack) -> None:
    function = stack.deploy(None, "import time\ndef handler(event, context):\n    time.sleep(0.02)\n    return event\n")
    for _ in range(2):
        result = load.run(stack, function, range(100), concurrency=100)
        assert result.codes == {"ok": 100}
        assert sorted(answer.payload for answer in result.answers) == list(range(100))


VERSIONED = """
import time

def handler(event, context):
    print("runs for", event.get("s", 0))
    time.sleep(event.get("s", 0))
    return {version}
"""


@pytest.fixture
def slow_call(stack: PlatformStack) -> Iterator[Any]:
    threads: list[threading.Thread] = []

    def call(function: str, seconds: float) -> list[Any]:
        result: list[Any] = []
        threads.append(
            threading.Thread(target=lambda: result.append(stack.invoke(function, {"s": seconds})["Payload"]))
        )
        threads[-1].start()
        return result

    yield call
    for thread in threads:
        thread.join()


def test_after_the_waiter_new_code_runs_while_old_calls_finish_on_the_old(stack: PlatformStack, slow_call: Any) -> None:
    function = stack.deploy(None, VERSIONED.format(version=1), Timeout=10)
    assert stack.invoke(function, {})["Payload"] == 1
    in_flight = slow_call(function, 2.5)
    logged(stack, function, "runs for 2.5")
    lambda_ = stack.client("lambda")
    for version in (2, 3):
        lambda_.update_function_code(FunctionName=function, ZipFile=zip_of(VERSIONED.format(version=version)))
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
        assert {stack.invoke(function, {})["Payload"] for _ in range(5)} == {version}
    until = time.monotonic() + 60
    while not in_flight and time.monotonic() < until:
        time.sleep(0.05)
    assert in_flight == [1]


def test_deleted_function_is_gone(stack: PlatformStack) -> None:
    function = stack.deploy(None, ECHO)
    stack.invoke(function, 1)
    stack.client("lambda").delete_function(FunctionName=function)
    with pytest.raises(ClientError, match="Function not found"):
        stack.invoke(function, 1)
