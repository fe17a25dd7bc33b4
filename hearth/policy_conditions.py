"""The Condition element of policy documents: operators, set qualifiers, `IfExists`, policy variables. Pure.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

#: condition keys in lower case -> value or values
Context = Mapping[str, str | Sequence[str]]
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
#: characters that a policy can only write as variables
_LITERALS = {"*": "*", "?": "?", "$": "$"}


def conditions_hold(conditions: Mapping[str, Any], context: Context) -> bool:
    """Every operator and every key must hold; of a key's values one must."""
    return all(
        _holds(operator, key, [substitute(one, context) for one in _values(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def substitute(text: str, context: Context) -> str:
    """Policy variables (`${aws:username}`) with their values; one without a value stays, and so matches nothing."""
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(",")
        if name in _LITERALS:
            return _LITERALS[name]
        found = context.get(name.strip().lower())
        if isinstance(found, str):
            return found
        return default.strip().strip("'") if default else match[0]

    return _VARIABLE.sub(value, text)


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    qualifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    given = context.get(key.lower())
    if name == "Null":
        return any((given is None) == (one.lower() == "true") for one in wanted)
    negated, compare = _operator(name)
    if compare is None:
        return False  # an operator that IAM lacks too: never a reason to allow
    if given is None:
        return if_exists or negated or qualifier == "ForAllValues"
    results = [any(compare(value, one) for one in wanted) for value in _values(given)]
    if qualifier == "ForAllValues":
        return all(result is not negated for result in results)
    if qualifier == "ForAnyValue":
        return any(result is not negated for result in results)
    return not any(results) if negated else any(results)


def _operator(name: str) -> tuple[bool, Callable[[str, str], bool] | None]:
    """(is a negation, comparison of a given and a wanted value)."""
    if name in _COMPARISONS:
        return False, _COMPARISONS[name]
    positive = name.replace("Not", "", 1)
    return (True, _COMPARISONS[positive]) if positive in _COMPARISONS and positive != name else (False, None)


def _values(value: Any) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, (str, int, float)):
        return [str(value)]
    return [text for one in value for text in _values(one)]


def matches(pattern: str, value: str, fold: bool = False) -> bool:
    """IAM's wildcards: `*` any characters, `?` one. `fold`: case does not matter."""
    return _wildcard(pattern, fold).fullmatch(value) is not None


def _like(given: str, pattern: str) -> bool:
    return matches(pattern, given)


def _arn_like(given: str, pattern: str) -> bool:
    """Section by section: a wildcard does not reach over a colon, but in the last section."""
    ours, theirs = given.split(":", 5), pattern.split(":", 5)
    return len(ours) == len(theirs) and all(_like(one, other) for one, other in zip(ours, theirs, strict=True))


@functools.lru_cache(maxsize=4096)
def _wildcard(pattern: str, fold: bool) -> re.Pattern[str]:
    text = "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if fold else 0))


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def compared(given: str, wanted: str) -> bool:
        try:
            return compare(float(given), float(wanted))
        except ValueError:
            return False

    return compared


def _dates(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def compared(given: str, wanted: str) -> bool:
        try:
            return compare(_epoch(given), _epoch(wanted))
        except ValueError:
            return False

    return compared


def _epoch(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdecimal() else datetime.fromisoformat(text).timestamp()


def _in_network(given: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda given, wanted: given == wanted,
    "StringEqualsIgnoreCase": lambda given, wanted: given.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda given, wanted: given.lower() == wanted.lower(),
    "BinaryEquals": lambda given, wanted: given == wanted,
    "IpAddress": _in_network,
    "NumericEquals": _numbers(lambda a, b: a == b),
    "NumericLessThan": _numbers(lambda a, b: a < b),
    "NumericLessThanEquals": _numbers(lambda a, b: a <= b),
    "NumericGreaterThan": _numbers(lambda a, b: a > b),
    "NumericGreaterThanEquals": _numbers(lambda a, b: a >= b),
    "DateEquals": _dates(lambda a, b: a == b),
    "DateLessThan": _dates(lambda a, b: a < b),
    "DateLessThanEquals": _dates(lambda a, b: a <= b),
    "DateGreaterThan": _dates(lambda a, b: a > b),
    "DateGreaterThanEquals": _dates(lambda a, b: a >= b),
}
