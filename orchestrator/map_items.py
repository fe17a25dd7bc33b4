"""What an ItemReader makes of the bytes it has read: the items of a distributed Map. Pure.

Source: Step Functions Developer Guide, "ItemReader (Map)"; texts and orders of members as recorded from AWS.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from hearth.asl.scope import Json

_DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
#: a field may be as large as a file
csv.field_size_limit(2**31 - 1)


class UnreadableItems(Exception):
    """States.ItemReaderFailed, with its cause."""


def items_of(data: bytes, config: Mapping[str, Any]) -> list[Json]:
    """The items of one file, members of an object as pairs. Otherwise as `contents_of`."""
    contents = contents_of(data, config)
    if isinstance(contents, dict):
        return [{"Key": key, "Value": member} for key, member in contents.items()]
    return contents


def contents_of(data: bytes, config: Mapping[str, Any]) -> list[Json] | dict[str, Json]:
    """An array, or the object that an ItemsPointer points to, of one file. config: ReaderConfig with MaxItems
    evaluated. Raises UnreadableItems."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as exc:
            raise UnreadableItems("The file is compressed, but no gzip file.") from exc
    match config.get("InputType", "JSON"):
        case "CSV":
            return limited(csv_rows(data, config), config)
        case "JSONL":
            return limited(_json_lines(data), config)
        case "JSON":
            contents = _json_contents(data, config)
            if isinstance(contents, dict):
                return dict(limited(list(contents.items()), config))
            return limited(contents, config)
        case other:
            raise UnreadableItems(f"Files of type {other} can't be read here.")


def limited(items: list[Any], config: Mapping[str, Any]) -> list[Any]:
    most = config.get("MaxItems") or 0
    return items[:most] if most else items


def csv_rows(data: bytes, config: Mapping[str, Any]) -> list[Json]:
    """Rows as objects: what a row lacks is "", what it has too much is left out."""
    delimiter = _DELIMITERS.get(config.get("CSVDelimiter", "COMMA"), ",")
    rows = [row for row in csv.reader(io.StringIO(_text(data), newline=""), delimiter=delimiter) if row]
    if config.get("CSVHeaderLocation") == "GIVEN":
        headers = [str(header) for header in config.get("CSVHeaders", [])]
    else:
        headers = rows.pop(0) if rows else []
    if len(set(headers)) != len(headers):
        raise UnreadableItems("CSV headers cannot contain duplicates.")
    order = hash_order(headers)
    return [{headers[place]: row[place] if place < len(row) else "" for place in order} for row in rows]


def hash_order(names: list[str]) -> list[int]:
    """Places of the names in the order in which AWS shows a row's members: that of a hash table of Java's."""
    capacity = 16
    while len(names) > capacity * 3 // 4:
        capacity *= 2

    def bucket(place: int) -> int:
        code = 0
        for character in names[place]:
            code = (31 * code + ord(character)) & 0xFFFFFFFF
        return (code ^ code >> 16) & (capacity - 1)

    return sorted(range(len(names)), key=bucket)


def _json_lines(data: bytes) -> list[Json]:
    try:  # only a line feed ends a line: other separators may stand in a JSON string
        return [orjson.loads(line) for line in _text(data).split("\n") if line.strip()]
    except orjson.JSONDecodeError as exc:
        raise UnreadableItems(f"The file is no JSON Lines: {exc}") from exc


def _json_contents(data: bytes, config: Mapping[str, Any]) -> list[Json] | dict[str, Json]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise UnreadableItems(f"The file is no JSON: {exc}") from exc
    if pointer := config.get("ItemsPointer"):
        value = at_pointer(value, pointer)
    if isinstance(value, dict) and pointer:
        return value
    if not isinstance(value, list):
        raise UnreadableItems("Attempting to map over non-iterable node.")
    return value


def at_pointer(value: Json, pointer: str) -> Json:
    """What a JSON pointer (RFC 6901) points to. Raises UnreadableItems."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise UnreadableItems(f"The ItemsPointer {pointer} points to nothing.")
    return value


def listed_object(entry: Mapping[str, Any]) -> Json:
    """An entry of ListObjectsV2's Contents, as an item. LastModified: datetime."""
    return {
        "Etag": entry["ETag"],
        "LastModified": entry["LastModified"].timestamp(),
        "Key": entry["Key"],
        "Size": entry["Size"],
        "StorageClass": entry.get("StorageClass", "STANDARD"),
    }


def inventory_files(manifest: bytes) -> tuple[list[str], dict[str, Any]]:
    """Keys of the files that an S3 inventory's manifest.json names, and the ReaderConfig to read each with."""
    try:
        read = orjson.loads(manifest)
        headers = [header.strip() for header in read["fileSchema"].split(",")]
        names = [entry["key"] for entry in read["files"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise UnreadableItems(f"The file is no manifest of an S3 inventory: {exc!r}") from exc
    return names, {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": headers}


def athena_files(manifest: bytes) -> list[str]:
    """URIs of the files that an Athena query's manifest names, one a line."""
    return [line.strip() for line in _text(manifest).splitlines() if line.strip()]


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UnreadableItems("The file is no UTF-8 text.") from exc
