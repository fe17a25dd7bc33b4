"""Which cells may become which function, and how many of them are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workers.lifecycle.cell_start import kind_for, usual_kind
from workers.runtimes.runtime import CellRecipe, Runtime
from workers.sandbox.cell_demand import BURST_S, FORGOTTEN_S, MOST, Demand, host_is_short
from workers.sandbox.supervisor import Egress, SandboxSpec

_PYTHON = Runtime(
    "python3.11",
    "python:3.11.7",
    ("python3", "bootstrap.py"),
    defaults={"PYTHONPATH": "/var/runtime"},
    cell=CellRecipe(("python3", "cell.py"), at_start=("PYTHON*",)),
)
_SIZED = Runtime(
    "java21", "java:21", ("java", "-Xmx{heap_mb}m"), heap_share=0.5, cell=CellRecipe(("java", "-Xmx{heap_mb}m"), ())
)


def a_spec(environment: dict[str, str] | None = None, **more: Any) -> SandboxSpec:
    usual = {"LANG": "en_US.UTF-8", "TZ": ":UTC", "PYTHONPATH": "/var/runtime", "PATH": "/mine"}
    usual |= {"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000"}
    usual["LD_LIBRARY_PATH"] = (
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    )
    return SandboxSpec("s", ("python3",), usual | (environment or {}), Path("/code"), **more)


@pytest.mark.parametrize("environment", [{}, {"STAGE": "prod"}, {"PATH": "/mine"}, {"HOME": "/tmp"}])
def test_what_is_read_late_can_be_given_late(environment: dict[str, str]) -> None:
    assert kind_for(_PYTHON, a_spec(environment)) is not None


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "1"}, {"PYTHONPATH": "/opt"}, {"LC_ALL": "C"}, {"LD_PRELOAD": "x"}, {"TZ": "Asia/Tokyo"}],
)
def test_what_is_read_at_the_start_cannot(environment: dict[str, str]) -> None:
    assert kind_for(_PYTHON, a_spec(environment)) is None


def test_a_function_takes_its_runtimes_usual_cells_whatever_its_memory() -> None:
    usual = usual_kind(_PYTHON, Egress.OPEN)
    assert kind_for(_PYTHON, a_spec(memory_mb=1024, egress=Egress.OPEN)) == usual
    assert kind_for(_PYTHON, a_spec(memory_mb=1024, egress=Egress.OFF)) != usual
    assert kind_for(_PYTHON, a_spec(ephemeral_mb=600, egress=Egress.OPEN)) != usual


def test_a_heap_has_the_size_that_it_was_started_with() -> None:
    kinds = [kind_for(_SIZED, a_spec({"PYTHONPATH": ""}, memory_mb=memory_mb)) for memory_mb in (256, 512)]
    assert [(kind.command, kind.memory_mb) for kind in kinds if kind] == [
        (("java", "-Xmx128m"), 256),
        (("java", "-Xmx256m"), 512),
    ]


def test_variables_that_take_the_place_of_others_must_have_room_there() -> None:
    room = {f"ROOM_{number}": 64 * "x" for number in range(3)}
    runtime = replace(_SIZED, cell=CellRecipe(("java",), (), room, in_place=True))
    without = {"PYTHONPATH": ""}
    assert kind_for(runtime, a_spec(without | {"A": "x" * 90, "B": "x" * 90})) is not None
    assert kind_for(runtime, a_spec(without | {"A": "x" * 500})) is None
    assert kind_for(runtime, a_spec(without | {name: "" for name in "ABCD"})) is None


def test_a_runtime_without_cells_has_none() -> None:
    bare = Runtime("provided.al2", "provided:al2", entries=("/var/task/bootstrap",))
    assert (usual_kind(bare, Egress.OPEN), kind_for(bare, a_spec())) == (None, None)


@pytest.mark.parametrize(
    ("first", "asked_s", "base", "expected"),
    [
        (True, [], 2, 1),
        (True, [], 0, 0),
        (False, [], 2, 0),
        (False, [100.0], 2, 2),
        (False, [99.0 - FORGOTTEN_S], 2, 0),
        (True, [99.0 - FORGOTTEN_S], 2, 1),
        (False, [100.0 - BURST_S] * 5, 2, 5),
        (False, [99.0 - BURST_S] * 5, 2, 2),
        (False, [100.0] * 99, 2, MOST),
        (False, [100.0] * 99, 0, 0),
    ],
)
def test_as_many_are_kept_as_were_asked_for_lately(first: bool, asked_s: list[float], base: int, expected: int) -> None:
    demand = Demand(first=first)
    for at_s in asked_s:
        demand.asked(at_s)
    assert demand.wanted(base, 100.0) == expected


def test_a_boot_that_fails_again_is_tried_later_each_time() -> None:
    demand, pauses_s = Demand(), []
    for _ in range(10):
        demand.failed(0.0)
        pauses_s.append(demand.not_before_s)
    assert pauses_s[:3] == [2.0, 4.0, 8.0]
    assert pauses_s[-1] == 300.0


@pytest.mark.parametrize(("available", "short"), [(11, False), (9, True)])
def test_a_host_with_a_tenth_of_its_memory_left_is_short(available: int, short: bool) -> None:
    assert host_is_short(f"MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\nHugePages_Free: 0") is short
