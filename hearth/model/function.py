"""A function version: an immutable snapshot of code and configuration with a key of its own; and aliases, its names.

The key names its queue. `$LATEST` gets a new key with every change, so a request published for one key can
never run another's code. A published version has one key for its life.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from hearth.arn import function_arn


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """Everything that a worker must know to run it."""

    key: str
    account: str
    region: str
    name: str
    version: str
    runtime: str
    handler: str
    role: str
    #: sha256 of the zip, hex: its name in the code store
    code_sha256: str
    timeout_s: int = 3
    memory_mb: int = 128
    ephemeral_mb: int = 512
    environment: dict[str, str] = field(default_factory=dict)
    #: the variables as they are stored, encrypted; `hearth.credentials.EnvironmentCipher` opens them
    sealed_environment: str = ""
    log_group: str = ""
    log_format: str = "Text"
    #: open, platform or off: what it reaches; empty for the fleet's own setting
    egress: str = ""
    #: of the function's own lines and of the platform's; they count with log_format JSON only
    app_log_level: str = "INFO"
    system_log_level: str = "INFO"
    #: sha256 of the layers' zips, hex, in the order in which they are laid into /opt
    layers: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        """Unqualified."""
        return function_arn(self.region, self.account, self.name)

    @property
    def family(self) -> str:
        """What a worker must offer to run it; the key of its placement queue."""
        return self.runtime

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> FunctionVersion:
        raw: dict[str, Any] = orjson.loads(data)
        known = {name: raw[name] for name in cls.__slots__ if name in raw}
        if "layers" in known:
            known["layers"] = tuple(known["layers"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a version that can be pointed elsewhere; a second version may get a share of its requests."""

    name: str
    #: a published version's number or $LATEST
    version: str
    revision_id: str
    description: str = ""
    #: version -> its share of the requests, 0.0 to 1.0; `version` gets the rest. AWS allows one entry
    weights: dict[str, float] = field(default_factory=dict)

    def target(self, draw: float) -> str:
        """The version that serves a request. draw: uniform in [0, 1)."""
        for version, weight in self.weights.items():
            if draw < weight:
                return version
            draw -= weight
        return self.version

    @property
    def versions(self) -> list[str]:
        """All that it may lead to."""
        return [self.version, *self.weights]

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Alias:
        return cls(**orjson.loads(data))
