"""How many requests a second may be sent to sandboxes: so many for each that a function, or the account, may have.

Counted in the process, so that the warm path asks nobody; `gateway.shared_rates` adds what others counted. The mean
over ten seconds counts, as with the scaling rate.
Source: Lambda Developer Guide, quotas: 10 requests a second per execution environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hearth.errors import TooManyRequests

#: seconds' worth of requests that may come at once
BURST_S = 10.0
#: beyond this many functions the oldest are forgotten, and begin with a full bucket
_KEPT = 10_000
RESERVED = "ReservedFunctionInvocationRateLimitExceeded"
SHARED = "FunctionInvocationRateLimitExceeded"
CALLER = "CallerRateLimitExceeded"
_INVOCATIONS = frozenset({"Invoke", "InvokeAsync", "InvokeWithResponseStream"})


class Buckets:
    """Rates of many: each has a bucket that fills at its rate, for ten seconds' worth."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        #: whose -> (requests left, when that was)
        self._levels: dict[str, tuple[float, float]] = {}
        self._taken: dict[str, int] = {}

    def take(self, whose: str, rate: float) -> bool:
        """False: it comes too soon."""
        now, burst = self._monotonic(), rate * BURST_S
        left, at = self._levels.get(whose, (burst, now))
        # others may have taken more than there was: at most as much as comes back in ten seconds is owed
        left = min(burst, max(left, -burst) + (now - at) * rate)
        if whose not in self._levels and len(self._levels) >= _KEPT:
            del self._levels[next(iter(self._levels))]
        if left < 1:
            self._levels[whose] = (left, now)
            return False
        self._levels[whose] = (left - 1, now)
        self._taken[whose] = self._taken.get(whose, 0) + 1
        return True

    def taken(self) -> dict[str, int]:
        """Whose -> requests that were let through since this was asked last."""
        taken, self._taken = self._taken, {}
        return taken

    def take_off(self, whose: str, count: int) -> None:
        """Others let through as many."""
        if whose in self._levels:
            left, at = self._levels[whose]
            self._levels[whose] = (left - count, at)


class RateLimits:
    """per_sandbox: requests a second, 0 for no limit. account_limit: sandboxes that an account may have in a region."""

    def __init__(self, buckets: Buckets, per_sandbox: float, account_limit: int) -> None:
        self._buckets = buckets
        self._per_sandbox = per_sandbox
        self._account_limit = account_limit

    def refusal(self, account: str, region: str, arn: str, reserved: int | None) -> str:
        """Count a request; AWS's Reason if it comes too soon, else empty. reserved: the function's own concurrency."""
        if not self._per_sandbox:
            return ""
        if reserved is None:
            return "" if self._buckets.take(f"{account}:{region}", self._per_sandbox * self._account_limit) else SHARED
        return "" if self._buckets.take(arn, self._per_sandbox * reserved) else RESERVED


class ApiRates:
    """Control calls of the Lambda API a second, of an account in a region. A rate of 0: no limit."""

    def __init__(self, buckets: Buckets, get_function: float, get_policy: float, others: float) -> None:
        self._buckets = buckets
        self._rates = {"GetFunction": get_function, "GetPolicy": get_policy}
        self._others = others

    def check(self, account: str, region: str, operation: str) -> None:
        """Count a call. Raises TooManyRequests."""
        if operation in _INVOCATIONS:
            return
        kind = operation if operation in self._rates else "*"
        rate = self._rates.get(operation, self._others)
        if rate and not self._buckets.take(f"{account}:{region}:{kind}", rate):
            raise TooManyRequests(CALLER, "Rate exceeded")
