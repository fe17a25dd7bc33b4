"""Events beside pushes: few at once, in order, and never stuck."""

import asyncio

import pytest

from gateway.event_gate import HELD_S, EventGate


class _Events:
    """Events that pass the gate and stay until they are told to leave."""

    def __init__(self, *, pushing: bool, at_once: int = 2) -> None:
        self.pushing = pushing
        self.passed: list[int] = []
        self.now_s = 100.0
        self._gate = EventGate(lambda: self.pushing, at_once, monotonic=lambda: self.now_s)
        self._leave: dict[int, asyncio.Event] = {}

    async def come(self, number: int) -> asyncio.Task[None]:
        self._leave[number] = asyncio.Event()
        task = asyncio.create_task(self._pass(number))
        await _settle()
        return task

    async def leave(self, number: int) -> None:
        self._leave[number].set()
        await _settle()

    async def until_passed(self, expected: list[int]) -> None:
        """A rest may be before it."""
        async with asyncio.timeout(30):
            while self.passed != expected:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)

    async def _pass(self, number: int) -> None:
        async with self._gate.passing():
            self.passed.append(number)
            await self._leave[number].wait()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_pass_while_nobody_pushes() -> None:
    events = _Events(pushing=False)
    tasks = [await events.come(number) for number in range(6)]
    assert events.passed == [0, 1, 2, 3, 4, 5]
    for number in range(6):
        await events.leave(number)
    await asyncio.gather(*tasks)


async def test_few_pass_beside_pushes_and_the_others_follow_in_order() -> None:
    events = _Events(pushing=True)
    tasks = [await events.come(number) for number in range(5)]
    assert events.passed == [0, 1]
    await events.leave(1)
    assert events.passed == [0, 1, 2]
    await events.leave(0)
    assert events.passed == [0, 1, 2, 3]
    events.pushing = False
    events.now_s += HELD_S
    assert await events.come(5)  # behind those that wait
    assert events.passed == [0, 1, 2, 3]
    await events.leave(2)
    assert events.passed == [0, 1, 2, 3, 4, 5]
    for number in (3, 4, 5):
        await events.leave(number)
    await asyncio.gather(*tasks)


async def test_gap_between_one_push_and_the_next_lets_no_crowd_in() -> None:
    events = _Events(pushing=True, at_once=1)
    tasks = [await events.come(number) for number in range(4)]
    events.pushing = False
    events.now_s += HELD_S / 2
    await events.leave(0)
    await events.until_passed([0, 1])
    events.now_s += HELD_S / 2
    await events.leave(1)
    assert events.passed == [0, 1, 2, 3]
    for number in (2, 3):
        await events.leave(number)
    await asyncio.gather(*tasks)


async def test_next_one_is_let_in_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    events = _Events(pushing=True, at_once=1)
    tasks = [await events.come(number) for number in range(3)]
    events.now_s += 0.001
    await events.leave(0)
    await events.until_passed([0, 1])
    monkeypatch.setattr("gateway.event_gate.MOST_REST_S", 3600.0)
    events.now_s += 3600
    await events.leave(1)
    assert events.passed == [0, 1]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("when", ["waiting", "let in"])
async def test_one_that_is_cancelled_takes_nobodys_place(when: str) -> None:
    events = _Events(pushing=True, at_once=1)
    first, second, third = [await events.come(number) for number in range(3)]
    if when == "waiting":
        second.cancel()
        await events.leave(0)
    else:
        events._leave[0].set()
        await asyncio.wait([first])  # second is let in as first leaves, and cancelled before it runs
        second.cancel()
        await _settle()
    assert 2 in events.passed
    await events.leave(2)
    await asyncio.gather(first, third)
    last = await events.come(4)
    assert events.passed[-1] == 4
    await events.leave(4)
    await last
