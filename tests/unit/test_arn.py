from __future__ import annotations

import pytest

from hearth.arn import FunctionRef, function_arn, parse_function_name

ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("my-fn", FunctionRef("my-fn")),
        ("my-fn:v1", FunctionRef("my-fn", "v1")),
        ("my-fn:$LATEST", FunctionRef("my-fn", "$LATEST")),
        ("function:my-fn", FunctionRef("my-fn")),
        (f"{ACCOUNT}:my-fn", FunctionRef("my-fn", None, ACCOUNT)),
        (f"{ACCOUNT}:function:my-fn:3", FunctionRef("my-fn", "3", ACCOUNT)),
        (function_arn("eu-west-1", ACCOUNT, "my-fn"), FunctionRef("my-fn", None, ACCOUNT, "eu-west-1")),
        (function_arn("eu-west-1", ACCOUNT, "my-fn", "9"), FunctionRef("my-fn", "9", ACCOUNT, "eu-west-1")),
        ("a/b", None),
        ("", None),
        ("fn:not ok", None),
        ("arn:aws:s3:::bucket", None),
    ],
)
def test_function_names_and_arns_are_taken_apart(text: str, ref: FunctionRef | None) -> None:
    assert parse_function_name(text) == ref
