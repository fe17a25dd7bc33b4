"""The lease on what is kept of `state`: when it holds, and what a failed reading leaves."""

from __future__ import annotations

import pytest

from gateway.epoch_lease import EpochLease
from hearth.errors import Unavailable


class Epoch:
    """A counter that somebody raises, and how often its change was taken in."""

    def __init__(self) -> None:
        self.number = 0
        self.now_s = 10.0
        self.away = self.broken = False
        self.changes = 0
        self.lease = EpochLease("things", self.read, self.changed, lease_s=2.0, monotonic=lambda: self.now_s)

    async def read(self) -> int:
        self.now_s += 0.5  # the answer is this old when it arrives
        if self.away:
            raise Unavailable("away")
        return self.number

    async def changed(self) -> None:
        if self.broken:
            raise Unavailable("away again")
        self.changes += 1


async def test_lease_counts_from_before_the_question() -> None:
    epoch = Epoch()
    assert not epoch.lease.holds
    await epoch.lease.renew()
    epoch.now_s += 1.4
    assert epoch.lease.holds
    epoch.now_s += 0.1
    assert not epoch.lease.holds


async def test_first_reading_and_every_raise_are_changes() -> None:
    epoch = Epoch()
    await epoch.lease.renew()
    await epoch.lease.renew()
    assert epoch.changes == 1
    epoch.number += 1
    await epoch.lease.renew()
    assert epoch.changes == 2


async def test_unread_epoch_extends_nothing() -> None:
    epoch = Epoch()
    await epoch.lease.renew()
    epoch.away = True
    epoch.now_s += 1.0
    with pytest.raises(Unavailable):
        await epoch.lease.renew()
    assert not epoch.lease.holds


async def test_change_that_was_not_taken_in_is_taken_in_by_the_next_renewal() -> None:
    epoch = Epoch()
    await epoch.lease.renew()
    epoch.number, epoch.broken = 1, True
    with pytest.raises(Unavailable):
        await epoch.lease.renew()
    epoch.broken = False
    await epoch.lease.renew()
    assert epoch.changes == 2
    assert epoch.lease.holds
