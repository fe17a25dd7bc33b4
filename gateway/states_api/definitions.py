"""Definitions as the API takes them: refused in AWS's words, and asked which variables their states read."""

from __future__ import annotations

from functools import lru_cache

from hearth.asl.lint import Diagnostic, lint
from hearth.asl.parse import InvalidDefinition, parse_definition
from hearth.errors import ApiError


def check_definition(text: str, machine_type: str) -> None:
    """Raises InvalidDefinition with everything that is wrong."""
    errors = [one for one in diagnostics(text, machine_type) if one.severity == "ERROR"]
    if errors:
        raise ApiError("InvalidDefinition", 400, refusal(errors, text))


def refusal(errors: list[Diagnostic], text: str) -> str:
    """The message of InvalidDefinition."""
    for error in errors:
        if (error.location or "").endswith("/Label") and error.message.startswith("Label "):
            # the only recordings of a label that is refused word it so, unlike everything else
            return f"Error=ValueError Args={[error.message]} in definition '{text}'."
    shown = ", ".join(map(str, errors))
    return f"Invalid State Machine Definition: '{shown}'"


def diagnostics(text: str, machine_type: str) -> list[Diagnostic]:
    return lint(text, machine_type)


@lru_cache(maxsize=256)
def variable_references(text: str) -> dict[str, list[str]]:
    """State -> the variables it reads, for states that read any."""
    try:
        return dict(parse_definition(text).variable_references)
    except InvalidDefinition:  # stored by a release that took it
        return {}
