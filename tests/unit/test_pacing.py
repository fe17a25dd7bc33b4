"""Events on their way to a function: quick ones one after the other, slow ones side by side."""

import asyncio

from pollers.pacing import Pacing


async def test_quick_ones_are_on_the_road_one_at_a_time() -> None:
    pacing, on_the_road, most = Pacing(1), 0, 0

    async def quick() -> None:
        nonlocal on_the_road, most
        async with pacing.place():
            on_the_road += 1
            most = max(most, on_the_road)
            await asyncio.sleep(0)
            on_the_road -= 1

    await asyncio.wait_for(asyncio.gather(*(quick() for _ in range(50))), 30)
    assert most == 1


async def test_one_that_runs_for_long_holds_up_nobody() -> None:
    pacing, all_run = Pacing(1), asyncio.Barrier(21)

    async def slow() -> None:
        async with pacing.place():
            await all_run.wait()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(slow())
        await all_run.wait()
    async with asyncio.timeout(30), pacing.place():  # each has left its place once, not twice
        assert pacing._places.locked()


async def test_one_that_is_cancelled_leaves_its_place() -> None:
    pacing = Pacing(1)

    async def forever() -> None:
        async with pacing.place():
            await asyncio.Event().wait()

    task = asyncio.create_task(forever())
    waiting = asyncio.create_task(forever())
    await asyncio.sleep(0)
    for one in (waiting, task):
        one.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)
    async with asyncio.timeout(30), pacing.place():
        pass
