"""bill: what functions have cost, by function and day."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk


def bill(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this function alone.")] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Of this day (UTC) alone.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False,
) -> None:
    """Sum the billing records: invocations, billed time, and time times memory.

    Example: hearth bill hello --day 2026-11-25
    """
    from hearth.logs.bills import totals

    if day is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", day) is None:
        fail(f"--day {day}: not a date like 2026-11-25", code=2)
    found = totals(load_settings().blobs_dir, function=name, day=day)
    if json:
        return print_json([asdict(total) for total in found])
    if not found:
        talk.print("Nothing was billed.")
        return None
    columns = ("day", "function", "invocations", "errors", "cold", "billed", "GB-seconds")
    table = Table(*columns, box=None, pad_edge=False)
    for total in found:
        counts = (str(total.invocations), str(total.errors), str(total.cold_starts))
        table.add_row(total.day, total.function, *counts, f"{total.billed_ms} ms", f"{total.gb_seconds:.3f}")
    out.print(table)
    return None
