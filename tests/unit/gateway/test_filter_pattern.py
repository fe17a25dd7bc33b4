"""Filter patterns over log messages."""

from __future__ import annotations

import pytest

from gateway.logs_api.filter_pattern import compile_pattern
from hearth.errors import ApiError

MESSAGE = '[ERROR] 2026-01-01 Task "upload file" failed: exit=7'


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("   ", True),
        ("failed", True),
        ("Failed", False),
        ("failed Task", True),
        ("failed nothing", False),
        ('"Task \\"upload"', True),
        ('"Task failed"', False),
        ("?nothing ?failed", True),
        ("?nothing ?never", False),
        ("Task ?nothing", True),
        ("-failed", False),
        ("-nothing", True),
        ("Task -failed", False),
        ('-"upload file"', False),
        ('"[ERROR]"', True),
        ("%exit=[0-9]%", True),
        ("%exit=[a-z]%", False),
        ("exit=7", True),
    ],
)
def test_pattern_decides(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(MESSAGE) is matches


@pytest.mark.parametrize("pattern", ['"open', "{ $.a = 1 }", "[a, b]", "%(%"])
def test_what_is_no_term_pattern_is_refused_not_misread(pattern: str) -> None:
    with pytest.raises(ApiError) as caught:
        compile_pattern(pattern)
    assert caught.value.code == "InvalidParameterException"
