"""A sandbox's log stream: from what comes out of a pipe to events, in order, with a tail."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from hearth.logs import LogReader, LogWriter
from hearth.model.function import FunctionVersion
from workers.billing import Bill, BillWriter
from workers.function_log import EVENT_LIMIT_BYTES, FunctionLog

VERSION = FunctionVersion(
    "k", "000000000000", "us-east-1", "f", "$LATEST", "python3.11", "app.handler", "role", "0" * 64
)


class Printed:
    """A FunctionLog on the read end of a pipe."""

    def __init__(self, root: Path, version: FunctionVersion = VERSION) -> None:
        self.root = root
        self.writer = LogWriter(root, flush_s=0)
        self.log = FunctionLog(version, self.writer)
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.log.attach(self.read_end)

    def says(self, data: bytes) -> None:
        os.write(self.write_end, data)

    async def messages(self) -> list[str]:
        self.log.detach()
        await self.writer.close()
        reader = LogReader(self.root)
        return [event.message for event in reader.events(*self.log.key, self.log.stream)]


@pytest.fixture
async def printed(tmp_path: Path) -> AsyncIterator[Printed]:
    found = Printed(tmp_path)
    yield found
    await found.messages()
    os.close(found.read_end)
    os.close(found.write_end)


async def test_lines_and_the_platforms_own_stay_in_order(printed: Printed) -> None:
    printed.log.platform("START\n")
    printed.says(b"one\ntwo\n")
    printed.log.drain()
    printed.log.platform("END\n")
    assert await printed.messages() == ["START\n", "one\n", "two\n", "END\n"]


async def test_a_line_cut_between_two_reads_is_one_event(printed: Printed) -> None:
    printed.says("hal\u00e4".encode()[:-1])
    printed.log._read(1 << 16)
    printed.says("\u00e4".encode()[1:] + b"lo\n")
    printed.log._read(1 << 16)
    assert await printed.messages() == ["hal\u00e4lo\n"]


async def test_an_unfinished_line_belongs_to_the_invocation_that_printed_it(printed: Printed) -> None:
    printed.says(b"no newline")
    printed.log.drain()
    printed.log.platform("END\n")
    assert await printed.messages() == ["no newline\n", "END\n"]


async def test_lines_joined_by_carriage_returns_are_one_event(tmp_path: Path) -> None:
    printed = Printed(tmp_path, replace(VERSION, runtime="nodejs20.x"))
    printed.says(b"KeyError\rTraceback\r  File\nnext\r\n")
    assert await printed.messages() == ["KeyError\nTraceback\n  File\n", "next\n"]


def frame(text: str, *, said_bytes: int | None = None) -> bytes:
    """As Python's client writes what is logged. said_bytes: a length other than the true one."""
    message = text.encode()
    head = b"\xa5\x5a\x00\x0f" + (len(message) if said_bytes is None else said_bytes).to_bytes(4, "big") + b"\0" * 8
    return head + message


@pytest.mark.parametrize("at_once", [1, 7, 1 << 16])
async def test_a_frame_is_one_event_between_what_is_printed(printed: Printed, at_once: int) -> None:
    said = b"before\nunfinished" + frame("h\u00e4llo\nworld\n") + frame("") + frame("no newline") + b"after\n"
    for at in range(0, len(said), at_once):
        printed.says(said[at : at + at_once])
        printed.log._read(1 << 16)
    assert await printed.messages() == ["before\n", "unfinished\n", "h\u00e4llo\nworld\n", "no newline\n", "after\n"]


async def test_a_frame_that_is_being_written_is_not_cut_by_an_invocations_end(printed: Printed) -> None:
    said = frame("one\ntwo")
    for cut in (9, 20):
        printed.says(said[:cut])
        printed.log.drain()
        printed.says(said[cut:])
    assert await printed.messages() == ["one\ntwo\n"] * 2


async def test_a_frame_whose_writer_died_is_told_as_far_as_it_came(printed: Printed) -> None:
    printed.says(frame("last words", said_bytes=4000))
    assert await printed.messages() == ["last words\n"]


async def test_a_frame_that_claims_to_be_endless_is_told_in_events_of_the_usual_size(printed: Printed) -> None:
    printed.says(frame("", said_bytes=(1 << 32) - 1))
    for _ in range(10):
        printed.says(b"x" * 60_000)
        printed.log._read(1 << 16)
        assert len(printed.log._partial) <= EVENT_LIMIT_BYTES
    assert [len(one) for one in await printed.messages()] == [EVENT_LIMIT_BYTES + 1] * 2 + [
        600_000 % EVENT_LIMIT_BYTES + 1
    ]


async def test_a_carriage_return_that_a_python_function_prints_stays(printed: Printed) -> None:
    printed.says(b"another\rline\n")
    assert await printed.messages() == ["another\rline\n"]


async def test_a_long_line_is_split_between_characters(printed: Printed) -> None:
    text = "\u2603" * (EVENT_LIMIT_BYTES // 3 + 10)
    data = text.encode() + b"\n"
    for at in range(0, len(data), 30_000):
        printed.says(data[at : at + 30_000])
        printed.log._read(1 << 16)
    first, second = await printed.messages()
    assert first.removesuffix("\n") + second == text + "\n"
    assert len(first.encode()) <= EVENT_LIMIT_BYTES + 1


async def test_bytes_that_are_no_text_are_replaced(printed: Printed) -> None:
    printed.says(b"\xff\xfe\n")
    assert await printed.messages() == ["\ufffd\ufffd\n"]


async def test_the_tail_is_the_last_4_kb_since_it_began(printed: Printed) -> None:
    printed.log.platform("before\n")
    printed.log.begin_tail()
    for number in range(1000):
        printed.says(b"%d zw\xc3\xb6lf\n" % number)
        printed.log.drain()
    tail = printed.log.take_tail()
    assert 4090 < len(tail) <= 4096
    assert tail.decode().endswith("999 zw\u00f6lf\n")
    assert printed.log.take_tail() == b""


@pytest.mark.parametrize("drains", [0, 1, 2])
async def test_a_closed_pipe_ends_quietly(tmp_path: Path, drains: int) -> None:
    printed = Printed(tmp_path)
    printed.says(b"last words\n")
    os.close(printed.write_end)
    for _ in range(drains):
        printed.log.drain()
    assert await printed.messages() == ["last words\n"]
    os.close(printed.read_end)


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("TRACE", ["DEBUG", "INFO", "ERROR"]),
        ("INFO", ["INFO", "ERROR"]),
        ("ERROR", ["ERROR"]),
        ("FATAL", []),
    ],
)
async def test_json_functions_lose_lines_below_their_level(tmp_path: Path, level: str, kept: list[str]) -> None:
    printed = Printed(tmp_path, replace(VERSION, log_format="JSON", app_log_level=level))
    printed.says(b'{"level":"DEBUG"}\n{"level":"INFO"}\n{"level":"ERROR"}\nplain\n{"no":"level"}\n{broken\n')
    told = [f'{{"level":"{one}"}}\n' for one in kept]
    assert await printed.messages() == [*told, "plain\n", '{"no":"level"}\n', "{broken\n"]
    os.close(printed.read_end)
    os.close(printed.write_end)


async def test_group_and_stream_have_the_names_of_aws(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    own, custom = FunctionLog(VERSION, writer), FunctionLog(replace(VERSION, log_group="team"), writer)
    assert own.key == ("000000000000", "us-east-1", "/aws/lambda/f")
    assert re.fullmatch(re.escape(f"{day}/[$LATEST]") + "[0-9a-f]{32}", own.stream)
    assert custom.key.group == "team"
    assert re.fullmatch(re.escape(f"{day}/f[$LATEST]") + "[0-9a-f]{32}", custom.stream)
    await writer.close()


async def test_a_bill_is_a_line_in_the_file_of_its_day(tmp_path: Path) -> None:
    bills = BillWriter(tmp_path, writer_id="w1", flush_s=0)
    bills.append(Bill(1_735_787_045_678, VERSION, "id-1", 2, 102.2512, True, "success"))
    bills.append(Bill(1_735_787_045_700, VERSION, "id-2", 1, 0.0, False, "timeout"))
    await bills.close()
    first, second = (tmp_path / "bills" / "2025-01-02" / "w1.jsonl").read_bytes().splitlines()
    assert orjson.loads(first) == {
        "t": 1_735_787_045_678,
        "account": "000000000000",
        "region": "us-east-1",
        "function": "f",
        "version": "$LATEST",
        "request_id": "id-1",
        "billed_ms": 2,
        "memory_mb": 128,
        "init_ms": 102.25,
        "cold": True,
        "status": "success",
    }
    assert orjson.loads(second)["status"] == "timeout"
