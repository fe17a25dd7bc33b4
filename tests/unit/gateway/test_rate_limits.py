"""Requests a second, by the concurrency that a function or its account may have."""

from __future__ import annotations

from gateway.rate_limits import RESERVED, SHARED, RateLimits


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_function_with_reserved_concurrency_has_a_rate_of_its_own() -> None:
    clock = Clock()
    limits = RateLimits(10.0, account_limit=1, monotonic=clock)
    said = [limits.refusal("a", "r", "arn", 2) for _ in range(201)]
    assert said == [""] * 200 + [RESERVED]
    assert limits.refusal("a", "r", "other", 2) == ""
    clock.now_s = 1.0
    assert [limits.refusal("a", "r", "arn", 2) for _ in range(21)] == [""] * 20 + [RESERVED]


def test_functions_without_share_that_of_their_account() -> None:
    limits = RateLimits(10.0, account_limit=1, monotonic=Clock())
    said = [limits.refusal("a", "r", f"arn{number}", None) for number in range(101)]
    assert said == [""] * 100 + [SHARED]
    assert limits.refusal("a", "elsewhere", "arn", None) == ""


def test_no_rate_is_no_limit() -> None:
    limits = RateLimits(0.0, account_limit=1, monotonic=Clock())
    assert not any(limits.refusal("a", "r", "arn", 1) for _ in range(1000))
