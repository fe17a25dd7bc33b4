"""Answers leave in one write, in order, also when the connection is closed at once."""

from __future__ import annotations

import asyncio

from gateway.http_protocol import GatheringTransport


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes | str] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.seen.append(data)

    def close(self) -> None:
        self.seen.append("closed")

    def is_closing(self) -> bool:
        return False


async def test_head_and_body_of_one_turn_are_one_write() -> None:
    real = Recorder()
    transport = GatheringTransport(real, asyncio.get_running_loop())
    transport.write(b"head")
    transport.write(b"body")
    assert real.seen == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)

    assert real.seen == [b"headbody", b"next"]


async def test_closing_sends_what_is_pending_first() -> None:
    real = Recorder()
    transport = GatheringTransport(real, asyncio.get_running_loop())
    transport.write(b"bye")
    transport.close()
    await asyncio.sleep(0)

    assert real.seen == [b"bye", "closed"]
    assert not transport.is_closing()
