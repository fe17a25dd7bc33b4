"""Compose as it is installed here."""

from __future__ import annotations

import shutil
import subprocess


def compose_command() -> list[str] | None:
    """`docker compose`, else Debian's docker-compose; None if there is neither."""
    if shutil.which("docker"):
        command = ["docker", "compose"]
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    return ["docker-compose"] if shutil.which("docker-compose") else None
