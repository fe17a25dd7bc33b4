"""What is wrong with a definition, as CreateStateMachine and ValidateStateMachineDefinition say it.

`lint(text)` gathers every finding, in the order in which the service looks. The rules are in `schema` (which fields
there are, and what each may be), `values` (single values), `states` (what hangs together) and `graph` (transitions).
A definition without errors compiles (`hearth.asl.parse`).
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from hearth.asl.lint import diagnostics as say
from hearth.asl.lint.diagnostics import Diagnostic
from hearth.asl.lint.states import Walk
from hearth.asl.scope import Json
from hearth.json_problem import find_problem, shown_source

#: objects and arrays inside each other: what walks a definition recurses
MAX_DEPTH = 200

__all__ = ["Diagnostic", "lint", "lint_document", "lint_state"]


def lint(text: str, machine_type: str = "STANDARD") -> list[Diagnostic]:
    """machine_type: STANDARD or EXPRESS."""
    document, problems = _document(text)
    return problems or lint_document(document, machine_type)


def lint_document(document: Json, machine_type: str = "STANDARD") -> list[Diagnostic]:
    if not isinstance(document, dict):
        return [Diagnostic(say.SCHEMA, say.NOT_AN_OBJECT)]
    if _deeper_than(document, MAX_DEPTH):
        return [Diagnostic(say.SCHEMA, say.TOO_DEEP, "/")]
    walk = Walk(express=machine_type == "EXPRESS")
    walk.machine(document)
    return walk.findings.found


def lint_state(text: str, name: str = "State") -> list[Diagnostic]:
    """One state on its own, as TestState takes it: its targets need not be there."""
    document, problems = _document(text)
    if problems:
        return problems
    if not isinstance(document, dict):
        return [Diagnostic(say.SCHEMA, say.NOT_AN_OBJECT)]
    if _deeper_than(document, MAX_DEPTH):
        return [Diagnostic(say.SCHEMA, say.TOO_DEEP, "/")]
    walk = Walk(express=False)
    walk.state(name, document, "")
    return walk.findings.found


def _document(text: str) -> tuple[Json, list[Diagnostic]]:
    if not text.strip():
        return None, [Diagnostic(say.SCHEMA, say.NOT_AN_OBJECT)]
    try:
        return orjson.loads(text), []
    except orjson.JSONDecodeError as exc:
        problem = find_problem(text.encode())
        if problem is None:  # NaN and its like, which Python's parser takes
            return None, [Diagnostic(say.NOT_JSON, str(exc))]
        location = problem.location(shown_source(text))
        return None, [Diagnostic(say.NOT_JSON, f"{problem.text}\n at {location}", location)]


def _deeper_than(document: Json, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(node: Json) -> Iterable[Json]:
    return node.values() if isinstance(node, dict) else node
