"""The runtime's states, by the names that AWS's sandbox uses in its answers."""

from __future__ import annotations

import enum


class RuntimeState(enum.StrEnum):
    STARTED = "Started"
    INIT_ERROR = "InitError"
    RESTORE_READY = "RestoreReady"
    RESTORING = "Restoring"
    RESTORE_ERROR = "RuntimeRestoreErrorState"
    READY = "Ready"
    RUNNING = "Running"
    #: asked for by the first of the two posts, then RESPONSE_SENT at once
    INVOCATION_RESPONSE = "InvocationResponse"
    INVOCATION_ERROR = "InvocationErrorResponse"
    RESPONSE_SENT = "RuntimeResponseSentState"
