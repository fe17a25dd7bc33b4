"""Run one service: a first SIGTERM or SIGINT asks it to drain, a second one cuts it short."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import uvloop

log = logging.getLogger(__name__)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stopping)` to its end, on uvloop, in the main thread.

    main: starts the service, waits for `stopping`, drains, stops, returns; its clean-up is its own. When it is cut
    short it is cancelled. What it raises goes to the caller.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(main))


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
