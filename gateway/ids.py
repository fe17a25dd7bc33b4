"""Random ids of requests and traces, cut from one block of random bytes: a system call for hundreds of them."""

from __future__ import annotations

import os
import time

_BLOCK_BYTES = 8192
_block = ""
_at = 0


def new_request_id() -> str:
    """A version 4 UUID as text (RFC 9562)."""
    random = _hex(32)
    variant = "89ab"[int(random[16], 16) & 3]
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-{variant}{random[17:20]}-{random[20:]}"


def new_trace_id() -> str:
    """An X-Ray header for a caller that brought none; not sampled."""
    random = _hex(40)
    return f"Root=1-{int(time.time()):08x}-{random[:24]};Parent={random[24:]};Sampled=0"


def _hex(digits: int) -> str:
    global _block, _at
    if len(_block) - _at < digits:
        _block, _at = os.urandom(_BLOCK_BYTES).hex(), 0
    _at += digits
    return _block[_at - digits : _at]


def _forget() -> None:
    global _block
    _block = ""


# two processes must not cut from the same block
os.register_at_fork(after_in_child=_forget)
