"""Calls Celery in a closed loop: `python -m bench.celery_rpc.caller CONCURRENCY`, a thread for each call in flight.

Prints `ready` when every thread has had an answer. For each line on standard input, a number of seconds, it then
answers with a line of JSON: {"seconds", "latencies_ns", "errors"}. Threads are what Celery's blocking results allow;
each has a connection and a reply queue of its own.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from time import perf_counter_ns
from typing import Any

from bench.celery_rpc.app import echo, queue_name

#: the worker may still be starting when the first call is made
FIRST_ANSWER_S = 90.0
ANSWER_S = 30.0
TEXT = "x" * 64


class Caller:
    """The calls of one process; `concurrency` of them at once."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._queue = queue_name(concurrency)
        self._numbers = count()
        self._threads = ThreadPoolExecutor(concurrency)

    def meet(self) -> None:
        """Have every thread connect and get an answer."""
        together = Barrier(self._concurrency)

        def first() -> None:
            echo.apply_async(({},), queue=self._queue).get(timeout=FIRST_ANSWER_S)
            together.wait(FIRST_ANSWER_S)  # else one thread might serve for two

        for call in [self._threads.submit(first) for _ in range(self._concurrency)]:
            call.result()

    def measure(self, seconds: float) -> dict[str, Any]:
        began_ns = perf_counter_ns()
        end_ns = began_ns + int(seconds * 1e9)
        latencies: list[int] = []
        errors: Counter[str] = Counter()
        for call in [self._threads.submit(self._call_until, end_ns) for _ in range(self._concurrency)]:
            right, wrong = call.result()
            latencies += right
            errors.update(wrong)
        return {"seconds": (perf_counter_ns() - began_ns) / 1e9, "latencies_ns": latencies, "errors": errors}

    def _call_until(self, end_ns: int) -> tuple[list[int], Counter[str]]:
        """Latencies (ns) of right answers, and what else was seen."""
        latencies: list[int] = []
        errors: Counter[str] = Counter()
        while perf_counter_ns() < end_ns:
            event = {"number": next(self._numbers), "text": TEXT}
            began_ns = perf_counter_ns()
            try:
                answer = echo.apply_async((event,), queue=self._queue).get(timeout=ANSWER_S)
            except Exception as exc:  # whatever it is, it is one call that failed
                errors[f"{type(exc).__name__}: {exc}"[:160]] += 1
                continue
            if answer == event:
                latencies.append(perf_counter_ns() - began_ns)
            else:
                errors[f"another event's answer: {answer!r}"[:160]] += 1
        return latencies, errors


def main() -> None:
    caller = Caller(int(sys.argv[1]))
    caller.meet()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(caller.measure(float(line))), flush=True)


if __name__ == "__main__":
    main()
