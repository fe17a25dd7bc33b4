"""Random numbers that a seed makes repeatable, as the service's do: `java.util.Random`'s sequence.

Source: the class's documentation, which fixes the algorithm; `$random(42)` in JSONata states gives its first double.
"""

from __future__ import annotations

_MULTIPLIER = 0x5DEECE66D
_MASK = (1 << 48) - 1


class JavaRandom:
    def __init__(self, seed: int) -> None:
        self._state = (seed ^ _MULTIPLIER) & _MASK

    def _next(self, bits: int) -> int:
        self._state = (self._state * _MULTIPLIER + 0xB) & _MASK
        return self._state >> (48 - bits)

    def next_double(self) -> float:
        """0 ≤ x < 1."""
        return ((self._next(26) << 27) + self._next(27)) / (1 << 53)
