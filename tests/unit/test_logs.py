"""Log segments: written in batches, read back in order, bounded when the disk fails, swept by age."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hearth.logs import GroupKey, LogReader, LogWriter, layout, writer
from hearth.logs.retention import sweep

ACCOUNT, REGION, GROUP = "000000000000", "us-east-1", "/aws/lambda/f"
KEY = GroupKey(ACCOUNT, REGION, GROUP)
STREAM = "2025/01/02/[$LATEST]0123456789abcdef"


async def written(root: Path, *events: tuple[str, int, str], key: GroupKey = KEY, **options: object) -> None:
    logs = LogWriter(root, flush_s=0, **options)  # type: ignore[arg-type]
    for stream, t_ms, message in events:
        logs.append(key, stream, t_ms, message)
    await logs.close()


async def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    await written(tmp_path, (STREAM, 1000, "a\n"), (STREAM, 1001, "zwölf ☃\n"), ("other", 900, "b\n"))
    reader = LogReader(tmp_path)
    (group,) = reader.groups(ACCOUNT, REGION)
    assert (group.name, group.created_ms, group.stored_bytes > 0) == (GROUP, 900, True)
    streams = {stream.name: (stream.first_ms, stream.last_ms) for stream in reader.streams(ACCOUNT, REGION, GROUP)}
    assert streams == {STREAM: (1000, 1001), "other": (900, 900)}
    events = list(reader.events(ACCOUNT, REGION, GROUP, STREAM))
    assert [(event.t_ms, event.message) for event in events] == [(1000, "a\n"), (1001, "zwölf ☃\n")]


async def test_streams_of_a_group_are_merged_by_time(tmp_path: Path) -> None:
    await written(tmp_path, ("x", 1, "1"), ("x", 3, "3"), ("y", 2, "2"), ("y", 4, "4"))
    merged = LogReader(tmp_path).events(ACCOUNT, REGION, GROUP)
    assert [(event.stream, event.message) for event in merged] == [("x", "1"), ("y", "2"), ("x", "3"), ("y", "4")]


async def test_start_is_inside_and_end_outside_a_range(tmp_path: Path) -> None:
    await written(tmp_path, *(("x", t_ms, str(t_ms)) for t_ms in range(1, 6)))
    found = LogReader(tmp_path).events(ACCOUNT, REGION, GROUP, "x", start_ms=2, end_ms=4)
    assert [event.t_ms for event in found] == [2, 3]


async def test_groups_are_apart_by_account_region_and_prefix(tmp_path: Path) -> None:
    await written(tmp_path, ("x", 1, "a"))
    await written(tmp_path, ("x", 1, "b"), key=GroupKey("111111111111", REGION, GROUP))
    await written(tmp_path, ("x", 1, "c"), key=GroupKey(ACCOUNT, REGION, "/other"))
    reader = LogReader(tmp_path)
    assert [group.name for group in reader.groups(ACCOUNT, REGION)] == [GROUP, "/other"]
    assert [group.name for group in reader.groups(ACCOUNT, REGION, "/o")] == ["/other"]
    assert reader.groups(ACCOUNT, "eu-west-1") == []
    assert list(reader.events("222222222222", REGION, GROUP)) == []


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "%2F", "x" * 512, "/" * 300, "mit+plus", "$LATEST#1"])
async def test_every_legal_name_has_a_place_below_the_root(tmp_path: Path, name: str) -> None:
    directory = layout.group_dir(tmp_path, ACCOUNT, REGION, name)
    assert ".." not in directory.relative_to(tmp_path).parts
    await written(tmp_path, ("x", 1, "a"), key=GroupKey(ACCOUNT, REGION, name))
    assert [group.name for group in LogReader(tmp_path).groups(ACCOUNT, REGION)] == [name]


async def test_a_full_segment_is_followed_by_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 100)
    logs = LogWriter(tmp_path, flush_s=0)
    for t_ms in range(5):
        logs.append(KEY, "x", t_ms, "m" * 60)
        await flushed(logs)
    await logs.close()
    segments = layout.segments(layout.stream_dir(tmp_path, ACCOUNT, REGION, GROUP, "x"))
    assert [first for first, _ in segments] == [0, 2, 4]
    assert [event.t_ms for event in LogReader(tmp_path).events(ACCOUNT, REGION, GROUP, "x")] == list(range(5))


async def test_a_half_written_line_is_not_an_event(tmp_path: Path) -> None:
    await written(tmp_path, ("x", 1, "whole"))
    ((_, segment),) = layout.segments(layout.stream_dir(tmp_path, ACCOUNT, REGION, GROUP, "x"))
    with segment.open("ab") as file:
        file.write(b'{"t":2,"m":"ha')
    reader = LogReader(tmp_path)
    assert [event.message for event in reader.events(ACCOUNT, REGION, GROUP, "x")] == ["whole"]
    assert reader.streams(ACCOUNT, REGION, GROUP)[0].last_ms == 1


async def test_live_tail_gets_each_batch_by_group(tmp_path: Path) -> None:
    batches: list[tuple[str, list[tuple[str, int, str]]]] = []
    await written(
        tmp_path,
        ("x", 1, "a"),
        ("y", 2, "b"),
        on_batch=lambda account, region, group, lines: batches.append((group, lines)),
    )
    assert batches == [(GROUP, [("x", 1, "a"), ("y", 2, "b")])]


async def test_a_disk_that_fails_costs_the_oldest_lines_and_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "logs"
    blocked.write_text("a file where the directory should be")
    logs = LogWriter(tmp_path, flush_s=0, limit_bytes=4000)
    for t_ms in range(100):
        logs.append(KEY, "x", t_ms, "m" * 100)
    await flushed(logs)
    blocked.unlink()
    await logs.close()
    messages = [event.message for event in LogReader(tmp_path).events(ACCOUNT, REGION, GROUP, "x")]
    kept = [message for message in messages if message == "m" * 100]
    assert 0 < len(kept) < 40
    (said,) = [message for message in messages if message.startswith("LOGS_DROPPED")]
    assert f"Dropped Records: {100 - len(kept)} " in said


async def test_segments_older_than_the_retention_go_with_their_directories(tmp_path: Path) -> None:
    await written(tmp_path, ("old", 1, "a"), ("new", 2, "b"))
    ((_, old),) = layout.segments(layout.stream_dir(tmp_path, ACCOUNT, REGION, GROUP, "old"))
    day_s = 86_400
    os.utime(old, (0, old.stat().st_mtime - 31 * day_s))
    assert sweep(tmp_path, 30) == 1
    assert not old.parent.exists()
    assert [stream.name for stream in LogReader(tmp_path).streams(ACCOUNT, REGION, GROUP)] == ["new"]


async def test_a_swept_stream_goes_on(tmp_path: Path) -> None:
    logs = LogWriter(tmp_path, flush_s=0)
    logs.append(KEY, "x", 1, "a")
    await flushed(logs)
    assert sweep(tmp_path, 0, now_s=2**33) == 1
    logs.append(KEY, "x", 2, "b")
    await logs.close()
    assert [event.message for event in LogReader(tmp_path).events(ACCOUNT, REGION, GROUP, "x")] == ["b"]


async def flushed(logs: LogWriter) -> None:
    """Until the writer's buffer is empty or has been tried."""
    for _ in range(20):
        await asyncio.sleep(0.005)
