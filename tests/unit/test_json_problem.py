"""The parser's texts that AWS shows for a payload that is no JSON."""

from __future__ import annotations

import pytest

from hearth.json_problem import parser_text

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("payload", "text", "column"),
    [
        (b"\x99x", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", 1),
        (b'"a\x87"', "Invalid UTF-8 start byte 0x87", 3),
        (b"nope", f"Unrecognized token 'nope': was expecting {VALUES}", 5),
        (b"{nope", "Unexpected character ('n' (code 110)): was expecting double-quote to start field name", 2),
        (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 6),
        (b'{"a":1 "b"}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 8),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 4),
        (b'{"a":', "Unexpected end-of-input: expected close marker for Object", 6),
        (b'"open', "Unexpected end-of-input: was expecting closing quote for a string value", 6),
        (b"?", f"Unexpected character ('?' (code 63)): expected a valid value {VALUES}", 1),
    ],
)
def test_payload_is_explained_as_jackson_does(payload: bytes, text: str, column: int) -> None:
    location = (
        f"\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: {column}]"
    )

    assert parser_text(payload, "other") == text + location


@pytest.mark.parametrize("payload", [b"[NaN]", b"[" * 100_000])
def test_what_only_orjson_refuses_keeps_its_text(payload: bytes) -> None:
    assert parser_text(payload, "other") == "other"


def test_lines_are_counted() -> None:
    assert parser_text(b'{\n  "a": x}', "other").endswith("line: 2, column: 9]")
