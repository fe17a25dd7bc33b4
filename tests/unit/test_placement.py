from __future__ import annotations

import pytest

from workers.placement import Demand, Evict, IdleSandbox, Start, next_step, offer_after_s

A_OLD, B_NEW = Demand("a", 1.0), Demand("b", 2.0)


@pytest.mark.parametrize(
    ("demands", "idle", "used", "leaving", "step"),
    [
        ([], [], 0, 0, None),
        ([B_NEW, A_OLD], [], 1, 0, Start("a")),
        ([A_OLD], [], 2, 0, None),
        # without room the sandbox idle for longest gives way
        ([A_OLD], [IdleSandbox("x", "c", 5.0), IdleSandbox("y", "d", 3.0)], 2, 0, Evict("y")),
        # but never one of a version that has requests waiting itself
        ([A_OLD], [IdleSandbox("x", "a", 5.0)], 2, 0, None),
        # room that is on its way is not made twice
        ([A_OLD], [IdleSandbox("x", "c", 5.0)], 2, 1, None),
        ([Demand("a", 1.0, count=2)], [IdleSandbox("x", "c", 5.0)], 2, 1, Evict("x")),
    ],
)
def test_next_step(demands: list[Demand], idle: list[IdleSandbox], used: int, leaving: int, step: object) -> None:
    assert next_step(demands, idle, used=used, leaving=leaving, capacity=2) == step


def test_offers_back_come_less_often_the_longer_a_request_has_waited() -> None:
    assert offer_after_s(0.0) < offer_after_s(0.2) < offer_after_s(60.0) == offer_after_s(600.0)
