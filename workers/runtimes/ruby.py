"""Ruby: interpreters found on this host, with a runtime client of our own (bootstrap/ruby.rb), which needs no gem."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from workers.runtimes.language import Found, Language, better, run, seat
from workers.runtimes.runtime import Runtime
from workers.sandbox.supervisor import Mount

OLDEST = (2, 7)
_PROBE = (
    "require 'rbconfig'; require 'json';"
    "puts JSON.generate([RUBY_VERSION, RbConfig::CONFIG['prefix'], File.realpath(RbConfig.ruby)])"
)
_PROBE_S = 20.0


class Ruby(Language[Found]):
    name = "ruby"
    title = "Ruby"
    found_type = Found
    bootstrap: ClassVar[Mapping[str, str]] = {"ruby.rb": "bootstrap.rb"}

    def packages(self, name: str) -> tuple[str, ...]:
        return (name if name != self.name else "ruby",)

    async def find(self) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for path in _candidates():
            one = await _probe(path)
            if one is not None and better(one, found.get(family := _family(one))):
                found[family] = one
        return found

    async def install(self, found: Found, directory: Path) -> None:
        """Nothing but our own files."""

    def runtimes(self, family: str, found: Found, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        release = found.version.rpartition(".")[0] + ".0"  # what gems are kept under
        yield Runtime(
            family,
            f"ruby:{found.version}",
            (executable, "-EUTF-8", "/var/runtime/bootstrap.rb"),
            (Mount(directory, "/var/runtime"), *mounts),
            {
                "GEM_PATH": f"/var/task/vendor/bundle/ruby/{release}:/opt/ruby/gems/{release}",
                "RUBYLIB": "/var/task:/var/runtime/lib:/opt/ruby/lib",
                "SHLVL": "0",
            },
        )


def _candidates() -> list[str]:
    """Distinct files that may be Ruby."""
    directories = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    directories += sorted(glob.glob(os.path.expanduser("~/.rbenv/versions/*/bin")))
    names = [name for where in directories for name in glob.glob(f"{where}/ruby*")]
    real = {os.path.realpath(name) for name in names if "/shims/" not in name}
    return sorted(
        path
        for path in real
        if not os.path.basename(path)[len("ruby") :].strip("0123456789.") and os.access(path, os.X_OK)
    )


async def _probe(path: str) -> Found | None:
    """None: it does not run, or is too old."""
    try:
        version, prefix, executable = json.loads(await run((path, "-e", _PROBE), _PROBE_S))
    except (OSError, TimeoutError, RuntimeError, ValueError):
        return None
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return None
    return Found(version, prefix, executable)


def _family(found: Found) -> str:
    return "ruby" + found.version.rpartition(".")[0]
