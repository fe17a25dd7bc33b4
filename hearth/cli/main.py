"""The `hearth` command: everyday verbs stand alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from hearth.cli import (
    alive,
    bill,
    clock,
    config,
    doctor,
    events,
    function,
    identities,
    layers,
    limits,
    mappings,
    platform,
    routes,
    runtimes,
    serve,
    streams,
    worker,
    workflows,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run AWS Lambda functions on machines of your own. Start with: hearth up",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hearth {version('hearth')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


_COMMANDS: dict[str, list[Callable[..., None]]] = {
    "The platform": [
        *(platform.up, platform.down, platform.status, worker.worker, worker.workers),
        *(doctor.doctor, config.config, limits.limits, platform.env),
    ],
    "Functions": [function.deploy, function.invoke, function.logs, bill.bill, events.events, function.delete],
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command("list", rich_help_panel="Functions")(function.list_functions)
app.add_typer(layers.app, name="layers", rich_help_panel="Functions")
app.add_typer(mappings.app, name="mappings", rich_help_panel="Functions")
app.add_typer(workflows.app, name="workflows", rich_help_panel="Workflows")
app.add_typer(streams.app, name="streams", rich_help_panel="Functions")
app.add_typer(clock.app, name="clock", rich_help_panel="Workflows")
app.add_typer(routes.app, name="routes", rich_help_panel="Functions")
app.add_typer(runtimes.app, name="runtimes", rich_help_panel="The platform")
app.add_typer(identities.keys, name="keys", rich_help_panel="The platform")
app.add_typer(identities.roles, name="roles", rich_help_panel="The platform")
app.add_typer(serve.app, name="serve", rich_help_panel="The platform")
app.command(rich_help_panel="The platform")(alive.alive)
