"""routes: which HTTP requests go to which function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.endpoint import access

if TYPE_CHECKING:
    from hearth.cli.route_table import RouteTable

app = typer.Typer(help="HTTP routes to functions (HTTP APIs of API Gateway).")
Key = Annotated[str, typer.Argument(metavar="'METHOD /PATH'", help="Or $default, which takes what no other takes.")]
Api = Annotated[str, typer.Option("--api", help="Name of the API that it belongs to.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
#: the API that routes belong to unless another is named
_API = "hearth"


@app.callback(invoke_without_command=True)
def routes(context: typer.Context, json: Json = False) -> None:
    """List the routes of all HTTP APIs.

    Example: hearth routes
    """
    if context.invoked_subcommand is not None:
        return
    with _table() as table:
        entries = table.entries()
    if json:
        print_json([asdict(entry) for entry in entries])
        return
    shown = Table("route", "function", "API", "at", box=None, pad_edge=False)
    for entry in entries:
        shown.add_row(entry.key, entry.target, entry.api, entry.endpoint)
    out.print(shown)


@app.command()
def add(
    key: Key,
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="The function's name or ARN.")],
    api: Api = _API,
    json: Json = False,
) -> None:
    """Send requests to a function; a route that is there already is moved to it.

    Example: hearth routes add 'GET /items/{id}' items
    """
    with _table() as table:
        entry = table.add(key, function, api)
    if json:
        print_json(asdict(entry))
        return
    out.print(f"{entry.key} -> {entry.target}", markup=False)
    talk.print(f"at {entry.endpoint} or {entry.path_form}", markup=False)


@app.command()
def delete(key: Key, api: Api = _API) -> None:
    """Remove a route.

    Example: hearth routes delete 'GET /items/{id}'
    """
    with _table() as table:
        table.delete(key, api)


@contextmanager
def _table() -> Iterator[RouteTable]:
    """Ends the command with a message for whatever the API answers."""
    from hearth.cli.client import ApiFailed  # botocore: half the start-up time of a command that needs it
    from hearth.cli.route_table import RouteTable

    try:
        yield RouteTable(access(load_settings()))
    except ApiFailed as exc:
        advice = "`hearth list` shows the functions there are." if exc.code == "ResourceNotFoundException" else ""
        fail(str(exc), advice=advice)
