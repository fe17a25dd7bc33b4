"""Node.js: installations found on this host, each with AWS's runtime client (npm: aws-lambda-ric) and AWS's SDK.

The client's native part is replaced by one in JavaScript (bootstrap/nodejs_transport.cjs), so a host needs no
compiler. Version 3 of the client serves every Node.js: version 4 refuses handlers with a callback. Of the SDK, which
on AWS is there as a whole, the packages below are; others go into a function's package. They lie at /node_modules too:
that is where ES modules find them, which do not look at NODE_PATH.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from workers.runtimes.language import Equipped, Language, better, run, seat
from workers.runtimes.runtime import CellRecipe, Runtime
from workers.sandbox.supervisor import Mount

CLIENT = "aws-lambda-ric@3.3.0"
SDK = tuple(
    f"@aws-sdk/{name}"
    for name in (
        "client-dynamodb",
        "client-eventbridge",
        "client-kinesis",
        "client-lambda",
        "client-s3",
        "client-secrets-manager",
        "client-sfn",
        "client-sns",
        "client-sqs",
        "client-ssm",
        "client-sts",
        "lib-dynamodb",
    )
)
OLDEST = 18
_KEPT = ("dist", "LICENSE", "NOTICE", "THIRD-PARTY-LICENSES")
#: the last two by the client, when it is loaded
_AT_START = ("NODE_*", "UV_*", "AWS_LAMBDA_NODEJS_*", "AWS_LAMBDA_RUNTIME_VERBOSE")
_PROBE = "console.log(JSON.stringify([process.versions.node, process.execPath]))"
_PROBE_S = 20.0
_NPM_S = 300.0


class Nodejs(Language[Equipped]):
    name = "nodejs"
    title = "Node.js"
    found_type = Equipped
    bootstrap: ClassVar[Mapping[str, str]] = {
        "nodejs.mjs": "bootstrap.mjs",
        "nodejs_start.mjs": "start.mjs",
        "nodejs_transport.cjs": "transport.cjs",
        "cell.mjs": "cell.mjs",
    }

    def packages(self, name: str) -> tuple[str, ...]:
        return ("nodejs", "npm")

    async def find(self) -> dict[str, Equipped]:
        found: dict[str, Equipped] = {}
        for path in _candidates():
            one = await _probe(path)
            if one is not None and better(one, found.get(family := f"nodejs{one.version.partition('.')[0]}.x")):
                found[family] = one
        return found

    async def install(self, found: Equipped, directory: Path) -> None:
        npm = Path(found.executable).with_name("npm")
        command = str(npm) if npm.exists() else shutil.which("npm")
        if command is None:
            raise RuntimeError("npm is not installed")
        # Packed, not installed: its scripts would compile, its dependencies are for that alone.
        archive = await run((command, "pack", "--silent", "--pack-destination", str(directory), CLIENT), _NPM_S)
        packed = directory / archive.strip().splitlines()[-1]
        _unpack(packed, directory)
        packed.unlink()
        options = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
        await run((command, "install", *options, "--prefix", str(directory), *SDK), _NPM_S)

    def runtimes(self, family: str, found: Equipped, directory: Path) -> Iterable[Runtime]:
        mounts, executable = seat(found)
        major = found.version.partition(".")[0]
        command = (executable, "--max-old-space-size={heap_mb}")
        yield Runtime(
            family,
            f"nodejs:{found.version}",
            (*command, "/var/runtime/bootstrap.mjs"),
            (Mount(directory, "/var/runtime"), Mount(directory / "node_modules", "/node_modules"), *mounts),
            {
                "NODE_PATH": f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:"
                "/var/runtime/node_modules:/var/runtime:/var/task",
                "SHLVL": "0",
            },
            heap_share=0.9,
            cell=CellRecipe((*command, "/var/runtime/cell.mjs"), at_start=_AT_START, enters=True),
        )


def _candidates() -> Iterable[str]:
    """Distinct files that may be Node.js."""
    directories = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    directories += sorted(glob.glob(os.path.expanduser("~/.nvm/versions/node/*/bin")))
    real = {os.path.realpath(f"{where}/{name}") for where in directories for name in ("node", "nodejs")}
    return sorted(path for path in real if os.path.basename(path).startswith("node") and os.access(path, os.X_OK))


async def _probe(path: str) -> Equipped | None:
    """None: it does not run, or is too old."""
    try:
        version, executable = json.loads(await run((path, "-e", _PROBE), _PROBE_S))
    except (OSError, TimeoutError, RuntimeError, ValueError):
        return None
    if int(version.partition(".")[0]) < OLDEST:
        return None
    return Equipped(version, str(Path(executable).parent.parent), executable, f"{CLIENT} {' '.join(SDK)}")


def _unpack(archive: Path, directory: Path) -> None:
    """npm packs everything below `package/`."""
    with tarfile.open(archive) as packed:
        for entry in packed.getmembers():
            name = entry.name.removeprefix("package/")
            if entry.isfile() and name.partition("/")[0] in _KEPT and ".." not in name:
                place = directory / name
                place.parent.mkdir(parents=True, exist_ok=True)
                content = packed.extractfile(entry)
                assert content is not None  # a file
                place.write_bytes(content.read())
