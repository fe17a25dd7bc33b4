"""deploy, invoke, logs, list, delete: a function's life on a running platform."""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.endpoint import access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hearth.cli.client import Client
    from hearth.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The function's name or ARN.")]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@contextmanager
def api() -> Iterator[tuple[Client, Settings]]:
    """Ends the command with a message for whatever the API answers."""
    from hearth.cli.client import ApiFailed, Client  # botocore: half the start-up time of a command that needs it
    from hearth.cli.package import BadPackage

    settings = load_settings()
    try:
        yield Client(access(settings)), settings
    except ApiFailed as exc:
        advice = "`hearth list` shows the functions there are." if exc.code == "ResourceNotFoundException" else ""
        fail(str(exc), advice=advice)
    except BadPackage as exc:
        fail(str(exc), code=2)


def deploy(
    path: Annotated[Path, typer.Argument(metavar="DIR|ZIP", help="The function's code.", exists=True)],
    name: Annotated[str | None, typer.Option(help="Default: the folder's or file's name.")] = None,
    handler: Annotated[str | None, typer.Option(help="MODULE.FUNCTION. Default: the one found.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Default: the newest Python here.")] = None,
    memory: Annotated[int | None, typer.Option(help="MB. Default: 128.")] = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds. Default: 3.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Repeatable.")] = None,
    layer: Annotated[
        list[str] | None, typer.Option(metavar="DIR|ZIP|ARN", help="Laid into /opt; repeatable, in order.")
    ] = None,
    json: Json = False,
) -> None:
    """Create a function from a folder or zip file, or update it; returns when it is ready.

    Example: hearth deploy ./thumbnails --memory 512 --timeout 30 --env BUCKET=pictures
    """
    from hearth.cli.package import Package

    configuration = _configuration(handler, runtime, memory, timeout, env)
    with api() as (client, settings):
        package = Package.of(path)
        if layer:
            configuration["Layers"] = [_layer(client, one) for one in layer]
        function = name or re.sub(r"[^a-zA-Z0-9-_]", "-", path.resolve().stem)
        there = client.find(function) is not None
        with talk.status(f"{'updating' if there else 'creating'} {function}"):
            if there:
                result = client.update(package, name=function, **configuration)
            else:
                wanted = configuration.pop("Runtime", None) or client.newest_runtime(settings)
                result = client.create(package, name=function, runtime=wanted, **configuration)
    for notice in client.notices:
        talk.print(f"[yellow]warning[/] {notice}")
    if json:
        return print_json(_plain(result))
    talk.print(f"{'updated' if there else 'created'} {function}: {result['Handler']} on {result['Runtime']}")
    talk.print(f"try: hearth invoke {function} '{{}}' --tail", markup=False)
    return None


def invoke(
    name: Name,
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD|-", help="JSON; - reads it from stdin.")] = "{}",
    tail: Annotated[bool, typer.Option("--tail", help="Print the end of its log on stderr.")] = False,
    event: Annotated[bool, typer.Option("--event", help="Do not wait: accept it, run it later, retry it.")] = False,
    json: Json = False,
) -> None:
    """Run a function and print its answer; exit status 1 if it failed.

    Example: hearth invoke hello '{"name": "you"}' --tail
    """
    body = sys.stdin.buffer.read() if payload == "-" else payload.encode()
    with api() as (client, _):
        if event:
            return _accepted(name, client.send_event(name, body), json)
        answer = client.invoke(name, body, tail=tail)
    if answer.tail and not json:
        talk.print(answer.tail, markup=False, end="")
    text = answer.payload.decode("utf-8", "replace")
    if json:
        print_json({"payload": text, "function_error": answer.error, "log": answer.tail})
    else:
        out.file.write(text + "\n")
    if answer.error:
        if not json:
            talk.print(f"{name} failed ({answer.error}); its log: hearth logs {name}", markup=False)
        raise typer.Exit(1)
    return None


def _accepted(name: str, request_id: str, as_json: bool) -> None:
    if as_json:
        return print_json({"request_id": request_id})
    out.print(request_id)
    talk.print(f"accepted; what became of it: hearth logs {name}, hearth events {name}", markup=False)
    return None


def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and print what comes.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 5m, 2h, 1d.")] = "10m",
    json: Json = False,
) -> None:
    """Print what a function and the platform wrote to its log.

    Example: hearth logs hello --follow --since 1h
    """
    match = re.fullmatch(r"(\d+)([smhd])", since)
    if match is None:
        fail(f"--since {since}: not a time like 30s, 5m, 2h or 1d", code=2)
    since_ms = int((time.time() - int(match[1]) * _UNITS_S[match[2]]) * 1000)
    with api() as (client, _):
        configuration = client.find(name)
        if configuration is None:
            fail(f"There is no function {name}.", advice="`hearth list` shows the functions there are.")
        group = configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{configuration['FunctionName']}"
        try:
            for event in client.log_events(group, since_ms, follow=follow):
                _print_event(event, json)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def list_functions(json: Json = False) -> None:
    """List the functions.

    Example: hearth list
    """
    with api() as (client, _):
        functions = client.functions()
    if json:
        return print_json([_plain(function) for function in functions])
    if not functions:
        talk.print("No functions yet. Try: hearth deploy DIR")
        return None
    table = Table("name", "runtime", "handler", "memory", "timeout", "modified", box=None, pad_edge=False)
    for one in functions:
        row = (one["FunctionName"], one.get("Runtime", ""), one.get("Handler", ""), f"{one.get('MemorySize')} MB")
        table.add_row(*row, f"{one.get('Timeout')} s", str(one.get("LastModified", ""))[:19])
    out.print(table)
    return None


def delete(name: Name) -> None:
    """Delete a function.

    Example: hearth delete hello
    """
    with api() as (client, _):
        client.delete(name)
    talk.print(f"deleted {name}", markup=False)


def _configuration(
    handler: str | None, runtime: str | None, memory: int | None, timeout: int | None, env: list[str] | None
) -> dict[str, Any]:
    """Members of Create- and UpdateFunctionConfiguration; only what was given."""
    given = {"Handler": handler, "Runtime": runtime, "MemorySize": memory, "Timeout": timeout}
    configuration: dict[str, Any] = {member: value for member, value in given.items() if value is not None}
    if env:
        pairs = [item.partition("=") for item in env]
        if wrong := [key for key, equals, _ in pairs if not equals or not key]:
            fail(f"--env {wrong[0]}: not KEY=VALUE", code=2)
        configuration["Environment"] = {"Variables": {key: value for key, _, value in pairs}}
    return configuration


def _layer(client: Client, given: str) -> str:
    """ARN of a layer version: the one given, or of the folder or zip file, published."""
    from hearth.cli.layers import layer_name
    from hearth.cli.package import Package

    if given.startswith("arn:"):
        return given
    path = Path(given)
    if not path.exists():
        fail(f"--layer {given}: no such folder or file, and not an ARN", code=2)
    return str(client.publish_layer(Package.of(path), layer_name(path))["LayerVersionArn"])


def _print_event(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json({member: event.get(member) for member in ("timestamp", "logStreamName", "message")})
    at = datetime.fromtimestamp(event["timestamp"] / 1000).strftime("%H:%M:%S.%f")[:-3]
    out.print(f"[dim]{at}[/] ", end="")
    out.print(event["message"].rstrip("\n"), markup=False)
    out.file.flush()
    return None


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}
