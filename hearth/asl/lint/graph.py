"""Where states lead: every target is there, every state can be reached, every container can end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hearth.asl.lint import diagnostics as say
from hearth.asl.lint.diagnostics import Findings
from hearth.asl.scope import Json


def check(document: dict[str, Json], findings: Findings) -> None:
    """The machine and every container inside it. Targets first, then ends, then what can't be reached."""
    containers = list(_containers(document, ""))
    for container, location in containers:
        for target, pointer in _targets(container, location):
            if target not in container["States"]:
                findings.add(f"Missing 'Next' target: {target}", pointer, say.MISSING_TARGET)
    endless = False
    for container, _ in containers:
        if not any(_ends(state) for state in _states(container).values()):
            findings.add(say.NO_TERMINAL, None, say.NO_END)
            endless = True
    if endless:
        return
    for container, location in containers:
        if "StartAt" not in container:
            continue
        reached = _reached(container)
        for name in _states(container):
            if name not in reached:
                findings.add(f'State "{name}" is not reachable.', f"{location}/States/{name}", say.MISSING_TARGET)


def _containers(document: Json, location: str) -> Iterator[tuple[dict[str, Any], str]]:
    if not isinstance(document, dict) or not isinstance(document.get("States"), dict) or not document["States"]:
        return
    yield document, location
    for name, state in _states(document).items():
        here = f"{location}/States/{name}"
        for inside in ("ItemProcessor", "Iterator"):
            yield from _containers(state.get(inside), f"{here}/{inside}")
        branches = state.get("Branches")
        for index, branch in enumerate(branches if isinstance(branches, list) else ()):
            yield from _containers(branch, f"{here}/Branches[{index}]")


def _states(container: dict[str, Any]) -> dict[str, Any]:
    return {name: state for name, state in container["States"].items() if isinstance(state, dict)}


def _targets(container: dict[str, Any], location: str) -> Iterator[tuple[str, str]]:
    """(target, where it is named)."""
    if isinstance(start := container.get("StartAt"), str):
        yield start, f"{location}/StartAt"
    for name, state in _states(container).items():
        for target, field in _next(state):
            yield target, f"{location}/States/{name}/{field}"


def _next(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if state.get("Type") == "Choice":
        names = [(state.get("Default"), "Default")]
        names += [(rule.get("Next"), f"Choices[{index}]/Next") for index, rule in _numbered(state.get("Choices"))]
    else:
        names = [(state.get("Next"), "Next")]
        names += [(catcher.get("Next"), f"Catch[{index}]/Next") for index, catcher in _numbered(state.get("Catch"))]
    for target, field in names:
        if isinstance(target, str):
            yield target, field


def _numbered(members: Json) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, member in enumerate(members if isinstance(members, list) else ()):
        if isinstance(member, dict):
            yield index, member


def _ends(state: dict[str, Any]) -> bool:
    return state.get("End") is True or state.get("Type") in ("Succeed", "Fail")


def _reached(container: dict[str, Any]) -> set[str]:
    states = _states(container)
    reached: set[str] = set()
    waiting = [container.get("StartAt")]
    while waiting:
        name = waiting.pop()
        if isinstance(name, str) and name in states and name not in reached:
            reached.add(name)
            waiting.extend(target for target, _ in _next(states[name]))
    return reached
