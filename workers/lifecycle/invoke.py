"""Invoke: give the event to the runtime, await its answer, account for it.

The function's timeout starts when the runtime takes the event. The answer goes out before the runtime asks again, but
the timeout runs on until it does. Timeout, crash and out-of-memory end the sandbox; a failing handler does not.

Where extensions are registered, answering the caller and ending the invocation are two things: the invocation goes on
in `sandbox.settling` until the runtime and every extension have asked for the next event.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from hearth.model.invocation import Invocation, InvocationResult, Outcome
from workers.billing import Bill, billed_ms
from workers.lifecycle import endings, telling
from workers.lifecycle.init import Failure, run_init
from workers.lifecycle.records import Ended, Times
from workers.lifecycle.shutdown import ShutdownReason, kill, say_goodbye
from workers.sandbox.runtime_api import Answer, Ending, InitError, Sink
from workers.sandbox.runtime_api.states import RuntimeState
from workers.sandbox.state import SandboxState

if TYPE_CHECKING:
    from workers.sandbox.sandbox import Sandbox

#: memory's peak only grows; read anew for each invocation it would cost a sixth of the platform's time for it
_PEAK_AGE_S = 0.2


class _End(NamedTuple):
    """How an invocation is told: status and error type of REPORT and bill, and the caller's answer."""

    status: str
    error_type: str
    outcome: Outcome
    payload: bytes
    content_type: str = "application/json"
    #: bytes that went to the caller before
    streamed: int = 0

    @property
    def produced_bytes(self) -> int | None:
        """None: the runtime has not answered."""
        return self.streamed + len(self.payload) if self.status in ("success", "error") else None


async def run_invoke(sandbox: Sandbox, invocation: Invocation, sink: Sink | None = None) -> InvocationResult:
    if invocation.tail:
        sandbox.log.begin_tail()
    sandbox.began_s, sandbox.settling = 0.0, None
    try:
        if not sandbox.reusable:
            failure = await _init_again(sandbox)
            if failure is not None:
                return await _init_failed(sandbox, invocation, failure)
        ending = await _run(sandbox, invocation, sink)
        if isinstance(ending, Ending) and ending is not endings.SHUT_DOWN and not _taken(sandbox):
            # The runtime died of what it did after the answer before. This event was not touched: a new one gets it.
            failure = await _init_again(sandbox)
            if failure is not None:
                return await _init_failed(sandbox, invocation, failure)
            ending = await _run(sandbox, invocation, sink)
    except BaseException:
        await sandbox.shutdown("failure")
        raise
    if isinstance(ending, Answer):
        if _has_extensions(sandbox):
            return await _answered_early(sandbox, invocation, ending)
        return _answered(sandbox, invocation, ending)
    return await _died(sandbox, invocation, ending)


def _run(sandbox: Sandbox, invocation: Invocation, sink: Sink | None) -> asyncio.Future[Answer | Ending]:
    sandbox.advance(SandboxState.INVOKING)
    assert sandbox.api is not None  # READY
    return sandbox.api.offer(invocation, sink)


def _taken(sandbox: Sandbox) -> bool:
    return sandbox.api is None or sandbox.api.taken


async def _init_again(sandbox: Sandbox) -> Failure | None:
    """Init inside the invocation, under the function's timeout, and counted in its duration."""
    if sandbox.state in (SandboxState.READY, SandboxState.INVOKING):
        await say_goodbye(sandbox, "failure")
        await kill(sandbox)
        if sandbox.state in (SandboxState.SHUTTING_DOWN, SandboxState.STOPPED):
            return endings.SHUT_DOWN
        sandbox.advance(SandboxState.INIT_FAILED)
    sandbox.began_s = time.monotonic()
    failure = await run_init(sandbox, "invoke", sandbox.version.timeout_s)
    if failure == endings.INIT_TIMED_OUT:
        return endings.after_timeout(sandbox.version.timeout_s)
    return failure


def _answered(sandbox: Sandbox, invocation: Invocation, answer: Answer) -> InvocationResult:
    sandbox.advance(SandboxState.READY)
    assert sandbox.api is not None  # it has just answered
    return _report(sandbox, invocation, _end_of_answer(answer), sandbox.api.answered_s, _times(sandbox))


def _end_of_answer(answer: Answer) -> _End:
    body, content_type, error_type, streamed = answer
    if error_type:
        return _End("error", error_type, Outcome.FUNCTION_ERROR, body, content_type, streamed)
    return _End("success", "", Outcome.OK, body, content_type, streamed)


def _has_extensions(sandbox: Sandbox) -> bool:
    return sandbox.api is not None and sandbox.api.extensions.active


async def _answered_early(sandbox: Sandbox, invocation: Invocation, answer: Answer) -> InvocationResult:
    """The caller's answer; the rest is `sandbox.settling`."""
    assert sandbox.api is not None  # it has just answered
    end, answered_s = _end_of_answer(answer), sandbox.api.answered_s
    cold, billed = sandbox.cold, _billed_ms(sandbox, (answered_s - sandbox.began_s) * 1000)
    # Owned by the sandbox; whoever wants it free, or its log whole, waits for it.
    sandbox.settling = asyncio.create_task(_settle(sandbox, invocation, end), name=f"settle-{sandbox.id}")
    if invocation.tail:
        return await asyncio.shield(sandbox.settling)
    return InvocationResult(
        end.outcome,
        end.payload,
        sandbox.version.version,
        b"",
        end.error_type,
        end.content_type,
        invocation.epoch,
        billed,
        cold,
    )


async def _settle(sandbox: Sandbox, invocation: Invocation, end: _End) -> InvocationResult:
    """From the answer to the last Next: under the function's timeout still, and billed."""
    api = sandbox.api
    assert api is not None  # it has just answered
    try:
        await api.extensions.until(lambda: api.state is RuntimeState.READY)
        next_s = time.monotonic() if api.ended is None else None
        _runtime_done(sandbox, invocation, _after_answer(end, api.ended), _times(sandbox, next_s))
        await api.extensions.until(api.extensions.all_waiting)
    except BaseException:
        await sandbox.shutdown("failure")
        raise
    ended_s, ended = time.monotonic(), api.ended
    end = _after_answer(end, ended)
    if ended is None:
        sandbox.watchdog.clear()
        sandbox.advance(SandboxState.READY)
        result = _report(sandbox, invocation, end, ended_s, _times(sandbox, next_s, ended_s))
        sandbox.rest()
        return result
    if ended is not endings.SHUT_DOWN:
        _explain(sandbox, invocation, ended)
    result = _report(sandbox, invocation, end, ended_s)
    await sandbox.shutdown("timeout" if ended.timed_out else "failure")
    return result


def _after_answer(end: _End, ending: Ending | None) -> _End:
    """The caller has its answer; what came after it is told in the log only."""
    if ending is None or ending is endings.SHUT_DOWN:
        return end
    return end._replace(status="timeout" if ending.timed_out else "failure", error_type=ending.error_type)


def _runtime_done(sandbox: Sandbox, invocation: Invocation, end: _End, times: Times | None = None) -> None:
    sandbox.log.drain()
    duration_ms = _duration_ms(sandbox, end, time.monotonic())
    telling.runtime_done(
        sandbox, invocation.request_id, end.status, end.error_type, duration_ms, end.produced_bytes, times
    )


def _times(sandbox: Sandbox, next_s: float | None = None, settled_s: float | None = None) -> Times | None:
    """None: the runtime has not answered."""
    api = sandbox.api
    if api is None or not api.answer_began_s:
        return None
    epoch_ms = sandbox.services.now_ms() - time.monotonic() * 1000
    return Times(epoch_ms, sandbox.began_s, api.answer_began_s, api.answered_s, next_s, settled_s)


async def _died(sandbox: Sandbox, invocation: Invocation, ending: Ending) -> InvocationResult:
    ended_s = time.monotonic()
    reason: ShutdownReason = "timeout" if ending.timed_out else "failure"
    if _has_extensions(sandbox) and ending is not endings.SHUT_DOWN:
        # They learn what happened before they are shut down, and the caller does not wait for that.
        end = _end_of(invocation, ending)
        _runtime_done(sandbox, invocation, end)
        _explain(sandbox, invocation, ending)
        result = _report(sandbox, invocation, end, ended_s)
        sandbox.settling = asyncio.create_task(sandbox.shutdown(reason), name=f"shutdown-{sandbox.id}")
        return result
    await sandbox.shutdown(reason)
    _explain(sandbox, invocation, ending)
    return _report(sandbox, invocation, _end_of(invocation, ending), ended_s)


async def _init_failed(sandbox: Sandbox, invocation: Invocation, failure: Failure) -> InvocationResult:
    ended_s = time.monotonic()
    await sandbox.shutdown("failure")
    sandbox.log.platform(sandbox.lines.start(invocation.request_id, sandbox.services.now_ms()))
    if isinstance(failure, InitError):
        _explain(sandbox, invocation, Ending(failure.error_type, endings.init_error_message(failure)))
        end = _End("failure", failure.error_type, Outcome.FUNCTION_ERROR, failure.body, failure.content_type)
    else:
        _explain(sandbox, invocation, failure)
        end = _end_of(invocation, failure)
    return _report(sandbox, invocation, end, ended_s)


def _end_of(invocation: Invocation, ending: Ending) -> _End:
    if ending is endings.SHUT_DOWN:
        return _End("failure", ending.error_type, Outcome.LOST, b"")
    status = "timeout" if ending.timed_out else "failure"
    document = endings.document(invocation.request_id, ending)
    return _End(status, ending.error_type, Outcome.FUNCTION_ERROR, document)


def _explain(sandbox: Sandbox, invocation: Invocation, ending: Ending) -> None:
    """The lines between what the function printed and END."""
    t_ms, lines = sandbox.services.now_ms(), sandbox.lines
    if ending.timed_out:
        sandbox.log.platform(lines.timed_out(invocation.request_id, t_ms))
    else:
        sandbox.log.platform(lines.fatal(invocation.request_id, ending.error_type, ending.message, t_ms))


def _duration_ms(sandbox: Sandbox, end: _End, ended_s: float) -> float:
    duration_ms = (ended_s - sandbox.began_s) * 1000
    return min(duration_ms, sandbox.version.timeout_s * 1000) if end.status == "timeout" else duration_ms


def _billed_ms(sandbox: Sandbox, duration_ms: float) -> int:
    return billed_ms(duration_ms, sandbox.init_ms if sandbox.services.billing == "aws-2025" else None)


def _report(
    sandbox: Sandbox, invocation: Invocation, end: _End, ended_s: float, times: Times | None = None
) -> InvocationResult:
    """END, REPORT, the bill and the result."""
    version, log, t_ms = sandbox.version, sandbox.log, sandbox.services.now_ms()
    duration_ms = _duration_ms(sandbox, end, ended_s)
    billed = _billed_ms(sandbox, duration_ms)
    cold, init_ms, restore_ms = sandbox.cold, sandbox.init_ms, sandbox.restore_ms
    sandbox.cold, sandbox.init_ms, sandbox.restore_ms = False, None, None
    log.drain()
    if ended_s - sandbox.peak_read_s > _PEAK_AGE_S:
        sandbox.read_peak_mb()
    outcome = end.status, end.error_type, duration_ms, billed
    ended = Ended(*outcome, sandbox.peak_mb, init_ms, restore_ms, end.produced_bytes, times)
    telling.end(sandbox, invocation.request_id, ended, t_ms)
    if end.outcome is Outcome.LOST:  # the platform's own fault: not billed, and told in a sentence
        return InvocationResult(Outcome.LOST, detail=endings.SHUT_DOWN.message, executed_version=version.version)
    sandbox.services.bills.append(Bill(t_ms, version, invocation.request_id, billed, init_ms or 0.0, cold, end.status))
    sandbox.last_used_s = ended_s
    return InvocationResult(
        end.outcome,
        end.payload,
        version.version,
        log.take_tail(),
        end.error_type,
        end.content_type,
        invocation.epoch,
        billed,
        cold,
    )
