"""A function's code replaced again and again under load: who answers with what, and when that was the code."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.support import load
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack
from tests.support.waiting import until


@dataclass(slots=True)
class Update:
    """Its code may run from `began_s` on; when `settled_s` has come, the code before it must not be begun any more."""

    number: int
    began_s: float
    settled_s: float


@dataclass(slots=True)
class Run:
    answers: list[load.Answer]
    updates: list[Update]

    def failed(self) -> list[load.Answer]:
        return [answer for answer in self.answers if answer.code != "ok"]

    def untimely(self) -> list[load.Answer]:
        """Answers of code that was not the function's at any moment of their request."""
        ends = [update.settled_s for update in self.updates[1:]] + [float("inf")]
        begins = [update.began_s for update in self.updates]
        return [
            answer
            for answer in self.answers
            if answer.ended_s < begins[answer.payload] or answer.began_s > ends[answer.payload]
        ]


def replace_under_load(
    stack: PlatformStack, *, updates: int, every_s: float, concurrency: int, each_seen: bool = False
) -> Run:
    """Update the code that many times, one every so often, while that many callers invoke it without a pause.

    each_seen: an update is not followed by the next one before somebody was answered by its code.
    """
    began_s = time.monotonic()
    function = stack.deploy(None, code(0), Timeout=10)
    run = Run([], [Update(0, began_s, time.monotonic())])
    over, seen = threading.Event(), set[str]()

    def call() -> list[load.Answer]:
        answers = []
        while not over.is_set():
            answers.append(load.one(stack, function, None))
            seen.add(str(answers[-1].payload))
        return answers

    with ThreadPoolExecutor(concurrency) as pool:
        callers = [pool.submit(call) for _ in range(concurrency)]
        try:
            for number in range(1, updates + 1):
                due_s = time.monotonic() + every_s
                run.updates.append(_update(stack, function, number))
                time.sleep(max(0.0, due_s - time.monotonic()))
                if each_seen:
                    until(lambda number=number: str(number) in seen)
        finally:
            over.set()
        for caller in callers:
            run.answers += caller.result()
    return run


def _update(stack: PlatformStack, function: str, number: int) -> Update:
    began_s, lambda_ = time.monotonic(), stack.client("lambda")
    lambda_.update_function_code(FunctionName=function, ZipFile=zip_of(code(number)))
    lambda_.get_waiter("function_updated_v2").wait(
        FunctionName=function, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200}
    )
    return Update(number, began_s, time.monotonic())


def code(number: int) -> str:
    """A function that answers with its number."""
    return f"def handler(event, context):\n    return {number}\n"
