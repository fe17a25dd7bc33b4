"""What an expression sees while it is evaluated, and the protocol of everything that can be evaluated.

JSON values are what orjson gives: dict, list, str, int, float, bool, None. Evaluators never change a value that they
were given and may share parts of it in what they return, so nobody else may change one either.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
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


class Entropy:
    """Makes an evaluation repeatable: the same seed and time give the same `$random()`, `States.UUID()` and `$now()`.

    Shared by all scopes of one decision, so that no number is drawn twice.
    """

    __slots__ = ("_random", "now_ms", "seed")

    def __init__(self, seed: str, now_ms: int) -> None:
        self.seed = seed
        self.now_ms = now_ms
        self._random: Random | None = None

    @property
    def random(self) -> Random:
        if self._random is None:
            self._random = Random(self.seed)
        return self._random


#: of scopes that need not be repeatable
_CHANCE = Random()


@dataclass(slots=True)
class Scope:
    """A state's surroundings at one moment.

    input: the state's raw input (JSONata's `$states.input`; JSONPath's `$` until a flow narrows it).
    context: the Context object (`$$`, `$states.context`), see `hearth.asl.context`.
    variables: every variable that is visible here, name to value; outer scopes included, inner ones shadow them.
    inspection: where the steps of the data flow are written down for TestState, under its API's member names.
    entropy: what random numbers, UUIDs and the time are drawn from.
    """

    input: Json
    context: Mapping[str, Json]
    variables: Mapping[str, Json]
    #: `$states.result`, or ABSENT outside Output and Assign of Task, Parallel and Map
    result: Json = ABSENT
    #: `$states.errorOutput`, or ABSENT outside a Catcher
    error_output: Json = ABSENT
    inspection: dict[str, Json] | None = None
    entropy: Entropy | None = None

    def narrowed(self, value: Json) -> Scope:
        """The same surroundings with another `$`."""
        return Scope(value, self.context, self.variables, self.result, self.error_output, self.inspection, self.entropy)

    def with_result(self, result: Json) -> Scope:
        return Scope(self.input, self.context, self.variables, result, self.error_output, self.inspection, self.entropy)

    def with_error(self, error_output: Json) -> Scope:
        return Scope(self.input, self.context, self.variables, self.result, error_output, self.inspection, self.entropy)

    @property
    def random(self) -> Random:
        return self.entropy.random if self.entropy else _CHANCE

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def time_ms(self) -> int:
        """Epoch ms."""
        return self.entropy.now_ms if self.entropy else int(time.time() * 1000)

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
