"""What commands share: results on stdout, talk on stderr, errors that say what to try; exit 1 failed, 2 misused."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console

from hearth.settings import BadSettings, Settings

out = Console(highlight=False, soft_wrap=True)
talk = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str, *, advice: str = "", code: int = 1) -> NoReturn:
    """Say it on stderr and end. `advice`: what to try next."""
    talk.print("[bold red]error[/] ", end="")
    talk.print(message, markup=False)
    if advice:
        talk.print(f"      {advice}", markup=False)
    raise typer.Exit(code)


def load_settings(**overrides: Any) -> Settings:
    """Ends the command (2) with every wrong name and value."""
    try:
        return Settings.load(**overrides)
    except BadSettings as exc:
        fail(f"settings:\n{exc}", advice="`hearth config` shows every setting with its meaning.", code=2)


def print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
