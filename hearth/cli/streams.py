"""streams put, tail, ls: data streams from a terminal."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.endpoint import access

if TYPE_CHECKING:
    from hearth.cli.stream_client import Position, StreamClient

app = typer.Typer(
    no_args_is_help=True,
    help="""Write to data streams (Kinesis), watch them, list them.

    A stream is a log in shards. A record's partition key decides its shard; records of one key keep their order.

    \b
      hearth streams put orders '{"id": 7}' --key customer-7 --create
      hearth streams tail orders

    A function runs on it once a mapping joins them: `hearth mappings --help`.
    """,
)

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
Name = Annotated[str, typer.Argument(metavar="STREAM", help="Its name.")]

_AGO = re.compile(r"(\d+)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
#: of a record's data in a line of `tail`
_SHOWN = 2000


@contextmanager
def _client() -> Iterator[StreamClient]:
    """Ends the command with a message for whatever the API answers."""
    from hearth.cli.client import ApiFailed  # botocore: half the start-up time of a command that needs it
    from hearth.cli.stream_client import StreamClient

    try:
        yield StreamClient(access(load_settings()))
    except ApiFailed as exc:
        missing = exc.code == "ResourceNotFoundException"
        fail(str(exc), advice="`hearth streams ls` shows the streams there are; put --create makes one." * missing)


@app.command()
def put(
    name: Name,
    data: Annotated[str, typer.Argument(metavar="DATA|-", help="One record; - reads one a line from stdin.")],
    key: Annotated[
        str | None, typer.Option(help="Partition key. Default: a random one a record, so they spread over all shards.")
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the stream if there is none.")] = False,
    shards: Annotated[int, typer.Option(help="Of a stream that is made.", min=1)] = 1,
    json: Json = False,
) -> None:
    """Write records; what is printed (shard and sequence number) is stored.

    \b
    Examples:
      hearth streams put orders '{"id": 7}' --key customer-7
      seq 100000 | hearth streams put orders - --create --shards 4
    """
    count = 0
    with _client() as client:
        if create:
            client.create(name, shards)
        for lines in _lines() if data == "-" else [[data.encode()]]:
            for one in client.put(name, ((key or uuid.uuid4().hex, line) for line in lines)):
                count += 1
                if json:
                    _line({"ShardId": one["ShardId"], "SequenceNumber": one["SequenceNumber"]})
                elif data != "-":
                    out.print(f"{one['ShardId']}  {one['SequenceNumber']}", markup=False)
    if data == "-":
        talk.print(f"{count} records stored", markup=False)


@app.command()
def tail(
    name: Name,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="now; start (the oldest record kept); 10m (or s, h, d) ago; an ISO 8601 time.",
        ),
    ] = "now",
    shard: Annotated[str | None, typer.Option(help="Of this shard alone.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End at the present end instead of waiting for more.")] = False,
    json: Json = False,
) -> None:
    """Print records as they come, over splits and merges, until Ctrl-C.

    \b
    Examples:
      hearth streams tail orders
      hearth streams tail orders --from 10m --once --json
    """
    position = _position(start)
    with _client() as client:
        try:
            for shard_id, record in client.tail(name, position, shard=shard, follow=not once):
                _show(shard_id, record, json)
        except KeyboardInterrupt:
            raise typer.Exit from None


@app.command()
def ls(
    name: Annotated[str | None, typer.Argument(metavar="[STREAM]", help="Its shards.")] = None,
    json: Json = False,
) -> None:
    """List streams, or the shards of one: their hash keys and what they came from.

    Example: hearth streams ls orders
    """
    with _client() as client:
        found = client.streams() if name is None else client.shards(name)
    if json:
        return print_json(found)
    table = Table(box=None, pad_edge=False)
    rows = [_stream_row(one) for one in found] if name is None else [_shard_row(one) for one in found]
    for column in ("stream", "mode", "open shards", "kept for") if name is None else _SHARD_COLUMNS:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return out.print(table)


_SHARD_COLUMNS = ("shard", "state", "share of keys", "from", "first sequence number")


def _stream_row(one: dict[str, Any]) -> tuple[str, ...]:
    mode = one.get("StreamModeDetails", {}).get("StreamMode", "")
    return one["StreamName"], mode.lower(), str(one["OpenShardCount"]), f"{one['RetentionPeriodHours']} h"


def _shard_row(one: dict[str, Any]) -> tuple[str, ...]:
    keys, numbers = one["HashKeyRange"], one["SequenceNumberRange"]
    share = (int(keys["EndingHashKey"]) - int(keys["StartingHashKey"]) + 1) / 2**128
    parents = [one[member] for member in ("ParentShardId", "AdjacentParentShardId") if one.get(member)]
    state = "closed" if "EndingSequenceNumber" in numbers else "open"
    return one["ShardId"], state, f"{share:.1%}", ", ".join(parents), numbers["StartingSequenceNumber"]


def _lines() -> Iterator[list[bytes]]:
    """The lines of stdin as they come: who writes slowly sees each of them stored at once."""
    rest = b""
    while chunk := os.read(sys.stdin.fileno(), 1 << 20):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _position(start: str) -> Position:
    """Ends the command (2) for what means no time."""
    from hearth.cli.stream_client import Position

    if start in ("now", "start"):
        return Position("LATEST" if start == "now" else "TRIM_HORIZON")
    if ago := _AGO.fullmatch(start):
        return Position("AT_TIMESTAMP", datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        fail(f"--from {start}: no time.", advice="Say now, start, 10m, or 2026-01-31T12:00:00Z.", code=2)
    return Position("AT_TIMESTAMP", at if at.tzinfo else at.astimezone())


def _show(shard_id: str, record: dict[str, Any], json: bool) -> None:
    at: datetime = record["ApproximateArrivalTimestamp"]
    if json:
        text = record["Data"].decode("utf-8", "replace")
        number, key = record["SequenceNumber"], record["PartitionKey"]
        _line({"ShardId": shard_id, "SequenceNumber": number, "PartitionKey": key, "At": at, "Data": text})
        return
    text = record["Data"].decode("utf-8", "replace")
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(record['Data'])} bytes)"
    where = shard_id.removeprefix("shardId-").lstrip("0") or "0"
    out.print(f"{at.astimezone():%H:%M:%S.%f}"[:-3] + f"  {where:>3}  {record['PartitionKey']}  {text}", markup=False)


def _line(value: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()
