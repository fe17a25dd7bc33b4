"""The intrinsic functions of JSONPath states, `States.Format('{}', $.name)`: read once, called many times.

Failures are States.IntrinsicFailure, which Catch takes; AWS's texts for them are not public, these say what was wrong.
Source: Step Functions Developer Guide, "Intrinsics for JSONPath states".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import orjson

from hearth.asl.errors import intrinsic_failure
from hearth.asl.java_random import JavaRandom
from hearth.asl.jsonpath import InvalidPath, Path, compile_path
from hearth.asl.scope import Constant, Expression, Json, Scope

MAX_DEPTH = 10
#: of what is encoded, decoded or hashed, in characters
MAX_TEXT = 10_000
MAX_RANGE = 1_000
HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}

_NAME = re.compile(r"States\.[A-Za-z0-9]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


class InvalidIntrinsic(ValueError):
    """The text is not a call of an intrinsic function."""


@dataclass(frozen=True, slots=True)
class _Literal:
    """A string in quotes. pieces: its text between the places `{}` for States.Format; escaped braces are no places."""

    pieces: tuple[str, ...]

    def evaluate(self, scope: Scope) -> Json:
        return "{}".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Call:
    """A compiled call. paths: every path among its arguments, nested calls' included."""

    name: str
    function: Callable[..., Json]
    arguments: tuple[Expression, ...]
    paths: tuple[Path, ...]

    def evaluate(self, scope: Scope) -> Json:
        """Raises StateError, PathMissing."""
        values = [argument.evaluate(scope) for argument in self.arguments]
        try:
            return self.function(scope, *values) if self.function in _IMPURE else self.function(*values)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            # values of a type or size that the function does not take
            raise intrinsic_failure(f"The function '{self.name}' had the following error: {exc}") from exc


@lru_cache(maxsize=4096)
def compile_intrinsic(text: str) -> Call:
    """Raises InvalidIntrinsic."""
    reader = _Reader(text)
    call = reader.call(1)
    if reader.rest:
        raise InvalidIntrinsic(f"unexpected text after the call: {reader.rest}")
    return call


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def rest(self) -> str:
        return self.text[self.position :].strip()

    def call(self, depth: int) -> Call:
        if depth > MAX_DEPTH:
            raise InvalidIntrinsic(f"calls are nested deeper than {MAX_DEPTH}")
        name = self._match(_NAME)
        if name not in FUNCTIONS:
            raise InvalidIntrinsic(f"no intrinsic function: {name or self.rest}")
        function, fewest, most = FUNCTIONS[name]
        self._expect("(")
        arguments: list[Expression] = []
        while not self._take(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._argument(depth))
        if not fewest <= len(arguments) <= most:
            raise InvalidIntrinsic(f"{name} does not take {len(arguments)} arguments")
        paths: list[Path] = []
        for argument in arguments:
            paths += argument.paths if isinstance(argument, Call) else [argument] if isinstance(argument, Path) else []
        if function is _format and isinstance(arguments[0], _Literal):
            return Call(name, partial(_fill, arguments[0].pieces), tuple(arguments[1:]), tuple(paths))
        return Call(name, function, tuple(arguments), tuple(paths))

    def _argument(self, depth: int) -> Expression:
        self._blanks()
        character = self.text[self.position : self.position + 1]
        if character == "'":
            return self._string()
        if character == "$":
            return self._path()
        if character == "S":
            return self.call(depth + 1)
        number = self._match(_NUMBER)
        if number:
            return Constant(orjson.loads(number))
        for word, value in _WORDS.items():
            if self._take(word):
                return Constant(value)
        raise InvalidIntrinsic(f"not an argument: {self.rest}")

    def _string(self) -> _Literal:
        self.position += 1
        pieces: list[str] = []
        text: list[str] = []
        while True:
            character = self.text[self.position : self.position + 1]
            self.position += 1
            if character == "":
                raise InvalidIntrinsic("a string does not end")
            if character == "'":
                return _Literal((*pieces, "".join(text)))
            if character == "\\":
                escaped = self.text[self.position : self.position + 1]
                if escaped not in ("'", "\\", "{", "}"):
                    raise InvalidIntrinsic(f"not an escape: \\{escaped}")
                self.position += 1
                text.append(escaped)
            elif self.text.startswith("{}", self.position - 1):
                self.position += 1
                pieces.append("".join(text))
                text.clear()
            else:
                text.append(character)

    def _path(self) -> Path:
        """Up to the comma or parenthesis that isn't the path's own."""
        start, depth, quote = self.position, 0, ""
        while self.position < len(self.text):
            character = self.text[self.position]
            if quote:
                if character == "\\":
                    self.position += 1
                elif character == quote:
                    quote = ""
            elif character in "'\"" and depth:
                quote = character
            elif character in "[(":
                depth += 1
            elif character in "])":
                if not depth:
                    break
                depth -= 1
            elif character == "," and not depth:
                break
            self.position += 1
        try:
            return compile_path(self.text[start : self.position].strip())
        except InvalidPath as exc:
            raise InvalidIntrinsic(str(exc)) from exc

    def _match(self, pattern: re.Pattern[str]) -> str:
        self._blanks()
        found = pattern.match(self.text, self.position)
        if not found:
            return ""
        self.position = found.end()
        return found.group()

    def _take(self, token: str) -> bool:
        self._blanks()
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise InvalidIntrinsic(f"expected '{token}' before: {self.rest}")

    def _blanks(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1


def same(left: Json, right: Json) -> bool:
    """JSON equality at any depth: true is not 1, 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def _needs(condition: bool, function: str, what: str) -> None:
    if not condition:
        raise intrinsic_failure(f"The function '{function}' had the following error: {what}")


def _number(value: Json, function: str) -> float:
    _needs(isinstance(value, int | float) and not isinstance(value, bool), function, "The arguments must be numbers")
    return value


def _array_of(value: Json, function: str) -> list[Json]:
    _needs(isinstance(value, list), function, "The first argument must be an array")
    return value


def _text_of(value: Json, function: str) -> str:
    _needs(isinstance(value, str), function, "The arguments must be strings")
    return value


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)


def compact(value: Json) -> str:
    """JSON text without blanks."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, nesting beyond its depth
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _array(*values: Json) -> Json:
    return list(values)


def _array_partition(array: Json, size: Json) -> Json:
    name = "States.ArrayPartition"
    array = _array_of(array, name)
    step = int(_number(size, name))
    _needs(step > 0, name, "The chunk size must be a positive integer")
    return [array[start : start + step] for start in range(0, len(array), step)]


def _array_contains(array: Json, value: Json) -> Json:
    return any(same(member, value) for member in _array_of(array, "States.ArrayContains"))


def _array_range(first: Json, last: Json, step: Json) -> Json:
    name = "States.ArrayRange"
    start, end, by = (_half_up(_number(value, name)) for value in (first, last, step))
    _needs(by != 0, name, "The step must not be 0")
    values = range(start, end + (1 if by > 0 else -1), by)
    _needs(len(values) <= MAX_RANGE, name, f"The array would have more than {MAX_RANGE} elements")
    return list(values)


def _array_get_item(array: Json, index: Json) -> Json:
    name = "States.ArrayGetItem"
    array = _array_of(array, name)
    position = int(_number(index, name))
    _needs(0 <= position < len(array), name, "The index is outside the array")
    return array[position]


def _array_length(array: Json) -> Json:
    return len(_array_of(array, "States.ArrayLength"))


def _array_unique(array: Json) -> Json:
    unique: list[Json] = []
    seen: set[str] = set()
    for member in _array_of(array, "States.ArrayUnique"):
        # whole floats and integers are one number
        key = orjson.dumps(_canonical(member), option=orjson.OPT_SORT_KEYS).decode()
        if key not in seen:
            seen.add(key)
            unique.append(member)
    return unique


def _canonical(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    if isinstance(value, dict):
        return {key: _canonical(member) for key, member in value.items()}
    return value


def _base64_encode(text: Json) -> Json:
    name = "States.Base64Encode"
    _needs(len(_text_of(text, name)) <= MAX_TEXT, name, f"The text is longer than {MAX_TEXT} characters")
    return base64.b64encode(text.encode()).decode()


def _base64_decode(text: Json) -> Json:
    name = "States.Base64Decode"
    _needs(len(_text_of(text, name)) <= MAX_TEXT, name, f"The text is longer than {MAX_TEXT} characters")
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as exc:
        raise intrinsic_failure(f"The function '{name}' had the following error: {exc}") from exc


def _hash(data: Json, algorithm: Json) -> Json:
    name = "States.Hash"
    _needs(algorithm in HASHES, name, f"The algorithm must be one of {', '.join(HASHES)}")
    text = data if isinstance(data, str) else compact(data)
    _needs(len(text) <= MAX_TEXT, name, f"The data is longer than {MAX_TEXT} characters")
    return hashlib.new(HASHES[algorithm], text.encode()).hexdigest()


def _json_merge(first: Json, second: Json, deep: Json) -> Json:
    name = "States.JsonMerge"
    _needs(isinstance(first, dict) and isinstance(second, dict), name, "The first two arguments must be objects")
    _needs(deep is False, name, "The third argument must be false: merging is shallow")
    return {**first, **second}


def _string_to_json(text: Json) -> Json:
    name = "States.StringToJson"
    if not _text_of(text, name).strip():
        return None
    if text.strip() == "-0":
        return 0
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise intrinsic_failure(f"The function '{name}' had the following error: not JSON: {exc}") from exc


def _json_to_string(value: Json) -> Json:
    return compact(value)


def _math_random(scope: Scope, low: Json, high: Json, *seed: Json) -> Json:
    name = "States.MathRandom"
    start, end = (_half_up(_number(value, name)) for value in (low, high))
    _needs(start < end, name, "The first number must be smaller than the second")
    chance = JavaRandom(int(_number(seed[0], name))).next_double() if seed else scope.random.random()
    return start + int(chance * (end - start))


def _math_add(first: Json, second: Json) -> Json:
    name = "States.MathAdd"
    return _half_up(_number(first, name)) + _half_up(_number(second, name))


def _string_split(text: Json, delimiters: Json) -> Json:
    name = "States.StringSplit"
    text, delimiters = _text_of(text, name), _text_of(delimiters, name)
    pieces = re.split(f"[{re.escape(delimiters)}]", text) if delimiters else [text]
    return [piece for piece in pieces if piece]


def _uuid(scope: Scope) -> Json:
    return scope.uuid()


def _format(template: Json, *values: Json) -> Json:
    return _fill(tuple(_text_of(template, "States.Format").split("{}")), *values)


def _fill(pieces: tuple[str, ...], *values: Json) -> Json:
    enough = len(pieces) == len(values) + 1
    _needs(enough, "States.Format", "The number of arguments is not that of the places {} for them")
    text = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        text += [java_text(value), piece]
    return "".join(text)


def java_text(value: Json) -> str:
    """How the service prints a value into text: strings bare, objects as Java prints a map, `{a=1, b=[]}`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={java_text(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(java_text(member) for member in value) + "]"
    return compact(value)


#: name → (what it does, fewest arguments, most arguments)
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "States.Array": (_array, 0, 1_000),
    "States.ArrayPartition": (_array_partition, 2, 2),
    "States.ArrayContains": (_array_contains, 2, 2),
    "States.ArrayRange": (_array_range, 3, 3),
    "States.ArrayGetItem": (_array_get_item, 2, 2),
    "States.ArrayLength": (_array_length, 1, 1),
    "States.ArrayUnique": (_array_unique, 1, 1),
    "States.Base64Encode": (_base64_encode, 1, 1),
    "States.Base64Decode": (_base64_decode, 1, 1),
    "States.Hash": (_hash, 2, 2),
    "States.JsonMerge": (_json_merge, 3, 3),
    "States.StringToJson": (_string_to_json, 1, 1),
    "States.JsonToString": (_json_to_string, 1, 1),
    "States.MathRandom": (_math_random, 2, 3),
    "States.MathAdd": (_math_add, 2, 2),
    "States.StringSplit": (_string_split, 2, 2),
    "States.UUID": (_uuid, 0, 0),
    "States.Format": (_format, 1, 1_000),
}
#: those that draw from their scope
_IMPURE = frozenset({_math_random, _uuid})
