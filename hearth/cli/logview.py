"""One readable log of all processes: what each printed, with its name before it; colour only on a terminal.

Ours print JSON records (hearth.log), RabbitMQ and Valkey lines of their own; anything else is shown as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import orjson
from rich.console import Console
from rich.text import Text

from hearth.log import fields_text

_COLOURS = {
    "hearth": "bold",
    "gateway": "cyan",
    "fleet": "magenta",
    "broker": "yellow",
    "state": "green",
    "coordination": "green",
}
_LEVELS = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold red"}
_RABBITMQ = re.compile(r"^\S+ (?P<clock>\d\d:\d\d:\d\d)\.\d+\S* \[(?P<level>\w+)\] <[\d.]+> (?P<message>.*)$")
_VALKEY = re.compile(r"^\d+:\w+ \d+ \w+ \d+ (?P<clock>\d\d:\d\d:\d\d)\.\d+ (?P<mark>[.*#-]) (?P<message>.*)$")
#: shown by themselves in the fields, or of no interest to a reader
_OWN = ("t", "level", "logger", "message", "exception")


@dataclass(frozen=True, slots=True)
class Line:
    """`clock` is local time; `level` a name of Python's logging in lower case; `detail` has several lines or none."""

    clock: str
    level: str
    message: str
    detail: str = ""


def parse(text: str) -> Line:
    """What a process printed, taken apart."""
    now = datetime.now().strftime("%H:%M:%S")
    if text.startswith("{"):
        try:
            return _record(orjson.loads(text), now)
        except (orjson.JSONDecodeError, AttributeError, ValueError):
            return Line(now, "info", text)
    if match := _RABBITMQ.match(text):
        return Line(now, match["level"], match["message"])
    if match := _VALKEY.match(text):
        return Line(now, "warning" if match["mark"] == "#" else "info", match["message"])
    return Line(now, "info", text)


def _record(entry: dict[str, object], now: str) -> Line:
    stamp = entry.get("t")
    clock = datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S") if isinstance(stamp, str) else now
    fields = {name: value for name, value in entry.items() if name not in _OWN}
    message = f"{entry.get('message', '')}{fields_text(fields)}"
    return Line(clock, str(entry.get("level", "info")), message, str(entry.get("exception") or ""))


class LogView:
    """Prints lines as they come. `console` decides about colour and where they go."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, name: str, text: str) -> None:
        """An `OnLine`."""
        self.show(name, parse(text))

    def say(self, message: str, level: str = "info") -> None:
        """Our own word in the same log."""
        self.show("hearth", Line(datetime.now().strftime("%H:%M:%S"), level, message))

    def show(self, name: str, line: Line) -> None:
        prefix = Text.assemble((line.clock, "dim"), " ", (f"{name:12}", _COLOURS.get(name, "")), " ")
        style = _LEVELS.get(line.level, "")
        for part in [line.message, *line.detail.splitlines()]:
            self._console.print(prefix + Text(part, style))
