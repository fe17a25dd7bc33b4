"""It is small, says what is missing, starts, and shows how it isolates."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.compose.stack import Stack, require, say

IMAGES = ("hearth:0.1.0", "hearth-workers:0.1.0", "hearth-load:0.1.0")
MOST_IMAGE_MB = 300


def images_are_small(stack: Stack) -> None:
    for image in IMAGES:
        size_mb = int(stack.engine.docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6
        say(f"{image}: {size_mb:.0f} MB")
        require(size_mb < MOST_IMAGE_MB, f"{image} has {size_mb:.0f} MB, which is more than {MOST_IMAGE_MB}")


def missing_secret_stops_it(stack: Stack) -> None:
    file = stack.project.folder / "secrets" / "valkey_password"
    file.rename(aside := file.with_name("aside"))
    try:
        done = stack.project.try_compose(stack.engine, "up", "--detach", "--no-build", "state")
    finally:
        aside.rename(file)
    require(done.returncode != 0, "the stack started without a secret")
    require("valkey_password" in done.stdout + done.stderr, f"it does not say which: {done.stderr}")
    stack.compose("down", "--volumes")


def starts_and_invokes(stack: Stack) -> None:
    began_s = time.monotonic()
    stack.up(workers=1, gateway=1, pollers=1, orchestrators=1)
    say(f"all containers are healthy {time.monotonic() - began_s:.0f} s after `up`")
    stack.create("hello")
    answer = stack.invoke({"number": 7})
    require(answer["number"] == 7 and answer["cold"] is True, f"not its answer: {answer}")
    say(f"a function was created and invoked: {answer}")


def shows_its_isolation(stack: Stack) -> None:
    shown = stack.compose("exec", "-T", "gateway", "hearth", "status")
    found = re.search(r"isolation (\w+)", shown)
    require(found is not None and found[1] == "full", f"`hearth status` shows another level than full:\n{shown}")
    for line in shown.splitlines():
        if "isolation" in line:
            say(line.strip()[:200])
    for service in ("gateway", "pollers", "orchestrators"):
        (one, *_) = stack.project.containers(stack.engine, service)
        held = Path(f"/proc/{one.pid}/status").read_text()
        require(re.search(r"CapBnd:\s+0+$", held, re.MULTILINE) is not None, f"{service} has capabilities: {held}")
    say("gateway, pollers and orchestrators have no capabilities at all")
