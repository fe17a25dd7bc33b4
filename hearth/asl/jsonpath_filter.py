"""The filters of JSONPath, `[?(@.price < 10 && @.tags)]`: read into a predicate over (node, document).

Also the cursor with which both parsers read a path's text. Values of different types are never equal or ordered; a path
that finds nothing equals nothing. Source: Jayway JsonPath's README, "Filter operators".
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jsonatapy
import orjson

from hearth.asl.scope import ABSENT, Json

Predicate = Callable[[Json, Json], bool]
Operand = Callable[[Json, Json], Json]
_RelativePath = Callable[[str], Operand]


class InvalidPath(ValueError):
    """The text is not a path."""


class Cursor:
    """A position in a path's text."""

    __slots__ = ("position", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def done(self) -> bool:
        return self.position >= len(self.text)

    def peek(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.position : self.position + 1]

    def take(self, token: str) -> bool:
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            found = f"'{self.peek()}'" if self.peek() else "the end"
            raise InvalidPath(f"Expected '{token}' at position {self.position}, found {found}")

    def blanks(self) -> None:
        while self.peek() == " ":
            self.position += 1

    def until(self, stops: str) -> str:
        start = self.position
        while not self.done and self.text[self.position] not in stops:
            self.position += 1
        return self.text[start : self.position]

    def identifier(self) -> str:
        start = self.position
        while not self.done and (self.peek() == "_" or self.peek().isalnum()):
            self.position += 1
        name = self.text[start : self.position]
        if not name.isidentifier():
            raise InvalidPath(f"'{name or self.peek()}' is not a variable's name")
        return name

    def integer(self) -> int | None:
        start = self.position
        self.take("-")
        while self.peek().isdecimal():
            self.position += 1
        digits = self.text[start : self.position]
        if digits in ("", "-"):
            self.position = start
            return None
        return int(digits)

    def quoted(self) -> str:
        """A string in single or double quotes; a backslash keeps a quote of their kind, or another backslash."""
        quote = self.peek()
        if not quote or quote not in "'\"":
            raise InvalidPath(f"Expected a quoted name at position {self.position}")
        self.position += 1
        text = []
        while not self.take(quote):
            if self.peek() == "\\" and self.text[self.position + 1 : self.position + 2] in (quote, "\\"):
                self.position += 1
            if self.done:
                raise InvalidPath(
                    "Property must be separated by comma or Property must be terminated close square bracket at "
                    f"index {self.position}"
                )
            text.append(self.peek())
            self.position += 1
        return "".join(text)


def parse_filter(cursor: Cursor, relative_path: _RelativePath) -> Predicate:
    """What stands between `?(` and `)`. relative_path: compiles an operand that is a path."""
    return _Parser(cursor, relative_path).either()


class _Parser:
    def __init__(self, cursor: Cursor, relative_path: _RelativePath) -> None:
        self.cursor = cursor
        self.relative_path = relative_path

    def either(self) -> Predicate:
        left = self.both()
        while self._token("||"):
            left = _or(left, self.both())
        return left

    def both(self) -> Predicate:
        left = self.negated()
        while self._token("&&"):
            left = _and(left, self.negated())
        return left

    def negated(self) -> Predicate:
        if self._token("!"):
            inner = self.negated()
            return lambda node, document: not inner(node, document)
        if self._token("("):
            inner = self.either()
            self.cursor.blanks()
            self.cursor.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Predicate:
        left = self.operand()
        self.cursor.blanks()
        for name, compare in _OPERATORS:
            if self.cursor.take(name):
                self.cursor.blanks()
                right = _regex(self.cursor) if name == "=~" else self.operand()
                return lambda node, document, compare=compare: compare(left(node, document), right(node, document))  # type: ignore[misc]
        return lambda node, document: left(node, document) is not ABSENT

    def operand(self) -> Operand:
        cursor = self.cursor
        cursor.blanks()
        if cursor.peek() and cursor.peek() in "@$":
            return self.relative_path(_path_text(cursor))
        if cursor.peek() and cursor.peek() in "'\"":
            text = cursor.quoted()
            return lambda node, document: text
        if cursor.take("["):
            return self._list()
        word = cursor.until(" ,)]=!<>&|")
        try:
            value = orjson.loads(word)
        except orjson.JSONDecodeError:
            raise InvalidPath(f"Could not parse token starting at position {cursor.position - len(word)}") from None
        return lambda node, document: value

    def _list(self) -> Operand:
        members: list[Operand] = []
        while not self.cursor.take("]"):
            members.append(self.operand())
            self.cursor.blanks()
            self.cursor.take(",")
            self.cursor.blanks()
            if self.cursor.done:
                raise InvalidPath("Expected ']' at the end of a list")
        return lambda node, document: [member(node, document) for member in members]

    def _token(self, token: str) -> bool:
        self.cursor.blanks()
        return self.cursor.take(token)


def _and(left: Predicate, right: Predicate) -> Predicate:
    return lambda node, document: left(node, document) and right(node, document)


def _or(left: Predicate, right: Predicate) -> Predicate:
    return lambda node, document: left(node, document) or right(node, document)


def _path_text(cursor: Cursor) -> str:
    """The text of a path inside a filter: up to an operator or bracket of the filter's own."""
    start = cursor.position
    depth = 0
    while not cursor.done:
        character = cursor.peek()
        if character in "'\"" and depth:
            cursor.quoted()
            continue
        if character in "[(":
            depth += 1
        elif character in "])":
            if not depth:
                break
            depth -= 1
        elif not depth and character in " ,=!<>&|":
            break
        cursor.position += 1
    return cursor.text[start : cursor.position]


def _regex(cursor: Cursor) -> Operand:
    """`/pattern/i`, run by the JSONata library: its engine takes linear time whatever the pattern."""
    cursor.expect("/")
    pattern = ""
    while not cursor.take("/"):
        if cursor.done:
            raise InvalidPath("Expected '/' at the end of a regular expression")
        if cursor.peek() == "\\":
            pattern += "\\"
            cursor.position += 1
        pattern += cursor.peek()
        cursor.position += 1
    flags = "i" if cursor.take("i") else ""
    source = f"$contains(text, /^(?:{pattern})$/{flags})"
    try:
        jsonatapy.compile(source)
    except ValueError as exc:
        raise InvalidPath(f"not a regular expression: {pattern}") from exc
    return lambda node, document: source


def _matches(text: Json, source: str) -> bool:
    return isinstance(text, str) and jsonatapy.compile(source).evaluate({"text": text}) is True


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def _same(left: Json, right: Json) -> bool:
    return left is not ABSENT and right is not ABSENT and _kind(left) == _kind(right) and bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Json, Json], bool]:
    def ordered(left: Json, right: Json) -> bool:
        return _kind(left) == _kind(right) and _kind(left) in ("number", "str") and compare(left, right)

    return ordered


def _in(left: Json, right: Json) -> bool:
    return isinstance(right, list) and any(_same(left, member) for member in right)


def _contains(left: Json, right: Json) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    return _in(right, left)


# in this order, since some begin like others
_OPERATORS: list[tuple[str, Callable[[Json, Any], bool]]] = [
    ("==", _same),
    ("!=", lambda left, right: not _same(left, right)),
    ("<=", _ordered(operator.le)),
    ("<", _ordered(operator.lt)),
    (">=", _ordered(operator.ge)),
    (">", _ordered(operator.gt)),
    ("=~", _matches),
    ("in ", _in),
    ("nin ", lambda left, right: not _in(left, right)),
    ("subsetof ", lambda left, right: isinstance(left, list) and all(_in(member, right) for member in left)),
    ("contains ", _contains),
    ("size ", lambda left, right: isinstance(left, str | list) and len(left) == right),
    ("empty ", lambda left, right: isinstance(left, str | list) and (not left) is right),
]
