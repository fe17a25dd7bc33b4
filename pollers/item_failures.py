"""What a function with ReportBatchItemFailures says of a batch. Pure.

Source: Lambda Developer Guide, partial batch responses; odd answers as recorded from AWS.
"""

from __future__ import annotations

from collections.abc import Container

import orjson


class BadReport(ValueError):
    """The answer says nothing that can be used: the whole batch has failed."""


def reported_failures(answer: bytes, known: Container[str]) -> set[str]:
    """Identifiers of the records that failed; empty: all is well. known: those of the batch. Raises BadReport."""
    try:
        document = orjson.loads(answer or b"null")
    except orjson.JSONDecodeError as exc:
        raise BadReport("the answer is no JSON") from exc
    if not document:
        return set()
    if not isinstance(document, dict):
        raise BadReport("the answer is no object")
    items = document.get("batchItemFailures") or []
    if not isinstance(items, list):
        raise BadReport("batchItemFailures is no list")
    failed = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(identifier, str) or identifier not in known:
            raise BadReport(f"the batch has no item {identifier!r}")
        failed.add(identifier)
    return failed
