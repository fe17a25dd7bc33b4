from __future__ import annotations

import pytest

from gateway.rate_limits import BURST_S, ApiRates, Buckets
from hearth.errors import TooManyRequests


def rates(now: list[float]) -> ApiRates:
    return ApiRates(Buckets(lambda: now[0]), 2, 0, 1)


def test_calls_beyond_the_rate_are_refused_until_time_has_passed() -> None:
    now = [0.0]
    limited = rates(now)
    for _ in range(int(2 * BURST_S)):
        limited.check("1", "r", "GetFunction")
    with pytest.raises(TooManyRequests) as caught:
        limited.check("1", "r", "GetFunction")
    now[0] = 0.5
    limited.check("1", "r", "GetFunction")

    assert (caught.value.reason, caught.value.message) == ("CallerRateLimitExceeded", "Rate exceeded")


def test_kinds_of_calls_and_accounts_have_rates_of_their_own_and_invocations_none() -> None:
    limited = rates([0.0])
    for _ in range(int(BURST_S)):
        limited.check("1", "r", "ListFunctions")
    with pytest.raises(TooManyRequests):
        limited.check("1", "r", "CreateFunction")
    for operation in ("GetFunction", "GetPolicy", "Invoke", "InvokeWithResponseStream"):
        limited.check("1", "r", operation)
    limited.check("2", "r", "ListFunctions")
