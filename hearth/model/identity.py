"""Who may do what: access keys of named users, and roles, each with policy documents (`hearth.policies`)."""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Its secret key is derived from its id and the platform's secret (`hearth.credentials.access_key_secret`)."""

    id: str
    account: str
    #: of the user
    name: str
    documents: tuple[dict[str, Any], ...]
    #: epoch ms
    created_at_ms: int

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/{self.name}"

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> AccessKey:
        raw = orjson.loads(data)
        return cls(**raw | {"documents": tuple(raw["documents"])})


@dataclass(frozen=True, slots=True)
class Role:
    """Roles exist by being named; only what they may do is kept."""

    account: str
    name: str
    documents: tuple[dict[str, Any], ...]

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.name}"

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Role:
        raw = orjson.loads(data)
        return cls(**raw | {"documents": tuple(raw["documents"])})


def new_access_key_id() -> str:
    """In AWS's form: AKIA and 16 characters."""
    return "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()


def allowing(actions: list[str], resources: list[str]) -> dict[str, Any]:
    """The document that allows these actions on these resources, and nothing else."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources or ["*"]}],
    }
