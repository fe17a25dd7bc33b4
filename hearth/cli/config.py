"""`hearth config`: every setting with its value, its meaning and where the value comes from; secrets hidden."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Annotated, Any

import typer
from rich.table import Table

from hearth.cli.console import load_settings, out, print_json
from hearth.settings import PREFIX, Settings

_SECRET = {"secret", "access_keys"}


def config(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """Show every setting.

    Example: HEARTH_IDLE_SECONDS=60 hearth config
    """
    settings = load_settings()
    rows = [_row(settings, name) for name in Settings.model_fields if name != "stack"]
    if json:
        return print_json(rows)
    table = Table("variable", box=None, pad_edge=False)
    for column in ("value", "from", "meaning"):
        table.add_column(column, overflow="fold")
    for row in rows:
        value = "" if row["value"] is None else str(row["value"])
        table.add_row(row["variable"], value, row["source"], row["meaning"])
    out.print(table)
    return None


def _row(settings: Settings, name: str) -> dict[str, Any]:
    variable = PREFIX + name.upper()
    value = getattr(settings, name)
    if os.environ.get(variable):
        source = "environment"
    elif settings.settings_file and name in tomllib.loads(settings.settings_file.read_text()):
        source = "file"
    else:
        source = "default"
    return {
        "variable": variable,
        "value": _hidden(name, value),
        "source": source,
        "meaning": Settings.model_fields[name].description or "",
    }


def _hidden(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _SECRET:
        return "***"
    if isinstance(value, str):
        return re.sub(r"(://[^:/@]*):[^@/]+@", r"\1:***@", value)
    return value if isinstance(value, bool | int | float) else str(value)
