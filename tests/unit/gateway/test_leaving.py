"""When a stopping gateway may close its connections."""

from __future__ import annotations

from gateway.leaving import Leaving


def test_without_a_time_to_leave_it_goes_at_once() -> None:
    leaving = Leaving(0.0)
    leaving.request_came(100.0)
    assert not leaving.began
    assert leaving.may_go(100.0)


def test_it_goes_when_no_request_has_come_for_that_long() -> None:
    leaving = Leaving(5.0)
    leaving.request_came(10.0)
    assert not leaving.may_go(100.0)  # quiet for long, but nobody has been told yet
    assert leaving.began
    leaving.request_came(102.0)
    assert not leaving.may_go(106.9)
    assert leaving.may_go(107.0)


def test_it_goes_in_spite_of_requests_after_twice_that_long() -> None:
    leaving = Leaving(5.0)
    went = [leaving.may_go(at_s) for at_s in (100.0, 104.0, 108.0, 109.9, 110.0) if leaving.request_came(at_s) is None]
    assert went == [False, False, False, False, True]
