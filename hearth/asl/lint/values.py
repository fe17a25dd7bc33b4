"""Checks of single values. Each is called with (checking, value, location) and adds what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hearth.asl.definition import QueryLanguage
from hearth.asl.intrinsics import InvalidIntrinsic, compile_intrinsic
from hearth.asl.jsonata import InvalidExpression, check_source, is_expression, source_of
from hearth.asl.jsonata_syntax import SyntaxProblem, mentions
from hearth.asl.jsonpath import InvalidPath, Path, Root, compile_path
from hearth.asl.lint import diagnostics as say
from hearth.asl.lint.diagnostics import Findings
from hearth.asl.scope import Json
from hearth.asl.template import SUFFIX, InvalidTemplate, compile_field
from hearth.asl.timestamps import parse_timestamp

MAX_NAME = 80
#: of a state or label, besides control characters
_FORBIDDEN = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f]")

#: what looks as if it should be evaluated
_DYNAMIC = re.compile(r"\$\$?\.|\$\[|States\.\w+\(")


@dataclass(slots=True)
class Checking:
    """The state that is being looked at, and what it finds."""

    findings: Findings
    language: QueryLanguage = QueryLanguage.JSONPATH
    express: bool = False
    #: members of $states that the field may read
    states_members: frozenset[str] = field(default_factory=lambda: frozenset({"input", "context"}))

    @property
    def jsonata(self) -> bool:
        return self.language is QueryLanguage.JSONATA

    def add(self, message: str, location: str | None, code: str = say.SCHEMA) -> None:
        self.findings.add(message, location, code)


Check = Callable[[Checking, Json, str], None]


def anything(checking: Checking, value: Json, location: str) -> None:
    """Literal JSON, never looked into."""


def text(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, str):
        checking.add(say.wrong_type("String"), location)
    elif checking.jsonata:
        expression(checking, value, location)


def plain_text(checking: Checking, value: Json, location: str) -> None:
    """Text that is never an expression."""
    if not isinstance(value, str):
        checking.add(say.wrong_type("String"), location)


def compared_text(checking: Checking, value: Json, location: str) -> None:
    """What a choice rule compares with."""
    plain_text(checking, value, location)
    if isinstance(value, str) and _DYNAMIC.match(value):
        checking.findings.warn(say.NO_PATH, location)


def static_result(checking: Checking, value: Json, location: str) -> None:
    """A Pass state's Result: any JSON, as it stands."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key.endswith(SUFFIX):
                checking.findings.warn(say.STATIC_RESULT, f"{location}/{key}")
                continue
            static_result(checking, member, f"{location}/{key}")
    elif isinstance(value, str) and _DYNAMIC.match(value):
        checking.findings.warn(say.STATIC_RESULT, location)


def boolean(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, bool):
        checking.add(say.wrong_type("Boolean"), location)


def json_object(checking: Checking, value: Json, location: str) -> None:
    """An object that has a schema of its own."""
    if not isinstance(value, dict):
        checking.add(say.wrong_type("Object"), location)


def label(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, str):
        checking.add(say.wrong_type("String"), location)
    elif not value:
        checking.add(say.LABEL_EMPTY, location)
    elif len(value) > 40:
        checking.add(say.LABEL_TOO_LONG, location)
    elif found := _FORBIDDEN.search(value):
        checking.add(say.bad_label(found[0]), location)


def one_of(*values: str) -> Check:
    def check(checking: Checking, value: Json, location: str) -> None:
        if value not in values:
            checking.add(say.one_of_values(location.rpartition("/")[2], values), location)

    return check


def number(minimum: float, maximum: float | None = None, *, whole: bool = True, dynamic: bool = True) -> Check:
    """dynamic: a JSONata state may give it by an expression."""

    def check(checking: Checking, value: Json, location: str) -> None:
        if dynamic and checking.jsonata and is_expression(value):
            expression(checking, value, location)
            return
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            checking.add(say.wrong_type("Integer" if whole else "Number"), location)
        elif value < minimum:
            checking.add(f"Minimum value is {minimum}", location)
        elif maximum is not None and value > maximum:
            checking.add(f"Maximum value is {maximum}", location)

    return check


def timestamp(checking: Checking, value: Json, location: str) -> None:
    if checking.jsonata and is_expression(value):
        expression(checking, value, location)
    elif not isinstance(value, str):
        checking.add(say.wrong_type("String"), location)
    elif parse_timestamp(value) is None:
        checking.add(say.NOT_A_TIMESTAMP, location)


def _compiled(checking: Checking, value: Json, location: str, sentence: str) -> Path | None:
    if not isinstance(value, str):
        checking.add(say.wrong_type("String"), location)
        return None
    try:
        return compile_path(value)
    except InvalidPath as exc:
        checking.add(f"{sentence}: {exc}", location)
        return None


def path(checking: Checking, value: Json, location: str) -> None:
    _compiled(checking, value, location, say.NOT_A_PATH)


def path_or_null(checking: Checking, value: Json, location: str) -> None:
    if value is not None:
        path(checking, value, location)


def reference(*roots: Root) -> Check:
    """A Reference Path that starts at one of `roots`."""

    def check(checking: Checking, value: Json, location: str) -> None:
        compiled = _compiled(checking, value, location, say.NOT_A_REFERENCE)
        if compiled is not None and not (compiled.is_reference and compiled.root in roots):
            checking.add(say.NOT_A_REFERENCE, location)

    return check


_input_reference = reference(Root.INPUT)


def result_path(checking: Checking, value: Json, location: str) -> None:
    if value is not None:
        _input_reference(checking, value, location)


def path_or_call(checking: Checking, value: Json, location: str) -> None:
    """A path, or an intrinsic call: ItemsPath, ErrorPath, CausePath."""
    if isinstance(value, str) and value.startswith("States."):
        try:
            compile_intrinsic(value)
        except InvalidIntrinsic as exc:
            checking.add(f"{say.NOT_A_PATH}: {exc}", location)
    else:
        reference(*Root)(checking, value, location)


def template(checking: Checking, value: Json, location: str) -> None:
    """A payload template; in a JSONata state a structure with expressions."""
    if checking.jsonata:
        structure(checking, value, location)
    else:
        _template(checking, value, location)


def _template(checking: Checking, value: Json, location: str) -> None:
    if isinstance(value, dict):
        for key, member in value.items():
            if not key.endswith(SUFFIX):
                if isinstance(member, str) and _DYNAMIC.match(member):
                    checking.findings.warn(say.NO_DOLLAR, f"{location}/{key}")
                _template(checking, member, f"{location}/{key}")
                continue
            try:
                compile_field(key, member)
            except InvalidTemplate as exc:
                checking.add(str(exc), location)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _template(checking, member, f"{location}[{index}]")


def object_template(checking: Checking, value: Json, location: str) -> None:
    """A template that must be an object (or, in JSONata, an expression that gives one)."""
    if not isinstance(value, dict) and not (checking.jsonata and is_expression(value)):
        checking.add(say.wrong_type("Object"), location)
        return
    template(checking, value, location)


def items(checking: Checking, value: Json, location: str) -> None:
    structure(checking, value, location)


def structure(checking: Checking, value: Json, location: str) -> None:
    """JSON with expressions anywhere among its values."""
    if isinstance(value, dict):
        for key, member in value.items():
            structure(checking, member, f"{location}/{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            structure(checking, member, f"{location}[{index}]")
    else:
        expression(checking, value, location)


def expression(checking: Checking, value: Json, location: str) -> None:
    """Of a string that is one: JSONata, and about nothing that states do not have."""
    if not is_expression(value):
        return
    source = source_of(value)
    try:
        check_source(source)
    except InvalidExpression as exc:
        checking.add(str(exc), location, say.BAD_JSONATA)
        return
    try:
        found = mentions(source)
    except (SyntaxProblem, RecursionError):
        return
    for name in found.top_level[:1]:
        checking.add(f"Reference to '{name}' at the top level is not supported.", location, say.UNSUPPORTED_JSONATA)
    for name in sorted(found.states & {"result", "errorOutput"} - checking.states_members):
        checking.add(f"Reference to '$states.{name}' is not supported here.", location, say.UNSUPPORTED_JSONATA)


def condition(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, bool) and not is_expression(value):
        checking.add("Condition must be a JSONata expression or a boolean", location)
        return
    expression(checking, value, location)


def assign(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, dict):
        checking.add(say.wrong_type("Object"), location)
        return
    for name in variable_names(value, jsonata=checking.jsonata):
        if not name.isidentifier() or len(name) > MAX_NAME or name == "states":
            checking.add(f"'{name}' is not a valid variable name", location)
    template(checking, value, location)


def variable_names(assigned: Any, *, jsonata: bool) -> list[str]:
    """What an Assign assigns."""
    if not isinstance(assigned, dict):
        return []
    return [name if jsonata else name.removesuffix(SUFFIX) for name in assigned]


def credentials(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, dict):
        checking.add(say.wrong_type("Object"), location)
        return
    names = ("RoleArn",) if checking.jsonata else ("RoleArn", f"RoleArn{SUFFIX}")
    if not any(name in value for name in names):
        checking.add(say.required("RoleArn"), location)
    template(checking, value, location)


def error_names(checking: Checking, value: Json, location: str) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        checking.add(say.wrong_type("Array of String"), location)
    elif not value:
        checking.add(say.EMPTY, location)
    elif "States.ALL" in value and len(value) > 1:
        checking.add("States.ALL must appear alone", location)


def state_name(name: str) -> bool:
    """1 to 80 characters."""
    return 1 <= len(name) <= MAX_NAME
