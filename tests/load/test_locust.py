"""The documented load, until every kind of request was made some times: none fails, every event has run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.conftest import missing
from tests.load import run
from tests.support.stack import PlatformStack


def test_a_few_requests_of_every_kind_of_load_have_no_failure(stack: PlatformStack, tmp_path: Path) -> None:
    if find_spec("locust") is None:
        missing("locust is not installed: pip install -e '.[load]'")
    figures = tmp_path / "figures"
    options = ["--users", "8", "--spawn-rate", "8", "--each", "2", "--run-time", "200s", "--stop-timeout", "20"]
    status = run.locust(stack.environ(), options, figures)
    kinds = {entry["name"]: entry for entry in run.read(figures)}
    assert status == 0, kinds
    assert {"push", "push cold", "changed push cold", "change", "event"} <= kinds.keys()
    assert not any(entry["num_failures"] for entry in kinds.values())
    left = [one["FunctionName"] for one in stack.client("lambda").list_functions()["Functions"]]
    assert not [name for name in left if name.startswith("load-")]
