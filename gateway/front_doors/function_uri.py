"""The function that an integration or an authorizer names, by its ARN or in API Gateway's own form of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PATH = re.compile(r"arn:aws[\w-]*:apigateway:[\w-]+:lambda:path/(?:\d{4}-\d\d-\d\d/)?functions/(.+)/invocations")
_FUNCTION = re.compile(
    r"arn:aws[\w-]*:lambda:(?P<region>[\w-]+):(?P<account>\d{12}):function:(?P<name>[\w-]{1,64})"
    r"(?::(?P<qualifier>\$LATEST|[\w-]{1,128}))?"
)
_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")


class BadUri(Exception):
    """The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class FunctionTarget:
    region: str
    account: str
    name: str
    qualifier: str | None

    @property
    def arn(self) -> str:
        """Unqualified."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"


def function_of(uri: str, variables: Mapping[str, str]) -> FunctionTarget:
    """variables: the stage's, for ${stageVariables.NAME} in it. Raises BadUri."""
    filled = _VARIABLE.sub(lambda found: variables.get(found[1], ""), uri)
    path = _PATH.fullmatch(filled)
    named = _FUNCTION.fullmatch(path[1] if path else filled)
    if named is None:
        raise BadUri(f"{filled} is not the ARN of a function")
    return FunctionTarget(named["region"], named["account"], named["name"], named["qualifier"])


def check_uri(uri: str) -> None:
    """Before there is a stage: any stage variable may be the name of something. Raises BadUri."""
    function_of(_VARIABLE.sub("v", uri), {})
