"""Where in a definition's text a diagnostic's location lies: line and column, for JSON and YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]

import yaml

_BLANKS = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


def places(text: str) -> dict[str, Place]:
    """Location, as diagnostics write it → place of the value's name, or of the value itself in an array.

    Of a text that is neither JSON nor YAML: as far as it could be read.
    """
    found: dict[str, Place] = {}
    try:
        _JsonReader(text, found).value("", 0)
    except (ValueError, IndexError):
        found.clear()
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            return {}
        if root is not None:
            _yaml_node(root, "", found)
    return found


def place_of(location: str | None, known: dict[str, Place]) -> Place | None:
    """The place of `location`, or of the nearest object around it that is there."""
    while location:
        if location in known:
            return known[location]
        location = location[: max(location.rfind("/"), location.rfind("["), 0)]
    return known.get("")


class _JsonReader:
    def __init__(self, text: str, found: dict[str, Place]) -> None:
        self.text = text
        self.found = found

    def _note(self, location: str, position: int) -> None:
        line = self.text.count("\n", 0, position) + 1
        self.found[location] = Place(line, position - self.text.rfind("\n", 0, position))

    def _skip(self, position: int) -> int:
        blanks = _BLANKS.match(self.text, position)
        return blanks.end() if blanks else position

    def value(self, location: str, position: int) -> int:
        """Note what is inside the value; returns the position after it. Raises ValueError, IndexError."""
        position = self._skip(position)
        if not location:
            self._note("", self._expect("{", position) - 1)
        match self.text[position]:
            case "{":
                return self._object(location, position + 1)
            case "[":
                return self._array(location, position + 1)
            case '"':
                return int(scanstring(self.text, position + 1)[1])
        scalar = _SCALAR.match(self.text, position)
        if scalar is None:
            raise ValueError(position)
        return scalar.end()

    def _object(self, location: str, position: int) -> int:
        position = self._skip(position)
        while self.text[position] != "}":
            name, after = scanstring(self.text, self._expect('"', position))
            self._note(f"{location}/{name}", position)
            position = self.value(f"{location}/{name}", self._expect(":", self._skip(after)))
            position = self._next("}", position)
        return position + 1

    def _array(self, location: str, position: int) -> int:
        position, index = self._skip(position), 0
        while self.text[position] != "]":
            self._note(f"{location}[{index}]", position)
            position = self._next("]", self.value(f"{location}[{index}]", position))
            index += 1
        return position + 1

    def _next(self, close: str, position: int) -> int:
        position = self._skip(position)
        return position if self.text[position] == close else self._skip(self._expect(",", position))

    def _expect(self, token: str, position: int) -> int:
        if self.text[position] != token:
            raise ValueError(position)
        return position + 1


def _yaml_node(node: yaml.Node, location: str, found: dict[str, Place]) -> None:
    if not location:
        found[""] = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            below = f"{location}/{name.value}"
            found[below] = Place(name.start_mark.line + 1, name.start_mark.column + 1)
            _yaml_node(value, below, found)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            below = f"{location}[{index}]"
            found[below] = Place(value.start_mark.line + 1, value.start_mark.column + 1)
            _yaml_node(value, below, found)
