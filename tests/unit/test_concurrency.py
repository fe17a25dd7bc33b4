"""How an account's concurrency is divided, and what is said against dividing it otherwise: tables."""

from __future__ import annotations

import pytest

from hearth.model.concurrency import AccountConcurrency, FunctionConcurrency, OnDemandLimit, Provisioned, shares
from hearth.model.function import Alias
from hearth.model.provision import served_before, wanted_by_version

#: 1000 = 300 reserved + 20 provisioned without reservation + 680
ACCOUNT = AccountConcurrency(
    1000,
    {
        "reserved": FunctionConcurrency(300, {"1": 40}),
        "provisioned": FunctionConcurrency(None, {"1": 5, "live": 15}),
        "off": FunctionConcurrency(0),
    },
)


def test_what_is_neither_reserved_nor_provisioned_is_left() -> None:
    assert ACCOUNT.unreserved == 680


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("any", OnDemandLimit(680, reserved=False)),
        ("provisioned", OnDemandLimit(680, reserved=False)),
        ("reserved", OnDemandLimit(260, reserved=True)),
        ("off", OnDemandLimit(0, reserved=True)),
    ],
)
def test_what_starts_on_demand_is_limited(name: str, limit: OnDemandLimit) -> None:
    assert ACCOUNT.on_demand(name) == limit


@pytest.mark.parametrize(
    ("name", "wanted", "refused"),
    [
        ("any", 580, ""),
        ("any", 581, "minimum value of [100]"),
        ("any", 0, ""),
        ("reserved", 880, ""),
        ("reserved", 881, "minimum value of [100]"),
        ("reserved", 39, " ReservedConcurrentExecutions  39 should not be lower than function's total provisioned "),
        ("provisioned", 20, ""),
        ("provisioned", 600, ""),
    ],
)
def test_reserving_is_refused_when_too_little_stays(name: str, wanted: int, refused: str) -> None:
    said = ACCOUNT.refuse_reserved(name, wanted, minimum=100)
    assert refused in said
    assert bool(said) == bool(refused)


@pytest.mark.parametrize(
    ("name", "qualifier", "wanted", "refused"),
    [
        ("any", "1", 580, ""),
        ("any", "1", 581, "decreases account's UnreservedConcurrentExecution below its minimum value of [100]"),
        ("any", "1", 681, "greater than account's unreserved concurrency [680]"),
        ("provisioned", "live", 595, ""),
        ("provisioned", "live", 596, "minimum value of [100]"),
        ("reserved", "1", 300, ""),
        ("reserved", "2", 260, ""),
        ("reserved", "2", 261, "Requested Provisioned Concurrency should not be greater than the reserved"),
        ("off", "1", 1, "Requested Provisioned Concurrency should not be greater than the reserved"),
    ],
)
def test_provisioning_is_refused_beyond_what_is_there(name: str, qualifier: str, wanted: int, refused: str) -> None:
    said = ACCOUNT.refuse_provisioned(name, qualifier, wanted, minimum=100)
    assert refused in said
    assert bool(said) == bool(refused)


@pytest.mark.parametrize(
    ("wanted", "weights", "expected"),
    [
        (4, {"1": 1.0}, {"1": 4}),
        (10, {"1": 0.9, "2": 0.1}, {"1": 9, "2": 1}),
        (3, {"1": 0.5, "2": 0.5}, {"1": 2, "2": 1}),
        (1, {"1": 0.6, "2": 0.4}, {"1": 1, "2": 0}),
    ],
)
def test_weighted_alias_divides_what_is_provisioned(
    wanted: int, weights: dict[str, float], expected: dict[str, int]
) -> None:
    assert shares(wanted, weights) == expected


def test_versions_and_aliases_provision_versions() -> None:
    aliases = {"live": Alias("live", "2", "r", weights={"3": 0.5}), "gone": Alias("gone", "9", "r")}
    provisioned = {"1": Provisioned(7, 0), "live": Provisioned(4, 0), "deleted": Provisioned(1, 0)}
    assert wanted_by_version(provisioned, aliases) == {"1": 7, "2": 2, "3": 2}


def test_what_is_ready_of_a_version_counts_for_one_qualifier_after_the_other() -> None:
    aliases = {"a": Alias("a", "1", "r"), "b": Alias("b", "1", "r", weights={"2": 0.5})}
    provisioned = {"b": Provisioned(4, 0), "a": Provisioned(3, 0)}
    assert served_before("a", provisioned, aliases) == {}
    assert served_before("b", provisioned, aliases) == {"1": 3}
    assert wanted_by_version(provisioned, aliases) == {"1": 5, "2": 2}


def test_provisioned_comes_back_from_json() -> None:
    one = Provisioned(4, 1_700_000_000_000, "FUNCTION_ERROR_INIT_FAILURE", ("key",))
    assert Provisioned.from_json(one.to_json()) == one
