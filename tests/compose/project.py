"""A copy of what the compose stack is made of, with secrets of its own, and Compose at work in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.compose.engine import Engine
from tests.support import places
from tests.support.compose import compose_command

#: of Compose; for commands that mean every service
PROFILES = ("--profile", "load", "--profile", "observe")


@dataclass(frozen=True, slots=True)
class Container:
    """As the engine tells of it. pid: of its first process, on this host."""

    id: str
    service: str
    status: str
    health: str
    pid: int
    exit_code: int

    @property
    def ready(self) -> bool:
        return self.status == "running" and self.health in ("healthy", "")


class Project:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    @classmethod
    def copied_to(cls, folder: Path) -> Self:
        """All that git knows or would take; `docker/secrets.sh` makes the secrets."""
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=places.ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
        for name in filter(None, names.split("\0")):
            if (places.ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(places.ROOT / name, folder / name)
        subprocess.run(["docker/secrets.sh"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return cls(folder, f"hearth-{folder.name.lower().replace('_', '-')}")

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()

    def command(self, *arguments: str) -> list[str]:
        """A command of Compose; `--file` arguments that come first add to the project's own file."""
        compose = compose_command()
        assert compose is not None
        files = ["--file", str(self.folder / "docker-compose.yml")]
        # The project's folder is that of the first file.
        return [*compose, "--project-name", self.name, *files, *arguments]

    def environ(self, engine: Engine) -> dict[str, str]:
        # Debian's Compose builds through the engine itself, without the client's plug-ins.
        return os.environ | engine.environ | {"COMPOSE_DOCKER_CLI_BUILD": "0", "COMPOSE_HTTP_TIMEOUT": "300"}

    def compose(self, engine: Engine, *arguments: str) -> str:
        """Standard output. Raises CalledProcessError with what was printed."""
        done = self.try_compose(engine, *arguments)
        if done.returncode != 0:
            print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", flush=True)
            raise subprocess.CalledProcessError(done.returncode, ["compose", *arguments])
        return done.stdout

    def try_compose(
        self, engine: Engine, *arguments: str, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environ(engine),
            input=stdin,
            capture_output=True,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    # --- its containers -----------------------------------------------------------------------------------------
    def containers(self, engine: Engine, service: str = "") -> list[Container]:
        """Running and ended ones, without those of `compose run`."""
        filters = ["--filter", f"label=com.docker.compose.project={self.name}"]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = engine.docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        found: list[dict[str, Any]] = json.loads(engine.docker("inspect", *ids, check=False)) if ids else []
        return [
            Container(
                id=one["Id"],
                service=one["Config"]["Labels"]["com.docker.compose.service"],
                status=one["State"]["Status"],
                health=one["State"].get("Health", {}).get("Status", ""),
                pid=one["State"]["Pid"],
                exit_code=one["State"]["ExitCode"],
            )
            for one in found
            if one["Config"]["Labels"].get("com.docker.compose.oneoff", "False") != "True"
        ]

    def wait_ready(self, engine: Engine, *, within_s: float, **numbers: int) -> None:
        """Until every container is healthy, and of each named service there are so many. Raises TimeoutError."""
        until_s = time.monotonic() + within_s
        while True:
            found = self.containers(engine)
            counted = {service: sum(1 for one in found if one.service == service) for service in numbers}
            if found and counted == numbers and all(one.ready for one in found):
                return
            if time.monotonic() > until_s:
                unwell = [one for one in found if not one.ready]
                ends = "\n".join(engine.docker("logs", "--tail", "20", one.id, check=False) for one in unwell)
                raise TimeoutError(f"not ready after {within_s:.0f} s: {counted} {unwell}\n{ends}")
            time.sleep(0.5)

    def kill(self, engine: Engine, service: str) -> Container:
        """kill -9 of a container's first process, as if it had crashed (`docker kill` would count as a stop by hand,
        after which no restart policy applies)."""
        (one, *_) = self.containers(engine, service)
        os.kill(one.pid, signal.SIGKILL)
        return one
