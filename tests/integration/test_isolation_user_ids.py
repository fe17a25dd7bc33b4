"""Ranges of host user ids: no two workers have one, and a dead one's is free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workers.sandbox.isolation import user_ids

HOLDER = """
import sys
from pathlib import Path
from workers.sandbox.isolation import user_ids
uids, file = user_ids.claim(Path(sys.argv[1]))
print(uids.start, flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Another worker's process, and the first user id that it has."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_range_of_another_process_is_left_alone_until_it_dies(tmp_path: Path) -> None:
    other, first = holder(tmp_path)
    try:
        ours, held = user_ids.claim(tmp_path)
        assert first == user_ids.FIRST
        assert ours == range(first + user_ids.PER_WORKER, first + 2 * user_ids.PER_WORKER)
    finally:
        other.kill()
        other.communicate()
    freed, again = user_ids.claim(tmp_path)
    assert freed.start == first
    held.close()
    again.close()


def test_more_workers_than_ranges_are_told_so(tmp_path: Path) -> None:
    claims = [user_ids.claim(tmp_path) for _ in range(user_ids.WORKERS)]
    assert len({uids.start for uids, _ in claims}) == user_ids.WORKERS
    with pytest.raises(OSError, match="all ranges"):
        user_ids.claim(tmp_path)
    for _, file in claims:
        file.close()
