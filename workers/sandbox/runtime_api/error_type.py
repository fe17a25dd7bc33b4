"""The error type that goes to logs and telemetry: what the runtime said, if AWS would know it."""

from __future__ import annotations

import re

_KNOWN = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def valid(text: str) -> str:
    if _KNOWN.search(text):
        return text
    return "Function.Unknown" if text.startswith("Function.") else "Runtime.Unknown"
