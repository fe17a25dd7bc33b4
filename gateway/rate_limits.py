"""How many requests a second may be sent to sandboxes: so many for each that a function, or the account, may have.

Counted by each gateway process for itself, so that the warm path asks nobody: what a platform of several processes lets
through lies between one and as many times the rate. The mean over ten seconds counts, as with the scaling rate.
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

    def take(self, whose: str, rate: float) -> bool:
        """False: it comes too soon."""
        now, burst = self._monotonic(), rate * BURST_S
        left, at = self._levels.get(whose, (burst, now))
        left = min(burst, left + (now - at) * rate)
        if whose not in self._levels and len(self._levels) >= _KEPT:
            del self._levels[next(iter(self._levels))]
        self._levels[whose] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class RateLimits:
    """per_sandbox: requests a second, 0 for no limit. account_limit: sandboxes that an account may have in a region."""

    def __init__(
        self, per_sandbox: float, account_limit: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_sandbox = per_sandbox
        self._account_limit = account_limit
        self._buckets = Buckets(monotonic)

    def refusal(self, account: str, region: str, arn: str, reserved: int | None) -> str:
        """Count a request; AWS's Reason if it comes too soon, else empty. reserved: the function's own concurrency."""
        if not self._per_sandbox:
            return ""
        if reserved is None:
            return "" if self._buckets.take(f"{account}:{region}", self._per_sandbox * self._account_limit) else SHARED
        return "" if self._buckets.take(arn, self._per_sandbox * reserved) else RESERVED


class ApiRates:
    """Control calls of the Lambda API a second, of an account in a region. A rate of 0: no limit."""

    def __init__(
        self,
        get_function: float,
        get_policy: float,
        others: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = {"GetFunction": get_function, "GetPolicy": get_policy}
        self._others = others
        self._buckets = Buckets(monotonic)

    def check(self, account: str, region: str, operation: str) -> None:
        """Count a call. Raises TooManyRequests."""
        if operation in _INVOCATIONS:
            return
        kind = operation if operation in self._rates else "*"
        rate = self._rates.get(operation, self._others)
        if rate and not self._buckets.take(f"{account}:{region}:{kind}", rate):
            raise TooManyRequests(CALLER, "Rate exceeded")
