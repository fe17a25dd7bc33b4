"""200 MB streamed, to a caller who reads at once and to one who reads slowly: no process keeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.load.streaming import MB, Streamer, platform
from tests.support.servers import PrivateServers

#: AWS's longest
MEGABYTES = 200
MAX_GROWTH = 32 * MB


@pytest.fixture(scope="module")
def streamer() -> Iterator[Streamer]:
    if reason := PrivateServers.unavailable():
        missing(reason)
    with platform() as stack:
        made = Streamer(stack)
        made.stream(8)  # code and buffers that any first response needs
        yield made


def test_memory_stays_flat_while_200_mb_pass(streamer: Streamer) -> None:
    streamed = streamer.stream(MEGABYTES)
    assert streamed.received == MEGABYTES * MB
    assert max(streamed.grown.values()) < MAX_GROWTH, streamed.grown


def test_memory_stays_flat_before_a_slow_reader(streamer: Streamer) -> None:
    def pace(megabytes: int) -> None:
        if megabytes <= 20:  # the function could send hundreds of MB meanwhile
            time.sleep(0.1)

    streamed = streamer.stream(MEGABYTES, pace=pace)
    assert streamed.received == MEGABYTES * MB
    assert max(streamed.grown.values()) < MAX_GROWTH, streamed.grown
