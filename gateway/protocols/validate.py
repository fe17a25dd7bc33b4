"""Input against the constraints of the service model, in AWS's words.

`<n> validation error[s] detected: Value '<v>' at '<path>' failed to satisfy constraint: <rule>; ...`. Every problem
is reported, in the model's order. A pattern of the model that Python's `re` can't express is not checked.
Source: answers recorded from AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from hearth.errors import ValidationFailed

#: (value, path, problems): appends what is wrong with the value
Check = Callable[[Any, str, list[str]], None]
Rule = tuple[Callable[[Any], bool], str]
_NOT_NULL = "Member must not be null"


def compile_validator(
    operation: OperationModel, *, skip: Collection[str] = (), maxima: Mapping[str, int] | None = None
) -> Callable[[dict], None]:
    """A function that raises ValidationFailed with every problem of an operation's input.

    maxima: shape -> greatest value or length, in place of the model's.
    skip: top-level members whose values the operation checks itself, because AWS words those otherwise.
    """
    shape = operation.input_shape
    if shape is None:
        return lambda value: None
    check = _Compiler(maxima or {}).structure(shape, skip)
    if check is None:
        return lambda value: None

    def validate(value: dict[str, Any]) -> None:
        problems: list[str] = []
        check(value, "", problems)
        if problems:
            raise ValidationFailed(detected(problems))

    return validate


def detected(problems: list[str]) -> str:
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"


def problem(value: Any, path: str, rule: str) -> str:
    shown = "null" if value is None else f"'{as_text(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def as_text(value: Any) -> str:
    """As Java prints it."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(as_text, value))}]"
        case dict():
            return "{" + ", ".join(f"{key}={as_text(one)}" for key, one in value.items()) + "}"
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


class _Compiler:
    def __init__(self, maxima: Mapping[str, int]) -> None:
        self._maxima = maxima
        self._cache: dict[str, Check | None] = {}

    def of(self, shape: Shape) -> Check | None:
        if shape.name in self._cache:
            return self._cache[shape.name]
        # A shape that contains itself is checked through this indirection.
        late: list[Check | None] = [None]

        def recurse(value: Any, path: str, problems: list[str]) -> None:
            if late[0] is not None:
                late[0](value, path, problems)

        self._cache[shape.name] = recurse
        late[0] = self._make(shape)
        self._cache[shape.name] = late[0]
        return late[0]

    def structure(self, shape: StructureShape, skip: Collection[str] = ()) -> Check | None:
        required = frozenset(shape.required_members)
        checks = tuple(
            (name, name[:1].lower() + name[1:], name in required, None if name in skip else self.of(member))
            for name, member in shape.members.items()
        )
        checks = tuple(entry for entry in checks if entry[2] or entry[3])
        if not checks:
            return None

        def check(value: dict[str, Any], path: str, problems: list[str]) -> None:
            prefix = f"{path}." if path else ""
            for name, lower, needed, inner in checks:
                member = value.get(name)
                if member is None:
                    if needed:
                        problems.append(problem(None, prefix + lower, _NOT_NULL))
                elif inner is not None:
                    inner(member, prefix + lower, problems)

        return check

    def _make(self, shape: Shape) -> Check | None:
        if isinstance(shape, StructureShape):
            return None if getattr(shape, "is_document_type", False) else self.structure(shape)
        own = _simple(_rules(shape, self._maxima))
        if isinstance(shape, ListShape):
            return _both(own, self._items(shape))
        if isinstance(shape, MapShape):
            return _both(own, self._entries(shape))
        return own

    def _items(self, shape: ListShape) -> Check | None:
        if isinstance(shape.member, (StructureShape, ListShape, MapShape)):
            inner = self.of(shape.member)
            if inner is None:
                return None

            def each(value: list[Any], path: str, problems: list[str]) -> None:
                for index, item in enumerate(value, 1):
                    inner(item, f"{path}.{index}.member", problems)

            return each
        # Recorded from AWS: items that may be empty (subnets, security groups) have no rule about null.
        null_rule = shape.member.metadata.get("min") != 0
        rules = _rules(shape.member, self._maxima)
        return _every(rules, lambda value: value, "Member must satisfy constraint", null_rule=null_rule)

    def _entries(self, shape: MapShape) -> Check | None:
        rules = _rules(shape.key, self._maxima)
        keys = _every(rules, lambda value: list(value), "Map keys must satisfy constraint", null_rule=False)
        if isinstance(shape.value, (StructureShape, ListShape, MapShape)):
            inner = self.of(shape.value)
            if inner is None:
                return keys

            def each(value: dict[str, Any], path: str, problems: list[str]) -> None:
                for key, item in value.items():
                    inner(item, f"{path}.{key}.member", problems)

            return _both(keys, each)
        values = _every(
            _rules(shape.value, self._maxima), lambda value: value.values(), "Map value must satisfy constraint"
        )
        return _both(keys, values)


def _rules(shape: Shape, maxima: Mapping[str, int]) -> list[Rule]:
    """The constraints of one shape itself, in the order in which AWS names them."""
    rules: list[Rule] = []
    low, high = shape.metadata.get("min"), maxima.get(shape.name, shape.metadata.get("max"))
    if shape.type_name in ("integer", "long", "float", "double"):
        if high is not None:
            rules.append((lambda value: value <= high, f"Member must have value less than or equal to {high}"))
        if low is not None:
            rules.append((lambda value: value >= low, f"Member must have value greater than or equal to {low}"))
    else:
        if high is not None:
            rules.append((lambda value: len(value) <= high, f"Member must have length less than or equal to {high}"))
        if low is not None:
            rules.append((lambda value: len(value) >= low, f"Member must have length greater than or equal to {low}"))
    if pattern := _compiled(shape.metadata.get("pattern")):
        text = f"Member must satisfy regular expression pattern: {_shown(pattern.pattern)}"
        rules.append((lambda value: pattern.fullmatch(value) is not None, text))
    if allowed := getattr(shape, "enum", None):
        choices = frozenset(allowed)
        rules.append((lambda value: value in choices, f"Member must satisfy enum value set: [{', '.join(allowed)}]"))
    return rules


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error:
        return None


def _shown(pattern: str) -> str:
    """Recorded from AWS: without the brackets that newer models put around `(...)|(...)`."""
    if not (pattern.startswith("((") and pattern.endswith("))")):
        return pattern
    depth = 0
    for at, letter in enumerate(pattern):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:  # where the first bracket is closed
            return pattern[1:-1] if at == len(pattern) - 1 else pattern
    return pattern


def _simple(rules: list[Rule]) -> Check | None:
    if not rules:
        return None

    def check(value: Any, path: str, problems: list[str]) -> None:
        for holds, text in rules:
            if not holds(value):
                problems.append(problem(value, path, text))

    return check


def _every(
    rules: list[Rule], parts: Callable[[Any], Collection[Any]], what: str, *, null_rule: bool = True
) -> Check | None:
    """One problem for the whole collection if any of its parts breaks a rule, naming all rules.

    null_rule: parts must not be null, and AWS says so.
    """
    text = f"{what}: [{', '.join([text for _, text in rules] + [_NOT_NULL] * null_rule)}]"

    def check(value: Any, path: str, problems: list[str]) -> None:
        if any(part is None or not all(holds(part) for holds, _ in rules) for part in parts(value)):
            problems.append(problem(value, path, text))

    return check


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second

    def check(value: Any, path: str, problems: list[str]) -> None:
        first(value, path, problems)
        second(value, path, problems)

    return check
