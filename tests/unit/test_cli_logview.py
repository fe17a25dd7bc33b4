from __future__ import annotations

import io

import pytest
from rich.console import Console

from hearth.cli.logview import LogView, parse


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ('{"t":"2026-01-02T03:04:05+00:00","level":"warning","logger":"a","message":"m","k":1}', "warning", "m k=1"),
        ('{"level":"info","message":"worker ready","action":"worker_ready"}', "info", "worker ready"),
        ("2026-01-02 03:04:05.123456+00:00 [error] <0.12.0> disk is full", "error", "disk is full"),
        ("17:M 25 Nov 2026 21:50:00.617 # out of memory", "warning", "out of memory"),
        ("{no json", "info", "{no json"),
        ("plain words", "info", "plain words"),
    ],
)
def test_line_of_any_process_is_taken_apart(text: str, level: str, message: str) -> None:
    line = parse(text)
    assert (line.level, line.message) == (level, message)


def test_each_line_of_a_stack_trace_carries_the_process_name() -> None:
    out = io.StringIO()
    view = LogView(Console(file=out, width=200))
    view.line("gateway", '{"level":"error","message":"broken","exception":"Traceback\\n  ValueError"}')
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["gateway"] * 3


def test_brackets_in_a_message_are_not_taken_for_markup() -> None:
    out = io.StringIO()
    LogView(Console(file=out, width=200)).line("fleet", "got [bold]x[/bold]")
    assert out.getvalue().endswith("got [bold]x[/bold]\n")
