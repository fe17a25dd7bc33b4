"""Runtime: how a family of function versions is started inside a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.sandbox.supervisor import Mount


@dataclass(frozen=True, slots=True)
class Runtime:
    """family: the Lambda runtime id. version: the text of INIT_START, `python:3.11.7`. Paths are as seen inside."""

    family: str
    version: str
    launch: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    #: variables that the customer may override
    defaults: Mapping[str, str] = field(default_factory=dict)

    def command(self, handler: str) -> tuple[str, ...]:
        return (*self.launch, handler)

    def environment(self) -> dict[str, str]:
        return dict(self.defaults)
