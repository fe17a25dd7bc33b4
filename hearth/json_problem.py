"""Why a text is no JSON, in the words of AWS's parser (Jackson): SDK users search for these texts.

Only called when orjson has refused the text. Two of the texts are recorded from AWS, the others are Jackson's own
(com.fasterxml.jackson.core.json.UTF8StreamJsonParser).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

#: how the parser names a text that it does not show
REDACTED = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
#: characters that it shows of one that it does
_SHOWN = 500
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_TOKEN = re.compile(r"[\w$]+")
_EXPECTATIONS = {
    "Expecting value": f"expected a valid value {_VALUES}",
    "Expecting property name enclosed in double quotes": "was expecting double-quote to start field name",
    "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    "Expecting ',' delimiter": "was expecting comma to separate {kind} entries",
    "Extra data": f"expected a valid value {_VALUES}",
}


@dataclass(frozen=True, slots=True)
class JsonProblem:
    """text: without the place. line, column: from 1."""

    text: str
    line: int
    column: int

    def location(self, source: str = REDACTED) -> str:
        return f"[Source: {source}; line: {self.line}, column: {self.column}]"

    def __str__(self) -> str:
        return f"{self.text}\n at {self.location()}"


def shown_source(text: str) -> str:
    """How the parser names a text that it shows."""
    more = len(text) - _SHOWN
    return f'(String)"{text[:_SHOWN]}"' + (f"[truncated {more} chars]" if more > 0 else "")


def parser_text(payload: bytes, otherwise: str) -> str:
    """Jackson's text for a payload that orjson refuses. otherwise: orjson's, for what Python's json accepts (NaN)."""
    problem = find_problem(payload)
    return otherwise if problem is None else str(problem)


def find_problem(payload: bytes) -> JsonProblem | None:
    """None if Python's json accepts the payload."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as exc:
        byte = payload[exc.start]
        if payload[: exc.start].strip():
            return _at(f"Invalid UTF-8 start byte 0x{byte:x}", payload[: exc.start].decode(), exc.start)
        return _at(f"Unexpected character ((CTRL-CHAR, code {byte})): expected a valid value {_VALUES}", "", exc.start)
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return _explained(text, exc)
    except RecursionError:
        pass
    return None


def _explained(text: str, error: json.JSONDecodeError) -> JsonProblem:
    position = error.pos
    if error.msg.startswith("Unterminated string"):
        return _at("Unexpected end-of-input: was expecting closing quote for a string value", text, len(text))
    if position >= len(text.rstrip()):
        kind = _open_bracket(text, position)
        return _at(f"Unexpected end-of-input: expected close marker for {kind}", text, len(text))
    character = text[position]
    token = _TOKEN.match(text, position)
    if error.msg in ("Expecting value", "Extra data") and token and not character.isdigit():
        return _at(f"Unrecognized token '{token[0]}': was expecting {_VALUES}", text, token.end())
    expectation = _EXPECTATIONS.get(error.msg, error.msg).format(kind=_open_bracket(text, position))
    shown = f"'{character}' (code {ord(character)})"
    if not character.isprintable():
        shown = f"(CTRL-CHAR, code {ord(character)})"
    return _at(f"Unexpected character ({shown}): {expectation}", text, position)


def _open_bracket(text: str, position: int) -> str:
    """Object or Array: in which the position lies."""
    depth = 0
    for character in reversed(text[:position]):
        if character in "]}":
            depth += 1
        elif character in "[{":
            if depth == 0:
                return "Object" if character == "{" else "Array"
            depth -= 1
    return "Object"


def _at(problem: str, text: str, position: int) -> JsonProblem:
    line = text.count("\n", 0, position) + 1
    return JsonProblem(problem, line, position - text.rfind("\n", 0, position))
