"""Function names, ARNs and qualifiers as the Lambda API spells them (Lambda API reference, FunctionName)."""

from __future__ import annotations

import re
from dataclasses import dataclass

LATEST = "$LATEST"

#: Get/Invoke/list operations accept dots in the name part; create and update do not.
_FUNCTION = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """What a caller wrote as FunctionName, taken apart. Parts it left out are None."""

    name: str
    qualifier: str | None = None
    account: str | None = None
    region: str | None = None


def parse_function_name(text: str) -> FunctionRef | None:
    """A name, partial ARN or full ARN; None if it is none of these."""
    match = _FUNCTION.fullmatch(text)
    if match is None:
        return None
    return FunctionRef(match["name"], match["qualifier"], match["account"], match["region"])


def function_arn(region: str, account: str, name: str, qualifier: str | None = None) -> str:
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    return f"{arn}:{qualifier}" if qualifier else arn


def layer_arn(region: str, account: str, name: str, number: int | None = None) -> str:
    arn = f"arn:aws:lambda:{region}:{account}:layer:{name}"
    return arn if number is None else f"{arn}:{number}"


def log_group_arn(region: str, account: str, group: str) -> str:
    return f"arn:aws:logs:{region}:{account}:log-group:{group}:*"


def mapping_arn(region: str, account: str, uuid: str) -> str:
    return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"
