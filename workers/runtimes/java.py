"""Java: JVMs found on this host, each with AWS's runtime client from Maven Central.

The client loads the function's classes itself: /var/task, the jars in /var/task/lib, then those of layers in
/opt/java/lib. The JVM sees the host's memory, so its heap is bounded by the function's.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from workers.runtimes.language import Equipped, Language, better, run, seat
from workers.runtimes.runtime import Runtime
from workers.sandbox.supervisor import Mount

CLIENT = "com.amazonaws:aws-lambda-java-runtime-interface-client:2.10.1"
OLDEST = 8
_MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
#: families of one release on newer systems
_AL2023 = {"java8.al2": "java8.al2023", "java11": "java11.al2023", "java17": "java17.al2023"}
_VERSION = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_MAVEN_S = 300.0
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

    def runtimes(self, family: str, found: Equipped, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        launch = (
            executable,
            "-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-cp",
            "/var/runtime/lib/*",
            _MAIN,
        )
        shown = (Mount(directory, "/var/runtime"), *mounts)
        for name in (family, _AL2023.get(family)):
            if name is not None:
                yield Runtime(name, f"java:{found.version}", launch, shown, heap_share=0.8)


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
