"""Each fault has servers and a platform of its own: what one test breaks, no other one meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.support import places
from tests.support.processes import left_of
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

Start = Callable[..., PlatformStack]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(workers=2, ...): servers and a platform with these settings. At the end nothing of it may be left."""
    if reason := PrivateServers.unavailable():
        missing(reason)
    folder: Path | None = None
    with ExitStack() as opened:

        def begin(**settings: object) -> PlatformStack:
            nonlocal folder
            folder = opened.enter_context(places.data_folder())
            servers = opened.enter_context(PrivateServers(folder))
            return opened.enter_context(PlatformStack(folder, servers, **settings))

        yield begin
    assert folder is not None
    assert left_of(folder) == []
