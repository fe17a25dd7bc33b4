"""`hearth streams`: records written, listed and watched from a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

from tests.support.command import hearth
from tests.support.stack import PlatformStack


def test_records_are_put_listed_and_read_back(stack: PlatformStack) -> None:
    name, env = f"s-{uuid.uuid4().hex[:8]}", stack.environ()
    lines = "".join(f"line {number}\n" for number in range(1200))
    put = hearth("streams", "put", name, "-", "--create", "--shards", "2", env=env, stdin=lines)
    assert (put.returncode, put.stderr) == (0, "1200 records stored\n")

    (stored,) = hearth("streams", "put", name, "last", "--key", "k", "--json", env=env).stdout.splitlines()
    tail = hearth("streams", "tail", name, "--from", "start", "--once", "--json", env=env)
    records = [json.loads(line) for line in tail.stdout.splitlines()]
    assert sorted(one["Data"] for one in records) == sorted([*lines.splitlines(), "last"])
    assert json.loads(stored).items() <= next(one for one in records if one["Data"] == "last").items()

    listed = hearth("streams", "ls", env=env)
    assert name in listed.stdout
    shards = json.loads(hearth("streams", "ls", name, "--json", env=env).stdout)
    assert {one["ShardId"] for one in records} == {one["ShardId"] for one in shards}


def test_tail_goes_on_over_a_split(stack: PlatformStack) -> None:
    name, kinesis = f"s-{uuid.uuid4().hex[:8]}", stack.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"before")
    with subprocess.Popen(
        [sys.executable, "-m", "hearth.cli", "streams", "tail", name, "--from", "1h", "--json"],
        env=os.environ | stack.environ(),
        stdout=subprocess.PIPE,
    ) as tail:
        try:
            assert tail.stdout is not None
            assert json.loads(tail.stdout.readline())["Data"] == "before"
            kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
            kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"after")
            after = json.loads(tail.stdout.readline())
        finally:
            tail.terminate()
    assert (after["Data"], after["PartitionKey"]) == ("after", "k")
    assert after["ShardId"] != "shardId-000000000000"


def test_stream_that_is_not_there_is_told_with_what_to_try(stack: PlatformStack) -> None:
    told = hearth("streams", "tail", "nowhere", env=stack.environ())
    assert told.returncode == 1
    assert "ResourceNotFoundException" in told.stderr
    assert "hearth streams ls" in told.stderr
    assert hearth("streams", "tail", "nowhere", "--from", "soon", env=stack.environ()).returncode == 2
