"""Requests a second, by the concurrency that a function or its account may have."""

from __future__ import annotations

from gateway.rate_limits import RESERVED, SHARED, Buckets, RateLimits


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_function_with_reserved_concurrency_has_a_rate_of_its_own() -> None:
    clock = Clock()
    limits = RateLimits(Buckets(clock), 10.0, account_limit=1)
    said = [limits.refusal("a", "r", "arn", 2) for _ in range(201)]
    assert said == [""] * 200 + [RESERVED]
    assert limits.refusal("a", "r", "other", 2) == ""
    clock.now_s = 1.0
    assert [limits.refusal("a", "r", "arn", 2) for _ in range(21)] == [""] * 20 + [RESERVED]


def test_functions_without_share_that_of_their_account() -> None:
    limits = RateLimits(Buckets(Clock()), 10.0, account_limit=1)
    said = [limits.refusal("a", "r", f"arn{number}", None) for number in range(101)]
    assert said == [""] * 100 + [SHARED]
    assert limits.refusal("a", "elsewhere", "arn", None) == ""


def test_no_rate_is_no_limit() -> None:
    limits = RateLimits(Buckets(Clock()), 0.0, account_limit=1)
    assert not any(limits.refusal("a", "r", "arn", 1) for _ in range(1000))


def test_what_others_took_is_missing_and_what_they_took_too_much_is_owed() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    assert buckets.take("f", 10)
    assert buckets.taken() == {"f": 1}
    assert buckets.taken() == {}
    buckets.take_off("f", 95)
    assert [buckets.take("f", 10) for _ in range(5)] == [True] * 4 + [False]
    buckets.take_off("f", 20)
    clock.now_s = 2.0
    assert not buckets.take("f", 10)
    clock.now_s = 2.1
    assert buckets.take("f", 10)
    assert buckets.taken() == {"f": 5}


def test_no_more_is_owed_than_ten_seconds_bring() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    buckets.take("f", 10)
    buckets.take_off("f", 100_000)
    clock.now_s = 10.2
    assert buckets.take("f", 10)
