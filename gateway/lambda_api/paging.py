"""Marker and MaxItems of the Lambda API's lists: a page, and where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hearth.errors import InvalidParameterValue

T = TypeVar("T")


def page_of(
    items: Sequence[T], given: dict[str, Any], *, name: Callable[[T], str], most: int
) -> tuple[Sequence[T], dict[str, Any]]:
    """Up to MaxItems (and `most`) of `items` after the marker's, and {"NextMarker"} if there are more.

    name(item): what the marker holds of the last one shown; unique among `items`.
    """
    limit = min(given.get("MaxItems", most), most)
    after = read_marker(given.get("Marker"))
    start = next((index + 1 for index, item in enumerate(items) if name(item) == after), 0) if after else 0
    shown = items[start : start + limit]
    more = start + limit < len(items)
    return shown, {"NextMarker": new_marker(name(shown[-1]))} if more else {}


def new_marker(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def read_marker(marker: str | None) -> str:
    """The name in a marker; empty without one. Raises InvalidParameterValue."""
    try:
        return base64.urlsafe_b64decode(marker or "").decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidParameterValue("The marker is not one that a list has returned.") from exc
