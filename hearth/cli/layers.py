"""layers: publish, list and delete packages that functions share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hearth.cli.console import out, print_json, talk
from hearth.cli.function import Json, api

app = typer.Typer(help="Packages that functions share, laid into /opt.", no_args_is_help=True)
Layer = Annotated[str, typer.Argument(metavar="NAME", help="The layer's name or ARN.")]


@app.command()
def publish(
    path: Annotated[Path, typer.Argument(metavar="DIR|ZIP", help="What lies in /opt.", exists=True)],
    name: Annotated[str | None, typer.Option(help="Default: the folder's or file's name.")] = None,
    description: Annotated[str, typer.Option(help="Up to 256 characters.")] = "",
    runtime: Annotated[list[str] | None, typer.Option(help="One that it is for; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Publish a version of a layer; without a change, the last one is it.

    Example: hearth layers publish ./pillow --runtime python3.12
    """
    from hearth.cli.package import Package

    with api() as (client, _):
        wanted = {"CompatibleRuntimes": runtime} if runtime else {}
        version = client.publish_layer(Package.of(path), name or layer_name(path), Description=description, **wanted)
    if json:
        return print_json(version)
    return out.print(version["LayerVersionArn"], markup=False)


@app.command("list")
def list_layers(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Default: every layer's newest.")] = None,
    json: Json = False,
) -> None:
    """List layers, or the versions of one.

    Example: hearth layers list pillow
    """
    with api() as (client, _):
        versions = client.layer_versions(name) if name else client.layers()
    if json:
        return print_json(versions)
    table = Table("layer", "version", "created", "description", box=None, pad_edge=False)
    for one in versions:
        layer = one["LayerVersionArn"].split(":")[6]
        table.add_row(layer, str(one["Version"]), one["CreatedDate"][:19], one.get("Description", ""))
    return out.print(table)


@app.command()
def delete(name: Layer, version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.", min=1)]) -> None:
    """Delete a version of a layer. Functions that have it keep it.

    Example: hearth layers delete pillow 1
    """
    with api() as (client, _):
        client.delete_layer(name, version)
    talk.print(f"deleted {name}:{version}", markup=False)


def layer_name(path: Path) -> str:
    """What a folder or file is called as a layer."""
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in path.resolve().stem)
