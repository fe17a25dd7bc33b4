"""How a benchmark is run from the shell: what it is doing goes to stderr, its tables to stdout."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from hearth.embedded.process import StartFailed
from hearth.embedded.stackfile import AlreadyRunning
from hearth.settings import BadSettings


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def execute(run: Callable[[argparse.Namespace], Awaitable[int]], options: argparse.Namespace) -> int:
    """The exit status. SIGTERM ends a run as Ctrl-C does: everything that was started is stopped first."""
    try:
        return uvloop.run(_until_interrupted(run, options))
    except (AlreadyRunning, BadSettings, StartFailed) as exc:
        say(str(exc))
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped")
        return 130


async def _until_interrupted(run: Callable[[argparse.Namespace], Awaitable[int]], options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(options)
