"""The failure of a delivery."""

from __future__ import annotations


class NotDelivered(Exception):
    """It was not accepted, as far as is known. final: the other side refused it, and will again."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.final = final
