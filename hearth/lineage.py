"""Recursion: how often a chain of invocations has come through one function. Pure.

The chain's memory is the `Lineage` part of its trace header, `<function>:<passes>` for each function that it came
through. AWS's SDKs hand the header on by themselves (from `_X_AMZN_TRACE_ID`), to Lambda and to the services that
carry it to Lambda again. At the sixteenth pass Lambda stops a chain.
Source: Lambda Developer Guide, "Use Lambda recursive loop detection".
"""

from __future__ import annotations

import functools
import hashlib
from urllib.parse import unquote

#: passes through one function that are let through
MAX_PASSES = 16
#: functions remembered of one chain, the latest ones: a header must not grow without end
_KEPT = 16
_PART = "Lineage="


def pass_through(trace: str, arn: str) -> tuple[str, int]:
    """The header with one pass more through the function, and how many passes that makes.

    arn: unqualified; the versions of a function are one. trace: empty, or as a caller sent it; SDKs percent-encode it.
    """
    if "%" in trace:
        trace = unquote(trace)
    name = _name_of(arn)
    before, counted, rest = trace.partition(_PART)
    if not counted:
        return f"{trace.rstrip(';')};{_PART}{name}:1" if trace else f"{_PART}{name}:1", 1
    lineage, _, after = rest.partition(";")
    entries = (entry.partition(":") for entry in lineage.split("|") if entry)
    passes = {one: _number(count) for one, _, count in entries}
    count = passes.pop(name, 0) + 1
    passes[name] = count
    kept = "|".join(f"{one}:{number}" for one, number in list(passes.items())[-_KEPT:])
    return f"{before}{_PART}{kept}" + (f";{after}" if after else ""), count


def stops(recursive_loop: bytes | None) -> bool:
    """Whether a function's chains are stopped. recursive_loop: as it is stored beside the function (RecursiveLoop)."""
    return recursive_loop != b"Allow"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0


@functools.lru_cache(maxsize=4096)
def _name_of(arn: str) -> str:
    return hashlib.sha256(arn.encode()).hexdigest()[:8]
