"""`hearth alive`: the health check of one service on this host, for containers and service managers."""

from __future__ import annotations

from typing import Annotated

import typer

from hearth.cli import liveness
from hearth.cli.console import fail
from hearth.cli.liveness import Service


def alive(service: Annotated[Service, typer.Argument(help="Which service of this host.")]) -> None:
    """Say whether a service of this host is at work; exit status 1 if it is not.

    gateway: it answers and has its servers (workers or not). The others: their heartbeat is current.

    Example: HEARTH_COORDINATION_URL=redis://... hearth alive fleet
    """
    try:
        told = liveness.problem(service)
    except liveness.NotSet as exc:
        fail(str(exc), code=2)
    if told:
        fail(told)
