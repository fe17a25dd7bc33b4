"""Filter patterns for unstructured log events: terms, "quoted phrases", ?optional and -excluded ones, %regex%.

Source: CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, and filter log
events". Terms are case-sensitive.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hearth.errors import ApiError

_TOKEN = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"%{\[][^\s"]*))(?=\s|$)')

Matcher = Callable[[str], bool]


def compile_pattern(pattern: str) -> Matcher:
    """A test of one message. Raises ApiError InvalidParameterException for what is no pattern of this kind."""
    required: list[Matcher] = []
    optional: list[Matcher] = []
    position, text = 0, pattern.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _invalid(f"Invalid filter pattern: {pattern}")
        position = token.end()
        matcher = _matcher(token)
        match token[1]:
            case "?":
                optional.append(matcher)
            case "-":
                required.append(_negated(matcher))
            case _:
                required.append(matcher)
    # As soon as a term is required the optional ones decide nothing.
    decisive = required if required or not optional else [lambda message: any(one(message) for one in optional)]
    return lambda message: all(holds(message) for holds in decisive)


def _negated(matcher: Matcher) -> Matcher:
    return lambda message: not matcher(message)


def _matcher(token: re.Match[str]) -> Matcher:
    phrase, expression, term = token[2], token[3], token[4]
    if expression is not None:
        try:
            compiled = re.compile(expression)
        except re.error as exc:
            raise _invalid(f"Invalid regular expression: {exc}") from exc
        return lambda message: compiled.search(message) is not None
    needle = re.sub(r"\\(.)", r"\1", phrase) if phrase is not None else term
    return lambda message: needle in message


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", 400, message)
