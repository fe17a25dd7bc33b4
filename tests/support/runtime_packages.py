"""The same function in every language, built with the official client of each from its registry.

Sources lie in runtime_functions/, one folder a language. What needs a compiler is kept in ~/.cache/hearth/functions
under the hash of its sources and its tool, so that it is built once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import places

SOURCES = Path(__file__).parent / "runtime_functions"
_CACHE = places.CACHE / "functions"
_BUILD_S = 1500


class Unbuildable(Exception):
    """This host has no such compiler, or the build failed; the text says which."""


@dataclass(frozen=True, slots=True)
class Source:
    """handler: as in CreateFunction. tools: programs that must be there; the first's version is part of the hash."""

    handler: str
    tools: tuple[str, ...]
    build: Callable[[Path, Path], None]


def package(language: str, progress: Callable[[str], None] = lambda _: None) -> Path:
    """The unpacked package of a language's function. Raises Unbuildable."""
    source = BUILDS[language]
    for tool in source.tools:
        if shutil.which(tool) is None:
            raise Unbuildable(f"{tool} is not installed")
    target = _CACHE / f"{language}-{_digest(language, source)}"
    if target.is_dir():
        return target
    progress(f"building the {language} function of the tests")
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{language}-", dir=_CACHE) as scratch:
        working, made = Path(scratch, "source"), Path(scratch, "package")
        shutil.copytree(SOURCES / language, working)
        made.mkdir()
        source.build(working, made)
        made.chmod(0o755)
        if not target.is_dir():  # another session may have been faster
            os.rename(made, target)
    return target


def _digest(language: str, source: Source) -> str:
    digest = hashlib.sha256()
    for path in sorted((SOURCES / language).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes())
    if source.tools:
        flag = "version" if source.tools[0] == "go" else "--version"
        environment = os.environ | places.go_environment()
        version = subprocess.run([source.tools[0], flag], env=environment, capture_output=True, text=True)
        if version.returncode:  # rustup's cargo without a toolchain
            raise Unbuildable(f"{source.tools[0]} does not work: {version.stderr.strip()}")
        digest.update(version.stdout.encode())
    return digest.hexdigest()[:16]


def _run(command: list[str], directory: Path, more: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=directory, env=os.environ | (more or {}), capture_output=True, text=True, timeout=_BUILD_S
        )
    except subprocess.TimeoutExpired as exc:
        raise Unbuildable(f"{command[0]} took too long") from exc
    if done.returncode:
        raise Unbuildable(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _copy(source: Path, made: Path) -> None:
    shutil.copytree(source, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _java(source: Path, made: Path) -> None:
    """Classes that are called in a jar in lib/, as a build tool's zip has its dependencies; the rest at the top."""
    client = sorted(places.RUNTIMES.glob("java*/lib"))
    if not client:
        raise Unbuildable("no Java runtime is prepared (python -m tests.support.prepare)")
    classes = source / "classes"
    files = [str(path) for path in sorted(source.glob("example/*.java"))]
    _run(["javac", "-nowarn", "--release", "17", "-cp", f"{client[0]}/*", "-d", str(classes), *files], source)
    (made / "lib").mkdir()
    _run(["jar", "cf", str(made / "lib" / "quota.jar"), "-C", str(classes), "example/QuotaExceeded.class"], source)
    (classes / "example" / "QuotaExceeded.class").unlink()
    _copy(classes, made)


def _go(source: Path, made: Path) -> None:
    flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", "lambda.norpc"]
    _run(["go", "build", *flags, "-o", str(made / "bootstrap"), "."], source, places.go_environment())


def _rust(source: Path, made: Path) -> None:
    _run(["cargo", "build", "--release", "--locked"], source, {"CARGO_TARGET_DIR": str(source / "target")})
    shutil.copy(source / "target" / "release" / "bootstrap", made)


def _csharp(source: Path, made: Path) -> None:
    core = made / "Amazon.Lambda.Core.dll"
    _run(["mcs", "-target:library", f"-out:{core}", "Amazon.Lambda.Core.cs"], source)
    _run(["mcs", "-target:library", f"-out:{made / 'Example.dll'}", f"-r:{core}", "Function.cs"], source)


def _powertools(source: Path, made: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(made)]
    _run([*pip, "aws-lambda-powertools>=3"], source)
    _copy(source, made)


def _flask(source: Path, made: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(made)]
    _run([*pip, "flask>=3", "apig-wsgi>=2"], source)
    _copy(source, made)


def _kinesis_agg(source: Path, made: Path) -> None:
    # its generated messages are older than today's protobuf
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(made)]
    _run([*pip, "aws-kinesis-agg==1.2.3", "protobuf<3.21", "six"], source)
    _copy(source, made)


def _java_kinesis(source: Path, made: Path) -> None:
    """A program rather than a function: classes at the top, AWS's SDK for Java v2 in lib/."""
    quiet = ["--batch-mode", "--quiet", "--file", str(source / "pom.xml")]
    libraries = made / "lib"
    _run(
        ["mvn", *quiet, "dependency:copy-dependencies", f"-DoutputDirectory={libraries}", "-DincludeScope=runtime"],
        source,
    )
    _run(["javac", "-nowarn", "-cp", f"{libraries}/*", "-d", str(made), "KinesisRoundTrip.java"], source)


def _express(source: Path, made: Path) -> None:
    _copy(source, made)
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--omit=dev"], made)


BUILDS = {
    "python": Source("app.handler", (), _copy),
    "nodejs": Source("app.handler", (), _copy),
    "java": Source("example.Handler", ("javac", "jar"), _java),
    "ruby": Source("app.Example::Function.handle", (), _copy),
    "go": Source("bootstrap", ("go",), _go),
    "rust": Source("bootstrap", ("cargo",), _rust),
    "csharp": Source("Example::Example.Function::Handle", ("mcs",), _csharp),
    "powertools": Source("app.handler", (), _powertools),
    "flask": Source("app.handler", (), _flask),
    "kinesis_agg": Source("any", (), _kinesis_agg),
    "java_kinesis": Source("any", ("javac", "mvn"), _java_kinesis),
    "express": Source("index.handler", ("npm",), _express),
    "shell": Source("function.handler", ("curl",), _copy),
    "web": Source("any", (), _copy),
}
