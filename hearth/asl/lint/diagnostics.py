"""What is wrong with a definition: one finding, and the sentences that findings are worded in.

Codes, texts and locations are those of Create-, Update- and ValidateStateMachineDefinition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SCHEMA = "SCHEMA_VALIDATION_FAILED"
NOT_JSON = "INVALID_JSON_DESCRIPTION"
MISSING_TARGET = "MISSING_TRANSITION_TARGET"
NO_END = "MISSING_END_STATE"
DUPLICATE_NAME = "DUPLICATE_STATE_NAME"
BAD_JSONATA = "INVALID_JSONATA_EXPRESSION"
UNSUPPORTED_JSONATA = "UNSUPPORTED_JSONATA_EXPRESSION"

#: warnings, which refuse nothing. Source: API reference, ValidateStateMachineDefinitionDiagnostic
NO_DOLLAR = "NO_DOLLAR"
NO_PATH = "NO_PATH"
STATIC_RESULT = "PASS_RESULT_IS_STATIC"
WARNINGS = {
    NO_DOLLAR: "No .$ on a field that appears to be a JSONPath or Intrinsic Function.",
    NO_PATH: "Field value looks like a path, but field name does not end with 'Path'.",
    STATIC_RESULT: "Attempting to use a path in the result of a pass state.",
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """location: a place in the definition, `/States/C/Choices[0]/Next`; None where AWS names none."""

    code: str
    message: str
    location: str | None = None
    severity: str = "ERROR"

    def __str__(self) -> str:
        """As CreateStateMachine tells it."""
        return f"{self.code}: {self.message} at {self.location or 'null'}"


class Findings:
    """Diagnostics in the order in which they are found."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def add(self, message: str, location: str | None, code: str = SCHEMA) -> None:
        self.found.append(Diagnostic(code, message, location))

    def warn(self, code: str, location: str) -> None:
        self.found.append(Diagnostic(code, WARNINGS[code], location, "WARNING"))


def listed(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


def not_supported(field: str) -> str:
    return f"Field '{field}' is not supported"


def required(field: str) -> str:
    return f"The field '{field}' is required but was missing"


def one_of_values(field: str, values: Iterable[str]) -> str:
    return f"The field '{field}' should have one of these values: {listed(values)}"


def only_one_of(fields: Iterable[str]) -> str:
    return f"There should only be one of the following fields: {listed(fields)}"


def at_least_one_of(fields: Iterable[str]) -> str:
    return f"There should be at least one of the following fields: {listed(fields)}"


def other_language(field: str, language: str, needed: str) -> str:
    return (
        f"The QueryLanguage is set to '{language}', but field '{field}' is only supported for the "
        f"'{needed}' QueryLanguage"
    )


def wrong_type(kind: str) -> str:
    return f"Expected value of type {kind}"


def bad_label(character: str) -> str:
    return f"Label contains invalid character: {character!r}"


LABEL_EMPTY = "Label cannot be empty"
LABEL_TOO_LONG = "Label cannot exceed 40 characters"
NOT_AN_OBJECT = "Definition must be a valid JSON object"
TOO_DEEP = "Definition is nested too deeply"
EMPTY = "Value cannot be empty"
NOT_A_TIMESTAMP = "String does not match RFC3339 timestamp"
NOT_A_PATH = "Value is not a valid JSONPath"
NOT_A_REFERENCE = "Value is not a Reference Path"
LANGUAGE_CHANGED = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
NO_TERMINAL = "Workflow has no terminal state"
