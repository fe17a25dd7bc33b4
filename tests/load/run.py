"""`make load`: locust, headless, against a platform of its own; figures and machine go to the terminal.

Options are handed on to locust: `python -m tests.load.run --users 64 --run-time 120s WarmPush`. Exit status 1: a
request failed, or an accepted event has not run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.environment import commit, machine
from tests.support import places
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
#: what runs when the time is over is waited for
DEFAULTS = ("--users", "16", "--spawn-rate", "8", "--run-time", "60s", "--stop-timeout", "20")
#: the summary's figures; all in locust's JSON are of one kind of request
COLUMNS = ("requests", "failures", "1/s", "p50, ms", "p99, ms", "longest, ms")


def locust(endpoint_environment: dict[str, str], options: Sequence[str], figures: Path) -> int:
    """Run it in a process of its own; exit status. `figures`: where its JSON goes, without the suffix."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    command += ["--json-file", str(figures), *options]
    return subprocess.run(command, env=os.environ | endpoint_environment, check=False).returncode


def read(figures: Path) -> list[dict[str, Any]]:
    """What locust wrote: one entry for each kind of request."""
    return json.loads(figures.with_suffix(".json").read_text())


def percentile(entry: dict[str, Any], percent: float) -> float:
    """From locust's histogram (ms -> requests)."""
    left = entry["num_requests"] * percent / 100
    for ms, count in sorted((float(ms), count) for ms, count in entry["response_times"].items()):
        left -= count
        if left <= 0:
            return ms
    return 0.0


def table(entries: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| kind | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for entry in sorted(entries, key=lambda one: one["name"]):
        seconds = max(1.0, entry["last_request_timestamp"] - entry["start_time"])
        cells = [
            entry["num_requests"],
            entry["num_failures"],
            f"{entry['num_requests'] / seconds:.1f}",
            f"{percentile(entry, 50):.0f}",
            f"{percentile(entry, 99):.0f}",
            f"{entry['max_response_time'] or 0:.0f}",
        ]
        lines.append(f"| {entry['name']} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    about = machine() | {"commit": commit(places.ROOT)}
    with (
        places.data_folder() as data,
        PrivateServers(data) as servers,
        PlatformStack(data, servers) as stack,
        tempfile.TemporaryDirectory(dir=data) as scratch,
    ):
        about["isolation"] = stack.isolation()
        figures = Path(scratch, "figures")
        status = locust(stack.environ(), [*DEFAULTS, *sys.argv[1:]], figures)
        print(f"\n{json.dumps(about, indent=1)}\n\n{table(read(figures))}")
    return status


if __name__ == "__main__":
    sys.exit(main())
