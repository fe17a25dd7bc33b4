"""Functions in `state`: `$LATEST`, published versions, aliases, and the records that belong to them.

Every change raises `hearth:functions:epoch`, by which gateways notice that what they keep is old, and stores the
version under its own key, by which workers load it. A change is made only by who has read the latest state of what
it replaces.

A function is one hash (`hearth:function:...`): `record` is `$LATEST`, `alias:NAME` an alias, and `KIND:QUALIFIER` a
**record beside it**: a policy, an event invoke configuration, a URL, a concurrency setting (`Beside` lists the
kinds). Such a record belongs to the function (qualifier empty), to a version or to an alias, and goes with it. Its
form is its owner's: this module stores bytes. To add a kind, name it in `Beside`, read it by
`Function.beside_of(kind, qualifier)` (the gateway's cache hands out `Function`s, so that costs no call) and write it by
`FunctionTable.put_beside`, then have `gateway.settling.Settler.spread` tell the gateways. Published versions are a hash
beside, for a function may have thousands of them.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from redis.exceptions import RedisError

from hearth.arn import LATEST
from hearth.errors import Unavailable
from hearth.model.function import Alias, FunctionVersion
from hearth.store import keys
from hearth.store.client import Store

#: a request can be on its way for the longest timeout (900 s) and its retry
SUPERSEDED_LIFE_S = 3600
_ALIAS = "alias:"


class Beside(enum.StrEnum):
    """Kinds of records beside a function, as they are named in its hash."""

    POLICY = "policy"
    EVENT_INVOKE = "event-invoke"
    URL = "url"
    CONCURRENCY = "concurrency"
    PROVISIONED = "provisioned"
    RECURSION = "recursion"
    RUNTIME_MANAGEMENT = "runtime-management"
    CODE_SIGNING = "code-signing"
    SCALING = "scaling"


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """`$LATEST` or a published version: what workers run, and what only the API shows."""

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
    unzipped_bytes: int = 0
    layers_unzipped_bytes: int = 0
    description: str = ""
    #: of a published version: `$LATEST`'s description then, which the version's own may override
    source_description: str = ""
    #: an Environment was given, if only an empty one
    has_environment: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    #: members of FunctionConfiguration kept as they are answered (TracingConfig, Layers, ...)
    configuration: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.unsettled_since_ms == 0

    @property
    def number(self) -> str:
        """`$LATEST` or the published version's number."""
        return self.version.version

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


@dataclass(frozen=True, slots=True)
class Function:
    """A function as one read of its hash shows it: everything but its published versions."""

    latest: FunctionRecord
    aliases: dict[str, Alias] = field(default_factory=dict)
    #: "KIND:QUALIFIER" -> what is stored, aliases too
    beside: dict[str, bytes] = field(default_factory=dict)

    def target(self, qualifier: str | None, draw: float) -> str | None:
        """The version that a qualifier means, for this request; None: no such alias. A number may not exist.

        draw: uniform in [0, 1); decides between the versions of a weighted alias.
        """
        if not qualifier or qualifier == LATEST:
            return LATEST
        if qualifier.isdecimal():
            return qualifier
        alias = self.aliases.get(qualifier)
        return alias.target(draw) if alias else None

    def beside_of(self, kind: Beside, qualifier: str = "") -> bytes | None:
        return self.beside.get(f"{kind}:{qualifier}")

    def all_beside(self, kind: Beside) -> dict[str, bytes]:
        """Qualifier -> record, in the order of the qualifiers; "" is the function's own."""
        prefix = f"{kind}:"
        found = {name.removeprefix(prefix): data for name, data in self.beside.items() if name.startswith(prefix)}
        return dict(sorted(found.items()))

    @classmethod
    def from_hash(cls, fields: Mapping[bytes, bytes]) -> Function | None:
        if b"record" not in fields:
            return None
        named = {name.decode(): data for name, data in fields.items()}
        return cls(
            latest=FunctionRecord.from_json(named["record"]),
            aliases={
                name.removeprefix(_ALIAS): Alias.from_json(data)
                for name, data in sorted(named.items())
                if name.startswith(_ALIAS)
            },
            beside={name: data for name, data in named.items() if ":" in name},
        )


class Put(enum.Enum):
    """How a write of an alias or of a record beside a function ended."""

    DONE = 1
    #: someone has changed it since it was read: read again
    CHANGED = 0
    #: the function is gone
    NO_FUNCTION = -1
    #: the version or alias that it is for, or points to, is gone
    NO_QUALIFIER = -2


class FunctionTable:
    """The records of all accounts. Every method raises Unavailable when `state` does not answer."""

    def __init__(self, state: Store) -> None:
        self._state = state

    async def get(self, account: str, region: str, name: str, version: str = LATEST) -> FunctionRecord | None:
        """`$LATEST` or the published version of that number."""
        if version == LATEST:
            key, name_in_hash = keys.function(account, region, name), "record"
        else:
            key, name_in_hash = keys.function_versions(account, region, name), version
        data = await self._call(self._state.redis.hget(key, name_in_hash))
        return None if data is None else FunctionRecord.from_json(data)

    async def function(self, account: str, region: str, name: str) -> Function | None:
        return Function.from_hash(await self._call(self._state.redis.hgetall(keys.function(account, region, name))))

    async def resolve(
        self,
        account: str,
        region: str,
        name: str,
        qualifier: str | None,
        draw: float,
        fields: Mapping[bytes, bytes] | None = None,
    ) -> tuple[Function, FunctionRecord] | None:
        """The function and the version that the qualifier means for this request; None if either is not there.

        fields: of the function's hash, by who has just read it.
        """
        function = await self.function(account, region, name) if fields is None else Function.from_hash(fields)
        number = function.target(qualifier, draw) if function else None
        if function is None or number is None:
            return None
        record = function.latest if number == LATEST else await self.get(account, region, name, number)
        return None if record is None else (function, record)

    async def create(
        self,
        record: FunctionRecord,
        published: FunctionRecord | None = None,
        beside: dict[tuple[Beside, str], bytes] | None = None,
    ) -> bool:
        """With the records beside it. False: the name is taken, or `published` has a number that was already given."""
        version = record.version
        where = (version.account, version.region)
        names = [
            keys.function(*where, version.name),
            keys.functions(*where),
            keys.FUNCTIONS_EPOCH,
            keys.version(version.key),
        ]
        args: list[Any] = [version.name, record.revision_id, record.to_json(), version.to_json()]
        if published is not None:
            names += self._published_keys(published)
            args += self._published_args(published)
        for (kind, qualifier), data in (beside or {}).items():
            args += [f"{kind}:{qualifier}", data]
        return await self._state.run("function_create", keys=names, args=args) == 1

    async def replace(self, old: FunctionRecord, new: FunctionRecord) -> bool:
        """Put one version's record in the place of `old`. False: it was changed or deleted since `old` was read."""
        version = new.version
        where = (version.account, version.region, version.name)
        if new.number != LATEST:
            names = [keys.function_versions(*where), keys.FUNCTIONS_EPOCH]
            args: list[Any] = [new.number, old.revision_id, new.to_json()]
            return await self._state.run("version_replace", keys=names, args=args) == 1
        names = [keys.function(*where), keys.FUNCTIONS_EPOCH, keys.version(version.key)]
        if old.version.key != version.key:
            names.append(keys.version(old.version.key))
        args = [old.revision_id, new.revision_id, new.to_json(), version.to_json(), SUPERSEDED_LIFE_S]
        return await self._state.run("function_replace", keys=names, args=args) == 1

    async def publish(self, old: FunctionRecord, new: FunctionRecord, published: FunctionRecord) -> bool:
        """Replace `$LATEST` and store a published version made of it, in one step.

        False: `$LATEST` was changed or deleted since `old` was read, or the number was already given.
        """
        version = new.version
        names = [
            keys.function(version.account, version.region, version.name),
            keys.FUNCTIONS_EPOCH,
            keys.version(version.key),
            *self._published_keys(published),
        ]
        if old.version.key != version.key:
            names.append(keys.version(old.version.key))
        args = [old.revision_id, new.revision_id, new.to_json(), version.to_json(), SUPERSEDED_LIFE_S]
        args += [version.name, *self._published_args(published)]
        return await self._state.run("function_publish", keys=names, args=args) == 1

    async def last_number(self, account: str, region: str, name: str) -> int:
        """The last version number that was given; 0: none. Never given again, not even to a function made anew."""
        return int(await self._call(self._state.redis.hget(keys.function_numbers(account, region), name)) or 0)

    async def numbers(self, account: str, region: str, name: str) -> list[int]:
        """Of the published versions that there are, ascending."""
        found = await self._call(self._state.redis.hkeys(keys.function_versions(account, region, name)))
        return sorted(int(number) for number in found)

    async def versions(self, account: str, region: str, name: str, numbers: Iterable[int]) -> list[FunctionRecord]:
        """Published versions of these numbers; one deleted meanwhile is left out."""
        wanted = [str(number) for number in numbers]
        if not wanted:
            return []
        key = keys.function_versions(account, region, name)
        found = await self._call(self._state.redis.hmget(key, wanted))
        return [FunctionRecord.from_json(data) for data in found if data is not None]

    async def delete(self, record: FunctionRecord) -> list[str] | None:
        """The function with everything that belongs to it. The keys of its versions, which no new request will use.

        None: someone has changed or deleted it since `record`, its `$LATEST`, was read.
        """
        version = record.version
        where = (version.account, version.region, version.name)
        published = await self.versions(*where, await self.numbers(*where))
        retired = [version.key, *(one.version.key for one in published)]
        names = [
            keys.function(*where),
            keys.functions(version.account, version.region),
            keys.FUNCTIONS_EPOCH,
            keys.function_versions(*where),
            *(keys.version(key) for key in retired),
        ]
        args = [version.name, record.revision_id, SUPERSEDED_LIFE_S]
        deleted = await self._state.run("function_delete", keys=names, args=args) == 1
        return retired if deleted else None

    async def delete_version(self, record: FunctionRecord) -> list[str]:
        """A published version with everything beside it, unless aliases lead to it: their names. Twice is harmless."""
        version = record.version
        where = (version.account, version.region, version.name)
        names = [
            keys.function(*where),
            keys.function_versions(*where),
            keys.FUNCTIONS_EPOCH,
            keys.version(version.key),
        ]
        return [
            name.decode()
            for name in await self._state.run("version_delete", keys=names, args=[record.number, SUPERSEDED_LIFE_S])
        ]

    async def put_alias(self, function: Function, name: str, new: Alias | None) -> Put:
        """Make, change or (None) delete an alias of the function as it was read; the records beside it go with it."""
        required = [one for one in new.versions if one != LATEST] if new else []
        return await self._put(function, f"{_ALIAS}{name}", new.to_json() if new else None, required)

    async def put_beside(self, function: Function, kind: Beside, qualifier: str, new: bytes | None) -> Put:
        """Make, change or (None) remove a record beside the function as it was read, or beside one of its qualifiers.

        qualifier: "" for the function's own, a version's number, an alias, or `$LATEST`.
        """
        required = [qualifier] if qualifier not in ("", LATEST) and new is not None else []
        return await self._put(function, f"{kind}:{qualifier}", new, required)

    async def with_beside(self, account: str, region: str, kind: Beside) -> dict[str, bytes]:
        """Name -> the functions' own records of this kind, of all functions that have one, by name."""
        redis = self._state.redis
        names = await self._call(redis.zrange(keys.functions(account, region), 0, -1))
        pipeline = redis.pipeline(transaction=False)
        for name in names:
            pipeline.hget(keys.function(account, region, name.decode()), f"{kind}:")
        found = await self._call(pipeline.execute()) if names else []
        return {name.decode(): data for name, data in zip(names, found, strict=True) if data is not None}

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

    async def _put(self, function: Function, name: str, new: bytes | None, required: list[str]) -> Put:
        version = function.latest.version
        where = (version.account, version.region, version.name)
        names = [keys.function(*where), keys.function_versions(*where), keys.FUNCTIONS_EPOCH]
        args = [name, function.beside.get(name, b""), new or b"", *required]
        return Put(await self._state.run("function_put", keys=names, args=args))

    def _published_keys(self, published: FunctionRecord) -> list[str]:
        version = published.version
        return [
            keys.function_versions(version.account, version.region, version.name),
            keys.function_numbers(version.account, version.region),
            keys.version(version.key),
        ]

    def _published_args(self, published: FunctionRecord) -> list[Any]:
        return [published.number, published.to_json(), published.version.to_json()]

    async def _call(self, command: Any) -> Any:
        try:
            return await command
        except RedisError as exc:
            raise Unavailable(f"{self._state.name} did not answer: {exc}") from exc
