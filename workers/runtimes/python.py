"""Python: interpreters found on this host, each with AWS's runtime client and boto3 in a directory of its own.

<runtimes dir>/python3.x/ holds what pip installed, for /var/runtime, the bootstrap script that starts it, and
`hearth-runtime.json`, written last of all. A directory is made beside its place and renamed into it, so there is never
half a runtime.
"""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from workers.runtimes.runtime import Runtime
from workers.sandbox.supervisor import Mount

log = logging.getLogger(__name__)

PACKAGES = ("awslambdaric>=3", "boto3")
OLDEST = (3, 9)
_MANIFEST = "hearth-runtime.json"
_BOOTSTRAP = "bootstrap.py"
_PROBE = (
    "import sys, json, importlib.util as u;"
    "print(json.dumps([list(sys.version_info[:3]), sys.base_prefix, u.find_spec('pip') is not None]))"
)
_PROBE_S = 20.0
_PIP_S = 300.0
#: installations at once: pip mostly waits for the network
_INSTALLS = 3


@dataclass(frozen=True, slots=True)
class Interpreter:
    """version: of the host's interpreter, `3.11.7`. executable: its real place, not a shim or a virtual environment."""

    version: str
    prefix: str
    executable: str
    has_pip: bool

    @property
    def family(self) -> str:
        return "python" + self.version.rpartition(".")[0]


async def prepare(directory: Path, progress: Callable[[str], None]) -> None:
    at_once = asyncio.Semaphore(_INSTALLS)
    async with asyncio.TaskGroup() as group:
        for interpreter in (await find_interpreters()).values():
            group.create_task(_prepare_one(interpreter, directory / interpreter.family, at_once, progress))


async def _prepare_one(
    interpreter: Interpreter, target: Path, at_once: asyncio.Semaphore, progress: Callable[[str], None]
) -> None:
    async with at_once:
        if _read_manifest(target) == interpreter:
            _place_bootstrap(target)
            return
        progress(f"installing the runtime client for Python {interpreter.version}")
        try:
            await _install(interpreter, target)
        except (OSError, TimeoutError, RuntimeError) as exc:
            if _read_manifest(target) == interpreter:
                return  # another process was faster
            reason = str(exc) or "timed out"
            log.warning(
                "runtime left out",
                extra={"action": "runtime_failed", "runtime": interpreter.family, "reason": reason},
            )
            progress(f"Python {interpreter.version} is left out: {reason}")


def installed(directory: Path) -> dict[str, Runtime]:
    found = {}
    for manifest in sorted(directory.glob(f"*/{_MANIFEST}")):
        interpreter = _read_manifest(manifest.parent)
        usable = (manifest.parent / _BOOTSTRAP).exists()
        if interpreter is not None and usable and os.access(interpreter.executable, os.X_OK):
            found[interpreter.family] = _runtime(interpreter, manifest.parent)
    return found


async def find_interpreters() -> dict[str, Interpreter]:
    """By family. Of several of one family the system's comes first: it needs no mount of its own."""
    found: dict[str, Interpreter] = {}
    for path in _candidates():
        interpreter = await _probe(path)
        if interpreter is None:
            continue
        known = found.get(interpreter.family)
        if known is None or (_below_usr(interpreter) and not _below_usr(known)):
            found[interpreter.family] = interpreter
    return dict(sorted(found.items(), key=lambda item: _numbers(item[1].version)))


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
        output = await _run((path, "-E", "-c", _PROBE), _PROBE_S)
        version, prefix, has_pip = json.loads(output)
    except (OSError, TimeoutError, RuntimeError, ValueError):
        return None
    if tuple(version[:2]) < OLDEST:
        return None
    executable = Path(prefix, "bin", f"python{version[0]}.{version[1]}")
    if not os.access(executable, os.X_OK):
        return None
    return Interpreter(".".join(map(str, version)), prefix, str(executable), has_pip)


async def _install(interpreter: Interpreter, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        await _run((*_pip(interpreter), "--target", str(building), *PACKAGES), _PIP_S)
        if not interpreter.has_pip:
            # What our own pip has compiled is for our own version.
            await _run((interpreter.executable, "-m", "compileall", "-q", str(building)), _PIP_S)
        await asyncio.to_thread(_move_into_place, interpreter, building, target)
    finally:
        for leftover in (building, Path(f"{building}.old")):
            await asyncio.to_thread(shutil.rmtree, leftover, ignore_errors=True)


def _move_into_place(interpreter: Interpreter, building: Path, target: Path) -> None:
    building.chmod(0o755)
    _place_bootstrap(building)
    (building / _MANIFEST).write_text(json.dumps(asdict(interpreter)))
    if target.exists():
        os.rename(target, f"{building}.old")
    os.rename(building, target)


def _place_bootstrap(directory: Path) -> None:
    """This release's, also into a directory that an older one has made."""
    source = resources.files("workers.sandbox.bootstrap").joinpath("python.py").read_bytes()
    place = directory / _BOOTSTRAP
    if not place.exists() or place.read_bytes() != source:
        fresh = directory / f".{_BOOTSTRAP}-{os.getpid()}"
        fresh.write_bytes(source)
        fresh.rename(place)


def _pip(interpreter: Interpreter) -> tuple[str, ...]:
    options = ("install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:")
    if interpreter.has_pip:
        return (interpreter.executable, "-m", "pip", *options)
    # Our own pip can install for another version.
    release = interpreter.version.rpartition(".")[0]
    return (sys.executable, "-m", "pip", *options, "--python-version", release, "--implementation", "cp")


def _runtime(interpreter: Interpreter, directory: Path) -> Runtime:
    mounts: tuple[Mount, ...] = (Mount(directory, "/var/runtime"),)
    executable = interpreter.executable
    if not _below_usr(interpreter):
        mounts += (Mount(Path(interpreter.prefix), "/var/lang"),)
        executable = f"/var/lang/bin/{interpreter.family}"
    return Runtime(
        interpreter.family,
        f"python:{interpreter.version}",
        (executable, f"/var/runtime/{_BOOTSTRAP}"),
        mounts,
        {"PYTHONPATH": "/var/runtime"},
    )


def _below_usr(interpreter: Interpreter) -> bool:
    return interpreter.prefix == "/usr" or interpreter.prefix.startswith("/usr/")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _read_manifest(directory: Path) -> Interpreter | None:
    try:
        return Interpreter(**json.loads((directory / _MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):
        return None


async def _run(command: tuple[str, ...], limit_s: float) -> str:
    """Standard output. Raises RuntimeError with the last line of stderr if it fails; never leaves it running."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(limit_s):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or [f"exit status {process.returncode}"]
        raise RuntimeError(lines[-1])
    return output.decode()
