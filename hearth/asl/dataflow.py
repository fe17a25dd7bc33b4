"""How data go through a state, in either query language: raw input → effective input → result → output.

JSONPath: InputPath, Parameters; then ResultSelector, ResultPath (into the raw input), OutputPath. JSONata: Arguments;
then Output. Assign belongs to both. All of a state's fields see the variables as they were on entry.
Source: Step Functions Developer Guide, "Processing input and output", "Passing data with variables".
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.asl.definition import Left
from hearth.asl.fields import path_value
from hearth.asl.jsonpath import Path
from hearth.asl.scope import Expression, Json, Scope

_NOTHING: dict[str, Json] = {}


@dataclass(frozen=True, slots=True)
class Discard:
    """`"InputPath": null` and its like: an empty object."""

    def evaluate(self, scope: Scope) -> Json:
        return {}


DISCARD = Discard()


@dataclass(frozen=True, slots=True)
class PathField:
    """InputPath, OutputPath: a path whose failure is worded without the field's name."""

    path: Path

    def evaluate(self, scope: Scope) -> Json:
        return path_value(self.path, scope)


@dataclass(frozen=True, slots=True)
class JsonPathFlow:
    """Fields that a state lacks are None, which passes data through."""

    input_path: Expression | None = None
    parameters: Expression | None = None
    result_selector: Expression | None = None
    #: where the result goes in the raw input; None with `discards`: nowhere
    result_path: Path | None = None
    discards: bool = False
    output_path: Expression | None = None
    assign: Expression | None = None
    #: of a Pass with Result, whose input nobody looks at: TestState shows no steps of it
    hides_input: bool = False
    #: of states that have a result of their own (Task, Pass, Parallel, Map), whose steps TestState shows
    has_result: bool = False

    def effective_input(self, scope: Scope) -> Json:
        value = scope.input if self.input_path is None else self.input_path.evaluate(scope)
        if scope.inspection is not None and not self.hides_input:
            scope.note("afterInputPath", value)
        if self.parameters is not None:
            value = self.parameters.evaluate(scope if value is scope.input else scope.narrowed(value))
        if scope.inspection is not None and self.has_result and not self.hides_input:
            scope.note("afterParameters", value)
        return value

    def leave(self, scope: Scope, result: Json) -> Left:
        if self.result_selector is not None:
            result = self.result_selector.evaluate(scope.narrowed(result))
        assigned = _NOTHING if self.assign is None else self.assign.evaluate(scope.narrowed(result))
        if self.discards:
            output = scope.input
        elif self.result_path is None:
            output = result
        else:
            output = self.result_path.put(scope.input, result)
        if scope.inspection is not None and self.has_result:
            scope.note("afterResultSelector", result)
            scope.note("afterResultPath", output)
        if self.output_path is not None:
            output = self.output_path.evaluate(scope.narrowed(output))
        return Left(output, assigned)


@dataclass(frozen=True, slots=True)
class JsonPathCatch:
    result_path: Path | None = None
    discards: bool = False
    assign: Expression | None = None

    def leave(self, scope: Scope, error_output: Json) -> Left:
        assigned = _NOTHING if self.assign is None else self.assign.evaluate(scope.narrowed(error_output))
        if self.discards:
            return Left(scope.input, assigned)
        output = error_output if self.result_path is None else self.result_path.put(scope.input, error_output)
        return Left(output, assigned)


@dataclass(frozen=True, slots=True)
class JsonataFlow:
    arguments: Expression | None = None
    output: Expression | None = None
    assign: Expression | None = None
    #: of Task, Parallel and Map, the states whose Output and Assign see `$states.result`
    sees_result: bool = False

    def effective_input(self, scope: Scope) -> Json:
        if self.arguments is None:
            return scope.input
        value = self.arguments.evaluate(scope)
        scope.note("afterArguments", value)
        return value

    def leave(self, scope: Scope, result: Json) -> Left:
        if self.output is None and self.assign is None:
            return Left(result, _NOTHING)
        if self.sees_result:
            scope = scope.with_result(result)
        assigned = _NOTHING if self.assign is None else self.assign.evaluate(scope)
        output = result if self.output is None else self.output.evaluate(scope)
        return Left(output, assigned)


@dataclass(frozen=True, slots=True)
class JsonataCatch:
    output: Expression | None = None
    assign: Expression | None = None

    def leave(self, scope: Scope, error_output: Json) -> Left:
        scope = scope.with_error(error_output)
        assigned = _NOTHING if self.assign is None else self.assign.evaluate(scope)
        output = error_output if self.output is None else self.output.evaluate(scope)
        return Left(output, assigned)
