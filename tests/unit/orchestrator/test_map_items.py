"""What a distributed Map's files hold, and what is written of its children."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from hearth.model.execution import Execution, Outcome, Status
from hearth.store.executions import Stored
from orchestrator.map_items import (
    UnreadableItems,
    athena_files,
    inventory_files,
    items_of,
    listed_object,
)
from orchestrator.map_results import manifest, result_files

CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
GIVEN = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN"}


@pytest.mark.parametrize(
    ("data", "config", "items"),
    [
        (b"a,b\n1,2\n3\n4,5,6\n", CSV, [{"a": "1", "b": "2"}, {"a": "3", "b": ""}, {"a": "4", "b": "5"}]),
        (b'a,b\r\n"x, y","say ""hi"""\r\n', CSV, [{"a": "x, y", "b": 'say "hi"'}]),
        (b"\xef\xbb\xbfa;b\n1;2", CSV | {"CSVDelimiter": "SEMICOLON"}, [{"a": "1", "b": "2"}]),
        (b"1,2\n3,4", GIVEN | {"CSVHeaders": ["x", "y"], "MaxItems": 1}, [{"x": "1", "y": "2"}]),
        (b"[1,2,3]", {"InputType": "JSON", "MaxItems": 2}, [1, 2]),
        (b"[1]", {"InputType": "JSON", "MaxItems": 0}, [1]),
        (b'{"a":{"b":[5]}}', {"InputType": "JSON", "ItemsPointer": "/a/b"}, [5]),
        (b'{"a":{"k":1}}', {"InputType": "JSON", "ItemsPointer": "/a"}, [{"Key": "k", "Value": 1}]),
        (b'{"a":1}\n\n[2]\n', {"InputType": "JSONL"}, [{"a": 1}, [2]]),
        ('"a\u2028b"\r\n"c\x85"'.encode(), {"InputType": "JSONL"}, ["a\u2028b", "c\x85"]),
        (gzip.compress(b"[7]", mtime=0), {"InputType": "JSON"}, [7]),
    ],
)
def test_items_of_files(data: bytes, config: dict[str, Any], items: list[Any]) -> None:
    assert items_of(data, config) == items


@pytest.mark.parametrize(
    ("data", "config", "cause"),
    [
        (b'{"Hello":"world"}', {"InputType": "JSON"}, "Attempting to map over non-iterable node."),
        (b"1,2", GIVEN | {"CSVHeaders": ["x", "x"]}, "CSV headers cannot contain duplicates."),
        (b"\x1f\x8bno", {"InputType": "JSON"}, "The file is compressed, but no gzip file."),
    ],
)
def test_files_that_hold_no_items(data: bytes, config: dict[str, Any], cause: str) -> None:
    with pytest.raises(UnreadableItems) as failed:
        items_of(data, config)
    assert str(failed.value) == cause


def test_rows_show_their_members_in_the_order_recorded_from_aws() -> None:
    (row,) = items_of(b"0,True,{}\nValue4,Value5,Value6", CSV)
    assert orjson.dumps(row) == b'{"0":"Value4","{}":"Value6","True":"Value5"}'
    (row,) = items_of(b"H1,\nValue4,Value5", CSV)
    assert orjson.dumps(row) == b'{"":"Value5","H1":"Value4"}'


def test_listings_and_manifests() -> None:
    entry = {"ETag": '"e"', "Key": "k", "LastModified": datetime(2024, 1, 1, tzinfo=UTC), "Size": 3}
    assert listed_object(entry) == {
        "Etag": '"e"',
        "LastModified": 1704067200.0,
        "Key": "k",
        "Size": 3,
        "StorageClass": "STANDARD",
    }
    inventory = b'{"fileSchema":"Bucket, Key","files":[{"key":"a.csv.gz"}]}'
    keys, config = inventory_files(inventory)
    assert keys == ["a.csv.gz"]
    assert items_of(b"b,k", config) == [{"Bucket": "b", "Key": "k"}]
    assert athena_files(b"s3://b/one.csv\ns3://b/two.csv\n") == ["s3://b/one.csv", "s3://b/two.csv"]


def a_child(index: int, status: Status, output: str | None = None) -> Stored:
    execution = Execution(f"arn:{index}", "arn:m/L", f"c{index}", "{}", 0, "s", parent={"index": str(index)})
    error = None if status is Status.SUCCEEDED else "E"
    return Stored(execution, Outcome(status, 1000, output, error))


def test_results_are_written_by_status() -> None:
    children = [a_child(0, Status.SUCCEEDED, "[1,2]"), a_child(1, Status.FAILED), a_child(2, Status.SUCCEEDED, "3")]
    files = result_files(children, {})
    assert set(files) == {"SUCCEEDED", "FAILED"}
    first, second = orjson.loads(files["SUCCEEDED"])
    assert (first["Output"], second["Output"], first["Status"]) == ("[1,2]", "3", "SUCCEEDED")
    assert first["InputDetails"] == {"Included": True}
    assert orjson.loads(files["FAILED"])[0]["Error"] == "E"
    assert orjson.loads(result_files(children, {"Transformation": "COMPACT"})["SUCCEEDED"]) == [[1, 2], 3]
    flat = result_files(children, {"Transformation": "FLATTEN", "OutputType": "JSONL"})["SUCCEEDED"]
    assert flat == b"1\n2\n3\n"
    assert orjson.loads(manifest("b", "arn:run", {"SUCCEEDED": ("k", 5)})) == {
        "DestinationBucket": "b",
        "MapRunArn": "arn:run",
        "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": "k", "Size": 5}]},
    }
