"""The steps of a start: a spinner on a terminal, plain lines elsewhere, the time each one took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

#: without a terminal at most one line of progress a second
_QUIET_S = 1.0


class Step:
    """`progress` tells what happens now; `result`, if set, stands on the finished line."""

    def __init__(self, steps: Steps, name: str) -> None:
        self._steps = steps
        self._name = name
        self.result = ""

    def progress(self, text: str) -> None:
        self._steps.progress(self._name, text)


class Steps:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._told_s = 0.0

    @contextlib.contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        started_s = time.monotonic()
        step = Step(self, name)
        self._told_s = 0.0
        if self._console.is_terminal:
            self._status.start()
        step.progress(doing)
        try:
            yield step
        except BaseException:
            self._line("✗", "bold red", name, doing)
            raise
        else:
            took = f"  {time.monotonic() - started_s:.1f} s"
            self._line("✓", "bold green", name, step.result or doing, took)
        finally:
            self._status.stop()

    def progress(self, name: str, text: str) -> None:
        if self._console.is_terminal:
            self._status.update(Text(f"{name}: {text[: max(20, self._console.width - len(name) - 6)]}"))
        elif time.monotonic() - self._told_s > _QUIET_S:
            self._told_s = time.monotonic()
            self._line("·", "dim", name, text)

    def _line(self, mark: str, style: str, name: str, text: str, took: str = "") -> None:
        self._console.print(Text.assemble((mark, style), f" {name:9} ", text, (took, "dim")))
