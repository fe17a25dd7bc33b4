"""Java: JVMs found on this host, each with AWS's runtime client from Maven Central.

The client loads the function's classes itself: /var/task, the jars in /var/task/lib, then those of layers in
/opt/java/lib. The JVM sees the host's memory, so its heap is bounded by the function's.
"""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import cast

from workers.runtimes.language import Equipped, Language, better, run, seat
from workers.runtimes.runtime import CellRecipe, Runtime
from workers.sandbox.supervisor import Mount

log = logging.getLogger(__name__)

CLIENT = "com.amazonaws:aws-lambda-java-runtime-interface-client:2.10.1"
OLDEST = 8
_MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
#: families of one release on newer systems
_AL2023 = {"java8.al2": "java8.al2023", "java11": "java11.al2023", "java17": "java17.al2023"}
_VERSION = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_MAVEN_S = 300.0
_COMPILE_S = 120.0
#: the client's native part, and the property that says where it lies
_NATIVE = "libaws-lambda-jni.so"
_NATIVE_PROPERTY = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
#: our own class that boots a stem cell, compiled for the JVM that runs it
_CELL = "lib/hearth-cell.jar"
_AT_START = ("JAVA_*", "_JAVA_*", "JDK_*", "CLASSPATH")
#: for a function's variables, which take the place of these: 4 KB of its own and the platform's
_ROOM = {f"HEARTH_ROOM_{number}": 64 * "x" for number in range(240)}
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>hearth</groupId><artifactId>runtime</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
  </dependency></dependencies>
</project>
"""


class Java(Language[Equipped]):
    name = "java"
    title = "Java"
    found_type = Equipped

    def packages(self, name: str) -> tuple[str, ...]:
        release = re.search(r"\d+", name)
        return (f"openjdk-{release[0]}-jre-headless" if release else "default-jre-headless", "maven")

    async def find(self) -> dict[str, Equipped]:
        found: dict[str, Equipped] = {}
        for home in _homes():
            one = _probe(home)
            if one is not None and better(one, found.get(family := _family(one.version))):
                found[family] = one
        return found

    async def install(self, found: Equipped, directory: Path) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise RuntimeError("mvn (Maven) is not installed")
        pom = directory / "pom.xml"
        pom.write_text(_POM.format(*CLIENT.split(":")))
        goal = ("dependency:copy-dependencies", f"-DoutputDirectory={directory / 'lib'}", "-DincludeScope=runtime")
        await run((maven, "--batch-mode", "--quiet", "--file", str(pom), *goal), _MAVEN_S)
        pom.unlink()

    async def complete(self, found: Equipped, directory: Path) -> None:
        await asyncio.to_thread(_extract_native_client, directory)
        source = cast(Path, resources.files("workers.sandbox.bootstrap").joinpath("Cell.java"))
        cell = directory / _CELL
        marked = source.read_bytes()
        if cell.exists() and _source_in(cell) == marked:
            return
        with tempfile.TemporaryDirectory(dir=directory) as classes:
            jars = ":".join(map(str, (directory / "lib").glob("*.jar")))
            try:
                await run((*_compiler(found), "-nowarn", "-cp", jars, "-d", classes, str(source)), _COMPILE_S)
            except (OSError, TimeoutError, RuntimeError) as exc:
                fields = {"action": "no_cells", "runtime": directory.name, "reason": str(exc)}
                log.info("Java starts without stem cells", extra=fields)
                return
            await asyncio.to_thread(_pack, Path(classes), marked, cell)

    def runtimes(self, family: str, found: Equipped, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        machine = (
            *(executable, "-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
            *((f"-D{_NATIVE_PROPERTY}=/var/runtime/{_NATIVE}",) if (directory / _NATIVE).exists() else ()),
            *("-cp", "/var/runtime/lib/*"),
        )
        cell = CellRecipe((*machine, "hearth.Cell"), _AT_START, _ROOM, in_place=True, usual_mb=512)
        shown = (Mount(directory, "/var/runtime"), *mounts)
        for name in (family, _AL2023.get(family)):
            if name is not None:
                yield Runtime(
                    name,
                    f"java:{found.version}",
                    (*machine, _MAIN),
                    shown,
                    heap_share=0.8,
                    cell=cell if (directory / _CELL).exists() else None,
                )


def _compiler(found: Equipped) -> tuple[str, ...]:
    """JVMs of a JRE have a compiler too, as a module, where the distribution does not cut them down."""
    javac = Path(found.executable).with_name("javac")
    return (str(javac),) if javac.exists() else (found.executable, "-m", "jdk.compiler/com.sun.tools.javac.Main")


def _pack(classes: Path, source: bytes, cell: Path) -> None:
    fresh = cell.with_name(f".{cell.name}-{os.getpid()}")
    with zipfile.ZipFile(fresh, "w") as archive:
        archive.writestr("hearth/Cell.java", source)
        for file in classes.rglob("*.class"):
            archive.write(file, str(file.relative_to(classes)))
    fresh.chmod(0o644)
    fresh.rename(cell)


def _source_in(cell: Path) -> bytes:
    """What it was made of."""
    with zipfile.ZipFile(cell) as archive:
        return archive.read("hearth/Cell.java")


def _extract_native_client(directory: Path) -> None:
    """Each start would else unpack it anew. Where there is none for this machine, the client looks for itself."""
    place = directory / _NATIVE
    kind = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch_64"}.get(platform.machine())
    if place.exists() or kind is None or platform.libc_ver()[0] != "glibc":
        return
    for jar in (directory / "lib").glob("aws-lambda-java-runtime-interface-client-*.jar"):
        with zipfile.ZipFile(jar) as archive:
            fresh = directory / f".{_NATIVE}-{os.getpid()}"
            fresh.write_bytes(archive.read(f"jni/libaws-lambda-jni.{kind}.so"))
            fresh.chmod(0o755)
            fresh.rename(place)


def _homes() -> list[Path]:
    """Distinct places of JVMs."""
    places = [*glob.glob("/usr/lib/jvm/*"), *glob.glob(os.path.expanduser("~/.sdkman/candidates/java/*"))]
    if home := os.environ.get("JAVA_HOME"):
        places.append(home)
    if java := shutil.which("java"):
        places.append(str(Path(os.path.realpath(java)).parent.parent))
    return sorted({Path(os.path.realpath(place)) for place in places})


def _probe(home: Path) -> Equipped | None:
    """By the file that every JVM carries; None: no JVM, or too old."""
    executable = home / "bin" / "java"
    try:
        match = _VERSION.search((home / "release").read_text())
    except OSError:
        return None
    if match is None or not os.access(executable, os.X_OK) or _major(match[1]) < OLDEST:
        return None
    return Equipped(match[1], str(home), str(executable), CLIENT)


def _major(version: str) -> int:
    """`1.8.0_402` is 8."""
    first, _, rest = version.partition(".")
    return int(rest.partition(".")[0]) if first == "1" else int(first)


def _family(version: str) -> str:
    major = _major(version)
    return "java8.al2" if major == 8 else f"java{major}"
