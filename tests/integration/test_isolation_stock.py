"""Parts made ahead by a process of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.sandbox.isolation.stock import Stock


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Stock, Path]]:
    """A stock of pipes; kind `never` can't be made. The folder tells which parts were discarded."""

    def make(kind: str) -> list[int]:
        if kind == "never":
            raise OSError("there is none")
        return list(os.pipe())

    def discard(parts: list[int]) -> None:
        for part in parts:
            os.close(part)
        (tmp_path / f"discarded-{parts[0]}").touch()

    stock = Stock(make, discard, theirs=[])
    yield stock, tmp_path
    stock.channel.close()
    os.wait()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def test_parts_are_ready_before_they_are_asked_for_and_filled_up_afterwards(made: tuple[Stock, Path]) -> None:
    stock, _ = made
    stock.keep("usual", 2)
    assert stock.full  # on their way
    assert stock.receive()
    assert stock.receive()
    numbers = set()
    for _ in range(5):  # more than are kept: the rest is waited for
        number, descriptors = stock.take("usual")
        numbers.add(number)
        _close(descriptors)
    assert len(numbers) == 5
    stock.top_up()
    assert stock.full


def test_part_that_cannot_be_made_is_refused_with_the_reason_and_others_go_on(made: tuple[Stock, Path]) -> None:
    stock, _ = made
    with pytest.raises(OSError, match="there is none"):
        stock.take("never")
    _close(stock.take("other")[1])


def test_part_that_is_given_up_is_discarded(made: tuple[Stock, Path]) -> None:
    stock, folder = made
    number, descriptors = stock.take("usual")
    _close(descriptors)
    assert list(folder.iterdir()) == []
    stock.give_up(number)
    stock.channel.shutdown(1)
    assert stock.channel.recv(1) == b""  # the maker ends when it has done all it was told
    assert len(list(folder.iterdir())) == 1
