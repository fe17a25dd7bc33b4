"""events: how many asynchronous invocations wait, and which were dropped and why."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.table import Table

from hearth.arn import function_arn, parse_function_name
from hearth.cli.console import fail, load_settings, out, print_json
from hearth.cli.servers import with_servers
from hearth.settings import Settings

_RECORDS = 20


def events(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of this function alone; with the records of dropped ones.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False,
) -> None:
    """Show asynchronous invocations: queued, delayed, and dropped with their reasons.

    Example: hearth events hello --json
    """
    found = asyncio.run(_gather(with_servers(load_settings(), "broker_url", "state_url"), name))
    if json:
        print_json(found)
    else:
        _print(found)


async def _gather(settings: Settings, name: str | None) -> dict[str, Any]:
    from hearth.broker.connection import Broker
    from hearth.errors import HearthError
    from hearth.event_backlog import event_backlog
    from hearth.model.event import partition_of
    from hearth.store import Store, events

    assert settings.broker_url is not None
    assert settings.state_url is not None
    arn = _arn(settings, name) if name else None
    state = Store("state", settings.state_url)
    try:
        broker = await Broker.connect(settings.broker_url, name="hearth events")
        try:
            backlog = await event_backlog(broker, state)
        finally:
            await broker.close()
        counts = await events.dropped_counts(state)
        records = await events.dropped_records(state, arn, _RECORDS) if arn else []
    except HearthError as exc:
        fail(exc.message)
    finally:
        await state.close()
    queued, aside = backlog.queued, backlog.aside
    if arn:
        number = partition_of(arn, len(queued) or 1)
        queued, aside = {number: queued.get(number, 0)}, {arn: aside.get(arn, 0)}
    return {
        "queued": {"partitions": {str(number): count for number, count in queued.items()}, "aside": aside},
        "delayed": backlog.delayed,
        "dropped": {
            "counts": [
                {"function": function, "reason": reason, "count": count}
                for (function, reason), count in sorted(counts.items())
                if arn in (None, function)
            ],
            "records": records,
        },
    }


def _arn(settings: Settings, name: str) -> str:
    ref = parse_function_name(name)
    if ref is None:
        fail(f"{name} is not a function's name or ARN.", code=2)
    return function_arn(ref.region or settings.region, ref.account or settings.account, ref.name)


def _print(found: dict[str, Any]) -> None:
    partitions, aside = found["queued"]["partitions"], found["queued"]["aside"]
    shown = ", ".join(f"partition {number}: {count}" for number, count in partitions.items() if count)
    out.print(f"queued   {sum(partitions.values()) + sum(aside.values())}" + (f"  ({shown})" if shown else ""))
    for arn, count in aside.items():
        if count:
            out.print(f"         beyond its share: {arn} {count}", markup=False)
    delayed = {delay: count for delay, count in found["delayed"].items() if count}
    out.print(
        f"delayed  {sum(delayed.values())}" + "".join(f"  {count} for {delay} s" for delay, count in delayed.items())
    )
    counts = found["dropped"]["counts"]
    out.print(f"dropped  {sum(one['count'] for one in counts)}")
    for one in counts:
        out.print(f"         {one['function']} {one['reason']} {one['count']}", markup=False)
    if found["dropped"]["records"]:
        table = Table("when", "request id", "reason", "runs", "last error", box=None, pad_edge=False)
        for record in found["dropped"]["records"]:
            context, error = record["requestContext"], record.get("responsePayload")
            told = error.get("errorMessage", "") if isinstance(error, dict) else ""
            runs = str(context["approximateInvokeCount"])
            table.add_row(record["timestamp"][:19], context["requestId"], context["condition"], runs, str(told))
        out.print(table)
