"""How many requests a second may be sent to sandboxes: so many for each that a function, or the account, may have.

Counted by each gateway process for itself, so that the warm path asks nobody: what a platform of several processes lets
through lies between one and as many times the rate. The mean over ten seconds counts, as with the scaling rate.
Source: Lambda Developer Guide, quotas: 10 requests a second per execution environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds' worth of requests that may come at once
BURST_S = 10.0
#: beyond this many functions the oldest are forgotten, and begin with a full bucket
_KEPT = 10_000
RESERVED = "ReservedFunctionInvocationRateLimitExceeded"
SHARED = "FunctionInvocationRateLimitExceeded"


class RateLimits:
    """per_sandbox: requests a second, 0 for no limit. account_limit: sandboxes that an account may have in a region."""

    def __init__(
        self, per_sandbox: float, account_limit: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_sandbox = per_sandbox
        self._account_limit = account_limit
        self._monotonic = monotonic
        #: whose -> (requests left, when that was)
        self._buckets: dict[str, tuple[float, float]] = {}

    def refusal(self, account: str, region: str, arn: str, reserved: int | None) -> str:
        """Count a request; AWS's Reason if it comes too soon, else empty. reserved: the function's own concurrency."""
        if not self._per_sandbox:
            return ""
        if reserved is None:
            return "" if self._take(f"{account}:{region}", self._per_sandbox * self._account_limit) else SHARED
        return "" if self._take(arn, self._per_sandbox * reserved) else RESERVED

    def _take(self, whose: str, rate: float) -> bool:
        now, burst = self._monotonic(), rate * BURST_S
        left, at = self._buckets.get(whose, (burst, now))
        left = min(burst, left + (now - at) * rate)
        if whose not in self._buckets and len(self._buckets) >= _KEPT:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[whose] = (left - 1 if left >= 1 else left, now)
        return left >= 1
