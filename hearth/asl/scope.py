"""What an expression sees while it is evaluated, and the protocol of everything that can be evaluated.

JSON values are what orjson gives: dict, list, str, int, float, bool, None. Evaluators never change a value that they
were given and may share parts of it in what they return, so nobody else may change one either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

Json = Any


class Absent:
    """The one value that stands for "there is none", where None is JSON's null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent()


@dataclass(slots=True)
class Scope:
    """A state's surroundings at one moment.

    input: the state's raw input (JSONata's `$states.input`; JSONPath's `$` until a flow narrows it).
    context: the Context object (`$$`, `$states.context`), see `hearth.asl.context`.
    variables: every variable that is visible here, name to value; outer scopes included, inner ones shadow them.
    inspection: where the steps of the data flow are written down for TestState, under its API's member names.
    """

    input: Json
    context: Mapping[str, Json]
    variables: Mapping[str, Json]
    #: `$states.result`, or ABSENT outside Output and Assign of Task, Parallel and Map
    result: Json = ABSENT
    #: `$states.errorOutput`, or ABSENT outside a Catcher
    error_output: Json = ABSENT
    inspection: dict[str, Json] | None = None

    def narrowed(self, value: Json) -> Scope:
        """The same surroundings with another `$`."""
        return Scope(value, self.context, self.variables, self.result, self.error_output, self.inspection)

    def with_result(self, result: Json) -> Scope:
        return replace(self, result=result)

    def with_error(self, error_output: Json) -> Scope:
        return replace(self, error_output=error_output)

    def note(self, step: str, value: Json) -> None:
        if self.inspection is not None:
            self.inspection[step] = value


class Expression(Protocol):
    """A compiled field of a definition: made once, evaluated many times."""

    def evaluate(self, scope: Scope) -> Json:
        """The field's value in `scope`. Raises StateError."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A field whose value stands in the definition."""

    value: Json

    def evaluate(self, scope: Scope) -> Json:
        return self.value
