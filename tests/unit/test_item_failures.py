"""What a function's answer says of the records of its batch: a table."""

from __future__ import annotations

import pytest

from pollers.item_failures import BadReport, reported_failures

KNOWN = ("a", "b")
ALL_GOOD: set[str] = set()


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b'""', ALL_GOOD),
        (b"", ALL_GOOD),
        (b"null", ALL_GOOD),
        (b"[]", ALL_GOOD),
        (b"{}", ALL_GOOD),
        (b'{"batchItemFailures": []}', ALL_GOOD),
        (b'{"batchItemFailures": null}', ALL_GOOD),
        (b'{"other": 1}', ALL_GOOD),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', {"b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"foo": "a"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}]}', None),
        (b'{"batchItemFailures": ["a"]}', None),
        (b'{"batchItemFailures": "a"}', None),
        (b'"text"', None),
        (b"7", None),
        (b"{not json", None),
    ],
)
def test_answer_says_which_records_failed(answer: bytes, failed: set[str] | None) -> None:
    if failed is None:
        with pytest.raises(BadReport):
            reported_failures(answer, KNOWN)
    else:
        assert reported_failures(answer, KNOWN) == failed
