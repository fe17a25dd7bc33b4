"""mappings: which streams and queues run which functions, how far they are, and delivering again."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.endpoint import access
from hearth.cli.servers import with_servers
from hearth.clock import now_ms

if TYPE_CHECKING:
    from hearth.cli.mapping_client import MappingClient
    from hearth.model.mapping import EventSourceMapping, Rewind
    from hearth.store.mappings import MappingTable

T = TypeVar("T")

app = typer.Typer(help="Event source mappings: functions that run on a stream's or a queue's records.")
Id = Annotated[str, typer.Argument(metavar="ID", help="The mapping's UUID, or the beginning of it.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
_TRIES = 50
_PAUSE_S = 0.2


@app.callback(invoke_without_command=True)
def mappings(context: typer.Context, json: Json = False) -> None:
    """List mappings: state, last result, and of each shard or queue how old the oldest record is that is not done.

    Example: hearth mappings
    """
    if context.invoked_subcommand is not None:
        return
    with _client() as client:
        found = client.all()
    units = _units([one["EventSourceMappingArn"] for one in found])
    if json:
        print_json([one | {"Units": units.get(one["UUID"], {})} for one in found])
        return
    for one in found:
        _print(one)
        for name, unit in units.get(one["UUID"], {}).items():
            _print_unit(name, unit)


@app.command()
def create(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its ARN, or kinesis:NAME, sqs:NAME.")],
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="Name or ARN, with :VERSION or :ALIAS.")],
    start: Annotated[str, typer.Option("--from", help="Of a stream: TRIM_HORIZON or LATEST.")] = "TRIM_HORIZON",
    batch_size: Annotated[int | None, typer.Option(help="Most records of an invocation.")] = None,
    window: Annotated[int | None, typer.Option(help="Seconds to wait for a batch to fill.")] = None,
    pattern: Annotated[list[str] | None, typer.Option("--filter", help="A filter pattern (JSON); repeatable.")] = None,
    parallel: Annotated[int | None, typer.Option(help="Batches of a shard at once, 1 to 10.")] = None,
    retries: Annotated[int | None, typer.Option(help="Of a failed batch; default: until it expires.")] = None,
    bisect: Annotated[bool, typer.Option("--bisect", help="Split a failed batch to find the bad record.")] = False,
    report_failures: Annotated[bool, typer.Option("--report-failures", help="The function says which failed.")] = False,
    on_failure: Annotated[
        str | None, typer.Option(help="ARN of a queue, topic or bucket for what is given up.")
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Don't begin yet.")] = False,
    json: Json = False,
) -> None:
    """Let a function run on the records of a stream or a queue; returns when it has begun.

    Example: hearth mappings create kinesis:orders billing --batch-size 500 --bisect
    """
    members: dict[str, Any] = {
        "BatchSize": batch_size,
        "MaximumBatchingWindowInSeconds": window,
        "FilterCriteria": {"Filters": [{"Pattern": one} for one in pattern]} if pattern else None,
        "ParallelizationFactor": parallel,
        "MaximumRetryAttempts": retries,
        "BisectBatchOnFunctionError": True if bisect else None,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if report_failures else None,
        "DestinationConfig": {"OnFailure": {"Destination": on_failure}} if on_failure else None,
    }
    arn = _source_arn(source)
    if ":kinesis:" in arn or ":dynamodb:" in arn:
        members["StartingPosition"] = start
    given = {name: value for name, value in members.items() if value is not None}
    with _client() as client:
        _tell(client.create(EventSourceArn=arn, FunctionName=function, Enabled=not disabled, **given), json)


@app.command()
def enable(mapping: Id, json: Json = False) -> None:
    """Go on where it stopped.

    Example: hearth mappings enable 1f2e
    """
    with _client() as client:
        _tell(client.enable(client.find(mapping)["UUID"], on=True), json)


@app.command()
def disable(mapping: Id, json: Json = False) -> None:
    """Stop; what runs is finished first, and nothing is lost.

    Example: hearth mappings disable 1f2e
    """
    with _client() as client:
        _tell(client.enable(client.find(mapping)["UUID"], on=False), json)


@app.command()
def delete(mapping: Id) -> None:
    """Delete it, and how far it was.

    Example: hearth mappings delete 1f2e
    """
    with _client() as client:
        uuid = client.find(mapping)["UUID"]
        client.delete(uuid)
    talk.print(f"deleted {uuid}", markup=False)


@app.command()
def rewind(
    mapping: Id,
    to: Annotated[
        str,
        typer.Option("--to", metavar="TIME|SEQUENCE", help="start, 10m (ago), 2026-01-31T12:00, or a sequence number."),
    ],
    shard: Annotated[str, typer.Option(help="This shard alone.")] = "",
    json: Json = False,
) -> None:
    """Deliver a stream's records again, from there on. What is running is finished first.

    Example: hearth mappings rewind 1f2e --to 2h
    """
    from hearth.cli.mapping_position import rewind_to
    from hearth.model.mapping import source_kind

    with _client() as client:
        found = client.find(mapping)
        kind = source_kind(found["EventSourceArn"])
        if kind is None or not kind.is_stream:
            fail("A queue's messages are gone once they are done: only streams can be rewound.", code=2)
        try:
            wanted = rewind_to(to, kind, now_ms(), shard=shard)
        except ValueError as exc:
            fail(str(exc), code=2)
        _with_table(lambda table: _rewind(table, found["EventSourceMappingArn"], wanted))
        _tell(client.settled(found["UUID"]), json)


# --- behind the API -----------------------------------------------------------------------------------------------
def _with_table(work: Callable[[MappingTable], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns; it is given the mappings in `state`."""
    settings = with_servers(load_settings(), "state_url", "coordination_url")

    async def run() -> T:
        from hearth.errors import HearthError
        from hearth.store import Stores
        from hearth.store.mappings import MappingTable

        stores = Stores.connect(settings)
        try:
            return await work(MappingTable(stores.state, stores.coordination))
        except HearthError as exc:
            fail(exc.message)
        finally:
            await stores.close()

    return asyncio.run(run())


def _units(arns: list[str]) -> dict[str, dict[str, Any]]:
    """UUID -> unit -> how far it is."""
    return _with_table(lambda table: _units_of(table, arns)) if arns else {}


async def _units_of(table: MappingTable, arns: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for arn in arns:
        if (mapping := await _stored(table, arn)) is not None:
            progress = await table.progress(mapping)
            found[mapping.uuid] = {unit: dataclasses.asdict(one) for unit, one in progress.items()}
    return found


async def _rewind(table: MappingTable, arn: str, wanted: Rewind) -> None:
    from hearth.model.mapping import PASSING, MappingState
    from hearth.store.mappings import Duplicate

    for _ in range(_TRIES):
        mapping = await _stored(table, arn)
        if mapping is None or mapping.state is MappingState.DELETING:
            fail("The mapping is gone.")
        if mapping.state not in PASSING:
            new = dataclasses.replace(mapping, rewind=wanted, state=MappingState.UPDATING, modified_at_ms=now_ms())
            stored = await table.write(new, read=mapping)
            if stored is not None and not isinstance(stored, Duplicate):
                return
        await asyncio.sleep(_PAUSE_S)
    fail("The mapping is being changed all the time.", advice="Try again; `hearth mappings` shows its state.")


async def _stored(table: MappingTable, arn: str) -> EventSourceMapping | None:
    _, _, _, region, account, _, uuid = arn.split(":")
    return await table.get(account, region, uuid)


# --- for people ---------------------------------------------------------------------------------------------------
@contextmanager
def _client() -> Iterator[MappingClient]:
    """Ends the command with a message for whatever the API answers."""
    from hearth.cli.client import ApiFailed  # botocore: half the start-up time of a command that needs it
    from hearth.cli.mapping_client import MappingClient

    try:
        yield MappingClient(access(load_settings()))
    except ApiFailed as exc:
        advice = "`hearth mappings` shows those that there are." if "UUID that begins" in str(exc) else ""
        fail(str(exc), advice=advice)


def _source_arn(text: str) -> str:
    if text.startswith("arn:"):
        return text
    settings, (service, _, name) = load_settings(), text.partition(":")
    resource = {"kinesis": f"stream/{name}", "sqs": name}.get(service)
    if resource is None or not name:
        fail(f"{text} is neither an ARN nor kinesis:NAME or sqs:NAME.", code=2)
    return f"arn:aws:{service}:{access(settings).region}:{settings.account}:{resource}"


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    function = found["FunctionArn"].split(":", 6)[6]
    result = found.get("LastProcessingResult", "")
    told = f"  ({result})" if result else ""
    out.print(f"{found['UUID']}  {found['State']}  {found['EventSourceArn']} -> {function}{told}", markup=False)


def _print_unit(name: str, unit: dict[str, Any]) -> None:
    oldest_ms, waiting = unit["oldest_at_ms"], unit["waiting"]
    behind = f"oldest record {(now_ms() - oldest_ms) / 1000:.0f} s old" if oldest_ms else "nothing waits"
    count = "" if waiting is None else f", {waiting} wait"
    error = f"  last error: {unit['error']}" if unit["error"] else ""
    out.print(f"    {name}  {behind}{count}{error}", markup=False)
