"""Waiting for what will come, with a limit that only a hang exceeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: Callable[[], T], seconds: float = 60.0) -> T:
    """The first true answer."""
    limit = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < limit, f"never came: {what}"
        time.sleep(0.1)
    return answer
