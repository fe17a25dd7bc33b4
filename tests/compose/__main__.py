"""Find or start an engine, build the images, then run the scenario where the stack's ports are reached.

`tests/compose/run [--remove] [STEP...]`: all steps, or those that are named (`starts_and_invokes`, ...). Standing in
for the images and building ours takes minutes the first time; both are kept in the cache, which `--remove` empties.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.compose import engine, stand_ins
from tests.compose.engine import Engine, NoEngine
from tests.compose.project import PROFILES, Project
from tests.support import places
from tests.support.compose import compose_command

CACHE = places.CACHE / "compose"
#: image -> recipe of its stand-in. There is none for Grafana, which Debian does not have.
STAND_INS = {
    "python:3.11.13-slim-bookworm": "python",
    "rabbitmq:3.13.7": "rabbitmq",
    "valkey/valkey:8.1.3": "valkey",
    "haproxy:3.0.10": "haproxy",
    "prom/prometheus:v2.53.4": "prometheus",
}


def main() -> int:
    if compose_command() is None:
        raise NoEngine("Compose is not installed: apt-get install docker-compose")
    if (found := engine.running()) is not None:
        print("the engine that runs here is used, with the images that it pulls", flush=True)
        with copy() as project:
            project.compose(found, *PROFILES, "build")
            return run(found, project, "pulled")
    engine.require_startable()
    folder = CACHE / "engine"
    print(f"no engine runs here: one of our own is started in {folder}", flush=True)
    with contextlib.ExitStack() as kept:
        with engine.for_building(folder) as builder:
            stand_ins.make(builder, STAND_INS, CACHE)
            project = kept.enter_context(copy())
            project.compose(builder, "--file", str(stand_ins.FOLDER / "build.yml"), *PROFILES, "build")
        with engine.for_running(folder) as runner:
            return run(runner, project, "stood-in")


@contextlib.contextmanager
def copy() -> Iterator[Project]:
    places.SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.SCRATCH, prefix="compose-") as scratch:
        yield Project.copied_to(Path(scratch))


def run(where: Engine, project: Project, images: str) -> int:
    """The scenario's exit status."""
    command = [*where.enter, sys.executable, "-m", "tests.compose.scenario", str(project.folder), project.name, images]
    command += [step for step in sys.argv[1:] if not step.startswith("--")]
    return subprocess.run(command, env=os.environ | where.environ, check=False).returncode


if __name__ == "__main__":
    try:
        status = main()
    except NoEngine as exc:
        print(f"No engine: {exc}", file=sys.stderr)
        status = 1
    except subprocess.CalledProcessError as exc:
        print(f"{' '.join(map(str, exc.cmd))}: exit status {exc.returncode}", file=sys.stderr)
        status = 1
    if "--remove" in sys.argv[1:]:
        shutil.rmtree(CACHE, ignore_errors=True)
    sys.exit(status)
