"""Expressions of one request: its texts, names and values made into trees.

Errors are AWS's. Source: DynamoDB Developer Guide, "Expressions in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gateway.dynamodb_api.expressions.reserved_words import RESERVED
from gateway.dynamodb_api.expressions.tokens import NAME, NUMBER, SIGN, VALUE, WORD, Tokens
from gateway.dynamodb_api.expressions.tree import (
    And,
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Function,
    IfNotExists,
    In,
    ListAppend,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Size,
    Source,
    Update,
)
from hearth.errors import ValidationFailed
from hearth.model.attribute_value import Value, canonical, comparable

_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_ORDERED = frozenset({"S", "N", "B"})
_TYPES = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
#: function -> how many operands
_CONDITIONS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
_OF_PATHS = frozenset({"attribute_exists", "attribute_not_exists"})
_LONG_NAMES = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP"}
_SETS = frozenset({"SS", "NS", "BS"})
_One = TypeVar("_One")


class Expressions:
    """The expressions of one request. `done` when all have been asked for."""

    def __init__(self, given: dict[str, Any], members: tuple[str, ...]) -> None:
        """members: the expressions that the operation has. Raises ValidationFailed."""
        self._given = given
        self._names: dict[str, str] = given.get("ExpressionAttributeNames") or {}
        self._values: dict[str, Value] = {}
        self._used: set[str] = set()
        for member in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            self._check_wanted(member, members)
        for name, value in (given.get("ExpressionAttributeValues") or {}).items():
            try:
                self._values[name] = canonical(value)
            except ValidationFailed as exc:
                raise ValidationFailed(
                    f"ExpressionAttributeValues contains invalid value: {exc.message} for key {name}"
                ) from exc

    def _check_wanted(self, member: str, members: tuple[str, ...]) -> None:
        found = self._given.get(member)
        if found is None:
            return
        if not any(self._given.get(one) is not None for one in members):
            verb = "is" if len(members) == 1 else "are"
            raise ValidationFailed(
                f"{member} can only be specified when using expressions: {' and '.join(members)} {verb} null"
            )
        if not found:
            raise ValidationFailed(f"{member} must not be empty")
        sign = "#" if member.endswith("Names") else ":"
        for name in found:
            if len(name) < 2 or name[0] != sign:
                raise ValidationFailed(f'{member} contains invalid key: Syntax error; key: "{name}"')

    def condition(self, member: str) -> Condition | None:
        """Raises ValidationFailed."""
        if (text := self._given.get(member)) is None:
            return None
        parser = _Parser(Tokens(member, text), self)
        return parser.whole(parser.condition)

    def update(self, member: str = "UpdateExpression") -> Update | None:
        """Raises ValidationFailed."""
        if (text := self._given.get(member)) is None:
            return None
        parser = _Parser(Tokens(member, text), self)
        found = parser.whole(parser.update)
        check_apart(found.paths, member)
        return found

    def projection(self, member: str = "ProjectionExpression") -> list[Path] | None:
        """Raises ValidationFailed."""
        if (text := self._given.get(member)) is None:
            return None
        parser = _Parser(Tokens(member, text), self)
        paths = parser.whole(lambda: parser.listed(parser.path))
        check_apart(paths, member)
        return paths

    def done(self) -> None:
        """Raises ValidationFailed if a name or a value was given in vain."""
        for member, found in (("Values", self._values), ("Names", self._names)):
            if unused := sorted(name for name in found if name not in self._used):
                keys = ", ".join(unused)
                raise ValidationFailed(
                    f"Value provided in ExpressionAttribute{member} unused in expressions: keys: {{{keys}}}"
                )

    def name(self, tokens: Tokens, placeholder: str) -> str:
        self._used.add(placeholder)
        if placeholder not in self._names:
            raise tokens.invalid(
                f"An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            )
        return self._names[placeholder]

    def value(self, tokens: Tokens, placeholder: str) -> Value:
        self._used.add(placeholder)
        if placeholder not in self._values:
            raise tokens.invalid(
                f"An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            )
        return self._values[placeholder]


def check_apart(paths: list[Path], member: str) -> None:
    """Raises ValidationFailed if one lies within another."""
    for number, one in enumerate(paths):
        for other in paths[number + 1 :]:
            common = min(len(one.parts), len(other.parts))
            if one.parts[:common] == other.parts[:common]:
                raise ValidationFailed(
                    f"Invalid {member}: Two document paths overlap with each other; must remove or rewrite one of "
                    f"these paths; path one: {one}, path two: {other}"
                )


class _Parser:
    def __init__(self, tokens: Tokens, given: Expressions) -> None:
        self._tokens = tokens
        self._given = given

    def whole(self, part: Callable[[], _One]) -> _One:
        found = part()
        self._tokens.expect_end()
        return found

    def listed(self, part: Callable[[], _One]) -> list[_One]:
        """Separated by commas."""
        found = [part()]
        while self._tokens.accept(","):
            found.append(part())
        return found

    # --- paths and values -------------------------------------------------------------------------------------
    def path(self) -> Path:
        parts: list[str | int] = [self._name()]
        while True:
            if self._tokens.accept("."):
                parts.append(self._name())
            elif self._tokens.accept("["):
                if self._tokens.next.kind != NUMBER:
                    raise self._tokens.syntax()
                parts.append(int(self._tokens.take().text))
                self._tokens.expect("]")
            else:
                return Path(tuple(parts))

    def _name(self) -> str:
        if self._tokens.next.kind == NAME:
            return self._given.name(self._tokens, self._tokens.take().text)
        if self._tokens.next.kind != WORD:
            raise self._tokens.syntax()
        word = self._tokens.take().text
        if word.upper() in RESERVED:
            raise self._tokens.invalid(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return word

    def _literal(self) -> Literal:
        return Literal(self._given.value(self._tokens, self._tokens.take().text))

    def _calls(self) -> bool:
        """Whether a function comes next."""
        after = self._tokens.after_next
        return self._tokens.next.kind == WORD and after.kind == SIGN and after.text == "("

    def _operand(self) -> Operand:
        if self._tokens.next.kind == VALUE:
            return self._literal()
        if self._calls():
            function = self._function()
            if isinstance(function, Size):
                return function
            raise self._misplaced(function.name)
        return self.path()

    def _function(self) -> Function | Size:
        name = self._tokens.take().text
        self._tokens.expect("(")
        if name not in _CONDITIONS and name != "size":
            raise self._tokens.invalid(f"Invalid function name; function: {name}")
        arguments = self.listed(self._operand)
        self._tokens.expect(")")
        if len(arguments) != _CONDITIONS.get(name, 1):
            raise self._tokens.invalid(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {name}, number of operands: {len(arguments)}"
            )
        first = arguments[0]
        if name == "size" and isinstance(first, Path):
            return Size(first)
        if name in (*_OF_PATHS, "size") and not isinstance(first, Path):
            raise self._tokens.invalid(f"Operator or function requires a document path; operator or function: {name}")
        if name == "attribute_type":
            self._check_type_name(arguments[1])
        if name == "begins_with":
            self._check_kinds(name, arguments, frozenset({"S", "B"}))
        return Function(name, tuple(arguments))

    def _check_type_name(self, operand: Operand) -> None:
        kind = operand.value.get("S") if isinstance(operand, Literal) else None
        if kind not in _TYPES:
            raise self._tokens.invalid(
                f"Invalid attribute type name found; type: {kind}, valid types: {{{','.join(_TYPES)}}}"
            )

    def _check_kinds(self, operator: str, operands: list[Operand], kinds: frozenset[str]) -> None:
        for operand in operands:
            if isinstance(operand, Literal) and not kinds & operand.value.keys():
                raise self._tokens.invalid(
                    "Incorrect operand type for operator or function; "
                    f"operator or function: {operator}, operand type: {next(iter(operand.value))}"
                )

    def _misplaced(self, name: str) -> ValidationFailed:
        return self._tokens.invalid(
            f"The function is not allowed to be used this way in an expression; function: {name}"
        )

    # --- conditions -------------------------------------------------------------------------------------------
    def condition(self) -> Condition:
        found = self._all()
        while self._tokens.accept_word("OR"):
            found = Or(found, self._all())
        return found

    def _all(self) -> Condition:
        found = self._negated()
        while self._tokens.accept_word("AND"):
            found = And(found, self._negated())
        return found

    def _negated(self) -> Condition:
        if self._tokens.accept_word("NOT"):
            return Not(self._negated())
        if self._tokens.accept("("):
            found = self.condition()
            self._tokens.expect(")")
            return found
        if self._calls():
            function = self._function()
            return self._compared(function) if isinstance(function, Size) else function
        return self._compared(self._operand())

    def _compared(self, left: Operand) -> Condition:
        if self._tokens.next.kind == SIGN and self._tokens.next.text in _COMPARISONS:
            operator = self._tokens.take().text
            right = self._operand()
            if operator not in ("=", "<>"):
                self._check_kinds(operator, [left, right], _ORDERED)
            return Comparison(operator, left, right)
        if self._tokens.accept_word("BETWEEN"):
            low = self._operand()
            self._tokens.expect_word("AND")
            high = self._operand()
            self._check_kinds("BETWEEN", [left, low, high], _ORDERED)
            self._check_bounds(low, high)
            return Between(left, low, high)
        if self._tokens.accept_word("IN"):
            self._tokens.expect("(")
            options = self.listed(self._operand)
            self._tokens.expect(")")
            return In(left, tuple(options))
        if isinstance(left, Size):
            raise self._misplaced("size")
        raise self._tokens.syntax()

    def _check_bounds(self, low: Operand, high: Operand) -> None:
        if not isinstance(low, Literal) or not isinstance(high, Literal):
            return
        if low.value.keys() != high.value.keys():
            raise self._tokens.invalid(
                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: "
                f"AttributeValue: {shown(low.value)}, upper bound operand: AttributeValue: {shown(high.value)}"
            )
        if comparable(low.value) > comparable(high.value):
            raise self._tokens.invalid(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound "
                f"operand: AttributeValue: {shown(low.value)}, upper bound operand: AttributeValue: {shown(high.value)}"
            )

    # --- updates ----------------------------------------------------------------------------------------------
    def update(self) -> Update:
        clauses: dict[str, tuple[Any, ...]] = {}
        parts: dict[str, Callable[[], Any]] = {
            "SET": self._set,
            "REMOVE": self.path,
            "ADD": lambda: self._with_value("ADD", frozenset({"N"}) | _SETS),
            "DELETE": lambda: self._with_value("DELETE", _SETS),
        }
        while self._tokens.next.kind == WORD and (clause := self._tokens.next.text.upper()) in parts:
            self._tokens.take()
            if clause in clauses:
                raise self._tokens.invalid(f'The "{clause}" section can only be used once in an update expression;')
            clauses[clause] = tuple(self.listed(parts[clause]))
        if not clauses:
            raise self._tokens.syntax()
        return Update(*(clauses.get(clause, ()) for clause in parts))

    def _set(self) -> tuple[Path, Source]:
        path = self.path()
        self._tokens.expect("=")
        left = self._source()
        for operator in ("+", "-"):
            if self._tokens.accept(operator):
                right = self._source()
                operands: list[Any] = [left, right]
                self._check_kinds(operator, operands, frozenset({"N"}))
                return path, Arithmetic(operator, left, right)
        return path, left

    def _source(self) -> Source:
        if self._tokens.next.kind == VALUE:
            return self._literal()
        if self._tokens.accept("("):
            found = self._source()
            for operator in ("+", "-"):
                if self._tokens.accept(operator):
                    found = Arithmetic(operator, found, self._source())
            self._tokens.expect(")")
            return found
        if not self._calls():
            return self.path()
        name = self._tokens.take().text
        self._tokens.expect("(")
        if name not in ("if_not_exists", "list_append"):
            known = name in _CONDITIONS or name == "size"
            raise self._misplaced(name) if known else self._tokens.invalid(f"Invalid function name; function: {name}")
        arguments = self.listed(self._source)
        self._tokens.expect(")")
        if len(arguments) != 2:
            raise self._tokens.invalid(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {name}, number of operands: {len(arguments)}"
            )
        first, second = arguments
        if name == "list_append":
            operands: list[Any] = [first, second]
            self._check_kinds(name, operands, frozenset({"L"}))
            return ListAppend(first, second)
        if not isinstance(first, Path):
            raise self._tokens.invalid(f"Operator or function requires a document path; operator or function: {name}")
        return IfNotExists(first, second)

    def _with_value(self, clause: str, kinds: frozenset[str]) -> tuple[Path, Value]:
        path = self.path()
        if self._tokens.next.kind != VALUE:
            raise self._tokens.syntax()
        value = self._literal().value
        if not kinds & value.keys():
            kind = next(iter(value))
            raise self._tokens.invalid(
                f"Incorrect operand type for operator or function; operator: {clause}, operand type: "
                f"{_LONG_NAMES.get(kind, kind)}, typeset: ALLOWED_FOR_{clause}_OPERAND"
            )
        return path, value


def shown(value: Value) -> str:
    """As AWS prints one."""
    ((kind, content),) = value.items()
    return f"{{{kind}:{content}}}"
