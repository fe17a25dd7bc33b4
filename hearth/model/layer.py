"""A layer version: a package that functions share, laid into /opt. It never changes, nor is its number given again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class LayerVersion:
    """What PublishLayerVersion was given. The ARN is `layer_arn` of `hearth.arn`."""

    account: str
    region: str
    name: str
    number: int
    #: sha256 of the zip, hex: its name in the code store
    code_sha256: str
    code_bytes: int
    unzipped_bytes: int
    created_at_ms: int
    description: str = ""
    license_info: str = ""
    #: None: not given, which AWS tells from an empty list
    compatible_runtimes: list[str] | None = None
    compatible_architectures: list[str] | None = None

    def suits(self, runtime: str | None, architecture: str | None) -> bool:
        """Whether a list that is filtered by these shows it."""
        return (runtime is None or runtime in (self.compatible_runtimes or ())) and (
            architecture is None or architecture in (self.compatible_architectures or ())
        )

    def to_json(self) -> bytes:
        """Without the number, which the store gives."""
        members = asdict(self)
        del members["number"]
        return orjson.dumps(members)

    @classmethod
    def from_json(cls, data: bytes, number: int) -> LayerVersion:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(number=number, **{name: raw[name] for name in cls.__slots__ if name in raw})
