"""Run one service: a first SIGTERM or SIGINT asks it to drain, a second one cuts it short."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

log = logging.getLogger(__name__)


_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int) -> None:
    """Get SIGTERM, and so drain, when the parent is gone, however it went. Raises SystemExit if it is already.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent_pid:  # it went before the line above
        raise SystemExit("the process that this one belongs to is gone")


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stopping)` to its end, on uvloop, in the main thread.

    main: starts the service, waits for `stopping`, drains, stops, returns; its clean-up is its own. When it is cut
    short it is cancelled. What it raises goes to the caller.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(main))


async def until_drained(life: Coroutine[Any, Any, None], stopping: asyncio.Event, *, drain_s: float, left: str) -> None:
    """Await a service's life, which ends by itself after `stopping`; cut it off when that takes longer than drain_s.

    left: what becomes of what it has not finished, for the log. Raises what the life raises.
    """
    living = asyncio.ensure_future(life)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({living, stop}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({living}, timeout=drain_s)
        if not done:
            log.warning("drain time over: %s", left, extra={"action": "drain_over"})
    finally:
        stop.cancel()
        living.cancel()
        await asyncio.wait({living})
    if not living.cancelled():
        living.result()


async def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    service = asyncio.ensure_future(main(stopping))

    def on_signal(number: signal.Signals) -> None:
        if stopping.is_set():
            log.warning("cut short", extra={"action": "cut_short", "signal": number.name})
            service.cancel()
        else:
            log.info("draining", extra={"action": "draining", "signal": number.name})
            stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await service
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
