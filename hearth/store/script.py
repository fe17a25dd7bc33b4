"""The Lua scripts: one file an atomic operation, the file's name is the operation's name."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha1: str


@functools.cache
def load(name: str) -> Script:
    source = (resources.files("hearth.store") / "lua" / f"{name}.lua").read_text()
    # EVALSHA's name for it, not a security measure
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
