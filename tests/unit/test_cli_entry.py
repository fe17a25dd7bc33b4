"""The `hearth` command as it begins."""

from __future__ import annotations

import subprocess
import sys


def test_health_check_is_not_kept_waiting_by_what_other_commands_need() -> None:
    """Every container runs one every few seconds."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, hearth.cli.entry; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "hearth.cli.liveness" in loaded
    assert not {"pydantic", "typer", "rich", "redis", "botocore"} & set(loaded)
