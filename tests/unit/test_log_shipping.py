"""Segments on their way to the gateway's host: every line arrives once, whatever is sent again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hearth import links
from hearth.errors import Unavailable
from hearth.logs.copies import append_piece, is_segment
from hearth.settings import Settings
from workers import log_shipping
from workers.log_shipping import LogShipper

NAME = "logs/000000000000/us-east-1/%2Faws%2Flambda%2Ff/2026%2F11%2F25%2F[$LATEST]ab/1-w.jsonl"
LINE = b'{"t":1,"m":"x"}\n'


class Folder:
    """A gateway whose copies are in `root`; `away` and `loses` say what goes wrong."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.away = False
        #: how many answers get lost on the way after the piece was stored
        self.loses = 0
        self.pieces: list[tuple[str, int, int]] = []

    def append(self, name: str, offset: int, data: bytes) -> int:
        if self.away:
            raise Unavailable("away")
        self.pieces.append((name, offset, len(data)))
        size = append_piece(self.root, name, offset, data)
        if self.loses:
            self.loses -= 1
            raise Unavailable("no answer")
        return size


@pytest.fixture
def gateway(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "there")


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "here" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(LINE)
    return path


def shipper(segment: Path, gateway: Folder) -> LogShipper:
    return LogShipper(segment.parents[len(Path(NAME).parts) - 1], gateway)  # type: ignore[arg-type]


def grow(segment: Path, data: bytes) -> None:
    with segment.open("ab") as file:
        file.write(data)


def copy(gateway: Folder) -> bytes:
    return (gateway.root / NAME).read_bytes()


def test_growing_segment_is_followed_and_sent_once(segment: Path, gateway: Folder) -> None:
    one = shipper(segment, gateway)
    assert one.ship()
    grow(segment, LINE * 2)
    assert one.ship()
    assert one.ship()
    assert copy(gateway) == LINE * 3
    assert [(offset, size) for _, offset, size in gateway.pieces if size] == [
        (0, len(LINE)),
        (len(LINE), 2 * len(LINE)),
    ]


def test_line_that_is_not_whole_yet_waits(segment: Path, gateway: Folder) -> None:
    one = shipper(segment, gateway)
    grow(segment, LINE[:5])
    one.ship()
    assert copy(gateway) == LINE
    grow(segment, LINE[5:])
    one.ship()
    assert copy(gateway) == LINE * 2


def test_long_segment_goes_in_pieces(segment: Path, gateway: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_shipping, "PIECE_BYTES", 3 * len(LINE) // 2)
    grow(segment, LINE * 9)
    shipper(segment, gateway).ship()
    assert copy(gateway) == LINE * 10
    assert len(gateway.pieces) > 5


def test_nothing_is_lost_while_the_gateway_is_away(segment: Path, gateway: Folder) -> None:
    one = shipper(segment, gateway)
    gateway.away = True
    assert not one.ship()
    grow(segment, LINE)
    gateway.away = False
    assert one.ship()
    assert copy(gateway) == LINE * 2


def test_piece_whose_answer_was_lost_is_not_stored_twice(segment: Path, gateway: Folder) -> None:
    one = shipper(segment, gateway)
    gateway.loses = 1
    assert not one.ship()
    grow(segment, LINE)
    assert one.ship()
    assert copy(gateway) == LINE * 2


def test_next_shipper_asks_instead_of_sending_again(segment: Path, gateway: Folder) -> None:
    shipper(segment, gateway).ship()
    os.utime(segment, (1.0, 1.0))
    gateway.pieces.clear()
    shipper(segment, gateway).ship()
    assert [size for _, _, size in gateway.pieces] == [0]
    assert copy(gateway) == LINE


def test_copy_that_was_lost_comes_anew_from_its_beginning(segment: Path, gateway: Folder) -> None:
    one = shipper(segment, gateway)
    one.ship()
    (gateway.root / NAME).unlink()
    grow(segment, LINE)
    one.ship()
    one.ship()
    assert copy(gateway) == LINE * 2


def test_piece_beyond_a_gap_is_refused_with_the_length_that_is_there(tmp_path: Path) -> None:
    append_piece(tmp_path, NAME, 0, LINE)
    assert append_piece(tmp_path, NAME, 100, LINE) == len(LINE)
    assert append_piece(tmp_path, "logs/a/b.jsonl", 100, LINE) == 0
    assert (tmp_path / NAME).read_bytes() == LINE


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (NAME, True),
        ("bills/2026-11-25/w.jsonl", True),
        ("sha256/ab/abcd.jsonl", False),
        ("logs/a/../../../etc/x.jsonl", False),
        ("logs/./x.jsonl", False),
        ("logs//x.jsonl", False),
        ("/logs/x.jsonl", False),
        ("logs/x.txt", False),
        ("logs.jsonl", False),
        ("logs/a\0.jsonl", False),
    ],
)
def test_only_segments_below_the_blob_root_are_taken_in(name: str, good: bool) -> None:
    assert is_segment(name) is good


def test_signature_covers_name_place_and_content() -> None:
    secret = b"s"
    path, _, query = links.segment_path(secret, NAME, 7, "ab", now_s=1000.0).partition("?")
    given = dict(pair.split("=") for pair in query.split("&"))

    def good(now_s: float = 1000.0, **other: str) -> bool:
        fields = {"path": path} | given | other
        return links.segment_is_signed(secret, **fields, now_s=now_s)

    assert good()
    assert not good(path=path + "x")
    assert not good(offset="8")
    assert not good(sha256="cd")
    assert not good(expires=str(int(given["expires"]) + 1))
    assert not good(offset="-7")
    assert not good(now_s=1000.0 + links.LIFE_S)


def test_functions_on_another_host_reach_the_gateways_listener_for_them() -> None:
    assert Settings(bind="10.0.0.1", port=80).function_address == ("10.0.0.1", 81)
    assert Settings(gateway_url="http://head:4566").function_address == ("head", 4567)
    assert Settings(gateway_url="http://head:4566", function_port=9).function_address == ("head", 9)


def test_shared_folder_needs_no_gateway_for_code_and_logs(tmp_path: Path) -> None:
    assert Settings(gateway_url="http://head:4566").remote_gateway == "http://head:4566"
    assert Settings(gateway_url="http://head:4566", code_url=str(tmp_path)).remote_gateway is None
    assert Settings().remote_gateway is None
