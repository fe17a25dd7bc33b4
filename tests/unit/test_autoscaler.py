from __future__ import annotations

from dataclasses import replace

import pytest

from hearth.settings import Settings
from workers.autoscaler import (
    BOUND_AFTER_S,
    Bounds,
    Observation,
    Trend,
    WorkerLoad,
    desired_workers,
    follow,
    least_used,
    share_of,
)
from workers.fleet import LONGEST_PAUSE_S, STABLE_S, pause_before_restart_s

BOUNDS = Bounds(minimum=1, maximum=4, up_wait_s=0.25, down_after_s=60.0)
IDLE = WorkerLoad(capacity=4, sandboxes=0, busy=0, waiting=0, wait_s=0.0, cores=0.0)
FULL = WorkerLoad(capacity=4, sandboxes=4, busy=4, waiting=3, wait_s=0.4, cores=0.3)
HALF = WorkerLoad(capacity=4, sandboxes=4, busy=2, waiting=0, wait_s=0.0, cores=0.1)
HOT = WorkerLoad(capacity=100, sandboxes=8, busy=8, waiting=1, wait_s=0.0, cores=0.97)


def seen(*loads: WorkerLoad, at_s: float = 0.0, starting: int = 0) -> Observation:
    return Observation(at_s, len(loads) + starting, starting, loads)


@pytest.mark.parametrize(
    ("observation", "wanted"),
    [
        (seen(IDLE), 1),
        (seen(FULL), 2),
        # the wait is short
        (seen(replace(FULL, wait_s=0.1)), 1),
        # full, but nobody waits
        (seen(replace(FULL, waiting=0, wait_s=0.0)), 1),
        # one of two has room
        (seen(FULL, HALF), 3),
        (seen(FULL, IDLE), 2),
        # what was added is not there yet
        (seen(FULL, starting=1), 2),
        (seen(FULL, FULL, FULL, FULL), 4),
        # nobody is heard of, and nobody starts: coordination has just lost everything
        (Observation(0.0, 2, 0, ()), 2),
    ],
)
def test_worker_is_added_when_requests_wait_and_none_has_room(observation: Observation, wanted: int) -> None:
    assert desired_workers(observation, Trend(observation.count), BOUNDS) == wanted


def run(observations: list[Observation]) -> list[int]:
    """What is wanted after each of them."""
    trend, wanted = Trend(), []
    for one in observations:
        trend = follow(trend, one)
        wanted.append(desired_workers(one, trend, BOUNDS))
    return wanted


def test_process_that_keeps_its_core_busy_while_requests_wait_gets_company_after_some_seconds() -> None:
    wanted = run([seen(HOT, at_s=at) for at in range(6)])
    assert wanted == [1 if at < BOUND_AFTER_S + 1 else 2 for at in range(6)]  # the first observation starts the trend


def test_busy_process_without_waiting_requests_is_left_alone() -> None:
    assert run([seen(replace(HOT, waiting=0), at_s=at) for at in range(10)]) == [1] * 10


def test_busy_moment_starts_the_clock_anew() -> None:
    hot = [seen(HOT, at_s=at) for at in range(8)]
    hot[3] = seen(replace(HOT, cores=0.2), at_s=3)
    assert run(hot)[:7] == [1] * 7


def test_spare_worker_is_drained_only_after_the_whole_time() -> None:
    wanted = run([seen(HALF, IDLE, at_s=at) for at in range(0, 80, 10)])
    assert wanted == [2, 2, 2, 2, 2, 2, 2, 1]


def test_load_beyond_half_of_the_remaining_room_drains_nobody() -> None:
    assert set(run([seen(HALF, replace(HALF, busy=1), at_s=at) for at in range(0, 200, 10)])) == {2}


def test_last_worker_stays() -> None:
    assert set(run([seen(IDLE, at_s=at) for at in range(0, 200, 10)])) == {1}


def test_number_never_swings_under_a_steady_load() -> None:
    """Whatever adds a worker, the load spread over one more is no reason to drain it again."""
    for busy in range(5, 17):
        count, trend, changes = 1, Trend(), []
        for at_s in range(1000):
            each = busy / count
            load = WorkerLoad(
                capacity=4,
                sandboxes=4 if each >= 4 else round(each),
                busy=min(4, round(each)),
                waiting=1 if each > 4 else 0,
                wait_s=1.0 if each > 4 else 0.0,
                cores=0.2,
            )
            one = Observation(float(at_s), count, 0, (load,) * count)
            trend = follow(trend, one)
            wanted = desired_workers(one, trend, BOUNDS)
            changes += [wanted - count] if wanted != count else []
            count = wanted
        assert set(changes) <= {1}, busy


def test_least_used_worker_runs_least_then_keeps_fewest_sandboxes() -> None:
    assert least_used({"a": HALF, "b": IDLE, "c": replace(IDLE, sandboxes=1)}) == "b"
    assert least_used({"a": replace(HALF, sandboxes=2), "b": replace(HALF, busy=1)}) == "b"


@pytest.mark.parametrize(("room", "workers", "shares"), [(5, 2, [3, 2]), (4, 4, [1, 1, 1, 1]), (1, 2, [1, 1])])
def test_shares_make_up_the_rooms_whole(room: int, workers: int, shares: list[int]) -> None:
    assert [share_of(room, workers, index) for index in range(workers)] == shares


@pytest.mark.parametrize(
    ("given", "minimum", "maximum"),
    [
        ({"max_workers": 4}, 1, 4),
        ({"workers": 6, "max_workers": 4}, 6, 6),
        # a worker without room for a sandbox would be of no use, and go beyond the host's room
        ({"max_workers": 4, "max_sandboxes": 3}, 1, 3),
    ],
)
def test_bounds_of_settings(given: dict[str, int], minimum: int, maximum: int) -> None:
    bounds = Bounds.of(Settings(**given))
    assert (bounds.minimum, bounds.maximum) == (minimum, maximum)


def test_dead_worker_is_replaced_at_once_unless_it_keeps_dying() -> None:
    assert pause_before_restart_s(STABLE_S, 5) == 0
    pauses = [pause_before_restart_s(0.1, failures) for failures in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
