"""What a JSONata expression mentions, read from its syntax: names at the top level, variables that are not its own.

A Pratt parser over the language's operators, for checking definitions; it evaluates nothing. `jsonatapy` decides
whether an expression is valid, this module words why it isn't, since the service shows the reference parser's texts.
Source: docs.jsonata.org, "JSONata operators" and "Error codes".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class SyntaxProblem(ValueError):
    """`str()` is the parser's text, without its code. position: in characters from the start."""

    def __init__(self, text: str, position: int) -> None:
        super().__init__(text)
        self.position = position


@dataclass(frozen=True, slots=True)
class Mentions:
    #: names (and `$`, `$$`) that would be looked up in the empty context that states evaluate in
    top_level: tuple[str, ...]
    #: `$name` of variables and functions that the expression does not bind itself, `states` among them
    variables: frozenset[str]
    #: members of `$states`: input, result, …
    states: frozenset[str]


@dataclass(slots=True)
class _Token:
    kind: str  # operator, name, variable, value, regex, end
    value: str
    position: int


@dataclass(slots=True)
class _Node:
    kind: str
    value: str = ""
    parts: list[_Node] = field(default_factory=list)


#: binding powers of infix operators
_POWER = {
    ".": 75, "[": 80, "{": 70, "(": 80, "@": 80, "#": 80, "?": 20, "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
    "=": 40, "<": 40, ">": 40, "^": 40, "..": 20, ":=": 10, "!=": 40, "<=": 40, ">=": 40, "~>": 40, "and": 30, "or": 25,
    "in": 40, "&": 50, "?:": 40, "??": 40,
}  # fmt: skip
_OPERATORS = sorted(
    {*_POWER, "|", "]", "}", ")", ",", ";", ":", "!", "~", "**"} - {"and", "or", "in"}, key=len, reverse=True
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[^\s.\[\]{}(),@#;:?+\-*/%|=<>^&!~\"'`]+")
_ESCAPES = frozenset('"\\/bfnrt')


def mentions(source: str) -> Mentions:
    """Raises SyntaxProblem."""
    tree = _Parser(source).parse()
    found = _Finding()
    found.walk(tree, True, frozenset())
    return Mentions(tuple(found.top_level), frozenset(found.variables), frozenset(found.states))


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.token = _Token("end", "", 0)
        self.advance()

    def parse(self) -> _Node:
        tree = self.expression(0)
        if self.token.kind != "end":
            raise SyntaxProblem(f'Syntax error: "{self.token.value}"', self.token.position)
        return tree

    # tokens

    def advance(self, expected: str = "", *, infix: bool = False) -> None:
        token = self.token
        if expected and (token.kind != "operator" or token.value != expected):
            if token.kind == "end":
                raise SyntaxProblem(f'Expected "{expected}" before end of expression', token.position)
            raise SyntaxProblem(f'Expected "{expected}", got "{token.value}"', token.position)
        self.token = self._next(infix)

    def _next(self, infix: bool) -> _Token:
        self._skip_blanks()
        source, start = self.source, self.position
        if start >= len(source):
            return _Token("end", "(end)", start)
        character = source[start]
        if character == "/" and not infix:
            return self._regex(start)
        if character in "\"'":
            return self._string(start, character)
        if character == "`":
            end = source.find("`", start + 1)
            if end < 0:
                raise SyntaxProblem("Quoted property name must be terminated with a backquote (`)", start)
            self.position = end + 1
            return _Token("name", source[start + 1 : end], start)
        for operator in _OPERATORS:
            if source.startswith(operator, start):
                self.position += len(operator)
                return _Token("operator", operator, start)
        if number := _NUMBER.match(source, start):
            self.position = number.end()
            return _Token("value", number.group(), start)
        word = _WORD.match(source, start)
        if word is None:
            raise SyntaxProblem(f"Unknown operator: {character}", start)
        self.position = word.end()
        text = word.group()
        if text.startswith("$"):
            return _Token("variable", text[1:], start)
        if text in ("and", "or", "in"):
            return _Token("operator", text, start)
        return _Token("value" if text in ("true", "false", "null") else "name", text, start)

    def _skip_blanks(self) -> None:
        source = self.source
        while self.position < len(source):
            if source[self.position].isspace():
                self.position += 1
            elif source.startswith("/*", self.position):
                end = source.find("*/", self.position)
                if end < 0:
                    raise SyntaxProblem("Comment has no closing tag", self.position)
                self.position = end + 2
            else:
                return

    def _string(self, start: int, quote: str) -> _Token:
        position = start + 1
        text: list[str] = []
        while position < len(self.source):
            character = self.source[position]
            if character == quote:
                self.position = position + 1
                return _Token("value", "".join(text), start)
            if character == "\\":
                position += 1
                escaped = self.source[position : position + 1]
                if escaped == "u":
                    if not re.fullmatch(r"[0-9a-fA-F]{4}", self.source[position + 1 : position + 5]):
                        raise SyntaxProblem("The escape sequence \\u must be followed by 4 hex digits", position)
                elif escaped not in _ESCAPES:
                    raise SyntaxProblem(f"Unsupported escape sequence: \\{escaped}", position)
            text.append(character)
            position += 1
        raise SyntaxProblem("String literal must be terminated by a matching quote", start)

    def _regex(self, start: int) -> _Token:
        position, depth = start + 1, 0
        while position < len(self.source):
            character = self.source[position]
            if character == "\\":
                position += 1
            elif character == "/" and depth <= 0:
                if position == start + 1:
                    raise SyntaxProblem("Empty regular expressions are not allowed", start)
                position += 1
                while self.source[position : position + 1] in ("i", "m"):
                    position += 1
                self.position = position
                return _Token("regex", self.source[start:position], start)
            elif character in "([{":
                depth += 1
            elif character in ")]}":
                depth -= 1
            position += 1
        raise SyntaxProblem("No terminating / in regular expression", start)

    # expressions

    def expression(self, power: int) -> _Node:
        token = self.token
        self.advance(infix=token.kind != "operator" or token.value in ("*", "%"))
        left = self._prefix(token)
        while self.token.kind == "operator" and power < _POWER.get(self.token.value, 0):
            operator = self.token
            self.advance()
            left = self._infix(operator, left)
        return left

    def _prefix(self, token: _Token) -> _Node:
        if token.kind in ("name", "variable", "value", "regex"):
            return _Node(token.kind, token.value)
        if token.kind == "end":
            raise SyntaxProblem("Unexpected end of expression", token.position)
        match token.value:
            case "-":
                return _Node("all", "", [self.expression(70)])
            case "*":
                return _Node("name", "*")
            case "**":
                return _Node("name", "**")
            case "%":
                return _Node("parent")
            case "and" | "or" | "in":
                return _Node("name", token.value)
            case "(":
                return _Node("block", "", self._list(")", ";"))
            case "[":
                return _Node("all", "", self._list("]", ","))
            case "{":
                return _Node("all", "", self._pairs())
            case "|":
                pattern = self.expression(0)
                self.advance("|")
                parts = [self.expression(0)]
                if self._at(","):
                    self.advance(",")
                    parts.append(self.expression(0))
                self.advance("|", infix=True)
                return _Node("transform", "", [pattern, *parts])
        raise SyntaxProblem(f'The symbol "{token.value}" cannot be used as a unary operator', token.position)

    def _infix(self, token: _Token, left: _Node) -> _Node:
        match token.value:
            case "(":
                return self._call(left)
            case "[":
                if self._at("]"):
                    self.advance("]", infix=True)
                    return left
                inside = self.expression(0)
                self.advance("]", infix=True)
                return _Node("step", "", [left, inside])
            case "{":
                return _Node("step", "", [left, *self._pairs()])
            case ".":
                return _Node("step", "", [left, self.expression(75)])
            case "^":
                self.advance("(")
                terms = []
                while True:
                    if self._at("<") or self._at(">"):
                        self.advance()
                    terms.append(self.expression(0))
                    if not self._at(","):
                        break
                    self.advance(",")
                self.advance(")", infix=True)
                return _Node("step", "", [left, *terms])
            case "@" | "#":
                variable = self.expression(80)
                return _Node("focus", variable.value, [left])
            case "?":
                parts = [left, self.expression(0)]
                if self._at(":"):
                    self.advance(":")
                    parts.append(self.expression(0))
                return _Node("all", "", parts)
            case ":=":
                if left.kind != "variable":
                    raise SyntaxProblem("The left side of := must be a variable name (start with $)", token.position)
                return _Node("bind", left.value, [self.expression(9)])
        return _Node("all", "", [left, self.expression(_POWER[token.value])])

    def _call(self, left: _Node) -> _Node:
        arguments: list[_Node] = []
        while not self._at(")"):
            if self._at("?"):
                self.advance("?", infix=True)
            else:
                arguments.append(self.expression(0))
            if not self._at(","):
                break
            self.advance(",")
        self.advance(")", infix=True)
        if left.kind == "name" and left.value in ("function", "λ"):
            for number, parameter in enumerate(arguments, 1):
                if parameter.kind != "variable":
                    text = f"Parameter {number} of function definition must be a variable name (start with $)"
                    raise SyntaxProblem(text, self.token.position)
            if self._at("<"):
                self._signature()
            self.advance("{")
            body = self.expression(0)
            self.advance("}", infix=True)
            return _Node("lambda", "", [*arguments, body])
        return _Node("all", "", [left, *arguments])

    def _signature(self) -> None:
        depth = 0
        while self.token.kind != "end":
            depth += {"<": 1, ">": -1}.get(self.token.value, 0)
            self.advance()
            if depth == 0:
                return

    def _list(self, close: str, separator: str) -> list[_Node]:
        items: list[_Node] = []
        while not self._at(close):
            item = self.expression(0)
            if separator == "," and self._at(".."):
                self.advance("..")
                item = _Node("all", "", [item, self.expression(0)])
            items.append(item)
            if not self._at(separator):
                break
            self.advance(separator)
        self.advance(close, infix=True)
        return items

    def _pairs(self) -> list[_Node]:
        parts: list[_Node] = []
        while not self._at("}"):
            parts.append(self.expression(0))
            self.advance(":")
            parts.append(self.expression(0))
            if not self._at(","):
                break
            self.advance(",")
        self.advance("}", infix=True)
        return parts

    def _at(self, operator: str) -> bool:
        return self.token.kind == "operator" and self.token.value == operator


class _Finding:
    """Walks a tree with what is bound and whether a name would be looked up at the top level."""

    def __init__(self) -> None:
        self.top_level: list[str] = []
        self.variables: set[str] = set()
        self.states: set[str] = set()

    def walk(self, node: _Node, at_top: bool, bound: frozenset[str]) -> frozenset[str]:
        """Returns what is bound after the node."""
        match node.kind:
            case "name":
                if at_top:
                    self.top_level.append(node.value)
            case "variable":
                if node.value in ("", "$"):
                    if at_top:
                        self.top_level.append(f"${node.value}")
                elif node.value not in bound:
                    self.variables.add(node.value)
            case "bind":
                # a function may call itself by the name it is bound to
                inner = bound | {node.value} if node.parts[0].kind == "lambda" else bound
                self.walk(node.parts[0], at_top, inner)
                return bound | {node.value}
            case "lambda":
                *parameters, body = node.parts
                self.walk(body, False, bound | {parameter.value for parameter in parameters})
            case "focus":
                return self.walk(node.parts[0], at_top, bound) | {node.value}
            case "step":
                self._member_of_states(node)
                bound = self.walk(node.parts[0], at_top, bound)
                for part in node.parts[1:]:
                    bound = self.walk(part, False, bound)
                return bound
            case "transform":
                for part in node.parts:
                    self.walk(part, False, bound)
            case "block":
                inner = bound
                for part in node.parts:
                    inner = self.walk(part, at_top, inner)
            case _:
                for part in node.parts:
                    bound = self.walk(part, at_top, bound)
                return bound
        return bound

    def _member_of_states(self, node: _Node) -> None:
        left, right = node.parts[0], node.parts[1] if len(node.parts) > 1 else None
        if left.kind == "variable" and left.value == "states" and right is not None and right.kind == "name":
            self.states.add(right.value)
