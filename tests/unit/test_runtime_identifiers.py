"""Which installed runtime stands in for another, and what a fleet offers."""

from __future__ import annotations

import pytest

from hearth.model.runtime import CREATABLE, NEWER, fleet_offer, language_of, nearest, stand_ins, substitution

PYTHONS = ["python3.9", "python3.11", "python3.13"]


@pytest.mark.parametrize(
    ("wanted", "installed", "closest"),
    [
        ("python3.11", PYTHONS, "python3.11"),
        ("python3.10", PYTHONS, "python3.11"),  # newer before older
        ("python3.12", PYTHONS, "python3.13"),
        ("python3.14", PYTHONS, "python3.13"),  # none is newer
        ("python3.8", PYTHONS, "python3.9"),
        ("python3.10", ["python3.9", "python3.8"], "python3.9"),
        ("nodejs22.x", ["nodejs20.x", "nodejs24.x", "python3.11"], "nodejs24.x"),
        ("java8.al2", ["java17", "java25"], "java17"),
        ("java21", ["java17", "java17.al2023"], "java17.al2023"),
        ("ruby3.3", PYTHONS, None),
        ("provided.al2", ["provided.al2023"], None),
        ("cobol", ["cobol"], None),
        ("dotnet8", ["mono6.8", "python3.11"], "mono6.8"),
        ("dotnet8", ["mono6.8", "dotnet6"], "dotnet6"),
    ],
)
def test_the_nearest_runtime_is_of_the_same_language_and_rather_newer(
    wanted: str, installed: list[str], closest: str | None
) -> None:
    assert nearest(wanted, installed) == closest


def test_stand_ins_are_the_known_runtimes_that_are_not_installed() -> None:
    found = stand_ins(["python3.11", "provided.al2023"])
    assert "python3.11" not in found
    assert set(found) == {one for one in (*CREATABLE, *NEWER) if language_of(one) == "python"} - {"python3.11"}
    assert set(found.values()) == {"python3.11"}


def test_the_fleets_offer_prefers_installed_ones_then_the_nearest() -> None:
    offer = fleet_offer(
        [
            {"families": "python3.11", "stand_ins": "python3.12=python3.11,python3.13=python3.11"},
            {"families": "python3.11,python3.13", "stand_ins": "python3.12=python3.13"},
        ]
    )
    assert [(one.family, one.by, one.exact, one.workers) for one in offer.values()] == [
        ("python3.11", "python3.11", True, 2),
        ("python3.12", "python3.13", False, 1),
        ("python3.13", "python3.13", True, 1),
    ]


def test_a_worker_of_an_older_release_tells_no_stand_ins() -> None:
    assert list(fleet_offer([{"families": "python3.11"}, {}])) == ["python3.11"]


def test_what_a_substitute_does_not_do_is_said() -> None:
    assert substitution("python3.13", "python3.11") == (
        "python3.13 is not installed here: the function runs on python3.11."
    )
    assert substitution("dotnet8", "mono6.8").endswith(
        " runs on mono6.8. Mono, not .NET: only assemblies for .NET Framework or .NET Standard 2.0 run there."
    )
