"""Python: interpreters found on this host, each with AWS's runtime client and boto3 in a directory of its own."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workers.runtimes.language import Found, Language, better, numbers, run, seat
from workers.runtimes.runtime import CellRecipe, Runtime
from workers.sandbox.supervisor import Mount

PACKAGES = ("awslambdaric>=3", "boto3")
OLDEST = (3, 9)
_PROBE = (
    "import sys, json, importlib.util as u;"
    "print(json.dumps([list(sys.version_info[:3]), sys.base_prefix, u.find_spec('pip') is not None]))"
)
_PROBE_S = 20.0
_PIP_S = 300.0


@dataclass(frozen=True, slots=True)
class Interpreter(Found):
    """executable: not a virtual environment's."""

    has_pip: bool

    @property
    def family(self) -> str:
        return "python" + self.version.rpartition(".")[0]


class Python(Language[Interpreter]):
    name = "python"
    title = "Python"
    found_type = Interpreter
    bootstrap: ClassVar[Mapping[str, str]] = {"python.py": "bootstrap.py", "cell.py": "cell.py"}

    def packages(self, name: str) -> tuple[str, ...]:
        return ("python3-pip", name if name != self.name else "python3")

    async def find(self) -> dict[str, Interpreter]:
        found: dict[str, Interpreter] = {}
        for path in _candidates():
            interpreter = await _probe(path)
            if interpreter is not None and better(interpreter, found.get(interpreter.family)):
                found[interpreter.family] = interpreter
        return dict(sorted(found.items(), key=lambda item: numbers(item[1].version)))

    async def install(self, found: Interpreter, directory: Path) -> None:
        await run((*_pip(found), "--target", str(directory), *PACKAGES), _PIP_S)
        if not found.has_pip:
            # What our own pip has compiled is for our own version.
            await run((found.executable, "-m", "compileall", "-q", str(directory)), _PIP_S)

    def runtimes(self, family: str, found: Interpreter, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        yield Runtime(
            family,
            f"python:{found.version}",
            (executable, "/var/runtime/bootstrap.py"),
            (Mount(directory, "/var/runtime"), *mounts),
            # logged messages come in frames, on the same pipe as what is printed (workers/function_log.py)
            {"PYTHONPATH": "/var/runtime", "SHLVL": "0", "_LAMBDA_TELEMETRY_LOG_FD": "1"},
            # the client reads it while it is loaded, and would have to be loaded once more
            cell=CellRecipe(
                (executable, "/var/runtime/cell.py"),
                at_start=("PYTHON*",),
                environment={"AWS_EXECUTION_ENV": f"AWS_Lambda_{family}"},
                enters=True,
            ),
        )


def _candidates() -> Iterable[str]:
    """Distinct files that may be Python interpreters."""
    directories = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    directories += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin")))
    seen: set[str] = set()
    for path in (sys.executable, *(name for where in directories for name in glob.glob(f"{where}/python3.*"))):
        suffix = os.path.basename(path).removeprefix("python3.")
        # Shims choose an interpreter at run time; what they choose is found by itself.
        if "/shims/" in path or not (path == sys.executable or suffix.isdigit()):
            continue
        real = os.path.realpath(path)
        if real not in seen and os.access(real, os.X_OK):
            seen.add(real)
            yield real if path != sys.executable else path


async def _probe(path: str) -> Interpreter | None:
    """None: it does not run, or is too old."""
    try:
        output = await run((path, "-E", "-c", _PROBE), _PROBE_S)
        version, prefix, has_pip = json.loads(output)
    except (OSError, TimeoutError, RuntimeError, ValueError):
        return None
    if tuple(version[:2]) < OLDEST:
        return None
    executable = Path(prefix, "bin", f"python{version[0]}.{version[1]}")
    if not os.access(executable, os.X_OK):
        return None
    if path != str(executable):  # a virtual environment's may have a pip that its own has not
        return await _probe(str(executable))
    return Interpreter(".".join(map(str, version)), prefix, str(executable), has_pip)


def _pip(interpreter: Interpreter) -> tuple[str, ...]:
    options = ("install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:")
    if interpreter.has_pip:
        return (interpreter.executable, "-m", "pip", *options)
    # Our own pip can install for another version.
    release = interpreter.version.rpartition(".")[0]
    return (sys.executable, "-m", "pip", *options, "--python-version", release, "--implementation", "cp")
