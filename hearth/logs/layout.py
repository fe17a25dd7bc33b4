"""Where a log stream's segments lie below the blob root, and how names become paths.

    <root>/logs/<account>/<region>/<quoted group>/<quoted stream>/<first event, epoch ms>-<writer id>.jsonl

A group's name may be 512 characters long (CreateLogGroup) and a file name 255 bytes, so a quoted name is cut into
directories of `_PIECE` characters, every one but the last marked by a trailing `+` (quoting never leaves one).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

SUFFIX = ".jsonl"
_PIECE = 200
_CONTINUED = "+"


def region_dir(root: Path, account: str, region: str) -> Path:
    return root / "logs" / _pieces(account) / _pieces(region)


def group_dir(root: Path, account: str, region: str, group: str) -> Path:
    return region_dir(root, account, region) / _pieces(group)


def stream_dir(root: Path, account: str, region: str, group: str, stream: str) -> Path:
    return group_dir(root, account, region, group) / _pieces(stream)


def names_below(directory: Path) -> Iterator[tuple[str, Path]]:
    """(name, its directory) of every group or stream in `directory`, in no order; nothing if it is absent."""
    for quoted, path in _leaves(directory, ""):
        yield unquote(quoted), path


def segments(directory: Path) -> list[tuple[int, Path]]:
    """(first event's epoch ms, file) of a stream's segments, oldest first."""
    try:
        found = [(first_ms(path), path) for path in directory.iterdir() if path.suffix == SUFFIX]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)


def first_ms(segment: Path) -> int:
    head = segment.name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def _pieces(name: str) -> Path:
    # `.` and `..` are legal names of a group and survive quoting.
    quoted = quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
    cut = [quoted[at : at + _PIECE] for at in range(0, len(quoted), _PIECE)] or ["%"]
    return Path(*(piece + _CONTINUED for piece in cut[:-1]), cut[-1])


def _leaves(directory: Path, before: str) -> Iterator[tuple[str, Path]]:
    try:
        children = [child for child in directory.iterdir() if child.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    for child in children:
        if child.name.endswith(_CONTINUED):
            yield from _leaves(child, before + child.name[: -len(_CONTINUED)])
        else:
            yield before + child.name, child
