"""What functions reach, on a host of the test's own beside an outside world of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.support.egress_host import ALLOWED, OUTSIDE, a_host

_ROOT = Path(__file__).resolve().parents[2]
_BECOME_USER = ("setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--")
_CLOSED_TO_ALL = (
    *("the broker", "a private network", "the cloud's metadata", "the host's own address", "the host's loopback"),
    *("the host's new address", "the router", "the uplink's gateway", "another sandbox", "IPv6", "a raw socket"),
)
_OUTSIDE_TO_OPEN = ("the outside world", "an allowed private address", "a datagram outside", "by name")


@pytest.fixture(scope="module", params=["root", "user"])
def answer(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the scenario found, run by root and by an ordinary user."""
    if os.geteuid() != 0 or any(shutil.which(program) is None for program in ("ip", "nft", "slirp4netns")):
        missing("needs root, iproute2, nftables and slirp4netns")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        with a_host(scratch) as on_the_host:
            command, tree = [*on_the_host, sys.executable], _ROOT
            if request.param == "user":
                tree, interpreter = _open_copy(scratch / "tree")
                command = [*on_the_host, *_BECOME_USER, interpreter]
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
            result = subprocess.run(
                [*command, "-m", "tests.support.egress_scenario"],
                cwd=tree,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
            )
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        if found["no_egress"]:
            missing(f"no way out for functions here: {found['no_egress']}")
        yield found


def _open_copy(tree: Path) -> tuple[Path, str]:
    """Our modules where an ordinary user can read them, and an interpreter that it can run."""
    interpreter = next((p for v in (11, 12, 13, 14) if (p := shutil.which(f"python3.{v}", path="/usr/bin"))), None)
    if interpreter is None:
        missing("no Python >= 3.11 below /usr, the only one that another user can be sure to reach")
    assert interpreter is not None
    import pyseccomp

    for package in ("hearth", "workers", "tests/support"):
        shutil.copytree(_ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pyseccomp.__file__, tree)
    return tree, interpreter


def test_function_with_egress_open_reaches_the_outside_world_by_address_and_by_name(answer: dict[str, Any]) -> None:
    reached = answer["reached"]["open"]
    assert [reached[name] for name in _OUTSIDE_TO_OPEN] == [
        f"this is {OUTSIDE}",
        f"this is {ALLOWED}",
        "datagram",
        f"this is {OUTSIDE}",
    ]


@pytest.mark.parametrize("egress", ["open", "platform", "off"])
def test_function_never_reaches_the_host_its_services_or_other_sandboxes(answer: dict[str, Any], egress: str) -> None:
    assert answer["from the host"]["a private network"].startswith("this is ")  # closed to functions, not missing
    reached = answer["reached"][egress]
    assert {name: reached[name] for name in _CLOSED_TO_ALL if not reached[name].startswith("refused")} == {}


@pytest.mark.parametrize("egress", ["platform", "off"])
def test_function_without_a_way_out_reaches_nothing_outside(answer: dict[str, Any], egress: str) -> None:
    reached = answer["reached"][egress]
    assert {name: reached[name] for name in _OUTSIDE_TO_OPEN if not reached[name].startswith("refused")} == {}


def test_platform_is_reached_unless_egress_is_off(answer: dict[str, Any]) -> None:
    found = {egress: reached["the platform"] for egress, reached in answer["reached"].items()}
    assert found == {"open": "reached", "platform": "reached", "off": False}


def test_uplink_that_dies_is_started_again(answer: dict[str, Any]) -> None:
    assert answer["after the helper's death"] == f"this is {OUTSIDE}"


def test_hosts_network_settings_and_links_stay_as_they_were(answer: dict[str, Any]) -> None:
    assert not answer["settings changed"]
