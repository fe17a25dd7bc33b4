"""The function that `hearth up` deploys and invokes, and what it tells to try next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from hearth.cli import endpoint
from hearth.cli.client import ApiFailed, Client
from hearth.cli.package import Package
from hearth.settings import Settings

_NAME = "hello"
_SOURCE = Path(__file__).resolve().parents[2] / "examples" / _NAME


def run(settings: Settings, progress: Callable[[str], None]) -> str:
    """Deploy it the first time, invoke it, return a line with its answer or with what went wrong."""
    client = Client(endpoint.access(settings))
    try:
        if client.find(_NAME) is None:
            if not _SOURCE.is_dir():
                return "no example beside this installation; deploy one of yours: hearth deploy DIR"
            progress(f"deploying {_SOURCE}")
            client.create(Package.of(_SOURCE), name=_NAME, runtime=client.newest_runtime(settings))
        progress(f"invoking {_NAME}")
        answer = client.invoke(_NAME, b'{"name": "Hearth"}')
    except ApiFailed as exc:
        return f"{_NAME} did not answer: {exc}"
    return f"{_NAME} answered {answer.payload.decode('utf-8', 'replace')}"


def what_next(settings: Settings) -> str:
    """Lines that work when pasted into another terminal."""
    hearth = _command("hearth")
    own_data = "data" in settings.model_fields_set
    here = f"  export HEARTH_DATA={shlex.quote(str(settings.data))}\n" if own_data else ""
    return f"""
Hearth runs. Try, in another terminal:
{here}  {hearth} invoke {_NAME} '{{"name": "you"}}' --tail
  {hearth} logs {_NAME} --follow
  {hearth} deploy DIR                    # your own: a folder with app.py and a function `handler`
  {hearth} status
With the AWS CLI and boto3:
  eval "$({hearth} env)"
  {_command("aws")} lambda invoke --function-name {_NAME} /dev/stdout
  {_command("python")} -c "import boto3; print(boto3.client('lambda').invoke(FunctionName='{_NAME}')['Payload'].read())"
Ctrl-C stops everything; functions and their data are kept in {settings.data}.
"""


def _command(name: str) -> str:
    """As it has to be typed here: the program beside our interpreter, unless PATH leads to that one anyway."""
    ours = Path(sys.executable).parent / name
    if not ours.exists() or shutil.which(name) == str(ours):
        return name
    relative = os.path.relpath(ours)
    return shlex.quote(str(ours) if relative.startswith("..") else relative)
