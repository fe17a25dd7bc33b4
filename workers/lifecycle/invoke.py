"""Invoke: give the event to the runtime, await its answer, account for it.

The function's timeout starts when the runtime takes the event. The answer goes out before the runtime asks again, but
the timeout runs on until it does. Timeout, crash and out-of-memory end the sandbox; a failing handler does not.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from hearth.model.invocation import Invocation, InvocationResult, Outcome
from workers.billing import Bill, billed_ms
from workers.lifecycle import endings
from workers.lifecycle.init import Failure, run_init
from workers.lifecycle.shutdown import kill
from workers.sandbox.runtime_api import Answer, Ending, InitError
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


async def run_invoke(sandbox: Sandbox, invocation: Invocation) -> InvocationResult:
    if invocation.tail:
        sandbox.log.begin_tail()
    sandbox.began_s = 0.0
    try:
        if not sandbox.reusable:
            failure = await _init_again(sandbox)
            if failure is not None:
                return await _init_failed(sandbox, invocation, failure)
        ending = await _run(sandbox, invocation)
        if isinstance(ending, Ending) and ending is not endings.SHUT_DOWN and not _taken(sandbox):
            # The runtime died of what it did after the answer before. This event was not touched: a new one gets it.
            failure = await _init_again(sandbox)
            if failure is not None:
                return await _init_failed(sandbox, invocation, failure)
            ending = await _run(sandbox, invocation)
    except BaseException:
        await sandbox.shutdown("failure")
        raise
    if isinstance(ending, Answer):
        return _answered(sandbox, invocation, ending)
    return await _died(sandbox, invocation, ending)


def _run(sandbox: Sandbox, invocation: Invocation) -> asyncio.Future[Answer | Ending]:
    sandbox.advance(SandboxState.INVOKING)
    assert sandbox.api is not None  # READY
    return sandbox.api.offer(invocation)


def _taken(sandbox: Sandbox) -> bool:
    return sandbox.api is None or sandbox.api.taken


async def _init_again(sandbox: Sandbox) -> Failure | None:
    """Init inside the invocation, under the function's timeout, and counted in its duration."""
    if sandbox.state in (SandboxState.READY, SandboxState.INVOKING):
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
    body, content_type, error_type = answer
    if error_type:
        end = _End("error", error_type, Outcome.FUNCTION_ERROR, body, content_type)
    else:
        end = _End("success", "", Outcome.OK, body, content_type)
    assert sandbox.api is not None  # it has just answered
    return _report(sandbox, invocation, end, sandbox.api.answered_s)


async def _died(sandbox: Sandbox, invocation: Invocation, ending: Ending) -> InvocationResult:
    ended_s = time.monotonic()
    await sandbox.shutdown("timeout" if ending.timed_out else "failure")
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


def _report(sandbox: Sandbox, invocation: Invocation, end: _End, ended_s: float) -> InvocationResult:
    """END, REPORT, the bill and the result."""
    version, log, t_ms = sandbox.version, sandbox.log, sandbox.services.now_ms()
    duration_ms = (ended_s - sandbox.began_s) * 1000
    if end.status == "timeout":
        duration_ms = min(duration_ms, version.timeout_s * 1000)
    billed = billed_ms(duration_ms)
    cold, init_ms = sandbox.cold, sandbox.init_ms
    sandbox.cold, sandbox.init_ms = False, None
    log.drain()
    if ended_s - sandbox.peak_read_s > _PEAK_AGE_S:
        sandbox.read_peak_mb()
    for line in sandbox.lines.end(
        invocation.request_id, end.status, end.error_type, duration_ms, billed, sandbox.peak_mb, init_ms, t_ms
    ):
        log.platform(line)
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
