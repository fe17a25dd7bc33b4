"""A companion server for services that Hearth does not run: moto, from PyPI, in a folder of its own.

It is what `hearth up --with s3,sqs` starts: a simulation, for development; what it holds is gone when it stops.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hearth.aws_endpoints import COMPANION, canonical
from hearth.embedded.process import OnLine, Process, StartFailed, last_lines, until_ready
from hearth.embedded.stackfile import StackFile
from hearth.embedded.unit import ProcessUnit

#: what of moto its services here need beyond itself
PACKAGES = ("moto[dynamodb,events,s3,ssm]>=5.2,<6", "flask>=3", "flask-cors>=5")
_START_S = 60.0
_INSTALL_S = 600.0
_MAIN = "from moto.server import main; main()"
#: what it says at every start and of every request
_ROUTINE = re.compile(r"development server|Running on|CTRL\+C|\" \d{3} -$")


def wanted(services: str) -> list[str]:
    """From `s3,sqs`. Raises StartFailed for one that it does not have."""
    names = [canonical(name) for name in services.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COMPANION]:
        raise StartFailed(f"--with: no companion for {', '.join(unknown)}. There are: {', '.join(COMPANION)}")
    return names


class Companion(ProcessUnit):
    """One server for all of its services."""

    name = "companion"

    def __init__(self, stack: StackFile, account: str, region: str, on_line: OnLine) -> None:
        self._stack = stack
        self._account = account
        self._region = region
        self._on_line = on_line

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._stack.ports[self.name]}"

    async def start(self) -> None:
        """Raises StartFailed; `install` has been run before."""
        port = self._stack.port(self.name)
        argv, environ = command(port, self._account, self._region)
        self.process = await Process.start(self.name, argv, env=environ, cwd=Path("/"), on_line=self._told)
        await until_ready(self.process, lambda: _answers(port), deadline_s=_START_S)

    def _told(self, name: str, line: str) -> None:
        if not _ROUTINE.search(line):
            self._on_line(name, line)


def command(port: int, account: str, region: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the server's process, on the loopback."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTH_"))}
    own = {
        "PYTHONPATH": str(_folder()),
        "PYTHONUNBUFFERED": "1",
        "MOTO_ACCOUNT_ID": account,
        "AWS_DEFAULT_REGION": region,
    }
    return [sys.executable, "-c", _MAIN, "-H", "127.0.0.1", "-p", str(port)], inherited | own


async def install(progress: Callable[[str], None]) -> None:
    """Once per version of Python, in the cache. Raises StartFailed."""
    folder = _folder()
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="installing-", dir=folder.parent))
    try:
        progress(f"pip install {PACKAGES[0]}")
        process = await Process.start(
            "pip",
            [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--target", str(draft), *PACKAGES],
            env=os.environ,
            cwd=Path("/"),
            on_line=lambda _, line: progress(line),
        )
        try:
            async with asyncio.timeout(_INSTALL_S):
                status = await process.wait()
        finally:
            await process.stop(5.0)
        if status != 0:
            raise StartFailed(f"The companion server could not be installed.\n{last_lines(process)}")
        try:
            os.rename(draft, folder)
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY:  # else another start was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hearth"
    return cache / "companion" / f"moto-5-python{sys.version_info[0]}.{sys.version_info[1]}"


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
