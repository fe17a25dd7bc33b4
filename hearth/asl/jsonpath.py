"""JSONPath as Amazon States Language speaks it: Jayway's dialect, `$$` for the Context object, `$name` for variables.

Compile once (`compile_path`, cached by text), evaluate many times. Two tiers: a *definite* path (names and indexes
only) is a walk over a tuple of keys; everything else is a chain of selectors, each from one value to many. A definite
path gives the value it points to and raises `PathMissing` if there is none; an indefinite one gives a list, empty if
nothing matches. The same tuple of keys writes for ResultPath (`Path.put`).
Sources: Amazon States Language specification, "Paths"; Jayway JsonPath's README and its error texts as Step Functions
shows them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hearth.asl.errors import RESULT_PATH_MATCH_FAILURE, StateError
from hearth.asl.jsonpath_filter import Cursor, InvalidPath, Predicate, parse_filter
from hearth.asl.scope import ABSENT, Json, Scope

__all__ = ["InvalidPath", "Path", "PathMissing", "Root", "compile_path"]

Selector = Callable[[Json, Json], Iterator[Json]]


class Root(enum.Enum):
    INPUT = "$"
    CONTEXT = "$$"
    VARIABLE = "$name"


class PathMissing(Exception):
    """A definite path points to nothing. `reason` is Jayway's text; out_of_range: only an array's index was too big."""

    def __init__(self, path: str, reason: str, *, out_of_range: bool = False) -> None:
        super().__init__(f"Invalid path '{path}' : {reason}")
        self.path = path
        self.out_of_range = out_of_range


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One compiled path. keys: the way of a definite path, str into objects and int into arrays; else None."""

    text: str
    root: Root
    variable: str
    keys: tuple[str | int, ...] | None
    selectors: tuple[Selector, ...] = ()
    #: applied to what the path found: `.length()`
    function: Callable[[Json], Json] | None = None

    @property
    def definite(self) -> bool:
        return self.keys is not None

    @property
    def is_reference(self) -> bool:
        """A Reference Path: points to one place, which may be written to."""
        return self.keys is not None and self.function is None

    def evaluate(self, scope: Scope) -> Json:
        """The value in `scope`. Raises PathMissing."""
        if self.root is Root.INPUT:
            return self.get(scope.input)
        if self.root is Root.CONTEXT:
            return self.get(scope.context)
        value = scope.variables.get(self.variable, ABSENT)
        if value is ABSENT:
            raise PathMissing(self.text, f"No results for path: $['{self.variable}']")
        return self.get(value)

    def get(self, document: Json) -> Json:
        """The value below `document`, the path's root. Raises PathMissing."""
        if self.keys is None:
            found = self._select(document)
            return self.function(found) if self.function else found
        value = document
        for key in self.keys:
            if value.__class__ is dict:
                value = value.get(key, ABSENT)
                if value is ABSENT:
                    raise self._missing(document)
            elif value.__class__ is list and key.__class__ is int and -len(value) <= key < len(value):
                value = value[key]
            else:
                raise self._missing(document)
        return self.function(value) if self.function else value

    def _select(self, document: Json) -> list[Json]:
        values = [document]
        for selector in self.selectors:
            values = [found for value in values for found in selector(value, document)]
        return values

    def _missing(self, document: Json) -> PathMissing:
        """Say where the walk ended, as Jayway does."""
        value, walked = document, "$"
        for number, key in enumerate(self.keys or ()):
            here = f"{walked}['{key}']" if isinstance(key, str) else f"{walked}[{key}]"
            if isinstance(key, str):
                if not isinstance(value, dict):
                    reason = (
                        f"Expected to find an object with property ['{key}'] in path {walked} but found "
                        f"'{_type_name(value)}'."
                    )
                    return PathMissing(self.text, reason)
                if key not in value:
                    last = number == len(self.keys or ()) - 1
                    reason = f"No results for path: {here}" if last else f"Missing property in path {here}"
                    return PathMissing(self.text, reason)
            elif not isinstance(value, list):
                reason = f"Filter: [{key}] can only be applied to arrays. Current context is: {_type_name(value)}"
                return PathMissing(self.text, reason)
            elif not -len(value) <= key < len(value):
                return PathMissing(self.text, f"Index out of bounds when evaluating path {here}", out_of_range=True)
            value, walked = value[key], here
        raise AssertionError(f"{self.text} is not missing")

    def put(self, document: Json, value: Json) -> Json:
        """A copy of `document` with `value` where this Reference Path points; only what lies on the way is copied.

        Objects on the way are made; an array's element must be there already.
        Raises StateError: States.ResultPathMatchFailure.
        """
        return self._put(document, 0, value)

    def _put(self, document: Json, depth: int, value: Json) -> Json:
        assert self.keys is not None
        if depth == len(self.keys):
            return value
        key = self.keys[depth]
        if isinstance(key, str) and isinstance(document, dict):
            return {**document, key: self._put(document.get(key, {}), depth + 1, value)}
        if isinstance(key, int) and isinstance(document, list) and -len(document) <= key < len(document):
            copy = list(document)
            copy[key] = self._put(document[key], depth + 1, value)
            return copy
        cause = (
            f"Unable to apply step \"{_step(key)}\" to input {_type_name(document)} of the ResultPath '{self.text}'."
        )
        raise StateError(RESULT_PATH_MATCH_FAILURE, cause, catchable=True)


def _step(key: str | int) -> str:
    return key if isinstance(key, str) else f"[{key}]"


def _type_name(value: Json) -> str:
    if value is None:
        return "null"
    return {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "number")


@lru_cache(maxsize=8192)
def compile_path(text: str) -> Path:
    """Raises InvalidPath, whose text says what was expected where."""
    cursor = Cursor(text)
    if not cursor.take("$"):
        raise InvalidPath("Path must start with '$'")
    root, variable = Root.INPUT, ""
    if cursor.take("$"):
        root = Root.CONTEXT
    elif not cursor.done and cursor.peek() not in ".[":
        root, variable = Root.VARIABLE, cursor.identifier()
    steps = list(_steps(cursor))
    function = None
    if steps and isinstance(steps[-1], _Function):
        function = steps.pop().call
    if all(isinstance(step, str | int) for step in steps):
        return Path(text, root, variable, tuple(steps), function=function)
    if len(steps) and isinstance(steps[-1], _Merge) and all(isinstance(step, str | int) for step in steps[:-1]):
        # several names at the end of a definite path give one object with what is there of them
        return Path(text, root, variable, tuple(steps[:-1]), function=steps[-1].merged)
    return Path(text, root, variable, None, tuple(_selector(step) for step in steps), function)


@dataclass(frozen=True, slots=True)
class _Function:
    call: Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class _Merge:
    names: tuple[str, ...]

    def merged(self, value: Json) -> Json:
        return {name: value[name] for name in self.names if name in value} if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class _Indexes:
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Filter:
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class _Scan:
    """`..step`: the step below every node."""

    step: Any


_WILDCARD = object()


def _steps(cursor: Cursor) -> Iterator[Any]:
    while not cursor.done:
        if cursor.take(".."):
            step = _bracket(cursor) if cursor.peek() == "[" else _name(cursor)
            yield _Scan(step)
        elif cursor.take("."):
            yield _bracket(cursor) if cursor.peek() == "[" else _name(cursor)
        elif cursor.peek() == "[":
            yield _bracket(cursor)
        else:
            raise InvalidPath(f"Unexpected character '{cursor.peek()}' at position {cursor.position}")


def _name(cursor: Cursor) -> Any:
    if cursor.done:
        raise InvalidPath("Path must not end with a '.' or '..'")
    if cursor.take("*"):
        return _WILDCARD
    name = cursor.until(".[( ")
    if cursor.peek() == " ":
        raise InvalidPath("Use bracket notion ['my prop'] if your property contains blank characters.")
    if cursor.take("("):
        if name not in _FUNCTIONS or not cursor.take(")") or not cursor.done:
            raise InvalidPath(f"Function with name: {name} does not exist.")
        return _Function(_FUNCTIONS[name])
    if not name:
        raise InvalidPath(f"Character '{cursor.peek()}' on position {cursor.position} is not valid.")
    return name


def _bracket(cursor: Cursor) -> Any:
    cursor.expect("[")
    cursor.blanks()
    if cursor.take("*"):
        step: Any = _WILDCARD
    elif cursor.take("?"):
        cursor.blanks()
        cursor.expect("(")
        step = _Filter(parse_filter(cursor, _relative_path))
        cursor.blanks()
        cursor.expect(")")
    elif cursor.peek() and cursor.peek() in "'\"":
        names = [cursor.quoted()]
        cursor.blanks()
        while cursor.take(","):
            cursor.blanks()
            names.append(cursor.quoted())
            cursor.blanks()
        step = names[0] if len(names) == 1 else _Merge(tuple(names))
    else:
        step = _indexes(cursor)
    cursor.blanks()
    cursor.expect("]")
    return step


def _indexes(cursor: Cursor) -> Any:
    first = cursor.integer()
    cursor.blanks()
    if cursor.take(":"):
        cursor.blanks()
        return slice(first, cursor.integer())
    if first is None:
        raise InvalidPath("'[' must be followed by ' or '['")
    indexes = [first]
    while cursor.take(","):
        cursor.blanks()
        index = cursor.integer()
        if index is None:
            raise InvalidPath(f"Expected an index at position {cursor.position}")
        indexes.append(index)
        cursor.blanks()
    return first if len(indexes) == 1 else _Indexes(tuple(indexes))


def _relative_path(text: str) -> Callable[[Json, Json], Json]:
    """A path inside a filter: `@…` below the node, `$…` below the document; ABSENT if it finds nothing."""
    path = compile_path(f"${text[1:]}")
    of_document = text.startswith("$")

    def value(node: Json, document: Json) -> Json:
        try:
            return path.get(document if of_document else node)
        except PathMissing:
            return ABSENT

    return value


def _selector(step: Any) -> Selector:
    if isinstance(step, _Scan):
        return _scan(step.step)
    if isinstance(step, str):
        return lambda value, _: iter((value[step],) if isinstance(value, dict) and step in value else ())
    if isinstance(step, int):
        return lambda value, _: iter(_at(value, step))
    if isinstance(step, slice):
        return lambda value, _: iter(value[step] if isinstance(value, list) else ())
    if isinstance(step, _Indexes):
        return lambda value, _: (found for index in step.indexes for found in _at(value, index))
    if isinstance(step, _Merge):
        return lambda value, _: (value[name] for name in step.names if isinstance(value, dict) and name in value)
    if isinstance(step, _Filter):
        return _filtered(step.predicate)
    return lambda value, _: iter(_children(value))


def _at(value: Json, index: int) -> tuple[Json, ...]:
    return (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()


def _children(value: Json) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _filtered(predicate: Predicate) -> Selector:
    def select(value: Json, document: Json) -> Iterator[Json]:
        # of an object the filter asks the object itself, not its members
        candidates = value if isinstance(value, list) else (value,) if isinstance(value, dict) else ()
        return (node for node in candidates if predicate(node, document))

    return select


def _scan(step: Any) -> Selector:
    below = _selector(step)

    def select(value: Json, document: Json) -> Iterator[Json]:
        for node in _nodes(value):
            # an array's elements are nodes themselves: a filter would take them twice
            if not (isinstance(step, _Filter) and isinstance(node, list)):
                yield from below(node, document)

    return select


def _nodes(value: Json) -> Iterator[Json]:
    """The value and all containers below it, parents first."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(child for child in reversed(list(_children(node))) if isinstance(child, dict | list))


def _length(value: Json) -> Json:
    return len(value) if isinstance(value, dict | list | str) else None


def _numbers(fold: Callable[[list[Any]], Json]) -> Callable[[Json], Json]:
    def call(value: Json) -> Json:
        numbers = [item for item in _children(value) if isinstance(item, int | float) and not isinstance(item, bool)]
        return fold(numbers) if numbers else None

    return call


_FUNCTIONS: dict[str, Callable[[Json], Json]] = {
    "length": _length,
    "size": _length,
    "min": _numbers(min),
    "max": _numbers(max),
    "sum": _numbers(sum),
    "avg": _numbers(lambda numbers: sum(numbers) / len(numbers)),
    "keys": lambda value: list(value) if isinstance(value, dict) else None,
}
