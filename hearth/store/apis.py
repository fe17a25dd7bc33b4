"""APIs of API Gateway in `state`: one document each, replaced only by who has read its latest revision.

What a deployment froze lies beside the document, so that the document stays small however often it is deployed. Every
change raises `hearth:doors:epoch`, by which gateways notice that what they keep is old.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import orjson
from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store

T = TypeVar("T")
ApiKind = Literal["HTTP", "REST"]


@dataclass(frozen=True, slots=True)
class ApiRecord:
    """document: the API and what belongs to it, by the member names of the service that manages its kind."""

    id: str
    kind: ApiKind
    account: str
    region: str
    document: dict[str, Any]
    #: "" before it is stored
    revision: str = ""

    def to_json(self) -> bytes:
        return orjson.dumps(dataclasses.asdict(self))


class ApiTable:
    """Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, api_id: str) -> ApiRecord | None:
        """By the id alone, which is what a host name tells."""
        data = await self._call(self._state.redis.hget(keys.api(api_id), "record"))
        return None if data is None else ApiRecord(**orjson.loads(data))

    async def revision(self, api_id: str) -> str | None:
        """Of the record; None: there is no such API."""
        data: Any = await self._call(self._state.redis.hget(keys.api(api_id), "revision"))
        return None if data is None else data.decode()

    async def snapshots(self, api_id: str, deployments: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Deployment id -> what it froze, of those that exist."""
        wanted = list(deployments)
        if not wanted:
            return {}
        names = [f"snapshot:{one}" for one in wanted]
        found = await self._call(self._state.redis.hmget(keys.api(api_id), names))
        return {one: orjson.loads(data) for one, data in zip(wanted, found, strict=True) if data is not None}

    async def write(self, record: ApiRecord, snapshots: Mapping[str, dict[str, Any] | None] | None = None) -> bool:
        """Store it in the place of the revision it was read with. snapshots: by deployment; None removes one.

        False: the id of a new one is taken, or somebody has changed or deleted it since.
        """
        stored = dataclasses.replace(record, revision=uuid.uuid4().hex)
        pairs: list[Any] = []
        for deployment, snapshot in (snapshots or {}).items():
            pairs += [deployment, b"" if snapshot is None else orjson.dumps(snapshot)]
        names = [keys.api(record.id), keys.apis(record.kind, record.account, record.region), keys.DOORS_EPOCH]
        args = [record.id, record.revision, stored.revision, stored.to_json(), *pairs]
        return await self._state.run("api_write", keys=names, args=args) == 1

    async def delete(self, record: ApiRecord) -> None:
        names = [keys.api(record.id), keys.apis(record.kind, record.account, record.region), keys.DOORS_EPOCH]
        await self._state.run("api_delete", keys=names, args=[record.id])

    async def page(
        self, kind: ApiKind, account: str, region: str, *, after: str, limit: int
    ) -> tuple[list[ApiRecord], bool]:
        """Up to `limit` APIs whose ids come after `after`, and whether there are more."""
        redis, start = self._state.redis, f"({after}" if after else "-"
        ids: list[Any] = await self._call(
            redis.zrangebylex(keys.apis(kind, account, region), start, "+", start=0, num=limit + 1)
        )
        pipeline = redis.pipeline(transaction=False)
        for api_id in ids[:limit]:
            pipeline.hget(keys.api(api_id.decode()), "record")
        found = await self._call(pipeline.execute()) if ids else []
        return [ApiRecord(**orjson.loads(data)) for data in found if data is not None], len(ids) > limit

    async def epoch(self) -> int:
        """Raised by every change of any API."""
        return int(await self._call(self._state.redis.get(keys.DOORS_EPOCH)) or 0)

    async def _call(self, command: Awaitable[T]) -> T:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
