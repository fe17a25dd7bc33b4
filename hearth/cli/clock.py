"""clock: the platform's own time, by which workflows wait and are kept."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from hearth.cli.console import fail, load_settings, out, print_json
from hearth.cli.servers import with_servers
from hearth.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Read the platform's clock, or advance it (for tests).")

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command()
def show(json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False) -> None:
    """Show the platform's time and how far it is ahead.

    Example: hearth clock show
    """
    _tell(*asyncio.run(_read(_settings(), 0)), json)


@app.command()
def advance(
    by: Annotated[str, typer.Argument(metavar="DURATION", help="30s, 5m, 2h, 90d")],
    json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False,
) -> None:
    """Put the platform's clock forward: what waits until then goes on, what is kept until then goes.

    It can't be put back, and it is the same for all accounts. Functions keep real time.

    Example: hearth clock advance 90d
    """
    match = re.fullmatch(r"(\d+)([smhd])", by)
    if match is None:
        fail(f"{by}: not a time like 30s, 5m, 2h or 90d", code=2)
    _tell(*asyncio.run(_read(_settings(), int(match[1]) * _UNITS_S[match[2]] * 1000)), json)


async def _read(settings: Settings, by_ms: int) -> tuple[int, int]:
    """(platform epoch ms, how far ahead it is, ms) after it was advanced by `by_ms`."""
    from hearth.errors import HearthError
    from hearth.platform_clock import PlatformClock
    from hearth.store import Store, clock

    assert settings.state_url is not None
    state = Store("state", settings.state_url)
    try:
        if by_ms:
            await clock.advance(state, by_ms)
        platform = PlatformClock(settings.time_scale)
        await platform.read(state)
        return platform.now_ms(), platform.advanced_ms
    except HearthError as exc:
        fail(str(exc))
    finally:
        await state.close()


def _settings() -> Settings:
    return with_servers(load_settings(), "state_url")


def _tell(now_ms: int, ahead_ms: int, as_json: bool) -> None:
    if as_json:
        return print_json({"now_ms": now_ms, "advanced_ms": ahead_ms})
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return out.print(f"{moment:%Y-%m-%d %H:%M:%S} UTC, {ahead_ms / 1000:g} s ahead")
