"""Runtime: how a family of function versions is started inside a sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from workers.sandbox.supervisor import Mount

#: a program that starts the runtime in its place, with the runtime's command as arguments (not of `provided`)
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
#: starts it, or says in AWS's words why not (those and the exit statuses are of the runtimes' own start scripts)
_WRAP = (
    'test -f "$0" || { echo "$0: does not exist"; exit 127; }; '
    'test -x "$0" || { echo "$0: is not an executable"; exit 126; }; '
    'exec "$0" "$@"'
)


class InvalidEntrypoint(Exception):
    """The package has no program to start. The text is AWS's."""


@dataclass(frozen=True, slots=True)
class CellRecipe:
    """How a runtime boots with nothing of a function's in it (a stem cell: workers/sandbox/stem_cell.py).

    launch: its program, `{heap_mb}` in it as in `Runtime.launch`. It calls GET /hearth/cell at the Runtime API's
    address; the answer's body is the function's whole environment (NAME=value, a NUL after each), and from there on it
    is what the runtime's own launch would have been with that. at_start: patterns of variables that its language reads
    when it starts and never again. environment: what it boots with besides the runtime's defaults. in_place: the
    function's variables take the place of those, so they may be neither more nor longer. enters: it changes to the
    function's directory once it is told, so that the package may be mounted on top of where it stood. usual_mb: memory
    of the functions that cells are booted for before any has asked.
    """

    launch: tuple[str, ...]
    at_start: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    in_place: bool = False
    enters: bool = False
    usual_mb: int = 128


@dataclass(frozen=True, slots=True)
class Runtime:
    """family: the Lambda runtime id. version: the text of INIT_START, `python:3.11.7`. Paths are as seen inside.

    launch: the command before the handler; `{heap_mb}` in it becomes `heap_share` of the function's memory.
    entries: instead of a command, programs of the package or its layers; the first that is there is started.
    stands_for: the family in whose place it is offered, "" for its own; `family` is what is installed.
    cell: None: every start of it is a full one.
    """

    family: str
    version: str
    launch: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    #: variables that the customer may override
    defaults: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[str, ...] = ()
    heap_share: float = 0.85
    stands_for: str = ""
    cell: CellRecipe | None = None

    def command(
        self,
        handler: str,
        *,
        memory_mb: int = 128,
        mounts: Iterable[Mount] = (),
        environment: Mapping[str, str] | None = None,
    ) -> tuple[str, ...]:
        """mounts: all that the sandbox will show, code and layers included. Raises InvalidEntrypoint."""
        if self.entries:
            return (entry_point(self.entries, mounts),)
        words = (*self.sized(self.launch, memory_mb), handler)
        wrapper = (environment or {}).get(_WRAPPER)
        return ("/bin/sh", "-c", _WRAP, wrapper, *words) if wrapper else words

    def sized(self, launch: tuple[str, ...], memory_mb: int) -> tuple[str, ...]:
        heap_mb = str(int(memory_mb * self.heap_share))
        return tuple(word.replace("{heap_mb}", heap_mb) for word in launch)

    def in_place_of(self, family: str) -> Runtime:
        """The same, offered for a family that is not installed: layers are looked up by that one's number."""
        number, wanted = (one.removeprefix("nodejs").partition(".")[0] for one in (self.family, family))
        defaults = {
            name: value.replace(f"/nodejs/node{number}/", f"/nodejs/node{wanted}/")
            for name, value in self.defaults.items()
        }
        return replace(self, stands_for=family, defaults=defaults)

    def environment(self) -> dict[str, str]:
        return dict(self.defaults)


def entry_point(entries: Iterable[str], mounts: Iterable[Mount]) -> str:
    """The first of these inside paths that a mount has. Raises InvalidEntrypoint in the words of AWS's sandbox."""
    shown = list(mounts)
    for entry in entries:
        for mount in shown:
            if PurePosixPath(entry).is_relative_to(mount.target):
                place = mount.source / PurePosixPath(entry).relative_to(mount.target)
                if place.is_file():
                    return _executable(entry, place)
    raise InvalidEntrypoint(f"Couldn't find valid bootstrap(s): [{' '.join(entries)}]")


def _executable(entry: str, place: Path) -> str:
    # Not os.access: root may execute whatever has any x bit, the function's user needs the one for others.
    if os.stat(place).st_mode & 0o001:
        return entry
    raise InvalidEntrypoint(f"fork/exec {entry}: permission denied")
