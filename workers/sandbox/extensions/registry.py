"""Extensions: all of one sandbox, from their start or registration to their end.

It knows no processes: `workers.sandbox.init_process` starts them, the phases of the lifecycle ask and wait here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from hearth.model.invocation import Invocation
from workers.sandbox.extensions.extension import Extension, ExtensionState

INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"
LIMIT = 10


def external_names(layers_dir: Path | None) -> tuple[str, ...]:
    """Every executable file directly in `extensions` of the layers, in the order in which they are started."""
    if layers_dir is None:
        return ()
    directory = layers_dir / "extensions"
    try:
        entries = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(one for one in entries if (directory / one).is_file() and os.access(directory / one, os.X_OK))


class Extensions:
    """active: at least one has registered. closed: no further internal one may."""

    def __init__(self, external: Iterable[str] = (), *, ended: Callable[[], bool] = lambda: False) -> None:
        """ended: the runtime or an extension has failed, so nothing is worth waiting for."""
        self.all = {name: Extension(name, external=True) for name in external}
        self.active = False
        self.closed = False
        self._ended = ended
        self._by_id: dict[str, Extension] = {}
        self._waiters: list[asyncio.Future[None]] = []

    # --- for the endpoints ----------------------------------------------------------------------------------
    def find(self, identifier: str) -> Extension | None:
        return self._by_id.get(identifier)

    def register(self, extension: Extension, events: frozenset[str]) -> None:
        extension.register(events)
        self.all[extension.name] = self._by_id[extension.id] = extension
        self.active = True
        self.changed()

    def lost(self, connection: object) -> None:
        for extension in self._by_id.values():
            extension.lost(connection)  # type: ignore[arg-type]

    def changed(self) -> None:
        """Wake whoever waits in `until`."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # --- for the lifecycle ----------------------------------------------------------------------------------
    @property
    def external(self) -> list[Extension]:
        return [one for one in self.all.values() if one.external]

    @property
    def internal(self) -> bool:
        return any(not one.external for one in self.all.values())

    def all_registered(self) -> bool:
        return all(one.registered for one in self.all.values())

    def all_waiting(self) -> bool:
        """Each has asked for its next event."""
        return all(one.state is ExtensionState.READY for one in self._by_id.values())

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until `reached()`, or until something has failed. No deadline of its own."""
        while not reached() and not self._ended():
            await self._change()

    async def until_gone(self) -> None:
        """Wait until the process of every external one has ended. No deadline of its own."""
        while not all(one.gone for one in self.external):
            await self._change()

    def invoke(self, invocation: Invocation, deadline_ms: int) -> None:
        """INVOKE to everyone who asked for it."""
        event: dict[str, object] = {
            "eventType": INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.invoked_arn,
        }
        if invocation.trace_id:
            event["tracing"] = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}
        self._send(INVOKE, event)

    def shut_down(self, reason: str, deadline_ms: int) -> None:
        """SHUTDOWN to everyone who asked for it."""
        self._send(SHUTDOWN, {"eventType": SHUTDOWN, "deadlineMs": deadline_ms, "shutdownReason": reason})

    def _change(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _send(self, kind: str, event: dict[str, object]) -> None:
        body = orjson.dumps(event)
        for extension in self._by_id.values():
            if kind in extension.events:
                extension.send(body)
