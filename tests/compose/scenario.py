"""What the compose stack must hold, in order: each step prints what was seen, the first that fails ends it.

It runs where the published ports are on 127.0.0.1, with an engine that DOCKER_HOST names or that is the usual one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tests.compose.engine import Engine
from tests.compose.project import PROFILES, Project
from tests.compose.stack import Failed, Stack, say
from tests.compose.steps import ending, observing, outages, scaling, starting

Step = Callable[[Stack], None]

STEPS: tuple[Step, ...] = (
    starting.images_are_small,
    starting.missing_secret_stops_it,
    starting.starts_and_invokes,
    starting.shows_its_isolation,
    scaling.takes_load,
    scaling.scales_without_a_failed_request,
    scaling.workers_share_no_user_ids,
    outages.loses_nothing_accepted,
    observing.is_observed,
    ending.stops_when_what_runs_is_finished,
    ending.is_restored_from_a_copy,
)


def run(stack: Stack, steps: Sequence[Step]) -> None:
    """In this order, whichever is given. Every one but the first two needs `starts_and_invokes` before it."""
    try:
        for step in steps:
            print(f"\n{step.__name__.replace('_', ' ')}", flush=True)
            began_s = time.monotonic()
            step(stack)
            say(f"held, after {time.monotonic() - began_s:.0f} s")
    except BaseException:
        for one in stack.project.containers(stack.engine):
            print(f"--- {one}", file=sys.stderr)
            print(stack.engine.docker("logs", "--tail", "15", one.id, check=False)[-3000:], file=sys.stderr)
        raise
    finally:
        stack.compose(*PROFILES, "down", "--volumes", "--remove-orphans")


def main() -> int:
    folder, name, images, *only = sys.argv[1:]
    stack = Stack(Project(Path(folder), name), Engine(os.environ.get("DOCKER_HOST")), pulled=images == "pulled")
    try:
        run(stack, [step for step in STEPS if step.__name__ in only or not only])
    except (Failed, TimeoutError, BotoCoreError, ClientError, subprocess.CalledProcessError) as exc:
        print(f"\nFAILED: {exc!r}", file=sys.stderr)
        return 1
    print("\nAll of it held.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
