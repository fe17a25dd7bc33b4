"""JSONata expressions, `{% $states.input.name %}`: the one adapter around the `jsonatapy` library, and its guards.

What the adapter adds to the library: `$states` and variables are bound only as far as an expression mentions them (the
library converts every bound value at every evaluation); plain paths into objects are walked here without it; undefined
is told apart from null; time, stack and sequences are bounded; Step Functions' own functions are there and `$eval` is
not; failures carry AWS's texts. The library's objects belong to one thread, so compiled ones are kept per thread.
Sources: docs.jsonata.org; Step Functions Developer Guide, "Transforming data with JSONata"; the recorded texts in the
API's answers.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonatapy
import orjson

from hearth.asl.errors import query_error
from hearth.asl.intrinsics import HASHES, compact
from hearth.asl.java_random import JavaRandom
from hearth.asl.jsonata_syntax import Mentions, SyntaxProblem, mentions
from hearth.asl.scope import ABSENT, Constant, Expression, Json, Scope

TIMEOUT_MS = 1_000
MAX_STACK_DEPTH = 500
#: 256 KiB of JSON hold 131,072 numbers
MAX_SEQUENCE = 200_000
#: the service refuses longer strings
MAX_STRING = 1 << 22
_CACHED_PER_THREAD = 2_048

OPEN, CLOSE = "{%", "%}"

_NAME = re.compile(r"\$([^\s.\[\]{}(),@#;:?+\-*/%|=<>^&!~\"'`$]+)")
_STATES_PART = re.compile(r"\s*\.\s*(input|context|result|errorOutput)\b(?:\s*\.\s*([A-Za-z_]\w*))?\s*")
_PLAIN_PATH = re.compile(r"\$([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)\Z")
_OVERFLOWS = re.compile(r"[/*]|\$power|\$number|\$sum")
_CODE = re.compile(r"\b([A-Z]\d{4}): (.*)", re.DOTALL)

#: codes of the library's bounds, in the service's words
_BOUNDS = {
    "D1011": "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
    "D1012": "Expression evaluation timeout: Check for infinite loop",
    "D2015": "Expression evaluation memory limit exceeded: Check for excessive memory usage",
    "U1001": "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
}
#: where the library says more than the service does
_TEXTS = {"T1006": "Attempted to invoke a non-function"}


def is_expression(value: Json) -> bool:
    """Only a whole string between the marks is an expression; blanks outside them make it a literal."""
    return isinstance(value, str) and value.startswith(OPEN) and value.endswith(CLOSE) and len(value) >= 4


def source_of(value: str) -> str:
    return value[len(OPEN) : -len(CLOSE)].strip()


class InvalidExpression(ValueError):
    """The text is not JSONata; `str()` is the parser's text without its code."""


class _Program:
    """A compiled expression of this thread."""

    __slots__ = ("expression", "scope")

    def __init__(self, source: str) -> None:
        _parse(source)  # alone first: `1), "x":(2` must not end the wrapper early
        self.scope: Scope | None = None
        wrapped = f'($__r:=({source}\n);{{"t":$type($__r),"r":$__r}})'
        self.expression = _parse(wrapped)  # fails where the library overlooks a comment without end
        for name, function in _FUNCTIONS.items():
            if f"${name}" in source:
                register = self.expression.register_override if name in _OVERRIDES else self.expression.register
                register(name, _bound(function, self))

    def run(self, bindings: dict[str, Json], scope: Scope) -> tuple[str, Json]:
        """(JSONata's type, value); ("", ABSENT) for undefined. Raises ValueError with the library's text."""
        self.scope = scope
        try:
            answer = self.expression.evaluate(
                None,
                bindings,
                timeout=TIMEOUT_MS,
                max_stack_depth=MAX_STACK_DEPTH,
                max_sequence_length=MAX_SEQUENCE,
            )
        finally:
            self.scope = None
        return (answer["t"], answer.get("r")) if answer else ("", ABSENT)


def _parse(source: str) -> jsonatapy.JsonataExpression:
    try:
        return jsonatapy.compile(source)
    except ValueError as exc:
        text = _CODE.sub(r"\2", str(exc).removeprefix("Parse error: ").removeprefix("Invalid syntax: "))
        try:
            mentions(source)
        except SyntaxProblem as problem:
            text = str(problem)
        except RecursionError:
            pass
        raise InvalidExpression(text) from exc


class _Cache(threading.local):
    def __init__(self) -> None:
        self.programs: OrderedDict[str, _Program] = OrderedDict()


_cache = _Cache()


def _program(source: str) -> _Program:
    programs = _cache.programs
    program = programs.get(source)
    if program is None:
        program = programs[source] = _Program(source)
        if len(programs) > _CACHED_PER_THREAD:
            programs.popitem(last=False)
    return program


@dataclass(frozen=True, slots=True)
class Jsonata:
    """One expression and the field it stands in.

    location: the field below its state, `Output/a/b`. expected: the type its value must have, "" for any.
    """

    source: str
    location: str
    expected: str
    #: names it may read; functions and names of its own among them
    names: frozenset[str]
    #: members of $states it reads → top-level keys of that member it reads (None: any); None: all of $states
    states: dict[str, frozenset[str] | None] | None
    #: of a plain path: what it starts at and the keys from there
    path: tuple[str, ...] | None
    overflows: bool
    #: None where only the library understands the expression
    mentions: Mentions | None

    @property
    def variables(self) -> frozenset[str]:
        """Variables it reads."""
        names = self.names if self.mentions is None else self.mentions.variables
        return names - FUNCTION_NAMES - {"states"}

    def evaluate(self, scope: Scope) -> Json:
        kind, value = self._value(scope)
        if value is ABSENT:
            raise query_error(f"{self._prefix} returned nothing (undefined).", self.location)
        if kind == "function":
            raise query_error(f"{self._prefix} returned an unsupported result type.", self.location)
        if self.expected and kind != self.expected and not (self.expected == "integer" and _is_integer(value)):
            raise self.unexpected(self.expected, value)
        return value

    def unexpected(self, expected: str, value: Json) -> Exception:
        """The value is not of the type that the field takes."""
        return query_error(
            f"{self._prefix} returned an unexpected result type. Expected '{expected}', but was "
            f"'{type_name(value)}' for value: {compact(value)}",
            self.location,
        )

    @property
    def _prefix(self) -> str:
        return f"The JSONata expression '{self.source}' specified for the field '{self.location}'"

    def _value(self, scope: Scope) -> tuple[str, Json]:
        if self.path is not None:
            value = self._walk(self.path, scope)
            if value is not _NOT_PLAIN:
                return type_name(value), value
        try:
            kind, value = _program(self.source).run(self._bindings(scope), scope)
        except ValueError as exc:
            raise self._failure(str(exc)) from exc
        except (OverflowError, TypeError) as exc:
            # an integer beyond 64 bits, or text that is not Unicode, among what it reads
            raise query_error(f"{self._prefix} threw an error during evaluation. D1001: {exc}", self.location) from exc
        except BaseException as exc:
            if type(exc).__name__ != "PanicException":
                raise
            raise query_error(f"{self._prefix} threw an internal error during evaluation.", self.location) from exc
        if isinstance(value, str) and len(value) > MAX_STRING:
            raise self._failure("D2015: ")
        return kind, _finite(value) if self.overflows else value

    def _failure(self, text: str) -> Exception:
        found = _CODE.search(text)
        code, message = found.groups() if found else ("", text)
        if code in _BOUNDS:
            return query_error(f"{self._prefix} threw an error during evaluation: {_BOUNDS[code]}", self.location)
        reason = f"{code}: {_TEXTS.get(code, message)}" if code else message
        return query_error(f"{self._prefix} threw an error during evaluation. {reason}", self.location)

    def _bindings(self, scope: Scope) -> dict[str, Json]:
        # $eval would run text that nobody has checked
        bindings: dict[str, Json] = {"eval": None} if "eval" in self.names else {}
        variables = scope.variables
        for name in self.names:
            if name in variables:
                bindings[name] = variables[name]
        if "states" in self.names:
            bindings["states"] = self._states(scope)
        return bindings

    def _states(self, scope: Scope) -> dict[str, Json]:
        members = _members(scope)
        if self.states is None:
            return members
        narrowed = {}
        for name, keys in self.states.items():
            if name in members:
                value = members[name]
                if keys is not None and value.__class__ is dict:
                    value = {key: value[key] for key in keys if key in value}
                narrowed[name] = value
        return narrowed

    @staticmethod
    def _walk(path: tuple[str, ...], scope: Scope) -> Json:
        """The value of a path that meets nothing but objects on its way; else _NOT_PLAIN."""
        value: Json = scope.variables.get(path[0], ABSENT) if path[0] != "states" else _members(scope)
        if value is ABSENT:
            return _NOT_PLAIN  # a function of that name, perhaps
        for key in path[1:]:
            if value.__class__ is not dict:
                return _NOT_PLAIN
            value = value.get(key, ABSENT)
        # a float that is whole is written without a fraction, so such values take the long way
        return _NOT_PLAIN if value.__class__ is float else value


_NOT_PLAIN = object()


def _members(scope: Scope) -> dict[str, Json]:
    members = {"input": scope.input, "context": scope.context}
    if scope.result is not ABSENT:
        members["result"] = scope.result
    if scope.error_output is not ABSENT:
        members["errorOutput"] = scope.error_output
    return members


def check_source(source: str) -> None:
    """Raises InvalidExpression."""
    _program(source)


def compile_jsonata(source: str, location: str, expected: str = "") -> Jsonata:
    """Raises InvalidExpression."""
    check_source(source)
    plain = _PLAIN_PATH.match(source)
    path = (plain[1], *plain[2].split(".")[1:]) if plain else None
    if path == ("states",):
        path = None
    return Jsonata(
        source,
        location,
        expected,
        frozenset(_NAME.findall(source)),
        _states_read(source),
        path,
        bool(_OVERFLOWS.search(source)),
        _mentions(source),
    )


def _mentions(source: str) -> Mentions | None:
    try:
        return mentions(source)
    except (SyntaxProblem, RecursionError):
        return None


def _states_read(source: str) -> dict[str, frozenset[str] | None] | None:
    """Which parts of $states an expression can reach, read from its text; more rather than fewer."""
    read: dict[str, frozenset[str] | None] = {}
    for mention in re.finditer(r"\$states\b", source):
        part = _STATES_PART.match(source, mention.end())
        if not part:
            return None
        name, key = part.groups()
        # `%` looks at parents, a call or a binding looks at the whole
        narrow = key is not None and "%" not in source and source[part.end() : part.end() + 1] not in tuple("(@#:")
        before = read.get(name, frozenset())
        read[name] = before | {key} if narrow and key is not None and before is not None else None
    return read


def type_name(value: Json) -> str:
    """A value's type in JSONata's and AWS's words."""
    if value is None:
        return "null"
    return {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "number")


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Json) -> Json:
    """Numbers that JSON can't write become their names, as in the service's answers."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_finite(member) for member in value]
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class JsonataObject:
    members: tuple[tuple[str, Expression], ...]

    def evaluate(self, scope: Scope) -> Json:
        return {key: expression.evaluate(scope) for key, expression in self.members}


@dataclass(frozen=True, slots=True)
class JsonataArray:
    members: tuple[Expression, ...]

    def evaluate(self, scope: Scope) -> Json:
        return [member.evaluate(scope) for member in self.members]


def compile_value(value: Json, location: str, expected: str = "") -> Expression:
    """A JSON structure with expressions anywhere among its values. Raises InvalidExpression."""
    if is_expression(value):
        return compile_jsonata(source_of(value), location, expected)
    if isinstance(value, dict):
        members = tuple((key, compile_value(member, f"{location}/{key}")) for key, member in value.items())
        if all(isinstance(member, Constant) for _, member in members):
            return Constant(value)
        return JsonataObject(members)
    if isinstance(value, list):
        elements = tuple(compile_value(element, f"{location}[{index}]") for index, element in enumerate(value))
        if all(isinstance(element, Constant) for element in elements):
            return Constant(value)
        return JsonataArray(elements)
    return Constant(value)


# Step Functions' own functions. Each gets the scope, then what the expression passes; `$map` and its like pass more
# arguments than a function takes.


def _bound(function: Callable[..., Json], program: _Program) -> Callable[..., Json]:
    return lambda *arguments: function(program.scope, *arguments)


def _partition(scope: Scope, array: Json = None, size: Json = None, *_: Json) -> Json:
    if array is None:
        return None
    step = int(size)
    if not isinstance(array, list) or step < 1:
        raise ValueError("T0410: $partition takes an array and a positive number")
    return [array[start : start + step] for start in range(0, len(array), step)]


def _range(scope: Scope, first: Json = None, last: Json = None, step: Json = None, *_: Json) -> Json:
    if not all(isinstance(value, int | float) for value in (first, last, step)) or step == 0:
        raise ValueError("T0410: $range takes three numbers, the last of them not 0")
    count = math.floor((last - first) / step) + 1
    if count > MAX_SEQUENCE:
        raise ValueError("D2015: ")
    values = [first + index * step for index in range(max(count, 0))]
    # the service gives a sequence, of which one value alone is that value
    return values[0] if len(values) == 1 else values


def _hash(scope: Scope, text: Json = None, algorithm: Json = None, *_: Json) -> Json:
    if algorithm not in HASHES or not isinstance(text, str):
        raise ValueError(f"T0410: $hash takes a string and one of {', '.join(HASHES)}")
    return hashlib.new(HASHES[algorithm], text.encode()).hexdigest()


def _random(scope: Scope, seed: Json = None, *_: Json) -> Json:
    return JavaRandom(int(seed)).next_double() if isinstance(seed, int | float) else scope.random.random()


def _uuid(scope: Scope, *_: Json) -> Json:
    return scope.uuid()


def _parse_json(scope: Scope, text: Json = None, *_: Json) -> Json:
    if not isinstance(text, str):
        raise ValueError("T0410: $parse takes a string")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"D3120: $parse was not given JSON: {exc}") from exc


def _millis(scope: Scope, *_: Json) -> Json:
    return scope.time_ms()


def _now(scope: Scope, picture: Json = None, timezone: Json = None, *_: Json) -> Json:
    format_time = jsonatapy.compile("$fromMillis($at, $picture, $timezone)" if picture else "$fromMillis($at)")
    bindings = {"at": scope.time_ms(), "picture": picture, "timezone": timezone or "+0000"}
    return format_time.evaluate(None, bindings)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": _uuid,
    "parse": _parse_json,
    "millis": _millis,
    "now": _now,
}
#: those that the library has, in another form
_OVERRIDES = frozenset({"random", "millis", "now"})
_BUILT_IN = """
abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl decodeUrlComponent
distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase formatInteger formatNumber
fromMillis join keys length lookup lowercase map match max merge millis min not now number pad parseInteger power random
reduce replace reverse round shuffle sift single sort split spread sqrt string substring substringAfter substringBefore
sum toMillis trim type uppercase zip
"""
FUNCTION_NAMES = frozenset(_BUILT_IN.split()) | _FUNCTIONS.keys()
