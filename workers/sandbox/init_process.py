"""The worker's end of a sandbox's init process (bootstrap/init_process.py): what it is told, and what it tells.

There is one only where external extensions are: a sandbox without any starts its runtime directly.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, cast

import orjson

from workers.sandbox.isolation.spec import Mount

RUNTIME = ""
_SCRIPT = "/var/hearth-init.py"
_PYTHON = "/var/hearth-python"
_EXTENSIONS = "/opt/extensions"
#: of one report; the longest is a line that an extension printed
_REPORT_BYTES = 2 << 20


class Reports(Protocol):
    def start_failed(self, name: str, why: str) -> None: ...

    def process_exited(self, name: str, code: int) -> None:
        """code: as of `subprocess`, negative for a signal."""
        ...

    def extension_said(self, name: str, line: str) -> None: ...


def command(runtime: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Mount, ...]]:
    """The sandbox's command in place of the runtime's, and what must be visible for it."""
    name = f"python3.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix)
    script = cast(Path, resources.files("workers.sandbox.bootstrap").joinpath("init_process.py"))
    mounts: tuple[Mount, ...] = (Mount(script, _SCRIPT),)
    if prefix == Path("/usr") or (prefix.is_relative_to("/usr") and (prefix / "bin" / name).exists()):
        python = str(prefix / "bin" / name)
    else:
        mounts += (Mount(prefix, _PYTHON),)
        python = f"{_PYTHON}/bin/{name}"
    return (python, "-I", "-S", _SCRIPT, _EXTENSIONS, *runtime), mounts


class InitProcess(asyncio.Protocol):
    """connected: resolves when it waits for orders. Orders given after its end have no effect."""

    def __init__(self, reports: Reports) -> None:
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reports = reports
        self._transport: asyncio.Transport | None = None
        self._partial = b""

    def start(self, name: str) -> None:
        self._order({"start": name})

    def signal(self, name: str, number: signal.Signals) -> None:
        self._order({"name": name, "signal": int(number)})

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio --------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.connected.set_result(None)

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            try:
                self._report(orjson.loads(line))
            except (KeyError, TypeError, ValueError):
                self.close()  # not our program any more
                return
        if len(self._partial) > _REPORT_BYTES:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    # --- private --------------------------------------------------------------------------------------------
    def _order(self, order: dict[str, Any]) -> None:
        if self._transport is not None:
            self._transport.write(orjson.dumps(order, option=orjson.OPT_APPEND_NEWLINE))

    def _report(self, report: dict[str, Any]) -> None:
        if "said" in report:
            self._reports.extension_said(str(report["said"]), str(report["text"]))
        elif "exited" in report:
            self._reports.process_exited(str(report["exited"]), int(report["code"]))
        else:
            self._reports.start_failed(str(report["failed"]), str(report["why"]))
