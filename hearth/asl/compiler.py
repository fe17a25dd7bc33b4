"""Compiles the fields of one state, each in the state's own query language."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hearth.asl.dataflow import DISCARD, JsonataCatch, JsonataFlow, JsonPathCatch, JsonPathFlow, PathField
from hearth.asl.definition import Catching, DataFlow, QueryLanguage
from hearth.asl.fields import NumberExpression, NumberPath
from hearth.asl.jsonata import Jsonata, compile_value
from hearth.asl.jsonpath import Path, compile_path
from hearth.asl.scope import Constant, Expression, Json
from hearth.asl.template import compile_field, compile_template

Fields = Mapping[str, Json]


class FieldCompiler:
    """Compiles and remembers: `expressions` are all that were compiled for the state, for who asks what they read.

    The methods raise InvalidPath, InvalidTemplate or InvalidExpression; definitions that lint has passed raise none.
    """

    def __init__(self, language: QueryLanguage) -> None:
        self.language = language
        self.expressions: list[object] = []

    @property
    def jsonata(self) -> bool:
        return self.language is QueryLanguage.JSONATA

    def path(self, text: str) -> Path:
        path = compile_path(text)
        self.expressions.append(path)
        return path

    def _kept(self, expression: Expression) -> Expression:
        self.expressions.append(expression)
        return expression

    def value(self, fields: Fields, name: str, location: str = "") -> Expression | None:
        """A JSON structure: a payload template, or with expressions among its values. location: where `fields` are."""
        if name not in fields:
            return None
        if self.jsonata:
            return self._kept(compile_value(fields[name], _below(location, name)))
        return self._kept(compile_template(fields[name]))

    def text(self, fields: Fields, name: str) -> Expression | None:
        """A string: literal, or by JSONata."""
        if name not in fields:
            return None
        return self._kept(compile_value(fields[name], name, "string")) if self.jsonata else Constant(fields[name])

    def call_or_path(self, name: str, text: str) -> Expression:
        """A path or an intrinsic call as a field's whole value."""
        return self._kept(compile_field(name, text))

    def number(
        self,
        fields: Fields,
        name: str,
        *,
        location: str = "",
        unit: str = "integer",
        minimum: float = -math.inf,
        maximum: float = math.inf,
        complaint: str = "",
    ) -> Expression | None:
        """`name` or its twin `namePath`: literal, by path, or by JSONata."""
        if (text := fields.get(f"{name}Path")) is not None and not self.jsonata:
            return NumberPath(f"{name}Path", self.path(text), unit, minimum, maximum, complaint)
        if name not in fields:
            return None
        if self.jsonata:
            kind = "number" if unit == "float" else "integer"
            compiled = self._kept(compile_value(fields[name], _below(location, name), "number"))
            if isinstance(compiled, Jsonata):
                return NumberExpression(compiled, kind, minimum, maximum, complaint)
        return Constant(fields[name])

    def flow(self, fields: Fields, *, parameters: str = "Parameters", result: bool = False) -> DataFlow:
        """The state's data flow. parameters: the JSONPath field that makes the effective input, "" if none does.
        result: the state has a result of its own."""
        if self.jsonata:
            return JsonataFlow(
                self.value(fields, "Arguments"),
                self.value(fields, "Output"),
                self.value(fields, "Assign"),
                sees_result=result and fields.get("Type") != "Pass",
            )
        return JsonPathFlow(
            self._narrowing(fields, "InputPath"),
            self.value(fields, parameters) if parameters else None,
            self.value(fields, "ResultSelector"),
            self._result_path(fields),
            "ResultPath" in fields and fields["ResultPath"] is None,
            self._narrowing(fields, "OutputPath"),
            self.value(fields, "Assign"),
            hides_input="Result" in fields,
            has_result=result,
        )

    def rule_flow(self, state: Fields, rule: Fields, location: str) -> DataFlow:
        """The way out of a Choice by one of its rules: the rule's Assign, and its Output or else the state's."""
        if self.jsonata:
            output = self.value(rule, "Output", location) or self.value(state, "Output")
            return JsonataFlow(None, output, self.value(rule, "Assign", location))
        return JsonPathFlow(
            self._narrowing(state, "InputPath"),
            output_path=self._narrowing(state, "OutputPath"),
            assign=self.value(rule, "Assign"),
        )

    def catching(self, catcher: Fields, location: str) -> Catching:
        if self.jsonata:
            return JsonataCatch(self.value(catcher, "Output", location), self.value(catcher, "Assign", location))
        discards = "ResultPath" in catcher and catcher["ResultPath"] is None
        return JsonPathCatch(self._result_path(catcher), discards, self.value(catcher, "Assign"))

    def _narrowing(self, fields: Fields, name: str) -> Expression | None:
        text = fields.get(name, "$")
        if text is None:
            return DISCARD
        return None if text == "$" else PathField(self.path(text))

    def _result_path(self, fields: Fields) -> Path | None:
        text = fields.get("ResultPath", "$")
        return None if text in ("$", None) else self.path(text)


def _below(location: str, name: str) -> str:
    return f"{location}/{name}" if location else name
