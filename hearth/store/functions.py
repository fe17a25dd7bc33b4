"""Functions in `state`: one record each, replaced only by who has read its latest revision.

Every change raises `hearth:functions:epoch`, by which gateways notice that what they keep is old, and stores the
version under its own key, by which workers load it.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.model.function import FunctionVersion
from hearth.store import keys
from hearth.store.client import Store

#: a request can be on its way for the longest timeout (900 s) and its retry
SUPERSEDED_LIFE_S = 3600


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """A function's `$LATEST`: the version that workers run, and what only the API shows."""

    #: environment variables sealed
    version: FunctionVersion
    revision_id: str
    #: Pending | Active | Failed
    state: str
    #: Successful | InProgress | Failed; empty while Pending
    last_update_status: str
    #: epoch ms of the last change, as LastModified shows it
    modified_at_ms: int
    #: epoch ms since when it is Pending or InProgress; 0: settled
    unsettled_since_ms: int
    code_bytes: int
    description: str = ""
    #: an Environment was given, if only an empty one
    has_environment: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    #: members of FunctionConfiguration kept as they are answered (TracingConfig, Layers, ...)
    configuration: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.unsettled_since_ms == 0

    def settle(self) -> FunctionRecord:
        """After every gateway has taken the last change in. A new revision, as on AWS."""
        return dataclasses.replace(
            self,
            revision_id=str(uuid.uuid4()),
            state="Active",
            last_update_status="Successful",
            unsettled_since_ms=0,
        )

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> FunctionRecord:
        raw = orjson.loads(data)
        raw["version"] = FunctionVersion.from_json(orjson.dumps(raw["version"]))
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})


class FunctionTable:
    """The records of all accounts. Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, account: str, region: str, name: str) -> FunctionRecord | None:
        data = await self._call(self._state.redis.hget(keys.function(account, region, name), "record"))
        return None if data is None else FunctionRecord.from_json(data)

    async def create(self, record: FunctionRecord) -> bool:
        """False: the name is taken."""
        version = record.version
        return bool(
            await self._state.run(
                "function_create",
                keys=[
                    keys.function(version.account, version.region, version.name),
                    keys.functions(version.account, version.region),
                    keys.version(version.key),
                    keys.FUNCTIONS_EPOCH,
                ],
                args=[version.name, record.revision_id, record.to_json(), version.to_json()],
            )
        )

    async def replace(self, old: FunctionRecord, new: FunctionRecord) -> bool:
        """False: someone has changed or deleted it since `old` was read."""
        version = new.version
        names = [
            keys.function(version.account, version.region, version.name),
            keys.FUNCTIONS_EPOCH,
            keys.version(version.key),
        ]
        if old.version.key != version.key:
            names.append(keys.version(old.version.key))
        args = [old.revision_id, new.revision_id, new.to_json(), version.to_json(), SUPERSEDED_LIFE_S]
        return await self._state.run("function_replace", keys=names, args=args) == 1

    async def delete(self, record: FunctionRecord) -> bool:
        """False: someone has changed or deleted it since `record` was read."""
        version = record.version
        names = [
            keys.function(version.account, version.region, version.name),
            keys.functions(version.account, version.region),
            keys.FUNCTIONS_EPOCH,
            keys.version(version.key),
        ]
        args = [version.name, record.revision_id, SUPERSEDED_LIFE_S]
        return await self._state.run("function_delete", keys=names, args=args) == 1

    async def page(self, account: str, region: str, *, after: str, limit: int) -> tuple[list[FunctionRecord], bool]:
        """Up to `limit` functions whose names come after `after` (byte order), and whether there are more."""
        start = f"({after}" if after else "-"
        redis = self._state.redis
        names = await self._call(redis.zrangebylex(keys.functions(account, region), start, "+", start=0, num=limit + 1))
        pipeline = redis.pipeline(transaction=False)
        for name in names[:limit]:
            pipeline.hget(keys.function(account, region, name.decode()), "record")
        found = await self._call(pipeline.execute()) if names else []
        # One deleted between the two reads is simply not listed.
        return [FunctionRecord.from_json(data) for data in found if data is not None], len(names) > limit

    async def epoch(self) -> int:
        """Raised by every change of any function."""
        return int(await self._call(self._state.redis.get(keys.FUNCTIONS_EPOCH)) or 0)

    async def _call(self, command: Any) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
