"""Images in the place of those that can't be pulled: made with debootstrap, tagged with the same names.

They hold Debian's builds of the same programs, so versions differ: what they show is that our files are right, not
how the official images behave. What is made is kept in the cache, and made anew when its recipe changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.compose.engine import Engine, NoEngine

FOLDER = Path(__file__).with_name("stand_ins")
BASE = "hearth-stand-in/debian:bookworm"
SUITE = "bookworm"
_LABEL = "hearth.recipe"
#: how this host reaches packages: its sources, keys and certificates go into the images, which stay here
_HOST_FILES = (
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/auth.conf.d",
    "/etc/apt/apt.conf.d",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pip.conf",
)


def make(engine: Engine, images: dict[str, str], cache: Path) -> None:
    """images: tag -> name of its recipe in `stand_ins/`. Raises NoEngine if this host can't make them."""
    _base(engine, cache)
    for tag, name in images.items():
        recipe = FOLDER / f"{name}.Dockerfile"
        digest = hashlib.sha256(recipe.read_bytes()).hexdigest()[:16]
        if (
            engine.docker(
                "image", "inspect", "-f", f'{{{{index .Config.Labels "{_LABEL}"}}}}', tag, check=False, quiet=True
            )
            == digest
        ):
            continue
        print(f"standing in for {tag}", flush=True)
        arguments = ("--quiet", "--network", "host", "--label", f"{_LABEL}={digest}", "-t", tag, "-f", str(recipe))
        engine.docker("build", *arguments, str(FOLDER))


def _base(engine: Engine, cache: Path) -> None:
    if engine.docker("image", "inspect", "-f", "{{.Id}}", BASE, check=False, quiet=True):
        return
    if shutil.which("debootstrap") is None:
        raise NoEngine("images can't be pulled, and standing in for them takes: apt-get install debootstrap")
    archive = cache / f"{SUITE}.tar"
    if not archive.exists():
        print(f"making a Debian {SUITE}", flush=True)
        _bootstrap(archive)
    engine.docker("import", "--change", 'CMD ["bash"]', str(archive), BASE)


def _bootstrap(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        root = Path(scratch, "root")
        debootstrap = ("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root), _mirror())
        # What it mounts goes with its mount namespace, however it ends.
        subprocess.run(["unshare", "--mount", *debootstrap], check=True, stdout=subprocess.DEVNULL)
        for folder in (
            "var/cache/apt/archives",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        for name in _HOST_FILES:
            _copy(Path(name), root / name.lstrip("/"))
        part = archive.with_suffix(".part")
        subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(part), "."], check=True)
        part.rename(archive)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _mirror() -> str:
    """The archive that apt uses here."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if not listed:
        raise NoEngine(f"images can't be pulled, and standing in for them takes package sources of Debian {SUITE}")
    return listed[0]
