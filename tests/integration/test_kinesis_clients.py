"""Data streams with clients that others wrote, beside boto3: AWS's SDK for Java, and its aggregated records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.support.runtime_packages import Unbuildable, package
from tests.support.stack import PlatformStack

_RUN_S = 120


@pytest.fixture
def name(stack: PlatformStack) -> Iterator[str]:
    name = f"stream-{uuid.uuid4().hex[:12]}"
    stack.client("kinesis").create_stream(StreamName=name, ShardCount=2)
    yield name
    stack.client("kinesis").delete_stream(StreamName=name)


def built(program: str) -> Path:
    try:
        return package(program)
    except Unbuildable as exc:
        missing(str(exc))
        raise


def output(stack: PlatformStack, command: list[str], **more: str) -> str:
    environ = os.environ | stack.environ() | more
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_RUN_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_sdk_for_java_speaks_cbor(stack: PlatformStack, name: str) -> None:
    program = built("java_kinesis")
    classes = f"{program}:{program / 'lib'}/*"
    told = output(stack, ["java", "-cp", classes, "KinesisRoundTrip", stack.endpoint, name])

    assert told.splitlines() == [
        "failed 0",
        "k0 true true",
        "k1 true true",
        "k2 true true",
        "ResourceNotFoundException 400",
        "kinds [application/x-amz-cbor-1.1]",
    ]


def test_aggregated_records_come_apart_as_they_were_put(stack: PlatformStack, name: str) -> None:
    program = built("kinesis_agg")
    told = json.loads(output(stack, [sys.executable, str(program / "round_trip.py"), name], PYTHONPATH=str(program)))

    assert 1 < told["put"] < 50
    expected = [[f"key-{number % 7}", f"record {number}"] for number in range(500)]
    assert sorted(told["found"]) == sorted(expected)
