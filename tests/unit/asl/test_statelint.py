"""PyPI's `statelint` accepts what the linter accepts, and the other way round; where not, the reason is here.

docs/definitions.md tells users of these differences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from statelint.linter import Linter

from hearth.asl.lint import lint_document
from hearth.asl.parse import compile_definition
from tests.support.definitions import GOOD, broken

#: what statelint refuses alone: text → why it is accepted here
REFUSED_THERE = {
    r'"Assign" not allowed': "variables are for JSONPath states too",
    r"should be an Integer": "seconds and limits may be JSONata expressions, percentages have fractions",
    r'"Label" not allowed': "distributed Maps may be labelled",
    r'"(InputType|CSVHeaderLocation)" not allowed': "the fields of a ReaderConfig",
    r"BackoffRate is \d+ but should be a Float": "whole numbers are numbers",
    r"(Arguments|Items) is .* but should be a JSONata": "literals are taken; a Map fails when it runs, as on AWS",
    r"Condition is true but should be a String": "a condition may be a literal boolean",
}

#: what it lets pass: text → why it is refused here
REFUSED_HERE = {
    r"field '(Mode|ExecutionType)'|'(Unknown|ItemReader)' is not supported": "it does not look into ProcessorConfig",
    r"at least one of the following fields: \[MaxItemsPerBatch": "a batch must end somewhere",
    r"The field 'Resource' is required": "a Task without Resource can't run",
    r"The field 'RoleArn' is required": "the service refuses Credentials without it",
    r"Value cannot be empty": "the service refuses empty Branches",
    r"Expected value of type (Object|String)": "the service takes objects as ResultSelector, texts as Variable",
    r"Expected value of type (Integer|Number)": "true is no number",
    r"not a valid JSONPath|not a Reference Path": "a path starts with $",
    r"exactly one comparison operator": "it does not miss an operator",
    r"Condition must be": "a text that is no expression can't be true",
    r"'Version' should have one of": "there is one version",
}


def statelint(definition: dict[str, Any]) -> list[str]:
    try:
        return list(Linter.validate(definition))
    except (AttributeError, TypeError) as exc:  # it does not survive every type
        return [f"refused by an exception: {exc}"]


def differences(name: str) -> Iterator[tuple[str, dict[str, str], str]]:
    for what, definition in [("as it is", GOOD[name]), *broken(GOOD[name])]:
        here = [str(found) for found in lint_document(definition)]
        there = statelint(definition)
        if not here:
            compile_definition(definition)  # what passes can be run
        if here and not there:
            yield f"{name}: {what}", REFUSED_HERE, here[0]
        elif there and not here:
            yield f"{name}: {what}", REFUSED_THERE, there[0]


@pytest.mark.parametrize("name", GOOD)
def test_both_linters_agree(name: str) -> None:
    unexplained = [
        f"{what}: {text}"
        for what, reasons, text in differences(name)
        if not any(re.search(pattern, text) for pattern in reasons)
    ]
    assert unexplained == []


def test_every_reason_is_needed() -> None:
    texts = [text for name in GOOD for _, _, text in differences(name)]
    for pattern in REFUSED_HERE | REFUSED_THERE:
        assert any(re.search(pattern, text) for text in texts), pattern
