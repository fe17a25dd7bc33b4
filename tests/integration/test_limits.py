"""Limits of the quota page on a platform that has others: at the limit it goes, one above it does not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support import places
from tests.support.functions import ECHO, zip_of
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

LIMITS = {
    "max_timeout_seconds": 1200,
    "max_memory_mb": 12_000,
    "max_ephemeral_mb": 600,
    "max_environment_bytes": 100,
    "max_policy_bytes": 700,
    "max_layers": 1,
    "max_zipped_bytes": 3000,
    "max_unzipped_bytes": 20_000,
    "max_code_storage_bytes": 40_000,
    "max_payload_bytes": 2000,
    "max_event_bytes": 1000,
    "max_streamed_bytes": 5000,
    "max_head_bytes": 16_384,
    "max_open_files": 100,
    "max_processes": 40,
}
#: of a data stream's shards; no quotas of Lambda
RATES = {"shard_records_in_per_second": 10, "shard_reads_per_second": 1}
SIZED = """
def handler(event, context):
    return "x" * event["size"]
"""
INSIDE = """
import os, threading

def handler(event, context):
    files, threads, gate = [], [], threading.Event()
    try:
        while len(files) < 500:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for one in files:
        os.close(one)
    try:
        while len(threads) < 200:
            threads.append(threading.Thread(target=gate.wait))
            threads[-1].start()
    except RuntimeError:
        pass
    gate.set()
    return {"files": len(files), "threads": len(threads)}
"""


@pytest.fixture(scope="module")
def limited(servers: PrivateServers) -> Iterator[PlatformStack]:
    """With servers of its own: through shared ones its functions would reach the session's workers."""
    with (
        places.data_folder() as data,
        PrivateServers(data) as own,
        PlatformStack(data, own, account="000000000007", runtime_match="exact", **LIMITS, **RATES) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def function(limited: PlatformStack) -> str:
    return limited.deploy(None, SIZED)


def package(size: int, *, stored: bool) -> bytes:
    """A zip that is, or unpacks to, so many bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", b"#" * (size - 110 if stored else size))
    return made.getvalue()


def error_of(work: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def creating(limited: PlatformStack, **given: Any) -> Any:
    """Create a function with these members and take it away again."""
    base = {
        "FunctionName": "short-lived",
        "Runtime": "python3.11",
        "Role": "arn:aws:iam::000000000007:role/r",
        "Handler": "app.handler",
        "Code": {"ZipFile": package(200, stored=False)},
    }
    lambda_ = limited.client("lambda")
    answer = lambda_.create_function(**base | given)
    lambda_.delete_function(FunctionName="short-lived")
    return answer


def variables(size: int) -> dict[str, Any]:
    """So long as JSON."""
    return {"Variables": {"AB": "x" * (size - len('{"AB":""}'))}}


@pytest.mark.parametrize(
    ("good", "bad", "code", "text"),
    [
        (
            {"Timeout": 1200},
            {"Timeout": 1201},
            "ValidationException",
            "1 validation error detected: Value '1201' at 'timeout' failed to satisfy constraint: Member must have "
            "value less than or equal to 1200",
        ),
        ({"MemorySize": 12_000}, {"MemorySize": 12_001}, "ValidationException", "less than or equal to 12000"),
        (
            {"EphemeralStorage": {"Size": 600}},
            {"EphemeralStorage": {"Size": 601}},
            "ValidationException",
            "Value '601' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or "
            "equal to 600",
        ),
        (
            {"Environment": variables(100)},
            {"Environment": variables(101)},
            "InvalidParameterValueException",
            "exceeded the 100 bytes limit",
        ),
        (
            {"Code": {"ZipFile": package(3000, stored=True)}},
            {"Code": {"ZipFile": package(3001, stored=True)}},
            "RequestEntityTooLargeException",
            "Zipped size must be smaller than 3000 bytes",
        ),
        (
            {"Code": {"ZipFile": package(20_000, stored=False)}},
            {"Code": {"ZipFile": package(20_001, stored=False)}},
            "InvalidParameterValueException",
            "Unzipped size must be smaller than 20000 bytes",
        ),
    ],
)
def test_configuration_at_its_limit_and_one_above(
    limited: PlatformStack, good: dict[str, Any], bad: dict[str, Any], code: str, text: str
) -> None:
    assert creating(limited, **good)["State"] == "Pending"
    found, message = error_of(lambda: creating(limited, **bad))
    assert found == code
    assert text in message


def test_layers(limited: PlatformStack) -> None:
    lambda_ = limited.client("lambda")
    zipped = {"ZipFile": package(100, stored=False)}
    arns = [lambda_.publish_layer_version(LayerName=f"l{n}", Content=zipped)["LayerVersionArn"] for n in (1, 2)]

    assert len(creating(limited, Layers=arns[:1])["Layers"]) == 1
    assert error_of(lambda: creating(limited, Layers=arns)) == (
        "InvalidParameterValueException",
        "Cannot reference more than 1 layers.",
    )


def test_storage_of_packages(limited: PlatformStack) -> None:
    lambda_ = limited.client("lambda")
    layer = {"LayerName": "large", "Content": {"ZipFile": package(3000, stored=True)}}
    published: list[int] = []

    def fill() -> None:
        while len(published) < 20:
            published.append(lambda_.publish_layer_version(**layer)["Version"])

    code, _ = error_of(fill)
    settings = lambda_.get_account_settings()
    for number in published:
        lambda_.delete_layer_version(LayerName="large", VersionNumber=number)

    assert code == "CodeStorageExceededException"
    assert settings["AccountLimit"]["TotalCodeSize"] == 40_000
    assert 37_000 < settings["AccountUsage"]["TotalCodeSize"] <= 40_000


def test_policy(limited: PlatformStack, function: str) -> None:
    lambda_ = limited.client("lambda")

    def adding(length: int) -> Any:
        return lambda_.add_permission(
            FunctionName=function,
            StatementId="s",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{'x' * length}",
        )

    adding(1)
    size = len(lambda_.get_policy(FunctionName=function)["Policy"])
    lambda_.remove_permission(FunctionName=function, StatementId="s")
    adding(700 - size + 1)
    lambda_.remove_permission(FunctionName=function, StatementId="s")
    assert error_of(lambda: adding(700 - size + 2))[0] == "PolicyLengthExceededException"


def test_payloads(limited: PlatformStack, function: str) -> None:
    lambda_ = limited.client("lambda")

    def event(length: int, kind: str) -> Any:
        payload = b'{"size":1,"x":"' + b"y" * (length - len(b'{"size":1,"x":""}')) + b'"}'
        return lambda_.invoke(FunctionName=function, Payload=payload, InvocationType=kind)

    assert "FunctionError" not in event(2000, "RequestResponse")
    assert event(1000, "Event")["StatusCode"] == 202
    for length, kind, limit in ((2001, "RequestResponse", 2000), (1001, "Event", 1000)):
        code, text = error_of(lambda length=length, kind=kind: event(length, kind))
        assert code == "RequestEntityTooLargeException"
        assert text == f"{length} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    # AWS's sandbox takes 100 bytes more of an answer; two are the quotes
    assert "FunctionError" not in limited.invoke(function, {"size": 2098})
    assert limited.invoke(function, {"size": 2099})["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"


def test_request_line_and_headers(limited: PlatformStack) -> None:
    import http.client

    def status(length: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", limited.port, timeout=30)
        try:
            connection.request("GET", "/2015-03-31/functions", headers={"X-Long": "x" * length})
            return connection.getresponse().status
        finally:
            connection.close()

    assert status(16_000) == 403  # read, and found to be unsigned
    assert status(16_384) == 431


def test_open_files_and_processes_of_a_sandbox(limited: PlatformStack) -> None:
    found = limited.invoke(limited.deploy(None, INSIDE, Timeout=60))["Payload"]

    assert 0 < found["files"] < 100
    if limited.isolation() != "process":
        assert 0 < found["threads"] <= 40


def test_shard_takes_and_gives_no_more_than_its_rate(limited: PlatformStack) -> None:
    kinesis = limited.client("kinesis")
    kinesis.create_stream(StreamName="rated", ShardCount=1)
    records = [{"Data": b"%d" % number, "PartitionKey": "k"} for number in range(15)]
    answer = kinesis.put_records(StreamName="rated", Records=records)
    refusals = [one for one in answer["Records"] if "ErrorCode" in one]
    refused = "Rate exceeded for shard shardId-000000000000 in stream rated under account 000000000007."

    assert answer["FailedRecordCount"] == len(refusals) == 5
    assert refusals[0] == {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": refused}
    given = {"StreamName": "rated", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    at = kinesis.get_shard_iterator(**given)["ShardIterator"]
    found: list[Any] = []
    errors: list[Any] = []
    while not (found and errors):  # one a second
        try:
            found = kinesis.get_records(ShardIterator=at)["Records"]
        except ClientError as exc:
            errors.append(exc.response["Error"])
    assert [record["Data"] for record in found] == [b"%d" % number for number in range(10)]
    assert errors[0] == {"Code": "ProvisionedThroughputExceededException", "Message": refused}


def test_command_shows_every_limit(limited: PlatformStack) -> None:
    environ = os.environ | {f"HEARTH_{name.upper()}": str(value) for name, value in LIMITS.items()}
    told = subprocess.run(
        [sys.executable, "-m", "hearth.cli", "limits", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    rows = {row["setting"]: row for row in json.loads(told.stdout) if row["setting"]}

    assert rows["HEARTH_MAX_TIMEOUT_SECONDS"] == {
        "limit": "timeout of a function",
        "aws": "900",
        "here": 1200,
        "unit": "s",
        "setting": "HEARTH_MAX_TIMEOUT_SECONDS",
        "note": "",
    }
    assert {f"HEARTH_{name.upper()}" for name in LIMITS} <= rows.keys()


def test_runtime_that_nobody_offers_is_said_at_creation_and_at_invocation(limited: PlatformStack) -> None:
    """HEARTH_RUNTIME_MATCH=exact: nothing stands in for a Python that no host has yet."""
    name, lambda_ = f"rt-{uuid.uuid4().hex[:12]}", limited.client("lambda")
    role = "arn:aws:iam::000000000007:role/test"
    code = {"ZipFile": zip_of(ECHO)}
    created = lambda_.create_function(
        FunctionName=name, Runtime="python3.15", Role=role, Handler="app.handler", Code=code
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    assert "`hearth runtimes`" in created["ResponseMetadata"]["HTTPHeaders"]["x-hearth-warning"]
    with pytest.raises(ClientError) as caught:
        limited.invoke(name)
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("InvalidRuntimeException", 502)
    assert "python3.15" in error["Error"]["Message"]
