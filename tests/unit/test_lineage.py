"""How a chain of invocations is counted in its trace header."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from hearth.lineage import pass_through

A, B = "arn:aws:lambda:r:1:function:a", "arn:aws:lambda:r:1:function:b"


def test_passes_of_one_function_add_up_through_others() -> None:
    trace, passes = "Root=1-a;Parent=b;Sampled=0", []
    for arn in (A, B, A, B, A):
        trace, count = pass_through(trace, arn)
        passes.append(count)
    assert passes == [1, 1, 2, 2, 3]
    assert trace.startswith("Root=1-a;Parent=b;Sampled=0;Lineage=")


def test_header_that_an_sdk_has_encoded_is_understood() -> None:
    trace, _ = pass_through(pass_through("Root=1-a", A)[0], B)
    assert pass_through(quote(trace, safe="-=;:+&[]{}\"',"), A) == pass_through(trace, A)


@pytest.mark.parametrize(
    "trace", ["", "Lineage=", "Root=1-a;Lineage=;Sampled=1", "Lineage=x:y|z", "Root=1;Lineage=q:-1"]
)
def test_any_header_is_counted_on(trace: str) -> None:
    trace, first = pass_through(trace, A)
    assert first == 1
    assert pass_through(trace, A)[1] == 2


def test_long_chain_forgets_its_first_functions() -> None:
    trace = ""
    for number in range(1000):
        trace, _ = pass_through(trace, f"arn:{number}")
    assert len(trace) < 300
