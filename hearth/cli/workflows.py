"""workflows deploy, start, list, history, replay, graph: state machines and their executions, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.cli.endpoint import access

if TYPE_CHECKING:
    from hearth.cli.workflow_client import WorkflowClient

app = typer.Typer(no_args_is_help=True, help="Run workflows in Amazon States Language.")

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="Its name or ARN.")]
Execution = Annotated[str, typer.Argument(metavar="EXECUTION", help="Its ARN.")]

_YAML = (".yaml", ".yml")
#: of a text in a table's cell
_SHOWN = 100
_COLOURS = {"Failed": "red", "TimedOut": "red", "Aborted": "yellow", "Succeeded": "green"}


@contextmanager
def _client() -> Iterator[WorkflowClient]:
    """Ends the command with a message for whatever the API answers."""
    from hearth.cli.client import ApiFailed  # botocore: half the start-up time of a command that needs it
    from hearth.cli.workflow_client import WorkflowClient

    try:
        yield WorkflowClient(access(load_settings()))
    except ApiFailed as exc:
        advice = "`hearth workflows list` shows the machines there are." if exc.code.endswith("DoesNotExist") else ""
        fail(str(exc), advice=advice)


@app.command()
def deploy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".asl.json or .yaml", exists=True, dir_okay=False)],
    name: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    express: Annotated[bool, typer.Option("--express", help="An Express machine; it can't be changed later.")] = False,
    role: Annotated[str | None, typer.Option(help="ARN of the role it runs as.")] = None,
    json: Json = False,
) -> None:
    """Create a state machine from a file, or update it; what is wrong with it is told with line and column.

    Example: hearth workflows deploy order.asl.json
    """
    kind = "EXPRESS" if express else "STANDARD"
    text = _definition(file, kind)
    machine = name or file.name.split(".")[0]
    with _client() as client:
        from hearth.cli.workflow_client import ROLE

        arn, new = client.deploy(machine, text, kind, role or ROLE)
    if json:
        return print_json({"stateMachineArn": arn, "created": new})
    talk.print(f"{'created' if new else 'updated'} {machine}", markup=False)
    talk.print(f"try: hearth workflows start {machine} '{{}}' --wait", markup=False)
    return None


@app.command()
def start(
    machine: Machine,
    given: Annotated[str, typer.Argument(metavar="INPUT|-", help="JSON; - reads it from stdin.")] = "{}",
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended; shows the states as they run.")] = False,
    name: Annotated[str | None, typer.Option(help="Of the execution. Default: a random one.")] = None,
    json: Json = False,
) -> None:
    """Start an execution; with --wait print its output, and end with 1 if it failed.

    Example: hearth workflows start order '{"id": 7}' --wait
    """
    text = sys.stdin.read() if given == "-" else given
    with _client() as client:
        found = client.find(machine)
        if found["type"] == "EXPRESS" and wait:
            return _ended(client.start_sync(found["stateMachineArn"], text), json)
        execution = client.start(found["stateMachineArn"], text, name)
        if not wait:
            return print_json({"executionArn": execution}) if json else out.print(execution, markup=False)
        for event in client.follow(execution):
            if not json:
                _progress(event)
        return _ended(client.describe(execution), json)


@app.command("list")
def list_machines(
    machine: Annotated[str | None, typer.Argument(metavar="[MACHINE]", help="Its executions.")] = None,
    limit: Annotated[int, typer.Option(help="Most executions.")] = 20,
    json: Json = False,
) -> None:
    """List the state machines, or the latest executions of one.

    Example: hearth workflows list order
    """
    with _client() as client:
        columns: tuple[str, ...]
        if machine is None:
            found, columns = client.machines(), ("name", "type", "creationDate")
        else:
            arn = client.find(machine)["stateMachineArn"]
            found, columns = client.executions(arn, limit), ("status", "startDate", "stopDate", "executionArn")
    if json:
        return print_json(found)
    # no table: one cuts to the terminal's width, and an ARN is there to be copied
    rows = [columns, *(tuple(_shown(one.get(column, "")) for column in columns) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        out.print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), markup=False)
    return None


@app.command()
def history(execution: Execution, json: Json = False) -> None:
    """Show what happened in an execution, event by event.

    Example: hearth workflows history arn:aws:states:us-east-1:000000000000:execution:order:7
    """
    with _client() as client:
        events = client.history(execution)
    if json:
        return print_json(events)
    table = Table("id", "after", "time", "event", "state", "data", box=None, pad_edge=False)
    for event in events:
        details = _details(event)
        moment = f"{event['timestamp']:%H:%M:%S.%f}"[:-3]
        data = next((details[one] for one in ("output", "input", "error", "parameters") if one in details), "")
        table.add_row(
            str(event["id"]),
            str(event["previousEventId"] or ""),
            moment,
            f"[{_colour(event['type'])}]{event['type']}[/]",
            _cell(details.get("name", details.get("resource", ""))),
            _cell(data),
        )
    return out.print(table)


@app.command()
def replay(
    execution: Execution,
    definition: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Play it with this definition.", exists=True, dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Step the engine over a stored history: input and output at each step, and where another definition differs.

    Example: hearth workflows replay ARN --definition order-fixed.asl.json
    """
    from hearth.asl.parse import parse_definition
    from orchestrator.core.replay import read_history
    from orchestrator.core.replay import replay as play
    from orchestrator.core.state import Identity

    with _client() as client:
        events, found = client.history(execution), client.definition_of(execution)
    text = found["definition"] if definition is None else _definition(definition, "STANDARD")
    name = execution.rpartition(":")[2]
    identity = Identity(execution, name, found["roleArn"], found["stateMachineArn"], found["name"], 0, "")
    steps = play(parse_definition(text), identity, read_history(events))
    if json:
        return print_json(
            [
                {
                    "id": step.event.id,
                    "type": step.event.type,
                    "state": step.state,
                    "data": step.data,
                    "variables": step.variables,
                    "differs": step.differs,
                    "instead": step.instead,
                }
                for step in steps
            ]
        )
    for step in steps:
        out.print(f"[bold]{step.event.id:>4} {step.event.type}[/]", end="  ")
        out.print(f"{step.state}  {_cell(step.data)}", markup=False)
        for variable, value in step.variables.items():
            out.print(f"       ${variable} = {_cell(orjson.dumps(value).decode())}", markup=False)
        for member, value in step.differs.items():
            out.print(f"       [yellow]now {member}[/]", end=" ")
            out.print(_cell(str(value)), markup=False)
        if step.instead:
            out.print(f"       [red]now instead:[/] {step.instead}")
    if any(step.differs or step.instead for step in steps):
        raise typer.Exit(1)
    return None


@app.command()
def graph(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|MACHINE|EXECUTION", help="A definition's file, a machine's name, or an execution's ARN."
        ),
    ],
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture instead.")] = None,
) -> None:
    """Draw a state machine, in the terminal or as SVG; of an execution, with how far each state has come.

    Example: hearth workflows graph order.asl.json --svg order.svg
    """
    from hearth.asl.graph.model import graph_of
    from hearth.asl.graph.progress import progress
    from hearth.asl.graph.svg import draw_svg
    from hearth.asl.graph.text import draw_text

    statuses: dict[str, str] = {}
    if Path(source).is_file():
        document = orjson.loads(_definition(Path(source), "STANDARD"))
    else:
        with _client() as client:
            if ":execution:" in source:
                found = client.definition_of(source)
                statuses = progress(client.history(source))
            else:
                found = client.find(source)
        document = orjson.loads(found["definition"])
    drawn = graph_of(document)
    if svg is not None:
        svg.write_text(draw_svg(drawn, statuses))
        return talk.print(f"written: {svg}", markup=False)
    return out.print(draw_text(drawn, statuses), markup=False)


def _definition(file: Path, kind: str) -> str:
    """JSON text of a file's definition; ends the command with what is wrong with it, and where."""
    from hearth.asl.lint import lint
    from hearth.asl.parse import InvalidDefinition, document_from_yaml
    from hearth.asl.source_map import place_of, places
    from hearth.json_problem import find_problem

    try:
        source = file.read_text("utf-8")
    except UnicodeDecodeError as exc:
        fail(f"{file}: not UTF-8: {exc.reason} at byte {exc.start}", code=2)
    try:
        text = orjson.dumps(document_from_yaml(source)).decode() if file.suffix in _YAML else source
    except InvalidDefinition as exc:
        fail(f"{file}: {exc}", code=2)
    if text is source and text.strip() and (problem := find_problem(text.encode())) is not None:
        talk.print(f"{file}:{problem.line}:{problem.column}: {problem.text}", markup=False)
        fail(f"{file}: not JSON.", code=2)
    found = [one for one in lint(text, kind) if one.severity == "ERROR"]
    if found:
        known = places(source)
        for one in found:
            where = place_of(one.location, known)
            talk.print(f"{file}:{where or 1}: {one.message}  ({one.code} at {one.location or '/'})", markup=False)
        fail(f"{file}: {len(found)} error(s) in the definition.", code=2)
    return text


def _ended(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({name: value for name, value in found.items() if name != "ResponseMetadata"})
    elif "output" in found:
        out.file.write(found["output"] + "\n")
    if found["status"] != "SUCCEEDED":
        if not as_json:
            told = ": ".join(found[name] for name in ("error", "cause") if found.get(name))
            talk.print(f"{found['status']} {told}", markup=False)
            talk.print(f"what happened: hearth workflows history {found['executionArn']}", markup=False)
        raise typer.Exit(1)


def _progress(event: dict[str, Any]) -> None:
    details, kind = _details(event), event["type"]
    if kind.endswith("StateEntered"):
        talk.print(f"[dim]{event['timestamp']:%H:%M:%S}[/] → ", end="")
        talk.print(details.get("name", ""), markup=False)
    elif kind.endswith(("Failed", "TimedOut", "Aborted")):
        talk.print(f"[dim]{event['timestamp']:%H:%M:%S}[/] [red]{kind}[/] ", end="")
        talk.print(_cell(details.get("error", "")), markup=False)


def _details(event: dict[str, Any]) -> dict[str, Any]:
    return next((value for name, value in event.items() if name.endswith("EventDetails")), {})


def _colour(event_type: str) -> str:
    return next((colour for word, colour in _COLOURS.items() if event_type.endswith(word)), "default")


def _shown(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _cell(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
