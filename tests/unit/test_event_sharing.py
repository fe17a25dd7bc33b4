"""Partitions among pollers, and a partition's room among functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.model.event import partition_of
from hearth.store.leases import share_of
from pollers.sharing import Place, place_of


@given(pollers=st.sets(st.text(min_size=1), min_size=1, max_size=12), partitions=st.integers(1, 64))
def test_every_partition_has_one_poller_and_each_about_as_many(pollers: set[str], partitions: int) -> None:
    shares = {poller: share_of(poller, sorted(pollers), partitions) for poller in pollers}
    assert sorted(number for share in shares.values() for number in share) == list(range(partitions))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_poller_that_is_not_on_the_list_yet_counts_itself() -> None:
    assert share_of("b", ["a"], 4) == {1, 3}


@pytest.mark.parametrize(
    ("running", "held", "place"),
    [(0, 0, Place.RUN), (9, 47, Place.RUN), (10, 10, Place.ASIDE), (0, 48, Place.ASIDE)],
)
def test_event_runs_within_its_functions_share_and_the_room(running: int, held: int, place: Place) -> None:
    assert place_of(running=running, share=10, held=held, room=48) is place


def test_function_keeps_its_partition_over_processes_and_releases() -> None:
    """A changed hash would let two pollers share one function's queue aside."""
    assert partition_of("arn:aws:lambda:us-east-1:000000000000:function:hello", 8) == 7
    assert partition_of("arn:aws:lambda:us-east-1:000000000000:function:hello", 1) == 0
