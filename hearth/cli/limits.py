"""limits: AWS Lambda's quotas, what they are here, and the settings that change them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from hearth.cli.console import load_settings, out, print_json
from hearth.limits import TABLE, Row
from hearth.settings import PREFIX, Settings


def limits(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """Show each limit of AWS's quota page, its value here, and the setting that changes it.

    Example: HEARTH_MAX_LAYERS=10 hearth limits
    """
    settings = load_settings()
    rows = [_shown(settings, row) for row in TABLE]
    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("limit", "AWS", "here", "setting"):
        table.add_column(column, overflow="fold")
    for row in rows:
        here = row["note"] if row["here"] is None else f"{row['here']} {row['unit']}".strip()
        table.add_row(row["limit"], row["aws"], here, row["setting"] or "")
    out.print(table)


def _shown(settings: Settings, row: Row) -> dict[str, Any]:
    return {
        "limit": row.name,
        "aws": row.aws,
        "here": getattr(settings, row.setting) if row.setting else None,
        "unit": row.unit,
        "setting": PREFIX + row.setting.upper() if row.setting else None,
        "note": row.note,
    }
