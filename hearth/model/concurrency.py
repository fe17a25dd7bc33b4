"""How an account's concurrency is divided: reserved, provisioned, and what is left for everybody. Pure.

A function with reserved concurrency has a pool of its own, and its provisioned sandboxes are part of it. All other
functions share the rest of the account's; what of them is provisioned is taken out of it, too.
Source: Lambda Developer Guide, concurrency; messages as recorded from AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

#: StatusReason of a provisioned concurrency that could not be had
INIT_FAILED = "FUNCTION_ERROR_INIT_FAILURE"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Sandboxes of a version or an alias that are to be kept initialised.

    failure: why it was given up for the versions `failed_for` (their keys); empty: it was not.
    """

    wanted: int
    modified_at_ms: int
    failure: str = ""
    failed_for: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Provisioned:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(**(raw | {"failed_for": tuple(raw["failed_for"])}))


@dataclass(frozen=True, slots=True)
class FunctionConcurrency:
    """provisioned: qualifier -> sandboxes."""

    reserved: int | None = None
    provisioned: Mapping[str, int] = field(default_factory=dict)

    @property
    def provisioned_total(self) -> int:
        return sum(self.provisioned.values())

    @property
    def claim(self) -> int:
        """What it takes out of the account's."""
        return self.provisioned_total if self.reserved is None else self.reserved


@dataclass(frozen=True, slots=True)
class OnDemandLimit:
    """Sandboxes that may be started on demand. reserved: of this function alone; else all functions that have no
    reserved concurrency share it."""

    sandboxes: int
    reserved: bool


@dataclass(frozen=True, slots=True)
class AccountConcurrency:
    """Of one account in one region. functions: those that have reserved or provisioned concurrency, by name."""

    limit: int
    functions: Mapping[str, FunctionConcurrency] = field(default_factory=dict)

    @property
    def unreserved(self) -> int:
        """As GetAccountSettings shows it."""
        return max(0, self.limit - sum(one.claim for one in self.functions.values()))

    def on_demand(self, name: str) -> OnDemandLimit:
        own = self.functions.get(name, FunctionConcurrency())
        if own.reserved is None:
            return OnDemandLimit(self.unreserved, reserved=False)
        return OnDemandLimit(max(0, own.reserved - own.provisioned_total), reserved=True)

    def reserved_names(self) -> list[str]:
        return [name for name, one in self.functions.items() if one.reserved is not None]

    def refuse_reserved(self, name: str, wanted: int, *, minimum: int) -> str:
        """What AWS says against reserving so much; empty: nothing. minimum: what must stay unreserved."""
        own = self.functions.get(name, FunctionConcurrency())
        if wanted and self.unreserved + own.claim - wanted < minimum:
            return (
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{minimum}]."
            )
        if wanted < own.provisioned_total:
            return (
                f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned "
                f"concurrency [{own.provisioned_total}]."
            )
        return ""

    def refuse_provisioned(self, name: str, qualifier: str, wanted: int, *, minimum: int) -> str:
        """What AWS says against provisioning so much; empty: nothing."""
        own = self.functions.get(name, FunctionConcurrency())
        before = own.provisioned.get(qualifier, 0)
        if own.reserved is not None:
            if own.provisioned_total - before + wanted > own.reserved:
                return (
                    "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                    "function"
                )
            return ""
        available = self.unreserved + before
        if wanted > available:
            return (
                "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
                f"[{available}]."
            )
        if available - wanted < minimum:
            return (
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
                f"its minimum value of [{minimum}]."
            )
        return ""


def shares(wanted: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Version -> how many of an alias's provisioned sandboxes are its own. weights: of all its versions, together 1.

    The largest remainders get what is left of the whole, the earlier version first.
    """
    exact = {version: wanted * weight for version, weight in weights.items()}
    whole = {version: int(share + 1e-9) for version, share in exact.items()}
    by_rest = sorted(exact, key=lambda version: whole[version] - exact[version])
    for version in by_rest[: wanted - sum(whole.values())]:
        whole[version] += 1
    return whole
