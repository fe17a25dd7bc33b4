"""Where the `hearth` command begins. A health check does without everything that the other commands need."""

from __future__ import annotations

import sys

from hearth.cli import liveness
from hearth.cli.liveness import Service


def main() -> None:
    match sys.argv[1:]:
        case ["alive", service] if service in [*Service]:
            sys.exit(_alive(Service(service)))
        case _:
            from hearth.cli.main import app

            app()


def _alive(service: Service) -> int:
    """What `hearth.cli.alive` does, with its exit status."""
    try:
        told, status = liveness.problem(service), 1
    except liveness.NotSet as exc:
        told, status = str(exc), 2
    if not told:
        return 0
    print("error", told, file=sys.stderr)
    return status
