"""One extension: its state, and the event that waits for its Next. States by the names that AWS's sandbox uses."""

from __future__ import annotations

import enum
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.sandbox.runtime_api.connection import RuntimeConnection


class ExtensionState(enum.StrEnum):
    #: its process was started; it has not registered
    STARTED = "Started"
    REGISTERED = "Registered"
    #: it has asked for an event
    READY = "Ready"
    #: it has one and has not asked again
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"
    EXITED = "Exited"


_S = ExtensionState
#: from which states an extension's call may lead to a state
MAY_BECOME: dict[ExtensionState, frozenset[ExtensionState]] = {
    _S.REGISTERED: frozenset({_S.STARTED}),
    _S.READY: frozenset({_S.REGISTERED, _S.RUNNING}),
    _S.INIT_ERROR: frozenset({_S.REGISTERED, _S.INIT_ERROR}),
    _S.EXIT_ERROR: frozenset({_S.REGISTERED, _S.READY, _S.RUNNING, _S.EXIT_ERROR}),
}


class Extension:
    """external: it has a process of its own, started from /opt/extensions; else it lives in the runtime's."""

    def __init__(self, name: str, *, external: bool) -> None:
        self.name, self.external = name, external
        self.id = ""
        self.state = ExtensionState.STARTED
        self.events: frozenset[str] = frozenset()
        self.error_type = ""
        #: its process has ended
        self.gone = False
        self._waiting: RuntimeConnection | None = None
        self._event = b""

    @property
    def registered(self) -> bool:
        return self.id != ""

    def register(self, events: frozenset[str]) -> None:
        self.id, self.events, self.state = str(uuid.uuid4()), events, ExtensionState.REGISTERED

    def may_become(self, state: ExtensionState) -> bool:
        # A Next whose connection was cut may be asked anew.
        again = state is self.state is ExtensionState.READY and self._waiting is None
        return again or self.state in MAY_BECOME[state]

    def wait(self, connection: RuntimeConnection) -> None:
        self.state = ExtensionState.READY
        if self._event:
            event, self._event = self._event, b""
            self._give(connection, event)
        else:
            connection.parked = True
            self._waiting = connection

    def send(self, event: bytes) -> None:
        """Now, or as the answer to its next Next."""
        if self._waiting is not None:
            connection, self._waiting = self._waiting, None
            self._give(connection, event)
        else:
            self._event = event

    def lost(self, connection: RuntimeConnection) -> None:
        if self._waiting is connection:
            self._waiting = None

    def _give(self, connection: RuntimeConnection, event: bytes) -> None:
        self.state = ExtensionState.RUNNING
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Extension-Event-Identifier: {uuid.uuid4()}\r\nContent-Length: {len(event)}\r\n\r\n"
        )
        connection.send_event(head.encode(), event)
