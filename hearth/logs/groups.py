"""Log groups that were made by hand: they are there before anything is written to them. Blocks: call it in a thread."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import orjson

from hearth.clock import now_ms
from hearth.logs import layout
from hearth.logs.batch import append_file

#: in the group's directory, with the time of its making (epoch ms)
MARK = ".group"
DELIVERY_STREAM = "log_stream_created_by_aws_to_validate_log_delivery_subscriptions"
DELIVERY_TEXT = (
    "Permissions are set correctly to allow AWS CloudWatch Logs to write into your logs while creating a subscription."
)


def create(root: Path, account: str, region: str, group: str) -> bool:
    """False: it exists."""
    directory = layout.group_dir(root, account, region, group)
    if made_ms(directory) is not None or any(layout.names_below(directory)):
        return False
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).write_text(str(now_ms()))
    return True


def note_delivery(root: Path, account: str, region: str, group: str) -> None:
    """Leave the stream that AWS makes when a service is allowed to write to a group."""
    directory = layout.stream_dir(root, account, region, group, DELIVERY_STREAM)
    if not any(layout.segments(directory)):
        now = now_ms()
        line = orjson.dumps({"t": now, "m": DELIVERY_TEXT}, option=orjson.OPT_APPEND_NEWLINE)
        append_file(directory / f"{now}-delivery{layout.SUFFIX}", line)


def delete(root: Path, account: str, region: str, group: str) -> bool:
    """With all that was written to it. False: it does not exist."""
    directory = layout.group_dir(root, account, region, group)
    if made_ms(directory) is None and not any(layout.names_below(directory)):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    return True


def made_ms(directory: Path) -> int | None:
    """When the group of this directory was made by hand; None: it was not."""
    with contextlib.suppress(OSError, ValueError):
        return int((directory / MARK).read_text())
    return None
