"""Blocking calls that last for many seconds, each on a thread of its own.

A long poll for messages would hold one of the few threads that all other calls share. Its thread is a daemon: a process
that ends does not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def on_thread(work: Callable[[], T], unwanted: Callable[[T], object]) -> T:
    """What `work` returns or raises. Cancelled, it goes on, and its result is given to `unwanted`, on a thread too."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            if error is None:
                _start(lambda: unwanted(result))  # type: ignore[arg-type]
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        result: T | None = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as exc:
            error = exc
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop has ended
            if error is None:
                unwanted(result)  # type: ignore[arg-type]

    _start(body)
    return await future  # its deadline is that of the work


def _start(body: Callable[[], object]) -> None:
    threading.Thread(target=body, name="long-poll", daemon=True).start()
