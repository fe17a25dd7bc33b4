"""RuntimeApi: what one runtime may do next, and the event and the answer that are on their way.

It knows no sockets: connections call in (see connection.py, server.py), the phases of the lifecycle offer an invocation
and await one future. No task runs per request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hearth.errors import InvariantViolated
from hearth.limits import AWS_LIMITS, Limits
from hearth.model.invocation import Invocation
from workers.sandbox.extensions.registry import Extensions
from workers.sandbox.runtime_api import replies
from workers.sandbox.runtime_api.event import render
from workers.sandbox.runtime_api.states import RuntimeState

if TYPE_CHECKING:
    from workers.sandbox.init_process import InitProcess
    from workers.sandbox.runtime_api.connection import RuntimeConnection
    from workers.sandbox.telemetry import Telemetry

#: AWS's sandbox accepts so much more than the limit that it names
PAYLOAD_SLACK_BYTES = 100


class Answer(NamedTuple):
    """What the runtime posted. error_type: "" for a response; else as validated for logs and telemetry. streamed: bytes
    that a sink has had before."""

    body: bytes
    content_type: str = "application/json"
    error_type: str = ""
    streamed: int = 0


class Sink(Protocol):
    """Takes a streamed response."""

    #: called once when there is room again
    on_room: Callable[[], None] | None

    def write(self, data: bytes, content_type: str) -> bool:
        """False: no more before `on_room`."""
        ...


class InitError(NamedTuple):
    """The runtime's post to init/error; `body` becomes the result of the invocation that caused the Init."""

    body: bytes
    content_type: str
    error_type: str


class Ending(NamedTuple):
    """The runtime can't answer any more. message: without the `RequestId: <id> Error: ` in front."""

    error_type: str
    message: str
    timed_out: bool = False


class RuntimeEvents(Protocol):
    """Called synchronously, in the middle of the hot path."""

    def event_taken(self, invocation: Invocation) -> int:
        """The runtime takes the event now. Returns the epoch ms at which the function times out."""
        ...

    def runtime_waits(self) -> None:
        """The runtime asked for an event and there is none yet."""
        ...

    def restore_begins(self) -> None:
        """The runtime has run its before-snapshot hooks and runs its after-restore hooks next."""
        ...


#: a process's end is known so long after those of its connections
_DEATH_S = 0.1


class RuntimeApi:
    """One runtime process; made anew for each Init.

    started: resolves at the first Next (None), at init/error, or at the runtime's end before either.
    extensions, telemetry, facts (what register answers), init_process (while its call is expected): of this Init, set
    before it is served.
    """

    def __init__(self, events: RuntimeEvents, limits: Limits = AWS_LIMITS) -> None:
        self.limits = limits
        self._loop = asyncio.get_running_loop()
        self._events = events
        self.state = RuntimeState.STARTED
        self.started: asyncio.Future[InitError | Ending | None] = self._loop.create_future()
        self.ended: Ending | None = None
        self.connections: set[RuntimeConnection] = set()
        #: set by `serve`
        self.server: asyncio.Server | None = None
        self._waiting: RuntimeConnection | None = None
        #: the event offered or running
        self._invocation: Invocation | None = None
        self._answer: asyncio.Future[Answer | Ending] | None = None
        self._event = b""
        self.extensions = Extensions()
        self.telemetry: Telemetry | None = None
        self.facts: dict[str, str] = {}
        self.init_process: InitProcess | None = None
        self.taken = False
        self.sink: Sink | None = None
        #: what becomes the answer if the runtime lives
        self._cut_short: Answer | None = None
        #: SnapStart's hooks have run, or run now
        self.restored = False
        #: monotonic times at which the last answer began to come and was there; began: 0.0 while there is none
        self.answer_began_s = self.answered_s = 0.0

    @property
    def most_payload_bytes(self) -> int:
        """Of a response that is not streamed."""
        return self.limits.payload_bytes + PAYLOAD_SLACK_BYTES

    # --- for the lifecycle ----------------------------------------------------------------------------------
    def offer(self, invocation: Invocation, sink: Sink | None = None) -> asyncio.Future[Answer | Ending]:
        """Hand the event to the runtime, now or when it asks for it. sink: for a response that it streams."""
        if self._answer is not None and not self._answer.done():
            raise InvariantViolated("one invocation at a time per sandbox")
        answer = self._answer = self._loop.create_future()
        self._invocation, self.taken, self.sink = invocation, False, sink
        self._cut_short, self.answer_began_s = None, 0.0
        if self.ended is not None:
            answer.set_result(self.ended)
        elif self._waiting is not None:
            self._deliver(self._waiting)
        return answer

    def end(self, ending: Ending) -> None:
        """The runtime is gone or out of time. The first ending counts; whatever is awaited resolves with it."""
        if self.ended is None:
            self.ended = ending
        self.sink = self._cut_short = None
        if not self.started.done():
            self.started.set_result(self.ended)
        if self._answer is not None and not self._answer.done():
            self.answered_s = time.monotonic()
            self._answer.set_result(self.ended)
        self.extensions.changed()

    @property
    def waiting(self) -> bool:
        """The runtime, and every extension, has asked for an event and has none."""
        return self.state is RuntimeState.READY and self.extensions.all_waiting()

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for connection in tuple(self.connections):
            connection.abort()
        self._waiting = None

    # --- for the endpoints ----------------------------------------------------------------------------------
    @property
    def request_id(self) -> str:
        """Of the event that the runtime has taken; "" before the first and while it waits."""
        return self._invocation.request_id if self._invocation is not None and self.taken else ""

    def wait(self, connection: RuntimeConnection) -> None:
        """The runtime asks for an event on `connection`; its latest such request gets the next one."""
        self.state = RuntimeState.READY
        if not self.started.done():
            self.started.set_result(None)
        self._events.runtime_waits()
        if self.extensions.active:
            self.extensions.changed()
        if self._answer is not None and not self._answer.done() and not self.taken:
            self._deliver(connection)
            return
        connection.parked = True
        self._waiting = connection

    def repeat(self, connection: RuntimeConnection) -> None:
        """Another Next while an event runs gets the same event."""
        assert self._invocation is not None  # RUNNING
        connection.send_event(self._event, self._invocation.payload)

    def answer(self, answer: Answer, began_s: float = 0.0) -> None:
        """began_s: monotonic time of the first byte of the request that it came in."""
        self.state = RuntimeState.RESPONSE_SENT
        # A deadline that fell in the same turn of the loop was first.
        if self._answer is not None and not self._answer.done():
            self.answer_began_s, self.answered_s = began_s, time.monotonic()
            self._answer.set_result(answer)

    def cut_short(self, answer: Answer) -> None:
        """The connection was cut in the middle of a response. If the runtime has died, its end says more, and comes in
        a moment."""
        self._cut_short = answer
        self._loop.call_later(_DEATH_S, self.conclude, answer)

    def conclude(self, answer: Answer | None = None) -> None:
        """It lives, so the response that it has begun was only cut short. answer: that one; None: any."""
        cut_short = self._cut_short
        if cut_short is not None and answer in (None, cut_short):
            self._cut_short = None
            self.answer(cut_short)

    def fail_init(self, error: InitError) -> None:
        self.state = RuntimeState.INIT_ERROR
        if not self.started.done():
            self.started.set_result(error)

    def lost(self, connection: RuntimeConnection) -> None:
        self.connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None
        if self.extensions.active:
            self.extensions.lost(connection)

    def restore(self, connection: RuntimeConnection) -> None:
        """Before-snapshot hooks are done. There is no snapshot of a running sandbox: it is restored at once."""
        self.state, self.restored = RuntimeState.RESTORING, True
        self._events.restore_begins()
        connection.send(replies.RESTORED)

    def fail_restore(self, error: InitError) -> None:
        self.state = RuntimeState.RESTORE_ERROR
        if not self.started.done():
            self.started.set_result(error)

    def function_facts(self, *, account: bool) -> dict[str, str]:
        """For an extension that registers."""
        return {name: value for name, value in self.facts.items() if account or name != "accountId"}

    def extension_failed(self, kind: str, why: str) -> None:
        self.end(Ending(kind, why))

    def _deliver(self, connection: RuntimeConnection) -> None:
        assert self._invocation is not None  # offered
        self._waiting, self.taken, self.state = None, True, RuntimeState.RUNNING
        self._event = render(self._invocation, self._events.event_taken(self._invocation))
        connection.send_event(self._event, self._invocation.payload)
