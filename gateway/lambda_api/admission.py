"""Whether a request may go on to a sandbox at all: concurrency that is off, too many requests a second, recursion.

Decided from what the gateway has near at hand: the warm path asks no store. What a sandbox more would cost is
decided where it is placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ids import new_trace_id
from hearth.errors import RecursiveInvocation, TooManyRequests
from hearth.lineage import MAX_PASSES, pass_through, stops
from hearth.store.functions import Beside, Function

if TYPE_CHECKING:
    from gateway.backends import Backends
    from gateway.call import Call

RESERVED_CONCURRENCY = "ReservedFunctionConcurrentInvocationLimitExceeded"


def throttled(backends: Backends, function: Function) -> str:
    """Count a request that is answered when it has run; AWS's Reason if it is to be refused, else empty."""
    reserved = function.beside_of(Beside.CONCURRENCY)
    if reserved == b"0":
        return RESERVED_CONCURRENCY
    version = function.latest.version
    limit = None if reserved is None else int(reserved)
    return backends.rates.refusal(version.account, version.region, version.arn, limit)


def admit(call: Call, function: Function) -> None:
    """The same for an API call, whose trace goes on. Raises TooManyRequests, RecursiveInvocation."""
    if reason := throttled(call.backends, function):
        raise TooManyRequests(reason)
    arn = function.latest.version.arn
    trace_id, passes = pass_through(call.request.headers.get("x-amzn-trace-id") or new_trace_id(), arn)
    if passes > MAX_PASSES and stops(function.beside_of(Beside.RECURSION)):
        raise RecursiveInvocation(f"Lambda has detected that the function {arn} was invoked in a recursive loop.")
    call.trace_id = trace_id
