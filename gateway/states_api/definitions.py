"""Definitions as the API takes them: what is wrong with one, in AWS's words, and which variables its states read."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from hearth.asl.parse import InvalidDefinition, parse_definition
from hearth.errors import ApiError
from hearth.json_problem import parser_text


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. location: a path into the definition; empty if AWS names none."""

    code: str
    message: str
    location: str = ""
    severity: str = "ERROR"

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location or 'null'}"


def check_definition(text: str, machine_type: str) -> None:
    """Raises InvalidDefinition with everything that is wrong."""
    errors = [one for one in diagnostics(text, machine_type) if one.severity == "ERROR"]
    if errors:
        shown = ", ".join(map(str, errors))
        raise ApiError("InvalidDefinition", 400, f"Invalid State Machine Definition: '{shown}'")


def diagnostics(text: str, machine_type: str) -> list[Diagnostic]:
    try:
        definition = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", parser_text(text.encode(), str(exc)))]
    if not isinstance(definition, dict):
        return [Diagnostic("SCHEMA_VALIDATION_FAILED", "Definition must be a valid JSON object")]
    missing = [name for name in ("States", "StartAt") if name not in definition]
    if missing:
        message = f"These fields are required: [{', '.join(missing)}]"
        return [Diagnostic("SCHEMA_VALIDATION_FAILED", message, "/")]
    try:
        parse_definition(text)
    except InvalidDefinition as exc:
        return [Diagnostic("SCHEMA_VALIDATION_FAILED", str(exc), "/")]
    return []


def variable_references(text: str) -> dict[str, list[str]]:
    """State -> the variables it reads, for states that read any. text: of a definition that was accepted."""
    return dict(parse_definition(text).variable_references)
