"""Log and bill segments of this host, sent to the gateway's host, where the Logs API reads them.

The workers write to this host's disk as everywhere; one shipper a host, in its fleet, follows the files as they grow.
So a worker that is killed loses nothing it has written, and while the gateway is away the disk keeps what waits, up
to `log_retention_days`. Nothing is remembered across restarts: the gateway says how much it has of each file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from hearth import credentials
from hearth.errors import Unavailable
from hearth.logs.copies import FOLDERS, is_segment
from hearth.settings import Settings
from hearth.store import Stores
from workers.gateway_link import GatewayLink

log = logging.getLogger(__name__)

#: between two looks; more where looking takes long, so that it is a twentieth of the time at most
PERIOD_S = 0.5
_LOOKING_PART = 20
_AWAY_PAUSE_S = 2.0
PIECE_BYTES = 1 << 20
#: how long the end of a fleet may take to send what is left; the next fleet of this host sends the rest
LAST_S = 10.0


@contextlib.asynccontextmanager
async def shipping(settings: Settings, stores: Stores) -> AsyncIterator[None]:
    """Send what is written to this host's segments meanwhile, and what is left at the end; nothing to do where the
    gateway reads them itself. Raises Unavailable."""
    if settings.remote_gateway is None:
        yield
        return
    link = GatewayLink(settings.remote_gateway, await credentials.platform_secret(settings, stores))
    shipper, ended = LogShipper(settings.blobs_dir, link), asyncio.Event()
    # Owner: this function. It never raises.
    task = asyncio.create_task(shipper.run(ended), name="log-shipping")
    try:
        yield
    finally:
        ended.set()
        await asyncio.wait({task}, timeout=LAST_S)
        task.cancel()
        link.close()


class LogShipper:
    """root: the blob root of this host."""

    def __init__(self, root: Path, link: GatewayLink) -> None:
        self._root, self._link = root, link
        self._began_s = time.time()
        #: file -> how much of it the gateway has
        self._sent: dict[str, int] = {}
        self._away = False

    async def run(self, ended: asyncio.Event) -> None:
        """Until `ended` is set, and once more then."""
        while not ended.is_set():
            began_s = time.monotonic()
            reached = await asyncio.to_thread(self.ship)
            took_s = time.monotonic() - began_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(PERIOD_S, _LOOKING_PART * took_s) if reached else _AWAY_PAUSE_S):
                    await ended.wait()
        await asyncio.to_thread(self.ship)

    def ship(self) -> bool:
        """Blocking: send everything that is new. False: the gateway is away; the rest is tried again later."""
        try:
            for name, size, changed_s in self._segments():
                if self._sent.get(name, -1) < size:
                    self._ship(name, changed_s)
        except (Unavailable, OSError) as exc:
            if not self._away:
                log.warning("logs wait for the gateway", extra={"action": "logs_waiting", "reason": str(exc)})
            self._away = True
            return False
        if self._away:
            log.info("logs reach the gateway again", extra={"action": "logs_shipped"})
        self._away = False
        return True

    def _ship(self, name: str, changed_s: float) -> None:
        # What is older than this shipper was mostly sent by the one before: ask first.
        if name not in self._sent and changed_s < self._began_s:
            self._sent[name] = self._link.append(name, 0, b"")
        while piece := self._piece(name, offset := self._sent.get(name, 0)):
            has = self._link.append(name, offset, piece)
            self._sent[name] = has
            if has < offset + len(piece):  # the gateway has lost the file; from its end on, at the next look
                return

    def _piece(self, name: str, offset: int) -> bytes:
        """Whole lines only: a batch that the disk did not take whole is cut off again."""
        try:
            with (self._root / name).open("rb") as file:
                file.seek(offset)
                data = file.read(PIECE_BYTES)
        except FileNotFoundError:  # swept: its time was over
            return b""
        return data if len(data) == PIECE_BYTES else data[: data.rfind(b"\n") + 1]

    def _segments(self) -> Iterator[tuple[str, int, float]]:
        """(name below the root, bytes, last change in epoch seconds)."""
        for folder in FOLDERS:
            for directory, _, files in os.walk(self._root / folder):
                for file in files:
                    path = os.path.join(directory, file)
                    name = os.path.relpath(path, self._root)
                    with contextlib.suppress(FileNotFoundError):
                        if is_segment(name):
                            status = os.stat(path)
                            yield name, status.st_size, status.st_mtime
